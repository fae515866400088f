"""Electronic signatures: documents, signers, statuses, and the operations of vendors.

`requests` contains documents, signers and the request to send them, `envelopes` the states of sent
documents, `events` the changes that a vendor reports, and `vendor` the operations of a vendor.
"""

from __future__ import annotations

from moorage.contracts.signatures.envelopes import (
    Envelope,
    EnvelopeStatus,
    SignatureReceipt,
    SignedFile,
    SignerState,
    SignerStatus,
    SigningLink,
)
from moorage.contracts.signatures.events import SignatureEvent, SignatureEventType
from moorage.contracts.signatures.requests import (
    SignatureDocument,
    SignaturePlace,
    SignatureRequest,
    Signer,
    check_email,
    check_fits,
)
from moorage.contracts.signatures.vendor import KIND, SignaturesCapability, SignaturesVendor

__all__ = [
    "KIND",
    "Envelope",
    "EnvelopeStatus",
    "SignatureDocument",
    "SignatureEvent",
    "SignatureEventType",
    "SignaturePlace",
    "SignatureReceipt",
    "SignatureRequest",
    "SignaturesCapability",
    "SignaturesVendor",
    "SignedFile",
    "Signer",
    "SignerState",
    "SignerStatus",
    "SigningLink",
    "check_email",
    "check_fits",
]
