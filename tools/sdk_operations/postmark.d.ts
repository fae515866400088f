interface Operations {
    "POST /email": { body: Message; answer: MessageSendingResponse };
    "POST /email/batch": { body: Message[]; answer: MessageSendingResponse[] };
    "POST /email/withTemplate": { body: TemplatedMessage; answer: MessageSendingResponse };
    "GET /messages/outbound/{id}/details": { answer: OutboundMessageDetails };
    "GET /stats/outbound/sends": { query: StatisticsFilteringParameters; answer: SentCounts };
    "GET /stats/outbound/bounces": { query: StatisticsFilteringParameters; answer: BounceCounts };
    "GET /stats/outbound/spam": { query: StatisticsFilteringParameters; answer: SpamCounts };
    "GET /stats/outbound/opens": { query: StatisticsFilteringParameters; answer: OpenCounts };
    "GET /stats/outbound/clicks": { query: StatisticsFilteringParameters; answer: ClickCounts };
    "GET /message-streams/{id}/suppressions/dump": {
        query: SuppressionFilteringParameters;
        answer: Suppressions;
    };
    "POST /message-streams/{id}/suppressions": {
        body: CreateSuppressionsRequest;
        answer: SuppressionStatuses;
    };
    "POST /message-streams/{id}/suppressions/delete": {
        body: DeleteSuppressionsRequest;
        answer: SuppressionStatuses;
    };
}
