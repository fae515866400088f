interface Operations {
    "POST /v1/email": { body: EmailParams };
    "DELETE /v1/message-schedules/{id}": {};
    "GET /v1/analytics/date": { query: AnalyticsDateQueryParams };
}
