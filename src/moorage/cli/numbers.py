"""Types of numeric command-line options, which refuse numbers outside of a sensible range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_DAYS: Final = 36_500
_MOST_SECONDS: Final = _MOST_DAYS * 86_400
_LAST_PORT: Final = 65_535


def _number_between(
    least: float, most: float, *, above: bool = False
) -> Callable[[Any, Any], None]:
    """Return the validator of a number; with `above`, the number must exceed `least`."""
    beginning = "above" if above else "of at least"

    def check(_: object, value: float | None) -> None:
        if value is None or ((least < value if above else least <= value) and value <= most):
            return
        raise ValueError(f"Pass a number {beginning} {least} and of at most {most}.")

    return check


Days = Annotated[float, Parameter(validator=_number_between(0, _MOST_DAYS, above=True))]
"""A number of days."""

Age = Annotated[float, Parameter(validator=_number_between(0, _MOST_DAYS))]
"""A number of days, which may be 0."""

Seconds = Annotated[float, Parameter(validator=_number_between(0, _MOST_SECONDS, above=True))]
"""A number of seconds."""

Wait = Annotated[float, Parameter(validator=_number_between(0, _MOST_SECONDS))]
"""A number of seconds, which may be 0."""

Count = Annotated[int, Parameter(validator=_number_between(1, 10**9))]
"""A number of things, at least one."""

Status = Annotated[int, Parameter(validator=_number_between(100, 999))]
"""An HTTP status."""

Port = Annotated[int, Parameter(validator=_number_between(0, _LAST_PORT))]
"""A TCP port; 0 for any free one, where a server listens."""
