"""HTTP responses whose body is read as a stream, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from moorage.runtime.flows import run_now

if TYPE_CHECKING:
    from types import TracebackType

    from moorage.domain.http.requests import Headers
    from moorage.services.calling.streaming import Stream


class _Answer:
    """The code that both streamed responses share; no method blocks or awaits."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return self._stream.status

    @property
    def headers(self) -> Headers:
        """The HTTP headers of the answer."""
        return self._stream.headers

    def settle(self) -> None:
        """End the stream now; the circuit breaker ignores a stream that ends early."""
        self._stream.settle()

    def __del__(self) -> None:
        self._stream.settle()


class StreamedAnswer(_Answer):
    """An HTTP response whose body is read by iteration."""

    def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        return run_now(self._stream.read())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = self.read()
        if not piece:
            raise StopIteration
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle()


class AsyncStreamedAnswer(_Answer):
    """An asynchronous HTTP response whose body is read by iteration."""

    async def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        return await self._stream.read()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle()
