"""An observer that writes events to the standard library's logging."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from moorage.adapters.observers._description import DEBUG, INFO, fields_of, level_of, place_of
from moorage.domain.observation.call_events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
)
from moorage.domain.observation.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX: Final = "moorage_"

_SUCCESS: Final = (CallFinished,)
_SUCCESS_WITH_DETAILS: Final = (CallStarted, AttemptStarted, AttemptFinished, CallFinished)


class LoggingObserver:
    """Writes one log record for each event.

    The message is for people. The fields of the event are attributes of the record, such as
    `moorage_service`, so that formatters for JSON, such as structlog's, write them as well. The
    level is DEBUG for starts, attempts and the cache, INFO for a successful call, WARNING for a
    rejected call, a retry or a pause, and ERROR for a call that failed.

    Args:
        logger: the logger, or its name.
    """

    event_classes = (Event, AttemptStarted)

    def __init__(self, logger: str | logging.Logger = "moorage") -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger

    def current_event_classes(self) -> tuple[type[Event], ...]:
        """Return the classes of a successful call's events that the logger's level lets through."""
        is_enabled = self._logger.isEnabledFor
        if not is_enabled(INFO):
            return ()
        return _SUCCESS_WITH_DETAILS if is_enabled(DEBUG) else _SUCCESS

    def __call__(self, event: Event, /) -> None:
        """Write the log record of an event, if the logger accepts its level."""
        level = level_of(event)
        if not self._logger.isEnabledFor(level):
            return
        record_fields = {_PREFIX + name: value for name, value in fields_of(event).items()}
        record_fields[f"{_PREFIX}event"] = type(event).__name__
        self._logger.log(level, "%s", _message(event, record_fields), extra=record_fields)


def _message(event: Event, extra: Mapping[str, object]) -> str:
    """Return a log message that describes an event."""
    details = ""
    if isinstance(event, CallFinished):
        outcome = "cancelled" if event.cancelled else event.error or "succeeded"
        details = f": {outcome} after {event.duration:.3f} s and {event.attempts} attempts"
    elif isinstance(event, AttemptFinished):
        outcome = event.error or "succeeded"
        details = f": attempt {event.attempt} {outcome} after {event.duration:.3f} s"
    elif f"{_PREFIX}error" in extra:
        details = f": {extra[f'{_PREFIX}error']}"
    return f"{type(event).__name__} {place_of(event)}{details}"
