"""Health monitors over real services, stores and queues."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import (
    AsyncConnectorManager,
    AsyncHealthMonitor,
    AsyncHub,
    CircuitBreakerConfig,
    CircuitState,
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    HealthMonitor,
    HealthSettings,
    HealthSignals,
    HealthState,
    Hub,
    IntegrationLog,
    LocalFailure,
    LogPage,
    LogQuery,
    Outbox,
    OutcomeUnknown,
    Probe,
    RateLimitConfig,
    Region,
    Request,
    Response,
    Service,
    StorageUnavailable,
)
from moorage.adapters.entries.memory import AsyncMemoryOutbox, MemoryOutbox
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.monitoring.health import HealthConcern
from moorage.domain.observation.call_events import CallFinished
from moorage.domain.observation.events import (
    ConsentNeeded,
    Event,
    LogEntriesLost,
    StorageLost,
    StorageRecovered,
    TenantRecordsNearBound,
    TokenNotRenewed,
    TokenRenewed,
)
from moorage.hub.health import certificate_expiries
from moorage.hub.outbox import AsyncOutbox
from moorage.testing import Behaviour, VendorServer, VirtualClock
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.contracts.unsettled_harness import WAIT, KeylessStripe, PaymentsHarness
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
AUTHORITY = Path(__file__).parent.parent / "support" / "authority.pem"


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """Yield a fake vendor on this machine."""
    with VendorServer() as server:
        yield server


def settings(**fields: Any) -> HealthSettings:
    """Return settings with one probe of the service `vat`."""
    options: dict[str, Any] = {"service": "vat", "request": "/health", **fields}
    return HealthSettings(probes=[Probe(**options)])


def concerns(monitor: HealthMonitor) -> list[HealthConcern]:
    """Check the health, and return the kind of each reason."""
    return [reason.concern for reason in monitor.check().all_reasons]


def test_health_is_unknown_before_the_first_check(vendor: VendorServer) -> None:
    """A monitor reads nothing before its first check, and keeps the result of its last check."""
    with ConnectorManager([Service("vat", vendor.url)]) as manager:
        monitor = HealthMonitor(manager)

        assert not monitor.health.is_ready
        assert monitor.check() is monitor.health
        assert HealthState.HEALTHY is monitor.health.state
    assert () == vendor.requests


def test_recent_health_is_not_read_again(vendor: VendorServer) -> None:
    """A recent assessment of health is returned unchanged; an older one is replaced."""
    clock = VirtualClock()
    with ConnectorManager([Service("vat", vendor.url)], clock=clock) as manager:
        monitor = HealthMonitor(manager)
        first = monitor.recent()
        clock.advance(10)
        assert first is monitor.recent()
        clock.advance(0.1)
        assert first is not monitor.recent()


def test_circuits_limits_and_budgets_are_read(vendor: VendorServer) -> None:
    """A check reads circuits, limits and budgets without consuming anything from them."""
    limited_service = Service("limited", vendor.url, limits=[RateLimitConfig.per_hour(1, burst=1)])
    regions = [Region("eu", vendor.url), Region("us", vendor.url)]
    with ConnectorManager(
        [Service("vat", vendor.url), limited_service, Service("spread", regions=regions)]
    ) as manager:
        monitor = HealthMonitor(manager)
        vendor.respond(204)
        manager.call("limited", Request.get("/"))
        manager.set_circuit("vat", CircuitState.FORCED_OPEN)
        manager.set_circuit("spread", CircuitState.FORCED_OPEN, region="us")
        health = monitor.check()

    states = {(s.service, s.region): s.state.value for s in health.services}
    assert {
        ("vat", None): "unavailable",
        ("limited", None): "degraded",
        ("spread", "eu"): "healthy",
        ("spread", "us"): "unavailable",
    } == states


def test_failing_probe_degrades_and_then_fails_a_service(vendor: VendorServer) -> None:
    """One failed probe makes its service degraded; two consecutive ones make it unavailable."""
    with ConnectorManager([Service("vat", vendor.url)]) as manager:
        monitor = HealthMonitor(manager, settings=settings())
        states: list[str] = []
        for status in (200, 503, 503, 200):
            vendor.respond(status)
            assert ("vat",) == monitor.probe(everything=True)
            states.append(monitor.check().services[0].state.value)

    assert ["healthy", "degraded", "unavailable", "healthy"] == states
    assert {"/health"} == {request.path for request in vendor.requests}
    assert 4 == len(vendor.requests)


def test_failed_probe_does_not_open_the_circuit(vendor: VendorServer) -> None:
    """Failed probes do not open the circuit, and the application's calls continue."""
    circuit = CircuitBreakerConfig(failures=1)
    with ConnectorManager([Service("vat", vendor.url, circuit=circuit)]) as manager:
        monitor = HealthMonitor(manager, settings=settings())
        for _ in range(3):
            vendor.respond(503)
            monitor.probe(everything=True)

        assert CircuitState.CLOSED is manager.circuit_state("vat").state


def test_probe_that_counts_opens_the_circuit(vendor: VendorServer) -> None:
    """A probe configured to count opens the circuit, and is skipped while the circuit is open."""
    circuit = CircuitBreakerConfig(failures=1)
    with ConnectorManager([Service("vat", vendor.url, circuit=circuit)]) as manager:
        monitor = HealthMonitor(manager, settings=settings(counts_in_circuit=True))
        vendor.respond(503)
        monitor.probe(everything=True)
        monitor.probe(everything=True)

        assert CircuitState.OPEN is manager.circuit_state("vat").state
        assert {HealthConcern.CIRCUIT_OPEN, HealthConcern.PROBE_FAILED} == {*concerns(monitor)}
    assert 1 == len(vendor.requests)


def test_probe_counts_against_limits_and_never_waits(vendor: VendorServer) -> None:
    """A probe takes a rate-limit token like a call, and is skipped if no token is left."""
    limits = [RateLimitConfig.per_hour(1, burst=1)]
    clock = VirtualClock()
    with ConnectorManager([Service("vat", vendor.url, limits=limits)], clock=clock) as manager:
        monitor = HealthMonitor(manager, settings=settings())
        vendor.respond(200)
        monitor.probe(everything=True)
        monitor.probe(everything=True)

        assert [HealthConcern.LIMIT_SPENT] == concerns(monitor)
    assert 1 == len(vendor.requests)


def test_probe_is_marked_in_events(vendor: VendorServer) -> None:
    """Calls of probes are marked with their own operation name in events."""
    events: list[Event] = []
    with ConnectorManager([Service("vat", vendor.url)], observers=[events.append]) as manager:
        vendor.respond(200)
        HealthMonitor(manager, settings=settings()).probe(everything=True)

    operations = [event.operation for event in events if isinstance(event, CallFinished)]
    assert ["health_probe"] == operations


def test_function_can_be_a_probe_and_its_error_message_is_not_shown() -> None:
    """A function can be a probe, and the message of its error is not shown."""

    def raise_os_error() -> None:
        raise OSError("password=swordfish")

    with ConnectorManager([Service("vat")]) as manager:
        monitor = HealthMonitor(manager, settings=settings(request=None, function=raise_os_error))
        monitor.probe(everything=True)
        (reason,) = monitor.check().all_reasons

    assert "The probe failed once: OSError." == reason.text


def test_probe_is_made_only_when_it_is_due(vendor: VendorServer) -> None:
    """A probe is made only when it is due."""
    vendor.always(Behaviour(200))
    clock = VirtualClock()
    with ConnectorManager([Service("vat", vendor.url)], clock=clock) as manager:
        monitor = HealthMonitor(manager, settings=settings(every=60.0, jitter=0.0))
        probes = []
        for _ in range(5):
            probes.append(monitor.probe())
            clock.advance(30)

    assert [("vat",), (), ("vat",), (), ("vat",)] == probes


def test_probe_of_account_uses_harmless_request_that_its_vendor_defines() -> None:
    """The probe of an account uses the harmless request that its vendor defines."""
    stripe = {"credentials": "sk_test_x", "volatile_keys": True}
    source = {"vendors": {"stripe": stripe}, "payments": {"vendor": "stripe"}}
    with moorage.open(source, http=SandboxHttpClient(StripeSandbox())) as hub:
        monitor = HealthMonitor(hub, settings=HealthSettings(probes=[Probe(service="stripe")]))

        assert ("stripe",) == monitor.probe(everything=True)
        (reason,) = monitor.check().all_reasons

    assert "Invalid API Key" in reason.text


@pytest.mark.parametrize(
    "services, probe, message",
    [
        ([Service("vat", "http://a.example")], Probe(service="bank"), "which is to be probed"),
        ([Service("vat", "http://a.example")], Probe(service="vat"), "does not know a request"),
        (
            [Service("vat", regions=[Region("eu", "http://a.example")])],
            Probe(service="vat", request="/"),
            "has several regions",
        ),
    ],
)
def test_probe_that_could_never_be_sent_is_refused(
    services: list[Service], probe: Probe, message: str
) -> None:
    """A probe of an unknown service, without a request, or over several regions is refused."""
    with ConnectorManager(services) as manager, pytest.raises(ConfigurationError, match=message):
        HealthMonitor(manager, settings=HealthSettings(probes=[probe]))
    with Hub([], services=services) as hub, pytest.raises(ConfigurationError, match=message):
        HealthMonitor(hub, settings=HealthSettings(probes=[probe]))


def test_probe_of_a_removed_service_is_skipped(vendor: VendorServer) -> None:
    """After a reload that removes its service, a probe is skipped."""
    with ConnectorManager([Service("vat", vendor.url)]) as manager:
        monitor = HealthMonitor(manager, settings=settings())
        manager.reload([Service("bank", vendor.url)])
        monitor.probe(everything=True)

        assert ["bank"] == [service.service for service in monitor.check().services]
    assert () == vendor.requests


def test_probe_of_a_removed_service_waits_for_its_next_interval(vendor: VendorServer) -> None:
    """A probe whose service was removed is not due again at once, so a monitor does not spin."""
    clock = VirtualClock()
    with ConnectorManager([Service("vat", vendor.url)], clock=clock) as manager:
        monitor = HealthMonitor(manager, settings=settings(every=60, jitter=0))
        manager.reload([Service("bank", vendor.url)])
        due = [monitor.probe(), monitor.probe()]
        clock.advance(60)

        assert [("vat",), (), ("vat",)] == [*due, monitor.probe()]


class BrokenStorage:
    """A store that always fails."""

    def execute(self, *_: object) -> None:
        """Raise an error, because the store is unavailable."""
        raise StorageUnavailable("The disk is gone.")

    def post(self, *_: object) -> None:
        """Raise an error, because the store is unavailable."""


def test_unreachable_store_is_reported_once_for_all_services(vendor: VendorServer) -> None:
    """If the store is unavailable, it is reported once, and each service is unknown."""
    with ConnectorManager([Service("vat", vendor.url)], state=BrokenStorage()) as manager:  # type: ignore[arg-type]  # it fails as one
        monitor = HealthMonitor(manager)
        health = monitor.check()

    assert HealthState.DEGRADED is health.state
    assert "The store 'state' does not answer: The disk is gone." == health.reasons[0].text
    assert HealthState.UNKNOWN is health.services[0].state


@pytest.mark.parametrize(
    "broken, part, consequence",
    [
        ("state", "state", "Until then, each process uses its own limits and circuits."),
        ("claims", "claims", "calls with an idempotency key are refused."),
    ],
)
def test_separate_stores_are_reported_separately(
    vendor: VendorServer, broken: str, part: str, consequence: str
) -> None:
    """If keys have a store of their own, the health names the store that is unavailable."""
    signals = HealthSignals()
    stores: Any = {"state": MemoryStorage(), "claims": MemoryStorage(), broken: BrokenStorage()}
    with Hub([], services=[Service("vat", vendor.url)], observers=[signals], **stores) as hub:
        health = HealthMonitor(hub).check()
        (reason,) = [
            reason
            for reason in health.all_reasons
            if reason.concern is HealthConcern.STORE_UNREACHABLE
        ]

    assert part == reason.part
    assert reason.remedy.endswith(consequence)
    assert ("state" == broken) is (HealthState.UNKNOWN is health.services[0].state)


def test_lost_register_of_payments_leaves_the_health_readable(vendor: VendorServer) -> None:
    """If the store with the register of payments fails, the other parts are still assessed."""

    class ClaimsOnly(MemoryStorage):
        claims_only = True

    stores: Any = {"state": BrokenStorage(), "claims": ClaimsOnly()}
    with Hub([], services=[Service("vat", vendor.url)], **stores) as hub:
        health = HealthMonitor(hub).check()

    assert ["state"] == [
        reason.part
        for reason in health.all_reasons
        if reason.concern is HealthConcern.STORE_UNREACHABLE
    ]


def test_store_that_fails_during_a_reading_makes_the_state_unknown(vendor: VendorServer) -> None:
    """If the store fails during the reading of a service, that service's state is unknown."""
    answers = iter([None])

    class FadingStorage(BrokenStorage):
        def execute(self, *_: object) -> None:
            try:
                return next(answers)
            except StopIteration:
                raise StorageUnavailable("The disk is gone.") from None

    service = Service("vat", vendor.url, circuit=None, limits=[RateLimitConfig.per_second(1)])
    with ConnectorManager([service], state=FadingStorage()) as manager:  # type: ignore[arg-type]  # it fails as one
        (reason,) = HealthMonitor(manager).check().services[0].reasons

    assert HealthConcern.UNREADABLE is reason.concern


def test_late_and_dead_entries_of_a_queue_are_reported() -> None:
    """Late and dead entries of a queue are reported with their number."""
    clock = VirtualClock()
    outbox = Outbox(MemoryOutbox(clock=clock), clock=clock)
    with Hub([], services=[Service("shop", "http://127.0.0.1:9", retry=None)], clock=clock) as hub:
        monitor = HealthMonitor(hub, outbox=outbox)
        outbox.put_request("shop", Request.post("/orders", json={}))
        clock.advance(301)
        assert 301.0 == outbox.backlog().late
        assert [HealthConcern.LATE_ENTRIES] == concerns(monitor)
        while not outbox.backlog().dead:
            outbox.deliver(hub)
            clock.advance(7_200)
        assert HealthConcern.DEAD_LETTERS in concerns(monitor)


def test_unavailable_database_of_a_queue_is_a_separate_problem() -> None:
    """A queue whose database is unavailable is reported as a separate problem."""

    class BrokenOutbox(MemoryOutbox):
        def now(self) -> datetime:
            raise StorageUnavailable("The disk is gone.")

    with Hub([]) as hub:
        (reason,) = HealthMonitor(hub, outbox=Outbox(BrokenOutbox())).check().reasons

    assert "The outbox cannot be read: The disk is gone." == reason.text


def test_signals_are_found_among_observers(vendor: VendorServer) -> None:
    """Problems that stores, tokens and the log report lower the health until they end."""
    signals = HealthSignals()
    clock = VirtualClock(NOW)
    with ConnectorManager(
        [Service("vat", vendor.url)], observers=[print, signals], clock=clock
    ) as manager:
        monitor = HealthMonitor(manager)
        lost_event = StorageLost(
            at=NOW, service="cache", node="b", error="It is gone.", retry_after=1.0
        )
        signals(lost_event)
        signals(TokenNotRenewed(at=NOW, service="vat", error="VendorFailed", still_works=True))
        signals(LogEntriesLost(at=NOW, service="log", entries=2, total=7))
        reasons = monitor.check().all_reasons
        expected = [
            HealthConcern.TOKEN_NOT_RENEWED,
            HealthConcern.STORE_UNREACHABLE,
            HealthConcern.LOG_ENTRIES_LOST,
        ]
        assert expected == [reason.concern for reason in reasons]
        assert ("cache (b)", 7) == (reasons[1].part, reasons[2].amount)

        signals(StorageRecovered(at=NOW, service="cache", node="b", duration=1.0))
        signals(ConsentNeeded(at=NOW, service="vat", reason="revoked"))
        clock.advance(3_600)
        assert [HealthConcern.CONSENT_NEEDED] == concerns(monitor)
        signals(TokenRenewed(at=NOW, service="vat", duration=1.0, attempts=1))
        assert [] == concerns(monitor)


def test_tenant_near_its_bound_is_reported() -> None:
    """A tenant that uses 80 % of its allowed records degrades the health until it uses fewer."""
    clock = VirtualClock(NOW)
    service = Service("vat", idempotency_ttl=3_600)
    with ConnectorManager(
        [service], observers=[HealthSignals()], records_per_tenant=10, clock=clock
    ) as manager:
        monitor = HealthMonitor(manager)

        def pay(first: int, last: int) -> None:
            for number in range(first, last):
                manager.run("vat", lambda: "done", tenant="acme", idempotency_key=f"{number}")

        pay(0, 7)
        assert HealthConcern.TENANT_RECORDS not in concerns(monitor)
        pay(7, 9)
        (reason,) = monitor.check().reasons
        assert ("tenant acme", HealthConcern.TENANT_RECORDS, 90.0) == (
            reason.part,
            reason.concern,
            reason.amount,
        )
        clock.advance(2 * 86_400)
        assert HealthConcern.TENANT_RECORDS not in concerns(monitor)


@pytest.mark.parametrize(
    "tenant, bound, amount", [("acme", 10, 90.0), ("globex", 10, None), ("acme", None, None)]
)
def test_monitor_of_a_tenant_counts_the_records_of_other_processes(
    tenant: str, bound: int | None, amount: float | None
) -> None:
    """A tenant's monitor reports its stored records, even if other processes wrote them."""
    state = MemoryStorage()
    with ConnectorManager([Service("vat")], records_per_tenant=10, state=state) as manager:
        for number in range(9):
            manager.run("vat", lambda: "done", tenant="acme", idempotency_key=f"{number}")
    with ConnectorManager([Service("vat")], records_per_tenant=bound, state=state) as manager:
        assert HealthConcern.TENANT_RECORDS not in concerns(HealthMonitor(manager))
        amounts = {
            reason.concern: reason.amount
            for reason in HealthMonitor(manager, tenant=tenant).check().reasons
        }
    assert amount == amounts.get(HealthConcern.TENANT_RECORDS)


def test_last_count_of_records_is_kept_while_store_is_unavailable() -> None:
    """If the store is unavailable, a tenant near its limit is reported with its last count."""

    class BrokenStorage(MemoryStorage):
        """A store that answers no command."""

        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            raise StorageUnavailable("The disk is gone.")

    signals = HealthSignals()
    with ConnectorManager([], observers=[signals], state=BrokenStorage()) as manager:
        signals(TenantRecordsNearBound(at=NOW, service="vat", tenant="acme", used=8, bound=10))
        amounts = {
            reason.concern: reason.amount for reason in HealthMonitor(manager).check().reasons
        }
    assert 80.0 == amounts[HealthConcern.TENANT_RECORDS]


def test_unsettled_payments_are_counted() -> None:
    """A payment with an unknown outcome is reported as soon as no caller works on it."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        monitor = HealthMonitor(hub)
        harness.lose(hub)
        assert HealthConcern.UNKNOWN_OUTCOMES not in concerns(monitor)
        harness.clock.advance(WAIT)
        assert HealthConcern.UNKNOWN_OUTCOMES in concerns(monitor)


LOST_RESPONSE = Behaviour(raw=b"", then="close")


def test_unknown_keys_of_services_are_counted(vendor: VendorServer) -> None:
    """A key with an unknown outcome is reported until a person settles it."""
    bank = Service("bank", vendor.url, retry=None)
    with ConnectorManager([bank], log=MemoryIntegrationLogger()) as manager:
        monitor = HealthMonitor(manager)
        for key in ("INV-3", None):
            vendor.queue(LOST_RESPONSE)
            with pytest.raises((OutcomeUnknown, ConnectionFailed)):
                manager.call("bank", Request.post("/payouts"), idempotency_key=key)
        assert [HealthConcern.UNKNOWN_OUTCOMES] == concerns(monitor)

        assert manager.resolve_key("bank", "INV-3", done=True, answer=Response(200))
        assert [] == concerns(monitor)


def test_unknown_keys_of_asynchronous_services_are_counted(vendor: VendorServer) -> None:
    """An asynchronous monitor reads an asynchronous log for keys with an unknown outcome."""

    async def main() -> list[HealthConcern]:
        bank = Service("bank", vendor.url, retry=None)
        log = AsyncMemoryIntegrationLogger()
        async with AsyncConnectorManager([bank], log=log) as manager:
            with pytest.raises(OutcomeUnknown):
                await manager.call("bank", Request.post("/payouts"), idempotency_key="INV-3")
            health = await AsyncHealthMonitor(manager).check()
            return [reason.concern for reason in health.all_reasons]

    vendor.queue(LOST_RESPONSE)
    assert [HealthConcern.UNKNOWN_OUTCOMES] == asyncio.run(main())


class WriteOnlyLog:
    """An integration log that nobody can search."""

    def write(self, entry: IntegrationLog, /) -> None:
        """Drop an entry."""


class UnreadableLog(WriteOnlyLog):
    """An integration log whose database does not respond."""

    def find(self, query: LogQuery, /) -> LogPage:
        """Raise an error instead of searching."""
        raise StorageUnavailable("The database does not answer.")


@pytest.mark.parametrize("log", [UnreadableLog(), WriteOnlyLog()], ids=["unreadable", "write-only"])
def test_log_that_cannot_be_read_hides_no_other_reason(log: Any) -> None:
    """If the integration log cannot be searched, the health check still succeeds."""
    with ConnectorManager([Service("vat", "http://127.0.0.1:9")], log=log) as manager:
        assert HealthState.HEALTHY is HealthMonitor(manager).check().state


def test_thread_checks_inside_the_with_block(vendor: VendorServer) -> None:
    """In its `with` block, a monitor checks and probes in a thread that ends with the block."""
    vendor.always(Behaviour(200))
    with ConnectorManager([Service("vat", vendor.url)]) as manager:
        monitor = HealthMonitor(manager, settings=settings(jitter=0.0, every=0.01), every=0.01)
        with monitor:
            wait_until(lambda: len(vendor.requests) > 1, "a second probe")
            wait_until(lambda: monitor.health.state is HealthState.HEALTHY, "a check")
        value = len(vendor.requests)
        assert [] == monitor._threads  # noqa: SLF001 - nobody else can tell
    assert value == len(vendor.requests)


class FailingSignals(HealthSignals):
    """Health signals that can be made to fail."""

    broken = True

    def read(self, now: datetime) -> Any:
        """Return the signals, or raise an error if the test wants that."""
        if self.broken:
            raise RuntimeError("password=swordfish")
        return super().read(now)


def test_failed_check_makes_the_health_unknown() -> None:
    """An unexpected error in a check makes the health unknown; the monitor continues."""
    signals = FailingSignals()
    with (
        ConnectorManager([], observers=[signals]) as manager,
        HealthMonitor(manager, every=0.01) as monitor,
    ):
        wait_until(lambda: monitor.health.reasons, "a check")
        (reason,) = monitor.health.reasons
        assert "The health could not be checked: RuntimeError." == reason.text
        signals.broken = False
        wait_until(lambda: monitor.health.is_ready, "a good check")


def test_asynchronous_monitor_checks_and_probes_in_task(vendor: VendorServer) -> None:
    """The asynchronous monitor checks and probes in a task."""
    vendor.always(Behaviour(200))

    async def probe_service() -> bool:
        return True

    async def main() -> None:
        async with AsyncConnectorManager([Service("vat", vendor.url), Service("code")]) as manager:
            probes = [
                Probe(service="vat", request="/health", every=0.01),
                Probe(service="code", function=probe_service, every=0.01),
            ]
            monitor = AsyncHealthMonitor(
                manager, settings=HealthSettings(probes=probes), every=0.01
            )
            async with monitor:
                while len(vendor.requests) < 2 or monitor.health.state is not HealthState.HEALTHY:  # noqa: ASYNC110 - nothing tells of a check
                    await asyncio.sleep(0.005)
            assert ("vat", "code") == await monitor.probe(everything=True)
            assert HealthState.HEALTHY is (await monitor.check()).state
        async with AsyncHub([]) as hub:
            outbox = AsyncOutbox(AsyncMemoryOutbox())
            assert (
                HealthState.HEALTHY is (await AsyncHealthMonitor(hub, outbox=outbox).check()).state
            )

    asyncio.run(asyncio.wait_for(main(), 120))


class FailingGather:
    """A `Gather` that cannot start anything, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def run_all(self, *_: object, **__: object) -> list[Any]:
        """Raise an error, because the system has no threads."""
        self.calls += 1
        raise LocalFailure("The system has no more threads.")

    async def first(self, *_: object, **__: object) -> Any:
        """Raise an error, because the system has no threads."""
        raise LocalFailure("The system has no more threads.")


def test_monitor_that_cannot_probe_tries_again_after_its_interval(vendor: VendorServer) -> None:
    """After a failed round a monitor waits for its interval, although its probes are still due."""
    gather = FailingGather()

    async def check_briefly() -> None:
        services = [Service("vat", vendor.url)]
        async with AsyncConnectorManager(services, gather=gather) as manager:
            monitor = AsyncHealthMonitor(manager, settings=settings(jitter=0), every=60)
            async with monitor:
                for _ in range(50):
                    await asyncio.sleep(0)
                assert HealthState.UNKNOWN is monitor.health.state

    asyncio.run(check_briefly())
    assert 1 == gather.calls


def test_expiry_date_of_a_certificate_is_read_from_file_or_text(tmp_path: Path) -> None:
    """The expiry date of a certificate is read from a file or from PEM text."""
    content = AUTHORITY.read_bytes()
    (expiry,) = certificate_expiries(AUTHORITY, "authority")

    assert expiry.at.tzinfo is UTC
    assert (expiry,) == certificate_expiries(content, "authority")
    assert (expiry,) == certificate_expiries(content.decode(), "authority")
    settings = HealthSettings(expiries=[expiry])
    clock = VirtualClock(expiry.at - timedelta(days=1))
    with ConnectorManager([], clock=clock) as manager:
        (reason,) = HealthMonitor(manager, settings=settings).check().reasons
    assert "in 1 day." in reason.text
    for wrong_path in (tmp_path / "absent.pem", b"-----BEGIN nothing"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            certificate_expiries(wrong_path, "authority")
