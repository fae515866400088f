"""Ids and randomness: plain calls, safe from any thread, and after a fork never the same twice."""

from __future__ import annotations

from typing import Protocol


class Ids(Protocol):
    """Makes identifiers that sort by time and that nobody else makes (ULIDs by default)."""

    def new(self) -> str: ...


class Randomness(Protocol):
    """Chance.

    `fraction` is uniform in [0, 1). `token` is a number from 1 to 2^52 that no other caller draws
    within a lifetime that matters: owners of leases and claims are told apart by it.
    """

    def fraction(self) -> float: ...

    def token(self) -> int: ...
