"""A fake network with scheduled faults."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from moorage import AsyncConnectorManager, ConnectorManager, Service
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.errors import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    VendorFailed,
)
from moorage.testing.fakes.clock import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
from moorage.testing.fakes.faults import (
    AsyncFaultNetwork,
    CutMidBody,
    Delay,
    Fault,
    FaultNetwork,
    FaultSchedule,
    Garbage,
    LostAnswer,
    LostRequest,
    RateLimited,
    Refused,
    ServerError,
)
from moorage.testing.fakes.http import AsyncScriptedHttpClient, FakeVendor, ScriptedHttpClient
from moorage.testing.fakes.randomness import ScriptedRandomness
from tests.testing.modes import SyncOrAsync, await_if_needed

URL = "https://vat.example/rates"
GET = Request.get("/rates")
OPEN_ENDED = Timeouts()
WITHIN_5 = Timeouts(read=5.0, total=9.0)

ALL: tuple[Fault, ...] = (
    Refused(),
    LostRequest(),
    LostAnswer(),
    Delay(1.0),
    CutMidBody(),
    RateLimited(),
    ServerError(),
    Garbage(),
)


class _Sleeper:
    """A sleeper, synchronous or asynchronous, that records its sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)


class _AsyncSleeper(_Sleeper):
    async def sleep(self, seconds: float, /) -> None:  # type: ignore[override]  # the other mode
        self.slept.append(seconds)


class _Harness:
    """A fake vendor behind a network with faults."""

    def __init__(self, network: Callable[..., Any], sleeper: _Sleeper) -> None:
        self.network_of = network
        self.sleeper = sleeper
        self.vendor = FakeVendor(Response(200, body=b"12345"))

    def network(self, *faults: Fault | None) -> SyncOrAsync:
        return self.network_of(self.vendor, FaultSchedule(faults), sleeper=self.sleeper)

    @property
    def processed(self) -> int:
        return len(self.vendor.requests)


@pytest.fixture(params=["sync", "async"], name="harness")
def _harness(request: pytest.FixtureRequest) -> _Harness:
    if request.param == "sync":
        return _Harness(FaultNetwork, _Sleeper())
    return _Harness(AsyncFaultNetwork, _AsyncSleeper())


def test_without_a_fault_nothing_is_changed(harness: _Harness) -> None:
    """Without a scheduled fault, or after the schedule's end, the vendor answers normally."""
    network = harness.network(None)

    answers = [await_if_needed(network.send(GET, URL, OPEN_ENDED)) for _ in range(3)]

    assert [(200, b"12345")] * 3 == [(answer.status, answer.body) for answer in answers]
    assert (None,) * 3 == network.faults.applied


@pytest.mark.parametrize(
    "fault, kind, processed, may_have_been",
    [
        (Refused(), ConnectionFailed, 0, False),
        (LostRequest(), ConnectionFailed, 0, True),
        (LostAnswer(), ConnectionFailed, 1, True),
        (CutMidBody(), ConnectionFailed, 1, True),
        (Delay(60), AttemptTimeout, 1, True),
    ],
)
def test_each_connection_fault_raises_error_that_real_client_can_raise(
    harness: _Harness,
    fault: Fault,
    kind: type[ConnectionFailed],
    processed: int,
    may_have_been: object,
) -> None:
    """Each connection fault raises an error that a real HTTP client can also raise."""
    with pytest.raises(ConnectionFailed) as info:
        await_if_needed(harness.network(fault).send(GET, URL, WITHIN_5))

    assert kind is type(info.value)
    assert may_have_been is info.value.may_have_been_processed
    assert processed == harness.processed


def test_lost_request_and_lost_answer_look_the_same(harness: _Harness) -> None:
    """A lost request and a lost response raise equal errors."""
    messages: list[dict[str, Any]] = []
    for fault in (LostRequest(), LostAnswer()):
        with pytest.raises(ConnectionFailed) as info:
            await_if_needed(harness.network(fault).send(GET, URL, WITHIN_5))
        messages.append(vars(info.value))

    assert messages[0] == messages[1]


@pytest.mark.parametrize("verb", ["send", "open"])
def test_garbage_raises_vendor_failed(harness: _Harness, verb: str) -> None:
    """A response that is not HTTP raises VendorFailed, although the vendor has acted."""
    with pytest.raises(VendorFailed, match="not HTTP"):
        await_if_needed(getattr(harness.network(Garbage()), verb)(GET, URL, WITHIN_5))

    assert 1 == harness.processed


@pytest.mark.parametrize(
    "fault, status, retry_after",
    [
        (RateLimited(), 429, None),
        (RateLimited(3), 429, "3"),
        (RateLimited(2.1), 429, "3"),
        (RateLimited(timedelta(minutes=1)), 429, "60"),
        (ServerError(), 503, None),
        (ServerError(500), 500, None),
    ],
)
def test_busy_or_broken_vendor_answers(
    harness: _Harness, fault: Fault, status: int, retry_after: str | None
) -> None:
    """A busy or broken vendor does nothing; clients wait as long as its response requests."""
    network = harness.network(fault, fault)

    whole_response = await_if_needed(network.send(GET, URL, OPEN_ENDED))
    opened_stream = await_if_needed(network.open(GET, URL, OPEN_ENDED))

    assert [status] * 2 == [whole_response.status, opened_stream.status]
    assert [retry_after] * 2 == [
        a.headers.get("retry-after") for a in (whole_response, opened_stream)
    ]
    assert b"" == await_if_needed(opened_stream.read())
    assert 0 == harness.processed


@pytest.mark.parametrize("verb", ["send", "open"])
@pytest.mark.parametrize("timeouts", [OPEN_ENDED, WITHIN_5])
def test_late_response_before_the_timeout_is_returned(
    harness: _Harness, verb: str, timeouts: Timeouts
) -> None:
    """A response that is late, but before the timeout, is returned."""
    answer = await_if_needed(getattr(harness.network(Delay(4.5)), verb)(GET, URL, timeouts))

    assert (200, [4.5]) == (answer.status, harness.sleeper.slept)


@pytest.mark.parametrize(
    "timeouts, waited",
    [
        (Timeouts(read=5.0, total=9.0), 5.0),
        (Timeouts(total=9.0), 9.0),
        (Timeouts(read=10.0), 10.0),
    ],
)
def test_client_stops_waiting_at_its_shortest_timeout(
    harness: _Harness, timeouts: Timeouts, waited: float
) -> None:
    """A client stops waiting for a late response after its shortest timeout."""
    with pytest.raises(AttemptTimeout, match=f"{waited}"):
        await_if_needed(harness.network(Delay(10)).open(GET, URL, timeouts))

    assert [waited] == harness.sleeper.slept


def test_body_is_cut_at_the_given_byte(harness: _Harness) -> None:
    """A response body is cut after the given number of bytes, and the connection is lost."""
    incoming = await_if_needed(harness.network(CutMidBody(after=3)).open(GET, URL, OPEN_ENDED))

    assert (200, 0, b"123") == (
        incoming.status,
        len(incoming.headers),
        await_if_needed(incoming.read()),
    )
    for _ in range(2):
        with pytest.raises(ConnectionFailed, match="cut") as info:
            await_if_needed(incoming.read())
        assert info.value.may_have_been_processed


def test_body_shorter_than_the_scheduled_cut_also_ends_in_a_lost_connection(
    harness: _Harness,
) -> None:
    """A response body that is shorter than the scheduled cut also ends with a lost connection."""
    incoming = await_if_needed(harness.network(CutMidBody(after=99)).open(GET, URL, OPEN_ENDED))
    assert b"12345" == await_if_needed(incoming.read())

    with pytest.raises(ConnectionFailed, match="cut"):
        await_if_needed(incoming.read())
    incoming.close()


class _Client:
    """An HTTP client whose responses record that they were closed."""

    def __init__(self, client: SyncOrAsync, log: list[str]) -> None:
        self._client = client
        self._log = log

    def open(self, *arguments: object) -> SyncOrAsync:
        return _Incoming(self._client.open(*arguments), self._log)


class _AsyncClient(_Client):
    async def open(self, *arguments: object) -> SyncOrAsync:
        return _Incoming(await self._client.open(*arguments), self._log)


class _Incoming:
    def __init__(self, incoming: SyncOrAsync, log: list[str]) -> None:
        self._incoming = incoming
        self._log = log

    def __getattr__(self, name: str) -> SyncOrAsync:
        return getattr(self._incoming, name)

    def close(self) -> None:
        self._log.append("closed")


def test_an_answer_that_is_lost_is_closed(harness: _Harness) -> None:
    """If a response is lost, the network closes it."""
    log: list[str] = []
    wrapped_client: Any = _Client(ScriptedHttpClient(harness.vendor), log)
    if harness.network_of is AsyncFaultNetwork:
        wrapped_client = _AsyncClient(AsyncScriptedHttpClient(harness.vendor), log)
    network = harness.network_of(
        wrapped_client, FaultSchedule([LostAnswer()]), sleeper=harness.sleeper
    )

    with pytest.raises(ConnectionFailed):
        await_if_needed(network.open(GET, URL, OPEN_ENDED))

    assert ["closed"] == log


def test_network_wraps_any_client(harness: _Harness) -> None:
    """The network accepts an HTTP client in place of a fake vendor, and closes it."""
    client: Any = ScriptedHttpClient(harness.vendor)
    if harness.network_of is AsyncFaultNetwork:
        client = AsyncScriptedHttpClient(harness.vendor)
    network = harness.network_of(client, FaultSchedule(), sleeper=harness.sleeper)

    answer = await_if_needed(network.send(GET, URL, OPEN_ENDED))
    await_if_needed(network.close())

    assert (200, True) == (answer.status, client.closed)


def test_a_cancelled_delay_closes_the_answer() -> None:
    """If a task is cancelled while its response is late, the response is closed."""
    log: list[str] = []
    vendor = FakeVendor(Response(200))

    class EndlessClock:
        async def sleep(self, _: float, /) -> None:
            asleep.set()
            await asyncio.Event().wait()

    asleep = asyncio.Event()
    client: Any = _AsyncClient(AsyncScriptedHttpClient(vendor), log)
    network = AsyncFaultNetwork(client, FaultSchedule([Delay(1)]), sleeper=EndlessClock())

    async def cancel_task() -> bool:
        task = asyncio.create_task(network.open(GET, URL, OPEN_ENDED))
        await asleep.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert (True, ["closed"]) == (asyncio.run(cancel_task()), log)


# --- the whole pipeline through it -----------------------------------------------


def _calls(harness: str, seed: int) -> tuple[list[str], list[float], str]:
    """Return the results, pauses and faults of fifty calls through a network with faults."""
    clock, vendor = VirtualClock(), FakeVendor(Response(200))
    faults = FaultSchedule.random(seed, {**dict.fromkeys(ALL, 0.07), Delay(40): 0.05})
    service = Service("vat", base_url="https://vat.example", timeout=30.0)
    ports: dict[str, Any] = {"clock": clock, "randomness": ScriptedRandomness([0.1, 0.7])}
    manager: SyncOrAsync
    sleeper: VirtualSleeper | AsyncVirtualSleeper
    if harness == "sync":
        sleeper = VirtualSleeper(clock)
        network: SyncOrAsync = FaultNetwork(vendor, faults, sleeper=sleeper)
        manager = ConnectorManager([service], http=network, sleeper=sleeper, **ports)
    else:
        sleeper = AsyncVirtualSleeper(clock, autojump=True)
        network = AsyncFaultNetwork(vendor, faults, sleeper=sleeper)
        manager = AsyncConnectorManager([service], http=network, sleeper=sleeper, **ports)
    endings: list[str] = []
    for _ in range(50):
        try:
            await_if_needed(manager.call("vat", GET))
        except ConnectorError as error:
            endings.append(str(error))
        else:
            endings.append("answered")
        clock.advance(1.0)
    return endings, sleeper.sleeps, str(faults)


def test_calls_with_the_same_seed_have_the_same_results() -> None:
    """Calls with the same seed give the same results, in sync and in async mode."""
    first, repeated_calls, async_calls = (
        _calls("sync", 1),
        _calls("sync", 1),
        _calls("async", 1),
    )

    assert first == repeated_calls == async_calls
    assert first != _calls("sync", 2)
    assert {"answered"} < set(first[0])


# --- schedules -------------------------------------------------------------------


def test_seed_always_gives_the_same_schedule_of_faults() -> None:
    """A seed always gives the same schedule of faults, and another seed a different one."""
    rates: dict[Fault, float] = dict.fromkeys(ALL, 0.1)
    first, repeated_schedule, other_schedule = (
        FaultSchedule.random(seed, rates) for seed in (7, 7, 8)
    )

    drawn_faults = [
        [schedule.next() for _ in range(200)]
        for schedule in (first, repeated_schedule, other_schedule)
    ]

    assert drawn_faults[0] == drawn_faults[1]
    assert drawn_faults[0] != drawn_faults[2]


def test_faults_come_at_their_rates() -> None:
    """Over many requests, each fault occurs at its scheduled rate."""
    schedule = FaultSchedule.random(1, {Refused(): 0.2, Delay(1): 0.3})

    drawn_faults = [schedule.next() for _ in range(10_000)]

    shares = [drawn_faults.count(fault) / 10_000 for fault in (Refused(), Delay(1), None)]
    assert pytest.approx([0.2, 0.3, 0.5], abs=0.02) == shares


def test_network_can_be_scheduled_to_fail_every_time() -> None:
    """A network can be scheduled to fail every time."""
    schedule = FaultSchedule.random(1, {Refused(): 0.1, LostAnswer(): 0.2, Garbage(): 0.7})

    assert None not in [schedule.next() for _ in range(1_000)]


def test_schedules_can_be_printed_and_repeated() -> None:
    """A printed schedule of faults is Python code that repeats the schedule."""
    schedule = FaultSchedule.random(3, dict.fromkeys(ALL, 0.12))
    met_errors = [schedule.next() for _ in range(50)]

    repeated_schedule = eval(str(schedule))  # noqa: S307 - that it is Python is what is tested

    assert met_errors == [repeated_schedule.next() for _ in range(50)]


def test_repr_of_schedule_of_faults_is_code_that_created_it() -> None:
    """The `repr` of a schedule of faults is the code that created it."""
    assert "FaultSchedule([Refused(), None])" == repr(FaultSchedule([Refused(), None]))
    drawn_schedule = FaultSchedule.random(3, {Delay(2): 0.5})
    assert "FaultSchedule.random(3, {Delay(seconds=2): 0.5})" == repr(drawn_schedule)
    assert "FaultSchedule([])" == str(drawn_schedule)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FaultSchedule.random(1, {Refused(): 0.6, LostAnswer(): 0.6}),
        lambda: FaultSchedule.random(1, {Refused(): -0.1}),
        lambda: FaultSchedule([Refused]),  # type: ignore[list-item]  # the class, by mistake
        lambda: Delay(-1),
        lambda: CutMidBody(0),
        lambda: RateLimited(0),
    ],
)
def test_invalid_schedules_are_refused(make: Callable[[], object]) -> None:
    """An invalid schedule of faults is refused when it is created."""
    with pytest.raises(ConfigurationError):
        make()
