"""The operations of the MongoDB connector, for `ConnectorManager.perform`.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from moorage.adapters.mongodb._error_conversion import error_of_pymongo
from moorage.adapters.mongodb._monitor import CURRENT, Progress
from moorage.adapters.mongodb._packing import packed, unpacked
from moorage.domain.secrets.frames import without_frames
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.mongodb.connector_sync import MongoConnector
    from moorage.domain.observation.operation_target import DatabaseTarget
    from moorage.domain.service.operation import OperationAttempt

R = TypeVar("R")


class MongoOperation(Generic[R]):
    """An operation on a MongoDB database, for `ConnectorManager.perform`."""

    __slots__ = (
        "connector",
        "is_plain",
        "is_whole",
        "kind",
        "name",
        "repeatable",
        "run",
        "safe",
        "system",
        "target",
    )

    def __init__(
        self,
        connector: MongoConnector,
        run: Callable[[Any, Any], R],
        target: DatabaseTarget,
        *,
        name: str,
        safe: bool,
        repeatable: bool = False,
        is_whole: bool = True,
        is_plain: bool = True,
        kind: type[Any] | None = None,
    ) -> None:
        self.connector = connector
        self.run = run
        self.target = target
        self.name = name
        self.safe = safe
        self.repeatable = repeatable or safe
        self.is_whole = is_whole
        self.is_plain = is_plain
        self.kind = kind
        self.system = "mongodb"

    def perform(self, attempt: OperationAttempt, /) -> R:
        """Make one attempt of the operation."""
        # A transaction changes nothing before its commit, a command of that name.
        progress = Progress(has_effect=self.is_plain and not self.safe, is_whole=self.is_whole)
        return self.connector.attempt(
            self.run, attempt.timeout, progress, for_writing=not self.safe
        )

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Convert an exception of pymongo to an error of moorage."""
        progress = Progress(has_effect=not self.safe, is_whole=self.is_whole)
        progress.has_connection()
        return error_of_pymongo(error, progress, "")

    def pack_result(self, result: R, /) -> object:
        """Return a result as plain values, to be stored under the idempotency key."""
        return packed(result) if self.is_plain else result

    def unpack_result(self, stored: object, /) -> R:
        """Return the result from the plain values of `pack_result`."""
        return cast("R", unpacked(str(stored), self.kind) if self.is_plain else stored)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class MongoTransaction:
    """An open transaction, which performs operations one after another.

    It ends when the function that received it returns.
    """

    def __init__(self, connector: MongoConnector, database: Any, session: Any) -> None:
        self._connector = connector
        self._database = database
        self._session = session

    def perform(self, operation: MongoOperation[R], /) -> R:
        """Perform an operation of the same connector in the transaction.

        After an error the function must return or raise, because the server has undone the
        transaction.

        Raises:
            InvalidData: the transaction has ended, or the operation cannot be a part of it.
        """
        if self._session.has_ended or not self._session.in_transaction:
            raise InvalidData(
                "The transaction has ended.",
                field="transaction",
                remedy="Perform the operations inside the function that receives the"
                " transaction, and perform none after an error.",
            )
        if operation.connector is not self._connector or not operation.is_plain:
            raise InvalidData(
                f"The operation {operation.name!r} cannot run in this transaction.",
                field="operation",
                remedy="Pass an operation of the same connector that is not a transaction or"
                " a change stream.",
            )
        try:
            return operation.run(self._database, self._session)
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = self._connector.translated(error, cast("Progress", CURRENT.get()))
        # The driver's stack frames contain the values.
        raise without_frames(failure)
