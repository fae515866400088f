interface Operations {
    "POST /v1/payments": {
        body: PaymentCreateRequest;
        answer: import("dist/clients/payment/commonTypes").PaymentResponse;
    };
    "GET /v1/payments/search": { query: PaymentSearchOptions; answer: PaymentSearch };
    "GET /v1/payments/{id}": {
        answer: import("dist/clients/payment/commonTypes").PaymentResponse;
    };
    "PUT /v1/payments/{id}": {
        body: { capture?: boolean; status?: string; transaction_amount?: number };
        answer: import("dist/clients/payment/commonTypes").PaymentResponse;
    };
    "POST /v1/payments/{id}/refunds": {
        body: CreateRefundBody;
        answer: import("dist/clients/paymentRefund/commonTypes").RefundResponse;
    };
    "GET /v1/payments/{id}/refunds/{refund_id}": {
        answer: import("dist/clients/paymentRefund/commonTypes").RefundResponse;
    };
}
