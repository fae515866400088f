"""Helpers for tests of a store in a SQLite file."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Self

from moorage.domain.idempotency.claims import Claim
from moorage.domain.values.durations import DAY
from tests.adapters.memory_commands import Put, ReadCommand

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.adapters.state._sqlite_engine import Engine
    from moorage.adapters.state.sqlite import SqliteStorage


class DurablePut(Put):
    """A command whose result must be on disk before the call returns."""

    durable = True


def values(store: SqliteStorage, *keys: str) -> list[object]:
    """Return the stored values of these keys."""
    return [state and state[2] for state in store.execute(ReadCommand(*keys))]


def engine_of(store: SqliteStorage) -> Engine:
    """Return the store's engine, to create states that no public method can create."""
    return store._engine  # noqa: SLF001 - as it says


def claim(key: str = "claim") -> Claim:
    """Return a command that claims a key."""
    return Claim(key, fingerprint=b"f", owner=7, lease=DAY, ttl=DAY, target="vendor", remembered=0)


class OtherProgram:
    """Another program that has the store's file open."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(
            path, isolation_level=None, timeout=5, check_same_thread=False
        )

    def __enter__(self) -> Self:
        """Lock the SQLite file for writing."""
        self.connection.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def __del__(self) -> None:
        self.connection.close()

    def ask(self, question: str) -> Any:
        """Run a query and return its first value."""
        return self.connection.execute(question).fetchone()[0]
