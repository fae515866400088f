"""Envelopes, which are sets of documents to sign: their states, signers and signed files."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.replays import replay_field
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.ref import Ref


class EnvelopeStatus(StrEnum):
    """The state of an envelope, which is a set of documents sent to sign.

    `viewed` means that every signer whose turn has come opened the documents. `processing` means
    that the vendor is still at work. `voiding` means that the vendor accepted the request to void
    the envelope, and has not confirmed that it is void. Only `completed` means that all signers
    have signed.
    """

    CREATED = "created"
    SENT = "sent"
    VIEWED = "viewed"
    PROCESSING = "processing"
    COMPLETED = "completed"
    DECLINED = "declined"
    VOIDING = "voiding"
    VOIDED = "voided"
    EXPIRED = "expired"
    FAILED = "failed"
    UNKNOWN = "unknown"


class SignerStatus(StrEnum):
    """The state of one signer.

    `waiting` means that others sign before; `failed` means that the vendor could not reach the
    signer.
    """

    WAITING = "waiting"
    SENT = "sent"
    VIEWED = "viewed"
    SIGNED = "signed"
    DECLINED = "declined"
    EXPIRED = "expired"
    FAILED = "failed"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class SignatureReceipt:
    """The vendor's response to a change of an envelope.

    Attributes:
        ref: reference of the envelope at the vendor.
        status: state of the envelope; None if the vendor does not state it.
        at: the vendor's time of the change, if the vendor states it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    status: EnvelopeStatus | None = None
    at: datetime | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class SignerState:
    """The state of one signer of an envelope.

    Attributes:
        email: email address of the person.
        name: name of the person.
        status: state of the signature.
        vendor_status: the vendor's own word for the state.
        viewed_at: time at which the person opened the documents last, if known.
        signed_at: time of the signature.
        reason: reason for declining, as the person gave it.
    """

    email: str | None = field(repr=False)
    name: str | None = field(default=None, repr=False)
    status: SignerStatus = SignerStatus.UNKNOWN
    vendor_status: str | None = None
    viewed_at: datetime | None = None
    signed_at: datetime | None = None
    reason: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Envelope:
    """Documents that were sent to signers, and the states of their signatures.

    Attributes:
        ref: reference of the envelope at the vendor.
        status: state of the envelope.
        vendor_status: the vendor's own word for the state, if it has one.
        signers: state of each signer.
        reason: reason for declining or voiding, if one was given.
        created_at: time of its creation.
        completed_at: time of the last signature.
        expires_at: time from which no one can sign any more.
        raw: the vendor's complete response.
    """

    ref: Ref
    status: EnvelopeStatus
    vendor_status: str | None = None
    signers: tuple[SignerState, ...] = ()
    reason: str | None = field(default=None, repr=False)
    created_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class SigningLink:
    """A link by which one person signs inside your application.

    Anyone who has the link can sign, so give it only to the signer, and store it nowhere.

    Attributes:
        url: address of the page to open.
        expires_at: time from which the link no longer works, if the vendor states it.
    """

    url: str = field(repr=False)
    expires_at: datetime | None = None


@frozen(kw_only=True)
class SignedFile:
    """A file of an envelope, such as the signed documents.

    Attributes:
        content: bytes of the PDF.
        content_type: media type of the file.
    """

    content: bytes = field(repr=False)
    content_type: str = "application/pdf"
