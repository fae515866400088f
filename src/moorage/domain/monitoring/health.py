"""The health of services, stores and queues, with the reasons for it.

`assess` is a pure function of readings, which its caller has read from the stores before. So a
health that was assessed once can be kept and shown without input or output.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.durations import is_seconds, is_wait, plain
from moorage.domain.values.frozen_values import frozen
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

_FORTNIGHT: Final = 14 * 86_400.0


class HealthState(StrEnum):
    """The health of a part of the hub, or of the whole hub.

    A degraded part works with restrictions, or is about to stop. `UNKNOWN` means that nothing
    could be read, or that nothing observes the part.
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class Concern(StrEnum):
    """The kind of a reason for bad health, which programs such as alert rules compare."""

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
    EXPIRES_SOON = "expires_soon"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    UNOBSERVED = "unobserved"


SERVICE_CONCERNS: Final = frozenset(
    {
        Concern.CIRCUIT_OPEN,
        Concern.CIRCUIT_PROBING,
        Concern.VENDOR_PAUSE,
        Concern.LIMIT_SPENT,
        Concern.BUDGET_SPENT,
        Concern.PROBE_FAILED,
        Concern.CONSENT_NEEDED,
        Concern.TOKEN_NOT_RENEWED,
        Concern.UNOBSERVED,
    }
)
"""The kinds of health problems that only services have."""


@frozen
class HealthReason:
    """A reason why a service, store or queue is not healthy.

    Attributes:
        part: the service, store or queue that it is about.
        concern: its kind.
        state: the health of the part for this reason alone.
        text: what is the matter, as a sentence.
        remedy: what to do about it, as a sentence.
        amount: its measure, such as a number of entries or of seconds; 1 if there is none.
    """

    part: str
    concern: Concern
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
        """The reasons for the health of all services, then those of stores and queues."""
        of_services = tuple(reason for service in self.services for reason in service.reasons)
        return of_services + self.reasons

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


@frozen(kw_only=True)
class HealthPolicy:
    """The rules by which a hub's health is assessed.

    Attributes:
        required: The services, queues and stores without which nothing works. If one of them is
            unavailable, everything is; otherwise everything is only degraded.
        longest_wait: Seconds that a call may have to wait for a rate limit before its service
            counts as degraded.
        latest: Seconds for which an entry may be due in an outbox or inbox before the queue counts
            as degraded.
        expiry_notice: Seconds before the expiry of a certificate or secret from which on it is
            reported.
    """

    required: tuple[str, ...] = attrs.field(default=(), converter=_names)
    longest_wait: float = attrs.field(default=10.0, converter=plain, validator=is_wait)
    latest: float = attrs.field(default=300.0, converter=plain, validator=is_seconds)
    expiry_notice: float = attrs.field(default=_FORTNIGHT, converter=plain, validator=is_seconds)


# --- readings ---------------------------------------------------------------------------


@frozen(kw_only=True)
class ProbeReading:
    """The last result of a health probe.

    Attributes:
        error: the error, as a sentence; None after a success.
        failures: the number of failures in a row.
        threshold: the number of failures in a row from which the service counts as unavailable.
    """

    error: str | None = None
    failures: int = 0
    threshold: int = 2


@frozen(kw_only=True)
class TokenReading:
    """An OAuth token that could not be renewed, for the assessment of health.

    Attributes:
        consent: true if a person must authorise the application again.
        still_works: true if the old token is still valid.
    """

    consent: bool = False
    still_works: bool = False


@frozen(kw_only=True)
class ServiceReading:
    """The shared state of a service or of one of its regions, for the assessment of health.

    Attributes:
        service: the name of the service.
        region: the region; None if the service has none.
        circuit: the state of the circuit; None without a circuit.
        retry_after: seconds until an open circuit admits a probe.
        failures: the number of failures that the circuit has counted.
        waits: seconds to wait for each rate limit.
        pause: seconds that are left of a pause that the vendor asked for.
        retries: true if the retry budget allows a retry, or there is none.
        problem: the reason why the state could not be read, as a sentence; None if it was read.
        probe: the last result of its probe, if it has one.
        token: set if its token could not be renewed.
    """

    service: str
    region: str | None = None
    circuit: str | None = None
    retry_after: float | None = None
    failures: int | None = None
    waits: tuple[float, ...] = ()
    pause: float = 0.0
    retries: bool = True
    problem: str | None = None
    probe: ProbeReading | None = None
    token: TokenReading | None = None


@frozen(kw_only=True)
class Backlog:
    """The entries of an inbox or outbox that wait too long or need a person's decision.

    Attributes:
        dead: the number of entries that were given up.
        unknown: the number of entries whose work may have been done.
        late: seconds for which the oldest due entry has waited; 0 if none is due.
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
            remedy="Give an aware datetime, such as datetime(2027, 1, 1, tzinfo=UTC).",
        )


@frozen
class Expiry:
    """A certificate or a secret that expires at a known time.

    Attributes:
        name: its name, such as "client certificate of the bank".
        at: its end (aware).
    """

    name: str
    at: datetime = attrs.field(validator=_is_aware)


@frozen(kw_only=True)
class Readings:
    """Everything that was read for the assessment of a hub's health.

    Attributes:
        services: the state of each service.
        queues: the backlog of each outbox and inbox, by name.
        unsettled: the number of payments with an unknown outcome.
        outages: by the name of a store that does not answer, the reason as a sentence.
        lost_entries: the number of entries that the integration log has lost.
        expiries: certificates and secrets whose end is known.
    """

    services: tuple[ServiceReading, ...] = ()
    queues: Mapping[str, Backlog] = attrs.field(factory=dict[str, Backlog])
    unsettled: int = 0
    outages: Mapping[str, str] = attrs.field(factory=dict[str, str])
    lost_entries: int = 0
    expiries: tuple[Expiry, ...] = ()


# --- assessment -------------------------------------------------------------------------


_RANK: Final = {
    HealthState.HEALTHY: 0,
    HealthState.UNKNOWN: 1,
    HealthState.DEGRADED: 2,
    HealthState.UNAVAILABLE: 3,
}
_DEGRADED: Final = HealthState.DEGRADED
_UNAVAILABLE: Final = HealthState.UNAVAILABLE


def assess(readings: Readings, now: datetime, policy: HealthPolicy) -> Health:
    """Return the health of a hub that follows from the readings.

    A part that is unavailable makes the whole degraded. It makes the whole unavailable only if the
    policy requires it, or if all services are unavailable.
    """
    services = tuple(_service_health(reading, policy) for reading in readings.services)
    reasons = tuple(_general_reasons(readings, now, policy))
    every_reason = [reason for service in services for reason in service.reasons] + [*reasons]
    states = {service.state for service in services}
    if states == {_UNAVAILABLE} or any(
        reason.part in policy.required and reason.state is _UNAVAILABLE for reason in every_reason
    ):
        state = _UNAVAILABLE
    elif reasons or states & {_DEGRADED, _UNAVAILABLE}:
        state = _DEGRADED
    elif states == {HealthState.UNKNOWN}:
        state = HealthState.UNKNOWN
    else:
        state = HealthState.HEALTHY
    return Health(at=now, state=state, services=services, reasons=reasons)


def as_of(health: Health, now: datetime, longest_age: float) -> Health:
    """Return a stored health; an unknown one if it is older than `longest_age` seconds."""
    age = (now - health.at).total_seconds()
    if age <= longest_age:
        return health
    reason = HealthReason(
        "health",
        Concern.UNREADABLE,
        HealthState.UNKNOWN,
        f"The health was not checked for {age:.0f} s.",
        "Start the health monitor in this process, for example `with HealthMonitor(hub):`.",
        age,
    )
    return Health(at=health.at, state=HealthState.UNKNOWN, reasons=(reason,))


def unreadable(error: Exception, now: datetime) -> Health:
    """Return the health after a check that failed: unknown, with the error as the reason."""
    # The text of a foreign exception may hold a secret.
    text = error.message if isinstance(error, ConnectorError) else f"{type(error).__name__}."
    reason = HealthReason(
        "health",
        Concern.UNREADABLE,
        HealthState.UNKNOWN,
        f"The health could not be checked: {text}",
        "Mend the cause; the next check follows by itself.",
    )
    return Health(at=now, state=HealthState.UNKNOWN, reasons=(reason,))


def _service_health(reading: ServiceReading, policy: HealthPolicy) -> ServiceHealth:
    reasons = sorted(_service_reasons(reading, policy), key=lambda r: -_RANK[r.state])
    state = reasons[0].state if reasons else HealthState.HEALTHY
    return ServiceHealth(
        service=reading.service, region=reading.region, state=state, reasons=tuple(reasons)
    )


def _service_reasons(reading: ServiceReading, policy: HealthPolicy) -> Iterator[HealthReason]:
    if reading.problem is not None:
        yield HealthReason(
            reading.service,
            Concern.UNREADABLE,
            HealthState.UNKNOWN,
            f"The state of the service cannot be read: {reading.problem}",
            "Restore the store of shared state; calls go on with limits of their own process.",
        )
    yield from _circuit_reasons(reading)
    yield from _limit_reasons(reading, policy)
    yield from _probe_reasons(reading)
    yield from _token_reasons(reading)
    if reading.circuit is None and reading.probe is None and not reading.problem:
        yield HealthReason(
            reading.service,
            Concern.UNOBSERVED,
            HealthState.UNKNOWN,
            "Nothing observes the service: it has neither a circuit nor a probe.",
            "Give the service a circuit or a probe.",
        )


def _circuit_reasons(reading: ServiceReading) -> Iterator[HealthReason]:
    name = reading.service
    if reading.circuit == "forced_open":
        yield HealthReason(
            name,
            Concern.CIRCUIT_OPEN,
            _UNAVAILABLE,
            "Somebody opened the circuit by hand, so all calls are refused.",
            f"Run `moorage circuit reset {name}` when calls may continue.",
        )
    elif reading.circuit == "open":
        retry_delay = reading.retry_after or 0.0
        failures = "1 failure" if reading.failures == 1 else f"{reading.failures} failures"
        cause = f" after {failures}" if reading.failures else ""
        yield HealthReason(
            name,
            Concern.CIRCUIT_OPEN,
            _UNAVAILABLE,
            f"The circuit is open{cause}, so calls are refused. The next try follows in"
            f" {retry_delay:.0f} s.",
            "Look for the vendor's incident, and for the errors with `moorage log list`. The"
            " circuit closes by itself when calls succeed again.",
            retry_delay,
        )
    elif reading.circuit == "half_open":
        yield HealthReason(
            name,
            Concern.CIRCUIT_PROBING,
            _DEGRADED,
            "The circuit admits a few calls to find out if the service works again.",
            "Wait: the circuit closes after enough successes.",
        )


def _limit_reasons(reading: ServiceReading, policy: HealthPolicy) -> Iterator[HealthReason]:
    name, wait = reading.service, max(reading.waits, default=0.0)
    if reading.pause:
        yield HealthReason(
            name,
            Concern.VENDOR_PAUSE,
            _DEGRADED,
            f"The vendor asked for a pause, of which {reading.pause:.0f} s are left.",
            f"Wait, or end the pause with `moorage limits reset {name}`.",
            reading.pause,
        )
    elif wait > policy.longest_wait:
        yield HealthReason(
            name,
            Concern.LIMIT_SPENT,
            _DEGRADED,
            f"The rate limit is used up: the next call waits for {wait:.0f} s.",
            "Send less, or agree on a higher limit with the vendor and configure it.",
            wait,
        )
    if not reading.retries:
        yield HealthReason(
            name,
            Concern.BUDGET_SPENT,
            _DEGRADED,
            "The retry budget is used up, so failed calls are not repeated.",
            "Look for the cause of the failures; the budget recovers with successful calls.",
        )


def _probe_reasons(reading: ServiceReading) -> Iterator[HealthReason]:
    probe = reading.probe
    if probe is None or probe.error is None:
        return
    times = "once" if probe.failures == 1 else f"{probe.failures} times in a row"
    yield HealthReason(
        reading.service,
        Concern.PROBE_FAILED,
        _UNAVAILABLE if probe.failures >= probe.threshold else _DEGRADED,
        f"The probe failed {times}: {probe.error}",
        f"Check the address and the credentials with `moorage ping {reading.service}`.",
        probe.failures,
    )


def _token_reasons(reading: ServiceReading) -> Iterator[HealthReason]:
    token = reading.token
    if token is None:
        return
    state = _DEGRADED if token.still_works else _UNAVAILABLE
    if token.consent:
        yield HealthReason(
            reading.service,
            Concern.CONSENT_NEEDED,
            state,
            "The OAuth grant has ended: a person must authorise the application again.",
            f"Run `moorage oauth login {reading.service}`, or send a person to the consent page.",
        )
        return
    old_token_state = (
        "the old one is still valid" if token.still_works else "the old one has expired"
    )
    yield HealthReason(
        reading.service,
        Concern.TOKEN_NOT_RENEWED,
        state,
        f"The access token could not be renewed; {old_token_state}.",
        "Check the client's credentials and the authorisation server.",
    )


def _general_reasons(
    readings: Readings, now: datetime, policy: HealthPolicy
) -> Iterator[HealthReason]:
    for store, problem in readings.outages.items():
        yield HealthReason(
            store,
            Concern.STORE_UNREACHABLE,
            _UNAVAILABLE,
            f"The store {store!r} does not answer: {problem}",
            "Restore the store. Until then calls with an idempotency key are refused, and each"
            " process has limits and circuits of its own.",
        )
    for name, backlog in readings.queues.items():
        yield from _queue_reasons(name, backlog, policy)
    if readings.unsettled:
        yield HealthReason(
            "payments",
            Concern.UNKNOWN_OUTCOMES,
            _DEGRADED,
            f"The outcome of {_number_of(readings.unsettled, 'payment')} is unknown.",
            "Run `moorage payments settle`, and look the rest up at the vendor:"
            " `moorage payments unsettled` lists them.",
            readings.unsettled,
        )
    if readings.lost_entries:
        yield HealthReason(
            "log",
            Concern.LOG_ENTRIES_LOST,
            _DEGRADED,
            f"The integration log could not store {_number_of(readings.lost_entries, 'entry')}.",
            "Check the database of the log, its disk, and the size of its queue.",
            readings.lost_entries,
        )
    for expiry in readings.expiries:
        yield from _expiry_reasons(expiry, now, policy)


def _queue_reasons(name: str, backlog: Backlog, policy: HealthPolicy) -> Iterator[HealthReason]:
    if backlog.problem is not None:
        yield HealthReason(
            name,
            Concern.STORE_UNREACHABLE,
            _UNAVAILABLE,
            f"The {name} cannot be read: {backlog.problem}",
            "Restore its database; nothing in it is lost.",
        )
        return
    count_prefix = "At least " if backlog.more else ""
    if backlog.dead:
        yield HealthReason(
            name,
            Concern.DEAD_LETTERS,
            _DEGRADED,
            f"{count_prefix}{_number_of(backlog.dead, 'entry')} of the {name} "
            f"{'was' if backlog.dead == 1 else 'were'} given up.",
            f"Look at `moorage {name} list --stuck`, then replay or drop the entries.",
            backlog.dead,
        )
    if backlog.unknown:
        yield HealthReason(
            name,
            Concern.UNKNOWN_OUTCOMES,
            _DEGRADED,
            f"{count_prefix}{_number_of(backlog.unknown, 'entry')} of the {name}"
            f" {'has' if backlog.unknown == 1 else 'have'} an unknown outcome.",
            f"Look at `moorage {name} list --stuck`, and look the outcome up at the vendor.",
            backlog.unknown,
        )
    if backlog.late > policy.latest:
        yield HealthReason(
            name,
            Concern.LATE_ENTRIES,
            _DEGRADED,
            f"An entry of the {name} has been due for {backlog.late:.0f} s.",
            f"Check that a worker runs, such as `moorage {name} run`.",
            backlog.late,
        )


def _expiry_reasons(expiry: Expiry, now: datetime, policy: HealthPolicy) -> Iterator[HealthReason]:
    seconds_to_expiry = (expiry.at - now).total_seconds()
    if seconds_to_expiry <= 0:
        yield HealthReason(
            expiry.name,
            Concern.EXPIRED,
            _UNAVAILABLE,
            f"The {expiry.name} expired on {expiry.at:%Y-%m-%d}.",
            "Replace it.",
            seconds_to_expiry,
        )
    elif seconds_to_expiry <= policy.expiry_notice:
        days = timedelta(seconds=seconds_to_expiry).days
        yield HealthReason(
            expiry.name,
            Concern.EXPIRES_SOON,
            _DEGRADED,
            f"The {expiry.name} expires on {expiry.at:%Y-%m-%d}, in {_number_of(days, 'day')}.",
            "Replace it before then.",
            seconds_to_expiry,
        )


def _number_of(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 entry" or "2 entries"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
