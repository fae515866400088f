"""A gRPC server on this machine, for tests of programs that call gRPC services."""

from __future__ import annotations

import json
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from moorage.domain.values.installation import optional_module
from moorage.testing.fakes.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_THREADS: Final = 32


class GrpcStatus(Exception):
    """An exception that a gRPC handler raises to end a call with a status.

    Args:
        code: the name of the status code, such as "NOT_FOUND".
        text: the text beside it.
        metadata: trailing metadata: texts, or bytes if the name ends in "-bin".
    """

    def __init__(
        self, code: str, text: str = "", metadata: Mapping[str, str | bytes] | None = None
    ) -> None:
        super().__init__(code, text)
        self.code = optional_module("grpc", "grpc").StatusCode[code]
        self.text = text
        self.metadata = tuple((metadata or {}).items())


@attrs.frozen
class GrpcRequest:
    """A gRPC request that a `GrpcServer` received.

    Attributes:
        path: the method, such as "/shop.Orders/Get".
        value: the request; None for a stream of requests.
        metadata: the metadata of the call.
        timeout: the seconds that were left for the call; None for no limit.
    """

    path: str
    value: Any
    metadata: Mapping[str, str | bytes]
    timeout: float | None


class HeldCalls:
    """Calls of a gRPC method that wait until a test releases them.

    Attributes:
        arrived: set when the first call waits.
    """

    def __init__(self) -> None:
        self.arrived = Event()
        self._released = Event()

    def release(self) -> None:
        """Respond to the waiting calls; later calls get a response immediately."""
        self._released.set()

    def wait(self) -> None:
        """Wait until the test releases the calls."""
        self.arrived.set()
        self._released.wait()


@attrs.frozen
class _Method:
    function: Callable[[Any], Any]
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]
    streams_requests: bool
    streams_answers: bool


class GrpcServer:
    """A gRPC server whose methods are functions, in threads of this process.

    Use it as a context manager, `add` functions for its methods, and connect to its `address`.

    It has no TLS, and listens on this machine only.

    Attributes:
        received: the requests that arrived, in order.
        network: the network before the server, which a test may cut or slow down.
    """

    network: TcpProxy

    def __init__(self) -> None:
        self.received: list[GrpcRequest] = []
        self._methods: dict[str, _Method] = {}
        self._statuses: dict[str, deque[GrpcStatus]] = {}
        self._held: dict[str, HeldCalls] = {}
        self._lock = Lock()
        self._server: Any = None

    @property
    def address(self) -> str:
        """The address of the gRPC server, for connectors and channels."""
        host, port = self.network.address
        return f"{host}:{port}"

    def add(
        self,
        path: str,
        function: Callable[[Any], Any],
        *,
        request: Any = None,
        answer: Any = None,
        streams_requests: bool = False,
        streams_answers: bool = False,
    ) -> None:
        """Register a function that answers a gRPC method.

        Args:
            path: the method, such as "/shop.Orders/Get".
            function: takes a request, or the iterator of a stream of requests. It returns the
                response, or an iterable of a stream of responses, and may raise `GrpcStatus`.
            request: the generated class of requests; by default requests are JSON.
            answer: the generated class of responses; by default responses are JSON.
            streams_requests: whether a call sends a stream of requests.
            streams_answers: whether a call receives a stream of responses.
        """
        read = json.loads if request is None else request.FromString
        write = _json if answer is None else answer.SerializeToString
        self._methods[path] = _Method(function, read, write, streams_requests, streams_answers)

    def fail(
        self,
        path: str,
        code: str,
        text: str = "",
        metadata: Mapping[str, str | bytes] | None = None,
        *,
        times: int = 1,
    ) -> None:
        """End the next calls of a gRPC method with a status, without calling the handler.

        Args:
            path: the method.
            code: the name of the status code, such as "UNAVAILABLE".
            text: the text beside it.
            metadata: trailing metadata.
            times: the number of calls.
        """
        status = GrpcStatus(code, text, metadata)
        with self._lock:
            self._statuses.setdefault(path, deque()).extend([status] * times)

    def hold(self, path: str) -> HeldCalls:
        """Make the calls of a gRPC method wait until a test releases them."""
        self._held[path] = held_calls = HeldCalls()
        return held_calls

    def cut(self) -> None:
        """Cut every connection to the server; clients may connect again."""
        self.network.cut_connections()
        self.network.restore()

    def start(self) -> Self:
        """Start the gRPC server, and return it."""
        server = optional_module("grpc", "grpc").server(
            ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0)]
        )
        server.add_generic_rpc_handlers((_Handlers(self._handler),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._server = server
        self.network = TcpProxy("127.0.0.1", port)
        return self

    def stop(self) -> None:
        """Stop the gRPC server, and end all calls, even waiting ones."""
        for held_calls in self._held.values():
            held_calls.release()
        self._server.stop(None).wait()
        self.network.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _handler(self, path: str) -> Any:
        """Return grpcio's handler of a method; None if the method does not exist."""
        method = self._methods.get(path)
        if method is None:
            return None
        kinds = ("stream" if is_stream else "unary" for is_stream in _directions(method))
        grpc = optional_module("grpc", "grpc")
        make: Any = getattr(grpc, f"{'_'.join(kinds)}_rpc_method_handler")
        behaviour = self._answers if method.streams_answers else self._answer

        def handle(request: Any, context: Any) -> Any:
            return behaviour(path, method, request, context)

        return make(handle, request_deserializer=method.read, response_serializer=method.write)

    def _answer(self, path: str, method: _Method, request: Any, context: Any) -> Any:
        try:
            self._begin(path, method, request, context)
            return method.function(request)
        except GrpcStatus as status:
            _abort(status, context)

    def _answers(self, path: str, method: _Method, request: Any, context: Any) -> Iterator[Any]:
        try:
            self._begin(path, method, request, context)
            yield from method.function(request)
        except GrpcStatus as status:
            _abort(status, context)

    def _begin(self, path: str, method: _Method, request: Any, context: Any) -> None:
        """Record a call, and apply the faults that a test has set for its method."""
        metadata = {item[0]: item[1] for item in context.invocation_metadata()}
        value = None if method.streams_requests else request
        received_request = GrpcRequest(path, value, metadata, context.time_remaining())
        held_calls = self._held.get(path)
        with self._lock:
            self.received.append(received_request)
            statuses = self._statuses.get(path)
            status = statuses.popleft() if statuses else None
        if held_calls is not None:
            held_calls.wait()
        if status is not None:
            raise status


class _Handlers:
    """A handler with the method of grpc's `GenericRpcHandler`, without importing grpc."""

    def __init__(self, handler: Callable[[str], Any]) -> None:
        self._handler = handler

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a gRPC call."""
        return self._handler(handler_call_details.method)


def _directions(method: _Method) -> tuple[bool, bool]:
    return method.streams_requests, method.streams_answers


def _abort(status: GrpcStatus, context: Any) -> None:
    context.set_trailing_metadata(status.metadata)
    context.abort(status.code, status.text)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
