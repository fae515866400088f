"""An answer whose body is read piece by piece, under the same protections."""

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
from moorage.domain.observation.events import AttemptFinished
from tests.support.modes import Arriving, Interruption, World, sync_and_async

if TYPE_CHECKING:
    from moorage.domain.observation.events import Event
    from tests.support.modes import Face

GET = Request.get("/export")


def shop(**options: object) -> Service:
    """A service with nothing but what a test gives it."""
    value = {"base_url": "https://shop.example", "circuit": None, "retry": None} | options
    return Service("shop", **value)  # type: ignore[arg-type]  # as each test says


OPENS_AT_ONCE = CircuitBreakerConfig(failures=1, open_for=10)


async def half_open(world: World, manager: Face) -> None:
    """Open the circuit, and let its open time pass."""
    world.vendor.answers(503)
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.clock.advance(10)


async def state(manager: Face) -> tuple[CircuitState, int, int]:
    """The circuit's state, failures and running probes."""
    result = await manager.circuit_state("shop")
    assert 0 == result.slow_calls
    return result.state, result.failures, result.probes_under_way


@sync_and_async
async def test_a_body_comes_in_pieces(world: World) -> None:
    """Status and headers are there at once, the body piece by piece, and b"" ever after."""
    world.vendor.answers(Arriving(206, {"Content-Type": "text/csv"}, b"a,", b"b"))

    async with await world.manager(shop()).stream("shop", GET) as stream:
        assert (206, "text/csv") == (stream.answer.status, stream.answer.headers["content-type"])
        assert [b"a,", b"b"] == await stream.all()
        assert b"" == await stream.read()

    assert [1] == [answer.closed for answer in world.vendor.arrivals]
    assert ["https://shop.example/export"] == [sent.url for sent in world.vendor.requests]


@sync_and_async
async def test_a_failures_headers_count(world: World) -> None:
    """A stream that is refused for now is opened when the refusal says, and not before."""
    world.vendor.answers(Response(503, {"Retry-After": "7"}))
    manager = world.manager(shop(retry=RetryPolicy(2, 0)))

    await manager.stream("shop", GET)

    assert [0.0, 7.0] == [sent.at for sent in world.vendor.requests]


@sync_and_async
async def test_attempts_end_at_the_headers(world: World) -> None:
    """An answer that fails is tried again; a body that breaks off is not."""
    world.vendor.answers(503, Arriving(200, (), b"a", ConnectionFailed("cut off")))
    manager = world.manager(shop(retry=RetryPolicy(3, 0)))

    stream = await manager.stream("shop", GET)
    assert b"a" == await stream.read()
    with pytest.raises(ConnectionFailed) as caught:
        await stream.read()

    assert ("shop", 2) == (caught.value.service, caught.value.attempts)
    assert b"" == await stream.read()
    assert [1, 1] == [answer.closed for answer in world.vendor.arrivals]


@pytest.mark.parametrize("status", [301, 307, 404, 500])
@sync_and_async
async def test_a_failure_is_read_and_judged(world: World, status: int) -> None:
    """A redirect or a failure is no stream but an error, with what the vendor says."""
    body = b'{"code": "E7", "message": "no export"}'
    world.vendor.answers(Response(status, body=body))

    keyed = shop(credentials=Credentials.api_key("k", query="key"))
    with pytest.raises((VendorRejected, VendorFailed)) as caught:
        await world.manager(keyed).stream("shop", GET)

    assert ["https://shop.example/export?key=k"] == [sent.url for sent in world.vendor.requests]
    assert ("E7", "no export") == (caught.value.vendor_code, caught.value.vendor_message)
    assert caught.value.response is not None
    assert "https://shop.example/export" == caught.value.response.url
    assert [1] == [answer.closed for answer in world.vendor.arrivals]


@sync_and_async
async def test_a_failures_body_is_read_in_part(world: World) -> None:
    """Of a failure no more is read than is needed to see what the vendor says."""
    world.vendor.answers(Arriving(500, (), *[b"x" * 32_768] * 5))

    with pytest.raises(VendorFailed) as caught:
        await world.manager(shop()).stream("shop", GET)

    assert caught.value.response is not None
    assert b"x" * 65_536 == caught.value.response.body
    assert 3 == len(world.vendor.arrivals[0].pieces)


@sync_and_async
async def test_a_failures_body_is_read_as_far_as_it_goes(world: World) -> None:
    """As long as a byte is missing of what is kept, the next piece is read."""
    world.vendor.answers(Arriving(500, (), b"x" * 65_535, b"y", b"z"))

    with pytest.raises(VendorFailed) as caught:
        await world.manager(shop()).stream("shop", GET)

    assert caught.value.response is not None
    assert b"xy" == caught.value.response.body[-2:]


@sync_and_async
async def test_a_failures_last_piece_is_cut(world: World) -> None:
    """A piece that is longer than what is kept is cut."""
    world.vendor.answers(Arriving(500, (), b"ab", b"x" * 70_000))

    with pytest.raises(VendorFailed) as caught:
        await world.manager(shop()).stream("shop", GET)

    assert caught.value.response is not None
    assert b"ab" + b"x" * 65_534 == caught.value.response.body


@sync_and_async
async def test_not_modified_is_an_answer(world: World) -> None:
    """A 304 is what was asked for."""
    world.vendor.answers(304)

    stream = await world.manager(shop()).stream("shop", GET)

    assert (304, []) == (stream.answer.status, await stream.all())


@sync_and_async
async def test_the_deadline_covers_the_body(world: World) -> None:
    """A body that is not read within the call's deadline is not read on."""
    world.vendor.answers(Arriving(200, (), b"a", b"b", b"c"))
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    stream = await manager.stream("shop", GET, timeout=5)
    await stream.read()
    world.clock.advance(4.999999999)
    assert b"b" == await stream.read()
    world.clock.advance(0.000000001)
    with pytest.raises(DeadlineExceeded) as caught:
        await stream.read()

    assert ("shop", True) == (caught.value.service, caught.value.may_have_been_processed)
    # The reader may be slow, which is no fault of the vendor.
    assert (CircuitState.CLOSED, 0, 0) == await state(manager)


@pytest.mark.parametrize("after", [3, 29.999999999, 30])
@sync_and_async
async def test_a_body_that_stalls_is_a_failure(world: World, after: float) -> None:
    """A piece that does not come in time counts against the vendor."""
    late = after == 30

    async def stall() -> Exception:
        world.clock.advance(after)
        return AttemptTimeout("no piece came.")

    world.vendor.answers(Arriving(200, (), stall))
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    stream = await manager.stream("shop", GET)
    with pytest.raises(DeadlineExceeded if late else AttemptTimeout) as caught:
        await stream.read()

    assert late == isinstance(caught.value.__cause__, AttemptTimeout)
    assert CircuitState.OPEN is (await state(manager))[0]


@sync_and_async
async def test_stream_without_credentials_sends_nothing(world: World) -> None:
    """A missing credential raises an error before anything is sent."""
    manager = world.manager(shop(needs_credentials=True))

    with pytest.raises(CredentialNotFound):
        await manager.stream("shop", GET)

    assert [] == world.vendor.requests


@sync_and_async
async def test_broken_error_body_is_a_connection_failure(
    world: World,
) -> None:
    """If the body of an error breaks off, the request may have been processed."""
    cut_off = ConnectionFailed("cut off", may_have_been_processed=False)
    world.vendor.answers(Arriving(500, (), b"{", cut_off))
    manager = world.manager(shop(retry=RetryPolicy(3, 0)))

    with pytest.raises(ConnectionFailed, match="cut off") as caught:
        await manager.stream("shop", Request.post("/orders"))

    assert 1 == caught.value.attempts == len(world.vendor.requests)


@sync_and_async
async def test_our_own_error_in_a_body_is_neutral(world: World) -> None:
    """An error of ours that tells nothing of the vendor is not held against it."""
    world.vendor.answers(Arriving(200, (), InvalidData("no chunk")))
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    stream = await manager.stream("shop", GET)
    with pytest.raises(InvalidData):
        await stream.read()

    assert (CircuitState.CLOSED, 0, 0) == await state(manager)
    assert 0 == (await manager.circuit_state("shop")).calls


@pytest.mark.parametrize(
    "error", [ConnectionFailed("cut off"), VendorFailed("nonsense"), ValueError("key=hunter2")]
)
@sync_and_async
async def test_a_body_that_breaks_off_is_a_failure(world: World, error: Exception) -> None:
    """An error in mid-body is recorded, and a stranger's is made ours without quoting it."""
    world.vendor.answers(Arriving(200, (), b"a", error))
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    stream = await manager.stream("shop", GET)
    await stream.read()
    with pytest.raises((ConnectionFailed, VendorFailed)) as caught:
        await stream.read()

    assert "hunter2" not in repr(caught.value)
    assert CircuitState.OPEN is (await state(manager))[0]


@sync_and_async
async def test_a_stream_counts_for_its_manager(world: World) -> None:
    """A stream and a call of one manager that both fail are one reporter, and no quorum."""
    world.vendor.answers(503, Arriving(200, (), ConnectionFailed("cut off")))
    manager = world.manager(shop(circuit=CircuitBreakerConfig(failures=2, quorum=2)))

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    stream = await manager.stream("shop", GET)
    with pytest.raises(ConnectionFailed):
        await stream.read()

    assert (CircuitState.CLOSED, 2, 0) == await state(manager)


@sync_and_async
async def test_unsent_stream_request_is_retried(world: World) -> None:
    """A stream request that provably was not sent is retried, whatever its method."""
    world.vendor.answers(ConnectionFailed("no route", may_have_been_processed=False))
    manager = world.manager(shop(retry=RetryPolicy(2, 0)))

    await manager.stream("shop", Request.post("/exports", json=1))

    assert 2 == len(world.vendor.requests)


@sync_and_async
async def test_a_whole_body_is_a_success(world: World) -> None:
    """The last byte of a probe's body closes the circuit, and not an earlier one."""
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))
    await half_open(world, manager)
    world.vendor.answers(Arriving(200, (), b"a"))

    stream = await manager.stream("shop", GET)
    await stream.read()
    assert (CircuitState.HALF_OPEN, 0, 1) == await state(manager)
    await stream.read()

    assert (CircuitState.CLOSED, 0, 0) == await state(manager)


@sync_and_async
async def test_the_permit_lives_until_the_last_byte(world: World) -> None:
    """While a probe's body is read, no other probe is let out."""
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))
    await half_open(world, manager)
    world.vendor.answers(Arriving(200, (), b"a"))

    stream = await manager.stream("shop", GET)
    with pytest.raises(CircuitBreakerOpen):
        await manager.stream("shop", GET)
    await stream.all()

    await manager.call("shop", GET)


@sync_and_async
async def test_leaving_early_is_neutral(world: World) -> None:
    """Leaving before the last byte counts as neutral, and frees the probe slot."""
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))
    await half_open(world, manager)
    world.vendor.answers(Arriving(200, (), b"a", b"b"))

    async with await manager.stream("shop", GET) as stream:
        await stream.read()

    assert (CircuitState.HALF_OPEN, 0, 0) == await state(manager)
    assert 1 == world.vendor.arrivals[-1].closed
    assert b"" == await stream.read()


@sync_and_async
async def test_the_readers_own_error_is_neutral(world: World) -> None:
    """An error of whatever reads, even one of another service, is not held against this one."""
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    with pytest.raises(VendorFailed, match="another"):
        async with await manager.stream("shop", GET):
            raise VendorFailed("another vendor broke")

    assert (CircuitState.CLOSED, 0, 0) == await state(manager)


@sync_and_async
async def test_slow_headers_count(world: World) -> None:
    """An answer whose headers took too long is slow, once its body has come."""
    circuit = CircuitBreakerConfig(slow_call=1, slow_call_rate=1.0, minimum_calls=1)
    manager = world.manager(shop(circuit=circuit))
    world.vendor.answers(world.after(2.0, Arriving(200, (), b"a")))

    stream = await manager.stream("shop", GET)
    assert CircuitState.CLOSED is (await state(manager))[0]
    await stream.all()

    assert CircuitState.OPEN is (await state(manager))[0]


@sync_and_async
async def test_a_place_is_kept_until_the_last_byte(world: World) -> None:
    """A stream keeps its place in the bulkhead, and gives it back once."""
    manager = world.manager(shop(bulkhead=BulkheadConfig(1)))

    stream = await manager.stream("shop", GET)
    with pytest.raises(BulkheadFull):
        await manager.stream("shop", GET)
    await stream.all()
    stream.answer.settle()

    await (await manager.stream("shop", GET)).all()


@sync_and_async
async def test_a_stream_that_never_opened_keeps_no_place(world: World) -> None:
    """A place is given back at once where there is no stream to keep it."""
    world.vendor.answers(500, ConnectionFailed("cut off"))
    manager = world.manager(shop(bulkhead=BulkheadConfig(1)))

    for kind in (VendorFailed, ConnectionFailed):
        with pytest.raises(kind):
            await manager.stream("shop", GET)

    await manager.stream("shop", GET)


@sync_and_async
async def test_an_attempts_bound_is_for_the_headers(world: World) -> None:
    """The headers, and each piece, have an attempt's time; the body has what the call has."""
    manager = world.manager(shop(attempt_timeout=2, timeout=60))

    await manager.stream("shop", GET)

    (sent,) = world.vendor.requests
    assert (2, 2, 60) == (sent.timeouts.connect, sent.timeouts.read, sent.timeouts.total)


@sync_and_async
async def test_step_timeouts_apply_to_streams(world: World) -> None:
    """A step's timeout applies to streams if it is shorter than the attempt's."""
    steps = Timeouts(connect=1, read=3, write=5)
    manager = world.manager(shop(attempt_timeout=2, timeout=60, timeouts=steps))

    await manager.stream("shop", GET)

    (sent,) = world.vendor.requests
    assert Timeouts(connect=1, read=2, write=5, pool=60, total=60) == sent.timeouts


@pytest.mark.parametrize("timeout", [None, 90, 90.0000005])
@sync_and_async
async def test_a_probes_body_is_awaited(world: World, timeout: float | None) -> None:
    """While a probe's body may still come, however slowly, nobody else probes."""
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, attempt_timeout=2, timeout=60))
    await half_open(world, manager)

    stream = await manager.stream("shop", GET, timeout=timeout)
    world.clock.advance((timeout or 60) + 4)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("shop", GET)
    world.clock.advance(1)
    await manager.call("shop", GET)
    stream.answer.settle()


@sync_and_async
async def test_a_forgotten_stream_is_freed(world: World) -> None:
    """A stream that nobody holds any more gives back its permit, its place and its connection."""
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, bulkhead=BulkheadConfig(1)))
    await half_open(world, manager)

    stream: Any = await manager.stream("shop", GET)
    stream.answer.cycle = stream
    del stream
    gc.collect()

    assert (CircuitState.HALF_OPEN, 0, 0) == await state(manager)
    assert 1 == world.vendor.arrivals[-1].closed
    await manager.call("shop", GET)


@sync_and_async
async def test_a_credential_is_renewed(world: World) -> None:
    """A 401 at the headers renews the credential as for any other request."""

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("old")

        async def refresh(self, *_: object) -> Credentials:
            return Credentials.bearer("new")

    world.vendor.answers(401, 200, 401, 401)
    service = shop(needs_credentials=True)
    manager = world.manager(service, credentials=world.of_mode(Provider()))

    await manager.stream("shop", GET)
    with pytest.raises(AuthenticationFailed):
        await manager.stream("shop", GET)

    assert ["old", "new", "old", "new"] == [
        (sent.header("authorization") or "").removeprefix("Bearer ")
        for sent in world.vendor.requests
    ]


@sync_and_async
async def test_a_spent_allowance_pauses(world: World) -> None:
    """A stream whose headers say that nothing is left holds the next call back."""
    world.vendor.answers(
        Arriving(200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "9"}),
    )
    manager = world.manager(shop(limits=RateLimitConfig(100), max_limit_wait=0))

    await manager.stream("shop", GET)
    with pytest.raises(RateLimitExceeded):
        await manager.stream("shop", GET)


@sync_and_async
async def test_a_fallback_is_no_stream(world: World) -> None:
    """A fallback cannot stand in for a body, so the error is raised."""
    world.vendor.answers(503)

    with pytest.raises(VendorFailed):
        await world.manager(shop(fallback=lambda _: None)).stream("shop", GET)


@sync_and_async
async def test_unsendable_streams_are_refused(world: World) -> None:
    """A one-time body with retries, a missing request and a missing base URL are refused."""
    manager = world.watched(shop(retry=RetryPolicy(2, 0)), Service("bare"))

    with pytest.raises(InvalidData) as caught:
        await manager.stream("shop", Request.put("/files", body=iter([b""])))
    assert ("body", "shop") == (caught.value.field, caught.value.service)
    assert "read only once" in caught.value.message
    assert "opens the body anew" in caught.value.remedy
    assert ["CallStarted", "CallFinished"] == world.told()
    with pytest.raises(InvalidData) as caught:
        await manager.stream("shop", "/export")
    assert ("request", "shop") == (caught.value.field, caught.value.service)
    with pytest.raises(ConfigurationError):
        await manager.stream("bare", GET)


@sync_and_async
async def test_events_of_a_stream(world: World) -> None:
    """The attempt ends with the headers, and the call with the end of the body."""
    world.vendor.answers(Arriving(200, (), b"a"))
    manager = world.watched(shop())

    stream = await manager.stream("shop", GET, subject="customer-1")
    world.clock.advance(2)
    assert ["CallStarted", "AttemptFinished"] == world.told()
    await stream.all()
    stream.answer.settle()

    finished: Any = world.events[-1]
    assert ["CallStarted", "AttemptFinished", "CallFinished"] == world.told()
    assert (200, None, False, 2.0, "customer-1") == (
        finished.status,
        finished.error,
        finished.cancelled,
        finished.duration,
        finished.subject,
    )


@pytest.mark.parametrize(
    "piece, error, cancelled",
    [(ConnectionFailed("cut off"), "ConnectionFailed", False), (b"a", None, True)],
)
@sync_and_async
async def test_final_event_of_a_stream(
    world: World,
    piece: Any,
    error: str | None,
    cancelled: bool,
) -> None:
    """A broken body ends in its error, and one left early as cancelled."""
    world.vendor.answers(Arriving(200, (), piece))
    manager = world.watched(shop())

    async with await manager.stream("shop", GET) as stream:
        if error is None:
            await stream.read()
        else:
            with pytest.raises(ConnectionFailed):
                await stream.read()

    finished: Any = world.events[-1]
    assert (error, cancelled) == (finished.error, finished.cancelled)
    assert 1 == world.told().count("CallFinished")


@sync_and_async
async def test_failed_stream_emits_one_end(world: World) -> None:
    """A call that returned no stream emits its end once."""
    world.vendor.answers(500)
    manager = world.watched(shop(bulkhead=BulkheadConfig(1)))

    with pytest.raises(VendorFailed):
        await manager.stream("shop", GET)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == world.told()


@sync_and_async
async def test_an_interruption_after_the_headers_keeps_nothing(world: World) -> None:
    """A stream that opened, and whose caller was interrupted before it got it, is ended."""

    def interrupt(event: Event) -> None:
        if isinstance(event, AttemptFinished) and event.status == 200:
            raise Interruption

    service = shop(circuit=OPENS_AT_ONCE, bulkhead=BulkheadConfig(1))
    await half_open(world, world.manager(service))
    manager = world.manager(service, observers=[world.events.append, interrupt])

    with pytest.raises(Interruption):
        await manager.stream("shop", GET)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == world.told()

    assert (CircuitState.HALF_OPEN, 0, 0) == await state(manager)
    assert 1 == world.vendor.arrivals[-1].closed
    assert not any(world.locks.inside.values())


@sync_and_async
async def test_interrupted_read_ends_the_stream(world: World) -> None:
    """A read that is interrupted frees the probe and the connection, and says nothing of health."""
    service = shop(circuit=OPENS_AT_ONCE, bulkhead=BulkheadConfig(1))
    manager = world.manager(service)
    await half_open(world, manager)
    world.vendor.answers(Arriving(200, (), b"a", Interruption()))
    stream = await manager.stream("shop", GET)
    assert b"a" == await stream.read()

    with pytest.raises(Interruption):
        await stream.read()

    assert (CircuitState.HALF_OPEN, 0, 0) == await state(manager)
    assert b"" == await stream.read()
    assert 1 == world.vendor.arrivals[-1].closed
    assert not any(world.locks.inside.values())
