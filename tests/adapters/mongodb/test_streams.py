"""Streaming documents from MongoDB with bounded memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, InvalidData, InvalidRequest, OperationAttempt
from moorage.domain.connectors.mongodb_values import MongoOperators
from moorage.testing import TcpProxy
from tests.adapters.mongodb.mongodb_lab import Lab
from tests.support.mongodb_servers import PrivateMongo

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = [{"_id": number, "total": number * 10} for number in range(25)]


def read(lab: Lab, *arguments: Any, most: int | None = None, **options: Any) -> list[Any]:
    """Return a stream's documents; if `most` is given, stop the stream after `most` documents."""
    operation = lab.connector.stream("orders", *arguments, **options)
    documents: list[Any] = []

    def read_sync() -> None:
        with lab.manager.perform("erp", operation) as stream:
            for document in stream:
                documents.append(document)
                if len(documents) == most:
                    return

    async def read_async() -> None:
        async with await lab.manager.perform("erp", operation) as stream:
            async for document in stream:
                documents.append(document)
                if len(documents) == most:
                    return

    lab.run(read_async()) if lab.is_async else read_sync()
    return documents


@pytest.mark.parametrize("batch", [1, 7, 25, 1000])
def test_all_documents_arrive_in_order(lab: Lab, batch: int) -> None:
    """A stream yields every document once and in order, whatever its batch size is."""
    lab.do("insert_many", "orders", ORDERS)
    assert ORDERS == read(lab, {}, sort={"_id": 1}, batch=batch)


def test_a_stream_takes_what_a_search_takes(lab: Lab) -> None:
    """A stream supports the same conditions, fields, order and limits as a search."""
    lab.do("insert_many", "orders", ORDERS)
    condition = {"total": MongoOperators({"$gte": 100})}
    expected = [{"_id": 23}, {"_id": 22}, {"_id": 21}]
    assert expected == read(
        lab, condition, fields=["_id"], sort={"_id": -1}, skip=1, limit=3, batch=2
    )
    assert [] == read(lab, {"_id": 99})


def test_opening_stream_reads_only_first_batch(lab: Lab) -> None:
    """Opening a stream reads only the first batch, and closing it discards that batch."""
    lab.do("insert_many", "orders", ORDERS)
    operation = lab.connector.stream("orders", {}, sort={"_id": 1}, batch=5)
    stream = lab.perform(operation)
    assert 5 == len(stream._documents)  # noqa: SLF001 - what is in memory
    lab.run(stream.close())
    assert not stream._documents  # noqa: SLF001 - what is in memory


def test_leaving_a_stream_ends_it(lab: Lab) -> None:
    """Leaving a stream before its last document frees its connection."""
    lab.do("insert_many", "orders", ORDERS)
    assert ORDERS[:3] == read(lab, {}, sort={"_id": 1}, batch=2, most=3)
    assert 0 == lab.connector.statistics().active
    assert 25 == lab.do("count", "orders", {})


def test_a_refused_condition_is_typed(lab: Lab) -> None:
    """If the server refuses the stream's condition, opening the stream raises a typed error."""
    lab.do("insert_many", "orders", ORDERS)
    with pytest.raises(InvalidRequest):
        read(lab, {"total": MongoOperators({"$nonsense": 1})})


def test_wrong_sizes_are_refused(lab: Lab) -> None:
    """A batch size of zero documents is refused."""
    with pytest.raises(InvalidData, match="at least one document"):
        lab.connector.stream("orders", {}, batch=0)


def test_transaction_refuses_a_stream(lab: Lab) -> None:
    """A transaction refuses a stream, because the stream would outlive it."""
    with pytest.raises(InvalidData, match="cannot run in this transaction"):
        lab.transact(lab.connector.stream("orders", {}))


def test_a_lost_server_is_a_typed_error(labs: Callable[..., Lab]) -> None:
    """If the server stops between two batches, the stream raises a typed error."""
    with PrivateMongo() as private:
        lab = labs(private.url(database=Lab.new_name()))
        lab.do("insert_many", "orders", ORDERS)
        stream = lab.perform(lab.connector.stream("orders", {}, batch=5), timeout=2.0)
        private.kill()

        async def read_all_documents() -> None:
            async for _ in stream:
                pass

        with pytest.raises(ConnectionFailed) as excinfo:
            lab.run(read_all_documents()) if lab.is_async else list(stream)
        assert not excinfo.value.may_have_been_processed
        lab.run(stream.close())


def test_a_cancelled_opening_closes_its_cursor(server: PrivateMongo) -> None:
    """Cancelling the opening of a stream leaves no connection in use."""
    with TcpProxy("127.0.0.1", server.port) as proxy:
        lab = Lab("async", server.url(proxy.address[1], Lab.new_name()))
        lab.do("insert_many", "orders", ORDERS)
        proxy.withhold_responses()
        operation = lab.connector.stream("orders", {}, batch=5)

        async def cancel() -> None:
            task = asyncio.ensure_future(operation.perform(OperationAttempt(1, 60.0)))
            while not lab.connector.statistics().active:  # noqa: ASYNC110 - pymongo tells of no event
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        lab.run(cancel())
        proxy.restore()
        assert 0 == lab.connector.statistics().active
        assert 25 == lab.do("count", "orders", {})
        lab.close()
