interface Operations {
    "POST /v3.1/send": { body: SendEmailV3_1.Body; answer: SendEmailV3_1.Response };
    "GET /v3/REST/statcounters": {
        query: Statistic.GetStatCountersQueryParams;
        answer: Statistic.GetStatCountersResponse;
    };
}
