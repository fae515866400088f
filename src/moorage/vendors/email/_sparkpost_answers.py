"""Parsing of SparkPost's responses and webhooks."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import (
    AddressCheck,
    EmailEvent,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    RejectReason,
    Verdict,
)
from moorage.vendors.email._common import bare_address, days_of, outcomes, status_of, texts_of

if TYPE_CHECKING:
    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import StatisticsQuery

_PERCENT: Final = Decimal(100)
_VERDICTS: Final = {
    "valid": Verdict.DELIVERABLE,
    "risky": Verdict.RISKY,
    "undeliverable": Verdict.UNDELIVERABLE,
    "typo": Verdict.UNDELIVERABLE,
}
_NO_DOMAIN: Final = "Invalid Domain"
METRICS: Final = {
    "requested": "count_targeted",
    "processed": "count_injected",
    "delivered": "count_delivered",
    "deferred": "count_delayed",
    "bounced": "count_bounce",
    "dropped": "count_rejected",
    "opened": "count_rendered",
    "unique_opened": "count_unique_rendered",
    "clicked": "count_clicked",
    "unique_clicked": "count_unique_clicked",
    "complained": "count_spam_complaint",
    "unsubscribed": "count_unsubscribe",
}
"""SparkPost's counters, by the contract's names."""
_EVENTS: Final = {
    "injection": EmailStatus.QUEUED,
    "delay": EmailStatus.DEFERRED,
    "delivery": EmailStatus.DELIVERED,
    "bounce": EmailStatus.BOUNCED,
    "out_of_band": EmailStatus.BOUNCED,
    "policy_rejection": EmailStatus.REJECTED,
    "generation_rejection": EmailStatus.REJECTED,
    "generation_failure": EmailStatus.FAILED,
    "spam_complaint": EmailStatus.COMPLAINED,
    **sdk.words(EmailStatus.OPENED, "open initial_open amp_open amp_initial_open"),
    "click": EmailStatus.CLICKED,
    "amp_click": EmailStatus.CLICKED,
    "list_unsubscribe": EmailStatus.UNSUBSCRIBED,
    "link_unsubscribe": EmailStatus.UNSUBSCRIBED,
}
_BY_CLASS: Final = {
    "25": EmailStatus.REJECTED,
    "60": EmailStatus.UNKNOWN,
    "80": EmailStatus.SUBSCRIBED,
    "90": EmailStatus.UNSUBSCRIBED,
    "100": EmailStatus.UNKNOWN,
}
"""The statuses of events that SparkPost reports as bounces but that are none, by bounce class: its
own policies, and replies.
"""
_PERMANENT: Final = {
    **dict.fromkeys(("10", "25", "30"), True),
    **dict.fromkeys(("20", "21", "22", "23", "24", "40", "70"), False),
    **dict.fromkeys(("50", "51", "52", "53", "54"), False),
}
"""Classes of bounces that SparkPost calls hard, soft and blocks; a block is usually temporary."""
_CAUSES: Final = {
    **dict.fromkeys(("10", "30"), RejectReason.INVALID),
    **dict.fromkeys(("20", "21", "22", "23", "40", "70"), RejectReason.BOUNCED),
    "24": RejectReason.TIMED_OUT,
    **dict.fromkeys(("25", "50", "53", "54"), RejectReason.BLOCKED),
    **dict.fromkeys(("51", "52"), RejectReason.SPAM),
    "90": RejectReason.UNSUBSCRIBED,
    **dict.fromkeys(("60", "80", "100"), None),
}
"""The reasons for rejection by bounce class; an automatic reply is no failure."""
_REACTIONS: Final = {
    "spam_complaint": RejectReason.SPAM,
    "list_unsubscribe": RejectReason.UNSUBSCRIBED,
    "link_unsubscribe": RejectReason.UNSUBSCRIBED,
    "policy_rejection": RejectReason.BLOCKED,
    "generation_rejection": RejectReason.BLOCKED,
    "generation_failure": RejectReason.OTHER,
}
_BOUNCES: Final = frozenset({"bounce", "out_of_band"})
_DELAY_EVENT: Final = "delay"


def _words_of(response: sdk.Response) -> tuple[str | None, str | None]:
    """The code and text of a response's first error."""
    return _error_of(sdk.error_answer(response), "errors")


def _error_of(body: sdk.Answer, name: str) -> tuple[str | None, str | None]:
    error = next(body.objects(name), sdk.as_answer(None))
    words = [text for field in ("message", "description") if (text := error.text(field))]
    return error.text("code"), sdk.masked_words(": ".join(words))


_REFUSALS: Final = sdk.Refusals(
    vendor="SparkPost",
    codes={
        "1502": sdk.VendorFailed,
        **sdk.words(sdk.VendorRejected, "1601 1603 1901 1902 2004 2005 2103 5002 7000 7001"),
    },
    statuses={
        **sdk.error_statuses("400 405 406 413 415 422", login="401 403"),
        420: sdk.RateLimitExceeded,
    },
    read=_words_of,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response; status 200 is an error if no recipient was accepted."""
    if response.status != 200:
        return _REFUSALS(request, response)
    results = sdk.error_answer(response).object("results")
    is_refused = results.integer("total_accepted_recipients") == 0
    if not is_refused or not results.integer("total_rejected_recipients"):
        return None
    code, words = _error_of(results, "rcpt_to_errors")
    default_words = "it accepted no recipient"
    return sdk.refusal(
        sdk.VendorRejected, "SparkPost", response, code, words, otherwise=default_words
    )


def read_receipt(wire: sdk.Wire, message: EmailMessage, response: sdk.Response) -> EmailReceipt:
    """Parse the receipt of a message that SparkPost accepted for at least one recipient."""
    body = sdk.read_answer(response)
    results = body.object("results")
    id_ = sdk.required(results.text("id"), response, "results.id")
    status = status_of(message)
    rejected_count = results.integer("total_rejected_recipients") or 0
    # SparkPost counts the refused recipients, but does not name them.
    each_status = EmailStatus.UNKNOWN if rejected_count else status
    _, words = _error_of(results, "rcpt_to_errors")
    return EmailReceipt(
        ref=wire.ref(id_),
        status=status,
        recipients=outcomes(message.everybody, each_status),
        warnings=(words or f"{rejected_count} recipients were refused.",) if rejected_count else (),
        raw=body.raw,
    )


def read_check(address: EmailAddress, response: sdk.Response) -> AddressCheck:
    """Parse the response to an address check."""
    body = sdk.read_answer(response)
    results = body.object("results")
    verdict = sdk.required(results.text("result"), response, "results.result")
    reason, confidence = results.text("reason"), results.decimal("delivery_confidence")
    return AddressCheck(
        email=address.email,
        verdict=_VERDICTS.get(verdict, Verdict.UNKNOWN),
        vendor_verdict=verdict,
        score=None if confidence is None else confidence / _PERCENT,
        reasons=() if reason is None else (reason,),
        did_you_mean=results.text("did_you_mean"),
        disposable=results.flag("is_disposable"),
        role=results.flag("is_role"),
        mx=False if reason == _NO_DOMAIN else None,
        raw=body.raw,
    )


def read_metrics(query: StatisticsQuery, response: sdk.Response) -> EmailStatistics:
    """Parse the email statistics in a response."""
    return days_of(query, response, "results", "ts", METRICS)


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EmailEvent, ...]:
    """Convert a batch item to events; none for a test or received mail."""
    fields = _event_of(event.payload)
    id_, kind = fields.text("transmission_id"), fields.text("type")
    if id_ is None or kind is None:
        return ()
    bounce, tag = fields.text("bounce_class") or "", fields.text("campaign_id")
    return (
        EmailEvent(
            id=event.id,
            ref=ref(id_),
            status=_status(kind, bounce),
            vendor_status=kind,
            at=fields.time("timestamp"),
            email=bare_address(fields.text("raw_rcpt_to") or fields.text("rcpt_to")),
            code=bounce or fields.text("error_code") or fields.text("fbtype"),
            reason=fields.text("reason") or fields.text("raw_reason"),
            cause=_cause(kind, bounce),
            permanent=False if kind == _DELAY_EVENT else _PERMANENT.get(bounce),
            url=fields.text("target_link_url"),
            user_agent=fields.text("user_agent"),
            tags=() if tag is None else (tag,),
            metadata=texts_of(fields.value("rcpt_meta")),
            raw=fields.raw,
        ),
    )


def _event_of(payload: Any) -> sdk.Answer:
    """The event of an item, nested under its group's name."""
    groups = sdk.as_answer(payload).object("msys").raw.values()
    return sdk.as_answer(next(filter(sdk.is_object, groups), None))


def _status(kind: str, bounce: str) -> EmailStatus:
    status = _EVENTS.get(kind, EmailStatus.UNKNOWN)
    return _BY_CLASS.get(bounce, status) if kind in _BOUNCES else status


def _cause(kind: str, bounce: str) -> RejectReason | None:
    if kind in _BOUNCES:
        return _CAUSES.get(bounce, RejectReason.OTHER)
    return _REACTIONS.get(kind)
