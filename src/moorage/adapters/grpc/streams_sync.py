"""Streams of responses from gRPC services.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from moorage.adapters.grpc import _calls_sync as calls
from moorage.adapters.grpc._calls_sync import BROKEN_OFF, EndOfStream, is_cancelled
from moorage.adapters.grpc._error_conversion import answer_of, call_error_of
from moorage.adapters.grpc._requests import interrupted_requests_error
from moorage.domain.secrets.frames import without_frames

if TYPE_CHECKING:
    from moorage.adapters.grpc._calls_sync import Messages, Requests
    from moorage.adapters.grpc.connector_sync import GrpcConnector
    from moorage.adapters.grpc.methods import GrpcMethod

A = TypeVar("A")


class GrpcStream(Generic[A]):
    """The responses of a call: an iterator, and a context manager that ends the call.

    The protections of the service applied until the first answer. A stream that the program drops
    without ending it ends when Python collects it.
    """

    def __init__(
        self,
        connector: GrpcConnector,
        holder: object,
        method: GrpcMethod[Any, A],
        messages: Messages,
        requests: Requests | None,
    ) -> None:
        self._connector = connector
        self._holder = holder
        self._method = method
        self._messages = messages
        self._requests = requests
        self._patience = 0.0
        self._first: list[A] = []
        self._is_ended = False
        leave = partial(connector.leave, holder)
        self._dropping = calls.end_when_dropped(self, messages, leave)

    def begin(self, patience: float) -> None:
        """Wait for the first response, or for the end of an empty stream."""
        self._patience = patience
        try:
            self._first.append(self._following())
        except EndOfStream:
            self.close()
        except BaseException:
            self._dropping.detach()
            self._messages.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> A:
        if self._first:
            return self._first.pop()
        if self._is_ended:
            raise EndOfStream
        try:
            return self._following()
        except EndOfStream:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = call_error_of(error) or error
        self.close()
        raise without_frames(failure)

    def close(self) -> None:
        """End the gRPC call."""
        self._is_ended = True
        self._dropping.detach()
        self._first.clear()
        self._messages.close()
        self._connector.leave(self._holder)

    def _following(self) -> A:
        try:
            data = self._messages.following(self._patience)
        except BROKEN_OFF:
            if self._requests is None or self._requests.failure is None or is_cancelled():
                raise
            raise interrupted_requests_error() from self._requests.failure
        answer: A = answer_of(self._method, data)
        return answer
