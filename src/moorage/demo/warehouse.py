"""The demo's warehouse: its stock in a SQLite file, and a queue that announces parcels."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from moorage import (
    ConnectionFailed,
    ConnectorHealth,
    ConnectorVersions,
    HealthState,
    LinkPool,
    NamedOperation,
)
from moorage.testing import MemoryBroker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from moorage import ConnectorError, OperationAttempt

STOCK: Final = 12
"""The number of pieces of each article at the beginning."""


class StockLink:
    """A connection to the stock's database, which raises an error instead of waiting for a lock."""

    version = f"SQLite {sqlite3.sqlite_version}"

    def __init__(self, path: Path) -> None:
        self.database = sqlite3.connect(
            path, timeout=0.0, isolation_level=None, check_same_thread=False
        )
        self._is_open = True

    def is_connected(self) -> bool:
        """Return whether the connection is open."""
        return self._is_open

    def ping(self, timeout: float) -> None:  # noqa: ARG002 - a file answers at once
        """Raise an error if the database does not answer."""
        self.database.execute("SELECT 1")

    def close(self) -> None:
        """Close the connection."""
        self._is_open = False
        self.database.close()


@attrs.frozen
class TakePiece:
    """The operation that removes a piece of an article from the stock."""

    warehouse: Warehouse
    article: str
    name: str = "stock.take"
    system: str = "sqlite"
    safe: bool = False
    repeatable: bool = False

    def perform(self, attempt: OperationAttempt) -> int:
        """Take a piece, and return the number left."""
        return self.warehouse.take(self.article, attempt.timeout)

    def translate_error(self, error: Exception) -> ConnectorError | None:
        """Convert the error of a locked database to one that says that nothing was changed."""
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return ConnectionFailed(
                "The database of the stock is locked.", may_have_been_processed=False
            )
        return None


class StockConnector:
    """The connector of the warehouse's stock."""

    kind = "stock"

    def __init__(self, warehouse: Warehouse) -> None:
        self.name = self.service = "stock"
        self.versions = ConnectorVersions(server=StockLink.version)
        self._warehouse = warehouse

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The only operation, `take`, which removes a piece of an article from the stock."""
        take = NamedOperation(
            name="take",
            about="Takes a piece of an article off the stock.",
            arguments={"article": "The number of the article."},
            required=frozenset({"article"}),
            build=lambda arguments: TakePiece(self._warehouse, arguments["article"]),
        )
        return {take.name: take}

    def statistics(self) -> Any:
        """Return the connection pool's statistics."""
        return self._warehouse.pool.statistics()

    def open(self, timeout: float) -> None:
        """Open the first connection."""
        self._warehouse.pool.open(timeout)

    def health(self, timeout: float) -> ConnectorHealth:
        """Return whether the database answers."""
        with self._warehouse.pool.link("stock.health", timeout) as link:
            link.ping(timeout)
        return ConnectorHealth(connector=self.name, at=datetime.now(UTC), state=HealthState.HEALTHY)

    def close(self) -> None:
        """Close the connections."""
        self._warehouse.pool.close()


class Warehouse:
    """The stock and the queue, with counts of received messages and of changes made.

    Attributes:
        queue: the broker, which recognises a repeated message.
        refusals: number of statements that found the database locked.
    """

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "stock.db"
        self.queue = MemoryBroker(deduplicates=True)
        self.refusals = 0
        self._taken_pieces: list[str] = []
        self.pool = LinkPool(lambda _: StockLink(self.path))
        self._report: StockLink | None = None
        with closing(sqlite3.connect(self.path)) as database, database:
            database.execute("CREATE TABLE stock (article TEXT PRIMARY KEY, pieces INTEGER)")
            database.execute("INSERT INTO stock VALUES ('lamp', ?)", (STOCK,))

    @property
    def arrivals(self) -> int:
        """The number of SQL statements and messages that arrived."""
        return len(self._taken_pieces) + self.queue.arrivals

    @property
    def effects(self) -> list[str]:
        """The pieces that left the stock, and the messages in the queue."""
        messages = [f"message {item.offset} of {item.topic}" for item in self.queue.messages]
        return [*self._taken_pieces, *messages]

    def begin_report(self) -> None:
        """Lock the database, so that the first request finds it locked."""
        self._report = StockLink(self.path)
        self._report.database.execute("BEGIN EXCLUSIVE")

    def take(self, article: str, timeout: float) -> int:
        """Take a piece from the stock, and return the number left."""
        statement = "UPDATE stock SET pieces = pieces - 1 WHERE article = ? RETURNING pieces"
        try:
            with self.pool.link("stock.take", timeout) as link:
                (remaining_pieces,) = link.database.execute(statement, (article,)).fetchone()
        except sqlite3.OperationalError:
            self.refusals += 1
            if self._report is not None:
                self._report.close()
            raise
        self._taken_pieces.append(f"piece {remaining_pieces} of {article}")
        return int(remaining_pieces)
