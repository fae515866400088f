"""Webhook schemes of payment vendors."""

from __future__ import annotations

from typing import Final

from moorage.domain.webhooks.scheme import WebhookScheme

_DAY: Final = 86_400
_PAYPAL: Final = r"/v1/notifications/certs/CERT-[A-Za-z0-9\-]{1,100}"


def _paypal(name: str, host: str) -> WebhookScheme:
    return WebhookScheme(
        name=name,
        signature="{header:PayPal-Transmission-Sig}",
        signs="{header:PayPal-Transmission-Id}|{header:PayPal-Transmission-Time}"
        "|{parameter:webhook_id}|{body_crc32}",
        algorithm="rsa-v1_5-sha256",
        encoding="base64",
        requires={"{header:PayPal-Auth-Algo}": "SHA256withRSA"},
        certificate="{header:PayPal-Cert-Url}",
        certificate_url=f"https://{host.replace('.', chr(92) + '.')}{_PAYPAL}",
        timestamp="{header:PayPal-Transmission-Time}",
        timestamp_form="iso",
        # The time is that of the first attempt, and PayPal retries for three days.
        tolerance=3 * _DAY + 3_600,
        id="{json:id}",
        type="{json:event_type}",
        time="{json:create_time}",
        time_form="iso",
        data="resource",
        fetch=f"https://{host}/v1/notifications/webhooks-events/{{id}}",
        types={
            "CHECKOUT.ORDER.APPROVED": "payment.requires_capture",
            "PAYMENT.AUTHORIZATION.CREATED": "payment.authorized",
            "PAYMENT.AUTHORIZATION.VOIDED": "payment.voided",
            "PAYMENT.CAPTURE.COMPLETED": "payment.captured",
            "PAYMENT.CAPTURE.DECLINED": "payment.failed",
            "PAYMENT.CAPTURE.DENIED": "payment.failed",
            "PAYMENT.CAPTURE.PENDING": "payment.processing",
            "PAYMENT.CAPTURE.REFUNDED": "payment.refunded",
            "PAYMENT.CAPTURE.REVERSED": "payment.refunded",
            "CUSTOMER.DISPUTE.CREATED": "dispute.created",
            "CUSTOMER.DISPUTE.RESOLVED": "dispute.closed",
        },
    )


PAYMENTS: Final = (
    WebhookScheme(
        name="stripe",
        signature="{header:Stripe-Signature}",
        signs="{mark:t}.{body}",
        separator=",",
        prefix="v1=",
        timestamp="{mark:t}",
        tolerance=300,
        id="{json:id}",
        type="{json:type}",
        time="{json:created}",
        data="data.object",
        types={
            "payment_intent.succeeded": "payment.captured",
            "payment_intent.amount_capturable_updated": "payment.authorized",
            "payment_intent.payment_failed": "payment.failed",
            "payment_intent.canceled": "payment.voided",
            "payment_intent.requires_action": "payment.requires_action",
            "payment_intent.processing": "payment.processing",
            "charge.refunded": "payment.refunded",
            "refund.updated": "payment.refunded",
            "charge.dispute.created": "dispute.created",
            "charge.dispute.closed": "dispute.closed",
        },
    ),
    WebhookScheme(
        name="adyen",
        signature="{json:additionalData.hmacSignature}",
        signs="{json:pspReference}:{json:originalReference?}:{json:merchantAccountCode}"
        ":{json:merchantReference?}:{json:amount.value}:{json:amount.currency}"
        ":{json:eventCode}:{json:success}",
        encoding="base64",
        secret_form="hex",
        items="notificationItems.*.NotificationRequestItem",
        each_signed=True,
        id="{json:pspReference}:{json:eventCode}:{json:success}",
        type="{json:eventCode}",
        time="{json:eventDate}",
        time_form="iso",
        accepted="[accepted]",
        types={
            "AUTHORISATION": "payment.authorized",
            "CAPTURE": "payment.captured",
            "CAPTURE_FAILED": "payment.failed",
            "CANCELLATION": "payment.voided",
            "REFUND": "payment.refunded",
            "REFUND_FAILED": "refund.failed",
            "CHARGEBACK": "dispute.created",
            "CHARGEBACK_REVERSED": "dispute.closed",
        },
    ),
    _paypal("paypal", "api.paypal.com"),
    _paypal("paypal-sandbox", "api.sandbox.paypal.com"),
    WebhookScheme(
        name="square",
        signature="{header:x-square-hmacsha256-signature}",
        signs="{url}{body}",
        encoding="base64",
        older="x-square-signature",
        id="{json:event_id}",
        type="{json:type}",
        time="{json:created_at}",
        time_form="iso",
        data="data.object",
    ),
    WebhookScheme(
        name="checkout-com",
        signature="{header:Cko-Signature}",
        id="{json:id}",
        type="{json:type}",
        time="{json:created_on}",
        time_form="iso",
        data="data",
        types={
            "payment_approved": "payment.authorized",
            "payment_captured": "payment.captured",
            "payment_declined": "payment.failed",
            "payment_capture_declined": "payment.failed",
            "dispute_evidence_required": "dispute.created",
            "dispute_won": "dispute.closed",
            "dispute_lost": "dispute.closed",
            "payment_refunded": "payment.refunded",
            "payment_voided": "payment.voided",
        },
    ),
    WebhookScheme(
        name="mollie",
        signature="{header:X-Mollie-Signature}",
        # While a secret is being replaced, the header occurs once for each secret.
        repeats=True,
        separator=",",
        prefix="sha256=",
        id="{json:id}",
        type="{json:type}",
        time="{json:createdAt}",
        time_form="iso",
        data="_embedded.entity",
    ),
    # Mollie's older webhooks are unsigned: only a token in the URL proves the sender, and the body
    # only says that something has changed.
    WebhookScheme(
        name="mollie-classic",
        body="form",
        signature="{query:token}",
        algorithm="token",
        # The id is that of the payment, which can change more than once.
        hints=True,
        id="{json:id}",
        type="payment.changed",
        fetch="https://api.mollie.com/v2/payments/{id}",
    ),
    WebhookScheme(
        name="razorpay",
        signature="{header:X-Razorpay-Signature}",
        id="{header:x-razorpay-event-id}",
        type="{json:event}",
        time="{json:created_at}",
        data="payload",
        types={
            "payment.authorized": "payment.authorized",
            "payment.captured": "payment.captured",
            "payment.failed": "payment.failed",
            "refund.processed": "payment.refunded",
        },
    ),
    WebhookScheme(
        name="paystack",
        signature="{header:x-paystack-signature}",
        algorithm="hmac-sha512",
        type="{json:event}",
        time="{json:data.created_at}",
        time_form="iso",
        data="data",
        types={"charge.success": "payment.captured", "refund.processed": "payment.refunded"},
    ),
    WebhookScheme(
        name="paddle",
        signature="{header:Paddle-Signature}",
        signs="{mark:ts}:{body}",
        separator=";",
        prefix="h1=",
        timestamp="{mark:ts}",
        tolerance=300,
        id="{json:event_id}",
        type="{json:event_type}",
        time="{json:occurred_at}",
        time_form="iso",
        data="data",
    ),
    WebhookScheme(
        name="braintree",
        signature="{form:bt_signature}",
        # Some form parsers drop the line break at the end of the field.
        signs=("{form:bt_payload}", "{form:bt_payload}\n"),
        algorithm="hmac-sha1",
        separator="&",
        prefix="{public_key}|",
        secret_form="sha1",
        body="enclosed_xml",
        type="{json:kind}",
        time="{json:timestamp}",
        time_form="iso",
        handshake="braintree",
    ),
    WebhookScheme(
        name="plaid",
        signature="{header:Plaid-Verification}",
        algorithm="jwt-es256",
        timestamp="{claim:iat}",
        tolerance=300,
        digest="{claim:request_body_sha256}",
        type="{json:webhook_type}.{json:webhook_code}",
    ),
)
