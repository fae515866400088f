"""Parsing of Resend's responses and webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import (
    EmailEvent,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    RecipientOutcome,
    RejectReason,
)
from moorage.vendors.email._common import (
    bare_address,
    check_some_readable,
    days_of,
    receipt_of,
    split_pairs,
    status_of,
    texts_of,
)

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import StatisticsQuery
    from moorage.contracts.email_received import ReceivedEmail

_KINDS: Final[dict[str, type[sdk.ConnectorError]]] = {
    "missing_api_key": sdk.AuthenticationFailed,
    "restricted_api_key": sdk.AuthenticationFailed,
    "invalid_api_key": sdk.AuthenticationFailed,
    "suspended_api_key": sdk.AuthenticationFailed,
    "invalid_permission": sdk.AuthenticationFailed,
    "daily_quota_exceeded": sdk.RateLimitExceeded,
    "monthly_quota_exceeded": sdk.RateLimitExceeded,
    "rate_limit_exceeded": sdk.RateLimitExceeded,
    "application_error": sdk.VendorFailed,
    "service_unavailable": sdk.VendorFailed,
    "resource_locked": sdk.VendorFailed,
}
_INVALID_KEY: Final = "API key is invalid"
"""The beginning of the text of a `validation_error` that is about the key and not the request."""
_STATUSES: Final[dict[int, type[sdk.ConnectorError]]] = {
    400: sdk.InvalidRequest,
    401: sdk.AuthenticationFailed,
    413: sdk.InvalidRequest,
    422: sdk.InvalidRequest,
    429: sdk.RateLimitExceeded,
}
"""The class of error by HTTP status, for unknown error names; any other status is a refusal."""
_EVENTS: Final = {
    "email.scheduled": EmailStatus.SCHEDULED,
    "email.sent": EmailStatus.SENT,
    "email.delivered": EmailStatus.DELIVERED,
    "email.delivery_delayed": EmailStatus.DEFERRED,
    "email.bounced": EmailStatus.BOUNCED,
    "email.suppressed": EmailStatus.REJECTED,
    "email.failed": EmailStatus.FAILED,
    "email.opened": EmailStatus.OPENED,
    "email.clicked": EmailStatus.CLICKED,
    "email.complained": EmailStatus.COMPLAINED,
    "email.canceled": EmailStatus.CANCELED,
    "email.queued": EmailStatus.QUEUED,
}
_RECEIVED: Final = "email.received"
_DELAY_EVENT: Final = "email.delivery_delayed"
_CAUSES: Final = {
    "email.bounced": RejectReason.BOUNCED,
    "email.suppressed": RejectReason.BLOCKED,
    "email.failed": RejectReason.OTHER,
    "email.complained": RejectReason.SPAM,
}
_PERMANENT: Final = {"Permanent": True, "Transient": False, "Temporary": False}
COUNTS: Final = {
    "requested": "received",
    "processed": "sent",
    "delivered": "delivered",
    "deferred": "delivery_delayed",
    "bounced": "bounced",
    "blocked": "suppressed",
    "dropped": "failed",
    "opened": "opened",
    "unique_opened": "unique_opened",
    "clicked": "clicked",
    "unique_clicked": "unique_clicked",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}
"""Resend's counters, by the contract's names."""


def read_receipt(
    wire: sdk.Wire,
    fields: sdk.Answer,
    people: tuple[EmailAddress, ...],
    status: EmailStatus,
    response: sdk.Response,
) -> EmailReceipt:
    """Parse the receipt of an accepted message."""
    id_ = sdk.required(fields.text("id"), response, "id")
    return receipt_of(wire, id_, people, status, fields.raw)


def read_message(ref: sdk.Ref, response: sdk.Response) -> EmailReceipt:
    """Parse the state of a message, by its last event."""
    fields = sdk.read_answer(response)
    if fields.text("id") != ref.id:
        raise sdk.malformed(response, "id")
    last_event = fields.text("last_event")
    status = _EVENTS.get(f"email.{last_event}", EmailStatus.UNKNOWN)
    people = [bare_address(text) or text for text in fields.texts("to")]
    return EmailReceipt(
        ref=ref,
        status=status,
        vendor_status=last_event,
        recipients=tuple(RecipientOutcome(email=email, status=status) for email in people),
        raw=fields.raw,
    )


def read_batch(
    wire: sdk.Wire, bulk: BulkMessage, response: sdk.Response
) -> list[sdk.Result[EmailReceipt]]:
    """Parse a bulk message's results, with separate lists of accepted and refused messages."""
    body = sdk.read_answer(response)
    refusals = {error.integer("index"): error for error in body.objects("errors")}
    accepted_entries = body.value("data")
    if not sdk.is_list(accepted_entries) or len(accepted_entries) + len(refusals) != len(
        bulk.recipients
    ):
        raise sdk.malformed(response, "result for each message")
    entry_iterator = iter(accepted_entries)
    results: list[sdk.Result[EmailReceipt]] = []
    for number, recipient in enumerate(bulk.recipients):
        if number in refusals:
            results.append(sdk.Result(error=_refused_result(wire, refusals[number])))
            continue
        fields = sdk.as_answer(next(entry_iterator, None))
        try:
            receipt = read_receipt(
                wire, fields, recipient.everybody, status_of(bulk.base), response
            )
            results.append(sdk.Result(receipt))
        except sdk.ConnectorError as error:
            results.append(sdk.Result(error=error))
    check_some_readable(results, response)
    return results


def _refused_result(wire: sdk.Wire, error: sdk.Answer) -> sdk.InvalidRequest:
    words = sdk.masked_words(error.text("message"))
    return sdk.InvalidRequest(
        f"Resend refused the message to one recipient: {words or 'no reason is given'}",
        service=wire.account,
        vendor_message=words,
    )


def read_metrics(query: StatisticsQuery, response: sdk.Response) -> EmailStatistics:
    """Parse the email statistics in a response."""
    return days_of(query, response, "data", "period", COUNTS)


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for the error name in a response, which is more specific than the status."""
    status = response.status
    if sdk.is_success(status):
        return None
    error = sdk.error_answer(response)
    name = error.text("name")
    if name is None:
        return None
    if name == "concurrent_idempotent_requests":
        return sdk.IdempotencyInProgress("Resend is still working on a request with this key.")
    if name == "invalid_idempotent_request":
        return sdk.IdempotencyConflict("Resend received this key before, with another request.")
    words = error.text("message") or ""
    kind: Any = _KINDS.get(name, _error_class(status))
    if words.startswith(_INVALID_KEY):
        kind = sdk.AuthenticationFailed
    return sdk.refusal(kind, "Resend", response, name, sdk.masked_words(words))


def _error_class(status: int) -> type[sdk.ConnectorError]:
    if status >= 500:
        return sdk.VendorFailed
    return _STATUSES.get(status, sdk.VendorRejected)


def read_events(
    event: sdk.WebhookEvent, ref: sdk.MakeRef
) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
    """Convert a webhook to one event per recipient, or to a received message."""
    fields = sdk.as_answer(event.payload)
    kind, id_ = fields.text("type"), fields.text("data.email_id")
    if kind is None or id_ is None:
        return ()
    if kind == _RECEIVED:
        from moorage.vendors.email._resend_received import read_received  # noqa: PLC0415 - few accounts receive mail

        message = read_received(
            fields.object("data"),
            ref(id_),
            id=event.id,
            is_complete=False,
            is_forgeable=event.is_forgeable,
            raw=fields.raw,
        )
        return (message,)
    recipients = fields.texts("data.to")
    bounce = fields.object("data.bounce") or fields.object("data.suppressed")
    tags, metadata = split_pairs(texts_of(fields.value("data.tags")))
    return tuple(
        EmailEvent(
            id=event.id if len(recipients) < 2 else f"{event.id}/{number}",
            ref=ref(id_),
            status=_EVENTS.get(kind, EmailStatus.UNKNOWN),
            vendor_status=kind,
            at=fields.time("created_at"),
            email=bare_address(email),
            code=bounce.text("subType") or bounce.text("reason"),
            reason=bounce.text("message") or fields.text("data.failed.reason"),
            cause=_CAUSES.get(kind),
            permanent=False if kind == _DELAY_EVENT else _PERMANENT.get(bounce.text("type") or ""),
            url=fields.text("data.click.link"),
            user_agent=fields.text("data.click.userAgent"),
            tags=tags,
            metadata=metadata,
            raw=fields.raw,
        )
        for number, email in enumerate(recipients or (None,), 1)
    )
