"""Calls that are interrupted at each point at which a signal may arrive."""

import functools
import itertools
from typing import Any

import pytest

from moorage import (
    BulkheadConfig,
    CircuitBreakerConfig,
    CircuitState,
    ConnectorManager,
    OutcomeUnknown,
    RateLimitConfig,
    Request,
    Response,
    RetryBudget,
    RetryPolicy,
    Service,
)
from tests.parts import interrupted
from tests.parts.ways_of_use import Clock, FunctionFailure

pytestmark = pytest.mark.untraced

HALF_OPEN = CircuitBreakerConfig(failures=1, open_for=1, successes=1_000)


def raise_error() -> None:
    """Raise an error, to open a circuit."""
    raise FunctionFailure


def protected_manager(clock: Clock, **protections: Any) -> ConnectorManager:
    """Return a manager with one service that has the given protections."""
    options: dict[str, Any] = {"circuit": None, "retry": None, "timeout": 60}
    return ConnectorManager([Service("v", **options | protections)], clock=clock, sleeper=clock)


@interrupted.UNTIDY
@pytest.mark.parametrize("key", [None, "a key"])
def test_interrupted_call_frees_its_queue_slot(key: str | None) -> None:
    """If a queued call is interrupted at any point, calls behind it are not delayed."""
    strikes = 0
    for point in itertools.count():
        clock, due_times = Clock(), list[int]()
        manager = protected_manager(clock, limits=(RateLimitConfig.per_second(1),))
        manager.run("v", int)
        run = functools.partial(manager.run, "v", int, idempotency_key=key)
        note_calls = functools.partial(lambda of, to: to.append(of.nanoseconds()), clock, due_times)
        if not interrupted.interrupt_at(point, run, note_calls):
            break
        strikes += 1
        manager.run("v", int)
        # Tokens that callers waited for are spent; the others are left for the next caller.
        assert clock.nanoseconds() <= 1e9 or due_times != [0]
    assert strikes > 50


@interrupted.UNTIDY
@pytest.mark.parametrize(
    "protections",
    [
        {"circuit": HALF_OPEN},
        {"circuit": HALF_OPEN, "bulkhead": BulkheadConfig(1)},
        {"circuit": HALF_OPEN, "limits": (RateLimitConfig.per_second(100),)},
    ],
    ids=["circuit", "bulkhead", "limit"],
)
def test_interrupted_probe_frees_its_slot(protections: dict[str, Any]) -> None:
    """If a circuit probe is interrupted at any point, the next probe can be sent."""
    strikes = 0
    for point in itertools.count():
        clock = Clock()
        manager = protected_manager(clock, **protections)
        with pytest.raises(FunctionFailure):
            manager.run("v", raise_error)
        clock.advance(1)
        if not interrupted.interrupt_at(point, functools.partial(manager.run, "v", int)):
            break
        strikes += 1
        assert 0 == manager.run("v", int)
    assert strikes > 50


class SuccessfulClient:
    """An HTTP client that always succeeds."""

    def send(self, *_: object) -> Response:
        """Return a success."""
        return Response(200)

    def open(self, *_: object) -> Any:
        """Return nothing; the tests never call it."""

    def close(self) -> None:
        """Do nothing."""


@interrupted.UNTIDY
@pytest.mark.parametrize("waits", [False, True])
def test_interrupted_request_releases_its_grant(waits: bool) -> None:
    """A request interrupted at any point uses up at most one rate-limit token."""
    strikes = 0
    for point in itertools.count():
        clock, start_time = Clock(), list[int]()
        limits = (RateLimitConfig.per_second(1, burst=1 if waits else 2),)
        service = Service("v", base_url="https://v.example", circuit=HALF_OPEN, limits=limits)
        manager = ConnectorManager([service], http=SuccessfulClient(), clock=clock, sleeper=clock)
        send = functools.partial(manager.call, "v", Request.get("/"))
        send()
        note_calls = functools.partial(
            lambda of, to: to.append(of.nanoseconds()), clock, start_time
        )
        if not interrupted.interrupt_at(point, send, note_calls):
            break
        strikes += 1
        send()
        assert clock.nanoseconds() <= 1e9 or start_time != [0]
    assert strikes > 10


class CountingClient:
    """An HTTP client that records the paths of requests, which equal their keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def send(self, request: Request, *_: object) -> Response:
        """Record the path, and return a success."""
        self.keys.append(request.path[1:])
        return Response(200)

    def open(self, *_: object) -> Any:
        """Return nothing; the tests never call it."""

    def close(self) -> None:
        """Do nothing."""


@interrupted.UNTIDY
@pytest.mark.parametrize("verb", ["call", "run"])
def test_interrupted_call_with_a_key_acts_at_most_once(verb: str) -> None:
    """A call interrupted at any point acts at most once; if it did not act, its key is free."""
    outcomes: list[str] = []
    for point in itertools.count():
        clock, client = Clock(), CountingClient()
        service = Service(
            "v",
            base_url="https://v.example",
            circuit=HALF_OPEN,
            limits=RateLimitConfig.per_second(100),
        )
        manager = ConnectorManager([service], http=client, clock=clock, sleeper=clock)

        def make_call(key: str, client: CountingClient = client) -> Any:
            if verb == "call":
                return manager.call("v", Request.post(f"/{key}"), idempotency_key=key)  # noqa: B023 - called here
            return manager.run("v", lambda: client.keys.append(key), idempotency_key=key)  # noqa: B023 - called here

        make_call("first")
        if not interrupted.interrupt_at(point, functools.partial(make_call, "k")):
            break
        sent_count = client.keys.count("k")
        try:
            make_call("k")
            outcomes.append("done" if sent_count else "free")
        except OutcomeUnknown:
            outcomes.append("unknown")
        assert sent_count + (outcomes[-1] == "free") == client.keys.count("k")

    assert ["free", "unknown", "done"] == list(dict.fromkeys(outcomes))
    assert outcomes == sorted(outcomes, key=["free", "unknown", "done"].index)
    assert outcomes.count("unknown") < outcomes.count("free")


@interrupted.UNTIDY
def test_interrupted_replay_is_repeated() -> None:
    """If a replay is interrupted at any point, the stored response can still be replayed."""
    strikes = 0
    client = CountingClient()
    manager = ConnectorManager([Service("v", base_url="https://v.example")], http=client)
    call = functools.partial(manager.call, "v", Request.post("/k"), idempotency_key="k")
    call()
    for point in itertools.count():
        if not interrupted.interrupt_at(point, call):
            break
        strikes += 1
        assert call().replayed
    assert strikes > 20
    assert ["k"] == client.keys


def test_interrupted_fast_path_function_returns_its_permits() -> None:
    """A fast-path function that is interrupted at any point returns its unused permits."""
    clock = Clock()
    manager = protected_manager(clock, limits=(RateLimitConfig.per_second(1),))
    manager.run("v", int)
    flows: Any = vars(manager)["_flows"]
    (plan,) = {id(plan): plan for plan in flows.plans.easy.values()}.values()
    grant = flows.core.ask(plan.admission)

    flows.return_grants(plan, [grant])
    flows.return_grants(plan, [])
    manager.run("v", int)

    assert [1.0] == clock.slept


STAGES: dict[str, dict[str, Any]] = {
    "circuit": {"circuit": CircuitBreakerConfig(failures=1)},
    "limit": {"limits": (RateLimitConfig.per_hour(1, burst=3),)},
    "budget": {"retry": RetryPolicy(2, 0), "retry_budget": RetryBudget()},
    "bulkhead": {"bulkhead": BulkheadConfig(1)},
}
COMBINATIONS = [
    names for size in range(len(STAGES) + 1) for names in itertools.combinations(STAGES, size)
]


@interrupted.UNTIDY
@pytest.mark.parametrize("stages", COMBINATIONS, ids=" ".join)
def test_interrupted_function_disturbs_no_other(stages: tuple[str, ...]) -> None:
    """With any protections, a call interrupted at any point uses up at most one token."""
    protections: dict[str, Any] = {}
    for name in stages:
        protections |= STAGES[name]
    strikes = 0
    for point in itertools.count():
        clock = Clock()
        manager = protected_manager(clock, **protections)
        manager.run("v", int)
        if not interrupted.interrupt_at(point, functools.partial(manager.run, "v", int)):
            break
        strikes += 1
        assert 0 == manager.run("v", int)
        assert [] == clock.slept
        if "circuit" in stages:
            circuit = manager.circuit_state("v")
            assert (CircuitState.CLOSED, 0) == (circuit.state, circuit.failures)
    assert strikes > 2
