"""Amazon SNS: requests, responses and errors, checked against AWS's API description."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import attrs
import pytest

import moorage
from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    Response,
    Secret,
    Timeouts,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.routes import Account
from moorage.contracts.sms import SmsMessage, SmsStatus
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.sms.amazon_sns import FIELDS, AmazonSnsSandbox
from moorage.vendors.sms.amazon_sns import AmazonSns, classify, message_form, read_receipt
from tests.vendors.sms_subjects import Refs
from tests.vendors.subjects.amazon_sns import sns_error

TO = "+4915112345678"
VENDOR = AmazonSns(region="eu-central-1")
REFS: Any = Refs("amazon_sns")
SEND = Request.post("/", form={"Action": "Publish"})
SPACE = "http://sns.amazonaws.com/doc/2010-03-31/"


def form(**fields: Any) -> dict[str, str]:
    """Return the form fields of a text message."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    return message_form(VENDOR, SmsMessage(**options))


def attributes(sent: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return the type and value of each message attribute that was sent, keyed by its name."""
    entries = [name.removesuffix(".Name") for name in sent if name.endswith(".Name")]
    return {
        sent[f"{index}.Name"]: (sent[f"{index}.Value.DataType"], sent[f"{index}.Value.StringValue"])
        for index in entries
    }


def hub(sandbox: AmazonSnsSandbox, **options: Any) -> Hub:
    """Return a hub with one account at Amazon SNS."""
    account_options = {
        "access_key_id": sandbox.access_key_id,
        "credentials": sandbox.secret_access_key,
    }
    vendor = AmazonSns(**({"region": sandbox.region} | account_options | options))
    account = Account("texts", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def success(content: str) -> Response:
    """Return a successful response that contains the given XML."""
    return Response(
        200, body=f'<PublishResponse xmlns="{SPACE}">{content}</PublishResponse>'.encode()
    )


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {}),
        ({"sender": "ACME"}, {"AWS.SNS.SMS.SenderID": ("String", "ACME")}),
        (
            {"sender": "+15005550006"},
            {"AWS.MM.SMS.OriginationNumber": ("String", "+15005550006")},
        ),
        ({"sender": "12345"}, {"AWS.MM.SMS.OriginationNumber": ("String", "12345")}),
        (
            {"extra": {"amazon_sns": {"AWS.SNS.SMS.MaxPrice": "0.50", "AWS.MM.SMS.EntityId": 7}}},
            {"AWS.SNS.SMS.MaxPrice": ("Number", "0.50"), "AWS.MM.SMS.EntityId": ("String", "7")},
        ),
        (
            {"sender": "ACME", "extra": {"amazon_sns": {"AWS.SNS.SMS.SenderID": None}}},
            {},
        ),
    ],
    ids=["plain", "name", "number", "short", "options", "none"],
)
def test_form_of_a_message(fields: dict[str, Any], expected: dict[str, tuple[str, str]]) -> None:
    """A message is published to a phone number; its fields are sent as attributes."""
    form_fields = form(**fields)
    plain_fields = {
        name: value for name, value in form_fields.items() if not name.startswith("MessageAttr")
    }

    assert {
        "Action": "Publish",
        "Version": "2010-03-31",
        "PhoneNumber": TO,
        "Message": "Hello",
    } == plain_fields
    assert expected == attributes(form_fields)
    assert len(form_fields) == len(plain_fields) + 3 * len(expected)


def test_other_options_are_fields() -> None:
    """An option that is not a message attribute is sent as a field of the request."""
    form_fields = form(extra={"amazon_sns": {"Subject": "Parcel", "MessageStructure": None}})

    assert ("Parcel", False) == (form_fields["Subject"], "MessageStructure" in form_fields)


def test_account_has_a_type_and_a_sender() -> None:
    """An account's message type and sender are sent with each message."""
    vendor = attrs.evolve(VENDOR, sender="ACME", message_type="Promotional")
    form_fields = message_form(vendor, SmsMessage(to=TO, text="Hello"))

    assert {
        "AWS.SNS.SMS.SMSType": ("String", "Promotional"),
        "AWS.SNS.SMS.SenderID": ("String", "ACME"),
    } == attributes(form_fields)


@pytest.mark.parametrize(
    "word, is_known", [("Promotional", True), ("Transactional", True), ("promotional", False)]
)
def test_configured_message_type_is_one_of_amazons_words(word: str, is_known: bool) -> None:
    """A configuration names one of the two message types of Amazon SNS, with its capital."""
    sandbox = AmazonSnsSandbox()
    options = {
        "region": sandbox.region,
        "access_key_id": sandbox.access_key_id,
        "credentials": sandbox.secret_access_key,
        "message_type": word,
    }
    configuration = {"sms": {"vendor": "amazon_sns"}, "vendors": {"amazon_sns": options}}
    expectation = (
        nullcontext() if is_known else pytest.raises(ConfigurationError, match="message_type")
    )

    with expectation, moorage.open(configuration, http=SandboxHttpClient(sandbox)):
        pass


def test_fields_of_a_receipt() -> None:
    """A receipt of Amazon SNS has only the message's id."""
    receipt = read_receipt(
        REFS, success("<PublishResult><MessageId>m-1</MessageId><New>1</New></PublishResult>")
    )

    assert ("m-1", SmsStatus.QUEUED, None) == (
        receipt.ref.id,
        receipt.status,
        receipt.vendor_status,
    )
    assert {"PublishResult": {"MessageId": "m-1", "New": "1"}} == receipt.raw


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<MessageId>m</MessageId>",
        "<PublishResult/>",
        "<PublishResult><MessageId/></PublishResult>",
    ],
)
def test_success_without_an_id_is_malformed(content: str) -> None:
    """A success of Amazon SNS without a message id is a malformed response."""
    with pytest.raises(VendorFailed, match="no MessageId"):
        read_receipt(REFS, success(content))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a>" * 50]
)
def test_unreadable_success_of_amazon_sns_fails(body: bytes) -> None:
    """An unreadable success response of SNS is a failure; an unreadable error is read by status."""
    with pytest.raises(VendorFailed, match="no MessageId"):
        read_receipt(REFS, Response(200, body=body))
    assert classify(SEND, Response(400, body=body)) is None


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "InvalidParameter", InvalidRequest),
        (400, "ParameterValueInvalid", InvalidRequest),
        (400, "ValidationError", InvalidRequest),
        (400, "OptedOut", VendorRejected),
        (404, "NotFound", VendorRejected),
        (400, "Throttling", RateLimitExceeded),
        (429, "Throttled", RateLimitExceeded),
        (400, "NewCode", VendorRejected),
        (403, "AuthorizationError", AuthenticationFailed),
        (403, "InvalidClientTokenId", AuthenticationFailed),
        (400, "RequestExpired", AuthenticationFailed),
        (200, "InvalidParameter", None),
        (500, "InternalError", None),
    ],
)
def test_error_code_decides_the_error_class_before_the_status(
    status: int, code: str, kind: type[ConnectorError] | None
) -> None:
    """An SNS error's class follows from its code first, and the phone number in it is masked."""
    error: Any = classify(SEND, sns_error(status, code))

    assert kind == (None if error is None else type(error))
    if error is not None:
        assert (code, status) == (error.vendor_code, error.status)
        assert "(number) is refused" == error.vendor_message
        assert "447700900000" not in f"{error}{error!r}"


@pytest.mark.parametrize("body", [b"<ErrorResponse/>", b"<E><Error/></E>", b"<html></html>"])
def test_other_errors_are_classified_by_status(body: bytes) -> None:
    """An error of Amazon SNS without a code is classified by its status."""
    assert classify(SEND, Response(400, body=body)) is None


def test_account_service_and_signature() -> None:
    """The region decides the SNS URL, and the key that signs requests is not shown."""
    service = attrs.evolve(
        VENDOR, access_key_id="AKID", credentials=Secret("s3cret"), session_token="t0ken"
    ).services()[""]

    assert "https://sns.eu-central-1.amazonaws.com" == service.base_url
    assert VENDOR.services()[""].needs_credentials
    assert not service.needs_credentials
    for hidden_secret in ("s3cret", "t0ken"):
        assert hidden_secret not in repr(service)


def test_any_letters_are_sent_unchanged() -> None:
    """Letters, symbols and line breaks of a message are signed and sent unchanged."""
    sandbox = AmazonSnsSandbox()
    text = "Grüße & 50 % = ½\n你好 +1"
    hub(sandbox).sms().send(SmsMessage(to=TO, text=text, sender="ACME"))

    assert [
        {
            "Action": "Publish",
            "Version": "2010-03-31",
            "PhoneNumber": TO,
            "Message": text,
            "AWS.SNS.SMS.SenderID": "ACME",
        }
    ] == [*sandbox.messages.values()]


@pytest.mark.parametrize(
    "options",
    [
        {"access_key_id": "AKIDOTHER"},
        {"credentials": "another secret"},
        {"region": "eu-west-1", "base_url": "https://sns.eu-central-1.amazonaws.com"},
    ],
    ids=["key", "secret", "region"],
)
def test_sandbox_refuses_other_keys_and_regions(options: dict[str, Any]) -> None:
    """The SNS sandbox refuses a signature by another key or for another region."""
    sandbox = AmazonSnsSandbox()
    with pytest.raises(AuthenticationFailed):
        hub(sandbox, **options).sms().send(SmsMessage(to=TO, text="Hi"))

    assert {} == sandbox.messages


def test_sandbox_refuses_unsigned_requests() -> None:
    """The SNS sandbox refuses an unsigned request."""
    url = "https://sns.eu-central-1.amazonaws.com/"
    answer = SandboxHttpClient(AmazonSnsSandbox()).send(SEND, url, Timeouts())

    assert 403 == answer.status
    assert b"MissingAuthenticationToken" in answer.body


@pytest.mark.parametrize(
    "change",
    [
        {"Action": "Publsh"},
        {"Version": "2010-03-30"},
        {"Mesage": "misspelt"},
        {"PhoneNumber": "4915112345678"},
        {"Message": None},
        {"Message": "a" * 1601},
        {"AWS.SNS.SMS.SMSType": "transactional"},
        {"AWS.SNS.SMS.SenderID": "A NAME"},
        {"AWS.SNS.SMS.MaxPrice": "cheap"},
        {"AWS.SNS.SMS.New": "1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_sandbox_is_strict(change: dict[str, Any]) -> None:
    """The sandbox refuses what SNS would refuse, and sends nothing."""
    sandbox = AmazonSnsSandbox()
    extra_options: dict[str, Any] = {"extra": {"amazon_sns": change}}
    with pytest.raises(InvalidRequest):
        hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", **extra_options))

    assert {} == sandbox.messages


@pytest.mark.parametrize(
    "to, kind",
    [
        ("+15005550004", VendorRejected),
        ("+15005550008", RateLimitExceeded),
        ("+15005550009", VendorFailed),
    ],
)
def test_message_to_a_test_number_fails_as_documented(to: str, kind: type[ConnectorError]) -> None:
    """A message to a documented test number fails in the way that the number stands for."""
    with pytest.raises(kind):
        hub(AmazonSnsSandbox()).sms().send(SmsMessage(to=to, text="Hi"))


def test_other_operations_are_unsupported() -> None:
    """An operation that Amazon SNS does not have is refused before anything is sent."""
    sandbox = AmazonSnsSandbox()
    sms = hub(sandbox).sms()
    receipt = sms.send(SmsMessage(to=TO, text="Hi"))
    for ask in (lambda: sms.get(receipt.ref), lambda: sms.cancel(receipt.ref), sms.check_balance):
        with pytest.raises(UnsupportedByVendor):
            ask()
    with pytest.raises(InvalidData):
        sms.send(SmsMessage(to=TO, text="Hi", extra={"amazon_sns": []}))  # type: ignore[dict-item]  # refused

    assert 1 == len(sandbox.requests)


def service_model() -> Any:
    """Return AWS's own description of SNS, from the package moto."""
    loaders = pytest.importorskip("botocore.loaders", reason="install moto")
    return loaders.Loader().load_service_model("sns", "service-2")


def test_fields_are_as_described() -> None:
    """Each sent field occurs in AWS's description of SNS and in the sandbox."""
    result = service_model()
    members = set(result["shapes"]["PublishInput"]["members"])
    value = set(result["shapes"]["MessageAttributeValue"]["members"])

    assert members - {"MessageAttributes"} == FIELDS - {"Action", "Version"}
    assert {"DataType", "StringValue"} <= value
    assert ("Name", "Value") == tuple(
        result["shapes"]["MessageAttributeMap"][part]["locationName"] for part in ("key", "value")
    )
    assert ("2010-03-31", "query") == (
        result["metadata"]["apiVersion"],
        result["metadata"]["protocol"],
    )
    assert {SPACE} == {result["metadata"]["xmlNamespace"]}


def test_documented_errors_are_classified() -> None:
    """Each error that SNS documents for publishing has an error class."""
    result = service_model()
    shapes = [
        result["shapes"][error["shape"]] for error in result["operations"]["Publish"]["errors"]
    ]
    errors = [shape["error"] for shape in shapes if shape["error"]["httpStatusCode"] < 500]
    kinds = {error["code"]: type(classify(SEND, sns_error(400, error["code"]))) for error in errors}

    assert AuthenticationFailed is kinds["AuthorizationError"]
    assert AuthenticationFailed is kinds["InvalidSecurity"]
    for code in ("InvalidParameter", "ParameterValueInvalid", "ValidationException"):
        assert InvalidRequest is kinds[code]
