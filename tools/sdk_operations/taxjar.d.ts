interface Operations {
    "GET /v2/categories": { answer: CategoriesRes };
    "POST /v2/taxes": { body: TaxParams; answer: TaxForOrderRes };
    "POST /v2/transactions/orders": { body: CreateOrderParams; answer: CreateOrderRes };
    "GET /v2/transactions/orders/{id}": { answer: ShowOrderRes };
    "POST /v2/transactions/refunds": { body: CreateRefundParams; answer: CreateRefundRes };
}
