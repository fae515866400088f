"""Conversion of Dropbox Sign's responses and events to values of the contract."""

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


MARK: Final = "moorage_key"
"""The name of the metadata by which a request is looked up."""
DELETED: Final = "deleted"
"""The code of a request that was cancelled or removed."""
_AWAITING: Final = "awaiting_signature"

_FLAGS: Final = {
    "has_error": EnvelopeStatus.FAILED,
    "is_declined": EnvelopeStatus.DECLINED,
    "is_complete": EnvelopeStatus.COMPLETED,
}
"""The flags of a request, most important first: a request with an error is not complete."""

SIGNER_STATUSES: Final[Mapping[str, SignerStatus]] = {
    **sdk.same(SignerStatus, "signed declined expired"),
    _AWAITING: SignerStatus.SENT,
}

EVENTS: Final[Mapping[str, SignatureEventType]] = {
    f"signature_request_{word}": meaning
    for word, meaning in {
        **sdk.same(SignatureEventType, "sent viewed signed declined expired"),
        **sdk.words(SignatureEventType.FAILED, "invalid email_bounce incomplete_qes"),
        "all_signed": SignatureEventType.COMPLETED,
        "canceled": SignatureEventType.VOIDED,
        "remind": SignatureEventType.REMINDED,
    }.items()
} | sdk.words(SignatureEventType.FAILED, "file_error sign_url_invalid unknown_error")


def _error_code_and_text(response: sdk.Response) -> tuple[str | None, str | None]:
    error = sdk.error_answer(response).object("error")
    return error.text("error_name"), sdk.masked_words(error.text("error_msg"))


REFUSALS: Final = sdk.Refusals(
    vendor="Dropbox Sign",
    codes={
        **dict.fromkeys(("bad_request", "invalid_recipient"), sdk.InvalidRequest),
        **dict.fromkeys(("unauthorized", "forbidden"), sdk.AuthenticationFailed),
        "exceeded_rate": sdk.RateLimitExceeded,
    },
    statuses=sdk.error_statuses("400 413", login="401 403"),
    # The files are still being prepared, and can be read later.
    reading={409: sdk.VendorFailed},
    read=_error_code_and_text,
)


def _request_of(response: sdk.Response) -> tuple[sdk.Answer, str]:
    request = sdk.read_answer(response).object("signature_request")
    id_ = request.text("signature_request_id")
    return request, sdk.required(id_, response, "signature_request_id")


def status_of(request: sdk.Answer) -> EnvelopeStatus:
    """A request's state, derived from its flags and signatures."""
    flags = {name: request.flag(name) for name in _FLAGS}
    if None in flags.values():
        return EnvelopeStatus.UNKNOWN
    for name, status in _FLAGS.items():
        if flags[name]:
            return status
    signers = _signer_states(request)
    statuses = {signer.status for signer in signers}
    if SignerStatus.EXPIRED in statuses:
        return EnvelopeStatus.EXPIRED
    if not statuses or SignerStatus.UNKNOWN in statuses:
        return EnvelopeStatus.UNKNOWN
    if statuses == {SignerStatus.SIGNED}:
        return EnvelopeStatus.PROCESSING
    return EnvelopeStatus.SENT if SignerStatus.SENT in statuses else EnvelopeStatus.VIEWED


def awaited_signatures(request: sdk.Answer) -> list[sdk.Answer]:
    """The signatures that are due now by the order of signing."""
    signatures = [
        item for item in request.objects("signatures") if item.text("status_code") == _AWAITING
    ]
    first_place = min((_signing_order(item) for item in signatures), default=0)
    return [item for item in signatures if _signing_order(item) == first_place]


def _signing_order(signature: sdk.Answer) -> int:
    return signature.integer("order") or 0


def _signer_states(request: sdk.Answer) -> tuple[SignerState, ...]:
    current_places = {_signing_order(item) for item in awaited_signatures(request)}
    return tuple(_signer_state(item, current_places) for item in request.objects("signatures"))


def _signer_state(signature: sdk.Answer, current_places: set[int]) -> SignerState:
    word, viewed_at = signature.text("status_code"), signature.time("last_viewed_at")
    status = SIGNER_STATUSES.get(word or "", SignerStatus.UNKNOWN)
    if status is SignerStatus.SENT and _signing_order(signature) not in current_places:
        status = SignerStatus.WAITING
    elif status is SignerStatus.SENT and viewed_at is not None:
        status = SignerStatus.VIEWED
    return SignerState(
        email=signature.text("signer_email_address"),
        name=signature.text("signer_name"),
        status=status,
        vendor_status=word,
        viewed_at=viewed_at,
        signed_at=signature.time("signed_at"),
        reason=signature.text("decline_reason"),
    )


def read_receipt(ref: sdk.MakeRef, response: sdk.Response) -> SignatureReceipt:
    """The receipt of a sent request or reminder."""
    request, id_ = _request_of(response)
    return SignatureReceipt(
        ref=ref(id_),
        status=status_of(request),
        at=request.time("created_at"),
        raw=sdk.read_answer(response).raw,
    )


def read_found(ref: sdk.MakeRef, mark: str, response: sdk.Response) -> SignatureReceipt | None:
    """The receipt of the request with this search mark; None if there is none."""
    answer = sdk.read_answer(response)
    for request in answer.objects("signature_requests"):
        id_ = request.text("signature_request_id")
        if id_ is not None and request.text(f"metadata.{MARK}") == mark:
            return SignatureReceipt(
                ref=ref(id_),
                status=status_of(request),
                at=request.time("created_at"),
                raw=request.raw,
            )
    return None


def read_envelope(ref: sdk.Ref, response: sdk.Response) -> Envelope:
    """The state of a request."""
    request, id_ = _request_of(response)
    if id_ != ref.id:
        raise sdk.malformed(response, "signature_request_id")
    signers = _signer_states(request)
    status = status_of(request)
    signing_times = [signer.signed_at for signer in signers if signer.signed_at is not None]
    is_complete = status is EnvelopeStatus.COMPLETED
    return Envelope(
        ref=ref,
        status=status,
        signers=signers,
        reason=next((signer.reason for signer in signers if signer.reason), None),
        created_at=request.time("created_at"),
        completed_at=max(signing_times, default=None) if is_complete else None,
        expires_at=request.time("expires_at"),
        raw=sdk.read_answer(response).raw,
    )


def request_in(envelope: Envelope) -> sdk.Answer:
    """The signature request in a response."""
    return sdk.as_answer(envelope.raw).object("signature_request")


def signature_id(envelope: Envelope, email: str) -> str | None:
    """The id of a person's signature; None if there is none."""
    return next(
        (
            item.text("signature_id")
            for item in request_in(envelope).objects("signatures")
            if (item.text("signer_email_address") or "").lower() == email.lower()
        ),
        None,
    )


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[SignatureEvent, ...]:
    """The event in a webhook; empty if it is not about a request."""
    answer = sdk.as_answer(event.payload)
    event_type = answer.text("event.event_type")
    id_ = answer.text("signature_request.signature_request_id")
    if event_type is None or id_ is None:
        return ()
    signature = answer.text("event.event_metadata.related_signature_id")
    signer = next(
        (
            item.text("signer_email_address")
            for item in answer.objects("signature_request.signatures")
            if signature is not None and item.text("signature_id") == signature
        ),
        None,
    )
    return (
        SignatureEvent(
            id=event.id,
            ref=ref(id_),
            type=EVENTS.get(event_type, SignatureEventType.UNKNOWN),
            vendor_type=event_type,
            signer=signer,
            at=answer.time("event.event_time"),
            raw=answer.raw,
        ),
    )
