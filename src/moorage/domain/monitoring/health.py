"""The health of services, stores and queues, with the reasons for it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import is_seconds, is_wait, plain_seconds
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_FORTNIGHT: Final = 14 * 86_400.0


class HealthState(StrEnum):
    """A degree of health, such as healthy or degraded, of a hub or of a part of it.

    A degraded part works with restrictions, or is about to stop. `UNKNOWN` means that nothing
    could be read, or that nothing observes the part.
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class HealthConcern(StrEnum):
    """The kind of a health problem, by which programs such as alert rules select problems."""

    CIRCUIT_OPEN = "circuit_open"
    CIRCUIT_PROBING = "circuit_probing"
    VENDOR_PAUSE = "vendor_pause"
    LIMIT_SPENT = "limit_spent"
    BUDGET_SPENT = "budget_spent"
    PROBE_FAILED = "probe_failed"
    CONSENT_NEEDED = "consent_needed"
    TOKEN_NOT_RENEWED = "token_not_renewed"  # noqa: S105 - the name of a reason
    DEAD_LETTERS = "dead_letters"
    LATE_ENTRIES = "late_entries"
    UNKNOWN_OUTCOMES = "unknown_outcomes"
    STORE_UNREACHABLE = "store_unreachable"
    LOG_ENTRIES_LOST = "log_entries_lost"
    TENANT_RECORDS = "tenant_records"
    EXPIRES_SOON = "expires_soon"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    UNOBSERVED = "unobserved"


SERVICE_CONCERNS: Final = frozenset(
    {
        HealthConcern.CIRCUIT_OPEN,
        HealthConcern.CIRCUIT_PROBING,
        HealthConcern.VENDOR_PAUSE,
        HealthConcern.LIMIT_SPENT,
        HealthConcern.BUDGET_SPENT,
        HealthConcern.PROBE_FAILED,
        HealthConcern.CONSENT_NEEDED,
        HealthConcern.TOKEN_NOT_RENEWED,
        HealthConcern.UNOBSERVED,
    }
)
"""The kinds of health problems that only services have."""


@frozen
class HealthReason:
    """A reason why a service, store or queue is not healthy.

    Attributes:
        part: the service, store or queue that it is about.
        concern: the kind of the reason.
        state: the health of the part for this reason alone.
        text: the problem, as a sentence.
        remedy: the advice to the user, as a sentence.
        amount: the size of the problem, such as a number of entries or of seconds; 1 if it has
            none.
    """

    part: str
    concern: HealthConcern
    state: HealthState
    text: str
    remedy: str
    amount: float = 1.0


@frozen(kw_only=True)
class ServiceHealth:
    """The health of one service, or of one of its regions.

    Attributes:
        service: the name of the service.
        region: the region; None if the service has none.
        state: the health.
        reasons: the reasons for it, the worst first; empty if it is healthy.
    """

    service: str
    region: str | None = None
    state: HealthState
    reasons: tuple[HealthReason, ...] = ()


@frozen(kw_only=True)
class Health:
    """The health of a hub's services, stores and queues at one moment.

    Attributes:
        at: the moment.
        state: the health in total.
        services: the health of each service.
        reasons: the reasons that belong to no single service: stores, queues, payments and expiry.
    """

    at: datetime
    state: HealthState
    services: tuple[ServiceHealth, ...] = ()
    reasons: tuple[HealthReason, ...] = ()

    @property
    def is_ready(self) -> bool:
        """True if this process should receive requests: it is healthy or degraded."""
        return self.state in {HealthState.HEALTHY, HealthState.DEGRADED}

    @property
    def all_reasons(self) -> tuple[HealthReason, ...]:
        """The reasons for the health of all services, and then of the stores and queues."""
        service_reasons = tuple(reason for service in self.services for reason in service.reasons)
        return service_reasons + self.reasons

    def as_dict(self) -> dict[str, Any]:
        """The health as plain values, for JSON."""
        return {
            "state": self.state.value,
            "at": self.at.isoformat(timespec="milliseconds"),
            "services": [
                {
                    "service": service.service,
                    "region": service.region,
                    "state": service.state.value,
                    "reasons": [_plain_fields(reason) for reason in service.reasons],
                }
                for service in self.services
            ],
            "reasons": [_plain_fields(reason) for reason in self.reasons],
        }


def _plain_fields(reason: HealthReason) -> dict[str, Any]:
    return {
        "part": reason.part,
        "concern": reason.concern.value,
        "state": reason.state.value,
        "text": reason.text,
        "remedy": reason.remedy,
        "amount": reason.amount,
    }


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@with_careful_constructor
@frozen(kw_only=True)
class HealthPolicy:
    """The rules by which a hub's health is assessed.

    Attributes:
        required: The services, queues and stores without which the hub cannot work. If one of them
            is unavailable, everything is; otherwise everything is only degraded.
        longest_wait: Seconds that a call may have to wait for a rate limit before its service
            counts as degraded.
        overdue_after: Seconds for which an entry may be due in an outbox or inbox before the queue
            counts as degraded.
        expiry_notice: Seconds before the expiry of a certificate or secret at which its reports
            begin.
    """

    required: tuple[str, ...] = field(default=(), converter=_names)
    longest_wait: float = field(default=10.0, converter=plain_seconds, validator=is_wait)
    overdue_after: float = field(default=300.0, converter=plain_seconds, validator=is_seconds)
    expiry_notice: float = field(default=_FORTNIGHT, converter=plain_seconds, validator=is_seconds)


@frozen(kw_only=True)
class Backlog:
    """The entries of an inbox or outbox that have waited too long or need a person's decision.

    Attributes:
        dead: the number of entries that were given up.
        unknown: the number of entries whose work may have been done.
        late: seconds for which the oldest due entry has waited, among the 100 entries that workers
            take next; 0 if none is due.
        more: true if there may be more entries than were counted.
        problem: the reason why the queue could not be read, as a sentence; None if it was read.
    """

    dead: int = 0
    unknown: int = 0
    late: float = 0.0
    more: bool = False
    problem: str | None = None


def _is_aware(expiry: Expiry, _: object, value: datetime) -> None:
    if value.tzinfo is None:
        raise ConfigurationError(
            f"The expiry of {expiry.name!r} has no time zone.",
            path="expiries.at",
            remedy="Use an aware datetime, such as datetime(2027, 1, 1, tzinfo=UTC).",
        )


@frozen
class Expiry:
    """A certificate or a secret that expires at a known time.

    Attributes:
        name: the name of the thing that expires, such as "client certificate of the bank".
        at: the time of expiry (aware).
    """

    name: str
    at: datetime = field(validator=_is_aware)
