interface Operations {
    "POST /v3/smtp/email": { body: SendTransacEmailRequest; answer: SendTransacEmailResponse };
    "DELETE /v3/smtp/email/{id}": {};
    "GET /v3/smtp/statistics/reports": {
        query: GetSmtpReportRequest;
        answer: GetSmtpReportResponse;
    };
    "GET /v3/smtp/blockedContacts": {
        query: GetTransacBlockedContactsRequest;
        answer: GetTransacBlockedContactsResponse;
    };
    "DELETE /v3/smtp/blockedContacts/{email}": {};
}
