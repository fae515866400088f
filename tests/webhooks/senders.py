"""Test senders of webhooks: verifier options and a signing function for each preset."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import attrs
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.webhooks import keys
from tests.webhooks.signing import (
    ARN,
    CERT_PAYPAL,
    FORM,
    HEX,
    OTHER_WHSEC,
    SECRET,
    URL,
    WHSEC,
    SentWebhook,
    adyen,
    as_json,
    b64,
    braintree,
    discord,
    dropbox_sign,
    hubspot,
    linear,
    mac,
    mailgun,
    mailgun_inbound,
    mandrill,
    mercado_pago,
    messagemedia,
    over_body,
    paypal,
    plaid,
    plivo,
    sendgrid,
    sendgrid_inbound,
    shipengine,
    sinch,
    sns,
    square,
    stamping_sender,
    standard,
    telnyx,
    twilio,
    unisender_go,
    versioned_sender,
    vonage,
    with_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime


@attrs.frozen(kw_only=True)
class Sender:
    """A vendor that sends webhooks: the options of its verifier, and its signing function."""

    name: str
    send: Callable[[datetime, int], SentWebhook]
    secret: Any = SECRET
    wrong: Any = "another secret, also long enough"
    parameters: Mapping[str, str] = attrs.field(factory=dict[str, str])
    free: frozenset[str] = frozenset()
    """Headers that no signature covers."""
    body_covered: bool = True


def _client(_: datetime, number: int) -> SentWebhook:
    der = b64(keys.der(keys.usual_certificate()))
    return SentWebhook(headers={"Client-Cert": f":{der}:"}, body=as_json({"n": number}))


def _brevo_event(number: int) -> object:
    return {"event": "delivered", "message-id": f"<{number}@mailin.fr>", "ts_event": number}


def _message_with_id(**messages: object) -> Callable[[int], object]:
    return lambda number: messages | {"id": f"id-{number}"}


def _acrobat_sign_message(number: int) -> object:
    return {
        "webhookNotificationId": f"n{number}",
        "event": "AGREEMENT_WORKFLOW_COMPLETED",
        "eventDate": "2031-05-06T07:08:09Z",
        "agreement": {"id": "CBJCHBCAABAA7"},
    }


def _mailjet_batch(number: int) -> object:
    return [{"event": "sent", "time": 1924838889, "MessageID": number}]


def _sparkpost_batch(number: int) -> object:
    fields = {"type": "delivery", "event_id": f"e{number}", "timestamp": "1924838889"}
    return [{"msys": {"message_event": {**fields, "transmission_id": "7"}}}]


TOKEN = "t0ken-of-the-endpoint"
ED_WRONG = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
CURVE_WRONG = ec.derive_private_key(7, ec.SECP256R1())

SENDERS = [
    Sender(name="standard-webhooks", send=standard("webhook"), secret=WHSEC, wrong=OTHER_WHSEC),
    Sender(name="svix", send=standard("svix"), secret=WHSEC, wrong=OTHER_WHSEC),
    Sender(name="gitlab", send=standard("webhook"), secret=WHSEC, wrong=OTHER_WHSEC),
    Sender(
        name="standard-webhooks-ed25519",
        send=standard("webhook", "v1a,"),
        secret="whpk_" + b64(keys.ed25519_key().public_key().public_bytes_raw()),
        wrong="whpk_" + b64(ED_WRONG.public_key().public_bytes_raw()),
    ),
    Sender(
        name="stripe",
        send=stamping_sender(
            "Stripe-Signature",
            "t={},v1={}",
            _message_with_id(type="charge.refunded", created=1, data={"object": {}}),
        ),
    ),
    Sender(
        name="shippo",
        send=stamping_sender(
            "Shippo-Auth-Signature", "t={},v1={}", _message_with_id(event="track_updated", data={})
        ),
    ),
    Sender(
        name="shipengine",
        send=shipengine,
        secret=keys.rsa_public(keys.rsa_key()),
        wrong=keys.rsa_public(keys.rsa_key(1)),
        free=frozenset({"X-ShipEngine-RSA-SHA256-Key-ID"}),
    ),
    Sender(
        name="paddle",
        send=stamping_sender(
            "Paddle-Signature",
            "ts={};h1={}",
            lambda n: {"event_id": f"e{n}", "event_type": "a", "data": {}},
            ":",
        ),
    ),
    Sender(
        name="github",
        send=over_body(
            "X-Hub-Signature-256",
            lambda body: "sha256=" + mac(SECRET, body).hex(),
            _message_with_id(action="opened"),
            X_GitHub_Delivery="d-{}",
            X_GitHub_Event="issues",
        ),
        free=frozenset({"X-GitHub-Delivery", "X-GitHub-Event"}),
    ),
    Sender(
        name="meta",
        send=over_body(
            "X-Hub-Signature-256",
            lambda body: "sha256=" + mac(SECRET, body).hex(),
            lambda n: {"object": "page", "entry": [{"n": n}, {"n": -n}]},
        ),
        parameters={"verify_token": "v"},
    ),
    Sender(
        name="intercom",
        send=over_body(
            "X-Hub-Signature",
            lambda body: "sha1=" + mac(SECRET, body, "sha1").hex(),
            _message_with_id(topic="user.created", data={"item": {}}),
        ),
    ),
    Sender(
        name="shopify",
        send=over_body(
            "X-Shopify-Hmac-Sha256",
            lambda body: b64(mac(SECRET, body)),
            _message_with_id(),
            X_Shopify_Webhook_Id="w-{}",
            X_Shopify_Topic="orders/create",
        ),
        free=frozenset({"X-Shopify-Webhook-Id", "X-Shopify-Topic"}),
    ),
    Sender(
        name="woocommerce",
        send=over_body(
            "X-WC-Webhook-Signature",
            lambda body: b64(mac(SECRET, body)),
            _message_with_id(),
            X_WC_Webhook_Delivery_ID="w-{}",
            X_WC_Webhook_Topic="order.updated",
        ),
        free=frozenset({"X-WC-Webhook-Delivery-ID", "X-WC-Webhook-Topic"}),
    ),
    Sender(
        name="razorpay",
        send=over_body(
            "X-Razorpay-Signature",
            lambda body: mac(SECRET, body).hex(),
            _message_with_id(event="payment.captured", created_at=1, payload={}),
        ),
        free=frozenset({"x-razorpay-event-id"}),
    ),
    Sender(
        name="paystack",
        send=over_body(
            "x-paystack-signature",
            lambda body: mac(SECRET, body, "sha512").hex(),
            _message_with_id(event="charge.success", data={}),
        ),
    ),
    Sender(
        name="authorize-net",
        send=over_body(
            "X-ANET-Signature",
            lambda body: f"sha512={mac(SECRET, body, 'sha512').hex()}",
            lambda number: {
                "notificationId": f"n-{number}",
                "eventType": "net.authorize.payment.authcapture.created",
                "eventDate": "2031-05-06T07:08:09.7722007Z",
                "payload": {"entityName": "transaction", "id": "60020981676"},
            },
        ),
    ),
    Sender(
        name="checkout-com",
        send=over_body(
            "Cko-Signature",
            lambda body: mac(SECRET, body).hex(),
            _message_with_id(type="payment_captured", data={"id": "pay_1"}),
        ),
    ),
    Sender(
        name="gocardless",
        send=over_body(
            "Webhook-Signature",
            lambda body: mac(SECRET, body).hex(),
            lambda number: {
                "events": [
                    {
                        "id": f"EV{number}",
                        "created_at": "2031-05-06T07:08:09.100Z",
                        "resource_type": "payments",
                        "action": "confirmed",
                        "links": {"payment": "PM123"},
                    }
                ]
            },
        ),
    ),
    Sender(
        name="mollie",
        send=over_body(
            "X-Mollie-Signature",
            lambda body: "sha256=" + mac(SECRET, body).hex(),
            _message_with_id(type="payment-link.paid"),
        ),
    ),
    Sender(
        name="easypost",
        secret="sécret",
        send=over_body(
            "X-Hmac-Signature",
            lambda body: (
                "hmac-sha256-hex=" + mac(unicodedata.normalize("NFKD", "sécret"), body).hex()
            ),
            _message_with_id(description="tracker.updated", result={}),
        ),
    ),
    Sender(
        name="intuit",
        send=over_body(
            "intuit-signature",
            lambda body: b64(mac(SECRET, body)),
            lambda n: [
                {
                    "specversion": "1.0",
                    "id": f"i{n}",
                    "type": "qbo.invoice.updated.v1",
                    "time": "2031-05-06T07:08:09.1Z",
                    "intuitentityid": "9",
                    "intuitaccountid": "310687",
                }
            ],
        ),
    ),
    Sender(
        name="xero",
        send=over_body(
            "x-xero-signature",
            lambda body: b64(mac(SECRET, body)),
            lambda n: {
                "events": [
                    {
                        "resourceId": f"r{n}",
                        "eventType": "UPDATE",
                        "eventCategory": "INVOICE",
                        "eventDateUtc": "2031-05-06T07:08:09.1",
                    }
                ]
            },
        ),
    ),
    Sender(
        name="docusign",
        send=over_body(
            "X-DocuSign-Signature-2",
            lambda body: b64(mac(SECRET, body)),
            _message_with_id(event="envelope-completed", data={}),
            X_DocuSign_Signature_1=b64(b"0" * 32),
        ),
        free=frozenset({"X-DocuSign-Signature-1"}),
    ),
    Sender(
        name="slack",
        send=versioned_sender(
            "X-Slack-Signature",
            "X-Slack-Request-Timestamp",
            lambda n: {"event_id": f"Ev{n}", "event_time": 1, "event": {"type": "message"}},
        ),
    ),
    Sender(
        name="zoom",
        send=versioned_sender(
            "x-zm-signature",
            "x-zm-request-timestamp",
            lambda n: {"event": "meeting.started", "event_ts": 1, "payload": {"object": {"n": n}}},
        ),
    ),
    Sender(name="twilio", send=twilio("sha1"), free=frozenset({"I-Twilio-Idempotency-Token"})),
    Sender(
        name="twilio-shared-key",
        send=twilio("sha256"),
        free=frozenset({"I-Twilio-Idempotency-Token"}),
    ),
    Sender(
        name="sendgrid", send=sendgrid, secret=keys.spki(keys.curve()), wrong=keys.spki(CURVE_WRONG)
    ),
    Sender(
        name="sendgrid-inbound",
        send=sendgrid_inbound,
        secret=keys.spki(keys.curve()),
        wrong=keys.spki(CURVE_WRONG),
    ),
    Sender(
        name="sendgrid-inbound-basic",
        send=lambda now, n: attrs.evolve(
            sendgrid_inbound(now, n), headers={"Authorization": "Basic " + b64(b"name:pass")}
        ),
        secret="name:pass",
        wrong="name:word",
        body_covered=False,
    ),
    Sender(name="mailgun", send=mailgun, body_covered=False),
    Sender(name="mailgun-inbound", send=mailgun_inbound, body_covered=False),
    Sender(name="dropbox-sign", send=dropbox_sign, body_covered=False),
    Sender(name="square", send=square),
    Sender(name="adyen", send=adyen, secret=HEX, wrong="11" * 32, body_covered=False),
    Sender(name="braintree", send=braintree, parameters={"public_key": "public"}),
    Sender(name="paypal", send=paypal, secret=None, parameters={"webhook_id": "WEBHOOK"}),
    Sender(
        name="paypal-sandbox",
        send=lambda now, n: attrs.evolve(
            paypal(now, n),
            headers=paypal(now, n).headers
            | {"PAYPAL-CERT-URL": CERT_PAYPAL.replace("api.", "api.sandbox.")},
        ),
        secret=None,
        parameters={"webhook_id": "WEBHOOK"},
    ),
    Sender(name="aws-sns", send=sns("2"), secret=None, parameters={"topic_arn": ARN}),
    Sender(name="aws-sns-sha1", send=sns("1"), secret=None, parameters={"topic_arn": ARN}),
    Sender(
        name="discord",
        send=discord,
        secret=keys.raw_hex(keys.ed25519_key()),
        wrong=keys.raw_hex(ED_WRONG),
    ),
    Sender(name="hubspot", send=hubspot),
    Sender(name="linear", send=linear, free=frozenset({"Linear-Delivery"})),
    Sender(name="plaid", send=plaid, secret=keys.jwk(keys.curve()), wrong=keys.jwk(CURVE_WRONG)),
    Sender(name="vonage", send=vonage),
    Sender(name="plivo", send=plivo("V3")),
    Sender(name="plivo-v2", send=plivo("V2"), body_covered=False),
    Sender(name="sinch", send=sinch),
    Sender(
        name="telnyx",
        send=telnyx,
        secret=b64(keys.ed25519_key().public_key().public_bytes_raw()),
        wrong=b64(ED_WRONG.public_key().public_bytes_raw()),
    ),
    Sender(name="mercado-pago", send=mercado_pago, body_covered=False),
    Sender(
        name="messagemedia",
        send=messagemedia,
        secret=keys.rsa_public(keys.rsa_key()),
        wrong=keys.rsa_public(keys.rsa_key(1)),
    ),
    Sender(
        name="telegram",
        send=with_token({"X-Telegram-Bot-Api-Secret-Token": TOKEN}, lambda n: {"update_id": n}),
        secret=TOKEN,
        body_covered=False,
    ),
    Sender(
        name="gitlab-token",
        send=with_token({"X-Gitlab-Token": TOKEN}, _message_with_id(object_kind="push")),
        secret=TOKEN,
        body_covered=False,
    ),
    Sender(
        name="bearer-token",
        send=with_token({"Authorization": f"Bearer {TOKEN}"}, _message_with_id()),
        secret=TOKEN,
        body_covered=False,
    ),
    Sender(
        name="url-token",
        send=with_token({}, _message_with_id(), f"{URL}&token={TOKEN}"),
        secret=TOKEN,
        body_covered=False,
    ),
    Sender(
        name="acrobat-sign",
        send=with_token({}, _acrobat_sign_message, f"{URL}&token={TOKEN}"),
        secret=TOKEN,
        body_covered=False,
    ),
    Sender(
        name="mollie-classic",
        send=lambda _, n: SentWebhook(
            headers={"Content-Type": FORM}, body=f"id=tr_{n}".encode(), url=f"{URL}&token={TOKEN}"
        ),
        secret=TOKEN,
        body_covered=False,
        free=frozenset({"Content-Type"}),
    ),
    Sender(
        name="basic-auth",
        send=with_token({"Authorization": "Basic " + b64(b"name:pass")}, _message_with_id()),
        secret="name:pass",
        wrong="name:word",
        body_covered=False,
    ),
    Sender(
        name="postmark",
        send=with_token(
            {"Authorization": "Basic " + b64(b"name:pass")},
            lambda n: {
                "RecordType": "Delivery",
                "MessageID": f"m{n}",
                "DeliveredAt": "2031-05-06T07:08:09Z",
            },
        ),
        secret="name:pass",
        wrong="name:word",
        body_covered=False,
    ),
    Sender(
        name="mailjet",
        send=with_token({"Authorization": "Basic " + b64(b"name:pass")}, _mailjet_batch),
        secret="name:pass",
        wrong="name:word",
        body_covered=False,
    ),
    Sender(
        name="sparkpost",
        send=with_token({"Authorization": "Basic " + b64(b"name:pass")}, _sparkpost_batch),
        secret="name:pass",
        wrong="name:word",
        body_covered=False,
    ),
    Sender(
        name="infobip",
        send=with_token(
            {"Authorization": "Basic " + b64(b"name:pass")},
            lambda n: {
                "results": [
                    {
                        "messageId": f"m{n}",
                        "status": {"groupName": "DELIVERED", "name": "DELIVERED_TO_HANDSET"},
                        "doneAt": "2031-05-06T07:08:09.000+0000",
                    }
                ]
            },
        ),
        secret="name:pass",
        wrong="name:word",
        body_covered=False,
    ),
    Sender(
        name="mailersend",
        send=over_body(
            "Signature",
            lambda body: mac(SECRET, body).hex(),
            lambda n: {"type": "activity.sent", "data": {"id": f"a{n}"}},
        ),
    ),
    Sender(
        name="mailtrap",
        send=over_body(
            "Mailtrap-Signature",
            lambda body: mac(SECRET, body).hex(),
            lambda n: {"events": [{"event": "delivery", "event_id": f"e{n}"}]},
        ),
    ),
    Sender(name="mandrill", send=mandrill),
    Sender(name="unisender-go", send=unisender_go),
    Sender(
        name="postal",
        send=over_body(
            "X-Postal-Signature-256",
            keys.rsa_signed,
            lambda n: {"event": "MessageSent", "timestamp": 1772366400.5, "uuid": f"u{n}"},
        ),
        secret=keys.rsa_public(keys.rsa_key()),
        wrong=keys.rsa_public(keys.rsa_key(1)),
    ),
    Sender(
        name="brevo",
        send=with_token({"Authorization": f"Bearer {TOKEN}"}, _brevo_event),
        secret=TOKEN,
        body_covered=False,
    ),
    Sender(
        name="brevo-basic",
        send=with_token({"Authorization": "Basic " + b64(b"name:pass")}, _brevo_event),
        secret="name:pass",
        wrong="name:word",
        body_covered=False,
    ),
    Sender(
        name="sparkpost-oauth2",
        send=with_token({"Authorization": f"Bearer {TOKEN}"}, _sparkpost_batch),
        secret=TOKEN,
        body_covered=False,
    ),
    Sender(
        name="client-certificate",
        send=_client,
        secret=keys.fingerprint(keys.usual_certificate()),
        wrong="11" * 32,
        body_covered=False,
    ),
]
BY_NAME = {sender.name: sender for sender in SENDERS}
