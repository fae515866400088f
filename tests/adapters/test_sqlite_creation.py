"""SQLite files with tables that several processes create at the same time."""

from __future__ import annotations

import sqlite3
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.entries.sqlite import SqliteOutbox
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from pathlib import Path


class LateStore(SqliteOutbox):
    """A store that misses its file, because another process creates the file just afterwards."""

    def _connect(self, *, creates: bool) -> Any:
        try:
            return super()._connect(creates=creates)
        except sqlite3.Error:
            with SqliteOutbox(self._path) as other_store:
                other_store.migrate()
            raise


def test_file_that_another_process_creates_meanwhile_is_used(tmp_path: Path) -> None:
    """If another process creates the file after a store has missed it, the store uses the file."""
    with LateStore(tmp_path / "late.db", create=True) as store:
        assert store.now().tzinfo is UTC


def test_file_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    """If a file exists and cannot be opened, StorageUnavailable is raised."""
    with SqliteOutbox(tmp_path) as store, pytest.raises(StorageUnavailable, match="Allow"):
        store.now()
