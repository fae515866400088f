"""Conversion of Acrobat Sign's responses and events to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from moorage.vendor_sdk import Answer, MakeRef, Ref, Response, WebhookEvent

CANCELLED: Final = "CANCELLED"
"""The word for an agreement that the sender cancelled, that a signer refused, or that failed."""
WAITING_FOR_OTHERS: Final = "WAITING_FOR_OTHERS"
"""The word for signers who wait for their turn, and for those who have signed already."""

STATUSES: Final[Mapping[str, EnvelopeStatus]] = {
    **sdk.words(EnvelopeStatus.CREATED, "AUTHORING DRAFT PREFILL"),
    **sdk.words(
        EnvelopeStatus.SENT,
        """
        OUT_FOR_SIGNATURE OUT_FOR_DELIVERY OUT_FOR_ACCEPTANCE OUT_FOR_FORM_FILLING
        OUT_FOR_APPROVAL
        """,
    ),
    # The word states the role of the last person.
    **sdk.words(EnvelopeStatus.COMPLETED, "SIGNED APPROVED DELIVERED ACCEPTED FORM_FILLED"),
    "DOCUMENTS_NOT_YET_PROCESSED": EnvelopeStatus.PROCESSING,
    "EXPIRED": EnvelopeStatus.EXPIRED,
}

ENDS: Final[Mapping[str, EnvelopeStatus]] = {
    "REJECTED": EnvelopeStatus.DECLINED,
    "RECALLED": EnvelopeStatus.VOIDED,
    **sdk.words(
        EnvelopeStatus.FAILED,
        """
        AUTO_CANCELLED_CONVERSION_PROBLEM RECALLED_MAX_SIGNING_KBA_ATTEMPTS
        RECALLED_MAX_SIGNING_PASSWORD_ATTEMPTS RECALLED_MAX_SIGNING_PHONE_ATTEMPTS
        """,
    ),
}
"""Statuses of cancelled agreements by the event that cancelled them."""

SIGNER_STATUSES: Final[Mapping[str, SignerStatus]] = {
    **sdk.words(
        SignerStatus.SENT,
        """
        WAITING_FOR_MY_SIGNATURE WAITING_FOR_MY_APPROVAL WAITING_FOR_MY_ACKNOWLEDGEMENT
        WAITING_FOR_MY_ACCEPTANCE WAITING_FOR_MY_FORM_FILLING WAITING_FOR_MY_DELEGATION
        WAITING_FOR_MY_VERIFICATION
        """,
    ),
    **sdk.words(
        SignerStatus.WAITING,
        f"NOT_YET_VISIBLE {WAITING_FOR_OTHERS} WAITING_FOR_AUTHORING WAITING_FOR_PREFILL",
    ),
    "COMPLETED": SignerStatus.SIGNED,
    "EXPIRED": SignerStatus.EXPIRED,
}

SIGNED_EVENTS: Final = sdk.word_set(
    "ACTION_COMPLETED ACTION_COMPLETED_HOSTED ACTION_COMPLETED_OFFLINE"
    " ACTION_COMPLETED_OFFLINE_HOSTED DIGSIGNED WRITTEN_SIGNED"
)
VIEWED_EVENTS: Final = frozenset({"DOCUMENTS_VIEWED", "DOCUMENTS_VIEWED_PASSWORD_PROTECTED"})

EVENTS: Final[Mapping[str, SignatureEventType]] = {
    f"AGREEMENT_{word}": meaning
    for word, meaning in {
        "ACTION_REQUESTED": SignatureEventType.SENT,
        "ACTION_COMPLETED": SignatureEventType.SIGNED,
        "WORKFLOW_COMPLETED": SignatureEventType.COMPLETED,
        "REJECTED": SignatureEventType.DECLINED,
        "RECALLED": SignatureEventType.VOIDED,
        "EXPIRED": SignatureEventType.EXPIRED,
        "REMINDER_SENT": SignatureEventType.REMINDED,
        **sdk.words(SignatureEventType.VIEWED, " ".join(sorted(VIEWED_EVENTS))),
        **sdk.words(SignatureEventType.FAILED, "EMAIL_BOUNCED AUTO_CANCELLED_CONVERSION_PROBLEM"),
    }.items()
}
_EVENTS_WITHOUT_SIGNER: Final = {
    SignatureEventType.COMPLETED,
    SignatureEventType.VOIDED,
    SignatureEventType.EXPIRED,
}
"""Events about all signers; the person in them is only the last one who acted."""


def _error_code_and_text(response: Response) -> tuple[str | None, str | None]:
    answer = sdk.error_answer(response)
    return answer.text("code"), sdk.masked_words(answer.text("message"))


REFUSALS: Final = sdk.Refusals(
    vendor="Acrobat Sign",
    codes={
        **dict.fromkeys(
            (
                "API_TERMS_NOT_ACCEPTED",
                "CONSENT_ACCEPTANCE_REQUIRED",
                "INVALID_API_ACCESS_POINT",
                "PERMISSION_DENIED",
            ),
            sdk.AuthenticationFailed,
        ),
        **dict.fromkeys(
            ("LARGE_FILE_SIZE", "TRANSIENT_RESOURCE_PROCESSING_FAILED"), sdk.InvalidRequest
        ),
        # The agreement is still being prepared, and can be read later.
        **dict.fromkeys(
            (
                "AGREEMENT_NOT_AVAILABLE",
                "AGREEMENT_NOT_EXPOSED",
                "AGREEMENT_NOT_VISIBLE",
                "DOCUMENT_NOT_AVAILABLE",
            ),
            sdk.VendorFailed,
        ),
        "NO_PERMISSION_TO_SIGN": sdk.VendorRejected,
    },
    statuses=sdk.error_statuses("400 413 415"),
    read=_error_code_and_text,
)


def read_upload(response: Response) -> str:
    """The id of an uploaded document."""
    id_ = sdk.read_answer(response).text("transientDocumentId")
    return sdk.required(id_, response, "transientDocumentId")


def read_receipt(ref: MakeRef, response: Response) -> SignatureReceipt:
    """The receipt of a sent agreement, which Adobe is still preparing."""
    answer = sdk.read_answer(response)
    id_ = sdk.required(answer.text("id"), response, "id")
    return SignatureReceipt(ref=ref(id_), status=EnvelopeStatus.CREATED, raw=answer.raw)


def read_ids(response: Response) -> tuple[str, ...]:
    """The ids of the agreements in a list."""
    items = sdk.read_answer(response).objects("userAgreementList")
    return tuple(id_ for item in items if (id_ := item.text("id")) is not None)


def read_agreement(ref: Ref, response: Response) -> tuple[Answer, str | None]:
    """An agreement, and its current version's ETag."""
    answer = sdk.read_answer(response)
    if answer.text("id") != ref.id:
        raise sdk.malformed(response, "id")
    return answer, response.headers.get("etag")


def read_list(name: str, response: Response) -> tuple[Answer, ...]:
    """The entries of a list, which must be in the response."""
    answer = sdk.read_answer(response)
    if not isinstance(answer.raw.get(name), list):
        raise sdk.malformed(response, name)
    return tuple(answer.objects(name))


def status_of(agreement: Answer, events: Sequence[Answer] = ()) -> EnvelopeStatus:
    """The state of an agreement; if it is cancelled, with the reason in the last event."""
    vendor_status = agreement.text("status") or ""
    if vendor_status == CANCELLED:
        ends = [ENDS[type_] for event in events if (type_ := event.text("type") or "") in ENDS]
        return ends[-1] if ends else EnvelopeStatus.UNKNOWN
    return STATUSES.get(vendor_status, EnvelopeStatus.UNKNOWN)


def members_in(sets: Sequence[Answer]) -> list[tuple[Answer, Answer]]:
    """The people who currently take part in an agreement, each with their participant set."""
    return [
        (group, member)
        for group in sets
        for member in group.objects("memberInfos")
        if member.text("status") != "REPLACED"
    ]


def ids_in_turn(sets: Sequence[Answer]) -> list[str]:
    """Return the ids of the members whose turn it is to sign."""
    return [
        id_
        for group, member in members_in(sets)
        if SIGNER_STATUSES.get(group.text("status") or "") is SignerStatus.SENT
        and (id_ := member.text("id")) is not None
    ]


def _last_event(
    events: Sequence[Answer], types: frozenset[str], email: str | None
) -> Answer | None:
    matches = [
        event
        for event in events
        if event.text("type") in types
        and (event.text("participantEmail") or "").lower() == (email or "").lower()
    ]
    return matches[-1] if matches else None


def _time(event: Answer | None) -> datetime | None:
    return None if event is None else event.time("date")


def _signer_state(group: Answer, member: Answer, events: Sequence[Answer]) -> SignerState:
    word, email = group.text("status"), member.text("email")
    status = SIGNER_STATUSES.get(word or "", SignerStatus.UNKNOWN)
    signed = _last_event(events, SIGNED_EVENTS, email)
    viewed = _last_event(events, VIEWED_EVENTS, email)
    declined = _last_event(events, frozenset({"REJECTED"}), email)
    if word == CANCELLED and declined is not None:
        status = SignerStatus.DECLINED
    elif word == WAITING_FOR_OTHERS and signed is not None:
        status = SignerStatus.SIGNED
    elif status is SignerStatus.SENT and viewed is not None:
        status = SignerStatus.VIEWED
    return SignerState(
        email=email,
        name=member.text("name") or group.text("name"),
        status=status,
        vendor_status=word,
        viewed_at=_time(viewed),
        signed_at=_time(signed),
        reason=None if declined is None else declined.text("comment"),
    )


def envelope_of(
    ref: Ref, agreement: Answer, sets: Sequence[Answer], events: Sequence[Answer]
) -> Envelope:
    """The state of an agreement, from the responses to three requests."""
    events = sorted(events, key=lambda event: event.text("date") or "")
    status = status_of(agreement, events)
    signers = tuple(_signer_state(*pair, events) for pair in members_in(sets))
    if status is EnvelopeStatus.SENT:
        current = {signer.status for signer in signers} & {SignerStatus.SENT, SignerStatus.VIEWED}
        status = EnvelopeStatus.VIEWED if current == {SignerStatus.VIEWED} else status
    is_complete = status is EnvelopeStatus.COMPLETED
    times = [signer.signed_at for signer in signers if signer.signed_at is not None]
    reasons = [event.text("comment") for event in events if event.text("type") in ENDS]
    raw: dict[str, Any] = {
        "agreement": agreement.raw,
        "participantSets": [item.raw for item in sets],
        "events": [event.raw for event in events],
    }
    return Envelope(
        ref=ref,
        status=status,
        vendor_status=agreement.text("status"),
        signers=signers,
        reason=reasons[-1] if reasons else None,
        created_at=agreement.time("createdDate"),
        completed_at=max(times, default=None) if is_complete else None,
        expires_at=agreement.time("expirationTime"),
        raw=raw,
    )


def link_of(email: str, response: Response) -> str | None:
    """A person's signing URL; None if the person cannot sign now."""
    for group in read_list("signingUrlSetInfos", response):
        for item in group.objects("signingUrls"):
            if (item.text("email") or "").lower() == email.lower():
                return sdk.required(item.text("esignUrl"), response, "esignUrl")
    return None


def read_events(event: WebhookEvent, ref: MakeRef) -> tuple[SignatureEvent, ...]:
    """The event in a webhook; empty if it is not about an agreement."""
    answer = sdk.as_answer(event.payload)
    word, id_ = answer.text("event"), answer.text("agreement.id")
    if word is None or id_ is None:
        return ()
    type_ = EVENTS.get(word, SignatureEventType.UNKNOWN)
    return (
        SignatureEvent(
            id=event.id,
            ref=ref(id_),
            type=type_,
            vendor_type=word,
            signer=None if type_ in _EVENTS_WITHOUT_SIGNER else answer.text("participantUserEmail"),
            at=answer.time("eventDate"),
            raw=answer.raw,
        ),
    )
