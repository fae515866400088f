interface Operations {
    "POST /transactional-email/v1alpha1/regions/{region}/emails": {
        body: SnakeCase<CreateEmailRequest>;
        answer: SnakeCase<CreateEmailResponse>;
    };
    "GET /transactional-email/v1alpha1/regions/{region}/emails/{id}": { answer: SnakeCase<Email> };
    "GET /transactional-email/v1alpha1/regions/{region}/domains": { answer: SnakeCase<ListDomainsResponse> };
    "GET /transactional-email/v1alpha1/regions/{region}/blocklists": {
        query: SnakeCase<ListBlocklistsRequest>;
        answer: SnakeCase<ListBlocklistsResponse>;
    };
    "POST /transactional-email/v1alpha1/regions/{region}/blocklists": {
        body: SnakeCase<BulkCreateBlocklistsRequest>;
        answer: SnakeCase<BulkCreateBlocklistsResponse>;
    };
    "DELETE /transactional-email/v1alpha1/regions/{region}/blocklists/{id}": {};
}
