"""The operations of the gRPC connector, for `ConnectorManager.perform`.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import attrs

from moorage.adapters.grpc._error_conversion import call_error_of
from moorage.adapters.grpc._requests import PreparedCall, metadata_of
from moorage.adapters.grpc.descriptors import COMMON_FILES, GrpcDescriptors
from moorage.adapters.grpc.methods import GrpcMethod, packed_answer, unpacked_answer
from moorage.domain.connectors.grpc_reflection import (
    LIST_SERVICES,
    MOST_ROUNDS,
    PATHS,
    files_of,
    missing_files_error,
    missing_imports,
    no_reflection_error,
    question_of_file,
    question_of_symbol,
    services_of,
    unreadable_descriptions_error,
)
from moorage.errors import ConnectorError, InvalidData, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.grpc._requests import Metadata
    from moorage.adapters.grpc.connector_sync import GrpcConnector
    from moorage.domain.service.operation import OperationAttempt

A = TypeVar("A")

_UNIMPLEMENTED: Final = "UNIMPLEMENTED"


class GrpcOperation(Generic[A]):
    """A call of a gRPC method, for `ConnectorManager.perform`."""

    __slots__ = ("_connector", "name", "prepared", "repeatable", "safe", "system")

    def __init__(self, connector: GrpcConnector, prepared: PreparedCall) -> None:
        self._connector = connector
        self.prepared = prepared
        self.name = prepared.method.name
        self.safe = prepared.method.safe
        self.repeatable = prepared.method.repeatable or prepared.method.safe
        self.system = "grpc"

    def perform(self, attempt: OperationAttempt, /) -> A:
        """Make one attempt of the operation."""
        return cast("A", self._connector.attempt(self.prepared, attempt))

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Convert an exception of grpcio to an error of moorage."""
        return call_error_of(error)

    def pack_result(self, result: A, /) -> object:
        """Return a response as plain values, to be stored under the idempotency key."""
        return packed_answer(result)

    def unpack_result(self, stored: object, /) -> A:
        """Return the response from the plain values of `pack_result`."""
        return cast("A", unpacked_answer(self.prepared.method, stored))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class GrpcReflection:
    """An operation that asks a server by reflection for its services and methods."""

    __slots__ = ("_connector",)

    name = "reflect"
    system = "grpc"
    safe = repeatable = True

    def __init__(self, connector: GrpcConnector) -> None:
        self._connector = connector

    def perform(self, attempt: OperationAttempt, /) -> GrpcDescriptors:
        """Ask the server for its services and methods."""
        descriptors = _reflection(self._connector, attempt)
        if self._connector.descriptors is None or self._connector.is_reflected:
            self._connector.descriptors, self._connector.is_reflected = descriptors, True
        return descriptors

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Convert an exception of grpcio to an error of moorage."""
        return call_error_of(error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class GrpcNamedCall:
    """A call of a method by its name; request and response are plain JSON.

    Until the method is known, it counts as one that changes something.
    """

    __slots__ = ("_connector", "_metadata", "_method", "_request", "name", "repeatable", "safe")

    system = "grpc"

    def __init__(
        self,
        connector: GrpcConnector,
        method: str,
        request: Any,
        metadata: Metadata | None,
    ) -> None:
        self._connector = connector
        self._method = method.removeprefix("/")
        self._request = request
        self._metadata = metadata_of(metadata) if metadata else ()
        service, _, name = self._method.rpartition("/")
        self.name = f"{service.rpartition('.')[2]}.{name}"
        self.safe = self.repeatable = False
        if connector.descriptors is not None:
            known_method = self._described(connector.descriptors)
            known_method.serialize(request)
            self.safe, self.repeatable = known_method.safe, known_method.repeatable

    def perform(self, attempt: OperationAttempt, /) -> Any:
        """Make one attempt; first ask the server for its methods if they are unknown."""
        until = monotonic() + attempt.timeout
        descriptors = self._connector.descriptors
        if descriptors is None:
            descriptors = GrpcReflection(self._connector).perform(attempt)
        prepared = PreparedCall(
            method=self._described(descriptors), request=self._request, metadata=self._metadata
        )
        remaining_attempt = attrs.evolve(attempt, timeout=max(0.0, until - monotonic()))
        return self._connector.attempt(prepared, remaining_attempt)

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Convert an exception of grpcio to an error of moorage."""
        return call_error_of(error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _described(self, descriptors: GrpcDescriptors) -> GrpcMethod[Any, Any]:
        method = descriptors.method(self._method)
        if method.streams_requests or method.streams_answers:
            raise InvalidData(
                f"The method {self._method} uses streams, so it cannot be called by name.",
                field="method",
                remedy="Call `stream` or `call` of the connector with `descriptors.method(...)`.",
            )
        return method


def _reflection(connector: GrpcConnector, attempt: OperationAttempt) -> GrpcDescriptors:
    """Return the descriptions that the server reports by reflection, within one attempt's time."""
    until = monotonic() + attempt.timeout
    for path in PATHS:
        method = GrpcMethod[bytes, bytes](path=path, serialize=bytes, deserialize=bytes, safe=True)
        try:
            return _described_by(connector, method, attempt, until)
        except InvalidRequest as error:
            if error.vendor_code != _UNIMPLEMENTED:
                raise
    raise no_reflection_error()


def _described_by(
    connector: GrpcConnector,
    method: GrpcMethod[bytes, bytes],
    attempt: OperationAttempt,
    until: float,
) -> GrpcDescriptors:
    services: tuple[str, ...] = ()
    files: dict[str, bytes] = {}
    questions = [LIST_SERVICES]
    for position in range(MOST_ROUNDS):
        answers = _answers(connector, method, questions, attempt, until)
        if position == 0:
            services = tuple(name for answer in answers for name in services_of(answer))
            questions = [question_of_symbol(name) for name in services]
            if questions:
                continue
            break
        received_files = {
            name: file for answer in answers for name, file in files_of(answer).items()
        }
        if not received_files.keys() - files.keys():
            break
        files |= received_files
        missing_files = missing_imports(files, COMMON_FILES)
        if not missing_files:
            break
        questions = [question_of_file(name) for name in missing_files]
    missing_files = missing_imports(files, COMMON_FILES)
    if missing_files:
        raise missing_files_error(missing_files)
    try:
        return GrpcDescriptors(files, services)
    except InvalidData:
        pass
    raise unreadable_descriptions_error()


def _answers(
    connector: GrpcConnector,
    method: GrpcMethod[bytes, bytes],
    questions: Sequence[bytes],
    attempt: OperationAttempt,
    until: float,
) -> list[bytes]:
    """Send questions of the reflection protocol, and return the server's answers.

    The method of reflection has streams, but to the server a stream of one message looks like a
    single request. For a stream of requests, grpc.aio may report INTERNAL in place of the status
    that the server sent.
    """
    answers: list[bytes] = []
    for question in questions:
        call = PreparedCall(method=method, request=question, metadata=())
        remaining_attempt = attrs.evolve(attempt, timeout=max(0.0, until - monotonic()))
        answers.append(connector.attempt(call, remaining_attempt))
    return answers
