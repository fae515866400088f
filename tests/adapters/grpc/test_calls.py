"""Calls of the gRPC connector with a real server, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import gc
from threading import Thread
from threading import enumerate as all_threads
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidData,
    InvalidRequest,
    LocalFailure,
    OperationAttempt,
    OutcomeUnknown,
    RateLimitExceeded,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.grpc._error_conversion import without_secret
from moorage.adapters.grpc.methods import GrpcMethod
from moorage.domain.monitoring.health import HealthState
from tests.adapters.grpc.grpc_harness import (
    CHAT,
    COLLECT,
    COUNT,
    ECHO,
    READ,
    Harness,
    HarnessServer,
    method,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_call_returns_the_answer_and_passes_its_deadline_on(harness: Harness) -> None:
    """A gRPC call passes its remaining time and its metadata to the server."""
    operation = harness.connector.call(
        ECHO, {"name": "bolt"}, metadata={"traceparent": "00-aa-bb-01"}
    )
    answer = harness.perform(operation, timeout=7.0)

    assert "bolt" == answer["name"]
    assert 0 < answer["left"] <= 7.0
    assert "00-aa-bb-01" == answer["metadata"]["traceparent"]
    assert ("Harness.Echo", False, False) == (operation.name, operation.safe, operation.repeatable)
    assert "Harness.Echo" in repr(operation)


def test_all_streams_carry_their_messages(harness: Harness) -> None:
    """All four types of calls, unary and streaming, carry all their messages."""
    collected = harness.perform(harness.connector.call(COLLECT, [{"name": "a"}, {"name": "b"}]))
    counted = harness.answers(harness.perform(harness.connector.stream(COUNT, {"answers": 3})))
    chatted = harness.answers(
        harness.perform(harness.connector.stream(CHAT, [{"name": "c"}, {"name": "d"}]))
    )

    assert {"received": ["a", "b"]} == collected
    assert [{"number": 0}, {"number": 1}, {"number": 2}] == counted
    assert ["c", "d"] == [answer["name"] for answer in chatted]
    assert [] == harness.answers(harness.perform(harness.connector.stream(COUNT, {"answers": 0})))
    assert 0 == harness.connector.statistics().active


@pytest.mark.parametrize(
    "code,kind",
    [
        ("INVALID_ARGUMENT", InvalidRequest),
        ("OUT_OF_RANGE", InvalidRequest),
        ("NOT_FOUND", VendorRejected),
        ("ALREADY_EXISTS", VendorRejected),
        ("FAILED_PRECONDITION", VendorRejected),
        ("ABORTED", VendorRejected),
        ("PERMISSION_DENIED", AuthenticationFailed),
        ("UNAUTHENTICATED", AuthenticationFailed),
        ("RESOURCE_EXHAUSTED", RateLimitExceeded),
        ("INTERNAL", VendorFailed),
        ("UNKNOWN", VendorFailed),
        ("DATA_LOSS", VendorFailed),
        ("CANCELLED", ConnectionFailed),
        ("UNAVAILABLE", ConnectionFailed),
        ("DEADLINE_EXCEEDED", AttemptTimeout),
    ],
)
def test_each_status_code_raises_its_own_error(
    harness: Harness, code: str, kind: type[Exception]
) -> None:
    """Each gRPC status code raises a different moorage error without the server's text."""
    with pytest.raises(kind) as excinfo:
        harness.call(do="fail", code=code, text="failed to connect to all addresses")

    assert kind is type(excinfo.value)
    assert "all addresses" not in str(excinfo.value)
    if isinstance(excinfo.value, ConnectionFailed):
        assert excinfo.value.may_have_been_processed


def test_an_unknown_method_is_an_invalid_request(harness: Harness) -> None:
    """A call of a method that the server does not implement raises InvalidRequest."""
    with pytest.raises(InvalidRequest, match="does not have this method"):
        harness.call(method("Nothing"))


def test_a_read_is_repeated_and_a_write_is_not(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """After a lost answer, a safe method is retried and a write is not."""
    policy = RetryPolicy(max_attempts=3, base_delay=0.0)
    harness = harnesses(
        server.address, service=Service("harness", timeout=20.0, retry=policy, circuit=None)
    )
    names = [f"{kind}-{id(harness)}" for kind in ("read", "write")]
    lost = {"do": "fail", "code": "UNAVAILABLE", "times": 2}

    assert names[0] == harness.call(READ, name=names[0], **lost)["name"]
    with pytest.raises(ConnectionFailed):
        harness.call(ECHO, name=names[1], **lost)
    counts = [harness.call(ECHO, do="count", of=name)["count"] for name in names]

    assert [3, 1] == counts


def test_server_pushback_metadata_delays_next_attempt(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """The server's pushback metadata delays the next attempt; a negative value forbids retries."""
    policy = RetryPolicy(max_attempts=2, base_delay=0.0)
    harness = harnesses(
        server.address, service=Service("harness", timeout=20.0, retry=policy, circuit=None)
    )
    limited = {"do": "fail", "code": "RESOURCE_EXHAUSTED"}

    with pytest.raises(RateLimitExceeded) as excinfo:
        harness.call(READ, trailers={"grpc-retry-pushback-ms": "3600000"}, **limited)
    assert 3600.0 == excinfo.value.vendor_retry_after
    with pytest.raises(RateLimitExceeded) as excinfo:
        harness.call(READ, trailers={"grpc-retry-pushback-ms": "-1"}, **limited)
    assert (False, 1) == (excinfo.value.retryable, excinfo.value.attempts)


def test_a_silent_server_ends_with_the_deadline(harness: Harness) -> None:
    """A call without a response ends at its deadline.

    The error says that the server may have executed it.
    """
    with pytest.raises(DeadlineExceeded) as excinfo:
        harness.perform(harness.connector.call(ECHO, {"do": "sleep", "seconds": 30}), timeout=0.3)
    assert excinfo.value.may_have_been_processed


def test_a_server_that_dies_during_a_call_leaves_the_outcome_open(
    harnesses: Callable[..., Harness], servers: Callable[..., HarnessServer]
) -> None:
    """If the server is killed during a call, the outcome is unknown; later calls are not sent."""
    harness = harnesses(servers().address)
    with pytest.raises(ConnectionFailed) as excinfo:
        harness.call(do="die")
    assert excinfo.value.may_have_been_processed
    with pytest.raises(ConnectionFailed) as excinfo:
        harness.call()
    assert not excinfo.value.may_have_been_processed
    assert HealthState.UNAVAILABLE is harness.run(harness.connector.health(2.0)).state


def test_a_write_under_a_key_has_an_unknown_outcome(
    harnesses: Callable[..., Harness], servers: Callable[..., HarnessServer]
) -> None:
    """If the answer to a write with an idempotency key is lost, OutcomeUnknown is raised."""
    harness = harnesses(servers().address)
    operation = harness.connector.call(ECHO, {"do": "die"})
    with pytest.raises(OutcomeUnknown):
        harness.perform(operation, idempotency_key="order-1")


def test_a_key_is_sent_where_the_service_honours_keys(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """If the service honours idempotency keys, a call's metadata contains the key."""
    service = Service("harness", honours_keys=True, idempotency_memory=86_400.0)
    harness = harnesses(
        server.address, service=service, idempotency_metadata="X-Key", metadata={"App": "t"}
    )
    answer = harness.perform(harness.connector.call(ECHO, {}), idempotency_key="order-7")

    assert "order-7" == answer["metadata"]["x-key"]
    assert "t" == answer["metadata"]["app"]


def test_a_restarted_server_serves_the_next_call(
    harnesses: Callable[..., Harness], servers: Callable[..., HarnessServer]
) -> None:
    """A gRPC connector reconnects to a restarted server, and counts its connections."""
    first = servers()
    harness = harnesses(first.address)
    harness.call()
    first.kill()
    wait_until(lambda: harness.connector.connectivity != "ready", "the end of the server")
    with pytest.raises(ConnectionFailed) as excinfo:
        harness.call()
    assert not excinfo.value.may_have_been_processed
    servers(port=first.port)
    policy = RetryPolicy(max_attempts=50, base_delay=0.1, max_delay=0.3)
    harness.protect(Service("harness", timeout=60.0, retry=policy, circuit=None))
    harness.call()

    # gRPC tells of a new connection in a thread or a task, perhaps only after the answer.
    def is_counted() -> bool:
        harness.call()
        return bool(harness.connector.statistics().created == 2)

    wait_until(is_counted, "the count of the connection")
    statistics = harness.connector.statistics()
    assert (0, 1) == (statistics.active, statistics.maximum)
    assert "ready" == harness.connector.connectivity


def test_messages_above_the_size_limit_are_refused(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """A request above the size limit is not sent.

    A response above the size limit raises an error.
    """
    harness = harnesses(server.address, max_request_bytes=1000, max_answer_bytes=1000)
    with pytest.raises(InvalidRequest, match="sends at most 1000"):
        harness.call(name="x" * 1000)
    with pytest.raises(VendorFailed, match="larger than this connector accepts") as excinfo:
        harness.call(do="answer", size=5000)
    assert not excinfo.value.retryable
    big = harnesses(server.address, max_request_bytes=10_000_000)
    with pytest.raises((InvalidRequest, VendorFailed), match="larger than"):
        big.call(name="x" * 6_000_000)


def test_write_whose_response_has_too_much_metadata_is_sent_once(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """A write that the server processed is not repeated when its response has too much metadata."""
    policy = RetryPolicy(max_attempts=3, base_delay=0.0)
    harness = harnesses(
        server.address, service=Service("harness", timeout=20.0, retry=policy, circuit=None)
    )
    name = f"trail-{id(harness)}"
    with pytest.raises(VendorFailed, match="metadata of the gRPC call is larger") as excinfo:
        harness.call(do="trail", name=name, size=40_000)
    assert excinfo.value.may_have_been_processed
    assert 1 == harness.call(do="count", of=name)["count"]


def test_messages_that_cannot_be_written_or_read(harness: Harness) -> None:
    """A request that cannot be serialized is not sent; an unreadable response fails the call."""
    with pytest.raises(InvalidData, match=r"Harness\.Echo could not be serialized"):
        harness.perform(harness.connector.call(ECHO, {"name": object()}))
    with pytest.raises(VendorFailed, match="does not match the type"):
        harness.call(do="garble")

    def refuse(_: Any) -> bytes:
        raise InvalidData("The order has no article.", field="article")

    refusing = GrpcMethod(path="/harness.Harness/Echo", serialize=refuse, deserialize=bytes)
    with pytest.raises(InvalidData, match="no article"):
        harness.perform(harness.connector.call(refusing, {}))


def test_requests_that_fail_end_the_call(harness: Harness) -> None:
    """If the iterator of requests raises, the call fails; the server may have processed it."""

    class FailingIterator:
        def __iter__(self) -> Any:
            yield {"name": "a"}
            raise ValueError("broken source")

    for operation in (
        harness.connector.call(COLLECT, FailingIterator()),
        harness.connector.stream(CHAT, [object()]),
    ):
        with pytest.raises(LocalFailure, match="stream of requests") as excinfo:
            harness.perform(operation)
        assert excinfo.value.may_have_been_processed


def test_methods_are_used_as_they_are_declared(harness: Harness) -> None:
    """`call` refuses streaming methods, and `stream` refuses unary methods.

    Both refuse one-shot iterators.
    """
    with pytest.raises(InvalidData, match="responds with a stream"):
        harness.connector.call(COUNT, {})
    with pytest.raises(InvalidData, match="a single message"):
        harness.connector.stream(ECHO, {})
    with pytest.raises(InvalidData, match="could not send them again"):
        harness.connector.call(COLLECT, iter([{}]))


def test_each_answer_of_a_stream_must_arrive_within_the_timeout(harness: Harness) -> None:
    """Each response of a stream must arrive within the attempt's timeout.

    Otherwise the stream ends.
    """
    operation = harness.connector.stream(COUNT, {"do": "sleep", "seconds": 30, "at": 2})
    stream = harness.run(operation.perform(OperationAttempt(1, 1.0)))
    with pytest.raises(AttemptTimeout):
        harness.answers(stream)
    stream = harness.perform(
        harness.connector.stream(COUNT, {"do": "fail", "code": "INTERNAL", "at": 1})
    )
    with pytest.raises(VendorFailed):
        harness.answers(stream)
    assert [] == harness.answers(stream)
    assert 0 == harness.connector.statistics().active


def test_stream_is_protected_until_its_first_response(harness: Harness) -> None:
    """Retries and other protections apply to a stream until its first response."""
    with pytest.raises(VendorRejected):
        harness.perform(
            harness.connector.stream(COUNT, {"do": "fail", "code": "NOT_FOUND", "at": 0})
        )
    with pytest.raises((AttemptTimeout, DeadlineExceeded)):
        harness.perform(
            harness.connector.stream(COUNT, {"do": "sleep", "seconds": 30, "at": 0}), timeout=0.3
        )
    assert 0 == harness.connector.statistics().active


def test_close_waits_for_open_streams(harness: Harness) -> None:
    """A gRPC stream that is already open continues after `close`, which refuses new calls."""
    stream = harness.perform(harness.connector.stream(COUNT, {"answers": 5}))
    harness.run(harness.connector.close())
    with pytest.raises(LocalFailure, match="closed"):
        harness.call()
    assert 5 == len(harness.answers(stream))
    assert "idle" == harness.connector.connectivity


@pytest.mark.parametrize("count", [0, 2])
def test_stream_read_to_its_end_without_with_block_returns_its_connection(
    harness: Harness, count: int
) -> None:
    """A stream that a program reads to its end without a `with` block is closed."""

    async def read(stream: Any) -> list[Any]:
        return [answer async for answer in stream]

    stream = harness.perform(harness.connector.stream(COUNT, {"answers": count}))
    answers = harness.run(read(stream)) if harness.is_async else list(stream)
    assert count == len(answers)
    assert 0 == harness.connector.statistics().active


@pytest.mark.parametrize("is_closed", [False, True])
def test_dropped_stream_returns_its_connection(harness: Harness, *, is_closed: bool) -> None:
    """A stream that a program drops before its end is ended, also if the connector is closed."""
    stream = harness.perform(harness.connector.stream(COUNT, {"answers": 1_000}))
    if is_closed:
        harness.run(harness.connector.close())
    assert 1 == harness.connector.statistics().active
    del stream
    gc.collect()

    def is_returned() -> bool:
        if harness.is_async:
            harness.run(asyncio.sleep(0))
        return bool(harness.connector.statistics().active == 0)

    def stream_threads() -> list[Thread]:
        return [thread for thread in all_threads() if thread.name == "moorage-grpc-stream"]

    wait_until(is_returned, "the end of the stream")
    wait_until(lambda: not stream_threads(), "the end of its thread")
    if is_closed:
        wait_until(lambda: harness.connector.connectivity == "idle", "a closed connection")


def test_server_that_reports_not_serving_is_unavailable(
    harnesses: Callable[..., Harness], servers: Callable[..., HarnessServer]
) -> None:
    """A server that reports NOT_SERVING is unavailable; one without health service is healthy."""
    harness = harnesses(servers().address)
    harness.run(harness.connector.open(5.0))
    assert harness.run(harness.connector.health(5.0)).is_healthy
    harness.call(do="unhealthy")
    health = harness.run(harness.connector.health(5.0))
    assert (HealthState.UNAVAILABLE, "harness") == (health.state, health.connector)
    assert "is not serving requests" in health.text
    garbled_harness = harnesses(servers(MOORAGE_HARNESS_GARBLED_HEALTH="1").address)
    garbled = garbled_harness.run(garbled_harness.connector.health(5.0))
    assert HealthState.UNAVAILABLE is garbled.state
    assert "does not match the type" in garbled.text
    plain_harness = harnesses(servers(MOORAGE_HARNESS_NO_HEALTH="1").address)
    assert plain_harness.run(plain_harness.connector.health(5.0)).is_healthy
    assert plain_harness.connector.versions.library.startswith("grpcio ")


def test_timeouts_and_grpcio_exceptions_become_moorage_errors(harness: Harness) -> None:
    """Timeouts and grpcio's exceptions become moorage errors.

    Unknown exceptions are raised unchanged.
    """
    operation = harness.connector.call(ECHO, {})
    assert isinstance(operation.translate_error(TimeoutError()), AttemptTimeout)
    assert operation.translate_error(KeyError("x")) is None
    failure = ConnectionFailed("It failed.")
    assert failure is operation.translate_error(failure)
    assert isinstance(without_secret(KeyError("x"), "x"), KeyError)


def test_refused_stream_of_requests_raises_an_error(harness: Harness) -> None:
    """A call that streams its requests fails if the server answers with an error."""
    refusal = {"do": "fail", "code": "NOT_FOUND"}
    for operation in (
        harness.connector.call(COLLECT, [refusal]),
        harness.connector.stream(CHAT, [refusal]),
    ):
        with pytest.raises(VendorRejected):
            harness.perform(operation)


def test_each_attempt_reads_asynchronous_requests_again(server: HarnessServer) -> None:
    """Each attempt of an asynchronous call reads its asynchronous requests from the beginning."""

    class Requests:
        async def __aiter__(self) -> Any:
            yield {"name": "a"}
            yield {"name": "b"}

    harness = Harness("async", server.address)
    operation = harness.connector.call(COLLECT, Requests())
    assert [{"received": ["a", "b"]}] * 2 == [harness.perform(operation) for _ in range(2)]
    with pytest.raises(InvalidData, match="could not send them again"):
        harness.connector.call(COLLECT, Requests().__aiter__())
    harness.close()


def test_a_cancelled_call_leaves_the_connection_clean(server: HarnessServer) -> None:
    """Cancelling a task ends its gRPC call, and the next call on the connection works."""
    harness = Harness("async", server.address)
    slow = {"do": "sleep", "seconds": 30}

    async def cancel() -> None:
        await harness.connector.open()
        for operation in (
            harness.connector.call(ECHO, slow),
            harness.connector.call(COLLECT, [slow]),
            harness.connector.stream(COUNT, {**slow, "at": 0}),
        ):
            task = asyncio.ensure_future(harness.manager.perform("harness", operation))
            # Let the task run up to its wait for the server.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert 1 == harness.connector.statistics().active
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert 0 == harness.connector.statistics().active

    harness.run(cancel())
    assert "bolt" == harness.call(name="bolt")["name"]
    harness.close()
