"""Streams of changes from MongoDB.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pymongo

from moorage.adapters.mongodb._modes_sync import EndOfStream
from moorage.adapters.mongodb._monitor import Progress
from moorage.domain.connectors.mongodb_writes import MongoChange

if TYPE_CHECKING:
    from moorage.adapters.mongodb.connector_sync import MongoConnector

_CLOSING_SECONDS = 0.5


class MongoChanges:
    """A stream of changes of a collection or database; leaving its `with` block ends it.

    Iteration waits for the next change without a limit. The protections of the service apply only
    to the opening; after an error, open another stream with `after=changes.token`.
    """

    def __init__(self, connector: MongoConnector, stream: Any, patience: float) -> None:
        self._connector = connector
        self._stream = stream
        self._patience = patience

    @property
    def token(self) -> str | None:
        """The text from which a new stream continues at this point; None if unknown."""
        token: Any = self._stream.resume_token
        return None if token is None else str(token["_data"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> MongoChange:
        while True:
            change = self.next_in_time()
            if change is not None:
                return change
            if not self._stream.alive:
                raise EndOfStream

    def next_in_time(self) -> MongoChange | None:
        """Return the next change; None if the server reported none within its waiting time."""

        def run(*_: object) -> Any:
            return self._stream.try_next()

        progress = Progress(has_effect=False, is_whole=True)
        document = self._connector.attempt(run, self._patience, progress, for_writing=False)
        return None if document is None else _change_of(document)

    def close(self) -> None:
        """Close the stream of changes."""
        with pymongo.timeout(_CLOSING_SECONDS):
            self._stream.close()


def _change_of(document: dict[str, Any]) -> MongoChange:
    update: dict[str, Any] = document.get("updateDescription") or {}
    place: dict[str, Any] = document.get("ns") or {}
    key: dict[str, Any] = document.get("documentKey") or {}
    moment: Any = document.get("clusterTime")
    return MongoChange(
        kind=document["operationType"],
        token=str(document["_id"]["_data"]),
        collection=place.get("coll"),
        id=key.get("_id"),
        document=document.get("fullDocument"),
        fields=update.get("updatedFields") or {},
        removed=tuple(update.get("removedFields") or ()),
        truncated={item["field"]: item["newSize"] for item in update.get("truncatedArrays") or ()},
        at=document.get("wallTime") or (moment and moment.as_datetime()),
    )
