"""Assesses the health of services, stores and queues from the values that were read.

`assess_health` is a pure function of readings, which its caller has read from the stores before. So
a health that was assessed once can be kept and shown without input or output.
"""

from __future__ import annotations

from datetime import timedelta
from shlex import quote
from typing import TYPE_CHECKING, Final

from moorage.domain.idempotency.tenant_records import is_nearly_full
from moorage.domain.monitoring.health import (
    Backlog,
    Expiry,
    Health,
    HealthConcern,
    HealthPolicy,
    HealthReason,
    HealthState,
    ServiceHealth,
)
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from moorage.domain.monitoring.readings import HealthReadings, ServiceReading

_RANK: Final = {
    HealthState.HEALTHY: 0,
    HealthState.UNKNOWN: 1,
    HealthState.DEGRADED: 2,
    HealthState.UNAVAILABLE: 3,
}
_DEGRADED_STATE: Final = HealthState.DEGRADED
_UNAVAILABLE: Final = HealthState.UNAVAILABLE


def assess_health(readings: HealthReadings, now: datetime, policy: HealthPolicy) -> Health:
    """Return a hub's health, derived from the values that were read.

    A part that is unavailable makes the whole hub degraded. It makes the whole hub unavailable only
    if the policy requires the part, or if all services are unavailable.
    """
    services = tuple(_service_health(reading, policy) for reading in readings.services)
    reasons = tuple(_general_reasons(readings, now, policy))
    every_reason = [reason for service in services for reason in service.reasons] + [*reasons]
    states = {service.state for service in services}
    if states == {_UNAVAILABLE} or any(
        reason.part in policy.required and reason.state is _UNAVAILABLE for reason in every_reason
    ):
        state = _UNAVAILABLE
    elif reasons or states & {_DEGRADED_STATE, _UNAVAILABLE}:
        state = _DEGRADED_STATE
    elif states == {HealthState.UNKNOWN}:
        state = HealthState.UNKNOWN
    else:
        state = HealthState.HEALTHY
    return Health(at=now, state=state, services=services, reasons=reasons)


def as_of(health: Health, now: datetime, longest_age: float) -> Health:
    """Return the stored health; if it is older than `longest_age` seconds, an unknown health."""
    age = (now - health.at).total_seconds()
    if age <= longest_age:
        return health
    reason = HealthReason(
        "health",
        HealthConcern.UNREADABLE,
        HealthState.UNKNOWN,
        f"The health was not checked for {age:.0f} s.",
        "Start the health monitor in this process, for example with `with HealthMonitor(hub):`.",
        age,
    )
    return Health(at=health.at, state=HealthState.UNKNOWN, reasons=(reason,))


def unreadable_health(error: Exception, now: datetime) -> Health:
    """Return the health after a check that failed: unknown, with the error as the reason."""
    # The text of a foreign exception may contain a secret.
    text = error.message if isinstance(error, ConnectorError) else f"{type(error).__name__}."
    reason = HealthReason(
        "health",
        HealthConcern.UNREADABLE,
        HealthState.UNKNOWN,
        f"The health could not be checked: {text}",
        "Fix the cause. The next check runs automatically.",
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
            HealthConcern.UNREADABLE,
            HealthState.UNKNOWN,
            f"The state of the service cannot be read: {reading.problem}",
            "Restore the store of shared state. Until then, each process applies its own limits.",
        )
    yield from _circuit_reasons(reading)
    yield from _limit_reasons(reading, policy)
    yield from _probe_reasons(reading)
    yield from _token_reasons(reading)
    if reading.circuit is None and reading.probe is None and not reading.problem:
        yield HealthReason(
            reading.service,
            HealthConcern.UNOBSERVED,
            HealthState.UNKNOWN,
            "Nothing monitors the service: it has no circuit and no probe.",
            "Configure a circuit or a probe for the service.",
        )


def _circuit_reasons(reading: ServiceReading) -> Iterator[HealthReason]:
    name = reading.service
    options = _option("--region", reading.region) + _option("--tenant", reading.tenant)
    if reading.circuit == "forced_open":
        yield HealthReason(
            name,
            HealthConcern.CIRCUIT_OPEN,
            _UNAVAILABLE,
            "The circuit was opened by hand, so all calls are refused.",
            f"Run `moorage circuit reset {name}{options}` when calls may continue.",
        )
    elif reading.circuit == "open":
        retry_delay = reading.retry_after or 0.0
        failures = "1 failure" if reading.failures == 1 else f"{reading.failures} failures"
        cause = f" after {failures}" if reading.failures else ""
        yield HealthReason(
            name,
            HealthConcern.CIRCUIT_OPEN,
            _UNAVAILABLE,
            f"The circuit is open{cause}, so calls are refused. The next attempt follows in"
            f" {retry_delay:.0f} s.",
            "Check whether the vendor reports an incident, and list the errors with `moorage"
            " logs list`. The circuit closes automatically when calls succeed again.",
            retry_delay,
        )
    elif reading.circuit == "half_open":
        yield HealthReason(
            name,
            HealthConcern.CIRCUIT_PROBING,
            _DEGRADED_STATE,
            "The circuit admits a few calls to test whether the service works again.",
            "Wait. The circuit closes after enough successes.",
        )


def _option(name: str, value: str | None) -> str:
    """Return an option of a command with its value, quoted for a shell; "" without a value."""
    return "" if value is None else f" {name} {quote(value)}"


def _limit_reasons(reading: ServiceReading, policy: HealthPolicy) -> Iterator[HealthReason]:
    name, wait = reading.service, max(reading.waits, default=0.0)
    if reading.pause:
        yield HealthReason(
            name,
            HealthConcern.VENDOR_PAUSE,
            _DEGRADED_STATE,
            f"The vendor asked for a pause. {reading.pause:.0f} s of it are left.",
            "Wait, or end the pause with `moorage limits reset"
            f" {name}{_option('--tenant', reading.tenant)}`.",
            reading.pause,
        )
    elif wait > policy.longest_wait:
        yield HealthReason(
            name,
            HealthConcern.LIMIT_SPENT,
            _DEGRADED_STATE,
            f"The rate limit is used up: the next call waits for {wait:.0f} s.",
            "Send fewer calls, or agree on a higher limit with the vendor and configure it.",
            wait,
        )
    if not reading.retries:
        yield HealthReason(
            name,
            HealthConcern.BUDGET_SPENT,
            _DEGRADED_STATE,
            "The retry budget is used up, so failed calls are not retried.",
            "Find the cause of the failures. The budget recovers with successful calls.",
        )


def _probe_reasons(reading: ServiceReading) -> Iterator[HealthReason]:
    probe = reading.probe
    if probe is None or probe.error is None:
        return
    times = "once" if probe.failures == 1 else f"{probe.failures} times in a row"
    yield HealthReason(
        reading.service,
        HealthConcern.PROBE_FAILED,
        _UNAVAILABLE if probe.failures >= probe.threshold else _DEGRADED_STATE,
        f"The probe failed {times}: {probe.error}",
        f"Check the address and the credentials with `moorage ping {reading.service}`.",
        probe.failures,
    )


def _token_reasons(reading: ServiceReading) -> Iterator[HealthReason]:
    token = reading.token
    if token is None:
        return
    state = _DEGRADED_STATE if token.still_works else _UNAVAILABLE
    if token.consent:
        yield HealthReason(
            reading.service,
            HealthConcern.CONSENT_NEEDED,
            state,
            "The OAuth grant has ended: a person must authorise the application again.",
            f"Run `moorage oauth login {reading.service}`, or send a person to the consent page.",
        )
        return
    old_token_state = (
        "the old token is still valid" if token.still_works else "the old token has expired"
    )
    yield HealthReason(
        reading.service,
        HealthConcern.TOKEN_NOT_RENEWED,
        state,
        f"The access token could not be renewed; {old_token_state}.",
        "Check the client's credentials and the authorisation server.",
    )


def _store_remedy(store: str, *, separate_keys: bool) -> str:
    if store == "claims":
        effect = "calls with an idempotency key are refused"
    elif separate_keys:
        effect = "each process uses its own limits and circuits"
    else:
        effect = (
            "calls with an idempotency key are refused, and each process uses its own limits and"
            " circuits"
        )
    return f"Restore the store. Until then, {effect}."


def _general_reasons(
    readings: HealthReadings, now: datetime, policy: HealthPolicy
) -> Iterator[HealthReason]:
    for store, problem in readings.outages.items():
        yield HealthReason(
            store,
            HealthConcern.STORE_UNREACHABLE,
            _UNAVAILABLE,
            f"The store {store!r} does not answer: {problem}",
            _store_remedy(store, separate_keys=readings.separate_keys),
        )
    for name, backlog in readings.queues.items():
        yield from _queue_reasons(name, backlog, policy)
    if readings.unsettled:
        yield HealthReason(
            "payments",
            HealthConcern.UNKNOWN_OUTCOMES,
            _DEGRADED_STATE,
            f"The outcome of {_number_of(readings.unsettled, 'payment')} is unknown.",
            "Run `moorage payments settle`. List the remaining payments with `moorage"
            " payments unsettled`, and look them up at the vendor.",
            readings.unsettled,
        )
    if readings.unknown_keys:
        yield HealthReason(
            "idempotency keys",
            HealthConcern.UNKNOWN_OUTCOMES,
            _DEGRADED_STATE,
            f"The outcome of {_number_of(readings.unknown_keys, 'idempotency key')} is unknown.",
            "List the calls with `moorage logs list --status unknown`, check at the vendor"
            " whether each call took effect, and record the outcome with `moorage keys"
            " resolve`.",
            readings.unknown_keys,
        )
    if readings.lost_entries:
        yield HealthReason(
            "log",
            HealthConcern.LOG_ENTRIES_LOST,
            _DEGRADED_STATE,
            f"The integration log could not store {_number_of(readings.lost_entries, 'entry')}.",
            "Check the database of the log, its disk, and the size of the log's queue.",
            readings.lost_entries,
        )
    for tenant, records in readings.records.items():
        if is_nearly_full(records.used, records.bound):
            yield HealthReason(
                f"tenant {tenant}",
                HealthConcern.TENANT_RECORDS,
                _DEGRADED_STATE,
                f"The tenant {tenant} uses {records.used:,} of {records.bound:,} idempotency"
                " records. At the limit, its calls with new keys are refused.",
                "Find out why the tenant sends so many keys, or raise `records_per_tenant` in"
                " every process.",
                100 * records.used / records.bound,
            )
    for expiry in readings.expiries:
        yield from _expiry_reasons(expiry, now, policy)


def _queue_reasons(name: str, backlog: Backlog, policy: HealthPolicy) -> Iterator[HealthReason]:
    if backlog.problem is not None:
        yield HealthReason(
            name,
            HealthConcern.STORE_UNREACHABLE,
            _UNAVAILABLE,
            f"The {name} cannot be read: {backlog.problem}",
            "Restore the database. No entry in it is lost.",
        )
        return
    count_prefix = "At least " if backlog.more else ""
    if backlog.dead:
        yield HealthReason(
            name,
            HealthConcern.DEAD_LETTERS,
            _DEGRADED_STATE,
            f"{count_prefix}{_number_of(backlog.dead, 'entry')} of the {name} "
            f"{'was' if backlog.dead == 1 else 'were'} given up.",
            f"Run `moorage {name} list --stuck`, then replay or drop the entries.",
            backlog.dead,
        )
    if backlog.unknown:
        yield HealthReason(
            name,
            HealthConcern.UNKNOWN_OUTCOMES,
            _DEGRADED_STATE,
            f"{count_prefix}{_number_of(backlog.unknown, 'entry')} of the {name}"
            f" {'has' if backlog.unknown == 1 else 'have'} an unknown outcome.",
            f"Run `moorage {name} list --stuck`, and look up the outcomes at the vendor.",
            backlog.unknown,
        )
    if backlog.late > policy.overdue_after:
        yield HealthReason(
            name,
            HealthConcern.LATE_ENTRIES,
            _DEGRADED_STATE,
            f"An entry of the {name} has been due for {backlog.late:.0f} s.",
            f"Check that a worker runs, such as `moorage {name} run`.",
            backlog.late,
        )


def _expiry_reasons(expiry: Expiry, now: datetime, policy: HealthPolicy) -> Iterator[HealthReason]:
    seconds_to_expiry = (expiry.at - now).total_seconds()
    if seconds_to_expiry <= 0:
        yield HealthReason(
            expiry.name,
            HealthConcern.EXPIRED,
            _UNAVAILABLE,
            f"The {expiry.name} expired on {expiry.at:%Y-%m-%d}.",
            "Replace it.",
            seconds_to_expiry,
        )
    elif seconds_to_expiry <= policy.expiry_notice:
        days = timedelta(seconds=seconds_to_expiry).days
        yield HealthReason(
            expiry.name,
            HealthConcern.EXPIRES_SOON,
            _DEGRADED_STATE,
            f"The {expiry.name} expires on {expiry.at:%Y-%m-%d}, in {_number_of(days, 'day')}.",
            "Replace it before this date.",
            seconds_to_expiry,
        )


def _number_of(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 entry" or "2 entries"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
