"""SQLite connections that are closed when they are garbage-collected."""

from __future__ import annotations

import sqlite3
from contextlib import suppress


class OwnedConnection(sqlite3.Connection):
    """A SQLite connection that is closed without a warning when it is garbage-collected.

    Normally its owner closes it. An owner that was interrupted, or dropped without being closed,
    cannot do so: Python itself would then close the connection, and emit a ResourceWarning.
    """

    def __del__(self) -> None:
        # If the file cannot be opened, SQLite leaves a connection that was never initialised.
        with suppress(sqlite3.Error):
            self.close()
