"""The interface for tracing entries of the inbox and the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from moorage.domain.entries.queue import Entry
    from moorage.domain.values.trace_context import TraceContext


class EntryTracing(Protocol):
    """Makes tracing spans when an entry is stored and when it is processed.

    Both methods return a context manager. The caller awaits inside of it, so it must be usable
    around an `await` of the same task. Neither may raise an error of its own.
    """

    def sending(
        self, queue: str, entry: Entry, incoming: TraceContext | None, /
    ) -> AbstractContextManager[TraceContext | None]:
        """Open a span while an entry is stored; return the trace context to store with the entry.

        Args:
            queue: "inbox" or "outbox".
            entry: the entry, not stored yet.
            incoming: the context that arrived with the entry, if any.
        """
        ...

    def processing(self, queue: str, entry: Entry, /) -> AbstractContextManager[None]:
        """Open a span while an entry is processed; it continues the trace stored with the entry."""
        ...
