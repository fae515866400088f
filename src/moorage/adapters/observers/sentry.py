"""An observer that leaves breadcrumbs for Sentry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.observers._description import (
    DEBUG,
    ERROR,
    INFO,
    WARNING,
    fields_of,
    level_of,
    place_of,
)
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.observation.events import Event

_LEVELS: Final = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}


class SentryObserver:
    """Leaves a Sentry breadcrumb for each event of level INFO or above.

    It needs `sentry-sdk`, which the application sets up.

    Raises:
        ConfigurationError: `sentry-sdk` is not installed.
    """

    def __init__(self) -> None:
        try:
            from sentry_sdk import add_breadcrumb  # noqa: PLC0415 - if it is used
        except ImportError:
            raise ConfigurationError(
                "The observer sentry needs the package sentry-sdk.",
                path="observers.sentry",
                remedy=install("sentry"),
            ) from None
        self._add: Any = add_breadcrumb

    def __call__(self, event: Event, /) -> None:
        """Leave a breadcrumb for an event."""
        level = level_of(event)
        if level > DEBUG:
            self._add(
                type="default",
                category="moorage",
                level=_LEVELS[level],
                message=f"{type(event).__name__} {place_of(event)}",
                data=fields_of(event),
            )
