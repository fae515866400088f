"""The interface of observers, which receive the events of a manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.observation.events import Event


class Observer(Protocol):
    """Receives every event, in the thread or task that caused it.

    An observer must return quickly and not block: slow work belongs elsewhere. If an observer
    raises an exception, the call continues, and the other observers receive an `ObserverFailed`
    event. Only the exception of a signal handler that interrupts an observer, such as the time
    limit of a task queue, ends the call.

    An observer may have two more attributes. `event_classes` is a tuple of classes of events: it
    receives these only. With a true `failures_only` it receives no event of a success, and no
    `CallStarted`.

    An observer that does not always need some events has a method `current_event_classes()`, which
    is called when a call starts. It returns a tuple of those classes among `CallStarted`,
    `AttemptStarted`, `AttemptFinished` and `CallFinished` that the observer has a use for if the
    call succeeds at once; events of these classes only are made for it then. It must be quick, and
    return one of a small set of tuples, because the manager caches by them. An observer may receive
    further events, such as those of a call that fails or is retried.
    """

    def __call__(self, event: Event, /) -> None: ...
