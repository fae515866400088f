interface Listed<T> {
    entity: string;
    count: number;
    items: T[];
}
interface Operations {
    "GET /v1/customers/{id}/tokens": { answer: Listed<Tokens.RazorpayToken> };
    "DELETE /v1/customers/{id}/tokens/{token}": { answer: { deleted: boolean } };
    "GET /v1/disputes": { query: RazorpayPaginationOptions; answer: Listed<Disputes.RazorpayDispute> };
    "POST /v1/orders": {
        body: Orders.RazorpayOrderCreateRequestBody | Orders.RazorpayAuthorizationCreateRequestBody;
        answer: Orders.RazorpayOrder;
    };
    "GET /v1/orders/{id}/payments": { answer: Listed<Payments.RazorpayPayment> };
    "POST /v1/payment_links": {
        body: PaymentLinks.RazorpayPaymentLinkCreateRequestBody;
        answer: PaymentLinks.RazorpayPaymentLink;
    };
    "GET /v1/payment_links/{id}": { answer: PaymentLinks.RazorpayPaymentLink };
    "POST /v1/payment_links/{id}/cancel": { answer: PaymentLinks.RazorpayPaymentLink };
    "GET /v1/payments": {
        query: Payments.RazorpayPaymentQuery;
        answer: Listed<Payments.RazorpayPayment>;
    };
    "POST /v1/payments/create/recurring": {
        body: Payments.RazorpayRecurringPaymentCreateRequestBody;
        answer: {
            razorpay_payment_id: string;
            razorpay_order_id?: string;
            razorpay_signature?: string;
        };
    };
    "GET /v1/payments/{id}": { query: Partial<Payments.ExpandDetails>; answer: Payments.RazorpayPayment };
    "POST /v1/payments/{id}/capture": {
        body: { amount: number | string; currency: string };
        answer: Payments.RazorpayPayment;
    };
    "POST /v1/payments/{id}/refund": {
        body: Refunds.RazorpayRefundCreateRequestBody;
        answer: Refunds.RazorpayRefund;
    };
    "POST /v1/plans": { body: Plans.RazorpayPlanCreateRequestBody; answer: Plans.RazorPayPlans };
    "GET /v1/plans/{id}": { answer: Plans.RazorPayPlans };
    "GET /v1/refunds/{id}": { answer: Refunds.RazorpayRefund };
    "GET /v1/settlements": {
        query: RazorpayPaginationOptions;
        answer: Listed<Settlements.RazorpaySettlement>;
    };
    "POST /v1/subscriptions": {
        body: Subscriptions.RazorpaySubscriptionCreateRequestBody;
        answer: Subscriptions.RazorpaySubscription;
    };
    "GET /v1/subscriptions": {
        query: Subscriptions.RazorpaySubscriptionQuery;
        answer: Listed<Subscriptions.RazorpaySubscription>;
    };
    "GET /v1/subscriptions/{id}": { answer: Subscriptions.RazorpaySubscription };
    "PATCH /v1/subscriptions/{id}": {
        body: Subscriptions.RazorpaySubscriptionUpdateRequestBody;
        answer: Subscriptions.RazorpaySubscription;
    };
    "POST /v1/subscriptions/{id}/cancel": {
        body: { cancel_at_cycle_end?: boolean | number };
        answer: Subscriptions.RazorpaySubscription;
    };
    "GET /v1/subscriptions/{id}/retrieve_scheduled_changes": {
        answer: Subscriptions.RazorpaySubscription;
    };
}
