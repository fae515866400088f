"""Calls on the fast path behave exactly as on the general path."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ulid import ULID

from moorage import (
    AsyncConnectorManager,
    BulkheadConfig,
    BulkheadFull,
    CircuitBreakerConfig,
    ConnectorManager,
    Credentials,
    DeadlineExceeded,
    Endpoint,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryBudget,
    RetryPolicy,
    Service,
)
from moorage.domain.observation.call_events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
)
from moorage.runtime.flows import run_now
from tests.fast_path_settings import (
    ANSWERS,
    BASE,
    CREDENTIALS,
    AsyncClient,
    AwaitedStore,
    CallInterrupted,
    ScenarioOutcome,
    Setting,
    SyncClient,
)
from tests.parts.ways_of_use import AsyncSleeper, Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import Event


def _is_success(event: Event) -> bool:
    if isinstance(event, CallFinished):
        return event.error is None and not event.cancelled
    if isinstance(event, AttemptFinished):
        return event.error is None
    return isinstance(event, (CallStarted, AttemptStarted))


def _without_names(events: list[Event]) -> list[Event]:
    """Return events without their ids, which differ between runs."""
    return [attrs.evolve(event, request_id=None) for event in events]


PROTECTIONS: list[dict[str, Any]] = [
    {},
    {"circuit": None, "retry": None},
    {"circuit": CircuitBreakerConfig(failures=2, open_for=5)},
    {"limits": (RateLimitConfig.per_second(1, burst=2),)},
    {"limits": (RateLimitConfig.per_second(1),), "max_limit_wait": 0},
    {"headers": {"User-Agent": "erp", "Accept": "*/*"}, "credentials": Credentials.basic("u", "p")},
    {"headers": {"Accept": "*/*"}},
    {"credentials": Credentials.api_key("k", query="key"), "retry": RetryPolicy(3, 0)},
    {"retry": RetryPolicy(4, 1.0), "retry_budget": RetryBudget(), "timeout": 10},
    {"needs_credentials": True},
    {
        "needs_credentials": True,
        "headers": {"Accept": "*/*", "Authorization": "none"},
        "limits": (RateLimitConfig.per_second(2),),
        "circuit": CircuitBreakerConfig(failures=2, open_for=5),
        "timeout": 40,
    },
    {"bulkhead": BulkheadConfig(1)},
    {"attempt_timeout": 5.0, "bulkhead": BulkheadConfig(2, max_waiting=3)},
    {
        "limits": (RateLimitConfig.per_second(2), RateLimitConfig.per_minute(3)),
        "circuit": CircuitBreakerConfig(failures=2, open_for=5),
        "retry_budget": RetryBudget(floor=1),
        "bulkhead": BulkheadConfig(1),
    },
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"timeout": 2.0},
    {"timeout": 90.0},
    {"request_id": "order-7"},
    {"subject": "ada"},
    {"timeout": 40.0, "request_id": "order-7", "subject": "ada"},
]
KEYS: list[dict[str, Any]] = [
    {},
    {"idempotency_header": "Idempotency-Key", "idempotency_memory": 3_600.0},
    {
        "idempotency_header": "Idempotency-Key",
        "idempotency_memory": 3_600.0,
        "idempotency_replays": False,
    },
    {"idempotency_ttl": 60.0},
]
MODES = ["sync", "async", "distant"]
REQUESTS = [
    Request.get("/rates"),
    Request.get("/rates", headers={"accept": "text/csv", "Authorization": "mine"}),
    Request.get("/räte", query={"of": "EUR"}),
    Request.get("https://vendor.example/v1/next?page=2"),
    Request.get("https://other.example/v1/next"),
    Request.post("/charges", json={"amount": 1}),
    Request.delete("/charges/1"),
]


def _setting(mode: str, data: st.DataObject, **rules: Any) -> Setting:
    takes = st.sampled_from([0.0, 0.5, 31.0])
    # The fast path ignores a delay that is a small share of the call's time.
    lookup_takes = st.sampled_from([0.0, 2.0, 31.0])
    kinds = st.sampled_from(list(CREDENTIALS))
    return Setting(
        mode=mode,
        services=[Service("v", base_url=BASE, **data.draw(st.sampled_from(PROTECTIONS)), **rules)],
        answers=data.draw(st.lists(st.tuples(st.sampled_from(list(ANSWERS)), takes), max_size=9)),
        options=data.draw(st.sampled_from(OPTIONS)),
        lookups=data.draw(st.lists(st.tuples(kinds, lookup_takes), max_size=5)),
    )


def _check(play: Callable[[Setting], ScenarioOutcome], setting: Setting) -> None:
    """Check that a scenario has equal results on both paths, with and without observers."""
    unobserved_run, observed_run = play(setting), play(attrs.evolve(setting, observed=True))
    slow_run = play(attrs.evolve(setting, observed=True, fast=False))

    assert slow_run == observed_run
    assert attrs.evolve(observed_run, events=[], entries=()) == unobserved_run
    failures = play(attrs.evolve(setting, failures_only=True))
    assert attrs.evolve(failures, events=[]) == unobserved_run
    expected = [event for event in observed_run.events if not _is_success(event)]
    assert _without_names(expected) == _without_names(failures.events)


@pytest.mark.untraced
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=50)
@given(data=st.data())
def test_requests_end_alike_on_all_paths(mode: str, data: st.DataObject) -> None:
    """Requests have the same responses, errors, waits and events on every path."""
    requests = data.draw(st.lists(st.sampled_from(REQUESTS), min_size=2, max_size=5))
    _check(lambda setting: setting.send(requests), _setting(mode, data))


@pytest.mark.untraced
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=50)
@given(data=st.data())
def test_functions_end_alike_on_all_paths(mode: str, data: st.DataObject) -> None:
    """Functions have the same values, errors, waits and events on every path."""
    _check(lambda setting: setting.run(5), _setting(mode, data))


@pytest.mark.untraced
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=50)
@given(data=st.data())
def test_operations_end_alike_on_all_paths(mode: str, data: st.DataObject) -> None:
    """Operations have the same results, errors, waits, limits and events on every path."""
    repeatable = data.draw(st.booleans())
    endpoints = data.draw(st.sampled_from([(), (Endpoint("rates.find", retry=RetryPolicy(2, 0)),)]))
    setting = _setting(mode, data, endpoints=endpoints)
    if data.draw(st.booleans()):
        setting = attrs.evolve(setting, options={})
    _check(lambda setting: setting.perform(5, repeatable=repeatable), setting)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("keys", [[], ["a", "b", "c"]], ids=["no key", "keys"])
@pytest.mark.parametrize("kind", CREDENTIALS)
def test_call_ends_same_on_every_path_whatever_credential_provider_returns(
    mode: str, keys: list[str | None], kind: str
) -> None:
    """A call has the same result on each path, for all results of the credential provider."""
    service = Service("v", base_url=BASE, needs_credentials=True)
    for takes, answers in ((0.0, []), (0.0, [("ok", 0.0), ("unknown", 0.0)]), (31.0, [])):
        lookups = [("token", 0.0), (kind, takes)]
        setting = Setting(
            mode=mode, services=[service], answers=list(answers), keys=keys, lookups=lookups
        )
        _check(lambda setting: setting.send([REQUESTS[5]] * 3), setting)


class _SlowProvider:
    """A credential provider whose second lookup never ends."""

    def __init__(self) -> None:
        self.lookups = 0

    async def get(self, *_: object) -> Credentials:
        """Return a token at the first lookup, and never return at the second."""
        self.lookups += 1
        if self.lookups > 1:
            await asyncio.Event().wait()
        return Credentials.bearer("t")

    async def refresh(self, *_: object) -> Credentials:
        """Return a token."""
        return Credentials.bearer("t")


@pytest.mark.parametrize("options", [{}, {"idempotency_key": "k"}], ids=["no key", "key"])
def test_endless_lookup_ends_with_the_call(options: dict[str, str]) -> None:
    """If a credential lookup never ends, the call ends at its deadline, without sending."""
    client = AsyncClient(Clock(), [])
    provider: Any = _SlowProvider()
    service = Service("v", base_url=BASE, needs_credentials=True)

    async def calls() -> DeadlineExceeded:
        async with AsyncConnectorManager([service], http=client, credentials=provider) as manager:
            await manager.call("v", REQUESTS[0])
            with pytest.raises(DeadlineExceeded) as excinfo:
                await manager.call("v", REQUESTS[0], timeout=0.01, **options)
        return excinfo.value

    error = asyncio.run(calls())
    assert (1, 2) == (len(client.got), provider.lookups)
    assert not error.may_have_been_processed


@pytest.mark.parametrize("options", [{}, {"idempotency_key": "k"}], ids=["no key", "key"])
def test_lookup_that_outlasts_the_call_sends_nothing(options: dict[str, str]) -> None:
    """If a synchronous provider returns after the deadline, the call fails and sends nothing."""
    clock = Clock()
    client = SyncClient(clock, [])

    class BlockingProvider:
        """A provider that returns a token after a minute."""

        def get(self, *_: object) -> Credentials:
            """Return a token."""
            clock.advance(60.0)
            return Credentials.bearer("t")

    provider: Any = BlockingProvider()
    service = Service("v", base_url=BASE, needs_credentials=True)
    manager = ConnectorManager(
        [service], http=client, credentials=provider, clock=clock, sleeper=clock
    )
    for _ in range(2):
        with manager, pytest.raises(DeadlineExceeded) as excinfo:
            manager.call("v", REQUESTS[0], timeout=1.0, **options)
        assert not excinfo.value.may_have_been_processed
    assert [] == client.got


def _keyed_setting(mode: str, data: st.DataObject) -> Setting:
    """Return a scenario with idempotency keys, some of them repeated."""
    keys = st.lists(st.sampled_from(["a", "b", "not\n valid", None]), min_size=2, max_size=5)
    rules = data.draw(st.sampled_from(KEYS))
    return attrs.evolve(_setting(mode, data, **rules), keys=data.draw(keys))


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=80)
@given(data=st.data())
def test_requests_with_keys_end_alike_on_all_paths(mode: str, data: st.DataObject) -> None:
    """Requests with new and repeated keys have the same responses and events on every path."""
    post = REQUESTS[5]
    requests = data.draw(st.lists(st.sampled_from([post, post, *REQUESTS]), min_size=2, max_size=5))
    _check(lambda setting: setting.send(requests), _keyed_setting(mode, data))


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=50)
@given(data=st.data())
def test_functions_with_keys_end_alike_on_all_paths(mode: str, data: st.DataObject) -> None:
    """Functions with new and repeated keys have the same values and events on every path."""
    _check(lambda setting: setting.run(5), _keyed_setting(mode, data))


@pytest.mark.parametrize("mode", MODES)
def test_call_whose_second_attempt_is_interrupted_emits_same_events_on_every_path(
    mode: str,
) -> None:
    """A call whose second attempt is interrupted emits the same events on every path."""
    setting = Setting(
        mode=mode,
        services=[Service("v", base_url=BASE)],
        answers=[("ok", 0.0), ("refused", 0.0), ("stopped", 0.5)],
    )

    plays: list[Callable[[Setting], ScenarioOutcome]] = [
        lambda setting: setting.send([REQUESTS[0]] * 3),
        lambda setting: setting.run(3),
        lambda setting: setting.perform(3, repeatable=True),
    ]

    for run_scenario in plays:
        _check(run_scenario, setting)
        events = run_scenario(attrs.evolve(setting, observed=True))
        calls = [event for event in events.events if isinstance(event, CallFinished)]
        assert (CallInterrupted, "") == events.ends[1]
        assert [(False, 1), (True, 2), (False, 1)] == [
            (event.cancelled, event.attempts) for event in calls
        ]


@pytest.mark.parametrize("mode", MODES)
def test_interruption_ends_alike(mode: str) -> None:
    """An interrupted call, and the call after it, emit the same events on every path."""
    setting = Setting(
        mode=mode,
        services=[Service("v", base_url=BASE, circuit=CircuitBreakerConfig(failures=1))],
        answers=[("ok", 0.0), ("stopped", 0.5)],
    )

    plays: list[Callable[[Setting], ScenarioOutcome]] = [
        lambda setting: setting.send([REQUESTS[0]] * 3),
        lambda setting: setting.run(3),
        lambda setting: setting.perform(3, repeatable=True),
    ]

    for run_scenario in plays:
        _check(run_scenario, setting)
        end_events = run_scenario(setting).ends
        assert (CallInterrupted, "") == end_events[1]
        assert end_events[0] == end_events[2]


def test_recording_http_client_learns_call_secrets_on_fast_path() -> None:
    """A recording HTTP client learns the call's secrets on the fast path, too."""
    learned_secrets: list[Any] = []

    class Recorder:
        def send(self, *_: object) -> Response:
            return Response(200)

        def close(self) -> None:
            """Do nothing, because nothing is open."""

        def learn_secrets(self, *values: Any) -> None:
            learned_secrets.extend(values)

    vendor = Service("vat", base_url=BASE, credentials=Credentials.bearer("s3cr3t-key"))
    with ConnectorManager([vendor], http=cast("Any", Recorder())) as manager:
        manager.call("vat", Request.get("/"))
        learned_secrets.clear()
        assert 200 == manager.call("vat", Request.get("/")).status
    assert any("s3cr3t-key" in str(value) for value in learned_secrets)


def test_fast_path_function_is_cancelled() -> None:
    """On the fast path, an asynchronous function is cancelled at the service's timeout."""

    async def exceed_deadline() -> None:
        async with AsyncConnectorManager([Service("vat", timeout=0.01)]) as manager:
            assert "ok" == await manager.run("vat", lambda: asyncio.sleep(0, "ok"))
            await manager.run("vat", lambda: asyncio.sleep(3600))

    with pytest.raises(DeadlineExceeded):
        asyncio.run(exceed_deadline())


def test_fast_path_function_may_return_a_future() -> None:
    """On the fast path, a future that a function returns is awaited."""

    async def run_function() -> str:
        future = asyncio.get_running_loop().create_future()
        future.set_result("ok")
        async with AsyncConnectorManager([Service("vat")]) as manager:
            assert "first" == await manager.run("vat", lambda: asyncio.sleep(0, "first"))
            return await manager.run("vat", lambda: future)

    assert "ok" == asyncio.run(run_function())


def test_fast_path_function_ends_with_the_timeout_of_its_call() -> None:
    """On the fast path, the timeout of the call limits an asynchronous function."""

    async def call() -> None:
        async with AsyncConnectorManager([Service("vat")]) as manager:
            for _ in range(2):
                assert "ok" == await manager.run("vat", lambda: asyncio.sleep(0, "ok"), timeout=9)
            await manager.run("vat", lambda: asyncio.sleep(3600), timeout=0.01)

    with pytest.raises(DeadlineExceeded):
        asyncio.run(call())


@pytest.mark.parametrize(
    "kind, expected",
    [
        (CallStarted, ["CallStarted"]),
        (AttemptFinished, ["AttemptFinished"]),
        (CallFinished, ["CallFinished"]),
    ],
)
def test_fast_path_emits_the_events_that_are_observed(
    kind: type[Event], expected: list[str]
) -> None:
    """On the fast path, an observer of one event class receives each event of this class."""
    reports: list[str] = []

    class Observer:
        event_classes = (kind,)

        def __call__(self, event: Event) -> None:
            reports.append(type(event).__name__)

    manager = ConnectorManager([Service("vat")], observers=[Observer()])

    assert [0, 0, 0] == [manager.run("vat", int) for _ in range(3)]

    assert expected * 3 == reports


@pytest.mark.parametrize("bulkhead", [None, BulkheadConfig(1)])
def test_interrupted_observer_receives_the_end_of_its_call_once(
    bulkhead: BulkheadConfig | None,
) -> None:
    """If an observer is interrupted at the end of a call, the event is not emitted again."""
    reports: list[str] = []

    def observe(event: Event) -> None:
        reports.append(type(event).__name__)
        if isinstance(event, CallFinished):
            raise KeyboardInterrupt

    async def answer() -> int:
        return 0

    service = Service("vat", bulkhead=bulkhead)
    manager = ConnectorManager([service], observers=[observe])
    async_manager = AsyncConnectorManager([service], observers=[observe])

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            manager.run("vat", int)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_now(async_manager.run("vat", answer))

    assert ["CallStarted", "AttemptFinished", "CallFinished"] * 4 == reports


def test_full_bulkhead_refuses_a_call_on_the_fast_path() -> None:
    """On the fast path, a full bulkhead refuses a second call until the first has ended."""
    service = Service("vat", base_url=BASE, retry=None, bulkhead=BulkheadConfig(1))

    class Client:
        def send(self, *_: object) -> Response:
            with pytest.raises(BulkheadFull):
                manager.call("vat", Request.get("/rates"))
            return Response(200)

        def close(self) -> None:
            """Do nothing, because nothing is open."""

    def call() -> str:
        with pytest.raises(BulkheadFull):
            manager.run("vat", int)
        return "ok"

    with ConnectorManager([service], http=cast("Any", Client())) as manager:
        assert [200, 200] == [manager.call("vat", Request.get("/rates")).status for _ in range(2)]
        assert ["ok", "ok"] == [manager.run("vat", call) for _ in range(2)]


def test_full_bulkhead_refuses_an_asynchronous_call_on_the_fast_path() -> None:
    """On the fast path, a full bulkhead refuses a second asynchronous call."""
    service = Service("vat", base_url=BASE, retry=None, bulkhead=BulkheadConfig(1))

    class Client:
        def __init__(self) -> None:
            self.manager: Any = None

        async def send(self, *_: object) -> Response:
            with pytest.raises(BulkheadFull):
                await self.manager.call("vat", Request.get("/rates"))
            return Response(200)

        async def close(self) -> None:
            """Do nothing, because nothing is open."""

    async def run_scenario() -> list[Any]:
        client: Any = Client()
        async with AsyncConnectorManager([service], http=client) as manager:
            client.manager = manager

            async def call() -> str:
                with pytest.raises(BulkheadFull):
                    await manager.run("vat", lambda: asyncio.sleep(0))
                return "ok"

            request = Request.get("/rates")
            sent_statuses = [(await manager.call("vat", request)).status for _ in range(2)]
            return sent_statuses + [await manager.run("vat", call) for _ in range(2)]

    assert [200, 200, "ok", "ok"] == asyncio.run(run_scenario())


def test_stopped_function_frees_its_slot() -> None:
    """After a function is interrupted, its bulkhead slot is free."""
    manager = ConnectorManager([Service("vat", retry=None, bulkhead=BulkheadConfig(1))])

    def stop() -> None:
        raise CallInterrupted

    for _ in range(3):
        assert 0 == manager.run("vat", int)
        with pytest.raises(CallInterrupted):
            manager.run("vat", stop)


def test_refused_call_has_an_id_of_its_start() -> None:
    """A refused call's id is created only when it is read, but sorts by the call's start."""
    limit = RateLimitConfig.per_minute(2)
    service = Service("vat", limits=limit, max_limit_wait=0, retry=None)
    clock = Clock()
    manager = ConnectorManager([service], clock=clock)
    assert [0, 0] == [manager.run("vat", int) for _ in range(2)]
    refused_at = clock.utc()

    with pytest.raises(RateLimitExceeded) as excinfo:
        manager.run("vat", int)
    clock.advance(5)

    milliseconds = int(refused_at.timestamp() * 1000)
    assert milliseconds == ULID.from_str(excinfo.value.request_id or "").milliseconds


def test_slow_store_shortens_no_attempt() -> None:
    """The time limit of an attempt begins when the store admits it, even after a long wait."""
    clock = Clock()
    store = AwaitedStore(clock)
    limits = RateLimitConfig.per_second(9)
    service = Service("v", timeout=3_000, attempt_timeout=10, limits=limits, retry=None)

    async def main() -> list[str]:
        manager = AsyncConnectorManager(
            [service], state=store, clock=clock, sleeper=AsyncSleeper(clock)
        )

        async def run_function() -> str:
            for _ in range(3):
                await asyncio.sleep(0)
            return "done"

        first = await manager.run("v", run_function)
        store.takes = 20.0
        return [
            first,
            await manager.run("v", run_function),
            await manager.run("v", run_function, timeout=2_900),
        ]

    assert ["done"] * 3 == asyncio.run(main())
