type PaymentRequest = import("checkout_sdk/payments/payments").PaymentRequest;
type CaptureRequest = import("checkout_sdk/payments/payments").CaptureRequest;
interface Operations {
    "POST /payments": {
        body: Omit<PaymentRequest, "source" | "three_ds"> & {
            source: PaymentRequestTokenSource | PaymentRequestIdSource;
            "3ds"?: ThreeDsRequest;
        };
    };
    "GET /payments/{id}": {};
    "POST /payments/{id}/captures": { body: CaptureRequest };
    "POST /payments/{id}/refunds": { body: RefundRequest };
    "POST /payments/{id}/voids": { body: VoidRequest };
    "GET /disputes": { query: DisputesQueryFilter };
    "GET /disputes/{id}": {};
    "POST /disputes/{id}/accept": {};
    "PUT /disputes/{id}/evidence": { body: DisputeEvidenceRequest };
    "POST /disputes/{id}/evidence": {};
    "GET /customers/{id}": {};
    "DELETE /instruments/{id}": {};
}
