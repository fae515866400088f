"""Streams of documents from MongoDB.

`python -m tools.twins` makes the synchronous module from this one.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, cast

import pymongo
from pymongo.errors import PyMongoError

from moorage.adapters.mongodb._modes_async import EndOfStream
from moorage.adapters.mongodb._monitor import CURRENT, Progress

if TYPE_CHECKING:
    from moorage.adapters.mongodb.connector_async import AsyncMongoConnector

_CLOSING_SECONDS: Final = 0.5


class AsyncMongoDocuments:
    """Documents that arrive in batches; leaving the `async with` block ends the stream."""

    def __init__(
        self,
        connector: AsyncMongoConnector,
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
    async def opened(cls, connector: AsyncMongoConnector, cursor: Any, batch: int) -> Self:
        """Return the stream of a new cursor; the current attempt reads its first batch."""
        patience = cast("Progress", CURRENT.get()).seconds
        try:
            first = await cursor.to_list(batch)
        except BaseException:
            await _close(cursor)
            raise
        return cls(connector, cursor, batch, first, patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        if not self._documents and self._cursor.alive:
            progress = Progress(has_effect=False, is_whole=True)
            patience = self._patience
            await self._connector.attempt(self._fetch, patience, progress, for_writing=False)
        if not self._documents:
            raise EndOfStream
        return self._documents.popleft()

    async def _fetch(self, *_: object) -> None:
        self._documents.extend(await self._cursor.to_list(self._batch))

    async def close(self) -> None:
        """End the stream, even if some documents are left unread."""
        self._documents.clear()
        await _close(self._cursor)


async def _close(cursor: Any) -> None:
    with suppress(PyMongoError), pymongo.timeout(_CLOSING_SECONDS):
        await cursor.close()
