"""Verification codes of SMS vendors: settings, numbers, and refusals that are answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage import vendor_sdk as sdk
from moorage.contracts.verification import Verification, VerificationStatus

if TYPE_CHECKING:
    from moorage.vendor_sdk import Answer, MakeRef, Response


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
