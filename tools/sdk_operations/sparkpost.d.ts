type Recipient = Omit<RecipientObject.Attributes, "address"> & {
    address: AddressObject.Attributes | string;
};

type Content = Omit<SendInlineContent.ContentAttributes, "attachments" | "inline_images"> & {
    attachments?: AttachmentObject.Attributes[];
    inline_images?: InlineImageObject.Attributes[];
};

interface Operations {
    "POST /api/v1/transmissions": {
        body: Omit<RequestBody.Attributes, "content" | "recipients"> & {
            content: Content | SendATemplate.ContentAttributes;
            recipients: Recipient[];
        };
        answer: SendInlineContent.Answer;
    };
    "DELETE /api/v1/transmissions/{id}": {};
    "GET /api/v1/suppression-list": {
        query: SearchSuppressions.Parameters;
        answer: SearchSuppressions.Answer;
    };
    "PUT /api/v1/suppression-list": {
        body: { recipients: BulkCreateOrUpdateSuppressions.RecipientObject[] };
        answer: BulkCreateOrUpdateSuppressions.Answer;
    };
    "DELETE /api/v1/suppression-list/{address}": { body: DeleteASuppression.Attributes };
    "GET /api/v1/recipient-validation/single/{address}": {
        answer: { results: ValidationObject.Attributes };
    };
    "GET /api/v1/metrics/deliverability/time-series": {
        query: TimeSeriesMetrics.Parameters;
        answer: TimeSeriesMetrics.Answer;
    };
}
