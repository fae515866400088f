"""The position of work in a distributed trace (W3C Trace Context)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_PARENT: Final = 255
"""The maximum length of a stored `traceparent` in characters."""

LONGEST_STATE: Final = 512
"""The maximum length of `tracestate` in characters that everybody must pass on."""


@attrs.frozen
class TraceContext:
    """The trace span that caused some work.

    Attributes:
        traceparent: the ids of the trace and of the span.
        tracestate: the data of tracing systems, if there is any.
    """

    traceparent: str
    tracestate: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> TraceContext | None:
        """Return the trace context in headers with lower-case names; None if none is usable.

        A `tracestate` that is too long is left out, as the standard allows.
        """
        parent = headers.get("traceparent")
        if not parent or len(parent) > LONGEST_PARENT:
            return None
        state = headers.get("tracestate") or None
        return cls(parent, None if state is None or len(state) > LONGEST_STATE else state)

    def headers(self) -> dict[str, str]:
        """Return the trace context as headers with lower-case names."""
        state = {} if self.tracestate is None else {"tracestate": self.tracestate}
        return {"traceparent": self.traceparent, **state}
