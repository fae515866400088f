"""Checks of verification codes, for SMS vendors that support them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.sms import SmsCapability
from moorage.contracts.verification import Verification, VerificationRequest, VerificationStatus
from moorage.errors import ConnectionFailed, ConnectorError, InvalidData
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.kits._sms_harness import Harness

    Open = Callable[[], Harness]

_WRONG: Final = "918273"
_MOST_ATTEMPTS: Final = 20
"""More wrong codes than any vendor takes."""


def _has_codes(harness: Harness) -> bool:
    return SmsCapability.VERIFICATION in harness.capabilities


async def _start_verification(harness: Harness, **options: Any) -> Verification:
    request = VerificationRequest(to=harness.subject.to)
    verification: Verification = await harness("start_verification", request, **options)
    return verification


def _sent_code(harness: Harness) -> str:
    """Return the code that was sent to a number, from the sandbox."""
    code: str = getattr(harness.sandbox, "verifications").codes[harness.subject.to]  # noqa: B009 - a sandbox with codes
    return code


async def _check_code(harness: Harness, verification: Verification, code: str) -> Verification:
    check = harness("check_verification", verification.ref, code, to=harness.subject.to)
    checked: Verification = await check
    return checked


async def a_right_code_is_approved_once(make: Open) -> None:
    """A wrong code leaves the verification pending, and the right code is approved once."""
    async with make() as harness:
        if not _has_codes(harness):
            return
        verification = await _start_verification(harness)
        require(verification.status is VerificationStatus.PENDING, "A new code is not pending.")
        require(verification.raw, "The result lacks the vendor's raw response.")
        refused_check = await _check_code(harness, verification, _WRONG)
        require(
            refused_check.status is VerificationStatus.PENDING,
            f"A wrong code is {refused_check.status}.",
        )
        require(not refused_check.approved, "A wrong code is approved.")
        result = await _check_code(harness, verification, _sent_code(harness))
        require(result.approved, f"The right code is {result.status}.")
        require(result.ref == verification.ref, "The result is of another verification.")
        second_check = await _check_code(harness, verification, _sent_code(harness))
        require(
            second_check.status is VerificationStatus.ENDED,
            f"A code that was used is {second_check.status}.",
        )


async def attempts_are_bounded(make: Open) -> None:
    """After some wrong codes a verification ends, and then even the right code is refused."""
    async with make() as harness:
        if not _has_codes(harness):
            return
        verification = await _start_verification(harness)
        checked, attempts = verification, 0
        while checked.status is VerificationStatus.PENDING and attempts < _MOST_ATTEMPTS:
            checked, attempts = await _check_code(harness, verification, _WRONG), attempts + 1
        require(
            checked.status is VerificationStatus.ENDED, "The number of wrong codes is not limited."
        )
        late_check = await _check_code(harness, verification, _sent_code(harness))
        require(
            late_check.status is VerificationStatus.ENDED,
            f"A code after all attempts is {late_check.status}.",
        )


async def a_code_is_sent_once(make: Open) -> None:
    """A repeat with the same key returns the same verification and sends no other code."""
    async with make() as harness:
        if not _has_codes(harness):
            return
        first = await _start_verification(harness, idempotency_key="code-1")
        request_count = len(harness.sandbox.requests)
        repeat = await _start_verification(harness, idempotency_key="code-1")
        require(
            first == repeat, "A repeat with the same idempotency key started another verification."
        )
        require(request_count == len(harness.sandbox.requests), "A repeat sent another code.")


async def a_lost_check_is_not_repeated(make: Open) -> None:
    """A check whose response is lost is not repeated, because each check counts as an attempt."""
    async with make() as harness:
        if not _has_codes(harness):
            return
        verification = await _start_verification(harness)
        code = _sent_code(harness)
        first_request = len(harness.sandbox.requests)
        await _check_code(harness, verification, _WRONG)
        requests = harness.sandbox.requests[first_request:]
        reads_before = [_WRONG.encode() in request.body for request in requests].index(True)
        harness.sandbox.fail(*[None] * reads_before, Lost())
        lost_check = _check_code(harness, verification, code)
        error = await harness.refused(ConnectionFailed, lost_check, "A lost check")
        checks = [request for request in harness.sandbox.requests if code.encode() in request.body]
        require(len(checks) == 1, f"A check was sent {len(checks)} times.")
        require(code not in f"{error}{error!r}", "An error shows the code.")


async def no_code_is_shown(make: Open) -> None:
    """No result or error shows a code or the number."""
    async with make() as harness:
        if not _has_codes(harness):
            return
        request = VerificationRequest(to=harness.subject.to)
        verification = await _start_verification(harness)
        code = _sent_code(harness)
        checked = await _check_code(harness, verification, _WRONG)
        result = await _check_code(harness, verification, code)
        second_check = await _check_code(harness, verification, code)
        representations = f"{request!r}{verification!r}{checked!r}{result!r}{second_check!r}"
        for private_text in (harness.subject.to[1:], code, _WRONG):
            require(private_text not in representations, f"A result shows {private_text!r}.")
        count = len(harness.sandbox.requests)
        for entered in ("", "12 34", "12345678901"):
            try:
                await _check_code(harness, verification, entered)
            except InvalidData as error:
                require(not entered or entered not in str(error), "An error shows the code.")
                continue
            except ConnectorError as error:
                raise AssertionError(f"{entered!r} became {error!r}.") from None
            raise AssertionError(f"{entered!r} was taken for a code.")
        require(
            count == len(harness.sandbox.requests),
            "A text that cannot be a code counted as an attempt.",
        )


VERIFICATIONS: Final = (
    a_right_code_is_approved_once,
    attempts_are_bounded,
    a_code_is_sent_once,
    a_lost_check_is_not_repeated,
    no_code_is_shown,
)
