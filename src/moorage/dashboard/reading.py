"""The values that pages show, read from the hub, the queues and the integration log."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.payments import KIND
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.domain.idempotency.approval import ReadProposal
from moorage.domain.monitoring.objectives import compliance, first_month
from moorage.domain.observation.audit import AuditQuery
from moorage.domain.observation.figures import DAY, Figures, FiguresQuery, WindowFigures
from moorage.domain.observation.integration_log import IntegrationStatus, LogPage, LogQuery
from moorage.domain.resilience.circuit import CircuitState
from moorage.errors import InvalidData
from moorage.hub.audit import AuditTrail
from moorage.hub.internals import core_of, flows_of
from moorage.hub.service_status import service_statuses
from moorage.runtime.flows import run_now
from moorage.services.contracts.done_payments import done_payments
from moorage.services.monitoring.unknown_calls import unknown_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from moorage.contracts.payments import UnsettledPayment
    from moorage.domain.entries.pauses import Pause
    from moorage.domain.entries.queue import Entry, EntryPage
    from moorage.domain.idempotency.approval import Proposal
    from moorage.domain.monitoring.objectives import ObjectiveMonth
    from moorage.domain.observation.audit import AuditRecord
    from moorage.domain.observation.integration_log import IntegrationLog
    from moorage.domain.resilience.circuit import CircuitBreakerState
    from moorage.hub.hub import Hub
    from moorage.hub.service_status import ServiceStatus
    from moorage.ports.integration_log import IntegrationLogger
    from moorage.ports.metrics import Metrics
    from moorage.services.contracts.done_payments import DonePayment

OUTBOX: Final = "outbox"
INBOX: Final = "inbox"

FAILURES: Final = (
    IntegrationStatus.UNKNOWN,
    IntegrationStatus.FAILED,
    IntegrationStatus.TIMEOUT,
    IntegrationStatus.REJECTED,
)
"""The statuses of calls that an operator looks for first."""

CHARTED: Final = timedelta(hours=6)
"""The time that a chart shows."""
CHART_WINDOW: Final = timedelta(minutes=5)
"""The time of one bar of a chart."""

MONTHS: Final = 3
"""Months that the page of service levels shows."""

PAGE: Final = 50
"""Rows of a page."""

_MOST_ENTRIES: Final = 100
"""Entries are counted up to this number."""
_MOST_SCANNED: Final = 500
"""Log entries that are looked through for those of one circuit."""
_TIME_BEFORE: Final = timedelta(minutes=5)
_GAP: Final = timedelta(minutes=10)
_DECISIONS: Final = 100
"""Acts on payments that are read from the audit trail."""
_SUBJECT: Final = "payment "
"""The audit trail's name for a payment begins with this; its key follows."""


@attrs.frozen
class Refusals:
    """A period in which an open circuit refused calls."""

    first: datetime
    last: datetime
    count: int


@attrs.frozen
class Count:
    """A number of entries; `more` is True if counting stopped at a limit."""

    number: int
    more: bool

    @property
    def text(self) -> str:
        """The number as a text, such as "100+"."""
        return f"{self.number}+" if self.more else str(self.number)


@attrs.frozen
class Evidence:
    """The stored information about a payment with an unknown outcome.

    Attributes:
        payment: the payment.
        calls: the calls that were made for it, newest first.
        proposal: the outcome that a first person has proposed; None without a proposal.
    """

    payment: UnsettledPayment
    calls: tuple[IntegrationLog, ...]
    proposal: Proposal | None


@attrs.frozen(kw_only=True)
class Decision:
    """A person's action on a payment, from the audit trail.

    Attributes:
        act: the action, such as "close".
        key, tenant: the idempotency key and the tenant of the payment.
        person, reason, at: the person, the stated reason, and the time.
        done: the outcome that the person stated; None if the action states no outcome.
        error: name of the error with which the action failed; None if it succeeded.
    """

    act: str
    key: str
    tenant: str | None
    person: str
    reason: str
    at: datetime
    done: bool | None
    error: str | None


@attrs.frozen
class ClosedPayment:
    """The stored information about a payment whose outcome is known now.

    Attributes:
        key, tenant: the idempotency key and the tenant of the payment.
        done: the payment with its receipt, if a look-up or a person settled it as done.
        decisions: the actions of people on the payment, newest first.
        calls: the calls under its key, newest first.
    """

    key: str
    tenant: str | None
    done: DonePayment | None
    decisions: tuple[Decision, ...]
    calls: tuple[IntegrationLog, ...]


class Reader:
    """Reads the data that pages show, without changing anything.

    Args:
        hub: the hub.
        boxes: the outbox and the inbox, by `OUTBOX` and `INBOX`.
        log: the integration log, if there is one.
        metrics: the store of call figures, if there is one.
    """

    def __init__(
        self,
        hub: Hub,
        boxes: Mapping[str, Any],
        log: IntegrationLogger | None,
        metrics: Metrics | None = None,
    ) -> None:
        self.hub = hub
        self.boxes = boxes
        self.log = log
        self.metrics = metrics

    def now(self) -> datetime:
        """Return the current time of the hub's clock."""
        return core_of(self.hub.manager).utc()

    def check_service(self, service: str) -> None:
        """Check that a service exists.

        Raises:
            InvalidData: the service does not exist.
        """
        if service not in flows_of(self.hub.manager).plans.services:
            raise InvalidData(
                f"There is no service {service!r}.",
                field="service",
                remedy="Choose one from the list of services.",
            )

    def renews_credentials(self, service: str) -> bool:
        """Return whether a service gets its credentials from a provider, which can renew them."""
        settings = flows_of(self.hub.manager).plans.services[service]
        return bool(settings.needs_credentials and settings.credentials is None)

    def check_renewable(self, service: str) -> None:
        """Check that the credentials of a service can be renewed.

        Raises:
            InvalidData: the service does not exist, or its credentials are configured.
        """
        self.check_service(service)
        if not self.renews_credentials(service):
            raise InvalidData(
                f"The credentials of {service} do not come from a provider of credentials, so this"
                " page cannot renew them.",
                field="service",
                remedy="Change them in the configuration, and reload it.",
            )

    def months(self, metrics: Metrics) -> tuple[ObjectiveMonth, ...]:
        """Return, for each recent month, whether the objectives were met, newest first."""
        query = FiguresQuery(since=first_month(self.now(), MONTHS), window=DAY)
        return compliance(self.hub.objectives, metrics.figures(query))

    def services(self, tenant: str | None, name: str | None = None) -> list[ServiceStatus]:
        """Return the status of each service, or of the named service."""
        statuses = service_statuses(self.hub, tenant, None if name is None else (name,))
        return sorted(statuses, key=lambda status: (status.service, status.region or ""))

    def box(self, name: str) -> Any:
        """Return the outbox or the inbox.

        Raises:
            InvalidData: the page has no such queue.
        """
        if name not in self.boxes:
            raise InvalidData(
                f"This page shows no queue {name!r}.",
                field="box",
                remedy=f"Choose one of: {', '.join(self.boxes) or 'none'}.",
            )
        return self.boxes[name]

    def counts(self, name: str) -> dict[EntryState, Count]:
        """Return the number of entries of a queue in each state."""
        return {state: self.count(name, EntryQuery(states={state})) for state in EntryState}

    def count(self, name: str, query: EntryQuery) -> Count:
        """Return the number of matching entries, up to a limit."""
        page = self.box(name).find(attrs.evolve(query, limit=_MOST_ENTRIES, after=None))
        return Count(len(page.items), page.next is not None)

    def entries(self, name: str, query: EntryQuery) -> EntryPage[Any]:
        """Return a page of the entries that match a query."""
        page: EntryPage[Any] = self.box(name).find(query)
        return page

    def pauses(self, name: str) -> tuple[Pause, ...]:
        """Return the active pauses of a queue, newest first."""
        pauses: tuple[Pause, ...] = self.box(name).pauses()
        return pauses

    def entry(self, name: str, id: str) -> Entry:
        """Return the entry with an id.

        Raises:
            InvalidData: there is none.
        """
        for entry in self.entries(name, EntryQuery(id=id, limit=1)).items:
            return entry  # type: ignore[no-any-return]  # an entry of the queue
        raise InvalidData(
            f"The {name} has no entry {id!r}.",
            field="id",
            remedy="The entry may have been removed since. Go back to the queue.",
        )

    def calls(self, query: LogQuery) -> LogPage:
        """Return a page of the integration log; an empty page if there is no log."""
        return LogPage(items=()) if self.log is None else self.log.find(query)

    def failures(
        self, *, service: str | None, tenant: str | None, limit: int
    ) -> list[IntegrationLog]:
        """Return the latest failures of all kinds, newest first."""
        entries = [
            entry
            for status in FAILURES
            for entry in self.calls(
                LogQuery(service=service, tenant=tenant, status=status, limit=limit)
            ).items
        ]
        return sorted(entries, key=lambda entry: entry.started_at, reverse=True)[:limit]

    def unknown_calls(self) -> list[IntegrationLog]:
        """Return the latest call of each key with an unknown outcome, for your own services."""
        log = self.log
        if log is None:
            return []

        async def find(query: LogQuery) -> LogPage:
            return log.find(query)

        calls: list[IntegrationLog] = run_now(unknown_calls(flows_of(self.hub.manager), find))
        return calls

    def refusals(self, service: str, tenant: str | None, region: str | None) -> list[Refusals]:
        """Return the recent periods in which a service's circuit refused calls, newest first."""
        query = LogQuery(
            service=service,
            tenant=tenant,
            region=region,
            status=IntegrationStatus.HELD_BACK,
            limit=_MOST_SCANNED,
        )
        return periods(
            entry.started_at
            for entry in self.calls(query).items
            if entry.error == "CircuitBreakerOpen"
        )

    def windows(self, service: str | None, tenant: str | None) -> list[WindowFigures]:
        """Return the counts and durations of calls in each recent time window, oldest first."""
        if self.metrics is None:
            return []
        end = self.now()
        window_start = end.replace(minute=end.minute // 5 * 5, second=0, microsecond=0) - CHARTED
        query = FiguresQuery(
            service=service, tenant=tenant, since=window_start, window=CHART_WINDOW, by=()
        )
        figures = {row.start: row.figures for row in self.metrics.figures(query)}
        starts = (
            window_start + place * CHART_WINDOW for place in range(CHARTED // CHART_WINDOW + 1)
        )
        return [
            WindowFigures(
                start=start,
                seconds=int(CHART_WINDOW.total_seconds()),
                service=None,
                operation=None,
                tenant=None,
                figures=figures.get(start) or Figures(),
            )
            for start in starts
        ]

    def payments(self) -> list[UnsettledPayment]:
        """Return the payments with an unknown outcome, oldest first."""
        return self.hub.unsettled_payments()

    def proposal(self, payment: UnsettledPayment) -> Proposal | None:
        """Return the decision proposed for a payment's latest request; None without one."""
        command = ReadProposal(KIND, payment.tenant, payment.idempotency_key)
        proposal: Proposal | None = run_now(core_of(self.hub.manager).execute(command, None))
        open_for = (self.now() - payment.since).total_seconds()
        return None if proposal is None or proposal.age > open_for else proposal

    def evidence(self, key: str, tenant: str | None) -> Evidence:
        """Return the information about a payment with an unknown outcome.

        Raises:
            InvalidData: no payment with an unknown outcome has this key.
        """
        evidence = self.open_evidence(key, tenant)
        if evidence is None:
            raise _no_payment(key)
        return evidence

    def open_evidence(self, key: str, tenant: str | None) -> Evidence | None:
        """Return the information about a payment; None if its outcome is no longer unknown."""
        for payment in self.payments():
            if (payment.idempotency_key, payment.tenant) == (key, tenant):
                calls = self._calls_of(key, tenant, since=payment.since - _TIME_BEFORE)
                return Evidence(payment, calls, self.proposal(payment))
        return None

    def closed(self, key: str, tenant: str | None) -> ClosedPayment:
        """The stored information about a payment whose outcome is known now.

        Raises:
            InvalidData: nothing is stored about this key.
        """
        done_payment = self.done([(tenant, key)])
        decisions = tuple(
            decision
            for decision in self._decisions(subject=_subject_of(key))
            if decision.tenant == tenant
        )
        calls = self._calls_of(key, tenant)
        if not (done_payment or decisions or calls):
            raise _no_payment(key)
        return ClosedPayment(
            key, tenant, done_payment[0] if done_payment else None, decisions, calls
        )

    def done(self, keys: Iterable[tuple[str | None, str]]) -> list[DonePayment]:
        """Return those of the given payments (tenant and key) that operators settled as done."""
        payments: list[DonePayment] = run_now(done_payments(core_of(self.hub.manager), keys))
        return payments

    def recently_done(self, reference: str) -> list[DonePayment]:
        """Return the payments with a reference that people have recently settled as done."""
        keys = dict.fromkeys((item.tenant, item.key) for item in self._decisions())
        return [item for item in self.done(keys) if item.reference == reference]

    def _decisions(self, subject: str | None = None) -> list[Decision]:
        """Return the latest actions on a payment in the audit trail, newest first."""
        trail = self.hub.audit
        if not isinstance(trail, AuditTrail):
            return []
        records = trail.find(AuditQuery(act="payment.", subject=subject, limit=_DECISIONS)).items
        decisions = [_decision_of(item) for item in records if item.subject.startswith(_SUBJECT)]
        return decisions_without_attempts(decisions)

    def _calls_of(
        self, key: str, tenant: str | None, *, since: datetime | None = None
    ) -> tuple[IntegrationLog, ...]:
        """Return the calls under a payment's key, newest first."""
        query = LogQuery(idempotency_key=key, tenant=tenant, since=since, limit=PAGE)
        entries = self.calls(query).items
        return tuple(entry for entry in entries if entry.tenant == tenant)


def _no_payment(key: str) -> InvalidData:
    return InvalidData(
        f"No payment with an unknown outcome has the key {key!r}.",
        field="key",
        remedy="The payment may have been settled since. Go back to the list.",
    )


def _subject_of(key: str) -> str:
    """Return the name under which the audit trail records a payment, given its key."""
    return f"{_SUBJECT}{key}"


def decisions_without_attempts(decisions: Iterable[Decision]) -> list[Decision]:
    """Return decisions without the records of failed attempts.

    The audit trail records an action before it is performed, and again if it fails.

    Args:
        decisions: the decisions, newest first.
    """
    remaining_decisions, failed = list[Decision](), set[tuple[str, str, str | None]]()
    for decision in decisions:
        attempt = (decision.act, decision.key, decision.tenant)
        if decision.error is not None:
            failed.add(attempt)
        elif attempt in failed:
            failed.remove(attempt)
            continue
        remaining_decisions.append(decision)
    return remaining_decisions


def _decision_of(record: AuditRecord) -> Decision:
    before_fields, after_fields = (
        json.loads(text or "{}") for text in (record.before, record.after)
    )
    return Decision(
        act=record.act.removeprefix("payment.").removesuffix(".failed"),
        key=record.subject.removeprefix(_SUBJECT),
        tenant=before_fields.get("tenant"),
        person=record.actor,
        reason=record.reason,
        at=record.time,
        done=after_fields.get("done"),
        error=after_fields.get("error"),
    )


def periods(times: Iterable[datetime]) -> list[Refusals]:
    """Group times into periods, newest first; a longer gap begins another period.

    Args:
        times: the times, newest first.
    """
    refusal_periods: list[Refusals] = []
    for refusal_time in times:
        latest_period = refusal_periods[-1] if refusal_periods else None
        if latest_period is not None and latest_period.first - refusal_time <= _GAP:
            refusal_periods[-1] = Refusals(
                refusal_time, latest_period.last, latest_period.count + 1
            )
        else:
            refusal_periods.append(Refusals(refusal_time, refusal_time, 1))
    return refusal_periods


def circuit_words(circuit: CircuitBreakerState | None) -> tuple[str, str, str]:
    """Return a circuit's state in words, its rating such as "bad", and an explanation."""
    if circuit is None:
        return (
            "no circuit",
            "good",
            "No circuit is configured, so no call is refused because earlier calls failed.",
        )
    failure_counts = (
        f"{circuit.failures} of {circuit.calls} calls failed in the current window,"
        f" {circuit.consecutive_failures} in a row."
    )
    match circuit.state:
        case CircuitState.OPEN:
            seconds_left = circuit.retry_after or 0
            wait = (
                " The next probe may be sent"
                f" {f'in {seconds_left:.0f} s' if seconds_left >= 1 else 'now'}."
            )
            return "open", "bad", f"Calls are refused, because too many earlier calls failed.{wait}"
        case CircuitState.HALF_OPEN:
            probes = f"Probes under way: {circuit.probes_under_way}."
            return "half open", "warn", f"Single calls probe the service. {probes} {failure_counts}"
        case CircuitState.FORCED_OPEN:
            return (
                "held open",
                "bad",
                "A person holds the circuit open: all calls are refused until a reset.",
            )
        case CircuitState.DISABLED:
            words = "A person disabled the circuit: calls are sent despite failures until a reset."
            return "disabled", "warn", f"{words} {failure_counts}"
        case _:
            return "closed", "good", f"Calls are sent. {failure_counts}"
