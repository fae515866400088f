"""Checkpoints in a SQL table, which a sink can update together with its rows.

Laws:

1. A name has one owner: the last that began. Writes of an earlier owner are refused, and undone
   with their transaction.
2. A position that is stored with rows only grows while it has the same owner.
"""

from __future__ import annotations

import json
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.values.installation import missing_package_error

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_package_error(error, "sql") from error

from moorage.adapters.sql._access import SqlAccess
from moorage.adapters.sql.statements import Command, Query
from moorage.domain.pipelines.checkpoints import is_after, partition_name, taken_over_error
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.state.keys import checked_name
from moorage.errors import ConfigurationError, LocalFailure, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.adapters.sql._access import AnyPerformer, AnySqlConnector
    from moorage.adapters.sql.transactions import AsyncTransaction
    from moorage.domain.pipelines.records import Offset, SinkRecord

_TABLE: Final = sa.table(
    "moorage_checkpoints", *map(sa.column, ("name", "owner", "epoch", "positions"))
)

_CREATE: Final = Command(
    "CREATE TABLE IF NOT EXISTS moorage_checkpoints (name varchar(200) NOT NULL PRIMARY KEY,"
    " owner varchar(32) NOT NULL, epoch bigint NOT NULL, positions text NOT NULL)",
    name="checkpoints.create",
    repeatable=True,
)
_TABLE_CHECK: Final = Query(sa.select(_TABLE).where(sa.false()), name="checkpoints.exist")
_CLAIM: Final = Command(
    "INSERT INTO moorage_checkpoints (name, owner, epoch, positions)"
    " VALUES (:name, :owner, :epoch, :positions) ON CONFLICT (name)"
    " DO UPDATE SET owner = excluded.owner, epoch = moorage_checkpoints.epoch + 1",
    name="checkpoints.begin",
)
_CLAIM_MYSQL: Final = Command(
    "INSERT INTO moorage_checkpoints (name, owner, epoch, positions)"
    " VALUES (:name, :owner, :epoch, :positions)"
    " ON DUPLICATE KEY UPDATE owner = VALUES(owner), epoch = epoch + 1",
    name="checkpoints.begin",
)
_LOCK: Final = Query(
    sa.select(_TABLE.c.owner, _TABLE.c.epoch, _TABLE.c.positions)
    .where(_TABLE.c.name == sa.bindparam("name"))
    .with_for_update(),
    name="checkpoints.lock",
)
_STORE: Final = Command(
    "UPDATE moorage_checkpoints SET positions = :positions WHERE name = :name",
    name="checkpoints.store",
)


@with_careful_constructor
class SqlCheckpoints:
    """The positions that a pipeline has reached, in the SQL table moorage_checkpoints.

    A `SqlSink` that is given them stores the position of a record in the transaction that writes
    its row. The offsets of the records must then grow within their partition: numbers, or strings
    that sort like their positions.

    Attributes:
        connector: the connector of the database.

    Args:
        manager: performs the transactions under the protections of the connector's service.
        connector: the connector of the database, which belongs to the caller. A `SqlConnector`
            works in threads and with a `ConnectorManager`; a SQLite file needs that.
    """

    def __init__(self, manager: AnyPerformer, connector: AnySqlConnector) -> None:
        self.connector = connector
        self._access = SqlAccess(manager, connector)
        self._owner = token_hex(16)
        self._names: set[str] = set()
        self._moved: set[tuple[str, str]] = set()

    async def create_table(self) -> None:
        """Create the table of checkpoints if it does not exist.

        If it exists, the user of the database needs no right to create tables.
        """
        try:
            await self._access.query(_TABLE_CHECK)
        except VendorRejected:
            await self._access.execute(_CREATE)

    async def begin(self, name: str, /) -> tuple[int, Mapping[str, Offset]]:
        """Take over a checkpoint from its earlier owner; return its new epoch and positions.

        Raises:
            ConfigurationError: the table of checkpoints does not exist, or lacks columns.
        """
        name = checked_name(name, "name")
        claim = _CLAIM_MYSQL if self._access.system == "mysql" else _CLAIM

        async def run_steps(transaction: AsyncTransaction) -> tuple[int, dict[str, Offset]]:
            await transaction.execute(claim, name=name, owner=self._owner, epoch=1, positions="{}")
            [row] = await transaction.query(_LOCK, name=name)
            return row.epoch, json.loads(row.positions)

        self._names.add(name)
        try:
            ownership: tuple[int, dict[str, Offset]] = await self._access.transact(
                run_steps, name=claim.name, repeatable=True
            )
        except VendorRejected:
            await self._check_table()
            raise
        return ownership

    async def _check_table(self) -> None:
        try:
            await self._access.query(_TABLE_CHECK)
        except VendorRejected as error:
            raise ConfigurationError(
                f"The database has no table {_TABLE.name!r}, or the table lacks columns.",
                path="checkpoints",
                remedy="Await `create_table` of the SqlCheckpoints once, with a user who may"
                " create tables.",
            ) from error

    async def advance(self, name: str, epoch: int, positions: Mapping[str, Offset], /) -> None:
        """Store the positions reached in a source, but none behind a position that the sink stored.

        Raises:
            LocalFailure: a later owner began.
        """

        async def run_steps(transaction: AsyncTransaction) -> None:
            owner = await _lock(transaction, name)
            if owner.epoch != epoch:
                raise taken_over_error(name)
            stored = owner.positions
            stored |= {
                partition: offset
                for partition, offset in positions.items()
                if (name, partition) not in self._moved or is_after(offset, stored.get(partition))
            }
            await _store(transaction, name, stored)

        await self._access.transact(run_steps, name=_STORE.name, repeatable=True)

    async def move(self, name: str, epoch: int, positions: Mapping[str, Offset], /) -> None:
        """Store the positions from which to continue, which may be earlier than the current ones.

        Raises:
            LocalFailure: a later owner began, or a sink has stored positions with its rows since
                this object was made: batches in progress could still move them forward.
        """
        if any((name, partition) in self._moved for partition in positions):
            raise LocalFailure(
                f"A sink stores the position of {name!r} together with its rows, so the"
                " position cannot be changed while the pipeline runs.",
                remedy="Stop the pipeline, and call `reset` of new SqlCheckpoints before the"
                " pipeline runs again.",
            )
        await self.advance(name, epoch, positions)

    async def reset(self, name: str, positions: Mapping[str, Offset], /) -> None:
        """Replace the positions of a source, and stop the pipeline worker that updates them.

        Args:
            name: the name of the source.
            positions: the new positions, by the name of the partition ("0" for a source without
                partitions); empty to start from the beginning.
        """
        name = checked_name(name, "name")
        claim = _CLAIM_MYSQL if self._access.system == "mysql" else _CLAIM

        async def run_steps(transaction: AsyncTransaction) -> None:
            await transaction.execute(claim, name=name, owner="", epoch=1, positions="{}")
            await _store(transaction, name, positions)

        await self._access.transact(run_steps, name="checkpoints.reset", repeatable=True)

    async def advance_within(
        self, transaction: AsyncTransaction, records: Sequence[SinkRecord]
    ) -> list[bool]:
        """Store a record's position in the transaction that writes its row.

        Returns:
            For each record, whether its row must be written; False if it was written before.

        Raises:
            LocalFailure: a later owner began, or the records are not from the source.
        """
        name = records[0].topic
        if name not in self._names or any(record.topic != name for record in records):
            raise LocalFailure(
                f"The checkpoints belong to a different source than the records of {name!r}.",
                remedy="Pass the same SqlCheckpoints to the source and the sink, and do not"
                " change the topic that the source set on the records.",
            )
        self._moved |= {(name, partition_name(record.partition)) for record in records}
        owner = await _lock(transaction, name)
        if owner.owner != self._owner:
            raise taken_over_error(name)
        stored = owner.positions
        are_new: list[bool] = []
        for record in records:
            partition = partition_name(record.partition)
            is_new = is_after(record.offset, stored.get(partition))
            are_new.append(is_new)
            if is_new:
                stored[partition] = record.offset
        await _store(transaction, name, stored)
        return are_new


class _Owner(NamedTuple):
    """A row of the checkpoint table: its owner, epoch and positions."""

    owner: str
    epoch: int
    positions: dict[str, Any]


async def _lock(transaction: AsyncTransaction, name: str) -> _Owner:
    """Lock a source's checkpoint row until the transaction ends, and return the row.

    Raises:
        LocalFailure: the row was removed.
    """
    rows = await transaction.query(_LOCK, name=name)
    if not rows:
        raise taken_over_error(name)
    row: Any = rows[0]
    return _Owner(row.owner, row.epoch, json.loads(row.positions))


async def _store(transaction: AsyncTransaction, name: str, positions: Mapping[str, Any]) -> None:
    await transaction.execute(_STORE, name=name, positions=json.dumps(positions, sort_keys=True))
