"""A rate limit that is split into parts grants as much as an unsplit one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from fractions import Fraction
from itertools import combinations_with_replacement
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    CircuitBreakerOpen,
    CircuitBreakerState,
    CircuitState,
    ConfigurationError,
    ConnectorManager,
    Endpoint,
    Hub,
    InvalidData,
    RateLimitConfig,
    RateLimiter,
    RateLimitExceeded,
    Request,
    Response,
    RetryBudget,
    Service,
    StorageUnavailable,
)
from moorage.adapters.audit.file import FileAudit
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.circuit import joint_state
from moorage.domain.resilience.gate_commands import GiveBack, ReadCircuit
from moorage.domain.resilience.outage import with_local_shares
from moorage.domain.service.plan import Plan
from moorage.domain.service.region import Region
from moorage.domain.state.keys import part_key
from moorage.domain.values.durations import SECOND
from moorage.hub.audit import AuditTrail
from moorage.hub.service_status import service_statuses
from moorage.testing import VirtualClock
from moorage.testing.fakes.http import AsyncScriptedHttpClient, FakeVendor, ScriptedHttpClient
from tests.domain.state_store import StateStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def gates_of(limit: RateLimitConfig) -> list[Gates]:
    """Return the rule and the state key of each part of a rate limit."""
    return [
        Gates(limits=[rule], limit_keys=[part_key("{:vat}:limit", part)])
        for part, rule in enumerate(limit.rules)
    ]


def largest_excess(limit: RateLimitConfig, grants: list[tuple[int, int]]) -> Fraction:
    """Return the largest excess of granted tokens over burst + rate · t in any window."""
    grants = sorted(grants)
    sums = [0]
    for _, cost in grants:
        sums.append(sums[-1] + cost)
    pace = Fraction(limit.rate) / int(limit.per * SECOND)
    return max(
        sums[last + 1] - sums[first] - limit.burst - (grants[last][0] - grants[first][0]) * pace
        for first, last in combinations_with_replacement(range(len(grants)), 2)
    )


@pytest.mark.parametrize("parts, burst", [(2, 5), (3, 7), (8, 8), (8, 61), (7, 100)])
def test_parts_add_up_to_the_whole_limit(parts: int, burst: int) -> None:
    """The parts' rates and bursts add up to the limit's, and the bursts differ by at most one."""
    limit = RateLimitConfig(10, 1.0, burst, parts=parts)
    bursts = [rule.burst for rule in limit.rules]

    assert burst == sum(bursts)
    assert max(bursts) - min(bursts) <= 1
    buckets = [rule for rule in limit.rules if isinstance(rule, TokenBucket)]
    assert Fraction(10, SECOND) == sum(Fraction(rule.n, rule.price) for rule in buckets)


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(6))
def test_all_parts_grant_no_more_than_the_limit(seed: int) -> None:
    """All parts together grant at most burst + rate · t tokens, even if callers leave the queue."""
    generator, state_store = Random(seed), StateStore()
    limit = RateLimitConfig(50, 1.0, 11, parts=4)
    gates, grants = gates_of(limit), list[tuple[int, int]]()
    for _ in range(300):
        state_store.now += generator.choice([0, 1_000, 20_000, 300_000])
        part, cost, patience = (
            generator.choice(gates),
            generator.randint(1, 2),
            generator.choice([0, SECOND]),
        )
        answer, wait, _, tickets = state_store.execute(
            Admission(part, within=patience, lease=0, costs=(cost,))
        )
        if answer is Answer.GO:
            if wait and generator.random() < 0.3:
                state_store.execute(GiveBack(part, tickets))
            else:
                grants.append((state_store.now + wait, cost))

    assert largest_excess(limit, grants) <= 0
    assert len(grants) > 100


@pytest.mark.parametrize("fewer", [4, 1])
def test_no_window_has_more_than_limit_after_change_from_eight_parts_to_fewer(fewer: int) -> None:
    """After a change from eight parts to fewer, no window has more than the limit."""
    generator, state_store = Random(fewer), StateStore()
    before = RateLimitConfig(80, 1.0, 40, parts=8)
    after = RateLimitConfig(80, 1.0, 40, parts=fewer)
    grants: list[tuple[int, int]] = []
    for limit in (before, after):
        gates = gates_of(limit)
        for _ in range(200):
            state_store.now += 3_000
            command = Admission(generator.choice(gates), within=0, lease=0, costs=(1,))
            if state_store.execute(command)[0] is Answer.GO:
                grants.append((state_store.now, 1))

    assert largest_excess(before, grants) <= 0


def test_key_of_a_part_has_a_tag_of_its_own() -> None:
    """All states of one part share a hash tag, also for tenants and regions."""
    service = Service(
        "vat",
        limits=RateLimitConfig(100, parts=3),
        retry_budget=RetryBudget(),
        regions=[Region("eu", "https://eu.example"), Region("us", "https://us.example")],
    )
    plan = Plan(service, None, None).for_tenant("acme")
    keys = [part.regions["us"].question.keys for part in plan.parts]

    assert [{"{@acme:vat}"}, {"{@acme:vat~1}"}, {"{@acme:vat~2}"}] == [
        {key.partition("}")[0] + "}" for key in keys_of_part} for keys_of_part in keys
    ]
    assert [plan.parts] * 3 == [part.parts for part in plan.parts]
    assert keys == [part.question.keys for part in plan.regions["us"].parts]
    assert {plan.claim_key("k")} == {part.claim_key("k") for part in plan.parts}


def test_random_numbers_from_0_to_1_select_all_parts_equally_often() -> None:
    """Random numbers from 0 to 1 select all parts equally often; one part is always selected."""
    plan = Plan(Service("vat", limits=RateLimitConfig(100, parts=4)), None, None)
    whole_plan = Plan(Service("vat", limits=RateLimitConfig(100)), None, None)

    draws = [0, 0.24, 0.25, 0.5, 0.75, 0.999999]
    assert [0, 0, 1, 2, 3, 3] == [plan.parts.index(plan.part_at(draw)) for draw in draws]
    assert whole_plan.part_at(0.9) is whole_plan


def test_burst_below_the_number_of_parts_is_refused() -> None:
    """A burst smaller than the number of parts is refused."""
    with pytest.raises(
        ConfigurationError, match="burst of 3 cannot be divided into 4 parts"
    ) as excinfo:
        RateLimitConfig(3, parts=4)
    assert "parts" == excinfo.value.path

    with pytest.raises(ConfigurationError, match="in 200 parts cannot be counted exactly"):
        RateLimitConfig(1_000_003, 3_600.000001, 2_000_000, parts=200)


@pytest.mark.parametrize("parts", [None, 1, 2])
def test_limits_of_service_and_of_its_endpoints_must_have_same_number_of_parts(
    parts: int | None,
) -> None:
    """The limits of a service and of its endpoints must have the same number of parts."""
    limits = None if parts is None else RateLimitConfig(100, parts=parts)
    service = Service(
        "vat",
        limits=limits,
        endpoints=[
            Endpoint("rates", "GET", "/rates", limits=RateLimitConfig(5, parts=3 - (parts or 1))),
            Endpoint("names", "GET", "/names", limits=RateLimitConfig(5)),
        ],
    )

    with pytest.raises(ConfigurationError, match="different numbers of parts: 1 and 2"):
        ConnectorManager([service])


def test_cost_above_the_burst_of_a_part_is_refused() -> None:
    """A call that costs more than a part's burst is refused, at configuration or at the call."""
    limit = RateLimitConfig(10, parts=4)
    endpoint = Endpoint("rates", "GET", "/rates", cost=3)
    with pytest.raises(InvalidData, match="more than 2, the burst of one of 4 parts"):
        ConnectorManager([Service("vat", limits=limit, endpoints=[endpoint])])

    with pytest.raises(InvalidData, match="more than 2, the burst of one of 4 parts"):
        RateLimiter(limit).acquire(3)


def test_calls_of_a_manager_are_granted_the_whole_burst() -> None:
    """A manager's calls use the tokens of all parts, and the status shows the whole limit."""
    limit = RateLimitConfig.per_hour(1, burst=17, parts=8)
    # The calls are counted in one period, however long the test takes.
    budget = RetryBudget(period=10**6)
    service = Service(
        "vat", "http://127.0.0.1:9", limits=limit, retry_budget=budget, max_limit_wait=0
    )
    refusals = 0
    with Hub([], services=[service]) as hub:
        for _ in range(300):
            try:
                hub.manager.run("vat", int)
            except RateLimitExceeded:
                refusals += 1
        (status,) = service_statuses(hub)

    assert 300 - 17 == refusals
    assert ["1 per hour, 17 at once"] == [item.name for item in status.limits]
    assert status.limits[0].wait > 0
    assert status.budget is not None
    assert 17 == status.budget.calls


def test_circuit_by_hand_is_set_in_all_parts() -> None:
    """A circuit that is forced open refuses calls in every part until it is reset."""
    service = Service("vat", limits=RateLimitConfig(1_000, parts=8))
    with ConnectorManager([service]) as manager:
        manager.set_circuit("vat", CircuitState.FORCED_OPEN)
        for _ in range(50):
            with pytest.raises(CircuitBreakerOpen):
                manager.run("vat", int)
        assert CircuitState.FORCED_OPEN is manager.circuit_state("vat").state

        manager.set_circuit("vat", CircuitState.CLOSED)
        assert [0] * 50 == [manager.run("vat", int) for _ in range(50)]
        assert (CircuitState.CLOSED, 50) == (
            manager.circuit_state("vat").state,
            manager.circuit_state("vat").calls,
        )


def test_circuit_of_a_service_is_set_in_the_parts_of_its_endpoints() -> None:
    """A circuit forced open refuses calls of an endpoint whose own limit is split into parts."""
    limit = RateLimitConfig(1_000, parts=8)
    service = Service(
        "vat",
        "https://vat.example",
        endpoints=[
            Endpoint("rates", "GET", "/rates", limits=limit),
            Endpoint("names", "GET", "/names"),
        ],
    )
    vendor = FakeVendor()
    vendor.always(Response(200))
    with ConnectorManager([service], http=ScriptedHttpClient(vendor)) as manager:
        for path in ("/rates", "/names"):
            manager.set_circuit("vat", CircuitState.FORCED_OPEN)
            for _ in range(30):
                with pytest.raises(CircuitBreakerOpen):
                    manager.call("vat", Request.get(path))
            manager.set_circuit("vat", CircuitState.CLOSED)
            for _ in range(30):
                manager.call("vat", Request.get(path))
            assert 30 == manager.circuit_state("vat").calls
    assert 60 == len(vendor.requests)


class StoreWithoutPart(MemoryStorage):
    """A store that cannot reach the states of a limit's part 1."""

    is_away = True

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command, or raise an error if it uses part 1."""
        if self.is_away and any("~1}" in key for key in command.keys):
            raise StorageUnavailable("The part is away.")
        return super().execute(command, timeout)


def test_circuit_is_set_in_all_other_parts_if_part_store_is_away(tmp_path: Path) -> None:
    """If one part's store is unreachable, the circuit is set in the others, and an error raised."""
    store = StoreWithoutPart()
    service = Service("vat", limits=RateLimitConfig(1_000, parts=3))
    trail = AuditTrail(FileAudit(tmp_path / "trail"))
    with (
        ConnectorManager([service], state=store, audit=trail) as manager,
        pytest.raises(StorageUnavailable, match="part is away"),
    ):
        manager.set_circuit("vat", CircuitState.FORCED_OPEN)
    store.is_away = False

    gates = [part.gates for part in Plan(service, None, None).parts]
    assert [CircuitState.FORCED_OPEN, CircuitState.CLOSED, CircuitState.FORCED_OPEN] == [
        store.execute(ReadCircuit(part.circuit, part.circuit_key)).state
        for part in gates
        if part.circuit
    ]
    assert {"circuit.open", "circuit.open.failed"} == {item.act for item in trail.find().items}


def test_pause_of_a_limiter_holds_in_all_parts() -> None:
    """Pausing one key of a rate limiter stops it in all parts, and affects no other keys."""
    limiter = RateLimiter(RateLimitConfig.per_hour(1, burst=80, parts=8))
    limiter.pause(60, key="acme")

    assert [False] * 20 == [limiter.try_acquire(key="acme") for _ in range(20)]
    assert 80 == sum(limiter.try_acquire() for _ in range(100))


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_all_other_parts_are_paused_if_part_store_is_away(mode: str) -> None:
    """If one part's store is unreachable, all other parts are paused, and an error is raised."""
    store = StoreWithoutPart()
    limit = RateLimitConfig.per_hour(1, burst=30, parts=3)
    limiter = RateLimiter(limit, storage=store)

    def pause() -> None:
        limiter.pause(60) if mode == "synchronous" else asyncio.run(limiter.apause(60))

    with pytest.raises(StorageUnavailable, match="part is away"):
        pause()
    store.is_away = False

    assert 10 == sum(limiter.try_acquire() for _ in range(60))


@pytest.mark.parametrize("share", [0.25, Fraction(1, 16)])
@pytest.mark.parametrize("cost", [1, 2])
def test_parts_of_a_lone_process_share_its_burst(share: float | Fraction, cost: int) -> None:
    """Without the store, the parts of a process together grant the process's share."""
    clock = VirtualClock()
    limit = RateLimitConfig.per_second(160, burst=32, parts=16, without_store=share)
    plan = Plan(Service("vat", limits=limit, circuit=None), None, None).for_tenant("acme")
    store, grants, now = MemoryStorage(clock), list[tuple[int, int]](), 0
    for number in range(640):
        gates = plan.parts[number % 16].gates
        command = with_local_shares(Admission(gates, within=0, lease=0, costs=(cost,)))
        if store.execute(command)[0] is Answer.GO:
            grants.append((now, cost))
        clock.advance(0.01)
        now += SECOND // 100

    burst = max(cost, int(32 * share))
    assert largest_excess(RateLimitConfig(160 * Fraction(share), 1.0, burst), grants) <= 0
    assert sum(tokens for _, tokens in grants) >= 0.75 * 6.4 * 160 * share


def test_ticket_of_a_lone_process_gives_all_tokens_back() -> None:
    """Without the store, a caller that leaves the queue returns its tokens to the local share."""
    limit = RateLimitConfig.per_hour(8, burst=16, parts=8, without_store=0.125)
    (gates, *_) = (part.gates for part in Plan(Service("vat", limits=limit), None, None).parts)
    store = MemoryStorage(VirtualClock())
    admission = with_local_shares(Admission(gates, within=0, lease=0, ticketed=True))
    for _ in range(5):
        answer, _, _, tickets = store.execute(admission)
        assert (Answer.GO, 2) == (answer, len(tickets))
        store.execute(with_local_shares(GiveBack(gates, tickets)))


def test_joint_state_is_that_of_the_most_severe_circuit() -> None:
    """A circuit's combined state has the worst mode of its parts and the sum of their counts."""

    def circuit(state: CircuitState, retry_after: float | None) -> CircuitBreakerState:
        return CircuitBreakerState(
            state=state,
            calls=10,
            failures=2,
            slow_calls=1,
            consecutive_failures=2,
            openings=1,
            probes_under_way=0,
            retry_after=retry_after,
        )

    joint = joint_state(
        [
            circuit(CircuitState.CLOSED, None),
            circuit(CircuitState.OPEN, 9.0),
            circuit(CircuitState.OPEN, 4.0),
        ]
    )

    assert (
        attrs.evolve(circuit(CircuitState.OPEN, 4.0), calls=30, failures=6, slow_calls=3) == joint
    )


KINDS = ("run", "call", "call_many", "perform")


class Ping:
    """A connector operation that returns at once, for synchronous or asynchronous managers."""

    name, system, safe, repeatable = "ping", "vendor", True, True

    def __init__(self, attempts: Callable[..., Any]) -> None:
        self.perform = attempts

    def translate_error(self, _error: Exception) -> None:
        """Leave every error as it is."""


def services_in_parts() -> list[Service]:
    """Return services whose calls have forty tokens in four parts, one service per kind of call."""
    limit = RateLimitConfig.per_hour(1, burst=40, parts=4)
    url = "https://vat.example"
    return [
        Service(kind, url, limits=limit, max_limit_wait=0, retry=None, circuit=None)
        for kind in KINDS
    ]


def good_vendor() -> FakeVendor:
    """Return a vendor that answers every request successfully."""
    vendor = FakeVendor()
    vendor.always(Response(200))
    return vendor


def test_every_kind_of_synchronous_call_draws_a_part() -> None:
    """Calls of functions, requests and operations use the tokens of all parts."""
    get, counts = Request.get("/"), dict.fromkeys(KINDS, 0)
    with ConnectorManager(services_in_parts(), http=ScriptedHttpClient(good_vendor())) as manager:
        calls: dict[str, Callable[[], object]] = {
            "run": lambda: manager.run("run", int),
            "call": lambda: manager.call("call", get),
            "call_many": lambda: [item.unwrap() for item in manager.call_many("call_many", [get])],
            "perform": lambda: manager.perform("perform", Ping(lambda _: None)),
        }
        for kind in KINDS * 120:
            with suppress(RateLimitExceeded):
                calls[kind]()
                counts[kind] += 1

    assert dict.fromkeys(KINDS, 40) == counts


@pytest.mark.anyio
async def test_asynchronous_calls_use_tokens_of_all_parts_too() -> None:
    """Asynchronous calls use the tokens of all parts too, also with an idempotency key."""

    async def succeed(_: object = None) -> None:
        """Return None at once."""

    get, counts = Request.get("/"), dict.fromkeys(KINDS, 0)
    http = AsyncScriptedHttpClient(good_vendor())
    async with AsyncConnectorManager(services_in_parts(), http=http) as manager:
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "run": lambda: manager.run("run", succeed, idempotency_key=uuid4().hex),
            "call": lambda: manager.call("call", get),
            "call_many": lambda: manager.call_many("call_many", [get]),
            "perform": lambda: manager.perform("perform", Ping(succeed)),
        }
        for kind in KINDS * 120:
            with suppress(RateLimitExceeded):
                result = await calls[kind]()
                counts[kind] += result[0].ok if kind == "call_many" else 1

    assert dict.fromkeys(KINDS, 40) == counts


def test_pause_by_a_vendor_holds_in_all_parts() -> None:
    """After a vendor's 429, no part sends a call until a person ends the pause."""
    vendor = FakeVendor()
    vendor.queue(Response(429, headers={"Retry-After": "600"}))
    vendor.always(Response(200))
    service = Service(
        "vat",
        "https://vat.example",
        limits=RateLimitConfig(1_000, parts=4),
        max_limit_wait=0,
        retry=None,
    )
    with ConnectorManager([service], http=ScriptedHttpClient(vendor)) as manager:
        for _ in range(21):
            with pytest.raises(RateLimitExceeded):
                manager.call("vat", Request.get("/"))
        assert 1 == len(vendor.requests)
        assert 500 < manager.reset_limits("vat") <= 600
