"""OpenTelemetry spans for inbox and outbox entries."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.observers._description import NAMES
from moorage.domain.values.installation import install
from moorage.domain.values.trace_context import TraceContext
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from moorage.domain.entries.queue import Entry

SYSTEM: Final = "moorage"
"""The `messaging.system` of inbox and outbox."""


class OpenTelemetryEntries:
    """An `EntryTracing` that creates OpenTelemetry spans.

    Storing an entry is a span `send outbox` or `send inbox`, whose context is stored with the
    entry. The processing of an entry is a span `process outbox` or `process inbox`: a child of the
    `send` span, even in another process, and linked to it and to the span that is current in the
    worker. A webhook that arrives with `traceparent` is linked to it, and continues that trace if
    no span is current.

    Args:
        connector_names: True to use the name `connector.message_queue.publish` for the span
            `send outbox`.
        tracer_provider: the provider of tracers; by default the global one.

    Raises:
        ConfigurationError: `opentelemetry-api` is not installed.
    """

    def __init__(self, *, connector_names: bool = False, tracer_provider: Any = None) -> None:
        try:
            self._trace: Any = import_module("opentelemetry.trace")
            context: Any = import_module("opentelemetry.trace.propagation.tracecontext")
        except ImportError:
            raise ConfigurationError(
                "Tracing entries of the inbox and outbox needs the package opentelemetry-api.",
                path="tracing",
                remedy=install("opentelemetry"),
            ) from None
        self._aliases: Mapping[str, str] = NAMES["connector"] if connector_names else {}
        self._propagator = context.TraceContextTextMapPropagator()
        self._tracer = self._trace.get_tracer(SYSTEM, tracer_provider=tracer_provider)

    @contextmanager
    def sending(
        self, queue: str, entry: Entry, incoming: TraceContext | None, /
    ) -> Generator[TraceContext | None]:
        """Open a span while an entry is stored, and return the span's context."""
        origin = self._context_of(incoming)
        has_parent = self._trace.get_current_span().get_span_context().is_valid
        name = f"send {queue}"
        span = self._tracer.start_span(
            self._aliases.get(name, name),
            context=None if has_parent else origin,
            kind=self._trace.SpanKind.PRODUCER,
            links=self._links(origin),
            attributes=_attributes("send", queue, entry),
        )
        with self._current(span):
            headers: dict[str, str] = {}
            self._propagator.inject(headers)
            yield TraceContext.of(headers)

    @contextmanager
    def processing(self, queue: str, entry: Entry, /) -> Generator[None]:
        """Open a span while an entry is processed; it continues the trace of the stored entry."""
        origin = self._context_of(entry.trace)
        ambient_context = (
            None
            if origin is None
            else self._trace.set_span_in_context(self._trace.get_current_span())
        )
        span = self._tracer.start_span(
            f"process {queue}",
            context=origin,
            kind=self._trace.SpanKind.CONSUMER,
            links=self._links(origin, ambient_context),
            attributes=_attributes("process", queue, entry),
        )
        with self._current(span):
            yield

    @contextmanager
    def _current(self, span: Any) -> Generator[None]:
        """A context manager that makes a span the current one, and records an error in the span."""
        with self._trace.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield
            except Exception as error:
                name = type(error).__name__
                span.set_attribute("error.type", name)
                span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, name))
                raise

    def _context_of(self, stored: TraceContext | None) -> Any:
        """Return the OpenTelemetry context from stored strings; None if they are invalid."""
        if stored is None:
            return None
        context = self._propagator.extract(stored.headers())
        span = self._trace.get_current_span(context)
        return context if span.get_span_context().is_valid else None

    def _links(self, *contexts: Any) -> list[Any]:
        spans = [self._trace.get_current_span(context) for context in contexts if context]
        places = [span.get_span_context() for span in spans]
        return [self._trace.Link(place) for place in places if place.is_valid]


def _attributes(action: str, queue: str, entry: Entry) -> dict[str, Any]:
    attributes = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": action,
        "messaging.operation.type": action,
        "messaging.destination.name": queue,
        "messaging.message.id": entry.id,
        "moorage.target": entry.target,
        "moorage.operation": entry.operation,
        "moorage.tenant": entry.tenant,
        "moorage.attempts": entry.attempts or None,
    }
    return {name: value for name, value in attributes.items() if value is not None}
