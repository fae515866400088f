interface Operations {
    "POST /v1/Account/{account}/Message/": {
        body: {
            src?: string;
            dst: string;
            text?: string;
            powerpack_uuid?: string;
            type?: string;
            url?: string;
            method?: string;
            media_urls?: string[];
            log?: boolean;
        };
        answer: SnakeCase<MessageResponse>;
    };
    "GET /v1/Account/{account}/Message/{uuid}/": { answer: SnakeCase<MessageGetResponse> };
    "GET /v1/Account/{account}/": {};
    "GET /v1/Number/{number}": { answer: SnakeCase<LookupResponse> };
    "POST /v1/Account/{account}/Verify/Session/": {
        body: object;
        answer: SnakeCase<SessionResponse>;
    };
    "GET /v1/Account/{account}/Verify/Session/{uuid}/": { answer: SnakeCase<SessionGetResponse> };
    "POST /v1/Account/{account}/Verify/Session/{uuid}/": {
        body: object;
        answer: SnakeCase<ValidateSessionResponse>;
    };
}
