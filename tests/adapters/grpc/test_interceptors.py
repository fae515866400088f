"""Interceptors that protect calls of gRPC stubs; their errors are both grpcio's and moorage's."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from moorage import (
    AsyncConnectorManager,
    AttemptTimeout,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    InvalidData,
    RateLimitExceeded,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.grpc._interception import InterceptedCall, converted_error, method_facts
from moorage.adapters.grpc.interceptor_async import grpc_interceptors
from moorage.adapters.grpc.interceptor_sync import GrpcInterceptor
from moorage.adapters.grpc.rpc_errors import rpc_error
from tests.adapters.grpc import shop_definitions as shop
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.adapters.grpc.grpc_harness import HarnessServer

RETRIED = Service(
    "harness", timeout=20.0, retry=RetryPolicy(max_attempts=3, base_delay=0.0), circuit=None
)
ECHO, COUNT, COLLECT, CHAT = (
    f"/harness.Harness/{name}" for name in ("Echo", "Count", "Collect", "Chat")
)
CODEC: Any = {
    "request_serializer": lambda request: json.dumps(request).encode(),
    "response_deserializer": json.loads,
}
KINDS = {ECHO: "unary_unary", COUNT: "unary_stream", COLLECT: "stream_unary", CHAT: "stream_stream"}


class Stubs:
    """Stubs that call the test server through the interceptors, in sync or async mode."""

    def __init__(self, mode: str, address: str, service: Service, **facts: Any) -> None:
        self.is_async = mode == "async"
        self.manager: Any
        self.channel: Any
        if self.is_async:
            self.loop = asyncio.new_event_loop()
            self.manager = AsyncConnectorManager([service])
            interceptors = grpc_interceptors(self.manager, "harness", **facts)
            self.channel = self.loop.run_until_complete(self._channel(address, interceptors))
        else:
            self.manager = ConnectorManager([service])
            channel: Any = grpc.insecure_channel(address)
            self.channel = grpc.intercept_channel(
                channel, GrpcInterceptor(self.manager, "harness", **facts)
            )

    async def _channel(self, address: str, interceptors: list[Any]) -> Any:
        return grpc.aio.insecure_channel(address, interceptors=interceptors)

    def stub(self, path: str) -> Any:
        """Return the callable that a generated stub has for this method."""
        return getattr(self.channel, KINDS[path])(path, **CODEC)

    def call(self, path: str, request: Any, **options: Any) -> Any:
        """Call a method that returns one answer."""
        if not self.is_async:
            return self.stub(path)(request, **options)

        async def call() -> Any:
            return await self.stub(path)(request, **options)

        return self.loop.run_until_complete(call())

    def answers(self, path: str, request: Any, **options: Any) -> list[Any]:
        """Read all answers of a method."""
        if not self.is_async:
            return list(self.stub(path)(request, **options))

        async def read() -> list[Any]:
            return [answer async for answer in self.stub(path)(request, **options)]

        return self.loop.run_until_complete(read())

    def close(self) -> None:
        """Close the channel, the manager and the event loop."""
        if not self.is_async:
            self.channel.close()
            self.manager.close()
            return
        self.loop.run_until_complete(self.channel.close())
        self.loop.run_until_complete(self.manager.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture
def stubs(mode: str, server: HarnessServer) -> Generator[Callable[..., Stubs]]:
    """Return a function that makes stubs of the shared server."""
    made: list[Stubs] = []

    def make_stubs(
        service: Service = RETRIED, address: str = server.address, **facts: Any
    ) -> Stubs:
        made.append(Stubs(mode, address, service, **facts))
        return made[-1]

    yield make_stubs
    for group in made:
        group.close()


def failing_request(
    name: str, code: str = "UNAVAILABLE", times: int = 9, **more: Any
) -> dict[str, Any]:
    """Return a request that the test server fails a number of times."""
    return {"do": "fail", "code": code, "times": times, "name": name, **more}


def test_all_kinds_of_calls_pass(stubs: Callable[..., Stubs]) -> None:
    """Unary and streaming calls pass on requests, answers, metadata and the remaining time."""
    made = stubs()
    answer = made.call(ECHO, {"name": "a"}, timeout=7.0, metadata=(("trace", "t"),))

    assert ("a", "t") == (answer["name"], answer["metadata"]["trace"])
    # gRPC rounds the timeout that it sends.
    assert 0 < answer["left"] < 7.5
    assert [{"number": 0}, {"number": 1}, {"number": 2}] == made.answers(COUNT, {})
    assert [] == made.answers(COUNT, {"answers": 0})
    assert {"received": ["b", "c"]} == made.call(COLLECT, iter([{"name": "b"}, {"name": "c"}]))
    assert ["d"] == [answer["name"] for answer in made.answers(CHAT, iter([{"name": "d"}]))]


def test_error_is_both_a_grpcio_and_a_moorage_error(stubs: Callable[..., Stubs]) -> None:
    """An error of a protected call is both a grpcio and a moorage error, even after pickling."""
    made = stubs()
    request = failing_request("both", "NOT_FOUND", text="no such order", trailers={"cost": "7"})
    with pytest.raises(VendorRejected) as excinfo:
        made.call(ECHO, request)

    assert isinstance(excinfo.value, grpc.RpcError)
    assert made.is_async is isinstance(excinfo.value, grpc.aio.AioRpcError)
    sent = pickle.loads(pickle.dumps(excinfo.value))  # noqa: S301 - our own pickle
    for error in (excinfo.value, copy.copy(excinfo.value), sent):
        status: Any = error
        assert isinstance(error, VendorRejected)
        assert isinstance(error, grpc.RpcError)
        assert (grpc.StatusCode.NOT_FOUND, "no such order") == (status.code(), status.details())
        assert ("cost", "7") in status.trailing_metadata()
        assert isinstance(status.initial_metadata(), tuple)
        assert ("harness", "Harness.Echo", "NOT_FOUND") == (
            error.service,
            error.operation,
            error.vendor_code,
        )
        assert "does not have the object" in status.debug_error_string()


def test_a_safe_call_is_repeated_and_another_is_not(stubs: Callable[..., Stubs]) -> None:
    """After a lost answer, a call is retried only if its method is declared safe or repeatable."""
    made, other = stubs(safe=["harness.Harness/Echo"]), stubs(repeatable=["/harness.Harness/Count"])
    name = f"repeat-{id(made)}"
    assert name == made.call(ECHO, failing_request(name, times=2))["name"]
    with pytest.raises(ConnectionFailed) as excinfo:
        other.call(ECHO, failing_request(f"{name}-once", times=2))
    assert excinfo.value.may_have_been_processed
    counts = [
        made.call(ECHO, {"do": "count", "of": key, "name": ""})["count"]
        for key in (name, f"{name}-once")
    ]
    assert [3, 1] == counts
    lost = failing_request(f"{name}-stream", times=2, at=0)
    assert 3 == len(other.answers(COUNT, lost))


def test_generated_descriptor_idempotency_level_decides_whether_stub_call_is_retried() -> None:
    """A generated descriptor's `idempotency_level` decides whether a stub's call is retried."""
    facts = method_facts((), (), [shop.new_pool().FindFileByName("shop/orders.proto")])

    assert ["/shop.Orders/Get"] == [*facts.safe] == [*facts.repeatable]


def test_a_stream_of_requests_is_sent_once(stubs: Callable[..., Stubs]) -> None:
    """A call that sends an iterator of requests is not retried, because it was partly consumed."""
    made = stubs(safe=[COLLECT])
    name = f"once-{id(made)}"
    requests = iter([failing_request(name, "RESOURCE_EXHAUSTED"), {"name": "rest"}])
    # grpc.aio sometimes replaces the server's status by its own status if a request could no longer
    # be written.
    with pytest.raises((RateLimitExceeded, VendorFailed)):
        made.call(COLLECT, requests)
    assert 1 == made.call(ECHO, {"do": "count", "of": name, "name": ""})["count"]


def test_call_is_not_sent_while_the_circuit_is_open(stubs: Callable[..., Stubs]) -> None:
    """An open circuit raises UNAVAILABLE, and the call is not sent."""
    circuit = CircuitBreakerConfig(failures=1, consecutive_failures=1)
    service = Service("harness", timeout=20.0, retry=RetryPolicy(max_attempts=1), circuit=circuit)
    made = stubs(service)
    name = f"circuit-{id(made)}"
    with pytest.raises(VendorFailed):
        made.call(ECHO, failing_request(name, "INTERNAL"))
    with pytest.raises(CircuitBreakerOpen) as excinfo:
        made.call(ECHO, {"name": name})

    error: Any = excinfo.value
    assert grpc.StatusCode.UNAVAILABLE is error.code()
    assert "circuit" in error.details().lower()
    assert () == error.trailing_metadata() == error.initial_metadata()


def test_a_slow_server_ends_a_call_in_time(stubs: Callable[..., Stubs]) -> None:
    """The timeout limits the wait for a call's only response, or for a stream's first response."""
    made = stubs()
    for call in (partial(made.call, ECHO), partial(made.answers, COUNT)):
        with pytest.raises(ConnectorError) as excinfo:
            call({"do": "sleep", "seconds": 60, "at": 0}, timeout=0.3)
        error: Any = excinfo.value
        assert grpc.StatusCode.DEADLINE_EXCEEDED is error.code()


def test_a_later_answer_that_fails_is_converted(stubs: Callable[..., Stubs]) -> None:
    """A stream that fails after its first answer raises an error of both grpcio and moorage."""
    made = stubs()
    broken = failing_request(f"later-{id(made)}", "INTERNAL", at=1)
    for path, request in ((COUNT, broken), (CHAT, iter([{"name": "x"}, broken]))):
        with pytest.raises(VendorFailed) as excinfo:
            made.answers(path, request)
        error: Any = excinfo.value
        assert grpc.StatusCode.INTERNAL is error.code()


def test_exception_that_is_not_grpcio_passes_interceptor_unchanged() -> None:
    """An exception that is not grpcio's passes the interceptor unchanged."""
    error = ZeroDivisionError()

    assert error is converted_error(error, is_async=False)
    assert isinstance(converted_error(TimeoutError(), is_async=True), AttemptTimeout)
    call = InterceptedCall("/a.B/C", method_facts((), (), ()), streams_requests=False)
    assert call.translate_error(error) is None
    assert "B.C" in repr(call)


def test_stub_future_is_protected(server: HarnessServer) -> None:
    """A stub's `future` is protected, and its exception is both a grpcio and a moorage error."""
    made = Stubs("sync", server.address, RETRIED)
    stub = made.stub(ECHO)
    assert "f" == stub.future({"name": "f"}).result()["name"]
    answer, call = stub.with_call({"name": "f"})
    assert ("f", grpc.StatusCode.OK) == (answer["name"], call.code())
    failure = stub.future(failing_request("future", "NOT_FOUND")).exception()
    assert isinstance(failure, VendorRejected)
    assert isinstance(failure, grpc.RpcError)
    made.close()


def test_stream_that_program_drops_unread_is_cancelled(server: HarnessServer) -> None:
    """If the program drops a stream without reading it, the stream is cancelled."""
    made = Stubs("sync", server.address, RETRIED)
    stream = made.stub(COUNT)({"do": "sleep", "seconds": 60, "at": 1})
    assert {"number": 0} == next(stream)
    assert stream.is_active()
    call = stream._call  # noqa: SLF001 - the stream itself is dropped
    del stream
    wait_until(lambda: not call.is_active(), "the call ended")
    made.close()


def test_stream_that_is_read_to_its_end_leaves_no_thread(server: HarnessServer) -> None:
    """The thread that ends overdue streams ends with its stream."""
    made = Stubs("sync", server.address, RETRIED)
    for _ in range(3):
        assert [{"number": 0}, {"number": 1}] == made.answers(COUNT, {"answers": 2})
    with pytest.raises(VendorFailed):
        made.answers(COUNT, failing_request("overdue", "INTERNAL", at=1))
    wait_until(
        lambda: all(thread.name != "moorage-grpc-stream" for thread in threading.enumerate()),
        "the threads ended",
    )
    made.close()


def test_client_stream_without_an_iterable_of_requests_is_refused(server: HarnessServer) -> None:
    """An asynchronous client-streaming call without an iterable of requests raises InvalidData."""
    made = Stubs("async", server.address, RETRIED)

    async def write() -> Any:
        call = made.stub(COLLECT)()
        return await call

    with pytest.raises(InvalidData, match="iterable"):
        made.loop.run_until_complete(write())

    async def chat() -> Any:
        call = made.stub(CHAT)()
        await call.write({"name": "w"})
        answer = await call.read()
        await call.done_writing()
        return answer

    assert "w" == made.loop.run_until_complete(chat())["name"]
    made.close()


@pytest.mark.parametrize(
    "error,code",
    [
        (AttemptTimeout("Late."), "DEADLINE_EXCEEDED"),
        (RateLimitExceeded("Full."), "RESOURCE_EXHAUSTED"),
        (ConfigurationError("Wrong.", path="a"), "FAILED_PRECONDITION"),
        (ConnectorError("Other."), "UNKNOWN"),
    ],
)
def test_an_error_of_moorage_has_a_code(error: ConnectorError, code: str) -> None:
    """A moorage error that did not come from the server has the gRPC code of its class."""
    converted = rpc_error(error, is_async=False)

    assert grpc.StatusCode[code] is converted.code()
    assert converted is rpc_error(converted, is_async=False)
