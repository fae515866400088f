"""Responses that are streamed, under the same protections as other calls."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    BulkheadConfig,
    BulkheadFull,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    ConnectionFailed,
    CredentialNotFound,
    Credentials,
    DeadlineExceeded,
    InvalidData,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryPolicy,
    Service,
    Timeouts,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.observation.call_events import AttemptFinished
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import PiecewiseBody
from tests.support.virtual_tasks import Interruption

if TYPE_CHECKING:
    from moorage.domain.observation.events import Event
    from tests.support.modes import AwaitedManager

GET = Request.get("/export")


def shop(**options: object) -> Service:
    """Return a service named "shop" that has only the given settings."""
    value = {"base_url": "https://shop.example", "circuit": None, "retry": None} | options
    return Service("shop", **value)  # type: ignore[arg-type]  # as each test says


OPENS_AT_ONCE = CircuitBreakerConfig(failures=1, open_for=10)


async def half_open(harness: Harness, manager: AwaitedManager) -> None:
    """Open the circuit and advance the clock to the end of its open time."""
    harness.vendor.answers(503)
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    harness.clock.advance(10)


async def state(manager: AwaitedManager) -> tuple[CircuitState, int, int]:
    """Return the circuit's state, its failures, and its running probes."""
    result = await manager.circuit_state("shop")
    assert 0 == result.slow_calls
    return result.state, result.failures, result.probes_under_way


@sync_and_async
async def test_body_is_streamed(harness: Harness) -> None:
    """A stream yields its status and headers first, then chunks of the body, and b"" at the end."""
    harness.vendor.answers(PiecewiseBody(206, {"Content-Type": "text/csv"}, b"a,", b"b"))

    async with await harness.manager(shop()).stream("shop", GET) as stream:
        assert (206, "text/csv") == (stream.answer.status, stream.answer.headers["content-type"])
        assert [b"a,", b"b"] == await stream.all()
        assert b"" == await stream.read()

    assert [1] == [answer.closed for answer in harness.vendor.arrivals]
    assert ["https://shop.example/export"] == [requests.url for requests in harness.vendor.requests]


@sync_and_async
async def test_stream_respects_retry_after(harness: Harness) -> None:
    """A stream that is refused with `Retry-After` is opened once that time is over."""
    harness.vendor.answers(Response(503, {"Retry-After": "7"}))
    manager = harness.manager(shop(retry=RetryPolicy(2, 0)))

    await manager.stream("shop", GET)

    assert [0.0, 7.0] == [requests.at for requests in harness.vendor.requests]


@sync_and_async
async def test_only_opening_a_stream_is_retried(harness: Harness) -> None:
    """A stream is retried if it fails to open, but not if its body breaks off."""
    harness.vendor.answers(503, PiecewiseBody(200, (), b"a", ConnectionFailed("cut off")))
    manager = harness.manager(shop(retry=RetryPolicy(3, 0)))

    stream = await manager.stream("shop", GET)
    assert b"a" == await stream.read()
    with pytest.raises(ConnectionFailed) as excinfo:
        await stream.read()

    assert ("shop", 2) == (excinfo.value.service, excinfo.value.attempts)
    assert b"" == await stream.read()
    assert [1, 1] == [answer.closed for answer in harness.vendor.arrivals]


@pytest.mark.parametrize("status", [301, 307, 404, 500])
@sync_and_async
async def test_failed_stream_raises_an_error(harness: Harness, status: int) -> None:
    """A redirect or failing response raises an error with the vendor's explanation."""
    body = b'{"code": "E7", "message": "no export"}'
    harness.vendor.answers(Response(status, body=body))

    keyed_service = shop(credentials=Credentials.api_key("k", query="key"))
    with pytest.raises((VendorRejected, VendorFailed)) as excinfo:
        await harness.manager(keyed_service).stream("shop", GET)

    assert ["https://shop.example/export?key=k"] == [
        requests.url for requests in harness.vendor.requests
    ]
    assert ("E7", "no export") == (excinfo.value.vendor_code, excinfo.value.vendor_message)
    assert excinfo.value.response is not None
    assert "https://shop.example/export" == excinfo.value.response.url
    assert [1] == [answer.closed for answer in harness.vendor.arrivals]


@sync_and_async
async def test_error_body_is_read_in_part(harness: Harness) -> None:
    """Only as much of an error body is read as the error keeps."""
    harness.vendor.answers(PiecewiseBody(500, (), *[b"x" * 32_768] * 5))

    with pytest.raises(VendorFailed) as excinfo:
        await harness.manager(shop()).stream("shop", GET)

    assert excinfo.value.response is not None
    assert b"x" * 65_536 == excinfo.value.response.body
    assert 3 == len(harness.vendor.arrivals[0].pieces)


@sync_and_async
async def test_error_body_is_read_to_the_limit(harness: Harness) -> None:
    """An error's body is read up to the number of bytes that an error keeps."""
    harness.vendor.answers(PiecewiseBody(500, (), b"x" * 65_535, b"y", b"z"))

    with pytest.raises(VendorFailed) as excinfo:
        await harness.manager(shop()).stream("shop", GET)

    assert excinfo.value.response is not None
    assert b"xy" == excinfo.value.response.body[-2:]


@sync_and_async
async def test_last_piece_of_an_error_body_is_truncated(harness: Harness) -> None:
    """The last piece of an error body is cut off at the limit."""
    harness.vendor.answers(PiecewiseBody(500, (), b"ab", b"x" * 70_000))

    with pytest.raises(VendorFailed) as excinfo:
        await harness.manager(shop()).stream("shop", GET)

    assert excinfo.value.response is not None
    assert b"ab" + b"x" * 65_534 == excinfo.value.response.body


@sync_and_async
async def test_304_is_a_success(harness: Harness) -> None:
    """A 304 response to a conditional streamed request counts as a success."""
    harness.vendor.answers(304)

    stream = await harness.manager(shop()).stream("shop", GET)

    assert (304, []) == (stream.answer.status, await stream.all())


@sync_and_async
async def test_deadline_covers_the_body(harness: Harness) -> None:
    """After the call's deadline no more of the body is read."""
    harness.vendor.answers(PiecewiseBody(200, (), b"a", b"b", b"c"))
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))

    stream = await manager.stream("shop", GET, timeout=5)
    await stream.read()
    harness.clock.advance(4.999999999)
    assert b"b" == await stream.read()
    harness.clock.advance(0.000000001)
    with pytest.raises(DeadlineExceeded) as excinfo:
        await stream.read()

    assert ("shop", True) == (excinfo.value.service, excinfo.value.may_have_been_processed)
    # The reader may be slow, which is not the vendor's fault.
    assert (CircuitState.CLOSED, 0, 0) == await state(manager)


@pytest.mark.parametrize("after", [3, 29.999999999, 30])
@sync_and_async
async def test_stalled_body_is_a_failure(harness: Harness, after: float) -> None:
    """If a chunk of a body does not arrive in time, this counts as a failure of the vendor."""
    is_late = after == 30

    async def advance_before_chunk() -> Exception:
        harness.clock.advance(after)
        return AttemptTimeout("no piece came.")

    harness.vendor.answers(PiecewiseBody(200, (), advance_before_chunk))
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))

    stream = await manager.stream("shop", GET)
    with pytest.raises(DeadlineExceeded if is_late else AttemptTimeout) as excinfo:
        await stream.read()

    assert is_late == isinstance(excinfo.value.__cause__, AttemptTimeout)
    assert CircuitState.OPEN is (await state(manager))[0]


@sync_and_async
async def test_stream_without_credentials_sends_nothing(harness: Harness) -> None:
    """A stream without its credential raises an error before anything is sent."""
    manager = harness.manager(shop(needs_credentials=True))

    with pytest.raises(CredentialNotFound):
        await manager.stream("shop", GET)

    assert [] == harness.vendor.requests


@sync_and_async
async def test_broken_error_body_is_a_connection_failure(
    harness: Harness,
) -> None:
    """If an error's body breaks off, the error says that the request may have been processed."""
    cut_off = ConnectionFailed("cut off", may_have_been_processed=False)
    harness.vendor.answers(PiecewiseBody(500, (), b"{", cut_off))
    manager = harness.manager(shop(retry=RetryPolicy(3, 0)))

    with pytest.raises(ConnectionFailed, match="cut off") as excinfo:
        await manager.stream("shop", Request.post("/orders"))

    assert 1 == excinfo.value.attempts == len(harness.vendor.requests)


@sync_and_async
async def test_our_own_error_in_a_body_is_neutral(harness: Harness) -> None:
    """If a body ends by an error that is not the vendor's fault, the circuit ignores it."""
    harness.vendor.answers(PiecewiseBody(200, (), InvalidData("no chunk")))
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))

    stream = await manager.stream("shop", GET)
    with pytest.raises(InvalidData):
        await stream.read()

    assert (CircuitState.CLOSED, 0, 0) == await state(manager)
    assert 0 == (await manager.circuit_state("shop")).calls


@pytest.mark.parametrize(
    "error", [ConnectionFailed("cut off"), VendorFailed("nonsense"), ValueError("key=hunter2")]
)
@sync_and_async
async def test_broken_body_is_a_failure(harness: Harness, error: Exception) -> None:
    """A broken body counts as a failure; an unexpected exception's text is not quoted."""
    harness.vendor.answers(PiecewiseBody(200, (), b"a", error))
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))

    stream = await manager.stream("shop", GET)
    await stream.read()
    with pytest.raises((ConnectionFailed, VendorFailed)) as excinfo:
        await stream.read()

    assert "hunter2" not in repr(excinfo.value)
    assert CircuitState.OPEN is (await state(manager))[0]


@sync_and_async
async def test_failed_stream_and_failed_call_of_one_manager_count_once_with_quorum(
    harness: Harness,
) -> None:
    """With a quorum, a failed stream and a failed call of one manager count once."""
    harness.vendor.answers(503, PiecewiseBody(200, (), ConnectionFailed("cut off")))
    manager = harness.manager(shop(circuit=CircuitBreakerConfig(failures=2, quorum=2)))

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    stream = await manager.stream("shop", GET)
    with pytest.raises(ConnectionFailed):
        await stream.read()

    assert (CircuitState.CLOSED, 2, 0) == await state(manager)


@sync_and_async
async def test_unsent_stream_request_is_retried(harness: Harness) -> None:
    """A stream request that was certainly not sent is retried, whatever its method."""
    harness.vendor.answers(ConnectionFailed("no route", may_have_been_processed=False))
    manager = harness.manager(shop(retry=RetryPolicy(2, 0)))

    await manager.stream("shop", Request.post("/exports", json=1))

    assert 2 == len(harness.vendor.requests)


@sync_and_async
async def test_last_byte_of_a_probe_closes_the_circuit(harness: Harness) -> None:
    """A probe that streams closes the circuit only with the last byte of its body."""
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))
    await half_open(harness, manager)
    harness.vendor.answers(PiecewiseBody(200, (), b"a"))

    stream = await manager.stream("shop", GET)
    await stream.read()
    assert (CircuitState.HALF_OPEN, 0, 1) == await state(manager)
    await stream.read()

    assert (CircuitState.CLOSED, 0, 0) == await state(manager)


@sync_and_async
async def test_probe_slot_is_held_until_the_last_byte(harness: Harness) -> None:
    """While a probe's body is read, no other probe is sent."""
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))
    await half_open(harness, manager)
    harness.vendor.answers(PiecewiseBody(200, (), b"a"))

    stream = await manager.stream("shop", GET)
    with pytest.raises(CircuitBreakerOpen):
        await manager.stream("shop", GET)
    await stream.all()

    await manager.call("shop", GET)


@sync_and_async
async def test_leaving_early_is_neutral(harness: Harness) -> None:
    """If a stream is closed early, the circuit counts no outcome, and the probe slot is freed."""
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))
    await half_open(harness, manager)
    harness.vendor.answers(PiecewiseBody(200, (), b"a", b"b"))

    async with await manager.stream("shop", GET) as stream:
        await stream.read()

    assert (CircuitState.HALF_OPEN, 0, 0) == await state(manager)
    assert 1 == harness.vendor.arrivals[-1].closed
    assert b"" == await stream.read()


@sync_and_async
async def test_error_of_the_reader_is_neutral(harness: Harness) -> None:
    """An error of the code that reads a stream does not count in the stream's circuit."""
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))

    with pytest.raises(VendorFailed, match="another"):
        async with await manager.stream("shop", GET):
            raise VendorFailed("another vendor broke")

    assert (CircuitState.CLOSED, 0, 0) == await state(manager)


@sync_and_async
async def test_slow_headers_count_as_slow(harness: Harness) -> None:
    """A call with slow headers counts as slow once its body has ended."""
    circuit = CircuitBreakerConfig(slow_call=1, slow_call_rate=1.0, minimum_calls=1)
    manager = harness.manager(shop(circuit=circuit))
    harness.vendor.answers(harness.answer_after(2.0, PiecewiseBody(200, (), b"a")))

    stream = await manager.stream("shop", GET)
    assert CircuitState.CLOSED is (await state(manager))[0]
    await stream.all()

    assert CircuitState.OPEN is (await state(manager))[0]


@sync_and_async
async def test_bulkhead_slot_is_held_until_the_last_byte(harness: Harness) -> None:
    """A stream holds its bulkhead slot until its end, and releases it once."""
    manager = harness.manager(shop(bulkhead=BulkheadConfig(1)))

    stream = await manager.stream("shop", GET)
    with pytest.raises(BulkheadFull):
        await manager.stream("shop", GET)
    await stream.all()
    stream.answer.settle()

    await (await manager.stream("shop", GET)).all()


@sync_and_async
async def test_unopened_stream_holds_no_slot(harness: Harness) -> None:
    """A stream that fails to open releases its bulkhead slot at once."""
    harness.vendor.answers(500, ConnectionFailed("cut off"))
    manager = harness.manager(shop(bulkhead=BulkheadConfig(1)))

    for kind in (VendorFailed, ConnectionFailed):
        with pytest.raises(kind):
            await manager.stream("shop", GET)

    await manager.stream("shop", GET)


@sync_and_async
async def test_headers_chunks_and_body_of_a_stream_have_time_limits(harness: Harness) -> None:
    """Headers and chunks are limited by the attempt's timeout, the whole body by the call's."""
    manager = harness.manager(shop(attempt_timeout=2, timeout=60))

    await manager.stream("shop", GET)

    (requests,) = harness.vendor.requests
    assert (2, 2, 60) == (
        requests.timeouts.connect,
        requests.timeouts.read,
        requests.timeouts.total,
    )


@sync_and_async
async def test_step_timeouts_apply_to_streams(harness: Harness) -> None:
    """A timeout for a step, such as `read`, applies to streams if shorter than the attempt's."""
    steps = Timeouts(connect=1, read=3, write=5)
    manager = harness.manager(shop(attempt_timeout=2, timeout=60, timeouts=steps))

    await manager.stream("shop", GET)

    (requests,) = harness.vendor.requests
    assert Timeouts(connect=1, read=2, write=5, pool=60, total=60) == requests.timeouts


@pytest.mark.parametrize("timeout", [None, 90, 90.0000005])
@sync_and_async
async def test_slow_probe_body_blocks_other_probes(harness: Harness, timeout: float | None) -> None:
    """While a probe's body is being received, no other caller sends a probe."""
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE, attempt_timeout=2, timeout=60))
    await half_open(harness, manager)

    stream = await manager.stream("shop", GET, timeout=timeout)
    harness.clock.advance((timeout or 60) + 4)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("shop", GET)
    harness.clock.advance(1)
    await manager.call("shop", GET)
    stream.answer.settle()


@sync_and_async
async def test_abandoned_stream_is_released(harness: Harness) -> None:
    """A stream that is garbage-collected frees its probe, its bulkhead slot and its connection."""
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE, bulkhead=BulkheadConfig(1)))
    await half_open(harness, manager)

    stream: Any = await manager.stream("shop", GET)
    stream.answer.cycle = stream
    del stream
    gc.collect()

    assert (CircuitState.HALF_OPEN, 0, 0) == await state(manager)
    assert 1 == harness.vendor.arrivals[-1].closed
    await manager.call("shop", GET)


@sync_and_async
async def test_401_of_a_stream_renews_the_credential(harness: Harness) -> None:
    """A 401 for a stream request renews the credential, like for any other request."""

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("old")

        async def refresh(self, *_: object) -> Credentials:
            return Credentials.bearer("new")

    harness.vendor.answers(401, 200, 401, 401)
    service = shop(needs_credentials=True)
    manager = harness.manager(service, credentials=harness.of_mode(Provider()))

    await manager.stream("shop", GET)
    with pytest.raises(AuthenticationFailed):
        await manager.stream("shop", GET)

    assert ["old", "new", "old", "new"] == [
        (requests.header("authorization") or "").removeprefix("Bearer ")
        for requests in harness.vendor.requests
    ]


@sync_and_async
async def test_used_up_allowance_of_a_stream_pauses(harness: Harness) -> None:
    """If a stream's headers report no remaining allowance, the next call waits."""
    harness.vendor.answers(
        PiecewiseBody(200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "9"}),
    )
    manager = harness.manager(shop(limits=RateLimitConfig(100), max_limit_wait=0))

    await manager.stream("shop", GET)
    with pytest.raises(RateLimitExceeded):
        await manager.stream("shop", GET)


@sync_and_async
async def test_stream_has_no_fallback(harness: Harness) -> None:
    """A fallback cannot replace a streamed body, so the error is raised."""
    harness.vendor.answers(503)

    with pytest.raises(VendorFailed):
        await harness.manager(shop(fallback=lambda _: None)).stream("shop", GET)


@sync_and_async
async def test_unsendable_streams_are_refused(harness: Harness) -> None:
    """A stream needs a request and a base URL, and with retries a body that can be sent again."""
    manager = harness.watched(shop(retry=RetryPolicy(2, 0)), Service("bare"))

    with pytest.raises(InvalidData) as excinfo:
        await manager.stream("shop", Request.put("/files", body=iter([b""])))
    assert ("body", "shop") == (excinfo.value.field, excinfo.value.service)
    assert "read only once" in excinfo.value.message
    assert "Pass the body as bytes or as" in excinfo.value.remedy
    assert ["CallStarted", "CallFinished"] == harness.event_names()
    with pytest.raises(InvalidData) as excinfo:
        await manager.stream("shop", "/export")
    assert ("request", "shop") == (excinfo.value.field, excinfo.value.service)
    with pytest.raises(ConfigurationError):
        await manager.stream("bare", GET)


@sync_and_async
async def test_stream_emits_events_with_its_headers_and_at_its_end(harness: Harness) -> None:
    """A stream's attempt event comes with its headers, its end event with the end of its body."""
    harness.vendor.answers(PiecewiseBody(200, (), b"a"))
    manager = harness.watched(shop())

    stream = await manager.stream("shop", GET, subject="customer-1")
    harness.clock.advance(2)
    assert ["CallStarted", "AttemptFinished"] == harness.event_names()
    await stream.all()
    stream.answer.settle()

    finished_event: Any = harness.events[-1]
    assert ["CallStarted", "AttemptFinished", "CallFinished"] == harness.event_names()
    assert (200, None, False, 2.0, "customer-1") == (
        finished_event.status,
        finished_event.error,
        finished_event.cancelled,
        finished_event.duration,
        finished_event.subject,
    )


@pytest.mark.parametrize(
    "piece, error, cancelled",
    [(ConnectionFailed("cut off"), "ConnectionFailed", False), (b"a", None, True)],
)
@sync_and_async
async def test_end_event_of_a_stream_has_its_error_or_says_cancelled(
    harness: Harness,
    piece: Any,
    error: str | None,
    cancelled: bool,
) -> None:
    """The end event of a broken stream has the error; that of a closed stream says cancelled."""
    harness.vendor.answers(PiecewiseBody(200, (), piece))
    manager = harness.watched(shop())

    async with await manager.stream("shop", GET) as stream:
        if error is None:
            await stream.read()
        else:
            with pytest.raises(ConnectionFailed):
                await stream.read()

    finished_event: Any = harness.events[-1]
    assert (error, cancelled) == (finished_event.error, finished_event.cancelled)
    assert 1 == harness.event_names().count("CallFinished")


@sync_and_async
async def test_failed_stream_emits_one_end(harness: Harness) -> None:
    """If a stream could not be opened, observers get one end event."""
    harness.vendor.answers(500)
    manager = harness.watched(shop(bulkhead=BulkheadConfig(1)))

    with pytest.raises(VendorFailed):
        await manager.stream("shop", GET)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == harness.event_names()


@sync_and_async
async def test_interruption_after_the_headers_ends_the_stream(harness: Harness) -> None:
    """If a caller is interrupted after the headers have arrived, the stream is closed."""

    def interrupt(event: Event) -> None:
        if isinstance(event, AttemptFinished) and event.status == 200:
            raise Interruption

    service = shop(circuit=OPENS_AT_ONCE, bulkhead=BulkheadConfig(1))
    await half_open(harness, harness.manager(service))
    manager = harness.manager(service, observers=[harness.events.append, interrupt])

    with pytest.raises(Interruption):
        await manager.stream("shop", GET)

    assert [
        "CallStarted",
        "CircuitChanged",
        "AttemptFinished",
        "CallFinished",
    ] == harness.event_names()

    assert (CircuitState.HALF_OPEN, 0, 0) == await state(manager)
    assert 1 == harness.vendor.arrivals[-1].closed
    assert not any(harness.locks.inside.values())


@sync_and_async
async def test_interrupted_read_ends_the_stream(harness: Harness) -> None:
    """If a probe's stream is interrupted, it frees slot and connection, and is not counted."""
    service = shop(circuit=OPENS_AT_ONCE, bulkhead=BulkheadConfig(1))
    manager = harness.manager(service)
    await half_open(harness, manager)
    harness.vendor.answers(PiecewiseBody(200, (), b"a", Interruption()))
    stream = await manager.stream("shop", GET)
    assert b"a" == await stream.read()

    with pytest.raises(Interruption):
        await stream.read()

    assert (CircuitState.HALF_OPEN, 0, 0) == await state(manager)
    assert b"" == await stream.read()
    assert 1 == harness.vendor.arrivals[-1].closed
    assert not any(harness.locks.inside.values())
