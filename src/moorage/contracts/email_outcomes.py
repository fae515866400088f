"""What vendors of mail say: of messages, addresses and numbers, and of what became of it all."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.kinds import OneOf, is_day
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from moorage.contracts.ref import Ref


class EmailStatus(StrEnum):
    """How far a message has come with a recipient, or what they did with it."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENT = "sent"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    REJECTED = "rejected"
    FAILED = "failed"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    SUBSCRIBED = "subscribed"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Whether it will not be under way again."""
        return self not in {self.SCHEDULED, self.QUEUED, self.SENT, self.DEFERRED, self.UNKNOWN}


@attrs.frozen(kw_only=True)
class RecipientOutcome:
    """What a vendor says of one recipient of a message.

    Attributes:
        email: the address.
        status: how far the message has come with them.
        code, reason: why it will not reach them, in the vendor's words.
    """

    email: str = attrs.field(repr=False)
    status: EmailStatus
    code: str | None = None
    reason: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class EmailReceipt:
    """What a vendor says of a message.

    Attributes:
        ref: the message at the vendor.
        status: how far it has come.
        vendor_status: the same in the vendor's word.
        recipients: what is known of each.
        warnings: what the vendor said besides.
        raw: all that the vendor said.
    """

    ref: Ref
    status: EmailStatus
    vendor_status: str | None = None
    recipients: tuple[RecipientOutcome, ...] = ()
    warnings: tuple[str, ...] = ()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class Verdict(StrEnum):
    """Whether mail to an address arrives."""

    DELIVERABLE = "deliverable"
    RISKY = "risky"
    UNDELIVERABLE = "undeliverable"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class AddressCheck:
    """What a vendor knows of an address; None is what it does not say.

    Attributes:
        email: the address.
        verdict: whether mail to it arrives.
        vendor_verdict: the same in the vendor's word.
        score: how sure the vendor is, from 0 to 1.
        reasons: what speaks against it, in the vendor's words.
        did_you_mean: what was probably meant.
        disposable: whether it is one to throw away.
        role: whether it is a department's rather than a person's.
        mx: whether its domain takes mail.
        raw: all that the vendor said.
    """

    email: str = attrs.field(repr=False)
    verdict: Verdict
    vendor_verdict: str | None = None
    score: Decimal | None = None
    reasons: tuple[str, ...] = ()
    did_you_mean: str | None = attrs.field(default=None, repr=False)
    disposable: bool | None = None
    role: bool | None = None
    mx: bool | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class Granularity(OneOf, field="granularity"):
    """How long a row of statistics is; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def begins(self, day: date) -> date:
        """The first day of the time that a day belongs to."""
        if self is Granularity.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Granularity.MONTH else day


@attrs.frozen(kw_only=True)
class StatisticsQuery:
    """Which days to count.

    Attributes:
        start, end: the first and the last day.
        granularity: how long a row is.
    """

    start: date = attrs.field(validator=is_day)
    end: date = attrs.field(validator=is_day)
    granularity: Granularity = attrs.field(default=Granularity.DAY, converter=Granularity)

    def __attrs_post_init__(self) -> None:
        """Refuse days in the wrong order."""
        if self.end < self.start:
            raise InvalidData(
                "The last day is before the first.", field="end", remedy="Swap the days."
            )


@attrs.frozen(kw_only=True)
class EmailCounts:
    """How many; None is what the vendor does not count.

    Attributes:
        requested: how many were to be sent.
        processed: how many the vendor began to send.
        delivered, deferred, bounced, blocked, dropped: what became of them.
        opened, unique_opened, clicked, unique_clicked, complained, unsubscribed: what people did.
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


@attrs.frozen
class StatisticsRow:
    """The counts of one day, week or month, by its first day."""

    date: date
    counts: EmailCounts


@attrs.frozen(kw_only=True)
class EmailStatistics:
    """What became of mail over time.

    Attributes:
        query: what was asked.
        rows: the counts, in order of time.
        totals: all of them together.
        raw: all that the vendor said.
    """

    query: StatisticsQuery
    rows: tuple[StatisticsRow, ...]
    totals: EmailCounts
    raw: Any = attrs.field(default=None, repr=False, eq=False)

    @classmethod
    def of(
        cls,
        query: StatisticsQuery,
        counted: Iterable[tuple[date, EmailCounts]],
        raw: Any,
    ) -> EmailStatistics:
        """Statistics in the granularity asked for, of counts of days or longer."""
        rows: dict[date, list[EmailCounts]] = {}
        for day, counts in counted:
            rows.setdefault(query.granularity.begins(day), []).append(counts)
        return cls(
            query=query,
            rows=tuple(StatisticsRow(day, added(rows[day])) for day in sorted(rows)),
            totals=added(counts for several in rows.values() for counts in several),
            raw=raw,
        )


def added(several: Iterable[EmailCounts]) -> EmailCounts:
    """Counts together; what nobody counted stays None."""
    sums: dict[str, int] = {}
    for counts in several:
        for name, value in attrs.asdict(counts).items():
            if value is not None:
                sums[name] = sums.get(name, 0) + value
    return EmailCounts(**sums)


def no_words() -> dict[str, str]:
    """What stands where no metadata came."""
    return {}


@attrs.frozen(kw_only=True)
class EmailEvent:
    """News of a message.

    Attributes:
        id: what tells this news from any other.
        ref: the message at the vendor.
        status: how far it has come, or what was done with it.
        vendor_status: the same in the vendor's word.
        at: when, if the vendor says.
        email: which recipient it is about.
        code, reason: why it did not arrive, in the vendor's words.
        permanent: whether another try would be in vain, if the vendor says.
        url: what was clicked.
        tags, metadata: what was sent with the message.
        raw: all that the vendor said.
    """

    id: str | None
    ref: Ref
    status: EmailStatus
    vendor_status: str | None = None
    at: datetime | None = None
    email: str | None = attrs.field(default=None, repr=False)
    code: str | None = None
    reason: str | None = attrs.field(default=None, repr=False)
    permanent: bool | None = None
    url: str | None = attrs.field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = attrs.field(factory=no_words, repr=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)
