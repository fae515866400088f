"""Webhooks as each vendor signs them, built without the package's own code.

Each function is written from the vendor's documentation, so that a scheme and its sender are two
readings of one string.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.webhooks import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

URL = "https://shop.example/hooks?shop=1"
SECRET = "a secret, 32 letters at the least"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_WHSEC = "whsec_" + base64.b64encode(b"another secret of 24 bytes").decode()
ARN = "arn:aws:sns:eu-west-1:123456789012:orders"
FORM = "application/x-www-form-urlencoded"
CERT_SNS = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CERT_PAYPAL = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-ab66f33d"


@attrs.frozen(kw_only=True)
class SentWebhook:
    """A webhook request as it arrives at a server."""

    headers: dict[str, str]
    body: bytes
    url: str = URL
    method: str = "POST"

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `verify` for this request."""
        return attrs.asdict(self)


def mac(key: str | bytes, content: str | bytes, name: str = "sha256") -> bytes:
    """Return an HMAC of text or bytes."""
    secret = key.encode() if isinstance(key, str) else key
    return hmac.new(
        secret, content.encode() if isinstance(content, str) else content, name
    ).digest()


def b64(value: bytes) -> str:
    """Return bytes in Base64 as text."""
    return base64.b64encode(value).decode()


def as_json(value: object) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def stamp(now: datetime) -> str:
    """Return a time as Unix seconds."""
    return str(int(now.timestamp()))


def millis(now: datetime) -> str:
    """Return a time as Unix milliseconds."""
    return str(int(now.timestamp() * 1000))


def iso(now: datetime) -> str:
    """Return a time in the ISO format that most vendors use."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def over_body(
    header: str, write: Callable[[bytes], str], payload: Callable[[int], object], **more: str
) -> Callable[[datetime, int], SentWebhook]:
    """Return a function that makes webhooks with a signature of the body in one header."""

    def send(_: datetime, number: int) -> SentWebhook:
        body = as_json(payload(number))
        extra_headers = {
            name.replace("_", "-"): value.format(number) for name, value in more.items()
        }
        return SentWebhook(headers={header: write(body)} | extra_headers, body=body)

    return send


def standard(headers: str, prefix: str = "v1,") -> Callable[[datetime, int], SentWebhook]:
    """Return a function that makes webhooks signed as the Standard Webhooks rules say."""

    def send(now: datetime, number: int) -> SentWebhook:
        body = as_json(
            {"type": "a.b", "object_kind": "push", "timestamp": iso(now), "data": {"n": number}}
        )
        content = b"msg_%d.%s.%s" % (number, stamp(now).encode(), body)
        key = base64.b64decode(WHSEC.removeprefix("whsec_"))
        signature = b64(mac(key, content) if prefix == "v1," else keys.ed25519_key().sign(content))
        return SentWebhook(
            headers={
                f"{headers}-id": f"msg_{number}",
                f"{headers}-timestamp": stamp(now),
                f"{headers}-signature": prefix + signature,
            },
            body=body,
        )

    return send


def stamping_sender(
    header: str, form: str, payload: Callable[[int], object], separator: str = "."
) -> Callable[[datetime, int], SentWebhook]:
    """Return a function that makes webhooks with time and signature in one header, like Stripe."""

    def send(now: datetime, number: int) -> SentWebhook:
        body = as_json(payload(number))
        signature = mac(SECRET, f"{stamp(now)}{separator}".encode() + body).hex()
        return SentWebhook(headers={header: form.format(stamp(now), signature)}, body=body)

    return send


def versioned_sender(
    header: str, time: str, payload: Callable[[int], object]
) -> Callable[[datetime, int], SentWebhook]:
    """Return a function that makes webhooks with a version before the signature, like Slack."""

    def send(now: datetime, number: int) -> SentWebhook:
        body = as_json(payload(number))
        signature = mac(SECRET, f"v0:{stamp(now)}:".encode() + body).hex()
        return SentWebhook(headers={header: f"v0={signature}", time: stamp(now)}, body=body)

    return send


def twilio(name: str) -> Callable[[datetime, int], SentWebhook]:
    """Return a function that makes Twilio webhooks, which sign the URL and the sorted form."""

    def send(_: datetime, number: int) -> SentWebhook:
        form = {"MessageSid": f"SM{number}", "MessageStatus": "delivered", "From": "+15005550006"}
        content = URL + "".join(field + form[field] for field in sorted(form))
        return SentWebhook(
            headers={
                "X-Twilio-Signature": b64(mac(SECRET, content, name)),
                "Content-Type": FORM,
                "I-Twilio-Idempotency-Token": f"token-{number}",
            },
            body=urlencode(form).encode(),
        )

    return send


def mandrill(_: datetime, number: int) -> SentWebhook:
    """Return a webhook of Mandrill, which signs the URL and the only field of the form."""
    events = [{"event": "send", "_id": f"m{number}", "ts": 1772366400}]
    text = as_json(events).decode()
    return SentWebhook(
        headers={
            "X-Mandrill-Signature": b64(mac(SECRET, f"{URL}mandrill_events{text}", "sha1")),
            "Content-Type": FORM,
        },
        body=urlencode({"mandrill_events": text}).encode(),
    )


def unisender_go(_: datetime, number: int) -> SentWebhook:
    """Return a webhook of Unisender Go, whose signature covers the body with the API key in it."""
    data = {"job_id": f"j{number}", "status": "sent", "event_time": "2031-05-06 07:08:09"}
    events = [{"event_name": "transactional_email_status", "event_data": data}]
    payload = {"auth": SECRET, "events_by_user": [{"user_id": 1, "events": events}]}
    signature = hashlib.md5(as_json(payload), usedforsecurity=False).hexdigest()
    return SentWebhook(
        headers={"Content-Type": "application/json"}, body=as_json(payload | {"auth": signature})
    )


def plivo(version: str) -> Callable[[datetime, int], SentWebhook]:
    """Return a function that makes Plivo webhooks; they sign URL, nonce and, in version 3, form."""

    def send(_: datetime, number: int) -> SentWebhook:
        nonce = f"{number:020d}"
        form = {"MessageUUID": f"u{number}", "Status": "delivered", "From": "15005550006"}
        text = "".join(field + form[field] for field in sorted(form))
        content = {"V2": URL.partition("?")[0] + nonce, "V3": f"{URL}.{text}.{nonce}"}[version]
        return SentWebhook(
            headers={
                f"X-Plivo-Signature-{version}": b64(mac(SECRET, content)),
                f"X-Plivo-Signature-{version}-Nonce": nonce,
                "Content-Type": FORM,
            },
            body=urlencode(form).encode(),
        )

    return send


def sinch(now: datetime, number: int) -> SentWebhook:
    """Return a Sinch webhook; its signature covers the body, a nonce and the time."""
    body = as_json(
        {
            "type": "recipient_delivery_report_sms",
            "batch_id": f"01BATCH{number}",
            "status": "Delivered",
            "code": 0,
            "at": now.isoformat(),
        }
    )
    nonce, content = f"{number:026d}", body.decode()
    name = "x-sinch-webhook-signature"
    return SentWebhook(
        headers={
            name: b64(mac(SECRET, f"{content}.{nonce}.{stamp(now)}")),
            f"{name}-nonce": nonce,
            f"{name}-timestamp": stamp(now),
        },
        body=body,
    )


def telnyx(now: datetime, number: int) -> SentWebhook:
    """Return a Telnyx webhook; its Ed25519 signature covers the time and the body."""
    event = {
        "record_type": "event",
        "event_type": "message.finalized",
        "id": f"4ee8c3a6-4995-4309-a3c6-{number:012d}",
        "occurred_at": now.isoformat(),
        "payload": {"id": "ac012cbf", "to": [{"status": "delivered"}]},
    }
    body = as_json({"data": event, "meta": {"attempt": 1}})
    return SentWebhook(
        headers={
            "telnyx-signature-ed25519": b64(
                keys.ed25519_key().sign(f"{stamp(now)}|".encode() + body)
            ),
            "telnyx-timestamp": stamp(now),
        },
        body=body,
    )


def messagemedia(now: datetime, number: int) -> SentWebhook:
    """Return a MessageMedia webhook; its signature covers the first line, the date and the body."""
    date = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
    body = as_json(
        {
            "delivery_report_id": f"693e87f2-a553-4281-9ffe-{number:012d}",
            "date_received": "2031-05-06T07:08:09.807Z",
            "status": "delivered",
            "message_id": "389dc1a8",
        }
    )
    path = URL.removeprefix("https://shop.example")
    content = f"POST {path} HTTP/1.1{date}".encode() + body
    return SentWebhook(
        headers={"X-MessageMedia-Signature": keys.rsa_signed(content), "Date": date}, body=body
    )


def mercado_pago(now: datetime, number: int) -> SentWebhook:
    """Return a Mercado Pago webhook; its signature covers the id in the URL, and not the body."""
    id_, request_id = f"13{number:08d}", f"request-{number}"
    content = f"id:{id_};request-id:{request_id};ts:{stamp(now)};"
    signed_bytes = mac(SECRET, content)
    return SentWebhook(
        headers={
            "x-signature": f"ts={stamp(now)},v1={signed_bytes.hex()}",
            "x-request-id": request_id,
        },
        body=as_json(
            {
                "action": "payment.updated",
                "data": {"id": id_},
                "date_created": "2031-05-06T07:08:09Z",
                "type": "payment",
            }
        ),
        url=f"https://shop.example/hooks?data.id={id_}&type=payment",
    )


def vonage(now: datetime, number: int) -> SentWebhook:
    """Return a Vonage webhook; its signature covers every other field, sorted."""
    fields = {
        "messageId": f"0A{number}",
        "msisdn": "447700900000",
        "text": "a=1&b=2",
        "status": "delivered",
        "timestamp": stamp(now),
    }
    content = "".join(
        f"&{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields)
    )
    return SentWebhook(
        headers={}, body=as_json(fields | {"sig": mac(SECRET, content).hex().upper()})
    )


def sendgrid(now: datetime, number: int) -> SentWebhook:
    """Return a SendGrid webhook with a signed batch of two events."""
    events = [
        {"event": kind, "sg_event_id": f"{kind}-{number}", "timestamp": int(stamp(now))}
        for kind in ("delivered", "open")
    ]
    body = as_json(events)
    signed_bytes = keys.curve().sign(stamp(now).encode() + body, ec.ECDSA(hashes.SHA256()))
    begin = "X-Twilio-Email-Event-Webhook"
    return SentWebhook(
        headers={f"{begin}-Signature": b64(signed_bytes), f"{begin}-Timestamp": stamp(now)},
        body=body,
    )


def multipart_form(fields: Mapping[str, str | bytes], boundary: str = "xYzZY") -> bytes:
    """Return a multipart form that has the given fields and a file."""
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + (value.encode() if isinstance(value, str) else value)
        for name, value in fields.items()
    ]
    file = b'Content-Disposition: form-data; name="attachment-1"; filename="a.pdf"\r\n'
    parts.append(file + b"Content-Type: application/pdf\r\n\r\n%PDF-1.7\r\n--x")
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def sendgrid_inbound(now: datetime, number: int) -> SentWebhook:
    """Return a SendGrid webhook with a received email: a signed form with a file."""
    body = multipart_form({"headers": f"Subject: {number}\n", "text": "Hello."})
    signed_bytes = keys.curve().sign(stamp(now).encode() + body, ec.ECDSA(hashes.SHA256()))
    begin = "X-Twilio-Email-Event-Webhook"
    return SentWebhook(
        headers={
            f"{begin}-Signature": b64(signed_bytes),
            f"{begin}-Timestamp": stamp(now),
            "Content-Type": "multipart/form-data; boundary=xYzZY",
        },
        body=body,
    )


def dropbox_sign(now: datetime, number: int) -> SentWebhook:
    """Return a Dropbox Sign webhook; its signature covers only its time and type."""
    kind = "signature_request_signed"
    event = {
        "event_type": kind,
        "event_time": stamp(now),
        "event_hash": mac(SECRET, stamp(now) + kind).hex(),
        "event_metadata": {"related_signature_id": f"s{number}"},
    }
    body = as_json({"event": event, "signature_request": {"signature_request_id": f"r{number}"}})
    return SentWebhook(headers={}, body=multipart_form({"json": body.decode()}))


def mailgun_inbound(now: datetime, number: int) -> SentWebhook:
    """Return a Mailgun webhook with a received message; only time and token are signed."""
    word = f"token{number}"
    signature = mac(SECRET, stamp(now) + word).hex()
    fields = {"timestamp": stamp(now), "token": word, "signature": signature, "subject": "Hi"}
    return SentWebhook(headers={}, body=multipart_form(fields))


def shipengine(now: datetime, number: int) -> SentWebhook:
    """Return a ShipEngine webhook; its signature covers the time and the body."""
    data = {"tracking_number": f"n{number}", "status_code": "IT"}
    body = as_json({"resource_type": "API_TRACK", "resource_url": "", "data": data})
    begin = "X-ShipEngine"
    return SentWebhook(
        headers={
            f"{begin}-Timestamp": iso(now),
            f"{begin}-RSA-SHA256-Key-ID": "key-1",
            f"{begin}-RSA-SHA256-Signature": keys.rsa_signed(f"{iso(now)}.".encode() + body),
        },
        body=body,
    )


def mailgun(now: datetime, number: int) -> SentWebhook:
    """Return a Mailgun webhook; its signature covers only its timestamp and token."""
    word = f"token{number}"
    body = {
        "signature": {
            "timestamp": stamp(now),
            "token": word,
            "signature": mac(SECRET, stamp(now) + word).hex(),
        },
        "event-data": {"event": "delivered", "timestamp": now.timestamp(), "id": "x"},
    }
    return SentWebhook(headers={}, body=as_json(body))


def square(_: datetime, number: int) -> SentWebhook:
    """Return a Square webhook; its signature covers the URL and the body."""
    body = as_json({"event_id": f"e{number}", "type": "payment.updated", "data": {"object": {}}})
    return SentWebhook(
        headers={"x-square-hmacsha256-signature": b64(mac(SECRET, URL.encode() + body))}, body=body
    )


def adyen_item(number: int, **changes: object) -> dict[str, object]:
    """Return one signed item of an Adyen webhook."""
    item: dict[str, Any] = {
        "pspReference": f"79140733813422{number}",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "TestPayment-1",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "success": "true",
        "eventDate": "2031-05-06T07:08:09+02:00",
    }
    content = ":".join(
        (
            item["pspReference"],
            "",
            "TestMerchant",
            "TestPayment-1",
            "1130",
            "EUR",
            "AUTHORISATION",
            "true",
        )
    )
    signature = b64(mac(bytes.fromhex(HEX), content))
    return item | {"additionalData": {"hmacSignature": signature}} | changes


HEX = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


def adyen(_: datetime, number: int) -> SentWebhook:
    """Return an Adyen webhook with two items, each of them signed."""
    items = [{"NotificationRequestItem": adyen_item(10 * number + place)} for place in (1, 2)]
    return SentWebhook(headers={}, body=as_json({"live": "false", "notificationItems": items}))


def braintree(_: datetime, number: int) -> SentWebhook:
    """Return a Braintree webhook: a form with a signed document in Base64."""
    document = (
        f'<notification><kind>subscription_canceled</kind><timestamp type="datetime">'
        f"2031-05-06T07:08:09Z</timestamp><n>{number}</n></notification>"
    )
    payload = b64(document.encode()) + "\n"
    signature = mac(hashlib.sha1(SECRET.encode()).digest(), payload, "sha1").hex()  # noqa: S324 - the vendor's way
    form = {"bt_signature": f"public|{signature}", "bt_payload": payload}
    return SentWebhook(headers={"Content-Type": FORM}, body=urlencode(form).encode())


def paypal(now: datetime, number: int) -> SentWebhook:
    """Return a PayPal webhook; its signature covers a checksum of the body."""
    body = as_json(
        {
            "id": f"WH-{number}",
            "event_type": "PAYMENT.CAPTURE.COMPLETED",
            "create_time": iso(now),
            "resource": {},
        }
    )
    content = f"trans-{number}|{iso(now)}|WEBHOOK|{zlib.crc32(body)}"
    return SentWebhook(
        headers={
            "PAYPAL-TRANSMISSION-ID": f"trans-{number}",
            "PAYPAL-TRANSMISSION-TIME": iso(now),
            "PAYPAL-CERT-URL": CERT_PAYPAL,
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-TRANSMISSION-SIG": keys.rsa_signed(content.encode()),
        },
        body=body,
    )


def sns(version: str, **changes: str) -> Callable[[datetime, int], SentWebhook]:
    """Return a function that makes Amazon SNS messages, which sign some fields, one per line."""

    def send(now: datetime, number: int) -> SentWebhook:
        message = {
            "Type": "Notification",
            "MessageId": f"m-{number}",
            "TopicArn": ARN,
            "Message": "hello",
            "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "SignatureVersion": version,
            "SigningCertURL": CERT_SNS,
        } | changes
        names = (
            "Message",
            "MessageId",
            "Subject",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        )
        content = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        way = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - the vendor's way
        return SentWebhook(
            headers={},
            body=as_json(message | {"Signature": keys.rsa_signed(content.encode(), way)}),
        )

    return send


def discord(now: datetime, number: int) -> SentWebhook:
    """Return a Discord webhook; its Ed25519 signature covers time and body."""
    body = as_json({"id": f"{number}", "type": 2, "data": {"name": "a"}})
    return SentWebhook(
        headers={
            "X-Signature-Ed25519": keys.ed25519_key().sign(stamp(now).encode() + body).hex(),
            "X-Signature-Timestamp": stamp(now),
        },
        body=body,
    )


def hubspot(now: datetime, number: int) -> SentWebhook:
    """Return a HubSpot webhook; its signature covers method, URL, body and time."""
    events = [
        {
            "eventId": number,
            "subscriptionId": place,
            "subscriptionType": "contact.creation",
            "occurredAt": int(millis(now)),
        }
        for place in (1, 2)
    ]
    body = as_json(events)
    signed_bytes = mac(SECRET, b"POST" + URL.encode() + body + millis(now).encode())
    return SentWebhook(
        headers={
            "X-HubSpot-Signature-v3": b64(signed_bytes),
            "X-HubSpot-Request-Timestamp": millis(now),
        },
        body=body,
    )


def linear(now: datetime, number: int) -> SentWebhook:
    """Return a Linear webhook; its signed body contains the time."""
    body = as_json(
        {
            "type": "Issue",
            "action": "create",
            "data": {"n": number},
            "webhookTimestamp": int(millis(now)),
            "createdAt": iso(now),
        }
    )
    return SentWebhook(
        headers={"Linear-Signature": mac(SECRET, body).hex(), "Linear-Delivery": f"d{number}"},
        body=body,
    )


def digest_claims(now: datetime, body: bytes) -> dict[str, object]:
    """Return JWT claims that contain the body's digest."""
    return {"iat": int(stamp(now)), "request_body_sha256": hashlib.sha256(body).hexdigest()}


def plaid(now: datetime, number: int) -> SentWebhook:
    """Return a Plaid webhook; its JWT contains the body's digest."""
    body = as_json({"webhook_type": "ITEM", "webhook_code": "ERROR", "n": number})
    token = keys.token(digest_claims(now, body))
    return SentWebhook(headers={"Plaid-Verification": token}, body=body)


def with_token(
    headers: Mapping[str, str], payload: Callable[[int], object], url: str = URL
) -> Callable[[datetime, int], SentWebhook]:
    """Return a function that makes webhooks with a fixed token in place of a signature."""
    return lambda _, number: SentWebhook(
        headers={**headers}, body=as_json(payload(number)), url=url
    )
