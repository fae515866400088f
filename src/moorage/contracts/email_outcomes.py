"""Results of email vendors: receipts, address checks, statistics and events."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import OneOf, is_day
from moorage.domain.values.frozen_values import as_dict, field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from moorage.contracts.ref import Ref


class EmailStatus(StrEnum):
    """The progress of a message to a recipient, or the recipient's reaction to it."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENT = "sent"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELED = "canceled"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    SUBSCRIBED = "subscribed"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """True if no more attempts at delivery will follow."""
        return self not in {self.SCHEDULED, self.QUEUED, self.SENT, self.DEFERRED, self.UNKNOWN}


class RejectReason(StrEnum):
    """The reason why a message did not reach a recipient, with the same names at all vendors."""

    INVALID = "invalid"
    """The address does not exist, or cannot exist."""
    BOUNCED = "bounced"
    """The recipient's server refused this message, or an earlier message."""
    TIMED_OUT = "timed_out"
    """The recipient's server could not be reached for too long."""
    BLOCKED = "blocked"
    """A rule of the recipient's server, of the vendor or of your account forbids it."""
    SPAM = "spam"
    """The message was taken for spam, or the recipient has complained."""
    UNSUBSCRIBED = "unsubscribed"
    """The recipient does not want such mail."""
    OTHER = "other"
    """A reason that the vendor states and that is none of these."""


@frozen(kw_only=True)
class RecipientOutcome:
    """The vendor's result for one recipient of a message.

    Attributes:
        email: address of the recipient.
        status: progress of the message to them.
        code, reason: the vendor's reason why the message will not reach them.
    """

    email: str = field(repr=False)
    status: EmailStatus
    code: str | None = None
    reason: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class EmailReceipt:
    """The receipt of a message: the vendor's response about the message.

    Attributes:
        ref: reference of the message at the vendor.
        status: progress of the message.
        vendor_status: the vendor's own word for the status.
        recipients: results of the single recipients.
        warnings: warnings of the vendor.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    status: EmailStatus
    vendor_status: str | None = None
    recipients: tuple[RecipientOutcome, ...] = ()
    warnings: tuple[str, ...] = ()
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


class Verdict(StrEnum):
    """The vendor's opinion whether an address can receive mail."""

    DELIVERABLE = "deliverable"
    RISKY = "risky"
    UNDELIVERABLE = "undeliverable"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class AddressCheck:
    """The result of checking an address; a value that the vendor does not state is None.

    Attributes:
        email: the address.
        verdict: judgement whether the address can receive mail.
        vendor_verdict: the vendor's own word for the verdict.
        score: the vendor's confidence, from 0 to 1.
        reasons: the vendor's reasons against the address.
        did_you_mean: suggested correction of a typing error.
        disposable: True for an address of a throw-away service.
        role: True for the address of a department instead of a person.
        mx: True if the domain accepts mail.
        raw: the vendor's complete response.
    """

    email: str = field(repr=False)
    verdict: Verdict
    vendor_verdict: str | None = None
    score: Decimal | None = None
    reasons: tuple[str, ...] = ()
    did_you_mean: str | None = field(default=None, repr=False)
    disposable: bool | None = None
    role: bool | None = None
    mx: bool | None = None
    raw: Any = field(default=None, repr=False, eq=False)


class Granularity(OneOf, field="granularity"):
    """The period that one row of statistics covers; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def begins(self, day: date) -> date:
        """The first day of the period that contains this day."""
        if self is Granularity.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Granularity.MONTH else day


@frozen(kw_only=True)
class StatisticsQuery:
    """A request for statistics.

    Attributes:
        start, end: first and last day, both included.
        granularity: time that one row covers.
    """

    start: date = field(validator=is_day)
    end: date = field(validator=is_day)
    granularity: Granularity = field(default=Granularity.DAY, converter=Granularity)

    def __attrs_post_init__(self) -> None:
        """Refuse an end before the start."""
        if self.end < self.start:
            raise InvalidData(
                "The end of the period is before its start.",
                field="end",
                remedy="Swap `start` and `end`.",
            )


@frozen(kw_only=True)
class EmailCounts:
    """Counts of messages and events; None where the vendor does not count.

    Attributes:
        requested: messages that were to be sent.
        processed: messages that the vendor began to send.
        delivered, deferred, bounced, blocked, dropped: messages by their outcome.
        opened, unique_opened, clicked, unique_clicked, complained, unsubscribed: reactions of
            recipients.
    """

    requested: int | None = None
    processed: int | None = None
    delivered: int | None = None
    deferred: int | None = None
    bounced: int | None = None
    blocked: int | None = None
    dropped: int | None = None
    opened: int | None = None
    unique_opened: int | None = None
    clicked: int | None = None
    unique_clicked: int | None = None
    complained: int | None = None
    unsubscribed: int | None = None


@frozen
class StatisticsRow:
    """The counts of one day, week or month, identified by its first day."""

    date: date
    counts: EmailCounts


@frozen(kw_only=True)
class EmailStatistics:
    """Statistics of the mail that an account sent.

    Attributes:
        query: the request.
        rows: counts, in order of time.
        totals: sum of all rows.
        raw: the vendor's complete response.
    """

    query: StatisticsQuery
    rows: tuple[StatisticsRow, ...]
    totals: EmailCounts
    raw: Any = field(default=None, repr=False, eq=False)

    @classmethod
    def of(
        cls,
        query: StatisticsQuery,
        counted: Iterable[tuple[date, EmailCounts]],
        raw: Any,
    ) -> EmailStatistics:
        """Combine counts of days or longer periods to the requested granularity."""
        rows: dict[date, list[EmailCounts]] = {}
        for day, counts in counted:
            rows.setdefault(query.granularity.begins(day), []).append(counts)
        return cls(
            query=query,
            rows=tuple(StatisticsRow(day, sum_of(rows[day])) for day in sorted(rows)),
            totals=sum_of(counts for several_counts in rows.values() for counts in several_counts),
            raw=raw,
        )


def sum_of(all_counts: Iterable[EmailCounts]) -> EmailCounts:
    """The sum of several counts; a field that is None in all of them stays None."""
    sums: dict[str, int] = {}
    for counts in all_counts:
        for name, value in as_dict(counts).items():
            if value is not None:
                sums[name] = sums.get(name, 0) + value
    return EmailCounts(**sums)


def no_words() -> dict[str, str]:
    """Return empty metadata, the default of metadata fields."""
    return {}


@frozen(kw_only=True)
class EmailEvent:
    """An event of a message, reported by the vendor's webhook.

    Attributes:
        id: unique id of the event.
        ref: reference of the message at the vendor.
        status: progress of the message, or the recipient's reaction.
        vendor_status: the vendor's own word for the status.
        at: time of the event, if the vendor states it.
        email: recipient that the event is about.
        code, reason: the vendor's reason why the message did not arrive.
        cause: the same reason in the words of all vendors; None for an event that is not a
            failure, or if the vendor states no reason.
        permanent: True if another attempt would fail too, None if the vendor does not state it.
        url: link that was clicked.
        user_agent: program in which the message was opened or a link was clicked.
        tags, metadata: tags and metadata of the message.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    status: EmailStatus
    vendor_status: str | None = None
    at: datetime | None = None
    email: str | None = field(default=None, repr=False)
    code: str | None = None
    reason: str | None = field(default=None, repr=False)
    cause: RejectReason | None = None
    permanent: bool | None = None
    url: str | None = field(default=None, repr=False)
    user_agent: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(factory=no_words, repr=False)
    raw: Any = field(default=None, repr=False, eq=False)
