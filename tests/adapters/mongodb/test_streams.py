"""Streaming documents from MongoDB with bounded memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, InvalidData, InvalidRequest, OperationAttempt
from moorage.domain.connectors.mongodb_values import MongoOperators
from moorage.testing import TcpProxy
from tests.adapters.mongodb.mongodb_harness import Harness
from tests.support.mongodb_servers import PrivateMongo

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = [{"_id": number, "total": number * 10} for number in range(25)]


def read(harness: Harness, *arguments: Any, most: int | None = None, **options: Any) -> list[Any]:
    """Return a stream's documents; if `most` is given, stop the stream after `most` documents."""
    operation = harness.connector.stream("orders", *arguments, **options)
    documents: list[Any] = []

    def read_sync() -> None:
        with harness.manager.perform("erp", operation) as stream:
            for document in stream:
                documents.append(document)
                if len(documents) == most:
                    return

    async def read_async() -> None:
        async with await harness.manager.perform("erp", operation) as stream:
            async for document in stream:
                documents.append(document)
                if len(documents) == most:
                    return

    harness.run(read_async()) if harness.is_async else read_sync()
    return documents


@pytest.mark.parametrize("batch", [1, 7, 25, 1000])
def test_all_documents_arrive_in_order(harness: Harness, batch: int) -> None:
    """A stream yields every document once and in order, whatever its batch size is."""
    harness.do("insert_many", "orders", ORDERS)
    assert ORDERS == read(harness, {}, sort={"_id": 1}, batch=batch)


def test_a_stream_takes_what_a_search_takes(harness: Harness) -> None:
    """A stream supports the same conditions, fields, order and limits as a search."""
    harness.do("insert_many", "orders", ORDERS)
    condition = {"total": MongoOperators({"$gte": 100})}
    expected = [{"_id": 23}, {"_id": 22}, {"_id": 21}]
    assert expected == read(
        harness, condition, fields=["_id"], sort={"_id": -1}, skip=1, limit=3, batch=2
    )
    assert [] == read(harness, {"_id": 99})


def test_opening_stream_reads_only_first_batch(harness: Harness) -> None:
    """Opening a stream reads only the first batch, and closing it discards that batch."""
    harness.do("insert_many", "orders", ORDERS)
    operation = harness.connector.stream("orders", {}, sort={"_id": 1}, batch=5)
    stream = harness.perform(operation)
    assert 5 == len(stream._documents)  # noqa: SLF001 - what is in memory
    harness.run(stream.close())
    assert not stream._documents  # noqa: SLF001 - what is in memory


def test_leaving_a_stream_ends_it(harness: Harness) -> None:
    """Leaving a stream before its last document frees its connection."""
    harness.do("insert_many", "orders", ORDERS)
    assert ORDERS[:3] == read(harness, {}, sort={"_id": 1}, batch=2, most=3)
    assert 0 == harness.connector.statistics().active
    assert 25 == harness.do("count", "orders", {})


def test_a_refused_condition_is_typed(harness: Harness) -> None:
    """If the server refuses the stream's condition, opening the stream raises a typed error."""
    harness.do("insert_many", "orders", ORDERS)
    with pytest.raises(InvalidRequest):
        read(harness, {"total": MongoOperators({"$nonsense": 1})})


def test_wrong_sizes_are_refused(harness: Harness) -> None:
    """A batch size of zero documents is refused."""
    with pytest.raises(InvalidData, match="at least one document"):
        harness.connector.stream("orders", {}, batch=0)


def test_transaction_refuses_a_stream(harness: Harness) -> None:
    """A transaction refuses a stream, because the stream would outlive it."""
    with pytest.raises(InvalidData, match="cannot run in this transaction"):
        harness.transact(harness.connector.stream("orders", {}))


def test_a_lost_server_is_a_typed_error(harnesses: Callable[..., Harness]) -> None:
    """If the server stops between two batches, the stream raises a typed error."""
    with PrivateMongo() as private:
        harness = harnesses(private.url(database=Harness.new_name()))
        harness.do("insert_many", "orders", ORDERS)
        stream = harness.perform(harness.connector.stream("orders", {}, batch=5), timeout=2.0)
        private.kill()

        async def read_all_documents() -> None:
            async for _ in stream:
                pass

        with pytest.raises(ConnectionFailed) as excinfo:
            harness.run(read_all_documents()) if harness.is_async else list(stream)
        assert not excinfo.value.may_have_been_processed
        harness.run(stream.close())


def test_a_cancelled_opening_closes_its_cursor(server: PrivateMongo) -> None:
    """Cancelling the opening of a stream leaves no connection in use."""
    with TcpProxy("127.0.0.1", server.port) as proxy:
        harness = Harness("async", server.url(proxy.address[1], Harness.new_name()))
        harness.do("insert_many", "orders", ORDERS)
        proxy.withhold_responses()
        operation = harness.connector.stream("orders", {}, batch=5)

        async def cancel() -> None:
            task = asyncio.ensure_future(operation.perform(OperationAttempt(1, 60.0)))
            while not harness.connector.statistics().active:  # noqa: ASYNC110 - pymongo tells of no event
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        harness.run(cancel())
        proxy.restore()
        assert 0 == harness.connector.statistics().active
        assert 25 == harness.do("count", "orders", {})
        harness.close()
