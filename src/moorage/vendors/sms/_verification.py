"""Verification codes of SMS vendors: settings, numbers, and refusals that are answers."""

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
_MASK: Final = b"***"


@attrs.frozen
class WithoutCode:
    """A vendor's classifier that masks an entered code where the refusal repeats it.

    A code of digits is too short to be masked as a credential is.

    Attributes:
        classify: classifier of the masked answers.
    """

    classify: Callable[[Request, Response], ConnectorError | None]

    def __call__(self, request: Request, response: Response, /) -> ConnectorError | None:
        """The error for a refusal, without the code; None to choose it by the status alone."""
        match = _CODE.search(request.body) if isinstance(request.body, bytes) else None
        if match is None or sdk.is_success(response.status):
            return self.classify(request, response)
        masked_response = response.evolve(body=response.body.replace(match[1], _MASK))
        error = self.classify(request, masked_response)
        if error is None and masked_response.body != response.body:
            return sdk.VendorFailed(
                f"The check of a code failed with status {response.status}.",
                response=masked_response,
            )
        return error


def needed_option(value: str | None, name: str, vendor: str, meaning: str) -> str:
    """An option of the account that verification codes need.

    Raises:
        ConfigurationError: the account has no such option.
    """
    if value:
        return value
    raise sdk.ConfigurationError(
        f"The account at {vendor} has no {name}, which verification codes need.",
        path=name,
        remedy=f"Set {name} to {meaning}.",
    )


def read_fields(_: MakeRef, response: Response) -> Answer:
    """The fields of an answer, for an operation that makes its own result of them."""
    return sdk.read_answer(response)


def check_same_number(stated: str | None, to: str, vendor: str) -> None:
    """Refuse a code that was sent to another number than the one that is to be verified.

    Raises:
        VendorRejected: the vendor states another number.
    """
    if stated is not None and stated.removeprefix("+") != to.removeprefix("+"):
        raise sdk.VendorRejected(
            f"The code that {vendor} checked was sent to another number.",
            vendor_code="other_number",
            remedy="Verify no number by it, and start a verification of the right number.",
        )


def refused(ref: sdk.Ref, refusal: sdk.VendorRejected, status: VerificationStatus) -> Verification:
    """The verification that a refused check leaves."""
    raw = None if refusal.response is None else sdk.error_answer(refusal.response).raw
    code = refusal.vendor_code or (None if refusal.status is None else str(refusal.status))
    return Verification(ref=ref, status=status, vendor_status=code, raw=raw)
