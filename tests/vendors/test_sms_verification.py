"""Verification codes of SMS vendors: requests, responses and settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

import moorage
from moorage import ConfigurationError, InvalidRequest, VendorFailed, VendorRejected
from moorage.contracts.verification import VerificationRequest, VerificationStatus
from moorage.testing import RecordingObserver
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.vendors.sms._verification import CodeMaskingClassifier, check_same_number

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.testing.sandboxes.base import SandboxRequest

TO, OTHER_NUMBER = "+4915112345678", "+4915187654321"
PENDING, APPROVED, ENDED, UNKNOWN = VerificationStatus
SERVICE = "/v2/Services/VA" + "0" * 32
SESSIONS = "/v1/Account/MA" + "0" * 18 + "/Verify/Session/"
VENDORS = ["twilio", "vonage", "plivo", "bird", "infobip"]
STARTS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("twilio", "sms"): (f"{SERVICE}/Verifications", {"To": TO, "Channel": "sms"}),
    ("twilio", "call"): (f"{SERVICE}/Verifications", {"To": TO, "Channel": "call"}),
    ("vonage", "sms"): (
        "/v2/verify",
        {"brand": "ACME", "workflow": [{"channel": "sms", "to": TO[1:]}]},
    ),
    ("vonage", "call"): (
        "/v2/verify",
        {"brand": "ACME", "workflow": [{"channel": "voice", "to": TO[1:]}]},
    ),
    ("plivo", "sms"): (SESSIONS, {"recipient": TO[1:], "channel": "sms"}),
    ("plivo", "call"): (SESSIONS, {"recipient": TO[1:], "channel": "voice"}),
    ("bird", "sms"): (
        "/v1/verify/verifications",
        {"to": {"phone_number": TO}, "options": {"channels": ["sms"]}},
    ),
    ("infobip", "sms"): (
        "/2fa/2/pin",
        {"applicationId": "2FA1", "messageId": "M1", "to": TO[1:]},
    ),
    ("infobip", "call"): (
        "/2fa/2/pin/voice",
        {"applicationId": "2FA1", "messageId": "M1", "to": TO[1:]},
    ),
}
CHECKS: dict[str, tuple[str, dict[str, Any]]] = {
    "twilio": (f"{SERVICE}/VerificationCheck", {"VerificationSid": "ID", "Code": "918273"}),
    "vonage": ("/v2/verify/ID", {"code": "918273"}),
    "plivo": (f"{SESSIONS}ID/", {"otp": "918273"}),
    "bird": (
        "/v1/verify/verifications/check",
        {"to": {"phone_number": TO}, "code": "918273"},
    ),
    "infobip": ("/2fa/2/pin/ID/verify", {"pin": "918273"}),
}
ANSWERS: list[tuple[str, moorage.Response, VerificationStatus]] = [
    ("twilio", reply({"sid": "ID", "status": "canceled"}), ENDED),
    ("twilio", reply({"sid": "ID", "status": "expired"}), ENDED),
    ("twilio", reply({"sid": "ID", "status": "odd"}), UNKNOWN),
    ("twilio", reply({"code": 60202, "message": "Max check attempts reached"}, 429), ENDED),
    ("vonage", reply({"request_id": "ID", "status": "odd"}), UNKNOWN),
    ("bird", reply({"success": True, "verification": {"id": "ID", "status": "odd"}}), UNKNOWN),
    (
        "bird",
        reply({"success": False, "verification": {"id": "ID", "status": "verified"}}),
        UNKNOWN,
    ),
    (
        "bird",
        reply({"success": True, "verification": {"id": "other", "status": "verified"}}),
        ENDED,
    ),
    (
        "bird",
        reply(
            {
                "success": False,
                "reason": "expired",
                "verification": {"id": "ID", "status": "expired"},
            }
        ),
        ENDED,
    ),
    ("infobip", reply({"pinId": "ID", "verified": False, "pinError": "TTL_EXPIRED"}), ENDED),
    ("infobip", reply({"pinId": "ID"}), UNKNOWN),
]


def hub_of(vendor: str, folder: Path, **options: Any) -> tuple[Any, Any]:
    """Return a vendor's sandbox, and a hub with an account there, without retries."""
    fixture = fixture_of(vendor, folder)
    account = {**fixture.options, **options, "retry": None}
    account = {name: value for name, value in account.items() if value is not ...}
    assert fixture.sandbox is not None
    http = SandboxHttpClient(fixture.sandbox)
    return fixture.sandbox, moorage.open({"vendors": {vendor: account}}, http=http)


def content(request: SandboxRequest) -> dict[str, Any]:
    """Return the fields in a request's form or JSON body."""
    if (request.headers.get("content-type") or "").startswith("application/json"):
        fields: dict[str, Any] = json.loads(request.body)
        return fields
    return dict(parse_qsl(request.body.decode()))


@pytest.mark.parametrize("vendor, channel", STARTS)
def test_request_of_a_code(vendor: str, channel: str, tmp_path: Path) -> None:
    """The request for a code has the vendor's form, for a text message or a call."""
    sandbox, hub = hub_of(vendor, tmp_path)
    hub.sms().start_verification(VerificationRequest(to=TO, channel=channel))
    [request] = sandbox.requests

    assert STARTS[vendor, channel] == (request.path, content(request))


@pytest.mark.parametrize("vendor", CHECKS)
def test_request_of_a_check(vendor: str, tmp_path: Path) -> None:
    """A code is checked with the verification's id, or at Bird with the phone number."""
    sandbox, hub = hub_of(vendor, tmp_path)
    ref = hub.sms().start_verification(VerificationRequest(to=TO)).ref
    count = len(sandbox.requests)
    hub.sms().check_verification(ref, "918273", to=TO)
    [check] = [request for request in sandbox.requests[count:] if request.method == "POST"]
    path, fields = check.path.replace(ref.id, "ID"), content(check)

    assert CHECKS[vendor] == (
        path,
        {name: "ID" if value == ref.id else value for name, value in fields.items()},
    )


@pytest.mark.parametrize("vendor, answer, status", ANSWERS)
def test_answers_to_a_check(
    vendor: str, answer: moorage.Response, status: VerificationStatus, tmp_path: Path
) -> None:
    """Each response to a check becomes a status; an unknown response approves nothing."""
    sandbox, hub = hub_of(vendor, tmp_path)
    sandbox.fail(answer)
    ref = moorage.Ref(vendor, vendor, "ID")

    assert status is hub.sms().check_verification(ref, "918273", to=TO).status


@pytest.mark.parametrize("vendor", ["twilio", "plivo", "infobip"])
def test_code_of_another_number_is_refused(vendor: str, tmp_path: Path) -> None:
    """A code approves only the number that it was sent to."""
    sandbox, hub = hub_of(vendor, tmp_path)
    ref = hub.sms().start_verification(VerificationRequest(to=TO)).ref
    with pytest.raises(VendorRejected) as excinfo:
        hub.sms().check_verification(ref, sandbox.verifications.codes[TO], to=OTHER_NUMBER)

    assert "other_number" == excinfo.value.vendor_code


def test_bird_approves_only_the_verification_of_the_reference(tmp_path: Path) -> None:
    """Bird checks a code by the phone number, so the reference of another check is not approved."""
    sandbox, hub = hub_of("bird", tmp_path)
    first, second = (
        hub.sms().start_verification(VerificationRequest(to=number)).ref
        for number in (TO, OTHER_NUMBER)
    )
    codes = sandbox.verifications.codes

    assert PENDING is hub.sms().check_verification(second, codes[TO], to=OTHER_NUMBER).status
    assert ENDED is hub.sms().check_verification(first, codes[OTHER_NUMBER], to=OTHER_NUMBER).status


@pytest.mark.parametrize(
    "vendor, option",
    [
        ("twilio", "verify_service"),
        ("vonage", "brand"),
        ("infobip", "pin_application"),
        ("infobip", "pin_message"),
    ],
)
def test_missing_setting_is_named(vendor: str, option: str, tmp_path: Path) -> None:
    """If an account lacks the setting for codes, the error names it before anything is sent."""
    sandbox, hub = hub_of(vendor, tmp_path, **{option: ...})
    with pytest.raises(ConfigurationError, match=option) as excinfo:
        hub.sms().start_verification(VerificationRequest(to=TO))

    assert [option, []] == [excinfo.value.path, sandbox.requests]


def test_plivo_names_the_application(tmp_path: Path) -> None:
    """Plivo uses the account's default application unless another is set."""
    sandbox, hub = hub_of("plivo", tmp_path, verify_app="app-1")
    hub.sms().start_verification(VerificationRequest(to=TO))

    assert "app-1" == content(sandbox.requests[0])["app_uuid"]


def test_too_many_twilio_codes_to_one_number_are_refusal(tmp_path: Path) -> None:
    """Too many codes for one number raise a rejection, not the account's rate-limit error."""
    sandbox, hub = hub_of("twilio", tmp_path)
    sandbox.fail(reply({"code": 60203, "message": "Max send attempts reached"}, 429))
    with pytest.raises(VendorRejected):
        hub.sms().start_verification(VerificationRequest(to=TO))

    assert PENDING is hub.sms().start_verification(VerificationRequest(to=OTHER_NUMBER)).status


def test_vonage_refuses_a_second_code_at_once(tmp_path: Path) -> None:
    """Vonage refuses a second code to the same number; the error has Vonage's title."""
    sandbox, hub = hub_of("vonage", tmp_path)
    words = "Concurrent verifications to the same number are not allowed"
    sandbox.fail(reply({"title": "Conflict", "detail": words}, 409))
    with pytest.raises(VendorRejected) as excinfo:
        hub.sms().start_verification(VerificationRequest(to=TO))

    assert ("Conflict", words) == (excinfo.value.vendor_code, excinfo.value.vendor_message)


@pytest.mark.parametrize(
    "vendor, answer, kind",
    [
        ("twilio", reply({"code": 60200, "message": "Invalid parameter"}, 400), InvalidRequest),
        ("vonage", reply({"title": "Invalid params", "detail": "No."}, 422), InvalidRequest),
        ("bird", reply({"error": {"type": "validation_error"}}, 422), InvalidRequest),
        ("infobip", reply({"errorCode": "E400", "description": "No."}, 400), InvalidRequest),
        ("twilio", reply({"status": "pending"}), VendorFailed),
        ("infobip", reply([]), VendorFailed),
    ],
)
def test_other_refusals_of_a_check_are_errors(
    vendor: str, answer: moorage.Response, kind: type[Exception], tmp_path: Path
) -> None:
    """If the vendor does not carry out a check, an error is raised."""
    sandbox, hub = hub_of(vendor, tmp_path)
    sandbox.fail(answer)
    with pytest.raises(kind):
        hub.sms().check_verification(moorage.Ref(vendor, vendor, "ID"), "918273", to=TO)


@pytest.mark.parametrize(
    "vendor, answer",
    [
        ("twilio", {"code": 60200, "message": "Invalid parameter 918273"}),
        ("vonage", {"title": "Invalid params", "detail": "The code is 918273."}),
        ("bird", {"error": {"type": "validation_error", "message": "No code 918273"}}),
        ("infobip", {"requestError": {"serviceException": {"text": "Wrong PIN 918273"}}}),
    ],
)
def test_repeated_code_is_masked(vendor: str, answer: Any, tmp_path: Path) -> None:
    """A code that a vendor's error response repeats is masked in the error and the log."""
    fixture, observer = fixture_of(vendor, tmp_path), RecordingObserver()
    assert fixture.sandbox is not None
    fixture.sandbox.fail(reply(answer, 422 if vendor == "vonage" else 400))
    hub = moorage.open(
        {"vendors": {vendor: fixture.options}},
        http=SandboxHttpClient(fixture.sandbox),
        observers=[observer],
    )
    with pytest.raises(InvalidRequest) as excinfo:
        hub.sms().check_verification(moorage.Ref(vendor, vendor, "ID"), "918273", to=TO)

    error = excinfo.value
    assert error.response is not None
    shown = f"{error} {error!r} {error.vendor_message} {error.response.body!r} {observer.events!r}"
    assert "918273" not in shown
    assert "***" in (error.vendor_message or "")


@pytest.mark.parametrize(
    "vendor, code, answer, status",
    [
        ("twilio", "60202", reply({"code": 60202, "message": "Max check attempts"}, 429), ENDED),
        ("twilio", "0404", reply({"code": 20404, "message": "Not found"}, 404), ENDED),
        ("vonage", "Invalid", reply({"title": "Invalid Code", "detail": "No."}, 400), PENDING),
        ("vonage", "title", reply({"title": "Invalid Code", "detail": "No."}, 400), PENDING),
    ],
)
def test_entered_text_does_not_change_a_refusal(
    vendor: str, code: str, answer: moorage.Response, status: VerificationStatus, tmp_path: Path
) -> None:
    """An error response is classified the same if its text contains the entered code."""
    sandbox, hub = hub_of(vendor, tmp_path)
    sandbox.fail(answer)
    ref = moorage.Ref(vendor, vendor, "ID")

    assert status is hub.sms().check_verification(ref, code, to=TO).status


@pytest.mark.parametrize(
    "status, is_open",
    [(408, True), (425, True), (500, True), (503, True), (404, False), (409, False)],
)
def test_unread_refusal_that_repeats_the_code_keeps_its_meaning(
    *, status: int, is_open: bool
) -> None:
    """A timeout and a request that came too early leave the outcome open; other statuses do not."""
    request = moorage.Request.post("/", form=[("Code", "918273")])
    error = CodeMaskingClassifier(lambda *_: None)(request, reply({"message": "918273"}, status))

    assert isinstance(error, VendorFailed if is_open else VendorRejected)
    assert error.response is not None
    assert {"message": "***"} == error.response.json()


def test_repeated_code_is_masked_in_an_outage(tmp_path: Path) -> None:
    """If an outage's response repeats the code, the code is masked in the error too."""
    sandbox, hub = hub_of("twilio", tmp_path)
    sandbox.fail(reply({"message": "No service for 918273"}, 503))
    with pytest.raises(VendorFailed) as excinfo:
        hub.sms().check_verification(moorage.Ref("twilio", "twilio", "ID"), "918273", to=TO)

    error = excinfo.value
    assert error.response is not None
    assert "918273" not in f"{error}{error!r}{error.vendor_message}{error.response.body!r}"


def test_plivo_session_has_its_message_and_may_be_unknown(tmp_path: Path) -> None:
    """A started session at Plivo has the text of its response; an unknown session has ended."""
    sandbox, hub = hub_of("plivo", tmp_path)
    sandbox.fail(reply({"session_uuid": "ID", "message": "Session initiated"}, 202))
    started = hub.sms().start_verification(VerificationRequest(to=TO))
    assert ("ID", PENDING, "Session initiated") == (
        started.ref.id,
        started.status,
        started.vendor_status,
    )

    sandbox.fail(reply({"error": "Session not found"}, 404))
    assert ENDED is hub.sms().check_verification(started.ref, "1234", to=TO).status


def test_plivo_takes_no_code_for_a_session_that_is_over(tmp_path: Path) -> None:
    """Plivo refuses a code for a session that was already verified or has expired."""
    sandbox, hub = hub_of("plivo", tmp_path)
    ref = moorage.Ref("plivo", "plivo", "ID")
    for word in ("verified", "expired"):
        sandbox.fail(reply({"session_uuid": "ID", "recipient": TO, "status": word}))
        verification = hub.sms().check_verification(ref, "1234", to=TO)
        assert (ENDED, word) == (verification.status, verification.vendor_status)

    assert ["GET", "GET"] == [request.method for request in sandbox.requests]


def test_plivo_refusal_of_another_kind_is_an_error(tmp_path: Path) -> None:
    """Only Plivo's error for an invalid request means a wrong code; other errors are raised."""
    sandbox, hub = hub_of("plivo", tmp_path)
    session = reply({"session_uuid": "ID", "recipient": TO, "status": "in-progress"})
    sandbox.fail(session, reply({"error": "not found"}, 404))
    with pytest.raises(VendorRejected):
        hub.sms().check_verification(moorage.Ref("plivo", "plivo", "ID"), "918273", to=TO)


def test_infobip_message_that_was_not_sent_has_ended(tmp_path: Path) -> None:
    """If Infobip did not send the code, an error is raised."""
    sandbox, hub = hub_of("infobip", tmp_path)
    sandbox.fail(reply({"pinId": "ID", "to": TO[1:], "smsStatus": "MESSAGE_NOT_SENT"}))
    verification = hub.sms().start_verification(VerificationRequest(to=TO))

    assert (ENDED, "MESSAGE_NOT_SENT") == (verification.status, verification.vendor_status)


@pytest.mark.parametrize("vendor", VENDORS)
def test_expired_code_has_ended(vendor: str, tmp_path: Path) -> None:
    """The right code is not approved after it has expired."""
    sandbox, hub = hub_of(vendor, tmp_path)
    ref = hub.sms().start_verification(VerificationRequest(to=TO)).ref
    sandbox.verifications.expire(TO)
    code = sandbox.verifications.codes[TO]

    assert ENDED is hub.sms().check_verification(ref, code, to=TO).status


@pytest.mark.parametrize("stated", [None, TO, TO[1:]])
@pytest.mark.parametrize("to", [TO, TO[1:]])
def test_number_of_a_code_may_lack_its_plus_sign(stated: str | None, to: str) -> None:
    """A vendor may state the number of a code with or without a plus sign, or not at all."""
    check_same_number(stated, to, "Vendor")


@pytest.mark.parametrize("stated", [OTHER_NUMBER, OTHER_NUMBER[1:], ""])
def test_number_that_differs_from_that_of_a_code_is_refused(stated: str) -> None:
    """A code that was sent to another number does not verify this one."""
    with pytest.raises(VendorRejected, match="Vendor checked a code") as excinfo:
        check_same_number(stated, TO, "Vendor")

    assert "other_number" == excinfo.value.vendor_code
