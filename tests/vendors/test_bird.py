"""Bird: requests, responses and errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    Response,
    Timeouts,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.sms import (
    LineType,
    NumberCheck,
    Price,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.sms.bird import BirdSandbox
from moorage.vendors.sms.bird import Bird, classify
from tests.support.openapi import problems
from tests.vendors.sms_subjects import Refs
from tests.vendors.subjects.bird import bird_error

TO = "+4915112345678"
VENDOR = Bird(region="eu1", sender="Acme")
REFS: Any = Refs("bird")
SEND = Request.post("/v1/sms/messages", json={})
DESCRIPTION = {
    "paths": {
        "/v1/sms/messages": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["to"],
                                "properties": {
                                    "to": {"type": "string"},
                                    "from": {"type": "string"},
                                    "text": {"type": "string"},
                                    "category": {
                                        "type": "string",
                                        "enum": [
                                            "transactional",
                                            "marketing",
                                            "authentication",
                                            "service",
                                        ],
                                    },
                                    "tags": {"type": "array", "items": {"type": "object"}},
                                    "metadata": {"type": "object"},
                                    "options": {
                                        "type": "object",
                                        "properties": {"smart_encoding": {"type": "boolean"}},
                                    },
                                    "template": {"type": "object"},
                                },
                            }
                        }
                    }
                }
            }
        }
    }
}
"""The fields of a message, as the models of Bird's own libraries describe them."""


def message_body(vendor: Bird, message: SmsMessage) -> Any:
    """Return the JSON body of the request that sends a message through Bird."""
    content: Any = Bird.send.request(vendor, message).body
    return json.loads(content)


def read_message(refs: Any, response: Response) -> SmsReceipt:
    """Return the receipt that the vendor reads from a Bird response."""
    return Bird.get.read(refs.ref, response)


def read_number(response: Response) -> NumberCheck:
    """Return the number look-up that the vendor reads from a Bird response."""
    return Bird.validate_number.read(REFS.ref, response)


def body(**fields: Any) -> dict[str, Any]:
    """Return the JSON body that Bird gets for a message with the given fields."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    message: dict[str, Any] = message_body(VENDOR, SmsMessage(**options))
    return message


def hub(sandbox: BirdSandbox, **settings: Any) -> Hub:
    """Return a hub with one account at Bird."""
    vendor = Bird(region=sandbox.region, credentials=sandbox.api_key, sender="Acme")
    account = Account("texts", vendor, settings={"retry": None} | settings)
    return Hub([account], http=SandboxHttpClient(sandbox))


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {"from": "Acme", "text": "Hello", "category": "transactional"}),
        ({"sender": "+15005550006"}, {"from": "+15005550006"}),
        ({"reference": "INV-1"}, {"metadata": {"reference": "INV-1"}}),
        (
            {
                "reference": "INV-1",
                "extra": {"bird": {"metadata": {"a": 1}, "category": "marketing"}},
            },
            {"metadata": {"reference": "INV-1", "a": 1}, "category": "marketing"},
        ),
        (
            {"extra": {"bird": {"options": {"smart_encoding": True}}}},
            {"options": {"smart_encoding": True}},
        ),
    ],
    ids=["plain", "sender", "reference", "options", "smart"],
)
def test_body_of_a_message(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """A message is sent with Bird's field names, and extra options are applied last."""
    common_fields = {"to": TO, "from": "Acme", "text": "Hello", "category": "transactional"}

    assert common_fields | expected == body(**fields)
    assert [] == problems(DESCRIPTION, "post", "/v1/sms/messages", body(**fields))


def test_stored_template_of_bird_is_option() -> None:
    """A Bird template is sent by an extra option; an option set to None removes a field."""
    without = dict.fromkeys(("from", "text", "category"))
    template = {"slug": "bird_otp_verification", "parameters": {"code": "1234"}}
    sent_body = body(extra={"bird": {"template": template, **without}})
    sandbox = BirdSandbox()
    message = SmsMessage(to=TO, text="-", extra={"bird": {"template": template, **without}})

    assert {"to": TO, "template": template} == sent_body
    assert SmsStatus.QUEUED is hub(sandbox).sms().send(message).status


def test_sender_is_required() -> None:
    """A message without a sender is refused for Bird."""
    with pytest.raises(InvalidData, match="Bird requires a sender"):
        message_body(attrs.evolve(VENDOR, sender=None), SmsMessage(to=TO, text="Hello"))


@pytest.mark.parametrize(
    "table, fields",
    [
        ({"status": "accepted"}, {"status": SmsStatus.QUEUED, "price": None}),
        ({"status": "expired"}, {"status": SmsStatus.EXPIRED}),
        ({"status": "canceled"}, {"status": SmsStatus.CANCELED}),
        ({"status": "new"}, {"status": SmsStatus.UNKNOWN, "vendor_status": "new"}),
        ({}, {"status": SmsStatus.UNKNOWN, "vendor_status": None}),
        (
            {"status": "failed", "last_error": {"code": "unreachable", "description": "Off"}},
            {"status": SmsStatus.FAILED, "error_code": "unreachable", "error_message": "Off"},
        ),
        (
            {
                "status": "sent",
                "segments": {"count": 2},
                "cost": {"amount": "0.00990", "currency_code": "USD"},
            },
            {"price": Price(Decimal("0.00990"), "USD"), "segments": 2},
        ),
        ({"status": "sent", "cost": [], "segments": "2", "last_error": "no"}, {"price": None}),
    ],
)
def test_fields_of_a_read_message(table: dict[str, Any], fields: dict[str, Any]) -> None:
    """The fields of a Bird message are read, and unknown statuses are kept."""
    receipt = read_message(REFS, reply({"id": "sms_1"} | table, 202))

    assert fields == {name: getattr(receipt, name) for name in fields}
    assert {"id": "sms_1"} | table == receipt.raw


def test_success_without_an_id_is_malformed() -> None:
    """A success of Bird without a message id is a malformed response."""
    with pytest.raises(VendorFailed, match="no id"):
        read_message(REFS, reply({"status": "accepted"}, 202))


@pytest.mark.parametrize(
    "kind, line",
    [
        ("mobile", LineType.MOBILE),
        ("fixed_line", LineType.LANDLINE),
        ("voip", LineType.VOIP),
        ("m2m", LineType.OTHER),
        ("unknown", LineType.UNKNOWN),
        ("quantum", LineType.UNKNOWN),
        (None, LineType.UNKNOWN),
    ],
)
def test_fields_of_a_number(kind: str | None, line: LineType) -> None:
    """The fields of a Bird number look-up are read; a new line type becomes UNKNOWN."""
    fields = {"phone_number": TO, "country_code": "DE", "line_type": kind}
    result = read_number(reply(fields | {"network_info": {"carrier_name": "Telekom"}}))

    assert (line, TO, "DE", "Telekom") == (
        result.line,
        result.number,
        result.country,
        result.carrier,
    )
    assert read_number(reply(fields)).carrier is None
    with pytest.raises(VendorFailed, match="phone_number"):
        read_number(reply({}))


def test_number_that_bird_refuses_is_invalid() -> None:
    """A number that Bird refuses is reported as invalid; other error responses raise errors."""
    sandbox = BirdSandbox()
    sms = hub(sandbox).sms()
    result = sms.validate_number("+15005550001")

    assert (False, None) == (result.valid, result.number)
    assert ("Request validation failed.",) == result.reasons
    error_details = {"type": "validation_error", "param": "phone_number"}
    sandbox.fail(reply({"error": error_details}, 422))
    assert ("validation_error",) == sms.validate_number(TO).reasons
    for answer in (
        reply({"error": {"type": "validation_error"}}, 422),
        Response(400, body=b"<html></html>"),
        Response(422, body=b"[]"),
    ):
        sandbox.fail(answer)
        with pytest.raises(InvalidRequest):
            sms.validate_number(TO)


def test_number_is_looked_up_in_international_form() -> None:
    """A look-up of a national number is refused before anything is sent to Bird."""
    sandbox = BirdSandbox()
    sms = hub(sandbox).sms()

    assert TO == sms.validate_number(TO, country="DE").number
    with pytest.raises(InvalidData, match="international"):
        sms.validate_number("015112345678", country="DE")
    assert 1 == len(sandbox.requests)


@pytest.mark.parametrize(
    "status, kind, code, expected",
    [
        (400, "bad_request_error", "E01002", InvalidRequest),
        (401, "auth_error", "E1", AuthenticationFailed),
        (402, "billing_error", "E1", VendorRejected),
        (403, "permission_error", "E1", AuthenticationFailed),
        (404, "not_found_error", "E1", VendorRejected),
        (409, "conflict_error", "E01004", IdempotencyInProgress),
        (409, "conflict_error", "E01005", IdempotencyConflict),
        (409, "conflict_error", "E01028", VendorRejected),
        (413, "payload_too_large_error", "E1", InvalidRequest),
        (421, "misdirected_error", "E01010", VendorRejected),
        (422, "validation_error", "E01001", InvalidRequest),
        (425, "too_early_error", "E1", VendorFailed),
        (429, "rate_limit_error", "E1", RateLimitExceeded),
        (400, "rate_limit_error", "E1", RateLimitExceeded),
        (401, "new_error", "E1", AuthenticationFailed),
        (429, "new_error", "E1", RateLimitExceeded),
        (499, "new_error", "E1", VendorRejected),
        (202, "auth_error", "E1", None),
        (500, "internal_error", "E1", None),
    ],
)
def test_error_types_come_before_the_status(
    status: int, kind: str, code: str, expected: type[ConnectorError] | None
) -> None:
    """A Bird error's class follows from its type first, and the phone number in it is masked."""
    error: Any = classify(SEND, bird_error(status, kind, code))

    assert expected == (None if error is None else type(error))
    assert "447700900000" not in f"{error}{error!r}"
    if error is not None and not code.startswith(("E01004", "E01005")):
        assert (code, status) == (error.vendor_code, error.status)
        assert "(number) is refused" == error.vendor_message


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"[]", b'{"error": "no"}', b"{}"])
def test_other_errors_are_classified_by_status(body: bytes) -> None:
    """A Bird error without a type is classified by its status."""
    assert classify(SEND, Response(400, body=body)) is None


@pytest.mark.parametrize("region", ["", "eu", "EU1", "eu1.evil.example/", None, 1])
def test_invalid_region_is_refused(region: Any) -> None:
    """An invalid region of Bird is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        Bird(region=region)

    assert "region" == excinfo.value.path


@pytest.mark.parametrize("category", ["", "news", None])
def test_unknown_category_is_refused(category: Any) -> None:
    """A category that Bird does not have is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="category") as excinfo:
        Bird(region="eu1", category=category)

    assert "category" == excinfo.value.path


@pytest.mark.parametrize("category", ["transactional", "marketing", "authentication", "service"])
def test_category_of_an_account_is_sent(category: str) -> None:
    """Each of Bird's categories may be set for an account, and is sent with its messages."""
    vendor = Bird(region="eu1", sender="Acme", category=category)

    assert category == message_body(vendor, SmsMessage(to="+4915112345678", text="Hi"))["category"]


def test_region_decides_the_url() -> None:
    """The region decides Bird's URL, and an account without a key uses the credential provider."""
    service = VENDOR.services()[""]

    assert ("https://eu1.platform.bird.com", True) == (service.base_url, service.needs_credentials)


def test_lost_answer_is_retried_with_its_key() -> None:
    """If Bird's response to a message is lost, a retry with its key sends no second message."""
    sandbox = BirdSandbox()
    sms = hub(sandbox).sms()
    sandbox.fail(Lost())
    with pytest.raises(ConnectorError, match="lost"):
        sms.send(SmsMessage(to=TO, text="Hi"), idempotency_key="k-1")
    receipt = sms.send(SmsMessage(to=TO, text="Hi"), idempotency_key="k-1")

    assert [receipt.ref.id] == [*sandbox.messages]
    assert ["k-1", "k-1"] == [
        request.headers.get("idempotency-key") for request in sandbox.requests
    ]


def test_sandbox_repeats_responses_and_refusals_by_key() -> None:
    """The Bird sandbox repeats a key's response or error, and refuses other requests with it."""
    sandbox = BirdSandbox()
    client = SandboxHttpClient(sandbox)

    def send_message(key: str, to: str) -> Response:
        message = {"to": to, "from": "Acme", "text": "Hi", "category": "service"}
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "Idempotency-Key": key}
        request = Request.post("/v1/sms/messages", json=message, headers=headers)
        return client.send(request, "https://eu1.platform.bird.com/v1/sms/messages", Timeouts())

    first, repeat, other_response = (
        send_message("k", TO),
        send_message("k", TO),
        send_message("k", "+4915112345679"),
    )
    assert (202, 202, 409) == (first.status, repeat.status, other_response.status)
    assert first.body == repeat.body
    assert (None, "true") == tuple(
        item.headers.get("idempotency-replay") for item in (first, repeat)
    )
    assert [402, 402] == [send_message("m", "+15005550002").status for _ in range(2)]
    assert 400 == send_message("k" * 256, TO).status


def test_message_is_looked_up() -> None:
    """The state and cost of a Bird message can be looked up."""
    sandbox = BirdSandbox()
    sms = hub(sandbox).sms()
    receipt = sms.send(SmsMessage(to=TO, text="д" * 71))
    sandbox.report(receipt.ref.id, "undelivered", error_code="unreachable")
    result = sms.get(receipt.ref)

    assert (SmsStatus.UNDELIVERED, "unreachable", 2) == (
        result.status,
        result.error_code,
        result.segments,
    )
    assert Price(Decimal("0.00990"), "USD") == result.price
    with pytest.raises(VendorRejected):
        sms.get(Ref("bird", "texts", "../webhooks"))
    with pytest.raises(UnsupportedByVendor):
        sms.send(SmsMessage(to=TO, text="Hi", callback_url="https://a.example"))


def test_incoming_message_has_its_sender_text_and_time() -> None:
    """An incoming Bird message has its sender, text and time."""
    sandbox = BirdSandbox()
    own_hub = hub(sandbox)
    now = datetime.now(UTC).replace(microsecond=0)
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_secret)
    webhook = verifier.verify(**sandbox.receive(TO, "Yes & no", at=now).arguments())[0]
    event = own_hub.events("texts", webhook)[0]

    assert (SmsStatus.RECEIVED, TO, "Yes & no", now) == (
        event.status,
        event.sender,
        event.text,
        event.at,
    )


def test_event_of_failed_bird_message_has_its_code_and_no_sender() -> None:
    """The event of a failed Bird message has its error code and no sender."""
    sandbox = BirdSandbox()
    own_hub = hub(sandbox)
    receipt = own_hub.sms().send(SmsMessage(to=TO, text="Hi"))
    notice = sandbox.report(receipt.ref.id, "failed", error_code="blocked_by_carrier")
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_secret)
    event = own_hub.events("texts", verifier.verify(**notice.arguments())[0])[0]

    assert (SmsStatus.FAILED, "blocked_by_carrier", None) == (
        event.status,
        event.error_code,
        event.sender,
    )


@pytest.mark.parametrize(
    "kind, data", [("email.delivered", {"sms_id": "1"}), ("sms.sent", {}), ("sms.sent", "text")]
)
def test_bird_webhook_that_is_not_about_message_gives_no_events(kind: str, data: object) -> None:
    """A Bird webhook that is not about a message gives no events."""
    result: Any = type("Told", (), {"data": data, "id": "1", "vendor_type": kind, "time": None})()

    assert () == VENDOR.events(result, REFS.ref)


@pytest.mark.parametrize(
    "change",
    [
        {"to": "4915112345678"},
        {"from": ""},
        {"txet": "misspelt"},
        {"text": ""},
        {"text": "a" * 1837},
        {"category": None},
        {"category": "spam"},
        {"scheduled_at": "2031-05-06T07:08:09Z"},
        {"template": {"slug": "a"}},
        {"tags": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_sandbox_is_strict(change: dict[str, Any]) -> None:
    """The sandbox refuses what Bird would refuse, and sends nothing."""
    sandbox = BirdSandbox()
    extra_options: dict[str, Any] = {"extra": {"bird": change}}
    with pytest.raises(InvalidRequest):
        hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", **extra_options))

    assert {} == sandbox.messages


@pytest.mark.parametrize(
    "to, kind",
    [
        ("+15005550001", InvalidRequest),
        ("+15005550002", VendorRejected),
        ("+15005550008", RateLimitExceeded),
    ],
)
def test_message_to_a_test_number_fails_as_documented(to: str, kind: type[ConnectorError]) -> None:
    """A message to a documented test number fails in the way that the number stands for."""
    with pytest.raises(kind):
        hub(BirdSandbox()).sms().send(SmsMessage(to=to, text="Hi"))


def test_sandbox_refuses_wrong_credentials_and_invalid_bodies() -> None:
    """The Bird sandbox refuses an unknown API key, and a body that is not an object."""
    sandbox = BirdSandbox()
    client = SandboxHttpClient(sandbox)
    url = "https://eu1.platform.bird.com/v1/sms/messages"
    fields = {"Authorization": f"Bearer {sandbox.api_key}"}
    requests = [Request.post("/", json={}), Request.post("/", json=[], headers=fields)]

    assert [401, 422] == [client.send(request, url, Timeouts()).status for request in requests]
