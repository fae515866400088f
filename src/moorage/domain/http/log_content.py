"""The setting for which requests and responses the integration log stores."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from moorage.domain.values.durations import count
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    import attrs

LARGEST_BODY: Final = 16_384
"""The maximum number of bytes of a body that a service can have logged."""


class LoggedCalls(enum.Enum):
    """The choice of calls whose request and response are logged: none, failures or all."""

    NONE = "none"
    FAILURES = "failures"
    ALL = "all"


def _as_calls(value: LoggedCalls | str) -> LoggedCalls:
    try:
        return LoggedCalls(value)
    except ValueError:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a valid selection of calls.",
            path="calls",
            remedy=f"Use one of {', '.join(choice.value for choice in LoggedCalls)}.",
        ) from None


def _is_size(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    count(value, attribute.name, most=LARGEST_BODY)


@frozen
class LogContent:
    """The choice of requests and responses of a service that the log stores, after redaction.

    Attributes:
        calls: the calls whose last request and response are stored.
        max_body: the maximum number of bytes of each body that are stored; the log entry states
            if the body was longer.
    """

    calls: LoggedCalls = field(default=LoggedCalls.FAILURES, converter=_as_calls)
    max_body: int = field(default=2_048, validator=_is_size)

    def includes(self, *, failed: bool) -> bool:
        """Return whether the content of a successful or failed call is stored."""
        return self.calls is LoggedCalls.ALL or (failed and self.calls is LoggedCalls.FAILURES)
