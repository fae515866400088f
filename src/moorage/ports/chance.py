"""The interfaces of generators of ids and random numbers, which any thread may use."""

from __future__ import annotations

from typing import Protocol


class Ids(Protocol):
    """Makes unique identifiers that sort by time (ULIDs by default)."""

    def new(self) -> str: ...


class Randomness(Protocol):
    """Returns random numbers.

    `fraction` is uniform in [0, 1). `token` is a number from 1 to 2^52 that no other caller draws
    within any relevant time; it identifies the owner of a lease or of a claim of an idempotency
    key.
    """

    def fraction(self) -> float: ...

    def token(self) -> int: ...
