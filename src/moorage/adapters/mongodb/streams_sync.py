"""Streams of documents from MongoDB.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, cast

import pymongo
from pymongo.errors import PyMongoError

from moorage.adapters.mongodb._modes_sync import EndOfStream
from moorage.adapters.mongodb._monitor import CURRENT, Progress

if TYPE_CHECKING:
    from moorage.adapters.mongodb.connector_sync import MongoConnector

_CLOSING_SECONDS: Final = 0.5


class MongoDocuments:
    """Documents that arrive in batches; leaving the `with` block ends the stream."""

    def __init__(
        self,
        connector: MongoConnector,
        cursor: Any,
        batch: int,
        first: list[dict[str, Any]],
        patience: float,
    ) -> None:
        self._connector = connector
        self._cursor = cursor
        self._batch = batch
        self._documents = deque(first)
        self._patience = patience

    @classmethod
    def opened(cls, connector: MongoConnector, cursor: Any, batch: int) -> Self:
        """Return the stream of a new cursor; the current attempt reads its first batch."""
        patience = cast("Progress", CURRENT.get()).seconds
        try:
            first = cursor.to_list(batch)
        except BaseException:
            _close(cursor)
            raise
        return cls(connector, cursor, batch, first, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Any]:
        if not self._documents and self._cursor.alive:
            progress = Progress(has_effect=False, is_whole=True)
            patience = self._patience
            self._connector.attempt(self._fetch, patience, progress, for_writing=False)
        if not self._documents:
            raise EndOfStream
        return self._documents.popleft()

    def _fetch(self, *_: object) -> None:
        self._documents.extend(self._cursor.to_list(self._batch))

    def close(self) -> None:
        """End the stream, even if some documents are left unread."""
        self._documents.clear()
        _close(self._cursor)


def _close(cursor: Any) -> None:
    with suppress(PyMongoError), pymongo.timeout(_CLOSING_SECONDS):
        cursor.close()
