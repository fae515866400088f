"""The gRPC server for tests: its methods, its records of requests, and its faults."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConnectionFailed,
    ConnectorManager,
    InvalidRequest,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.adapters.grpc.methods import GrpcMethod
from moorage.testing import GrpcServer, GrpcStatus
from tests.adapters.grpc import shop_definitions as shop
from tests.adapters.grpc.grpc_harness import method
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

ECHO = method("Echo")
COUNT = method("Count", safe=True, streams_answers=True)
TOTAL = method("Total", streams_requests=True)


@pytest.fixture
def server() -> Generator[GrpcServer]:
    """Run a gRPC server with one method."""
    with GrpcServer() as server:
        server.add("/harness.Harness/Echo", lambda request: request)
        yield server


@pytest.fixture
def perform(server: GrpcServer) -> Generator[Callable[..., Any]]:
    """Yield a function that runs a connector's operations at the server, without retries."""
    service = Service("harness", timeout=60.0, retry=RetryPolicy.none(), circuit=None)
    connector = GrpcConnector(server.address, plaintext=True, name="harness")
    with ConnectorManager([service]) as manager, connector:

        def perform(called: GrpcMethod[Any, Any], request: Any, **options: Any) -> Any:
            make = connector.stream if called.streams_answers else connector.call
            return manager.perform("harness", make(called, request, **options))

        yield perform


def test_functions_are_methods(server: GrpcServer, perform: Callable[..., Any]) -> None:
    """A gRPC method is a Python function, and the server records its requests."""
    assert {"name": "a"} == perform(ECHO, {"name": "a"}, metadata={"trace": "t"})

    (request,) = server.received
    assert ("/harness.Harness/Echo", {"name": "a"}) == (request.path, request.value)
    assert "t" == request.metadata["trace"]
    assert 0 < (request.timeout or 0) <= 60.0
    with pytest.raises(InvalidRequest, match="does not have this method"):
        perform(method("Nothing"), {})


def test_grpc_method_function_gets_iterator_of_request_stream(
    server: GrpcServer, perform: Callable[..., Any]
) -> None:
    """A gRPC method's function gets an iterator of a streamed request, and may yield responses."""

    def count(request: dict[str, int]) -> Iterator[int]:
        yield from range(request["to"])
        raise GrpcStatus("INTERNAL", "out of numbers")

    server.add("/harness.Harness/Count", count, streams_answers=True)
    server.add("/harness.Harness/Total", sum, streams_requests=True)
    with perform(COUNT, {"to": 2}) as answers:
        assert [0, 1] == [next(answers), next(answers)]
        with pytest.raises(VendorFailed):
            next(answers)
    assert 6 == perform(TOTAL, [1, 2, 3])
    assert server.received[-1].value is None


def test_functions_take_messages(server: GrpcServer, perform: Callable[..., Any]) -> None:
    """With generated classes, a gRPC method's function takes and returns messages."""
    order: Any = shop.order_class(shop.new_pool())
    server.add(
        "/shop.Orders/Get",
        lambda request: order(order_id=request.order_id + 1),
        request=order,
        answer=order,
    )
    get: GrpcMethod[Any, Any] = GrpcMethod.of("/shop.Orders/Get", order, order)

    assert 8 == perform(get, order(order_id=7)).order_id


def test_grpc_method_can_raise_a_status(server: GrpcServer, perform: Callable[..., Any]) -> None:
    """A gRPC method can raise a status, and a test can set a status for the next calls."""

    def refuse(_: Any) -> Any:
        raise GrpcStatus("NOT_FOUND", "no such order")

    server.add("/harness.Harness/Refuse", refuse)
    with pytest.raises(VendorRejected) as excinfo:
        perform(method("Refuse"), {})
    assert "no such order" == excinfo.value.vendor_message

    server.fail(
        "/harness.Harness/Echo", "RESOURCE_EXHAUSTED", "slow down", {"retry-after": "3"}, times=2
    )
    for _ in range(2):
        with pytest.raises(Exception, match="limit") as limited:
            perform(ECHO, {})
        error: Any = limited.value
        assert 3.0 == error.vendor_retry_after
    assert {} == perform(ECHO, {})


def test_test_can_hold_grpc_call_after_its_arrival(
    server: GrpcServer, perform: Callable[..., Any]
) -> None:
    """A test can hold a gRPC call after its arrival, and release it later."""
    held_calls = server.hold("/harness.Harness/Echo")
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(perform, ECHO, {"name": "held"})
        assert held_calls.arrived.wait(60)
        assert not future.done()
        held_calls.release()
        assert {"name": "held"} == future.result(60)


def test_a_connection_is_cut(server: GrpcServer, perform: Callable[..., Any]) -> None:
    """If its connection is cut, a gRPC call may have been processed; the next call reconnects."""
    held_calls = server.hold("/harness.Harness/Echo")
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(perform, ECHO, {})
        assert held_calls.arrived.wait(60)
        server.cut()
        with pytest.raises(ConnectionFailed) as excinfo:
            future.result(60)
    assert excinfo.value.may_have_been_processed
    held_calls.release()

    def is_connected_again() -> bool:
        try:
            return bool({"name": "again"} == perform(ECHO, {"name": "again"}))
        except ConnectionFailed:
            return False

    wait_until(is_connected_again, "connecting again")
