"""The observers of one call, as long as the call succeeds."""

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
        hears_attempts: True if one of them observes `AttemptFinished`.
        ends: the observers of `AttemptFinished`, then those of `CallFinished`, each with True if it
            observes the attempt, and with the function that reads the facts of the call in place of
            both events, or None.

    A call without observers has `NO_LISTENERS`; no other instance is empty.
    """

    starts: tuple[Any, ...]
    attempt_starts: tuple[Any, ...]
    hears_attempts: bool
    ends: tuple[tuple[Any, bool, ReadSuccess | None], ...]


NO_LISTENERS = SuccessListeners((), (), False, ())
"""The listeners of a call that nobody observes while it goes well."""
