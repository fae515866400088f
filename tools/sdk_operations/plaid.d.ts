interface Operations {
    "POST /link/token/create": { body: LinkTokenCreateRequest; answer: LinkTokenCreateResponse };
    "POST /link/token/get": { body: LinkTokenGetRequest; answer: LinkTokenGetResponse };
    "POST /item/public_token/exchange": {
        body: ItemPublicTokenExchangeRequest;
        answer: ItemPublicTokenExchangeResponse;
    };
    "POST /item/get": { body: ItemGetRequest; answer: ItemGetResponse };
    "POST /item/remove": { body: ItemRemoveRequest; answer: ItemRemoveResponse };
    "POST /accounts/get": { body: AccountsGetRequest; answer: AccountsGetResponse };
    "POST /accounts/balance/get": { body: AccountsBalanceGetRequest; answer: AccountsGetResponse };
    "POST /auth/get": { body: AuthGetRequest; answer: AuthGetResponse };
    "POST /transactions/get": { body: TransactionsGetRequest; answer: TransactionsGetResponse };
}
