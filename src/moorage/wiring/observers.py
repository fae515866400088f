"""The observers of a host, as managers notify them."""

from __future__ import annotations

import inspect
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.adapters.notices import give_notice
from moorage.domain.http.headers import as_headers
from moorage.domain.observation.call_events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
)
from moorage.domain.observation.events import Event, LogEntriesLost, ObserverFailed
from moorage.domain.observation.late_fields import facts_of
from moorage.domain.values.names import name_of
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.connectors.pool_statistics import PoolSource
    from moorage.domain.http.requests import Request
    from moorage.domain.pipelines.settings import ObservedPipeline
    from moorage.ports.observer import Observer


_REPORT_INTERVAL: Final = 1_000_000_000
"""Nanoseconds between two events of lost log entries."""


class Observers:
    """Passes each event to the observers of a manager, one after another.

    An observer receives no events of the calls that it makes while it handles an event, or one that
    calls the manager it observes would never come to an end.

    Args:
        observers: the observers. One that has an attribute `hears` receives events of these classes
            only, and one whose attribute `failures_only` is true receives no event of a success.
        unheard: called with the failure of an observer if no other observer received it.

    Attributes:
        hears_starts: True if some observer receives `CallStarted`.
        hears_attempt_starts: True if some observer receives `AttemptStarted`.
        traces: True if some observer adds headers to requests.
        hears_attempts, hears_ends: True if some observer receives `AttemptFinished`, or
            `CallFinished`, of a success.

    Raises:
        ConfigurationError: the attribute `hears` of an observer has anything but classes of events.
    """

    def __init__(
        self, observers: Iterable[Observer], unheard: Callable[[ObserverFailed], None]
    ) -> None:
        wishes = tuple((observer, *_wishes(observer)) for observer in observers)
        self._wishes = wishes
        self._unheard = unheard
        self._inside = _NotifiedFrame()
        self._audiences = _Audiences(wishes)
        failures_only = any(only_failures for *_, only_failures in wishes)
        successes = _Audiences([wish for wish in wishes if not wish[2]])
        self._of_successes = successes if failures_only else None
        self.hears_starts = bool(successes[CallStarted])
        self.hears_attempt_starts = bool(successes[AttemptStarted])
        self._tracers: tuple[Any, ...] = tuple(
            observer
            for observer in successes[AttemptStarted]
            if inspect.getattr_static(observer, "trace_headers", None) is not None
        )
        self.traces = bool(self._tracers)
        self.hears_attempts = bool(successes[AttemptFinished])
        self.hears_ends = bool(successes[CallFinished])

    def __bool__(self) -> bool:
        return bool(self._wishes)

    def tell(self, event: Event, then: Event | None = None) -> None:
        """Pass an event, and a second one if given, to the observers that take its class.

        An observer that raises is reported to the others, and changes nothing else.
        """
        thread_state = self._inside
        outer_frame = thread_state.frame
        frame: _Frame = [None, outer_frame]
        of_successes = self._of_successes
        try:
            thread_state.frame = frame
            while True:
                audiences = self._audiences
                if of_successes is not None and _is_no_failure(event):
                    audiences = of_successes
                for observer in audiences[type(event)]:
                    if outer_frame is not None and _is_inside(outer_frame, observer):
                        continue
                    frame[0] = observer
                    try:
                        observer(event)
                    except Exception as error:  # noqa: BLE001 - an observer never breaks a call
                        self._report(observer, error, event)
                if then is None:
                    return
                event, then = then, None
        finally:
            thread_state.frame = outer_frame

    def traced(self, request: Request, event: AttemptStarted) -> Request:
        """Return a request with the trace headers that the observers add.

        A header that the request already has is not replaced.
        """
        headers = request.headers
        for name, value in self.trace_headers(event):
            headers = headers.with_default(name, value)
        return request if headers is request.headers else request.carrying(headers)

    def trace_headers(self, event: AttemptStarted) -> tuple[tuple[str, str], ...]:
        """Return the trace headers of an attempt; an observer that fails adds nothing."""
        pairs: list[tuple[str, str]] = []
        for observer in self._tracers:
            if _is_inside(self._inside.frame, observer):
                continue
            try:
                pairs += as_headers(observer.trace_headers(event)).pairs
            except Exception as error:  # noqa: BLE001 - an observer never breaks a call
                self._report(observer, error, event)
        return tuple(pairs)

    def watch_pools(self, pools: PoolSource) -> None:
        """Give a source of numbers to the observers that report on connection pools.

        These are the observers with a method `watch_pools`.
        """
        for observer, *_ in self._wishes:
            if inspect.getattr_static(observer, "watch_pools", None) is not None:
                observer.watch_pools(pools)  # type: ignore[attr-defined]  # it has one

    def watch_pipeline(self, pipeline: ObservedPipeline) -> None:
        """Give a pipeline to the observers that report on pipelines.

        These are the observers with a method `watch_pipeline`.
        """
        for observer, *_ in self._wishes:
            if inspect.getattr_static(observer, "watch_pipeline", None) is not None:
                observer.watch_pipeline(pipeline)  # type: ignore[attr-defined]  # it has one

    def _report(self, failed: Observer, error: Exception, event: Event) -> None:
        failure = ObserverFailed(
            at=event.at,
            service=event.service,
            operation=event.operation,
            tenant=event.tenant,
            request_id=event.request_id,
            observer=name_of(failed),
            error=type(error).__name__,
        )
        was_heard = False
        for observer, kinds, _ in self._wishes:
            if observer is failed or not issubclass(ObserverFailed, kinds):
                continue
            frame = self._inside.frame
            if frame is not None and _is_inside(frame[1], observer):
                was_heard = True
                continue
            try:
                observer(failure)
            except Exception:  # noqa: BLE001, S112 - it is an observer that fails, too
                continue
            was_heard = True
        if not was_heard:
            self._unheard(failure)


class _NotifiedFrame(threading.local):
    """The observer that this thread is notifying now, if any."""

    frame: _Frame | None = None


class _Audiences(dict[type[Event], "tuple[Observer, ...]"]):
    """The observers for each class of events, worked out when its first event is emitted."""

    def __init__(self, wishes: Iterable[_Wish]) -> None:
        super().__init__()
        self._wishes = wishes

    def __missing__(self, kind: type[Event]) -> tuple[Observer, ...]:
        self[kind] = tuple(
            observer
            for observer, kinds, _ in self._wishes
            if (kind in kinds if kind is AttemptStarted else issubclass(kind, kinds))
        )
        return self[kind]


_Wish: TypeAlias = "tuple[Observer, tuple[type[Event], ...], bool]"
"""An observer, the classes of events that it wants, and whether it wants failures only."""

_Frame: TypeAlias = "list[Any]"
"""The observer that is notified now, and the frame of the one that made the observed call."""


def _is_inside(frame: _Frame | None, observer: Observer) -> bool:
    """Return whether this thread is already inside a call of this observer."""
    while frame is not None:
        if frame[0] is observer:
            return True
        frame = frame[1]
    return False


def _is_no_failure(event: Event) -> bool:
    if isinstance(event, CallFinished):
        return event.error is None and not event.cancelled
    if isinstance(event, AttemptFinished):
        return event.error is None
    return isinstance(event, (CallStarted, AttemptStarted))


def _wishes(observer: Observer) -> tuple[tuple[type[Event], ...], bool]:
    """Return the classes of events that an observer takes, and whether only failures."""
    # Read statically first, because a stand-in may have every attribute that it is asked for.
    plain_observer = getattr(observer, "__func__", observer)
    kinds: Any = (Event,)
    if inspect.getattr_static(plain_observer, "hears", None) is not None:
        kinds = getattr(observer, "hears")  # noqa: B009 - not an attribute of every observer
        kinds = (kinds,) if isinstance(kinds, type) else tuple(kinds)
        if not all(isinstance(kind, type) and issubclass(kind, Event) for kind in kinds):
            raise ConfigurationError(
                f"`hears` of the observer {name_of(observer)} must have classes of events only.",
                path="observers",
                remedy="Give a tuple of them, such as (CallFinished,).",
            )
    failures_only = inspect.getattr_static(plain_observer, "failures_only", None) is not None
    return kinds, failures_only and bool(getattr(observer, "failures_only"))  # noqa: B009 - as above


class UnobservedFailure:
    """Warns, once per kind of error, if no observer could receive the failure of another one."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str]] = set()

    def __call__(self, failed: ObserverFailed) -> None:
        """Warn about a failed observer, unless it has failed in this way before."""
        failure = failed.observer, failed.error
        if failure in self._warned:
            return
        self._warned.add(failure)
        give_notice(
            f"the observer {failed.observer} failed ({failed.error}) and missed an event, and"
            " no other observer heard of it. Correct it, or add an observer that takes"
            " ObserverFailed.",
            stacklevel=2,
        )


class LogObserver:
    """Writes an entry of the integration log for every call that finished.

    Args:
        log: the log. If it has an attribute `lost`, observers are notified when that grows, at most
            once a second: a log that is overloaded loses an entry with every call.

    Attributes:
        tell: notifies the observers of lost entries.
    """

    hears = (CallFinished,)

    def __init__(self, log: Any) -> None:
        from moorage.domain.observation.integration_log import entry_of

        self._entry_of = entry_of
        self._log = log
        self._write = log.write
        self._counts = isinstance(getattr(log, "lost", None), int)
        self._reported = 0
        self._reported_at: int | None = None
        self.tell: Callable[[Event], None] = _ignore

    def __call__(self, event: Event) -> None:
        """Write the log entry of a call that finished."""
        facts = facts_of(event)
        if facts is not None:
            identity = facts[0]
            if identity.trace_id is None:
                identity.trace_id = _current_trace()
            if identity.content is not None:
                identity.content.redact()
        self._write(self._entry_of(event))
        if self._counts and self._log.lost != self._reported:
            self._report(event, None if facts is None else facts[2])

    def _report(self, event: Event, now: int | None) -> None:
        """Notify the observers of log entries that were lost, at a time of the local clock."""
        last_report = self._reported_at
        if (
            now is not None
            and last_report is not None
            and 0 <= now - last_report < _REPORT_INTERVAL
        ):
            return
        self._reported_at = now
        lost_count, reported_count = self._log.lost, self._reported
        self._reported = lost_count
        self.tell(
            LogEntriesLost(
                at=event.at, service="log", entries=lost_count - reported_count, total=lost_count
            )
        )


def _current_trace() -> str | None:
    """Return the id of the current OpenTelemetry trace; empty without one."""
    # Never imported here: a caller that has a trace has imported it.
    current_span = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    context = None if current_span is None else current_span().get_span_context()
    return None if context is None or not context.is_valid else f"{context.trace_id:032x}"


def _ignore(_: Event, /) -> None:
    """Ignore an event that is emitted before the observers are set."""
