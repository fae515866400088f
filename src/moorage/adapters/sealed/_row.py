"""Rows of a table of encrypted texts, and what such a table does."""

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
    """A table. What each verb does is one transaction, and durable when it is answered.

    `swap` says how many it put in place, `drop` whether it took anything away. `page` gives so many
    rows that stand after a place, in order; the empty place is before all.
    """

    async def find(self, about: bytes, /) -> bytes | None: ...

    async def put(self, about: bytes, sealed: bytes, /) -> None: ...

    async def swap(self, swaps: Sequence[Swap], /) -> int: ...

    async def page(self, after: bytes, size: int, /) -> Sequence[Row]: ...

    async def drop(self, about: bytes, /) -> bool: ...
