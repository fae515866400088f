"""Traces entries of the inbox and the outbox if the program uses OpenTelemetry."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from moorage.domain.entries.queue import Entry
    from moorage.domain.values.trace_context import TraceContext
    from moorage.ports.entry_tracing import EntryTracing


class HostTracing:
    """Traces entries with OpenTelemetry as soon as the program has imported it.

    A program that does not use OpenTelemetry stores no context, and nothing is imported for it.
    """

    @cached_property
    def _tracing(self) -> EntryTracing:
        from moorage.adapters.observers.opentelemetry_entries import (
            OpenTelemetryEntries,
        )

        return OpenTelemetryEntries()

    def sending(
        self, queue: str, entry: Entry, incoming: TraceContext | None, /
    ) -> AbstractContextManager[TraceContext | None]:
        """Open a span while an entry is stored, if OpenTelemetry is in use."""
        if _is_used():
            return self._tracing.sending(queue, entry, incoming)
        return nullcontext()

    def processing(self, queue: str, entry: Entry, /) -> AbstractContextManager[None]:
        """Open a span while an entry is processed, if OpenTelemetry is in use."""
        return self._tracing.processing(queue, entry) if _is_used() else nullcontext()


def _is_used() -> bool:
    return sys.modules.get("opentelemetry.trace") is not None
