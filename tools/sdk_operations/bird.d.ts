interface Operations {
    "POST /v1/lookup/phone-number": { body: PhoneNumberLookupRequest; answer: PhoneNumberLookup };
    "POST /v1/sms/messages": { body: SMSMessageSendRequest; answer: SMSMessage };
    "GET /v1/sms/messages/{id}": { answer: SMSMessage };
    "GET /v1/sms/suppressions": {
        query: {
            destination?: string;
            originator?: string;
            reason?: string;
            limit?: number;
            starting_after?: string;
            ending_before?: string;
        };
        answer: SMSSuppressionList;
    };
    "POST /v1/verify/verifications": { body: VerificationCreateRequest; answer: Verification };
    "POST /v1/verify/verifications/check": {
        body: VerificationCheckRequest;
        answer: VerificationCheckResult;
    };
}
