"""Helpers for SMS verification codes: options, phone numbers, and refusals as results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.verification import Verification, VerificationStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.vendor_sdk import Answer, ConnectorError, MakeRef, Request, Response

_CODE: Final = re.compile(rb'(?:"(?:code|otp|pin)": ?"|(?:^|&)Code=)([0-9A-Za-z]{4,10})(?=["&]|\Z)')
"""An entered code in the body of a request."""
_MASK: Final = "***"
_OPEN_STATUSES: Final = frozenset({408, 425})


@attrs.frozen
class CodeMaskingClassifier:
    """Masks the code that a user entered in error responses that repeat it.

    A code of digits is too short to be masked like a credential. It is masked after the error
    response was read, because an entered code may equal one of the vendor's own error codes.

    Attributes:
        classify: classifier of the responses.
    """

    classify: Callable[[Request, Response], ConnectorError | None]

    def __call__(self, request: Request, response: Response, /) -> ConnectorError | None:
        """Return the error for a response with its code masked; None to use only the status."""
        error = self.classify(request, response)
        match = _CODE.search(request.body) if isinstance(request.body, bytes) else None
        if match is None or sdk.is_success(response.status):
            return error
        code = re.compile(rf"(?<![0-9A-Za-z]){match[1].decode()}(?![0-9A-Za-z])")
        body = response.body.decode("utf-8", "replace")
        masked_response = response.evolve(body=code.sub(_MASK, body).encode())
        if error is not None:
            _mask(error, code, masked_response)
        elif code.search(body) is not None:
            is_open = response.status >= 500 or response.status in _OPEN_STATUSES
            kind = sdk.VendorFailed if is_open else sdk.VendorRejected
            error = kind(
                f"Checking the code failed with HTTP status {response.status}.",
                status=response.status,
                response=masked_response,
            )
        return error


def _mask(error: ConnectorError, code: re.Pattern[str], masked_response: Response) -> None:
    """Mask an entered code in an error's message, but leave the vendor's error code unchanged."""
    error.args = (code.sub(_MASK, error.message),)
    words: str | None = getattr(error, "vendor_message", None)
    fields = {
        "vendor_message": words and code.sub(_MASK, words),
        "response": masked_response,
    }
    for name, value in fields.items():
        if getattr(error, name, None) is not None:
            setattr(error, name, value)


def needed_option(value: str | None, name: str, vendor: str, meaning: str) -> str:
    """Return an account option, after checking that it is set, as verification codes need it.

    Raises:
        ConfigurationError: the account has no such option.
    """
    if value:
        return value
    raise sdk.ConfigurationError(
        f"Verification codes require the option {name}, which the account at {vendor} does not"
        " set.",
        path=name,
        remedy=f"Set {name} to {meaning}.",
    )


def read_fields(_: MakeRef, response: Response) -> Answer:
    """The fields of a response, for an operation that converts them itself."""
    return sdk.read_answer(response)


def check_same_number(stated: str | None, to: str, vendor: str) -> None:
    """Refuse a code that was sent to another number.

    Raises:
        VendorRejected: the vendor states another number.
    """
    if stated is not None and stated.removeprefix("+") != to.removeprefix("+"):
        raise sdk.VendorRejected(
            f"{vendor} checked a code that was sent to another number.",
            vendor_code="other_number",
            remedy="Do not treat this number as verified. Start a verification of the right"
            " number.",
        )


def refused(ref: sdk.Ref, refusal: sdk.VendorRejected, status: VerificationStatus) -> Verification:
    """The verification's state after the vendor refused to check a code."""
    raw = None if refusal.response is None else sdk.error_answer(refusal.response).raw
    code = refusal.vendor_code or (None if refusal.status is None else str(refusal.status))
    return Verification(ref=ref, status=status, vendor_status=code, raw=raw)
