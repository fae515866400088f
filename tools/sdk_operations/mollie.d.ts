interface Page<Name, T> {
    count: number;
    _embedded: Record<Name, T[]>;
    _links: import("dist/types/data/page/Page").PageLinks;
}
interface Operations {
    "POST /v2/payments": {
        body: import("dist/types/binders/payments/parameters").CreateParameters;
        answer: PaymentData;
    };
    "GET /v2/payments": {
        query: import("dist/types/binders/payments/parameters").PageParameters;
        answer: Page<"payments", PaymentData>;
    };
    "GET /v2/payments/{id}": {
        query: import("dist/types/binders/payments/parameters").GetParameters;
        answer: PaymentData;
    };
    "POST /v2/payments/{id}/captures": {
        body: Omit<import("dist/types/binders/payments/captures/parameters").CreateParameters, "paymentId">;
        answer: CaptureData;
    };
    "POST /v2/payments/{id}/refunds": {
        body: Omit<import("dist/types/binders/payments/refunds/parameters").CreateParameters, "paymentId">;
        answer: RefundData;
    };
    "GET /v2/payments/{id}/refunds/{refund}": { answer: RefundData };
    "POST /v2/payments/{id}/release-authorization": {};
    "GET /v2/chargebacks": {
        query: import("dist/types/binders/chargebacks/parameters").PageParameters;
        answer: Page<"chargebacks", ChargebackData>;
    };
    "POST /v2/customers/{id}/mandates": {
        body: Omit<import("dist/types/binders/customers/mandates/parameters").CreateParameters, "customerId">;
        answer: MandateData;
    };
    "GET /v2/customers/{id}/mandates": {
        query: Partial<import("dist/types/binders/customers/mandates/parameters").PageParameters>;
        answer: Page<"mandates", MandateData>;
    };
    "DELETE /v2/customers/{id}/mandates/{mandate}": {};
    "POST /v2/customers/{id}/subscriptions": {
        body: Omit<import("dist/types/binders/customers/subscriptions/parameters").CreateParameters, "customerId">;
        answer: SubscriptionData;
    };
    "GET /v2/customers/{id}/subscriptions/{subscription}": { answer: SubscriptionData };
    "PATCH /v2/customers/{id}/subscriptions/{subscription}": {
        body: Partial<import("dist/types/binders/customers/subscriptions/parameters").UpdateParameters>;
        answer: SubscriptionData;
    };
    "DELETE /v2/customers/{id}/subscriptions/{subscription}": { answer: SubscriptionData };
    "GET /v2/subscriptions": {
        query: import("dist/types/binders/subscriptions/parameters").PageParameters;
        answer: Page<"subscriptions", SubscriptionData>;
    };
    "POST /v2/payment-links": {
        body: import("dist/types/binders/paymentLinks/parameters").CreateParameters;
        answer: PaymentLinkData;
    };
    "GET /v2/payment-links/{id}": { answer: PaymentLinkData };
    "PATCH /v2/payment-links/{id}": {
        body: Partial<import("dist/types/binders/paymentLinks/parameters").UpdateParameters>;
        answer: PaymentLinkData;
    };
}
