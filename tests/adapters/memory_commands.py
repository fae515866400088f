"""Small commands for a store in memory, and a clock that the test advances."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moorage.domain.idempotency.claims import Claim
from moorage.domain.values.durations import DAY, SECOND

if TYPE_CHECKING:
    from moorage.adapters.state.memory import MemoryStorage
    from moorage.domain.state.commands import Command, States


class Clock:
    """A fake wall clock and monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.passed = 0
        self.watch = datetime(2026, 1, 1, tzinfo=UTC)

    def nanoseconds(self) -> int:
        """Return the elapsed time in nanoseconds."""
        return self.passed

    def utc(self) -> datetime:
        """Return the time of the wall clock."""
        return self.watch

    def pass_by(self, seconds: float) -> None:
        """Advance the monotonic clock, but not the wall clock."""
        self.passed += round(seconds * 1e9)


class Put:
    """A command that writes one value to every key, and returns the earlier values."""

    once = False
    durable = False

    def __init__(self, value: object, *keys: str, keep_for: int = DAY) -> None:
        self.keys = keys
        self._value = value
        self._keep_for = keep_for

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Write the value to every key."""
        return tuple((now, self._keep_for, self._value) for _ in states), states


class ReadCommand(Put):
    """A command that reads its keys, and returns the values."""

    def __init__(self, *keys: str) -> None:
        super().__init__(None, *keys)

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Return the values of the keys and change nothing."""
        return states, states


def values(store: MemoryStorage, *keys: str) -> list[object]:
    """Return the stored values of these keys."""
    return [state and state[2] for state in store.execute(ReadCommand(*keys))]


def claim_of(owner: str) -> Command[Any]:
    """Return the command with which this owner claims an idempotency key."""
    return Claim(
        "claim",
        fingerprint=b"",
        owner=len(owner) + ord(owner[0]),
        lease=3_000 * SECOND,
        ttl=DAY,
        target="vendor",
        remembered=0,
    )
