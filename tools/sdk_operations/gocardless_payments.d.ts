interface Operations {
    "POST /billing_requests": {
        body: { billing_requests: BillingRequestCreateRequest };
        answer: { billing_requests: BillingRequest };
    };
    "GET /billing_requests/{id}": { answer: { billing_requests: BillingRequest } };
    "POST /billing_request_flows": {
        body: { billing_request_flows: BillingRequestFlowCreateRequest };
        answer: { billing_request_flows: BillingRequestFlow };
    };
    "GET /mandates": { query: MandateListRequest; answer: MandateListResponse };
    "POST /mandates/{id}/actions/cancel": {
        body: { data?: MandateCancelRequest };
        answer: { mandates: Mandate };
    };
    "POST /payments": { body: { payments: PaymentCreateRequest }; answer: { payments: Payment } };
    "GET /payments": { query: PaymentListRequest; answer: PaymentListResponse };
    "GET /payments/{id}": { answer: { payments: Payment } };
    "POST /payments/{id}/actions/cancel": {
        body: { data?: PaymentCancelRequest };
        answer: { payments: Payment };
    };
    "GET /payouts": { query: PayoutListRequest; answer: PayoutListResponse };
    "POST /refunds": { body: { refunds: RefundCreateRequest }; answer: { refunds: Refund } };
    "GET /refunds/{id}": { answer: { refunds: Refund } };
    "POST /subscriptions": {
        body: { subscriptions: SubscriptionCreateRequest };
        answer: { subscriptions: Subscription };
    };
    "GET /subscriptions": { query: SubscriptionListRequest; answer: SubscriptionListResponse };
    "GET /subscriptions/{id}": { answer: { subscriptions: Subscription } };
    "PUT /subscriptions/{id}": {
        body: { subscriptions: SubscriptionUpdateRequest };
        answer: { subscriptions: Subscription };
    };
    "POST /subscriptions/{id}/actions/cancel": {
        body: { data?: SubscriptionCancelRequest };
        answer: { subscriptions: Subscription };
    };
}
