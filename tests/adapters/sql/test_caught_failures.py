"""Transactions whose function catches the failure of a statement."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage import TransactionConflict, VendorRejected
from moorage.adapters.sql.statements import Command, Query
from tests.adapters.sql.database_harness import INSERT, LIST, UPDATE, Administrator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.adapters.sql.database_harness import Harness

OR_ROLL_BACK = Command(
    "INSERT OR ROLLBACK INTO moorage_orders (id, note) VALUES (:id, :note)", name="insert"
)
SCHEMA = Query("SELECT DATABASE() AS name", name="schema")


@pytest.mark.parametrize("system", ["mariadb", "sqlite"])
def test_caught_failure_of_one_statement_leaves_the_transaction(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """If the database undoes only the failed statement, the others are committed."""
    harness = harnesses(system)

    async def run_transaction(transaction: Any) -> None:
        await transaction.execute(INSERT, id=1, note="kept")
        with pytest.raises(VendorRejected):
            await transaction.execute(INSERT, id=1, note="duplicate")
        await transaction.execute(INSERT, id=2, note="kept")

    harness.transaction(run_transaction)

    assert ((1, "kept"), (2, "kept")) == harness.query(LIST)


def test_caught_failure_is_raised_if_postgresql_would_commit_nothing(
    harnesses: Callable[..., Harness],
) -> None:
    """A caught failure is raised again if PostgreSQL would silently roll back at COMMIT."""
    harness = harnesses("postgresql")

    async def run_transaction(transaction: Any) -> None:
        await transaction.execute(INSERT, id=1, note="lost")
        with pytest.raises(VendorRejected):
            await transaction.execute(INSERT, id=1, note="duplicate")

    with pytest.raises(VendorRejected, match="constraint"):
        harness.transaction(run_transaction)

    assert () == harness.query(LIST)
    assert 0 == harness.connector.statistics().active


def test_failure_caught_inside_savepoint_undoes_its_block(
    harnesses: Callable[..., Harness],
) -> None:
    """A failure that is caught inside a savepoint's block is raised at the end of the block."""
    harness = harnesses("postgresql")

    async def run_transaction(transaction: Any) -> None:
        await transaction.execute(INSERT, id=1, note="kept")
        with pytest.raises(VendorRejected):  # noqa: PT012 - what is undone
            async with transaction.savepoint():
                await transaction.execute(INSERT, id=2, note="undone")
                with pytest.raises(VendorRejected):
                    await transaction.execute(INSERT, id=1, note="duplicate")
        await transaction.execute(INSERT, id=3, note="kept")

    harness.transaction(run_transaction)

    assert ((1, "kept"), (3, "kept")) == harness.query(LIST)


def test_nothing_is_written_after_sqlite_has_undone_the_transaction(
    harnesses: Callable[..., Harness],
) -> None:
    """After a failure that ends the transaction, no statement is executed outside of it."""
    harness = harnesses("sqlite")
    harness.execute(INSERT, id=3, note="before")

    async def run_transaction(transaction: Any) -> None:
        await transaction.execute(INSERT, id=1, note="undone")
        with pytest.raises(VendorRejected):
            await transaction.execute(OR_ROLL_BACK, id=1, note="duplicate")
        with pytest.raises(VendorRejected):
            await transaction.execute(INSERT, id=2, note="never")

    with pytest.raises(VendorRejected, match="constraint"):
        harness.transaction(run_transaction)

    assert ((3, "before"),) == harness.query(LIST)


async def catch_deadlock(transaction: Any) -> None:
    """Catch the error of a statement that waits for the other transaction."""
    with pytest.raises(TransactionConflict):
        await transaction.execute(UPDATE, id=2, note="mine")


async def deadlock_in_savepoint(transaction: Any) -> None:
    """Wait in a savepoint for the other transaction; the deadlock also ends the savepoint."""
    async with transaction.savepoint():
        await transaction.execute(UPDATE, id=2, note="mine")


@pytest.mark.parametrize("step", [catch_deadlock, deadlock_in_savepoint])
def test_deadlock_repeats_the_whole_transaction(
    harnesses: Callable[..., Harness], step: Callable[[Any], Awaitable[None]]
) -> None:
    """After a deadlock MariaDB would commit further statements one by one, so none is executed."""
    harness = harnesses("mariadb")
    for number in range(1, 30):
        harness.execute(INSERT, id=number, note="a")
    table = f"{harness.query(SCHEMA)[0].name}.moorage_orders"
    other = Administrator("mariadb")
    # Of two transactions, MariaDB aborts the one that has changed fewer rows.
    other.ask("START TRANSACTION")
    other.ask(f"UPDATE {table} SET note = 'other' WHERE id > 1")
    threads: list[Thread] = []

    def lock_crosswise() -> None:
        other.ask(f"UPDATE {table} SET note = 'other' WHERE id = 1")
        other.ask("COMMIT")

    async def run_transaction(transaction: Any) -> None:
        await transaction.execute(UPDATE, id=1, note="mine")
        if not threads:
            threads.append(Thread(target=lock_crosswise))
            threads[0].start()
            await step(transaction)
            await transaction.execute(INSERT, id=100, note="never")

    harness.transaction(run_transaction)
    threads[0].join()
    other.close()

    rows = harness.query(LIST)
    assert ((1, "mine"), (2, "other")) == rows[:2]
    assert 29 == len(rows)
