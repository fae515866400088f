"""The result of one attempt to send a request."""

from __future__ import annotations

from typing import Any, NamedTuple

from moorage.domain.values.named_tuples import new_tuple


class AttemptResult(NamedTuple):
    """The value or error of one attempt of a call, and the pause that the vendor asked for.

    Attributes:
        value: value of a success.
        error: error of a failure; None after a success.
        pause: seconds for which the vendor asked all callers to wait.
        repeats: True if the request is sent again as the same attempt, for example with a renewed
            credential.
        refused: True if the attempt was not admitted.
        opened: minimum microseconds for which the circuit opened on this attempt; 0 if it did not.
    """

    value: Any = None
    error: Exception | None = None
    pause: float | None = None
    repeats: bool = False
    refused: bool = False
    opened: int = 0


def success_result(value: Any, pause: float | None) -> AttemptResult:
    """Return the result of a successful attempt, faster than the constructor does."""
    return new_tuple(AttemptResult, (value, None, pause, False, False, 0))
