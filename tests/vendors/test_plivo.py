"""Plivo: requests, responses and webhooks."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    Response,
    Timeouts,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
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
from moorage.domain.webhooks.presets import preset
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.sms.plivo import FIELDS, PlivoSandbox
from moorage.vendors.sms.plivo import Plivo
from tests.vendors.sms_subjects import Refs
from tests.webhooks.verifiers import Receiver

TO = "+4915112345678"
FROM = "+15005550006"
VENDOR = Plivo(auth_id="MA" + "0" * 18, sender=FROM)
REFS: Any = Refs("plivo")
classify: Any = Plivo.refusals
SEND, READ = Request.post("/v1/Account/MA/Message/", json={}), Request.get("/v1/Account/MA/")


def message_body(vendor: Plivo, message: SmsMessage) -> Any:
    """Return the JSON body of the request that sends a message."""
    content: Any = Plivo.send.request(vendor, message).body
    return json.loads(content)


def read_message(refs: Any, response: Response) -> SmsReceipt:
    """Return the receipt that is read from a Plivo response."""
    return Plivo.get.read(refs.ref, response)


def read_number(response: Response) -> NumberCheck:
    """Return the result of a number look-up that is read from a Plivo response."""
    return Plivo.validate_number.read(REFS.ref, response)


def body(**fields: Any) -> dict[str, Any]:
    """Return the JSON body for a message with the given fields."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    result: dict[str, Any] = message_body(VENDOR, SmsMessage(**options))
    return result


def hub(sandbox: PlivoSandbox) -> Hub:
    """Return a hub with one account at Plivo."""
    vendor = Plivo(auth_id=sandbox.auth_id, credentials=sandbox.auth_token, sender=FROM)
    account = Account("texts", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {"src": "15005550006", "text": "Hello"}),
        ({"sender": "Acme"}, {"src": "Acme", "text": "Hello"}),
        ({"sender_pool": "pp-1"}, {"powerpack_uuid": "pp-1", "text": "Hello"}),
        (
            {"text": "", "media": ["https://a.example/1", "https://a.example/2"]},
            {
                "src": "15005550006",
                "type": "mms",
                "media_urls": ["https://a.example/1", "https://a.example/2"],
            },
        ),
        (
            {"callback_url": "https://a.example/cb", "validity": timedelta(minutes=10)},
            {
                "src": "15005550006",
                "text": "Hello",
                "url": "https://a.example/cb",
                "method": "POST",
                "message_expiry": 600,
            },
        ),
        (
            {"extra": {"plivo": {"trackable": True, "text": None, "dlt_entity_id": "1"}}},
            {"src": "15005550006", "trackable": True, "dlt_entity_id": "1"},
        ),
    ],
    ids=["plain", "sender", "pool", "media", "callback", "options"],
)
def test_body_of_a_message(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """A message is sent under Plivo's names; extra options may override its fields."""
    sent_body = body(**fields)

    assert {"dst": "4915112345678"} | expected == sent_body
    assert [] == [name for name, value in sent_body.items() if not isinstance(value, FIELDS[name])]


def test_sender_is_required() -> None:
    """A message without a sender or a pool of senders is refused for Plivo before it is sent."""
    vendor = attrs.evolve(VENDOR, sender=None)
    message = SmsMessage(to=TO, text="Hello")

    with pytest.raises(InvalidData, match="requires a sender"):
        message_body(vendor, message)
    assert "src" not in message_body(vendor, attrs.evolve(message, sender_pool="pp-1"))


@pytest.mark.parametrize(
    "table, fields",
    [
        ({"message_state": "queued"}, {"status": SmsStatus.QUEUED, "price": None}),
        ({"message_state": "read"}, {"status": SmsStatus.READ}),
        ({"message_state": "new"}, {"status": SmsStatus.UNKNOWN, "vendor_status": "new"}),
        ({}, {"status": SmsStatus.UNKNOWN, "vendor_status": None}),
        ({"message_state": "delivered", "error_code": "000"}, {"error_code": None}),
        (
            {"message_state": "failed", "error_code": "30", "error_message": "Spam"},
            {"status": SmsStatus.FAILED, "error_code": "30", "error_message": "Spam"},
        ),
        (
            {"message_state": "sent", "total_amount": "0.00110", "units": 2},
            {"price": Price(Decimal("0.00110"), "USD"), "segments": 2},
        ),
        (
            {"message_state": "delivered", "message_direction": "inbound"},
            {"status": SmsStatus.RECEIVED, "vendor_status": "delivered"},
        ),
    ],
)
def test_fields_of_a_read_message(table: dict[str, Any], fields: dict[str, Any]) -> None:
    """The fields of a Plivo message are read; for an unknown status, Plivo's word is kept."""
    receipt = read_message(REFS, reply({"message_uuid": "u-1"} | table))

    assert fields == {name: getattr(receipt, name) for name in fields}
    assert {"message_uuid": "u-1"} | table == receipt.raw


def test_success_without_an_id_is_malformed() -> None:
    """A successful Plivo response that has no message UUID is malformed."""
    with pytest.raises(VendorFailed, match="no message_uuid"):
        read_message(REFS, reply({"message_state": "queued"}))


@pytest.mark.parametrize("uuids", [[], [1], "u-1", None, {}])
def test_queued_message_without_an_id_is_a_failure(uuids: Any) -> None:
    """If Plivo queues a message but returns no id, the call fails and the outcome is unknown."""
    sandbox = PlivoSandbox()
    sandbox.fail(reply({"message": "message(s) queued", "message_uuid": uuids}, 202))
    with pytest.raises(VendorFailed, match="no message_uuid") as excinfo:
        hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi"))

    assert not excinfo.value.retryable


@pytest.mark.parametrize(
    "kind, line",
    [
        ("mobile", LineType.MOBILE),
        ("fixed", LineType.LANDLINE),
        ("voip", LineType.VOIP),
        ("toll-free", LineType.OTHER),
        ("unknown", LineType.UNKNOWN),
        (None, LineType.UNKNOWN),
    ],
)
def test_fields_of_a_number(kind: str | None, line: LineType) -> None:
    """The fields of Plivo's number lookup are read; an unknown line type becomes UNKNOWN."""
    result = read_number(
        reply(
            {
                "phone_number": TO,
                "country": {"iso2": "DE"},
                "format": {"national": "0151 12345678"},
                "carrier": {"type": kind, "name": ""},
            }
        )
    )

    assert (line, TO, "DE", None) == (result.line, result.number, result.country, result.carrier)
    assert "0151 12345678" == result.national
    with pytest.raises(VendorFailed, match="phone_number"):
        read_number(reply({}))


def test_number_has_its_international_form() -> None:
    """A looked-up number has the international form that Plivo states, or else Plivo's number."""
    body = {"phone_number": TO.removeprefix("+"), "format": {"e164": TO}}

    assert TO == read_number(reply(body)).number
    assert TO == read_number(reply({"phone_number": TO, "format": {}})).number


def test_unknown_number_is_invalid() -> None:
    """A number that Plivo does not find is reported as invalid; any other 404 is an error."""
    sandbox = PlivoSandbox()
    sms = hub(sandbox).sms()
    result = sms.validate_number("+15005550001")

    assert (False, None, ("404",)) == (result.valid, result.number, result.reasons)
    sandbox.fail(Response(404, body=b"<html></html>"))
    with pytest.raises(VendorRejected):
        sms.validate_number(TO)
    sandbox.fail(reply({"error_code": 400, "message": "bad"}, 400))
    with pytest.raises(InvalidRequest):
        sms.validate_number(TO)


def test_number_is_looked_up_in_international_form() -> None:
    """A look-up of a national number is refused before anything is sent to Plivo."""
    sandbox = PlivoSandbox()
    sms = hub(sandbox).sms()

    assert TO == sms.validate_number(TO, country="DE").number
    assert "/v1/Number/%2B4915112345678" == sandbox.requests[-1].path
    with pytest.raises(InvalidData, match="international"):
        sms.validate_number("015112345678", country="DE")
    assert 1 == len(sandbox.requests)


@pytest.mark.parametrize(
    "request_, status, kind",
    [
        (SEND, 400, InvalidRequest),
        (SEND, 401, AuthenticationFailed),
        (SEND, 402, VendorRejected),
        (SEND, 403, VendorRejected),
        (READ, 403, AuthenticationFailed),
        (READ, 404, VendorRejected),
        (SEND, 405, InvalidRequest),
        (SEND, 409, VendorRejected),
        (SEND, 422, InvalidRequest),
        (SEND, 429, RateLimitExceeded),
        (SEND, 202, None),
        (SEND, 408, None),
        (SEND, 500, None),
    ],
)
def test_errors_are_classified_by_status(
    request_: Request, status: int, kind: type[ConnectorError] | None
) -> None:
    """A Plivo error is classified by its status, since Plivo has no error codes."""
    answer = reply({"api_id": "a", "error": "19332631167 is not a valid phone number"}, status)
    error: Any = classify(request_, answer)

    assert kind == (None if error is None else type(error))
    if error is not None:
        assert (None, status, answer) == (error.vendor_code, error.status, error.response)
        assert "(number) is not a valid phone number" == error.vendor_message
        assert "19332631167" not in f"{error}{error!r}"


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"[]", b'{"api_id": "a"}', b'"no"'])
def test_other_errors_are_classified_by_status(body: bytes) -> None:
    """An error without Plivo's text is classified by its status, too."""
    assert classify(SEND, Response(400, body=body)) is None


@pytest.mark.parametrize("auth_id", ["", "MA1", "AC" + "0" * 18, "MA" + "-" * 18, None, 1])
def test_invalid_auth_id_is_refused(auth_id: Any) -> None:
    """An invalid auth id of Plivo is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        Plivo(auth_id=auth_id)

    assert "auth_id" == excinfo.value.path


def test_credentials_may_be_left_to_the_provider() -> None:
    """Without its own token a Plivo account uses the credential provider."""
    assert all(service.needs_credentials for service in VENDOR.services().values())


def test_message_is_looked_up() -> None:
    """A Plivo message can be looked up; looking up a missing message is refused."""
    sandbox = PlivoSandbox()
    sms = hub(sandbox).sms()
    receipt = sms.send(SmsMessage(to=TO, text="Hi", callback_url="https://a.example/cb"))
    sandbox.report(receipt.ref.id, "undelivered", error_code="50")
    result = sms.get(receipt.ref)

    assert (SmsStatus.UNDELIVERED, "50", 1) == (result.status, result.error_code, result.segments)
    with pytest.raises(VendorRejected, match="not found"):
        sms.get(Ref("plivo", "texts", "../Number"))
    with pytest.raises(UnsupportedByVendor):
        sms.cancel(receipt.ref)


def test_plivo_balance_may_have_more_decimals_than_cent() -> None:
    """A Plivo balance may have more decimals than a cent; an unreadable balance is a failure."""
    sandbox = PlivoSandbox()
    sms = hub(sandbox).sms()

    assert Price(Decimal("25.50750"), "USD") == sms.check_balance().amount
    sandbox.fail(reply({"cash_credits": "a lot"}))
    with pytest.raises(VendorFailed, match="cash_credits"):
        sms.check_balance()


def test_incoming_plivo_message_has_its_sender_and_text() -> None:
    """An incoming Plivo message has its sender and text."""
    sandbox = PlivoSandbox()
    own_hub = hub(sandbox)
    notice = sandbox.receive(TO, "Yes & no", url="https://a.example/in?shop=1")
    verifier = own_hub.webhooks("texts", secrets=sandbox.auth_token)
    event = own_hub.events("texts", verifier.verify(**notice.arguments())[0])[0]

    assert (SmsStatus.RECEIVED, TO, "Yes & no") == (event.status, event.sender, event.text)


def test_event_of_failed_plivo_message_has_its_code_and_no_sender() -> None:
    """The event of a failed Plivo message has its code and no sender."""
    sandbox = PlivoSandbox()
    own_hub = hub(sandbox)
    receipt = own_hub.sms().send(SmsMessage(to=TO, text="Hi"))
    notice = sandbox.report(receipt.ref.id, "failed", error_code="30", url="https://a.example/")
    verifier = own_hub.webhooks("texts", secrets=sandbox.auth_token)
    webhook = verifier.verify(**notice.arguments())[0]
    event = own_hub.events("texts", webhook)[0]

    assert (SmsStatus.FAILED, "30", None) == (event.status, event.error_code, event.sender)
    assert not webhook.is_forgeable


def test_older_signature_needs_a_setting() -> None:
    """A Plivo webhook signed only by version 2 is refused unless the account allows it."""
    sandbox = PlivoSandbox()
    notice = sandbox.receive(TO, "Yes", url="https://a.example/in")
    headers = {name: text for name, text in notice.headers.items() if "V3" not in name}
    older_notice = attrs.evolve(notice, headers=headers)
    default_hub = hub(sandbox).webhooks("texts", secrets=sandbox.auth_token)
    with pytest.raises(WebhookRejected) as excinfo:
        default_hub.verify(**older_notice.arguments())
    weaker_hub = Hub([Account("texts", attrs.evolve(VENDOR, webhook_version=2))])
    verifier = weaker_hub.webhooks("texts", secrets=sandbox.auth_token)

    assert "downgraded" == excinfo.value.reason
    assert verifier.verify(**older_notice.arguments())[0].is_forgeable


@pytest.mark.parametrize("version", [1, 4, "3", True, None])
def test_signature_has_a_version(version: Any) -> None:
    """Only versions 2 and 3 of Plivo's webhook signatures are accepted."""
    with pytest.raises(ConfigurationError) as excinfo:
        attrs.evolve(VENDOR, webhook_version=version)

    assert "webhook_version" == excinfo.value.path


def test_plivo_webhook_that_is_not_about_message_gives_no_events() -> None:
    """A Plivo webhook that is not about a message gives no events."""
    result: Any = type("Told", (), {"data": {"CallUUID": "1"}, "id": "1"})()

    assert () == VENDOR.events(result, REFS.ref)


def test_signature_of_plivos_own_library() -> None:
    """A signature that is taken from the tests of Plivo's own library is accepted."""
    for name in ("X-Plivo-Signature-V2", "X-Plivo-Signature-Ma-V2"):
        signature = "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="
        receiver = Receiver(preset("plivo-v2"), "my_auth_token", parameters={}, replay_guard=False)
        options: dict[str, Any] = {
            "headers": {name: signature, "X-Plivo-Signature-V2-Nonce": "12345"},
            "body": b"MessageUUID=u-1&Status=sent",
            "url": "https://answer.url?signed=no",
        }

        assert "message.sent" == receiver.verify(options)[0].type
        assert receiver.reason_of_refusal(options | {"url": "https://answer.url/2"})


@pytest.mark.parametrize(
    "change",
    [
        {"dst": None},
        {"dst": 4915112345678},
        {"dst": "15005550006"},
        {"text": ""},
        {"text": "a" * 1601},
        {"txet": "misspelt"},
        {"powerpack_uuid": "too"},
        {"src": None},
        {"type": "fax"},
        {"media_urls": ["https://a.example/1"]},
        {"message_expiry": 0},
        {"message_expiry": True},
        {"method": "PUT"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_sandbox_is_strict(change: dict[str, Any]) -> None:
    """The sandbox refuses what Plivo would refuse, and sends nothing."""
    sandbox = PlivoSandbox()
    extra_options: dict[str, Any] = {"extra": {"plivo": change}}
    with pytest.raises(InvalidRequest):
        hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", **extra_options))

    assert {} == sandbox.messages


@pytest.mark.parametrize(
    "to, kind",
    [
        ("+15005550001", InvalidRequest),
        ("+15005550003", VendorRejected),
        ("+15005550008", RateLimitExceeded),
    ],
)
def test_message_to_a_test_number_fails_as_documented(to: str, kind: type[ConnectorError]) -> None:
    """A message to a documented test number fails in the way that the number stands for."""
    with pytest.raises(kind):
        hub(PlivoSandbox()).sms().send(SmsMessage(to=to, text="Hi"))


def test_sandbox_refuses_other_tokens() -> None:
    """The Plivo sandbox refuses a wrong token."""
    sandbox = PlivoSandbox()
    vendor = Plivo(auth_id=sandbox.auth_id, credentials="another token", sender=FROM)
    stranger = Hub([Account("texts", vendor)], http=SandboxHttpClient(sandbox))
    with pytest.raises(AuthenticationFailed):
        stranger.sms().send(SmsMessage(to=TO, text="Hi"))

    assert {} == sandbox.messages


def test_sandbox_refuses_invalid_requests() -> None:
    """The Plivo sandbox refuses missing resources, malformed bodies and empty look-ups."""
    client = SandboxHttpClient(sandbox := PlivoSandbox())
    headers = {
        "Authorization": "Basic "
        + b64encode(f"{sandbox.auth_id}:{sandbox.auth_token}".encode()).decode()
    }
    base = f"/v1/Account/{sandbox.auth_id}"
    requests = [
        Request.get("/nowhere", headers=headers),
        Request.post(f"{base}/Message/", json=[], headers=headers),
        Request.get("/v1/Number/%2B49", headers=headers),
    ]
    answers = [
        client.send(request, f"https://api.plivo.com{request.path}", Timeouts())
        for request in requests
    ]

    assert [404, 400, 400] == [answer.status for answer in answers]
