interface Operations {
    "POST /xms/v1/{plan}/batches": { body: SendSMSRequest; answer: SendSMSResponse };
    "GET /xms/v1/{plan}/batches/{batch}": { answer: SendSMSResponse };
    "DELETE /xms/v1/{plan}/batches/{batch}": { answer: SendSMSResponse };
    "GET /xms/v1/{plan}/batches/{batch}/delivery_report": {
        query: Omit<GetDeliveryReportByBatchIdRequestData, "batch_id">;
        answer: DeliveryReport;
    };
}
