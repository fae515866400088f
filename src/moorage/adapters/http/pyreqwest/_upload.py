"""The chunks of a request body, which pyreqwest reads from a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


class UploadPieces:
    """Iterates over the pieces of a body.

    pyreqwest may ask for a piece of an abandoned request after the event loop has ended, and then
    awaits nothing. Python would warn of a coroutine that was never awaited.

    Args:
        pieces: yields the pieces.
    """

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> UploadPieces:
        """Return this iterator."""
        return self

    def __anext__(self) -> _NextPiece:
        """Return an awaitable of the next piece."""
        return _NextPiece(self._pieces)


class _NextPiece:
    """An awaitable of the next chunk, which creates its coroutine only when awaited."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces
        self._steps: Generator[Any, Any, bytes] | None = None

    def __await__(self) -> Generator[Any, Any, bytes]:
        # With a default value, `anext` would call the iterator again at each step.
        if self._steps is None:
            self._steps = self._pieces.__anext__().__await__()
        return self._steps
