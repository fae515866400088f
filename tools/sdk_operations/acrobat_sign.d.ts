interface Operations {
    "POST /api/rest/v6/transientDocuments": {
        body: { "File-Name"?: string; "Mime-Type"?: string; File: string };
        answer: TransientDocumentResponse;
    };
    "POST /api/rest/v6/agreements": {
        body: AgreementCreationInfo;
        answer: AgreementCreationResponse;
    };
    "GET /api/rest/v6/agreements": {
        query: {
            cursor?: string;
            externalId?: string;
            pageSize?: number;
            showHiddenAgreements?: boolean;
        };
        answer: UserAgreements;
    };
    "GET /api/rest/v6/agreements/{id}": { answer: AgreementInfo };
    "PUT /api/rest/v6/agreements/{id}/state": { body: AgreementStateInfo };
    "GET /api/rest/v6/agreements/{id}/members": {
        query: { includeNextParticipantSet?: boolean };
        answer: MembersInfo;
    };
    "GET /api/rest/v6/agreements/{id}/events": { answer: AgreementEventList };
    "GET /api/rest/v6/agreements/{id}/signingUrls": { answer: SigningUrlResponse };
    "POST /api/rest/v6/agreements/{id}/reminders": {
        body: ReminderInfo;
        answer: ReminderCreationResult;
    };
    "GET /api/rest/v6/agreements/{id}/combinedDocument": {
        query: { attachAuditReport?: boolean; attachSupportingDocuments?: boolean };
    };
    "GET /api/rest/v6/agreements/{id}/auditTrail": {};
}
