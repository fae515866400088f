"""A request on the fast path ends exactly as one on the full path."""

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
    AttemptTimeout,
    BulkheadConfig,
    BulkheadFull,
    CircuitBreakerConfig,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    Credentials,
    DeadlineExceeded,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryBudget,
    RetryPolicy,
    Service,
    Timeouts,
)
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.domain.observation.events import AttemptFinished, CallFinished, CallStarted
from moorage.domain.observation.integration_log import IntegrationLog, LogQuery
from tests.parts.world import AsyncSleeper, Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage import Event

BASE = "https://vendor.example/v1"


class Stopped(BaseException):
    """An interruption."""


ANSWERS: dict[str, Callable[[], Any]] = {
    "ok": lambda: Response(200, body=b"yes"),
    "json": lambda: Response(200, {"Content-Type": "application/json"}, b'{"id": 7}'),
    "cut json": lambda: Response(200, {"Content-Type": "application/json"}, b'{"id": 7'),
    "gone": lambda: Response(304),
    "spent": lambda: Response(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"}),
    "some left": lambda: Response(200, {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "3"}),
    "moved": lambda: Response(301, {"Location": "https://other.example"}),
    "wrong": lambda: Response(422, body=b'{"error": {"code": "no_such_rate"}}'),
    "unknown": lambda: Response(401),
    "too many": lambda: Response(429, {"Retry-After": "2"}),
    "down": lambda: Response(503),
    "down for long": lambda: Response(503, {"Retry-After": "90"}),
    "refused": lambda: ConnectionFailed("refused.", may_have_been_processed=False),
    "cut off": lambda: ConnectionFailed("cut off.", may_have_been_processed=True),
    "late": lambda: AttemptTimeout("late.", may_have_been_processed=True),
    "foreign": lambda: ValueError("a secret"),
    "no answer": lambda: None,
    "stopped": Stopped,
}


class Vendor:
    """Returns the scripted responses one after another, and then successes."""

    def __init__(self, clock: Clock, answers: list[tuple[str, float]]) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.got: list[Any] = []

    def answer(self, request: Request, url: str, timeouts: Any) -> Any:
        """Record the request, advance the time, and return the next response."""
        self.got.append((request, url, round(timeouts.total, 3)))
        kind, takes = self._answers.pop(0) if self._answers else ("ok", 0.0)
        self._clock.advance(takes)
        answer = ANSWERS[kind]()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class SyncClient(Vendor):
    """A synchronous HTTP client."""

    send = Vendor.answer
    open = Vendor.answer

    def close(self) -> None:
        """Do nothing."""


class AsyncClient(Vendor):
    """An asynchronous HTTP client."""

    async def send(self, request: Request, url: str, timeouts: Any) -> Any:
        """Answer."""
        return self.answer(request, url, timeouts)

    open = send

    async def close(self) -> None:
        """Do nothing."""


def _told(error: Any) -> Any:
    if not isinstance(error, ConnectorError):
        return type(error), str(error)
    cause = error.__cause__
    return (
        type(error),
        str(error),
        error.service,
        error.operation,
        error.attempts,
        getattr(error, "status", None),
        error.retryable,
        error.retry_at,
        getattr(error, "may_have_been_processed", None),
        None if cause is None else _told(cause) if isinstance(cause, Exception) else cause,
    )


@attrs.frozen
class Story:
    """The outcome of a scenario: results, requests, pauses, events and log entries."""

    ends: list[Any]
    got: list[Any]
    slept: list[float]
    events: list[Event]
    entries: tuple[IntegrationLog, ...]


@attrs.frozen(kw_only=True)
class Setting:
    """Where calls are made.

    Attributes:
        mode: "plain" or "awaited".
        services: the services.
        answers: the answers of the vendor.
        observed: whether there are observers and a log.
        fast: whether the fast path may be used.
        options: the options of each call.
        failures_only: whether there is an observer of failures instead.
        keys: the idempotency keys of the calls; calls after the last key have none.
    """

    mode: str
    services: list[Service]
    answers: list[Any]
    observed: bool = False
    fast: bool = True
    options: dict[str, Any] = attrs.field(factory=dict)
    failures_only: bool = False
    keys: list[str | None] = attrs.field(factory=list)

    def send(self, requests: list[Request]) -> Story:
        """Send requests one after another."""
        return self._play([("call", request) for request in requests])

    def run(self, number: int) -> Story:
        """Call a function so many times."""
        return self._play([("run", None)] * number)

    def _play(self, calls: list[Any]) -> Story:
        clock = Clock()
        events: list[Event] = []
        log = MemoryIntegrationLogger()
        ports: dict[str, Any] = {
            "clock": clock,
            "randomness": FixedRandom(),
            "ids": Numbers(),
            "observers": [
                *[events.append] * self.observed,
                *[FailureObserver(events)] * self.failures_only,
            ],
        }
        vendor: Any = (AsyncClient if self.mode == "awaited" else SyncClient)(clock, self.answers)

        def told() -> Any:
            return vendor.answer(Request.get("/"), "", Timeouts(total=1.0))

        async def told_later() -> Any:
            return told()

        def sync() -> list[Any]:
            ports["log"] = log if self.observed else None
            manager: Any = ConnectorManager(self.services, http=vendor, sleeper=clock, **ports)
            self._slow_down(manager)
            ends = []
            for (verb, request), options in zip(calls, self._options(), strict=False):
                try:
                    ends.append(getattr(manager, verb)("v", request or told, **options))
                except BaseException as error:  # noqa: BLE001 - compared
                    ends.append(_told(error))
            return ends

        async def later() -> list[Any]:
            ports["log"] = AsyncMemoryIntegrationLogger(log) if self.observed else None
            manager: Any = AsyncConnectorManager(
                self.services, http=vendor, sleeper=AsyncSleeper(clock), **ports
            )
            self._slow_down(manager)
            ends = []
            for (verb, request), options in zip(calls, self._options(), strict=False):
                what = request or told_later
                try:
                    ends.append(await getattr(manager, verb)("v", what, **options))
                except BaseException as error:  # noqa: BLE001 - compared
                    ends.append(_told(error))
            return ends

        ends = asyncio.run(later()) if self.mode == "awaited" else sync()
        entries = log.find(LogQuery(limit=1000)).items
        return Story(ends, vendor.got, clock.slept, events, entries)

    def _options(self) -> Iterator[dict[str, Any]]:
        """The options of one call after another."""
        for key in self.keys:
            yield self.options | ({} if key is None else {"idempotency_key": key})
        while True:
            yield self.options

    def _slow_down(self, manager: Any) -> None:
        if not self.fast:
            manager._easy = manager._direct = {}  # noqa: SLF001 - the plans of the fast path


class FailureObserver:
    """Keeps the events of failures."""

    failures_only = True

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        self._events.append(event)


def _is_success(event: Event) -> bool:
    if isinstance(event, CallFinished):
        return event.error is None and not event.cancelled
    if isinstance(event, AttemptFinished):
        return event.error is None
    return isinstance(event, CallStarted)


def _nameless(events: list[Event]) -> list[Event]:
    """Events without ids, which are numbered by those that are made."""
    return [attrs.evolve(event, request_id=None) for event in events]


class Numbers:
    """Ids that count."""

    def __init__(self) -> None:
        self._count = 0

    def new(self) -> str:
        """Return the next id."""
        self._count += 1
        return f"id-{self._count}"


class FixedRandom:
    """Random numbers without chance."""

    def __init__(self) -> None:
        self._count = 0

    def fraction(self) -> float:
        """Return the middle."""
        return 0.5

    def token(self) -> int:
        """Return one number after another."""
        self._count += 1
        return self._count


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
    return Setting(
        mode=mode,
        services=[Service("v", base_url=BASE, **data.draw(st.sampled_from(PROTECTIONS)), **rules)],
        answers=data.draw(st.lists(st.tuples(st.sampled_from(list(ANSWERS)), takes), max_size=9)),
        options=data.draw(st.sampled_from(OPTIONS)),
    )


def _check(play: Callable[[Setting], Story], setting: Setting) -> None:
    """Compare the fast path and the flow, with and without observers."""
    alone, observed_run = play(setting), play(attrs.evolve(setting, observed=True))
    slow_run = play(attrs.evolve(setting, observed=True, fast=False))

    assert slow_run == observed_run
    assert attrs.evolve(observed_run, events=[], entries=()) == alone
    failures = play(attrs.evolve(setting, failures_only=True))
    assert attrs.evolve(failures, events=[]) == alone
    expected = [event for event in observed_run.events if not _is_success(event)]
    assert _nameless(expected) == _nameless(failures.events)


@pytest.mark.parametrize("mode", ["plain", "awaited"])
@settings(max_examples=50)
@given(data=st.data())
def test_every_way_of_a_request_ends_alike(mode: str, data: st.DataObject) -> None:
    """Answers, errors, waits, events and sent requests are equal on every path."""
    requests = data.draw(st.lists(st.sampled_from(REQUESTS), min_size=2, max_size=5))
    _check(lambda setting: setting.send(requests), _setting(mode, data))


@pytest.mark.parametrize("mode", ["plain", "awaited"])
@settings(max_examples=50)
@given(data=st.data())
def test_every_way_of_a_function_ends_alike(mode: str, data: st.DataObject) -> None:
    """Values, errors, waits and events of a function are equal on every path."""
    _check(lambda setting: setting.run(5), _setting(mode, data))


def _keyed(mode: str, data: st.DataObject) -> Setting:
    """A setting with idempotency keys, some of which are repeated."""
    keys = st.lists(st.sampled_from(["a", "b", "not\n valid", None]), min_size=2, max_size=5)
    rules = data.draw(st.sampled_from(KEYS))
    return attrs.evolve(_setting(mode, data, **rules), keys=data.draw(keys))


@pytest.mark.parametrize("mode", ["plain", "awaited"])
@settings(max_examples=80)
@given(data=st.data())
def test_every_way_of_a_request_with_a_key_ends_alike(mode: str, data: st.DataObject) -> None:
    """New and repeated keys of requests end with the same answers and events on every path."""
    post = REQUESTS[5]
    requests = data.draw(st.lists(st.sampled_from([post, post, *REQUESTS]), min_size=2, max_size=5))
    _check(lambda setting: setting.send(requests), _keyed(mode, data))


@pytest.mark.parametrize("mode", ["plain", "awaited"])
@settings(max_examples=50)
@given(data=st.data())
def test_every_way_of_a_function_with_a_key_ends_alike(mode: str, data: st.DataObject) -> None:
    """New and repeated keys of functions end with the same values and events on every path."""
    _check(lambda setting: setting.run(5), _keyed(mode, data))


@pytest.mark.parametrize("mode", ["plain", "awaited"])
def test_interrupted_retry_ends_alike(mode: str) -> None:
    """A call whose second attempt is interrupted reports the same events on every path."""
    setting = Setting(
        mode=mode,
        services=[Service("v", base_url=BASE)],
        answers=[("ok", 0.0), ("refused", 0.0), ("stopped", 0.5)],
    )

    plays: list[Callable[[Setting], Story]] = [
        lambda setting: setting.send([REQUESTS[0]] * 3),
        lambda setting: setting.run(3),
    ]

    for play in plays:
        _check(play, setting)
        story = play(attrs.evolve(setting, observed=True))
        calls = [event for event in story.events if isinstance(event, CallFinished)]
        assert (Stopped, "") == story.ends[1]
        assert [(False, 1), (True, 2), (False, 1)] == [
            (event.cancelled, event.attempts) for event in calls
        ]


@pytest.mark.parametrize("mode", ["plain", "awaited"])
def test_interruption_ends_alike(mode: str) -> None:
    """An interrupted request or function is reported, and the next one is made, in the same way."""
    setting = Setting(
        mode=mode,
        services=[Service("v", base_url=BASE, circuit=CircuitBreakerConfig(failures=1))],
        answers=[("ok", 0.0), ("stopped", 0.5)],
    )

    plays: list[Callable[[Setting], Story]] = [
        lambda setting: setting.send([REQUESTS[0]] * 3),
        lambda setting: setting.run(3),
    ]

    for play in plays:
        _check(play, setting)
        ends = play(setting).ends
        assert (Stopped, "") == ends[1]
        assert ends[0] == ends[2]


def test_quick_call_teaches_a_recorder_what_it_sends() -> None:
    """A recording client learns the call's credentials on the fast path, too."""
    taught: list[Any] = []

    class Recorder:
        def send(self, *_: object) -> Response:
            return Response(200)

        def close(self) -> None:
            """Close nothing."""

        def learn_secrets(self, *values: Any) -> None:
            taught.extend(values)

    vendor = Service("vat", base_url=BASE, credentials=Credentials.bearer("s3cr3t-key"))
    with ConnectorManager([vendor], http=cast("Any", Recorder())) as manager:
        manager.call("vat", Request.get("/"))
        taught.clear()
        assert 200 == manager.call("vat", Request.get("/")).status
    assert any("s3cr3t-key" in str(value) for value in taught)


def test_fast_path_function_is_cancelled() -> None:
    """An asynchronous function is cancelled at the service's timeout and not retried."""

    async def overrun() -> None:
        async with AsyncConnectorManager([Service("vat", timeout=0.01)]) as manager:
            assert "ok" == await manager.run("vat", lambda: asyncio.sleep(0, "ok"))
            await manager.run("vat", lambda: asyncio.sleep(3600))

    with pytest.raises(DeadlineExceeded):
        asyncio.run(overrun())


def test_fast_path_function_may_return_a_future() -> None:
    """A future is awaited like a coroutine."""

    async def ask() -> str:
        future = asyncio.get_running_loop().create_future()
        future.set_result("ok")
        async with AsyncConnectorManager([Service("vat")]) as manager:
            assert "first" == await manager.run("vat", lambda: asyncio.sleep(0, "first"))
            return await manager.run("vat", lambda: future)

    assert "ok" == asyncio.run(ask())


def test_fast_path_function_ends_with_the_timeout_of_its_call() -> None:
    """An asynchronous function may wait within the timeout of its call, and no longer."""

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
    """An observer of one class of events receives each such event of a call on the fast path."""
    reports: list[str] = []

    class Observer:
        hears = (kind,)

        def __call__(self, event: Event) -> None:
            reports.append(type(event).__name__)

    manager = ConnectorManager([Service("vat")], observers=[Observer()])

    assert [0, 0, 0] == [manager.run("vat", int) for _ in range(3)]

    assert expected * 3 == reports


def test_full_bulkhead_refuses_a_call_on_the_fast_path() -> None:
    """A second call is refused while the only slot of a bulkhead is taken, and fits afterwards."""
    service = Service("vat", base_url=BASE, retry=None, bulkhead=BulkheadConfig(1))

    class Client:
        def send(self, *_: object) -> Response:
            with pytest.raises(BulkheadFull):
                manager.call("vat", Request.get("/rates"))
            return Response(200)

        def close(self) -> None:
            """Close nothing."""

    def call() -> str:
        with pytest.raises(BulkheadFull):
            manager.run("vat", int)
        return "ok"

    with ConnectorManager([service], http=cast("Any", Client())) as manager:
        assert [200, 200] == [manager.call("vat", Request.get("/rates")).status for _ in range(2)]
        assert ["ok", "ok"] == [manager.run("vat", call) for _ in range(2)]


def test_full_bulkhead_refuses_an_asynchronous_call_on_the_fast_path() -> None:
    """The same of an asynchronous manager."""
    service = Service("vat", base_url=BASE, retry=None, bulkhead=BulkheadConfig(1))

    class Client:
        def __init__(self) -> None:
            self.manager: Any = None

        async def send(self, *_: object) -> Response:
            with pytest.raises(BulkheadFull):
                await self.manager.call("vat", Request.get("/rates"))
            return Response(200)

        async def close(self) -> None:
            """Close nothing."""

    async def play() -> list[Any]:
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

    assert [200, 200, "ok", "ok"] == asyncio.run(play())


def test_stopped_function_frees_its_slot() -> None:
    """An interruption in a function leaves room in the bulkhead for the next call."""
    manager = ConnectorManager([Service("vat", retry=None, bulkhead=BulkheadConfig(1))])

    def stop() -> None:
        raise Stopped

    for _ in range(3):
        assert 0 == manager.run("vat", int)
        with pytest.raises(Stopped):
            manager.run("vat", stop)


def test_refused_call_has_an_id_of_its_start() -> None:
    """The id of a call that is refused at once is made when it is read, and sorts by its start."""
    limit = RateLimitConfig.per_minute(2)
    service = Service("vat", limits=limit, max_limit_wait=0, retry=None)
    clock = Clock()
    manager = ConnectorManager([service], clock=clock)
    assert [0, 0] == [manager.run("vat", int) for _ in range(2)]
    refused_at = clock.utc()

    with pytest.raises(RateLimitExceeded) as caught:
        manager.run("vat", int)
    clock.advance(5)

    milliseconds = int(refused_at.timestamp() * 1000)
    assert milliseconds == ULID.from_str(caught.value.request_id or "").milliseconds
