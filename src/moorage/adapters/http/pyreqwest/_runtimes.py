"""The ways of waiting for pyreqwest: by blocking the thread, or in an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from moorage.adapters.http.pyreqwest._clients import Clients

_Result = TypeVar("_Result")


class Runtime(Protocol):
    """The interface by which an exchange waits, synchronous or asynchronous.

    `perform` awaits work that may block: waiting for a slot, reading the source of a body. `enter`
    sends the request and returns the head of the response; `read` returns the next piece of its
    body, or None at its end. `leave` does not wait.
    """

    @property
    def clients(self) -> Clients: ...

    def perform(self, work: Coroutine[Any, Any, _Result]) -> Awaitable[_Result]: ...

    def enter(self, outgoing: Any) -> Awaitable[Any]: ...

    def read(self, reader: Any, seconds: float | None) -> Awaitable[Any]: ...

    def leave(self, outgoing: Any) -> None: ...


class StreamRuntime(Runtime, Protocol):
    """The interface by which an exchange with a streamed body waits.

    `enter` and `read` raise `TimeIsUp` with the name of the step whose timeout has passed: `read`
    has its own, `enter` the last one set by `bound`. `hang_up` wakes the caller that waits in
    `read`, and returns whether there is one.
    """

    def bound(self, seconds: float | None, step: str) -> None: ...

    def hang_up(self) -> bool: ...


class BlockingRuntime:
    """Waits by blocking the thread; for exchanges whose bodies are not streamed.

    Only pyreqwest can end that wait; streams use an event loop in another thread.
    """

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    def perform(self, work: Coroutine[Any, Any, _Result]) -> Awaitable[_Result]:
        return work

    async def enter(self, outgoing: Any) -> Any:
        return outgoing.__enter__()

    async def read(self, reader: Any, seconds: float | None) -> Any:  # noqa: ARG002 - pyreqwest's timeout holds
        return reader.read_chunk()

    def leave(self, outgoing: Any) -> None:
        outgoing.__exit__(None, None, None)
