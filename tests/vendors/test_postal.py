"""Postal: fields of a message, answers, refusals, states of recipients, webhooks and mail."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.contracts.email import Attachment
from moorage.contracts.email_outcomes import EmailStatus
from moorage.domain.http.requests import Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from moorage.testing.sandboxes.base import Lost, reply
from moorage.testing.sandboxes.email.postal import PostalSandbox
from moorage.vendors.email.postal import Postal, mail_body
from tests.vendors.email_hubs import hub, mail
from tests.vendors.subjects.postal import postal_hub

if TYPE_CHECKING:
    from collections.abc import Mapping

URL: Final = "https://erp.example/hooks/postal"
ADA: Final = "ada@example.com"
MESSAGE_ID: Final = "c462ad36-be49-469c-b7b2-dfd317eb40fa@rp.postal.example.com"
MIME: Final = (
    b"From: Ada <ada@example.com>\r\nTo: orders@shop.example\r\nSubject: Order\r\n"
    b"Message-ID: <m1@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nTwo, please."
)
KINDS: Final = [
    ("MessageSent", EmailStatus.DELIVERED, None, "email.delivered"),
    ("MessageDelayed", EmailStatus.DEFERRED, False, "email.deferred"),
    ("MessageDeliveryFailed", EmailStatus.BOUNCED, True, "email.bounced"),
    ("MessageHeld", EmailStatus.QUEUED, None, "email.queued"),
    ("MessageBounced", EmailStatus.BOUNCED, None, "email.bounced"),
    ("MessageLinkClicked", EmailStatus.CLICKED, None, "email.clicked"),
    ("MessageLoaded", EmailStatus.OPENED, None, "email.opened"),
    ("MessageTeleported", EmailStatus.UNKNOWN, None, "MessageTeleported"),
]
"""The events of Postal's webhooks about messages, and one that it does not have."""
NAMES: Final = {
    "/api/v1/send/message": {
        "request": "attachments bcc bounce cc content_type data from headers html_body name"
        " plain_body reply_to sender subject tag to",
        "answer": "data flags id message_id messages status time token",
    },
    "/api/v1/messages/message": {
        "request": "id _expansions",
        "answer": "activity_entries attachments bounce bounce_for_id data details direction flags"
        " headers held hold_expiry html_body id inspection last_delivery_attempt mail_from"
        " message_id plain_body raw_message rcpt_to received_with_ssl size status subject tag time"
        " timestamp token",
    },
    "/api/v1/messages/deliveries": {
        "request": "id",
        "answer": "data details flags id log_id output sent_with_ssl status time timestamp",
    },
}
"""The names of requests and answers in the controllers of Postal's API, 8ef8960 (MIT)."""


def body_of(message: Any, **options: Any) -> dict[str, Any]:
    """Return the body of the request that sends a message to Postal."""
    return mail_body(Postal(base_url="https://postal.example.com", **options), message)


def event_fields(kind: str, **payload: Any) -> dict[str, Any]:
    """Return a webhook with the fields that Postal's code gives it."""
    name = "original_message" if kind == "MessageBounced" else "message"
    message = {
        "id": 1563,
        "token": "zw6psSlgo6ki",
        "direction": "outgoing",
        "message_id": MESSAGE_ID,
        "to": ADA,
        "from": "shop@example.com",
        "subject": "Hi",
        "timestamp": 1606752104.699201,
        "spam_status": "NotChecked",
        "tag": None,
        **payload.pop("message", {}),
    }
    return {
        "event": kind,
        "timestamp": 1606753101.5,
        "payload": {name: message, **payload},
        "uuid": "58e8d7ee-2cd5-4db2-9af3-3f436105795a",
    }


def events_of(fields: Mapping[str, Any]) -> Any:
    """Return the events of a signed webhook."""
    sandbox, mail_hub = postal_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.public_key)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, fields).arguments())
    return mail_hub.events("mail", webhook)


def names_in(value: object, skipped: frozenset[str] = frozenset()) -> set[str]:
    """Return the names of all fields in a JSON value, without those in the skipped fields."""
    if isinstance(value, list):
        return {name for item in value for name in names_in(item, skipped)}
    if not isinstance(value, dict):
        return set()
    inner = [names_in(item, skipped) for name, item in value.items() if name not in skipped]
    return set(value).union(*inner)


def test_fields_of_a_message() -> None:
    """Each field of an email has its place in the message for Postal."""
    body = body_of(
        mail(
            to=["Ada <ada@example.com>", "bob@example.com"],
            cc="Zoë <zoe@example.com>",
            bcc="dan@example.com",
            reply_to=["B <b@example.com>", "c@example.com"],
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[Attachment(filename="a.txt", content=b"a", content_type="text/plain")],
            tags=["invoice"],
            extra={"postal": {"sender": "office@example.com"}, "smtp": {"x": 1}},
        )
    )

    assert {
        "from": "Shop <shop@example.com>",
        "to": ["Ada <ada@example.com>", "bob@example.com"],
        "cc": ["=?utf-8?q?Zo=C3=AB?= <zoe@example.com>"],
        "bcc": ["dan@example.com"],
        "reply_to": "B <b@example.com>, c@example.com",
        "subject": "Hi",
        "plain_body": "Hello.",
        "html_body": "<p>",
        "tag": "invoice",
        "headers": {"X-Kunde": "=?utf-8?b?w7w=?="},
        "attachments": [{"name": "a.txt", "content_type": "text/plain", "data": "YQ=="}],
        "sender": "office@example.com",
    } == body


@pytest.mark.parametrize("text, html", [(None, None), (" \n", None), (" ", "\t")])
def test_message_without_texts_has_html_that_shows_nothing(
    text: str | None, html: str | None
) -> None:
    """Postal refuses blank texts, so a message that has only a file gets an empty paragraph."""
    file = Attachment(filename="a.txt", content=b"a")
    body = body_of(mail(text=text, html=html, attachments=[file]))

    assert "<p></p>" == body["html_body"]
    assert "html_body" not in body_of(mail(attachments=[file]))


def test_message_needs_a_sender() -> None:
    """The account's sender is used if the message has none; without either, it is refused."""
    assert "shop@acme.example" == body_of(mail(from_=None), sender="shop@acme.example")["from"]
    with pytest.raises(ConfigurationError):
        body_of(mail(from_=None))


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"tags": ["a", "b"]}, "tags"),
        ({"attachments": [Attachment(filename="a.txt", content=b"")]}, "attachments"),
        ({"attachments": [Attachment(filename="a.txt", content=b" \r\n")]}, "attachments"),
    ],
)
def test_second_tag_and_empty_file_are_refused_before_sending(
    changes: dict[str, Any], field: str
) -> None:
    """A second tag and an empty file are refused before anything is sent."""
    with pytest.raises(InvalidData) as excinfo:
        body_of(mail(**changes))

    assert field == excinfo.value.field


def test_receipt_has_the_ids_of_all_recipients() -> None:
    """The reference is the Message-ID, and has Postal's id for each recipient."""
    sandbox, mail_hub = postal_hub()
    receipt = mail_hub.email().send_transactional(
        mail(to="Ada <ADA@example.com>", cc="bob@example.com", bcc="eve@example.com")
    )
    [delivered] = sandbox.delivered

    assert (delivered.id, {"message": "2,3,4"}) == (receipt.ref.id, dict(receipt.ref.related))
    assert EmailStatus.QUEUED is receipt.status
    assert ["ADA@example.com", "bob@example.com", "eve@example.com"] == [
        outcome.email for outcome in receipt.recipients
    ]
    assert sandbox.api_key == sandbox.requests[0].headers["x-server-api-key"]
    assert "success" == receipt.raw["status"]


@pytest.mark.parametrize(
    "data",
    [
        {"message_id": "m", "messages": {}},
        {"message_id": "m", "messages": {ADA: {"id": 1}}},
        {"message_id": "m", "messages": {ADA: {"id": 1}, "bob@example.com": {"token": "t"}}},
        {"messages": {ADA: {"id": 1}, "bob@example.com": {"id": 2}}},
    ],
)
def test_receipt_without_recipient_ids_leaves_the_outcome_unknown(data: dict[str, Any]) -> None:
    """A response without the id of each recipient leaves the outcome unknown."""
    sandbox, mail_hub = postal_hub()
    sandbox.fail(reply({"status": "success", "data": data}))
    with pytest.raises(OutcomeUnknown):
        mail_hub.email().send_transactional(mail(cc="bob@example.com"), idempotency_key="k")


@pytest.mark.parametrize(
    "status, code, error",
    [
        ("error", "AccessDenied", AuthenticationFailed),
        ("error", "InvalidServerAPIKey", AuthenticationFailed),
        ("error", "ServerSuspended", VendorRejected),
        ("error", "UnauthenticatedFromAddress", VendorRejected),
        ("error", "NoRecipients", InvalidRequest),
        ("error", "NoContent", InvalidRequest),
        ("error", "TooManyToAddresses", InvalidRequest),
        ("error", "TooManyCCAddresses", InvalidRequest),
        ("error", "TooManyBCCAddresses", InvalidRequest),
        ("error", "FromAddressMissing", InvalidRequest),
        ("error", "AttachmentMissingName", InvalidRequest),
        ("error", "AttachmentMissingData", InvalidRequest),
        ("error", "Odd", VendorRejected),
        ("parameter-error", None, InvalidRequest),
    ],
)
def test_refusal_has_status_200_and_the_code_of_postal(
    status: str, code: str | None, error: type[Exception]
) -> None:
    """A refusal has the HTTP status 200, and Postal's code and sentence."""
    sandbox, mail_hub = postal_hub()
    data = {"message": "It is not possible.", **({"code": code} if code else {})}
    sandbox.fail(*[reply({"status": status, "data": data})] * 8)
    with pytest.raises(error, match="Postal") as excinfo:
        mail_hub.email().send_transactional(mail(), idempotency_key="k")

    assert error is type(excinfo.value)
    assert error is AuthenticationFailed or "It is not possible." in str(excinfo.value)
    assert (code or "parameter-error") == getattr(excinfo.value, "vendor_code", None)


def test_refused_key_is_not_shown() -> None:
    """Postal repeats a key that it refuses, and the error does not show it."""
    sandbox = PostalSandbox()
    vendor = Postal(base_url=sandbox.base_url, credentials="secretOfAnother")
    mail_hub = hub(vendor, sandbox)
    with pytest.raises(AuthenticationFailed) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert "secretOfAnother" not in f"{excinfo.value!r} {excinfo.value}"


def test_failure_is_an_unknown_outcome() -> None:
    """A failure of Postal, or an unreadable response, leaves the outcome unknown."""
    sandbox, mail_hub = postal_hub()
    failure = {"status": "error", "data": {"code": "NoContent"}}
    responses = (reply(failure, 500), reply({"status": "ok"}), Response(200))
    for number, response in enumerate(responses):
        sandbox.fail(response)
        with pytest.raises(OutcomeUnknown):
            mail_hub.email().send_transactional(mail(), idempotency_key=f"k{number}")

    assert 3 == len(sandbox.requests)


@pytest.mark.parametrize(
    "word, status",
    [
        ("Pending", EmailStatus.QUEUED),
        ("Held", EmailStatus.QUEUED),
        ("Sent", EmailStatus.DELIVERED),
        ("SoftFail", EmailStatus.DEFERRED),
        ("HardFail", EmailStatus.BOUNCED),
        ("Bounced", EmailStatus.BOUNCED),
        ("HoldCancelled", EmailStatus.CANCELED),
        ("Odd", EmailStatus.UNKNOWN),
    ],
)
def test_states_of_a_message(word: str, status: EmailStatus) -> None:
    """Each Postal state becomes a status; a lookup is repeated after a lost response."""
    sandbox, mail_hub = postal_hub()
    sandbox.states[ADA] = word
    receipt = mail_hub.email().send_transactional(mail())
    sandbox.fail(Lost())
    looked_up = mail_hub.email().get(str(receipt.ref))

    assert (status, word) == (looked_up.status, looked_up.vendor_status)
    assert [(ADA, status)] == [(item.email, item.status) for item in looked_up.recipients]
    assert receipt.ref == looked_up.ref
    assert looked_up.raw["details"]["rcpt_to"] == ADA


def test_states_of_the_recipients() -> None:
    """Each recipient of a message is looked up, with the reason of a failure."""
    sandbox, mail_hub = postal_hub()
    receipt = mail_hub.email().send_transactional(mail(cc="bob@example.com", bcc="eve@example.com"))
    sandbox.states = {ADA: "Sent", "bob@example.com": "HardFail", "eve@example.com": "HardFail"}
    sandbox.deliveries = {
        ADA: [{"status": "Sent", "output": "250 OK"}],
        "bob@example.com": [
            {"status": "SoftFail", "output": "451 later"},
            {"status": "HardFail", "output": "550 5.1.1 No user bob@example.com", "details": "No"},
        ],
        "eve@example.com": [{"status": "HardFail", "output": "", "details": "Likely spam."}],
    }
    looked_up = mail_hub.email().get(receipt.ref)

    assert (EmailStatus.SENT, "Sent", 3) == (
        looked_up.status,
        looked_up.vendor_status,
        len(looked_up.raw),
    )
    ada, bob, eve = looked_up.recipients
    assert (EmailStatus.DELIVERED, None) == (ada.status, ada.reason)
    assert (bob.reason or "").startswith("550 5.1.1 No user")
    assert "bob@" not in (bob.reason or "bob@")
    assert "Likely spam." == eve.reason
    sandbox.states[ADA] = "SoftFail"
    assert EmailStatus.DEFERRED is mail_hub.email().get(receipt.ref).status


@pytest.mark.parametrize("id_", [MESSAGE_ID, "7b82aac4@a", "0", "1.5", "x", "1, 2"])
def test_reference_without_ids(id_: str) -> None:
    """A reference without Postal's ids is refused, as it could mean another message."""
    sandbox, mail_hub = postal_hub()
    for operation in (mail_hub.email().get, mail_hub.email().get_received):
        with pytest.raises(InvalidData):
            operation(f"postal:mail:{id_}")

    assert not sandbox.requests


def test_unknown_message_is_refused() -> None:
    """Looking up a message that Postal does not know raises VendorRejected."""
    _, mail_hub = postal_hub()
    with pytest.raises(VendorRejected, match="No message found") as excinfo:
        mail_hub.email().get("postal:mail:77")

    assert "MessageNotFound" == excinfo.value.vendor_code


@pytest.mark.parametrize("kind, status, permanent, type_", KINDS)
def test_kind_of_an_event_becomes_a_status(
    *, kind: str, status: EmailStatus, permanent: bool | None, type_: str
) -> None:
    """Each Postal event type gives a webhook its type, and the webhook's event a status."""
    sandbox, mail_hub = postal_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.public_key)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, event_fields(kind)).arguments())
    [event] = mail_hub.events("mail", webhook)

    assert (status, kind, permanent) == (event.status, event.vendor_status, event.permanent)
    assert (type_, "58e8d7ee-2cd5-4db2-9af3-3f436105795a") == (webhook.type, event.id)
    assert datetime(2020, 11, 30, 16, 18, 21, 500_000, UTC) == webhook.time == event.at
    assert (MESSAGE_ID, {"message": "1563"}) == (event.ref.id, dict(event.ref.related))
    assert not webhook.is_forgeable


def test_event_has_all_fields() -> None:
    """An event has its recipient, reason, link, program and tag."""
    fields = event_fields(
        "MessageLinkClicked",
        message={"tag": "invoice", "to": "Ada <ada@example.com>"},
        url="https://a.example/",
        user_agent="Mozilla/5.0",
        details="Temporary failure",
        output="451 4.7.1 later",
    )
    [event] = events_of(fields)

    assert (ADA, ("invoice",), "451 4.7.1 later") == (event.email, event.tags, event.reason)
    assert ("https://a.example/", "Mozilla/5.0") == (event.url, event.user_agent)
    assert fields == event.raw
    [event] = events_of(event_fields("MessageHeld", details="It is held.", output=""))
    assert ("It is held.", ()) == (event.reason, event.tags)


@pytest.mark.parametrize(
    "fields",
    [
        event_fields("MessageDeliveryFailed", message={"direction": "incoming"}),
        event_fields("MessageSent", message={"message_id": None}),
        event_fields("MessageSent", message={"id": None}),
        {"event": "DomainDNSError", "uuid": "u", "payload": {"domain": "a.example"}},
        {"event": "SendLimitExceeded", "uuid": "u", "payload": {}},
        {"rcpt_to": ADA},
    ],
)
def test_other_webhooks_give_no_events(fields: dict[str, Any]) -> None:
    """A webhook that is not about a message you sent or received gives no event."""
    assert () == events_of({"uuid": "u", **fields})


@pytest.mark.parametrize("payload", [[], None, "x", {"payload": []}])
def test_unreadable_webhooks_give_no_events(payload: object) -> None:
    """A payload of another form gives no event."""
    webhook = WebhookEvent(vendor="postal", id="e", type="x", vendor_type="x", payload=payload)

    assert () == postal_hub()[1].events("mail", webhook)


def test_webhooks_are_signed() -> None:
    """A webhook with another key or body, or with only the older signature, is refused."""
    sandbox, mail_hub = postal_hub()
    arguments = sandbox.event_notice(URL, event_fields("MessageSent")).arguments()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.public_key)
    older_headers = {
        name: value for name, value in arguments["headers"].items() if not name.endswith("-256")
    }
    changed_signature = {"X-Postal-Signature-256": arguments["headers"]["X-Postal-Signature"]}
    forgeries: list[dict[str, Any]] = [
        {"body": arguments["body"].replace(b"MessageSent", b"MessageHeld")},
        {"headers": older_headers},
        {"headers": {**older_headers, **changed_signature}},
        {"headers": {}},
    ]
    for changes in forgeries:
        with pytest.raises(WebhookRejected):
            verifier.verify(**{**arguments, **changes})

    assert ["email.delivered"] == [webhook.type for webhook in verifier.verify(**arguments)]


def test_received_message_is_read_from_its_mime_text() -> None:
    """A received message is read from its MIME text, with the envelope."""
    sandbox = PostalSandbox()
    fields = sandbox.receive(MIME, "orders@shop.example", "bounces@example.com")
    [message] = events_of(fields)

    assert (ADA, "Order", "Two, please.") == (
        message.from_ and message.from_.email,
        message.subject,
        message.text,
    )
    assert ("bounces@example.com", ("orders@shop.example",)) == (
        message.envelope_sender,
        message.envelope_recipients,
    )
    assert ("1", "1", "m1@example.com") == (message.id, message.ref.id, message.message_id)
    assert (True, False, False) == (
        message.is_complete,
        message.is_forgeable,
        message.is_authentic,
    )


def test_received_webhook_has_a_type() -> None:
    """A webhook about a received message has the type `email.received`."""
    sandbox, mail_hub = postal_hub()
    fields = sandbox.receive(MIME, "orders@shop.example", "")
    verifier = mail_hub.webhooks("mail", secrets=sandbox.public_key)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, fields).arguments())
    [message] = mail_hub.events("mail", webhook)

    assert ("email.received", "1", "") == (webhook.type, webhook.id, message.envelope_sender)


def test_received_message_in_fields_is_incomplete() -> None:
    """A received message in Postal's format of separate fields is incomplete until a look-up."""
    sandbox, mail_hub = postal_hub()
    stored_fields = sandbox.receive(MIME, "orders@shop.example", ADA)
    fields = {
        **{name: stored_fields[name] for name in ("id", "rcpt_to", "mail_from", "size")},
        "token": "t",
        "subject": "Order",
        "message_id": "m1@example.com",
        "timestamp": 1772366400.25,
        "to": "orders@shop.example",
        "cc": "office@shop.example",
        "from": "Ada <ada@example.com>",
        "date": "Sun, 01 Mar 2026 12:00:00 +0000",
        "in_reply_to": "<m0@example.com>",
        "references": "<m0@example.com>",
        "auto_submitted": "auto-replied",
        "plain_body": "Two, please.",
        "html_body": "<p>Two",
        "attachment_quantity": 0,
    }
    verifier = mail_hub.webhooks("mail", secrets=sandbox.public_key)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, fields).arguments())
    [message] = mail_hub.events("mail", webhook)

    assert ("Order", "Two, please.", "<p>Two") == (message.subject, message.text, message.html)
    assert ([ADA], ["orders@shop.example"], ["office@shop.example"]) == (
        [message.from_.email],
        [address.email for address in message.to],
        [address.email for address in message.cc],
    )
    assert ("m1@example.com", "m0@example.com", ("m0@example.com",)) == (
        message.message_id,
        message.in_reply_to,
        message.references,
    )
    assert (False, True) == (message.is_complete, message.is_automatic)
    assert ("date", "Sun, 01 Mar 2026 12:00:00 +0000") in message.headers
    assert datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC) == message.at
    whole_message = mail_hub.email().get_received(message.ref)
    assert ("Order", "Two, please.", True, message.at) == (
        whole_message.subject,
        whole_message.text,
        whole_message.is_complete,
        whole_message.at,
    )
    assert ("ada@example.com", ("orders@shop.example",), message.ref) == (
        whole_message.envelope_sender,
        whole_message.envelope_recipients,
        whole_message.ref,
    )


@pytest.mark.parametrize("content", [None, 7, "a"])
def test_stored_message_without_content(content: object) -> None:
    """A response without the stored message is an error of the vendor."""
    sandbox, mail_hub = postal_hub()
    data = {"id": 1, "details": {}, "raw_message": content}
    sandbox.fail(*[reply({"status": "success", "data": data})] * 8)
    with pytest.raises(VendorFailed):
        mail_hub.email().get_received("postal:mail:1")


def test_broken_content_is_read_as_fields() -> None:
    """A webhook whose message is not Base64 gives an incomplete message instead of none."""
    [message] = events_of({"id": 5, "rcpt_to": "orders@shop.example", "message": "a"})

    assert (False, "5") == (message.is_complete, message.ref.id)


def test_names_are_those_of_postals_controllers() -> None:
    """Each field name in a request or in the sandbox's answer is in Postal's own code."""
    seen: set[str] = set()
    for exchange in recorded_exchanges("postal"):
        names = NAMES[exchange.request.path]
        seen.add(exchange.request.path)
        body, answer = json.loads(as_bytes(exchange.request)), exchange.response.json()

        assert names_in(body, frozenset({"headers"})) <= set(names["request"].split())
        recipients = set(answer["data"].get("messages", {})) if "send" in exchange.url else set()
        assert names_in(answer) - recipients <= set(names["answer"].split())

    assert set(NAMES) == seen


def test_public_key_is_that_of_the_domain_record() -> None:
    """The key is accepted as the base64 in Postal's domain record, and in PEM."""
    sandbox, mail_hub = postal_hub()
    text = sandbox.public_key
    pem = f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"
    for key in (text, pem):
        fields = {**event_fields("MessageSent"), "uuid": key[:10]}
        arguments = sandbox.event_notice(URL, fields).arguments()
        assert mail_hub.webhooks("mail", secrets=key).verify(**arguments)
    with pytest.raises(ConfigurationError):
        mail_hub.webhooks("mail", secrets=b64encode(b"another").decode())
