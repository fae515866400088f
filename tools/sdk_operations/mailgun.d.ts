interface Operations {
    "POST /v3/{domain}/messages": {
        body: MailgunMessageData;
        answer: MessagesSendAPIResponse["body"];
    };
    "GET /v4/address/validate": { query: { address: string }; answer: ValidationResult };
    "POST /v1/analytics/metrics": { body: MetricsQuery; answer: MetricsResult };
    "GET /v3/{domain}/bounces": {
        query: SuppressionListQuery;
        answer: SuppressionListResponse["body"];
    };
    "DELETE /v3/{domain}/bounces/{address}": { answer: SuppressionDestroyResponse["body"] };
    "DELETE /v3/{domain}/complaints/{address}": { answer: SuppressionDestroyResponse["body"] };
    "DELETE /v3/{domain}/unsubscribes/{address}": { answer: SuppressionDestroyResponse["body"] };
    "POST /v3/{domain}/unsubscribes": {
        body: SuppressionCreationData;
        answer: SuppressionCreationResponse["body"];
    };
}
