"""The connector of gRPC services over grpcio. A manager performs its operations.

`python -m tools.twins` makes the synchronous module from this one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs
import grpc

from moorage.adapters.grpc import _calls_async as calls
from moorage.adapters.grpc._channel import ChannelSettings
from moorage.adapters.grpc._error_conversion import (
    answer_of,
    fault_of,
    is_of_code,
    without_secret,
)
from moorage.adapters.grpc._named_calls import named_operations
from moorage.adapters.grpc._requests import (
    PreparedCall,
    authorization_of,
    interrupted_requests_error,
    metadata_of,
    received_metadata,
    serialized,
)
from moorage.adapters.grpc.methods import GrpcAnswer, GrpcMethod
from moorage.adapters.grpc.operations_async import (
    AsyncGrpcNamedCall,
    AsyncGrpcOperation,
    AsyncGrpcReflection,
)
from moorage.adapters.grpc.streams_async import AsyncGrpcStream
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.connectors.grpc_failures import (
    GrpcPhase,
    closed_error,
    grpc_error,
    unreadable_answer_error,
)
from moorage.domain.connectors.health import ConnectorHealth, ConnectorVersions
from moorage.domain.connectors.pool_statistics import PoolStatistics
from moorage.domain.connectors.protobuf_wire import number_of
from moorage.domain.http.transport import Tls
from moorage.domain.monitoring.health import HealthState
from moorage.domain.secrets.frames import without_arguments_in_errors, without_frames
from moorage.domain.service.operation import OperationAttempt
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.grpc._requests import Authorization, Metadata, Pairs
    from moorage.adapters.grpc.descriptors import GrpcDescriptors
    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.ports.credentials import AsyncCredentialProvider

A = TypeVar("A")

_ATTEMPT_MARGIN: Final = 0.01
"""Seconds, at most a tenth of the attempt, in which the failure of connecting is reported."""

_CONNECT_TIMEOUT: Final = 5.0
_MAX_BYTES: Final = 4 * 1024 * 1024
_KEEPALIVE_TIMEOUT: Final = 20.0
HEALTH: Final = "/grpc.health.v1.Health/Check"
_SERVING_STATUS: Final = 1
NOT_SERVING: Final = (
    "The gRPC service reports that it is not serving requests.",
    "Read the server's log, and check the services that it depends on.",
)
_NO_RENEWAL_SECONDS: Final = 60.0
"""Seconds in which credentials are not renewed again after renewed ones were refused too."""


_ASK_HEALTH: Final = PreparedCall(
    method=GrpcMethod(path=HEALTH, serialize=bytes, deserialize=bytes, safe=True),
    request=b"",
    metadata=(),
)


class AsyncGrpcConnector(Uncopyable):
    """A connector of a gRPC service, for asynchronous programs.

    It has one connection, which all calls share. It connects when it is first used.

    Args:
        address: the target of grpcio, such as "orders.example:443" or "unix:/run/orders.sock".
        name: the name of the connector.
        service: the service whose protections apply; by default the service of the same name.
        credentials: the credentials that calls carry, or a provider of them. Those of a provider
            are renewed once if the server answers UNAUTHENTICATED.
        tls: the trusted authorities and the client certificate; by default the system's
            authorities.
        plaintext: connects without TLS. Credentials are then sent to this machine only.
        metadata: metadata of every call: strings, or bytes if the name ends in "-bin".
        descriptors: the descriptions of the service for calls by name; by default the server is
            asked for them with reflection.
        idempotency_metadata: the name of the metadata that carry the idempotency key, where the
            service honours keys.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        max_request_bytes: the size of the largest request that is sent.
        max_answer_bytes: the size of the largest answer that is accepted.
        keepalive: seconds between signs of life during calls; None for none. A server may end a
            connection that sends more of them than it allows.
        keepalive_timeout: seconds in which the server has to answer a sign of life.
        options: further options of grpcio, by name.
    """

    kind = "grpc"

    @without_arguments_in_errors
    def __init__(
        self,
        address: str,
        *,
        name: str = "grpc",
        service: str | None = None,
        credentials: Credentials | OAuthCredentials | AsyncCredentialProvider | None = None,
        tls: Tls | None = None,
        plaintext: bool = False,
        metadata: Metadata | None = None,
        descriptors: GrpcDescriptors | None = None,
        idempotency_metadata: str = "idempotency-key",
        connect_timeout: float = _CONNECT_TIMEOUT,
        max_request_bytes: int = _MAX_BYTES,
        max_answer_bytes: int = _MAX_BYTES,
        keepalive: float | None = None,
        keepalive_timeout: float = _KEEPALIVE_TIMEOUT,
        options: Mapping[str, int | str] | None = None,
    ) -> None:
        self.name = name
        self.service = name if service is None else service
        self.settings = ChannelSettings(
            address=address,
            tls=tls or Tls(),
            plaintext=plaintext,
            connect_timeout=connect_timeout,
            max_answer_bytes=max_answer_bytes,
            keepalive=keepalive,
            keepalive_timeout=keepalive_timeout,
            options=options or {},
        )
        if plaintext and tls is not None:
            raise ConfigurationError(
                "The connector has both `plaintext` and `tls`.",
                path="plaintext",
                remedy="Leave out `plaintext` or `tls`.",
            )
        if plaintext and credentials is not None and not self.settings.is_local:
            raise ConfigurationError(
                "The connector would send credentials over the network without encryption.",
                path="plaintext",
                remedy="Leave `plaintext` out.",
            )
        self.descriptors = descriptors
        self._fixed: Authorization = (), ""
        self._provider: AsyncCredentialProvider | None = None
        if isinstance(credentials, (Credentials, OAuthCredentials)):
            self._fixed = authorization_of(credentials)
        else:
            self._provider = credentials
        self._latest: tuple[object, Authorization] = None, ((), "")
        self._renewal_refused: dict[str | None, float] = {}
        self._metadata = metadata_of(metadata or {})
        ((self._key_name, _),) = metadata_of({idempotency_metadata: ""})
        self._max_request_bytes = max_request_bytes
        self._current = calls.CurrentChannel(partial(self.settings.new_channel, calls.library))
        self._callables: dict[tuple[Any, str, str], Any] = {}
        self._holders: dict[object, None] = {}
        self._handed_out = 0
        self._is_doubted = self._is_closed = self.is_reflected = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} at {self.settings.address}>"

    @property
    def versions(self) -> ConnectorVersions:
        """The version of grpcio; gRPC servers do not report theirs."""
        return ConnectorVersions(library=f"grpcio {grpc.__version__}")

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The operations that can be performed by name, with plain JSON.

        Besides "methods" and "call" these are the methods themselves, such as "shop.Orders/Get".
        """
        return named_operations(self)

    @property
    def connectivity(self) -> str:
        """The connection state, such as "idle", "connecting", "ready" or "transient failure"."""
        channel = self._current.channel
        return "idle" if channel is None else calls.state_of(channel)

    def statistics(self) -> PoolStatistics:
        """Return the statistics of the connection that all calls share."""
        active = int(bool(self._holders))
        return PoolStatistics(
            created=self._current.connections,
            reused=max(0, self._handed_out - self._current.connections),
            idle=int(not active and self.connectivity == "ready"),
            active=active,
            maximum=1,
        )

    def call(
        self,
        method: GrpcMethod[Any, A],
        request: Any,
        *,
        metadata: Metadata | None = None,
    ) -> AsyncGrpcOperation[A]:
        """Return the operation that calls a method, and returns its answer.

        Args:
            method: a method with one answer.
            request: the request; for a method with a stream of requests an iterable, such as a
                list, which is read anew by each attempt.
            metadata: metadata of this call, such as `traceparent`.

        Raises:
            InvalidData: the method has a stream of answers, or the requests can be read only once.
        """
        if method.streams_answers:
            raise InvalidData(
                f"The method {method.name} responds with a stream.",
                field="method",
                remedy="Call `stream` of the connector instead.",
            )
        return AsyncGrpcOperation(self, self._prepared(method, request, metadata))

    def call_with_metadata(
        self,
        method: GrpcMethod[Any, A],
        request: Any,
        *,
        metadata: Metadata | None = None,
    ) -> AsyncGrpcOperation[GrpcAnswer[A]]:
        """Return the operation that calls a method, and returns its answer with its metadata.

        The arguments and errors are those of `call`.
        """
        operation = self.call(method, request, metadata=metadata)
        prepared = attrs.evolve(operation.prepared, with_metadata=True)
        return AsyncGrpcOperation[GrpcAnswer[A]](self, prepared)

    def call_by_name(
        self, method: str, request: Any, *, metadata: Metadata | None = None
    ) -> AsyncGrpcNamedCall:
        """Return the operation that calls a method by its name, with plain JSON.

        Without descriptions of the service, the first such call asks the server for them.

        Args:
            method: the full name, such as "shop.Orders/Get".
            request: the request as JSON has it, with names such as `orderId`.
            metadata: metadata of this call.

        Raises:
            InvalidData: the descriptions have no such method, or the method has streams.
        """
        return AsyncGrpcNamedCall(self, method, request, metadata)

    def reflect(self) -> AsyncGrpcReflection:
        """Return the operation that asks the server for its services and methods.

        Calls by name use the result from then on, unless the connector has `descriptors`.
        """
        return AsyncGrpcReflection(self)

    def stream(
        self,
        method: GrpcMethod[Any, A],
        request: Any,
        *,
        metadata: Metadata | None = None,
        lasts: float | None = None,
    ) -> AsyncGrpcOperation[AsyncGrpcStream[A]]:
        """Return a context manager that opens a stream of responses, and ends it.

        The protections apply until the first answer. Each further answer may take as long as the
        first one might.

        Args:
            method: a method with a stream of answers.
            request: the request; for a method with a stream of requests an iterable, such as a
                list, which is read anew by each attempt.
            metadata: metadata of this call.
            lasts: seconds for the whole stream, which the server learns; by default no limit.
        """
        if not method.streams_answers:
            raise InvalidData(
                f"The method {method.name} responds with a single message, not with a stream.",
                field="method",
                remedy="Call `call` of the connector instead.",
            )
        return AsyncGrpcOperation(self, self._prepared(method, request, metadata, lasts))

    async def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Connect within `timeout` seconds, so that configuration errors appear early."""
        holder = object()
        self._holders[holder] = None
        try:
            await self._connected_channel(monotonic() + timeout)
        finally:
            await self.leave(holder)

    async def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the service; a failure is part of the result, not raised.

        A server with the service `grpc.health.v1.Health` is asked for it. Any other server is
        healthy if it answers.
        """
        started_at = monotonic()
        try:
            problem = await self._problem(timeout)
        except ConnectorError as error:
            problem = (error.message, error.remedy)
        text, remedy = (None, None) if problem is None else problem
        return ConnectorHealth(
            connector=self.name,
            at=datetime.now(UTC),
            state=HealthState.HEALTHY if problem is None else HealthState.UNAVAILABLE,
            seconds=monotonic() - started_at if problem is None else None,
            text=text,
            remedy=remedy,
        )

    async def close(self) -> None:
        """Close the connection; if calls are active, the last one closes it."""
        self._is_closed = True
        if not self._holders:
            await self._close_channel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def attempt(self, call: PreparedCall, attempt: OperationAttempt) -> Any:
        """Make one attempt of a call; repeat it once if the credentials were stale."""
        holder = object()
        self._holders[holder] = None
        is_open = False
        try:
            result, failure = await self._outcome(call, attempt, holder)
            is_open = failure is None and call.method.streams_answers
        finally:
            if not is_open:
                await self.leave(holder)
        if failure is None:
            return result
        try:
            raise failure
        finally:
            del failure

    async def leave(self, holder: object) -> None:
        """Record that a call has ended; after `close`, the last call closes the connection."""
        self._holders.pop(holder, None)
        if self._is_closed and not self._holders:
            await self._close_channel()

    def _prepared(
        self,
        method: GrpcMethod[Any, Any],
        request: Any,
        metadata: Metadata | None,
        lasts: float | None = None,
    ) -> PreparedCall:
        if method.streams_requests and isinstance(request, calls.ITERATORS):
            raise InvalidData(
                f"The requests of {method.name} are an iterator, so a retry could not send"
                " them again.",
                field="request",
                remedy="Pass a list, or an object that returns a new iterator each time.",
            )
        return PreparedCall(
            method=method,
            request=request,
            metadata=metadata_of(metadata) if metadata else (),
            lasts=lasts,
        )

    async def _outcome(
        self, call: PreparedCall, attempt: OperationAttempt, holder: object
    ) -> tuple[Any, Exception | None]:
        """Return an attempt's result, or its error without stack frames that contain secrets."""
        try:
            return await self._authorized(call, attempt, holder), None
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            failure = error
        return None, without_frames(failure)

    async def _authorized(
        self,
        call: PreparedCall,
        attempt: OperationAttempt,
        holder: object,
    ) -> Any:
        """Send a call with its credentials; send it again once if the server refuses stale ones."""
        until, tenant = monotonic() + attempt.timeout, attempt.tenant
        # The attempt gives up a little early, so that its own error reports the failed connection.
        margin = min(_ATTEMPT_MARGIN, attempt.timeout / 10)
        channel = await self._connected_channel(until - margin)
        self._handed_out += 1
        send = self._stream if call.method.streams_answers else self._answer
        stale, authorization = None, self._fixed
        provider = self._provider
        if provider is not None:
            stale, authorization = await self._authorization(provider, tenant)
        metadata = self._metadata_of(call, attempt, authorization)
        try:
            return await send(channel, call, until - monotonic(), metadata, holder)
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = error
        self._is_doubted = is_of_code(failure, "UNAVAILABLE")
        if provider is not None and self._may_renew(failure, tenant):
            _, authorization = await self._authorization(provider, tenant, stale)
            metadata = self._metadata_of(call, attempt, authorization)
            try:
                return await send(channel, call, until - monotonic(), metadata, holder)
            except Exception as error:  # noqa: BLE001 - judged, and raised again
                failure = error
            if is_of_code(failure, "UNAUTHENTICATED"):
                self._renewal_refused[tenant] = monotonic()
        raise without_secret(failure, authorization[1])

    def _metadata_of(
        self, call: PreparedCall, attempt: OperationAttempt, authorization: Authorization
    ) -> Pairs:
        metadata = (*self._metadata, *call.metadata, *authorization[0])
        if attempt.idempotency_key is None:
            return metadata
        return (*metadata, *metadata_of({self._key_name: attempt.idempotency_key}))

    async def _answer(
        self, channel: Any, call: PreparedCall, seconds: float, metadata: Pairs, _holder: object
    ) -> Any:
        method = call.method
        serialize = partial(serialized, method, self._max_request_bytes)
        if not method.streams_requests:
            send = self._callable(channel, "unary_unary", method.path)
            data = serialize(call.request)
            if call.with_metadata:
                return await self._answer_with_metadata(send, data, call, seconds, metadata)
            return answer_of(method, await send(data, timeout=seconds, metadata=metadata))
        send = self._callable(channel, "stream_unary", method.path)
        requests = calls.Requests(call.request, serialize)
        try:
            if call.with_metadata:
                messages = aiter(requests)
                return await self._answer_with_metadata(send, messages, call, seconds, metadata)
            data = await send(aiter(requests), timeout=seconds, metadata=metadata)
        except calls.BROKEN_OFF:
            if requests.failure is None or calls.is_cancelled():
                raise
            raise interrupted_requests_error() from requests.failure
        return answer_of(method, data)

    async def _answer_with_metadata(
        self, send: Any, request: Any, call: PreparedCall, seconds: float, metadata: Pairs
    ) -> GrpcAnswer[Any]:
        data, initial, trailing = await calls.with_metadata(send, request, seconds, metadata)
        return GrpcAnswer(
            answer_of(call.method, data),
            initial_metadata=received_metadata(initial),
            trailing_metadata=received_metadata(trailing),
        )

    async def _stream(
        self, channel: Any, call: PreparedCall, seconds: float, metadata: Pairs, holder: object
    ) -> AsyncGrpcStream[Any]:
        method = call.method
        serialize = partial(serialized, method, self._max_request_bytes)
        requests = None
        if method.streams_requests:
            send = self._callable(channel, "stream_stream", method.path)
            requests = calls.Requests(call.request, serialize)
            answers = send(aiter(requests), timeout=call.lasts, metadata=metadata)
        else:
            send = self._callable(channel, "unary_stream", method.path)
            answers = send(serialize(call.request), timeout=call.lasts, metadata=metadata)
        stream = AsyncGrpcStream(self, holder, method, calls.Messages(answers), requests)
        await stream.begin(seconds)
        return stream

    def _callable(self, channel: Any, kind: str, path: str) -> Any:
        send = self._callables.get((channel, kind, path))
        if send is None:
            send = self._callables[channel, kind, path] = getattr(channel, kind)(path)
        return send

    async def _connected_channel(self, until: float) -> Any:
        """Return the channel when it is connected, before a time of the monotonic clock.

        Only then is a request sent. So a request that is not sent because there is no connection
        certainly had no effect, whatever the library says about it.
        """
        if self._is_closed:
            raise closed_error()
        connections = self._current.connections
        # A channel that failed to connect pauses before it tries again, but the manager has paused
        # already.
        channel, state, is_new = self._current.usable()
        if is_new:
            self._callables = {}
        is_doubted, self._is_doubted = self._is_doubted, False
        is_ready = state == "ready"
        if is_doubted or not is_ready:
            timeout = min(until - monotonic(), self.settings.connect_timeout)
            await self._connect(channel, timeout, is_doubted)
        if not (is_ready and connections):
            # Several callers that waited for the same connection count it once.
            self._current.count_connection(connections)
        return channel

    async def _connect(self, channel: Any, timeout: float, is_doubted: bool) -> None:  # noqa: FBT001 - private
        """Connect by sending a health check, which changes nothing on the server.

        Args:
            channel: the channel.
            timeout: seconds for it.
            is_doubted: whether the latest call failed as if the connection were broken, even if the
                state of the channel does not show that yet.
        """
        try:
            await calls.ask(self._callable(channel, "unary_unary", HEALTH), b"", timeout)
        except grpc.RpcError as error:
            fault = fault_of(error)
        else:
            return
        is_unreached = is_doubted or calls.state_of(channel) != "ready"
        if fault.code == "DEADLINE_EXCEEDED" or (fault.code == "UNAVAILABLE" and is_unreached):
            raise grpc_error(fault, GrpcPhase.CONNECTING)

    async def _problem(self, timeout: float) -> tuple[str, str] | None:
        """Return the problem in the server's health report, with a remedy; None if healthy."""
        try:
            answer = await self.attempt(_ASK_HEALTH, OperationAttempt(1, timeout))
            status = number_of(answer, 1)
        except InvalidRequest:
            return None
        except ValueError:
            status = None
        if status is None:
            raise unreadable_answer_error(_ASK_HEALTH.method.name)
        return None if status == _SERVING_STATUS else NOT_SERVING

    async def _authorization(
        self,
        provider: AsyncCredentialProvider,
        tenant: str | None,
        stale: Any | None = None,
    ) -> tuple[Any, Authorization]:
        """Return a call's credentials, and the metadata that carries them.

        Args:
            provider: the provider of the credentials.
            tenant: the tenant of the call.
            stale: the credentials that the server refused; None for the first attempt.
        """
        if stale is None:
            credentials = await provider.get(self.service, tenant)
        else:
            credentials = await provider.refresh(self.service, tenant, stale)
        latest, authorization = self._latest
        if latest is not credentials:
            authorization = authorization_of(credentials)
            self._latest = credentials, authorization
        return credentials, authorization

    def _may_renew(self, failure: Exception, tenant: str | None) -> bool:
        """Return whether a failed call may be repeated with renewed credentials."""
        allowed_from = self._renewal_refused.get(tenant, -inf) + _NO_RENEWAL_SECONDS
        return is_of_code(failure, "UNAUTHENTICATED") and allowed_from < monotonic()

    async def _close_channel(self) -> None:
        channel = self._current.take()
        self._callables = {}
        if channel is not None:
            await channel.close()
