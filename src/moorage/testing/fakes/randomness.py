"""Random numbers chosen by a test."""

from __future__ import annotations

from itertools import count, cycle
from typing import TYPE_CHECKING

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable


class ScriptedRandomness:
    """A source of randomness that cycles through fixed fractions, and returns numbered tokens."""

    def __init__(self, fractions: Iterable[float] = (0.5,), *, first_token: int = 1) -> None:
        script = tuple(fractions)
        if not script or not all(0 <= fraction < 1 for fraction in script):
            raise InvalidData(
                "A script of random numbers needs fractions from 0 to below 1.", field="fractions"
            )
        self.fraction = cycle(script).__next__
        self.token = count(first_token).__next__


class SequentialIds:
    """Counted ids: `id-000001`, `id-000002`, and so on."""

    def __init__(self, prefix: str = "id-") -> None:
        self._prefix = prefix
        self._numbers = count(1)

    def new(self) -> str:
        """Return the next id."""
        return f"{self._prefix}{next(self._numbers):06}"
