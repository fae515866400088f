"""The verification contract's value types."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import InvalidData, Ref, Secret
from moorage.contracts.sms import SmsCapability
from moorage.contracts.verification import (
    Verification,
    VerificationRequest,
    VerificationStatus,
    as_code,
)


@pytest.mark.parametrize("code", ["1234", " 123456 ", "aB3dE6gH1j", Secret("123456")], ids=repr)
def test_code_is_a_secret(code: Any) -> None:
    """An entered code becomes a Secret, without surrounding blanks."""
    assert as_code(code).reveal() == as_code(as_code(code)).reveal()
    assert "1" not in repr(as_code(code))


@pytest.mark.parametrize(
    "code", ["", "   ", "123", "12 34", "12345678901", "١٢٣٤", 123456, None, Secret("x")], ids=ascii
)
def test_text_that_is_no_code_is_refused(code: Any) -> None:
    """A text that cannot be a code is refused, and the error does not repeat it."""
    with pytest.raises(InvalidData, match="verification code has an invalid form") as excinfo:
        as_code(code)

    assert "1234" not in str(excinfo.value)


@pytest.mark.parametrize(
    "fields", [{"to": "015112345678"}, {"to": "+491511234567", "channel": "fax"}], ids=repr
)
def test_wrong_requests_are_refused(fields: dict[str, Any]) -> None:
    """A request needs a phone number in international form, and a known channel."""
    with pytest.raises(InvalidData):
        VerificationRequest(**fields)


def test_sending_code_by_voice_call_needs_capability_of_its_own() -> None:
    """Sending a code by voice call needs a capability of its own."""
    needs = VerificationRequest(to="+491511234567", channel="call").needs

    assert {SmsCapability.VERIFICATION, SmsCapability.VERIFICATION_CALL} == needs


@pytest.mark.parametrize("status", VerificationStatus)
def test_only_the_right_code_is_approved(status: VerificationStatus) -> None:
    """Only the state APPROVED is treated as approved; unknown states are not."""
    verification = Verification(ref=Ref("twilio", "texts", "VE1"), status=status)

    assert (status is VerificationStatus.APPROVED) == verification.approved
