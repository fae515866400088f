"""Waits for pyreqwest: blocking, or in an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from moorage.adapters.http.connections._threads import Threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from moorage.adapters.http.connections._wire import Network
    from moorage.adapters.http.pyreqwest._clients import Clients

_Answer = TypeVar("_Answer")


class Face(Protocol):
    """How an exchange waits.

    `ask` does what may block or take its time: waiting for a place, reading the body's source.
    `enter` sends what pyreqwest was given and returns the answer's head; `read` returns the next
    piece of its body, or None. `leave` does not wait.
    """

    @property
    def network(self) -> Network: ...

    @property
    def clients(self) -> Clients: ...

    def ask(self, work: Coroutine[Any, Any, _Answer]) -> Awaitable[_Answer]: ...

    def enter(self, sending: Any) -> Awaitable[Any]: ...

    def read(self, reader: Any, seconds: float | None) -> Awaitable[Any]: ...

    def leave(self, sending: Any) -> None: ...


class StreamingFace(Face, Protocol):
    """The waiting of an exchange with a streamed body.

    `enter` and `read` raise `TimeIsUp` with the name of the step whose bound has passed: `read`
    its own, `enter` what `bound` said last. `hang_up` wakes whoever waits in `read`, and tells
    whether anybody does.
    """

    def bound(self, seconds: float | None, step: str) -> None: ...

    def hang_up(self) -> bool: ...


class Blocking:
    """Waiting by blocking the thread, for exchanges of which nothing is streamed.

    Nobody but pyreqwest can end that; what is streamed goes by an event loop in another thread.
    """

    network = Threads()

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    def ask(self, work: Coroutine[Any, Any, _Answer]) -> Awaitable[_Answer]:
        return work

    async def enter(self, sending: Any) -> Any:
        return sending.__enter__()

    async def read(self, reader: Any, seconds: float | None) -> Any:  # noqa: ARG002 - the same
        return reader.read_chunk()

    def leave(self, sending: Any) -> None:
        sending.__exit__(None, None, None)
