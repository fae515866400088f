"""Conversion of DocuSign's responses and events to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.signatures import (
    Envelope,
    EnvelopeStatus,
    SignatureEvent,
    SignatureEventType,
    SignatureReceipt,
    SignerState,
    SignerStatus,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Answer, MakeRef, Ref, Response, WebhookEvent

STATUSES: Final[Mapping[str, EnvelopeStatus]] = {
    **sdk.same(EnvelopeStatus, "created sent completed declined voided processing"),
    "delivered": EnvelopeStatus.VIEWED,
    # All persons have signed, but DocuSign has not completed the envelope.
    "signed": EnvelopeStatus.PROCESSING,
    "timedout": EnvelopeStatus.EXPIRED,
}
"""States of envelopes by DocuSign's words, which it writes in small or capital letters."""

SIGNER_STATUSES: Final[Mapping[str, SignerStatus]] = {
    **sdk.same(SignerStatus, "sent signed declined"),
    "created": SignerStatus.WAITING,
    "delivered": SignerStatus.VIEWED,
    "completed": SignerStatus.SIGNED,
    "autoresponded": SignerStatus.FAILED,
}

EVENTS: Final[Mapping[str, SignatureEventType]] = {
    **sdk.words(SignatureEventType.SENT, "envelope-sent recipient-sent"),
    **sdk.words(SignatureEventType.VIEWED, "envelope-delivered recipient-delivered"),
    **sdk.words(SignatureEventType.DECLINED, "envelope-declined recipient-declined"),
    "recipient-completed": SignatureEventType.SIGNED,
    "envelope-completed": SignatureEventType.COMPLETED,
    "envelope-voided": SignatureEventType.VOIDED,
    "envelope-resent": SignatureEventType.REMINDED,
    "recipient-autoresponded": SignatureEventType.FAILED,
}

_ACCESS: Final = """
    ACCOUNT_LACKS_PERMISSIONS AUTHORIZATION_INVALID_TOKEN PARTNER_AUTHENTICATION_FAILED
    USER_AUTHENTICATION_FAILED USER_LACKS_PERMISSIONS
"""
_LIMITS: Final = """
    BURST_APIINVOCATION_LIMIT_EXCEEDED HOURLY_APIINVOCATION_LIMIT_EXCEEDED
    BURST_APIINVOCATION_ENVELOPE_LIMIT_EXCEEDED HOURLY_APIINVOCATION_ENVELOPE_LIMIT_EXCEEDED
    BURST_ENVELOPE_POLLING_LIMIT_EXCEEDED HOURLY_ENVELOPE_POLLING_LIMIT_EXCEEDED
"""
_REQUEST: Final = """
    ANCHOR_TAG_PROCESSING_FAILURE INVALID_EMAIL_ADDRESS_FOR_RECIPIENT INVALID_REQUEST_BODY
    INVALID_REQUEST_PARAMETER UNABLE_TO_CONVERT_DOCUMENT
"""
NOT_VOIDABLE: Final = "ENVELOPE_CANNOT_VOID_INVALID_STATE"


def _error_code_and_text(response: Response) -> tuple[str | None, str | None]:
    answer = sdk.error_answer(response)
    code = answer.text("errorCode")
    # The text may contain an address; the code may differ in capital letters.
    return code and code.upper(), sdk.masked_words(answer.text("message"))


REFUSALS: Final = sdk.Refusals(
    vendor="DocuSign",
    codes={
        **dict.fromkeys(_ACCESS.split(), sdk.AuthenticationFailed),
        **dict.fromkeys(_LIMITS.split(), sdk.RateLimitExceeded),
        **dict.fromkeys(_REQUEST.split(), sdk.InvalidRequest),
    },
    statuses=sdk.error_statuses("413 415", login="401 403"),
    read=_error_code_and_text,
)


def status_at(answer: Answer, path: str) -> EnvelopeStatus:
    """The state of an envelope, from the status text at this path in the response."""
    return STATUSES.get((answer.text(path) or "").lower(), EnvelopeStatus.UNKNOWN)


def read_receipt(ref: MakeRef, response: Response) -> SignatureReceipt:
    """The receipt of a created envelope."""
    answer = sdk.read_answer(response)
    id_ = sdk.required(answer.text("envelopeId"), response, "envelopeId")
    return SignatureReceipt(
        ref=ref(id_),
        status=status_at(answer, "status"),
        at=answer.time("statusDateTime"),
        raw=answer.raw,
    )


def read_change(ref: Ref, status: EnvelopeStatus | None, response: Response) -> SignatureReceipt:
    """The receipt after an envelope was changed.

    DocuSign may state errors of single parts in a successful response.
    """
    answer = sdk.read_answer(response)
    id_ = sdk.required(answer.text("envelopeId"), response, "envelopeId")
    if id_.lower() != ref.id.lower() or answer.text("errorDetails.errorCode") is not None:
        raise sdk.malformed(response, "envelopeId")
    return SignatureReceipt(ref=ref, status=status, raw=answer.raw)


def read_found(ref: MakeRef, mark: str, response: Response) -> SignatureReceipt | None:
    """The receipt of the envelope with this search mark; None if there is none."""
    answer = sdk.read_answer(response)
    entries = [
        *answer.objects("envelopeTransactionStatuses"),
        *answer.objects("envelopes"),
    ]
    for entry in entries:
        id_ = entry.text("envelopeId")
        if id_ is not None and entry.text("transactionId") == mark:
            return SignatureReceipt(ref=ref(id_), status=status_at(entry, "status"), raw=answer.raw)
    return None


def _signer_state(answer: Answer) -> SignerState:
    vendor_status = answer.text("status")
    return SignerState(
        email=answer.text("email"),
        name=answer.text("name"),
        status=SIGNER_STATUSES.get((vendor_status or "").lower(), SignerStatus.UNKNOWN),
        vendor_status=vendor_status,
        viewed_at=answer.time("deliveredDateTime"),
        signed_at=answer.time("signedDateTime"),
        reason=answer.text("declinedReason"),
    )


def read_envelope(ref: Ref, response: Response) -> Envelope:
    """The state of an envelope."""
    answer = sdk.read_answer(response)
    id_ = sdk.required(answer.text("envelopeId"), response, "envelopeId")
    if id_.lower() != ref.id.lower():
        raise sdk.malformed(response, "envelopeId")
    signers = tuple(_signer_state(item) for item in answer.objects("recipients.signers"))
    declined_reasons = [signer.reason for signer in signers if signer.reason]
    return Envelope(
        ref=ref,
        status=status_at(answer, "status"),
        vendor_status=answer.text("status"),
        signers=signers,
        reason=answer.text("voidedReason") or next(iter(declined_reasons), None),
        created_at=answer.time("createdDateTime"),
        completed_at=answer.time("completedDateTime"),
        expires_at=answer.time("expireDateTime"),
        raw=answer.raw,
    )


def embedded_id(envelope: Envelope, email: str) -> str | None:
    """An embedded signer's id in an envelope; None if the signer is not embedded."""
    signers = sdk.as_answer(envelope.raw).objects("recipients.signers")
    return next(
        (
            signer.text("clientUserId")
            for signer in signers
            if (signer.text("email") or "").lower() == email.lower()
        ),
        None,
    )


def read_events(event: WebhookEvent, ref: MakeRef) -> tuple[SignatureEvent, ...]:
    """The event in a webhook; empty if it is not about an envelope."""
    answer = sdk.as_answer(event.payload)
    word, id_ = answer.text("event"), answer.text("data.envelopeId")
    if word is None or id_ is None:
        return ()
    recipient = answer.text("data.recipientId")
    signers = answer.objects("data.envelopeSummary.recipients.signers")
    signer = next(
        (item.text("email") for item in signers if item.text("recipientId") == recipient), None
    )
    return (
        SignatureEvent(
            id=event.id,
            ref=ref(id_),
            type=EVENTS.get(word, SignatureEventType.UNKNOWN),
            vendor_type=word,
            signer=signer if recipient else None,
            at=answer.time("generatedDateTime"),
            raw=answer.raw,
        ),
    )
