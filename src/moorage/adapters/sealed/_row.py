"""The rows of a table of encrypted strings, and the operations on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from moorage.adapters.concurrency.pooled_threads import to_thread

if TYPE_CHECKING:
    from collections.abc import Sequence


class Row(NamedTuple):
    """A row: its position in the table's order, its id and its encrypted string."""

    place: bytes
    about: bytes
    sealed: bytes


class TextReplacement(NamedTuple):
    """A replacement for a string, valid only while the old string is unchanged."""

    about: bytes
    old: bytes
    new: bytes


class SealedRows(Protocol):
    """The interface of a table of encrypted strings; its operations may block.

    Each operation is one transaction, and durable when it returns. A row is found by its id, for
    which the table may use a digest. Errors are raised as `StorageUnavailable`, or as
    `ConfigurationError` if the table is missing.
    """

    def find(self, about: bytes, /) -> bytes | None:
        """Return the encrypted string with this id; None if there is none."""
        ...

    def put(self, about: bytes, sealed: bytes, /) -> None:
        """Store an encrypted string, replacing an earlier one with this id."""
        ...

    def swap(self, swaps: Sequence[TextReplacement], /) -> int:
        """Replace each string that still has its old value; return the number of replacements."""
        ...

    def page(self, after: bytes, size: int, /) -> Sequence[Row]:
        """Return at most `size` rows after a position; "" stands for the beginning."""
        ...

    def drop(self, about: bytes, /) -> bool:
        """Delete the encrypted string with this id, and return whether there was one."""
        ...

    def clear(self) -> int:
        """Delete all rows, and return their number."""
        ...


class Rows(Protocol):
    """The operations of `SealedRows` as coroutines."""

    async def find(self, about: bytes, /) -> bytes | None: ...

    async def put(self, about: bytes, sealed: bytes, /) -> None: ...

    async def swap(self, swaps: Sequence[TextReplacement], /) -> int: ...

    async def page(self, after: bytes, size: int, /) -> Sequence[Row]: ...

    async def drop(self, about: bytes, /) -> bool: ...

    async def clear(self) -> int: ...


class BlockingRows:
    """The table's operations as coroutines that block their thread, for synchronous callers."""

    def __init__(self, rows: SealedRows) -> None:
        self._rows = rows

    async def find(self, about: bytes, /) -> bytes | None:
        return self._rows.find(about)

    async def put(self, about: bytes, sealed: bytes, /) -> None:
        self._rows.put(about, sealed)

    async def swap(self, swaps: Sequence[TextReplacement], /) -> int:
        return self._rows.swap(swaps)

    async def page(self, after: bytes, size: int, /) -> Sequence[Row]:
        return self._rows.page(after, size)

    async def drop(self, about: bytes, /) -> bool:
        return self._rows.drop(about)

    async def clear(self) -> int:
        return self._rows.clear()


class ThreadedRows:
    """The table's operations as coroutines that run in a thread, for asynchronous callers."""

    def __init__(self, rows: SealedRows) -> None:
        self._rows = rows

    async def find(self, about: bytes, /) -> bytes | None:
        return await to_thread(self._rows.find, about)

    async def put(self, about: bytes, sealed: bytes, /) -> None:
        await to_thread(self._rows.put, about, sealed)

    async def swap(self, swaps: Sequence[TextReplacement], /) -> int:
        return await to_thread(self._rows.swap, swaps)

    async def page(self, after: bytes, size: int, /) -> Sequence[Row]:
        return await to_thread(self._rows.page, after, size)

    async def drop(self, about: bytes, /) -> bool:
        return await to_thread(self._rows.drop, about)

    async def clear(self) -> int:
        return await to_thread(self._rows.clear)
