"""Helpers of signature vendors: search marks of envelopes, expiry days and files."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.signatures import SignedFile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import date

    from moorage.contracts.signatures import (
        Envelope,
        SignatureReceipt,
        SignatureRequest,
        SignerState,
    )

_LONGEST_MARK: Final = 32
_PDF: Final = b"%PDF-"


def mark_of(wire: sdk.Wire, key: str) -> str:
    """The search mark of an envelope: a digest of its key."""
    content = f"{wire.account}\n{wire.tenant or ''}\n{key}"
    return sha256(content.encode()).hexdigest()[:_LONGEST_MARK]


async def sent_once(
    send: Callable[[], Awaitable[SignatureReceipt]],
    look_up: Callable[[], Awaitable[SignatureReceipt | None]],
) -> SignatureReceipt:
    """Send an envelope and return its receipt; if the response is lost, look the envelope up.

    Args:
        send: sends the envelope under its key.
        look_up: finds the envelope by its mark; None if the vendor does not have it yet.

    Raises:
        OutcomeUnknown: the response was lost, and the envelope was not found.
    """
    try:
        return await send()
    except sdk.OutcomeUnknown as unknown_outcome:
        try:
            receipt = await look_up()
        except sdk.ConnectorError:
            receipt = None
        if receipt is None:
            raise unknown_outcome from None
        return receipt


def check_expiry(request: SignatureRequest, today: date) -> None:
    """Refuse a request that expires today or has expired.

    Raises:
        InvalidData: the request expires today or has expired.
    """
    if request.expires_on is not None and request.expires_on <= today:
        raise sdk.InvalidData(
            "The request expires today or has expired, so nobody could sign.",
            field="expires_on",
            remedy="Pass a later day, or leave the expiry out.",
        )


def embedded_signer(envelope: Envelope, email: str) -> SignerState:
    """The signer with this email address.

    Raises:
        InvalidData: the envelope has no such signer.
    """
    for signer in envelope.signers:
        if signer.email is not None and signer.email.lower() == email.lower():
            return signer
    raise sdk.InvalidData(
        "The envelope has no signer with this email address.",
        field="email",
        remedy="Pass the address that the Signer had when the envelope was sent.",
    )


def read_pdf(response: sdk.Response) -> SignedFile:
    """The PDF in a response.

    Raises:
        VendorFailed: the response is not a PDF.
    """
    if not response.body.startswith(_PDF):
        raise sdk.malformed(response, "PDF")
    return SignedFile(content=response.body)
