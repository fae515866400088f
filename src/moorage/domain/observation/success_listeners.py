"""The observers of one call that receive its events as long as the call succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.values.frozen_values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.observation.call_events import SuccessFacts

ReadSuccess: TypeAlias = "Callable[[SuccessFacts], object]"
"""Reads the facts of a call whose first attempt succeeded, in place of the events of its end."""


@frozen(eq=False)
class SuccessListeners:
    """The observers of a call, by the events that they receive if its first attempt succeeds.

    Attributes:
        starts: the observers of `CallStarted`.
        attempt_starts: the observers of `AttemptStarted`.
        attempt_ends: the observers of `AttemptFinished`.
        ends: the observers of `CallFinished`, each with the function that reads the facts of the
            call in place of this event and `AttemptFinished`, or None.

    A call without observers has `NO_LISTENERS`; no other instance is empty.
    """

    starts: tuple[Any, ...]
    attempt_starts: tuple[Any, ...]
    attempt_ends: tuple[Any, ...]
    ends: tuple[tuple[Any, ReadSuccess | None], ...]


NO_LISTENERS = SuccessListeners((), (), (), ())
"""The listeners of a call without observers, as long as the call succeeds."""
