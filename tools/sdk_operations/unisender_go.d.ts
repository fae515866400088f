interface Operations {
    "POST /ru/transactional/api/v1/email/send.json": {
        body: EmailSendRequest;
        answer: EmailSendResponse;
    };
    "POST /ru/transactional/api/v1/suppression/list.json": {
        body: SuppressionListRequest;
        answer: SuppressionListResponse;
    };
    "POST /ru/transactional/api/v1/suppression/set.json": {
        body: SuppressionSetRequest;
        answer: SuccessResponse;
    };
    "POST /ru/transactional/api/v1/suppression/delete.json": {
        body: SuppressionDeleteRequest;
        answer: SuccessResponse;
    };
}
