interface Operations {
    "POST /v2/messages": { body: MessageSendParams; answer: MessageSendResponse };
    "GET /v2/messages/{id}": { answer: MessageRetrieveResponse };
    "DELETE /v2/messages/{id}": { answer: MessageCancelScheduledResponse };
    "GET /v2/number_lookup/{number}": {
        query: NumberLookupRetrieveParams;
        answer: { data?: NumberLookupRetrieveResponse.Data };
    };
    "GET /v2/balance": { answer: BalanceRetrieveResponse };
}
