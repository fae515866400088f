"""Rows of a table of encrypted texts, and the operations of such a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Row(NamedTuple):
    """A stored row: its position in the order of rows, its id, and the sealed text."""

    place: bytes
    about: bytes
    sealed: bytes


class Swap(NamedTuple):
    """A text that replaces another, if that has not changed."""

    about: bytes
    old: bytes
    new: bytes


class Rows(Protocol):
    """A table. Each operation is one transaction, and durable when it returns.

    `swap` returns how many texts it replaced, `drop` whether it deleted one. `page` returns up to
    `size` rows after a place, in order; the empty place is before all rows.
    """

    async def find(self, about: bytes, /) -> bytes | None: ...

    async def put(self, about: bytes, sealed: bytes, /) -> None: ...

    async def swap(self, swaps: Sequence[Swap], /) -> int: ...

    async def page(self, after: bytes, size: int, /) -> Sequence[Row]: ...

    async def drop(self, about: bytes, /) -> bool: ...
