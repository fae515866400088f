"""Parsing of Unisender Go's answers, refusals and events, and its suppressed addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import (
    EmailEvent,
    EmailReceipt,
    EmailStatus,
    RecipientOutcome,
    RejectReason,
)
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._common import bare_address, masked, status_of, texts_of
from moorage.vendors.email._suppressions import read_page

if TYPE_CHECKING:
    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_address import EmailAddress

_PATH: Final = "/ru/transactional/api/v1/suppression"
_START: Final = "2010-01-01 00:00:00"
"""A time before all suppressions."""
_NOT_SUPPRESSED: Final = "3003"
_STATUSES: Final = sdk.error_statuses("400 413")
_EVENTS: Final = {
    "accepted": EmailStatus.QUEUED,
    "sent": EmailStatus.SENT,
    "delivered": EmailStatus.DELIVERED,
    "opened": EmailStatus.OPENED,
    "clicked": EmailStatus.CLICKED,
    "unsubscribed": EmailStatus.UNSUBSCRIBED,
    "subscribed": EmailStatus.SUBSCRIBED,
    "soft_bounced": EmailStatus.DEFERRED,
    "hard_bounced": EmailStatus.BOUNCED,
    "spam": EmailStatus.COMPLAINED,
}
_CAUSES: Final = {
    "err_user_unknown": RejectReason.INVALID,
    "err_user_inactive": RejectReason.INVALID,
    "err_mailbox_discarded": RejectReason.INVALID,
    "err_domain_inactive": RejectReason.INVALID,
    "err_mailbox_full": RejectReason.BOUNCED,
    "err_too_large": RejectReason.BOUNCED,
    "err_destination_misconfigured": RejectReason.BOUNCED,
    "err_delivery_failed": RejectReason.BOUNCED,
    "err_unreachable": RejectReason.BLOCKED,
    "err_skip_letter": RejectReason.BLOCKED,
    "err_blacklisted": RejectReason.BLOCKED,
    "err_spam_rejected": RejectReason.SPAM,
    "err_spam_skipped": RejectReason.SPAM,
    "err_unsubscribed": RejectReason.UNSUBSCRIBED,
    "err_lost": RejectReason.OTHER,
}
"""The reasons of a failed message by Unisender Go's delivery statuses."""
_REACTIONS: Final = {
    "hard_bounced": RejectReason.BOUNCED,
    "spam": RejectReason.SPAM,
    "unsubscribed": RejectReason.UNSUBSCRIBED,
}
_PERMANENT: Final = {"hard_bounced": True, "soft_bounced": False}
_FAILED: Final = "hard_bounced"
_ABOUT_MESSAGES: Final = "transactional_email_status"
_REASONS: Final = {
    "unsubscribed": RejectReason.UNSUBSCRIBED,
    "temporary_unavailable": RejectReason.BOUNCED,
    "permanent_unavailable": RejectReason.BOUNCED,
    "complained": RejectReason.SPAM,
    "blocked": RejectReason.BLOCKED,
}
_ENTRY: Final = sdk.Reading(
    Suppression,
    email=sdk.needed(sdk.text("email"), "email"),
    reason=sdk.word("cause", of=_REASONS, otherwise=RejectReason.OTHER),
    vendor_reason=sdk.text("cause"),
    at=sdk.time("created"),
)


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for an answer; an answer with status 200 may refuse every recipient."""
    answer = sdk.error_answer(response)
    if sdk.is_success(response.status):
        return _refusal_of_all(answer, response)
    code = _code(answer)
    if code is None or response.status >= 500:
        return None
    kind: Any = _STATUSES.get(response.status, sdk.VendorRejected)
    words = masked(answer.text("message") or "")
    return sdk.refusal(kind, "Unisender Go", response, code, words or None)


def _code(answer: sdk.Answer) -> str | None:
    number = answer.integer("code")
    return answer.text("code") if number is None else str(number)


def _refusal_of_all(answer: sdk.Answer, response: sdk.Response) -> sdk.VendorRejected | None:
    words = list(texts_of(answer.value("failed_emails")).values())
    if answer.texts("emails") or not words:
        return None
    return sdk.VendorRejected(
        f"Unisender Go refused all recipients: {words[0]}",
        status=response.status,
        vendor_code=words[0],
        response=response,
    )


def read_receipt(wire: sdk.Wire, message: EmailMessage, response: sdk.Response) -> EmailReceipt:
    """Parse the receipt of a message accepted for at least one recipient."""
    fields = sdk.read_answer(response)
    accepted = {email.lower() for email in fields.texts("emails")}
    failed = {
        email.lower(): word
        for email, word in texts_of(fields.value("failed_emails")).items()
        if email.lower() not in accepted
    }
    if not accepted or any(
        address.wire.lower() not in accepted | set(failed) for address in message.everybody
    ):
        raise sdk.malformed(response, "result for each recipient")
    status = status_of(message)
    return EmailReceipt(
        ref=wire.ref(sdk.required(fields.text("job_id"), response, "job_id")),
        status=status,
        recipients=tuple(
            _outcome(address.email, status, failed.get(address.wire.lower()))
            for address in message.everybody
        ),
        raw=fields.raw,
    )


def _outcome(email: str, status: EmailStatus, code: str | None) -> RecipientOutcome:
    return RecipientOutcome(
        email=email, status=status if code is None else EmailStatus.REJECTED, code=code
    )


def read_event(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EmailEvent, ...]:
    """Convert a webhook item to its event; none if it is not about a message."""
    item = sdk.as_answer(event.payload)
    fields = item.object("event_data")
    id_, kind = fields.text("job_id"), fields.text("status") or ""
    if id_ is None or item.text("event_name") != _ABOUT_MESSAGES:
        return ()
    code = fields.text("delivery_info.delivery_status")
    return (
        EmailEvent(
            id=event.id,
            ref=ref(id_),
            status=_EVENTS.get(kind, EmailStatus.UNKNOWN),
            vendor_status=kind or None,
            at=fields.time("event_time"),
            email=bare_address(fields.text("email")),
            code=code,
            reason=fields.text("delivery_info.destination_response"),
            cause=_CAUSES.get(code or "", _REACTIONS[kind])
            if kind == _FAILED
            else _REACTIONS.get(kind),
            permanent=_PERMANENT.get(kind),
            url=fields.text("url"),
            user_agent=fields.text("delivery_info.user_agent"),
            tags=fields.texts("tags"),
            metadata=texts_of(fields.value("metadata")),
            raw=item.raw,
        ),
    )


async def list_suppressed(wire: sdk.Wire, after: sdk.Ref | None) -> SuppressionPage:
    """A page of the suppressed addresses."""
    body = {"start_time": _START} if after is None else {"cursor": after.other("cursor")}
    request = sdk.Request.post(f"{_PATH}/list.json", json=body)
    response = await wire.send(request.evolve(idempotent=True))
    answer = sdk.read_answer(response)
    items, cursor = sdk.required_objects(answer, "suppressions", response), answer.text("cursor")
    start = wire.ref("suppressions", cursor=cursor) if cursor and items else None
    return read_page(wire, _ENTRY, items, response, after=start)


async def suppress(wire: sdk.Wire, address: EmailAddress) -> None:
    """Add an address to the suppressed addresses, without an end date."""
    body = {"email": address.wire, "cause": "unsubscribed"}
    request = sdk.Request.post(f"{_PATH}/set.json", json=body)
    await wire.send(request.evolve(idempotent=True))


async def send_again(wire: sdk.Wire, address: EmailAddress) -> None:
    """Remove an address from the suppressed addresses; a missing address counts as removed."""
    request = sdk.Request.post(f"{_PATH}/delete.json", json={"email": address.wire})
    try:
        await wire.send(request.evolve(idempotent=True))
    except sdk.VendorRejected as refusal:
        if refusal.vendor_code != _NOT_SUPPRESSED:
            raise
