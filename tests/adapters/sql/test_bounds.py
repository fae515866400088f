"""Query results are limited in rows and bytes; streams are not."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, InvalidRequest
from moorage.adapters.sql import _psycopg
from moorage.adapters.sql.statements import Command, Query
from tests.adapters.sql.database_harness import (
    ENDLESS,
    INSERT,
    LIST,
    SERVERS,
    SESSION,
    SYSTEMS,
    Harness,
)

if TYPE_CHECKING:
    from collections.abc import Callable

each_system = pytest.mark.parametrize("system", SYSTEMS)
NOTE = "n" * 400


def fill(harness: Harness, rows: int) -> None:
    """Store a number of rows, each with a note of 400 characters."""

    async def run_transaction(transaction: Any) -> None:
        steps = [{"id": number, "note": NOTE} for number in range(rows)]
        await transaction.execute_each(INSERT, steps)

    harness.transaction(run_transaction)


@each_system
def test_endless_result_is_refused(harnesses: Callable[..., Harness], system: str) -> None:
    """If a query's result is endless, it is refused at the limit; the next operation works."""
    harness = harnesses(system, most_rows=5_000, most_bytes=2_000_000)
    with pytest.raises(InvalidRequest) as excinfo:
        harness.query(ENDLESS[system], low=1)

    assert "exceeds `most_rows`" in excinfo.value.message
    assert "`stream`" in (excinfo.value.remedy or "")
    assert () == harness.query(LIST)
    assert (0, 0) == (harness.connector.statistics().active, harness.connector.statistics().waiting)


@each_system
@pytest.mark.parametrize("rows", [299, 300, 511, 512])
def test_bound_is_the_largest_number_of_rows(
    harnesses: Callable[..., Harness], system: str, rows: int
) -> None:
    """A result may have up to `most_rows` rows; one more row is refused."""
    harness = harnesses(system, most_rows=rows)
    fill(harness, rows)
    assert rows == len(harness.query(LIST))

    harness.execute(INSERT, id=rows, note="")
    with pytest.raises(InvalidRequest):
        harness.query(LIST)
    assert rows + 1 == len(harness.first_rows(harness.connector.stream(LIST), rows + 2))


@each_system
def test_bytes_of_texts_are_bounded(harnesses: Callable[..., Harness], system: str) -> None:
    """A result of few rows with long strings is refused if it exceeds the limit of bytes."""
    harness = harnesses(system, most_bytes=100_000)
    fill(harness, 300)
    with pytest.raises(InvalidRequest):
        harness.query(LIST)


@each_system
def test_result_in_a_transaction_is_bounded(harnesses: Callable[..., Harness], system: str) -> None:
    """A transaction whose query exceeds a limit is rolled back, even if it ignores the error."""
    harness = harnesses(system, most_rows=10, most_bytes=2_000_000)

    async def run_transaction(transaction: Any) -> int:
        await transaction.execute(INSERT, id=1, note="undone")
        with pytest.raises(InvalidRequest):
            await transaction.query(ENDLESS[system], low=1)
        return 1

    if system == "sqlite":
        # The result ends with its cursor, so that the transaction can continue.
        assert 1 == harness.transaction(run_transaction)
        return
    with pytest.raises(InvalidRequest):
        harness.transaction(run_transaction)
    assert () == harness.query(LIST)


@each_system
def test_result_in_a_batch_is_bounded(harnesses: Callable[..., Harness], system: str) -> None:
    """A batch whose query exceeds a limit is rolled back."""
    harness = harnesses(system, most_rows=10, most_bytes=2_000_000)
    steps = (INSERT, {"id": 1, "note": "undone"}), (ENDLESS[system], {"low": 1})
    with pytest.raises(InvalidRequest):
        harness.perform(harness.connector.batch(*steps, name="both"))
    assert () == harness.query(LIST)


RETURNING = Command(
    "INSERT INTO moorage_orders (id) SELECT generate_series(CAST(:low AS integer), :high)"
    " RETURNING id",
    name="orders.many",
)


def test_command_with_many_rows_was_performed(harnesses: Callable[..., Harness]) -> None:
    """If a command returns too many rows, the error states that the command was performed."""
    harness = harnesses("postgresql", most_rows=10)
    with pytest.raises(ConnectionFailed) as excinfo:
        harness.query(RETURNING, low=1, high=20)

    assert excinfo.value.may_have_been_processed
    assert not excinfo.value.retryable
    assert 10 == len(harness.query(RETURNING, low=21, high=30))
    assert 30 == harness.query(Query("SELECT count(id) FROM moorage_orders", name="count"))[0][0]


def test_refused_result_keeps_other_connections(harnesses: Callable[..., Harness]) -> None:
    """If a completely read result is refused, the PostgreSQL connection stays open."""
    harness = harnesses("postgresql", most_rows=10)
    fill(harness, 20)
    before = harness.query(SESSION["postgresql"])
    with pytest.raises(InvalidRequest):
        harness.query(LIST)
    assert before == harness.query(SESSION["postgresql"])


def test_bytes_are_unknown_without_tcp() -> None:
    """If a connection does not use TCP, its received bytes are not counted."""
    own_socket, other_socket = socket.socketpair()
    with own_socket, other_socket:
        other_socket.send(b"hello")
        assert 0 == _psycopg._received_bytes(own_socket.fileno())  # noqa: SLF001 - the unit under test


@pytest.mark.parametrize("system", SERVERS)
def test_bytes_of_a_single_value_are_bounded(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """A result of one row is refused if its only value exceeds the limit of bytes."""
    harness = harnesses(system, most_bytes=1_000_000)
    repeated = Query("SELECT repeat(:letter, CAST(:number AS SIGNED))", name="repeated")
    if system == "postgresql":
        repeated = Query("SELECT repeat(:letter, CAST(:number AS int))", name="repeated")
    assert 900_000 == len(harness.query(repeated, letter="x", number=900_000)[0][0])
    with pytest.raises(InvalidRequest, match="exceeds `most_rows` or `most_bytes`"):
        harness.query(repeated, letter="x", number=1_100_000)
    assert () == harness.query(LIST)


def test_bytes_of_a_few_rows_of_sqlite_are_bounded(harnesses: Callable[..., Harness]) -> None:
    """In SQLite, a result of two rows is refused if its values exceed the limit of bytes."""
    harness = harnesses("sqlite", most_bytes=1_000_000)
    harness.execute(INSERT, id=1, note="x" * 900_000)
    assert 900_000 == len(harness.query(LIST)[0].note)
    harness.execute(INSERT, id=2, note="x" * 200_000)
    with pytest.raises(InvalidRequest, match="exceeds `most_rows` or `most_bytes`"):
        harness.query(LIST)
    assert ((2,),) == harness.query(Query("SELECT count(id) FROM moorage_orders", name="count"))
