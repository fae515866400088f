"""Passes the events of a manager to the observers that the application has set."""

from __future__ import annotations

import inspect
import sys
from threading import local
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.adapters.notices import give_notice
from moorage.domain.http.headers import as_headers
from moorage.domain.observation.call_events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    success_event,
)
from moorage.domain.observation.events import Event, LogEntriesLost, ObserverFailed
from moorage.domain.observation.late_fields import facts_of, new_late, set_facts
from moorage.domain.observation.success_listeners import NO_LISTENERS, SuccessListeners
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.values.names import name_of
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from moorage.domain.connectors.pool_statistics import PoolSource
    from moorage.domain.http.requests import Request
    from moorage.domain.observation.call_events import SuccessFacts
    from moorage.domain.pipelines.settings import ObservedPipeline
    from moorage.ports.observer import Observer


_REPORT_INTERVAL: Final = 1_000_000_000
"""Nanoseconds between two events of lost log entries."""

_MOST_COMBINATIONS: Final = 64
"""The maximum number of combinations of event classes whose listeners are cached."""

_SUCCESS_EVENTS: Final = (CallStarted, AttemptStarted, AttemptFinished, CallFinished)


class Observers:
    """Passes each event to the observers of a manager, one after another.

    An observer receives no events of the calls that it makes while it handles an event, because an
    observer that calls its own manager would otherwise never stop receiving events.

    Args:
        observers: the observers. An observer with an attribute `event_classes` receives events of
            these classes only, and one whose attribute `failures_only` is true receives no event of
            a success. An observer with a method `current_event_classes` receives events of a call
            whose first attempt succeeds only if the method, called when the call starts, returns
            their classes. One with a method `read_success` receives the facts of such a call
            instead of the events `AttemptFinished` and `CallFinished`.
        report_unheard: called with the failure of an observer if no other observer received it.

    Attributes:
        observes_starts: True if some observer receives `CallStarted`.
        observes_attempt_starts: True if some observer receives `AttemptStarted`.
        traces: True if some observer adds headers to requests.
        observes_attempts, observes_ends: True if some observer receives `AttemptFinished`, or
            `CallFinished`, of a success.

    Raises:
        ConfigurationError: the attribute `event_classes` of an observer contains a value that is
            not a class of events.
    """

    def __init__(
        self, observers: Iterable[Observer], report_unheard: Callable[[ObserverFailed], None]
    ) -> None:
        accepted_classes = tuple((observer, *_accepted_events(observer)) for observer in observers)
        self._accepted_events = accepted_classes
        self._report_unheard = report_unheard
        self._notified = _NotifiedObserver()
        self._audiences = _ObserversByClass(accepted_classes)
        failures_only = any(only_failures for *_, only_failures in accepted_classes)
        successes = _ObserversByClass(
            [accepted for accepted in accepted_classes if not accepted[2]]
        )
        self._of_successes = successes if failures_only else None
        self.observes_starts = bool(successes[CallStarted])
        self.observes_attempt_starts = bool(successes[AttemptStarted])
        self._tracers: tuple[Any, ...] = tuple(
            observer
            for observer in successes[AttemptStarted]
            if _has_method(observer, "trace_headers")
        )
        self.traces = bool(self._tracers)
        self.observes_attempts = bool(successes[AttemptFinished])
        self.observes_ends = bool(successes[CallFinished])
        self._successes = successes
        self._changing_observers: tuple[
            tuple[Observer, Callable[[], tuple[type[Event], ...]]], ...
        ] = tuple(
            (observer, getattr(observer, "current_event_classes"))  # noqa: B009 - not an attribute of every observer
            for observer, _, only_failures in accepted_classes
            if not only_failures and _has_method(observer, "current_event_classes")
        )
        self._usual_listeners = self._listeners_with(())
        self._listeners: dict[tuple[tuple[type[Event], ...], ...], SuccessListeners] = {}
        # Only replaced as a whole, so that any thread may do so.
        self._latest: tuple[list[tuple[type[Event], ...]], SuccessListeners] = ([], NO_LISTENERS)

    def __bool__(self) -> bool:
        return bool(self._accepted_events)

    def notify(self, event: Event) -> None:
        """Pass an event to the observers that accept its class.

        An observer that raises is reported to the others, and changes nothing else.
        """
        audiences = self._audiences
        if self._of_successes is not None and _is_no_failure(event):
            audiences = self._of_successes
        self.notify_observers(audiences[type(event)], event)

    def notify_observers(self, observers: Iterable[Observer], event: Event) -> None:
        """Pass an event to some of the observers, as `notify` does to all."""
        frame = self._notified.frame
        if frame[0] is not None:
            observers = _idle_observers(frame, observers)
            frame = self._notified.frame = [None, frame]
        try:
            for observer in observers:
                frame[0] = observer
                try:
                    observer(event)
                except Exception as error:  # noqa: BLE001 - an observer never breaks a call
                    self._report(observer, error, event)
        finally:
            frame[0] = None
            if frame[1] is not None:
                self._notified.frame = frame[1]

    def listeners(self) -> SuccessListeners:
        """Return the observers that a starting call notifies until it fails.

        If the `current_event_classes` of one of them fails, all receive the classes in their
        attribute `event_classes`.
        """
        if not self._changing_observers:
            return self._usual_listeners
        latest_classes, listeners = self._latest
        try:
            current_classes = [
                current_event_classes() for _, current_event_classes in self._changing_observers
            ]
            if current_classes == latest_classes:
                return listeners
            listeners = self._listeners_of(tuple(current_classes))
            self._latest = current_classes, listeners
        except Exception as error:
            if is_interruption(error):
                raise
            return self._usual_listeners
        return listeners

    def notify_success(self, listeners: SuccessListeners, facts: SuccessFacts) -> None:
        """Tell the listeners of a call that the call succeeded at its first attempt.

        Args:
            listeners: the listeners that the call had when it started.
            facts: the facts of the end of the call and of its attempt.
        """
        # As in the function `notify_observers`.
        frame = self._notified.frame
        attempt_ends, end_listeners, event = listeners.attempt_ends, listeners.ends, None
        if frame[0] is not None:
            attempt_ends, end_listeners = _idle_end_listeners(frame, listeners)
            frame = self._notified.frame = [None, frame]
        try:
            if attempt_ends:
                attempt_event = new_late(AttemptFinished)
                set_facts(attempt_event, facts)
                for observer in attempt_ends:
                    frame[0] = observer
                    try:
                        observer(attempt_event)
                    except Exception as error:  # noqa: BLE001 - an observer never breaks a call
                        self._report(observer, error, attempt_event)
            for observer, read_end in end_listeners:
                frame[0] = observer
                try:
                    if read_end is not None:
                        read_end(facts)
                    else:
                        if event is None:
                            event = new_late(CallFinished)
                            set_facts(event, facts)
                        observer(event)
                except Exception as error:  # noqa: BLE001 - an observer never breaks a call
                    self._report(observer, error, event or success_event(facts))
        finally:
            frame[0] = None
            if frame[1] is not None:
                self._notified.frame = frame[1]

    def _listeners_of(
        self, accepted_events: tuple[tuple[type[Event], ...], ...]
    ) -> SuccessListeners:
        """Return cached success listeners for the event classes that observers accept now."""
        listeners = self._listeners.get(accepted_events)
        if listeners is None:
            listeners = self._listeners_with(accepted_events)
            if len(self._listeners) < _MOST_COMBINATIONS:
                self._listeners[accepted_events] = listeners
        return listeners

    def _listeners_with(
        self, accepted_events: tuple[tuple[type[Event], ...], ...]
    ) -> SuccessListeners:
        """Return the success listeners for the event classes that observers accept now, if any."""
        current_classes_by_id = {
            id(observer): kinds
            for (observer, _), kinds in zip(self._changing_observers, accepted_events, strict=False)
        }
        methods = [
            tuple(
                observer
                for observer in self._successes[kind]
                if kind in current_classes_by_id.get(id(observer), _SUCCESS_EVENTS)
            )
            for kind in _SUCCESS_EVENTS
        ]
        if not any(methods):
            return NO_LISTENERS
        start_listeners, attempt_starts, attempts, end_listeners = methods
        readers = {
            id(observer): getattr(observer, "read_success")  # noqa: B009 - not an attribute of every observer
            for observer in end_listeners
            if _has_method(observer, "read_success")
        }
        return SuccessListeners(
            start_listeners,
            attempt_starts,
            tuple(observer for observer in attempts if id(observer) not in readers),
            tuple((observer, readers.get(id(observer))) for observer in end_listeners),
        )

    def traced(self, request: Request, event: AttemptStarted) -> Request:
        """Return a request with the trace headers that the observers add.

        A header that the request already has is not replaced.
        """
        headers = request.headers
        for name, value in self.trace_headers(event):
            headers = headers.with_default(name, value)
        return request if headers is request.headers else request.with_only_headers(headers)

    def trace_headers(self, event: AttemptStarted) -> tuple[tuple[str, str], ...]:
        """Return an attempt's trace headers from the observers; a failing observer adds none."""
        pairs: list[tuple[str, str]] = []
        for observer in self._tracers:
            if _is_inside(self._notified.frame, observer):
                continue
            try:
                pairs += as_headers(observer.trace_headers(event)).pairs
            except Exception as error:  # noqa: BLE001 - an observer never breaks a call
                self._report(observer, error, event)
        return tuple(pairs)

    def watch_pools(self, pools: PoolSource) -> None:
        """Pass a source of statistics to the observers that report on connection pools.

        These are the observers with a method `watch_pools`.
        """
        for observer, *_ in self._accepted_events:
            if _has_method(observer, "watch_pools"):
                observer.watch_pools(pools)  # type: ignore[attr-defined]  # it has one

    def watch_pipeline(self, pipeline: ObservedPipeline) -> None:
        """Pass a pipeline to the observers that report on pipelines.

        These are the observers with a method `watch_pipeline`.
        """
        for observer, *_ in self._accepted_events:
            if _has_method(observer, "watch_pipeline"):
                observer.watch_pipeline(pipeline)  # type: ignore[attr-defined]  # it has one

    def _report(self, failed: Observer, error: Exception, event: Event) -> None:
        """Report the failure of an observer to the others; raise an interruption."""
        if is_interruption(error):
            # The host ends its task, and the observer has not failed.
            raise error
        failure = ObserverFailed(
            at=event.at,
            service=event.service,
            operation=event.operation,
            tenant=event.tenant,
            request_id=event.request_id,
            observer=name_of(failed),
            error=type(error).__name__,
        )
        was_reported = False
        for observer, kinds, _ in self._accepted_events:
            if observer is failed or not issubclass(ObserverFailed, kinds):
                continue
            if _is_inside(self._notified.frame[1], observer):
                was_reported = True
                continue
            try:
                observer(failure)
            except Exception as other_error:
                if is_interruption(other_error):
                    raise
                continue
            was_reported = True
        if not was_reported:
            self._report_unheard(failure)


class _ObserversByClass(dict[type[Event], "tuple[Observer, ...]"]):
    """The observers for each class of event, found when the first event of the class occurs."""

    def __init__(self, accepted_events: Iterable[_AcceptedEvents]) -> None:
        super().__init__()
        self._accepted_events = accepted_events

    def __missing__(self, kind: type[Event]) -> tuple[Observer, ...]:
        self[kind] = tuple(
            observer
            for observer, kinds, _ in self._accepted_events
            if (kind in kinds if kind is AttemptStarted else issubclass(kind, kinds))
        )
        return self[kind]


_AcceptedEvents: TypeAlias = "tuple[Observer, tuple[type[Event], ...], bool]"
"""An observer, the classes of events that it wants, and whether it wants failures only."""

_Frame: TypeAlias = "list[Any]"
"""The observer that is notified now, and the frame of the one that made the observed call."""


class _NotifiedObserver(local):
    """Remembers which observer the current thread is notifying.

    Attributes:
        frame: the frame of the observer, in which there is no observer between two events.
    """

    def __init__(self) -> None:
        self.frame: _Frame = [None, None]


def _is_inside(frame: _Frame | None, observer: Observer) -> bool:
    """Return whether this observer is already running in this thread."""
    while frame is not None:
        if frame[0] is observer:
            return True
        frame = frame[1]
    return False


def _idle_observers(frame: _Frame, observers: Iterable[Any]) -> list[Any]:
    """Return the observers that are not running in this thread."""
    return [observer for observer in observers if not _is_inside(frame, observer)]


def _idle_end_listeners(frame: _Frame, listeners: SuccessListeners) -> tuple[Any, Any]:
    """Return those listeners for finished calls that this thread is not already running."""
    end_listeners = tuple(pair for pair in listeners.ends if not _is_inside(frame, pair[0]))
    return tuple(_idle_observers(frame, listeners.attempt_ends)), end_listeners


def _has_method(observer: Observer, name: str) -> bool:
    """Return whether an observer really has a method; mocks seem to have every method."""
    return inspect.getattr_static(observer, name, None) is not None


def _is_no_failure(event: Event) -> bool:
    if isinstance(event, CallFinished):
        return event.error is None and not event.cancelled
    if isinstance(event, AttemptFinished):
        return event.error is None
    return isinstance(event, (CallStarted, AttemptStarted))


def _accepted_events(observer: Observer) -> tuple[tuple[type[Event], ...], bool]:
    """Return the event classes that an observer accepts, and whether it wants only failures."""
    # Looked up statically first, because a mock may have every attribute that is requested.
    plain_observer = getattr(observer, "__func__", observer)
    kinds: Any = (Event,)
    if inspect.getattr_static(plain_observer, "event_classes", None) is not None:
        kinds = getattr(observer, "event_classes")  # noqa: B009 - not an attribute of every observer
        kinds = (kinds,) if isinstance(kinds, type) else tuple(kinds)
        if not all(isinstance(kind, type) and issubclass(kind, Event) for kind in kinds):
            raise ConfigurationError(
                f"`event_classes` of the observer {name_of(observer)} must contain only event"
                " classes.",
                path="observers",
                remedy="Use a tuple of event classes, such as (CallFinished,).",
            )
    failures_only = inspect.getattr_static(plain_observer, "failures_only", None) is not None
    return kinds, failures_only and bool(getattr(observer, "failures_only"))  # noqa: B009 - not an attribute of every observer


class UnobservedFailure:
    """Warns that an observer failed, if no other observer could report that."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str]] = set()

    def __call__(self, failed: ObserverFailed) -> None:
        """Warn about a failed observer, once per kind of failure."""
        failure = failed.observer, failed.error
        if failure in self._warned:
            return
        self._warned.add(failure)
        give_notice(
            f"the observer {failed.observer} failed ({failed.error}) and missed an event, and"
            " no other observer receives ObserverFailed. Correct the observer, or add an"
            " observer that accepts ObserverFailed.",
            stacklevel=2,
        )


class LogObserver:
    """Writes an entry of the integration log for each finished call.

    Args:
        log: the log. If it has an attribute `lost`, observers are notified when it grows, at most
            once a second: a log that is overloaded loses an entry with every call.

    Attributes:
        notify: notifies the observers of lost entries.
    """

    event_classes = (CallFinished,)

    def __init__(self, log: Any) -> None:
        from moorage.domain.observation.integration_log import entry_of, full_success_entry

        self._entry_of = entry_of
        self._success_entry = full_success_entry
        self._log = log
        self._write = log.write
        self._counts = isinstance(getattr(log, "lost", None), int)
        self._write_success = _success_writer(log) or self._write_success_entry
        self._reported = 0
        self._reported_at: int | None = None
        self.notify: Callable[[Event], None] = _ignore

    def __call__(self, event: Event) -> None:
        """Write the log entry of a call that finished."""
        event_facts = facts_of(event)
        if event_facts is not None:
            identity = event_facts[0]
            if identity.trace_id is None:
                identity.trace_id = _current_trace()
            if identity.content is not None:
                identity.content.redact()
        self._write(self._entry_of(event))
        if self._counts and self._log.lost != self._reported:
            self._report(event.at, None if event_facts is None else event_facts[2])

    def read_success(self, facts: SuccessFacts, /) -> None:
        """Write the log entry of a call whose first attempt succeeded, from the given details."""
        identity = facts[0]
        if identity.trace_id is None:
            # An attribute that stays at its default takes no memory.
            trace_id = _current_trace()
            if trace_id is not None:
                identity.trace_id = trace_id
        if self._write_success(facts) != self._reported:
            self._report(identity.moment(facts[2]), facts[2])

    def _write_success_entry(self, facts: SuccessFacts) -> int:
        """Write the log entry of a successful call, and return the number of lost entries."""
        self._write(self._success_entry(facts))
        return self._log.lost if self._counts else 0

    def _report(self, at: datetime, now: int | None) -> None:
        """Notify the observers of lost log entries."""
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
        self.notify(
            LogEntriesLost(
                at=at, service="log", entries=lost_count - reported_count, total=lost_count
            )
        )


def _success_writer(log: Any) -> Callable[[SuccessFacts], int] | None:
    """Return the log's function that writes successes from call details; None if it has none.

    If a subclass or the object overrides `write`, every entry must be written by it. If the log
    counts lost entries, and the class with the function does not, the function would not report
    them.
    """
    if "write" in getattr(log, "__dict__", ()):
        return None
    owner = next((kind for kind in type(log).__mro__ if "write" in vars(kind)), object)
    counts_apart = hasattr(log, "lost") and not hasattr(owner, "lost")
    has_writer = "success_writer" in vars(owner) and not counts_apart
    return log.success_writer() if has_writer else None


def _current_trace() -> str | None:
    """Return the id of the current OpenTelemetry trace; empty without one."""
    # Not imported here: a caller with a trace has imported the module.
    contexts: Any = sys.modules.get("opentelemetry.context")
    found_context = None if contexts is None else contexts.get_current()
    trace: Any = sys.modules.get("opentelemetry.trace") if found_context else None
    if trace is None:
        return None
    context = trace.get_current_span(found_context).get_span_context()
    return None if context is None or not context.is_valid else f"{context.trace_id:032x}"


def _ignore(_: Event, /) -> None:
    """Ignore an event that is emitted before the observers are set."""
