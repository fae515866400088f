"""Operations on MongoDB: documents, aggregations, bulk writes, transactions, change streams."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, ObjectId

from moorage import (
    InvalidData,
    InvalidRequest,
    LocalFailure,
    OperationAttempt,
    Secret,
    TransactionConflict,
    VendorRejected,
)
from moorage.adapters.mongodb.connector_async import AsyncMongoConnector
from moorage.domain.connectors.mongodb_values import MongoOperators
from moorage.domain.connectors.mongodb_writes import (
    MongoBulkResult,
    MongoDelete,
    MongoInsert,
    MongoReplace,
    MongoUpdate,
    MongoUpdated,
)
from tests.adapters.mongodb.mongodb_harness import Harness

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.mongodb_servers import PrivateMongo

ORDERS = [{"_id": number, "total": number * 10, "status": "open"} for number in (1, 2, 3)]


def test_documents_are_written_and_read(harness: Harness) -> None:
    """Documents can be inserted, found, counted, changed, replaced and deleted."""
    assert (1, 2, 3) == harness.do("insert_many", "orders", ORDERS)
    assert ORDERS[0] == harness.do("find_one", "orders", {"_id": 1})
    assert harness.do("find_one", "orders", {"_id": 9}) is None
    rest = harness.do("find", "orders", {}, fields=["total"], sort={"_id": -1}, limit=2, skip=1)
    assert ({"_id": 2, "total": 20}, {"_id": 1, "total": 10}) == rest
    assert {"_id": 3, "total": 30} == harness.do(
        "find_one", "orders", {}, fields=["total"], sort={"total": -1}
    )
    expensive = {"total": MongoOperators({"$gte": 20})}
    assert 2 == harness.do("count", "orders", expensive)
    paid_change = {"$set": {"status": "paid"}}
    assert MongoUpdated(matched=1, modified=1) == harness.do(
        "update_one", "orders", {"_id": 1}, paid_change
    )
    assert MongoUpdated(matched=2, modified=2) == harness.do(
        "update_many", "orders", expensive, paid_change
    )
    replaced = harness.do("replace_one", "orders", {"_id": 7}, {"total": 70}, upsert=True)
    assert MongoUpdated(matched=0, modified=0, upserted_id=7) == replaced
    assert 1 == harness.do("delete_one", "orders", {"status": "paid"})
    assert 3 == harness.do("delete_many", "orders", {})


def test_a_document_gets_its_id_with_the_operation(harness: Harness) -> None:
    """All attempts of an insert use the same document id; stored values keep their types."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    operation = harness.connector.insert_one("orders", {"at": now, "total": Decimal128("1.10")})
    identity = harness.perform(operation)
    assert isinstance(identity, ObjectId)
    expected = {"_id": identity, "at": now, "total": Decimal128("1.10")}
    assert expected == harness.do("find_one", "orders", {"_id": identity})
    with pytest.raises(VendorRejected, match="same unique value") as excinfo:
        harness.perform(operation)
    assert "11000" == excinfo.value.vendor_code


def test_an_aggregation_reads_or_writes(harness: Harness) -> None:
    """An aggregation is safe to repeat unless one of its stages writes."""
    harness.do("insert_many", "orders", ORDERS)
    total = {"$group": {"_id": "$status", "total": MongoOperators({"$sum": "$total"})}}
    assert ({"_id": "open", "total": 60},) == harness.do("aggregate", "orders", [total])
    copy = harness.connector.aggregate("orders", [{"$match": {"_id": 1}}, {"$out": "copies"}])
    assert (False, False) == (copy.safe, copy.repeatable)
    harness.perform(copy)
    assert 1 == harness.do("count", "copies", {})


def test_a_bulk_write_has_several_steps(harness: Harness) -> None:
    """A bulk write can insert, change, replace and delete documents in one operation."""
    raise_total = {"$inc": {"total": 1}}
    steps = [
        MongoInsert({"_id": 1, "total": 1}),
        MongoInsert({"_id": 2, "total": 2}),
        MongoUpdate({"_id": 1}, raise_total),
        MongoUpdate({}, raise_total, many=True),
        MongoReplace({"_id": 3}, {"total": 3}, upsert=True),
        MongoDelete({"_id": 2}),
        MongoDelete({"_id": 3}, many=True),
    ]
    expected = MongoBulkResult(inserted=2, matched=3, modified=3, deleted=2, upserted_ids={4: 3})
    assert expected == harness.do("bulk_write", "orders", steps)
    assert ({"_id": 1, "total": 3},) == harness.do("find", "orders", {})


def test_error_of_failed_bulk_write_says_how_many_documents_were_changed_before(
    harness: Harness,
) -> None:
    """The error of a failed bulk write states how many documents were changed before it failed."""
    document = MongoInsert({"_id": 1})
    with pytest.raises(VendorRejected, match=r"1 document was changed before") as excinfo:
        harness.do("bulk_write", "orders", [document, document])
    assert "11000" == excinfo.value.vendor_code
    with pytest.raises(VendorRejected, match=r"2 documents were changed before"):
        harness.do("insert_many", "orders", [{"_id": 2}, {"_id": 3}, {"_id": 2}])


@pytest.mark.parametrize("method, field", [("insert_many", "documents"), ("bulk_write", "steps")])
def test_empty_bulk_operations_are_refused(harness: Harness, method: str, field: str) -> None:
    """An insert_many without documents or a bulk_write without steps is refused."""
    with pytest.raises(InvalidData) as excinfo:
        getattr(harness.connector, method)("orders", [])
    assert field == excinfo.value.field


def test_a_transaction_happens_as_a_whole(harness: Harness) -> None:
    """Operations in a transaction are committed together, or undone if one raises."""
    harness.do("insert_one", "orders", {"_id": 0})
    insert = harness.connector.insert_one("orders", {"_id": 1})
    count = harness.connector.count("orders", {})
    assert [1, 2] == harness.transact(insert, count)
    with pytest.raises(KeyError, match="mine"):
        harness.transact(harness.connector.insert_one("orders", {"_id": 2}), fails=True)
    with pytest.raises(VendorRejected, match="same unique value"):
        harness.transact(harness.connector.insert_one("orders", {"_id": 3}), insert)
    assert 2 == harness.perform(count)


def test_a_conflict_undoes_a_transaction(harness: Harness) -> None:
    """If a transaction conflicts with another transaction, it is rolled back and may be retried."""
    harness.do("insert_one", "orders", {"_id": 1, "total": 1})
    raise_total = harness.connector.update_one("orders", {"_id": 1}, {"$inc": {"total": 1}})
    operation = harness.connector.find("orders", {})
    conflicting_update = harness.connector.update_one("orders", {"_id": 1}, {"$inc": {"total": 10}})

    def run_transaction(transaction: Any) -> None:
        transaction.perform(operation)
        harness.perform(conflicting_update)
        transaction.perform(raise_total)

    async def work_async(transaction: Any) -> None:
        await transaction.perform(operation)
        await harness.manager.perform("erp", conflicting_update)
        await transaction.perform(raise_total)

    with pytest.raises(TransactionConflict):
        harness.do(
            "transaction", work_async if harness.is_async else run_transaction, name="orders.raise"
        )
    assert 11 == harness.do("find_one", "orders", {"_id": 1})["total"]


def test_transaction_refuses_other_connectors_operations(
    harness: Harness, harnesses: Callable[..., Harness], server: PrivateMongo
) -> None:
    """A transaction refuses operations of other connectors, and all operations after its end."""
    other = harnesses(server.url()).connector.count("orders", {})
    for operation in (other, harness.connector.watch()):
        with pytest.raises(InvalidData) as excinfo:
            harness.transact(operation)
        assert "operation" == excinfo.value.field
    transactions: list[Any] = []

    async def keep(transaction: Any) -> None:
        transactions.append(transaction)

    harness.do("transaction", keep if harness.is_async else transactions.append, name="orders.keep")
    with pytest.raises(InvalidData, match="has ended"):
        harness.run(transactions[0].perform(harness.connector.count("orders", {})))


def changes_of(harness: Harness, stream: Any, number: int) -> list[Any]:
    """Return the next changes of a change stream, and close it."""

    async def read() -> list[Any]:
        async with stream:
            return [await anext(stream) for _ in range(number)]

    if harness.is_async:
        return harness.run(read())  # type: ignore[no-any-return]  # the coroutine's
    with stream:
        return [next(stream) for _ in range(number)]


def test_change_stream_reports_changes_and_continues_after_a_token(harness: Harness) -> None:
    """A change stream reports changes, and a new stream can continue after its resume token."""
    harness.do("insert_one", "orders", {"_id": 0})
    stream = harness.do("watch", "orders", documents=True, wait=0.05)
    assert harness.run(stream.next_in_time()) is None
    harness.do("insert_one", "orders", {"_id": 1, "total": 1, "note": "x"})
    change = {"$set": {"total": 2}, "$unset": {"note": ""}}
    harness.do("update_one", "orders", {"_id": 1}, change)
    harness.do("delete_one", "orders", {"_id": 1})
    inserted, updated, deleted = changes_of(harness, stream, 3)
    assert ("insert", "orders", 1) == (inserted.kind, inserted.collection, inserted.id)
    assert {"_id": 1, "total": 1, "note": "x"} == inserted.document
    assert (datetime.now(UTC) - inserted.at).total_seconds() < 120
    assert ("update", {"total": 2}, ("note",)) == (updated.kind, updated.fields, updated.removed)
    assert ("delete", None) == (deleted.kind, deleted.document)

    rest = harness.do("watch", after=inserted.token, wait=0.05)
    assert ["update", "delete"] == [item.kind for item in changes_of(harness, rest, 2)]
    assert deleted.token == rest.token


def test_a_stream_ends_with_its_collection(harness: Harness, server: PrivateMongo) -> None:
    """A change stream ends after its collection is dropped."""
    harness.do("insert_one", "orders", {"_id": 0})
    stream = harness.do("watch", "orders", stages=[{"$match": {"operationType": "invalidate"}}])
    with server.client() as client:
        client[harness.connector.find("orders", {}).target.namespace].drop_collection("orders")

    async def read() -> list[str]:
        return [change.kind async for change in stream]

    kinds = harness.run(read()) if harness.is_async else [change.kind for change in stream]
    assert ["invalidate"] == kinds
    harness.run(stream.close())


def test_iteration_waits_for_a_change(harness: Harness, server: PrivateMongo) -> None:
    """Iterating a change stream goes on even if the server replies without a change."""
    harness.do("insert_one", "orders", {"_id": 0})
    stream = harness.do("watch", "orders", wait=0.01)
    answers: list[Any] = []
    original = stream.next_in_time

    def next_in_time() -> Any:
        if answers:
            with server.client() as client:
                client[harness.connector.count("orders", {}).target.namespace].orders.insert_one({})
        answers.append(None)
        return original()

    stream.next_in_time = next_in_time
    assert ["insert"] == [change.kind for change in changes_of(harness, stream, 1)]
    assert len(answers) > 1


def test_a_wrong_token_is_refused(harness: Harness) -> None:
    """A change stream that is to continue after an invalid resume token is refused."""
    with pytest.raises(VendorRejected):
        harness.do("watch", "orders", after="no-token")


def test_repeating_idempotency_key_returns_stored_result(
    harnesses: Callable[..., Harness], server: PrivateMongo
) -> None:
    """A repeated idempotency key returns the stored result, whose values keep MongoDB's types."""
    harness = harnesses(server.url(database=Harness.new_name()))
    connector = harness.connector
    insert = connector.insert_one("orders", {"total": 1})
    results = [harness.perform(insert, idempotency_key="i") for _ in range(2)]
    assert isinstance(results[0], ObjectId)
    assert results[0] == results[1]
    operation = connector.insert_many("orders", [{"_id": 1}])
    assert [(1,), (1,)] == [harness.perform(operation, idempotency_key="m") for _ in range(2)]
    update = connector.update_one("orders", {"_id": 1}, {"$inc": {"total": 1}})
    once = MongoUpdated(matched=1, modified=1)
    assert [once, once] == [harness.perform(update, idempotency_key="u") for _ in range(2)]
    upsert = MongoUpdate({"_id": 5}, {"$inc": {"total": 1}}, upsert=True)
    bulk = connector.bulk_write("orders", [upsert])
    first, second = [harness.perform(bulk, idempotency_key="b") for _ in range(2)]
    assert first == second
    assert {0: 5} == second.upserted_ids
    assert {"_id": 1, "total": 1} == harness.do("find_one", "orders", {"_id": 1})
    transaction = harness.connector.transaction(_empty_work(harness), name="nothing")
    assert [7, 7] == [harness.perform(transaction, idempotency_key="t") for _ in range(2)]


def _empty_work(harness: Harness) -> Any:
    async def work_async(_: Any) -> int:
        return 7

    return work_async if harness.is_async else lambda _: 7


def test_reads_are_retried_and_writes_are_not(harness: Harness) -> None:
    """Reads are retried after a failure.

    Writes are retried only if they are marked with `repeatable=True`.
    """
    connector = harness.connector
    assert connector.find("orders", {}).repeatable
    writes = [
        connector.insert_one("orders", {}),
        connector.update_one("orders", {}, {"$set": {"a": 1}}),
        connector.delete_one("orders", {}),
        connector.transaction(_empty_work(harness), name="nothing"),
    ]
    assert [False] * 4 == [write.repeatable or write.safe for write in writes]
    assert connector.delete_one("orders", {}, repeatable=True).repeatable


def test_telemetry_shows_collection_and_number_of_documents(
    harness: Harness, server: PrivateMongo
) -> None:
    """Telemetry shows the collection and the number of documents, but no values."""
    operation = harness.connector.insert_many("orders", [{"_id": "secret"}] * 2)
    target = operation.target
    assert ("mongodb", "insert_many orders", "insert_many") == (
        target.system, target.summary, target.operation
    )  # fmt: skip
    assert ("orders", 2, server.port) == (target.collection, target.batch_size, target.port)
    assert "orders.insert_many" == operation.name
    assert "secret" not in repr(operation) + repr(target)
    assert "orders.import" == harness.connector.find("orders", {}, name="orders.import").name


def test_values_that_the_driver_cannot_send_are_named(harness: Harness) -> None:
    """A value that cannot be encoded as BSON is refused, and nothing is sent."""
    for value in ({1, 2}, 2**70, b"x" * 17_000_000):
        with pytest.raises(InvalidRequest, match="cannot send a value"):
            harness.do("insert_one", "orders", {"value": value})


def test_names_that_the_server_refuses(harness: Harness) -> None:
    """An unknown query operator raises InvalidRequest."""
    with pytest.raises(InvalidRequest, match="does not accept"):
        harness.do("find", "orders", {"total": MongoOperators({"$greater": 1})})


def test_health_finds_the_version_and_closed_connector_refuses_calls(harness: Harness) -> None:
    """A health check finds the server's version; once closed, a connector refuses calls."""
    before: Any = harness.connector.versions
    assert before.server is None
    assert harness.run(harness.connector.health(20.0)).is_healthy
    assert harness.connector.versions.server.startswith("MongoDB 8")
    assert harness.connector.versions.library.startswith("pymongo 4")
    harness.run(harness.connector.close())
    with pytest.raises(LocalFailure, match="closed"):
        harness.do("count", "orders", {})


def test_with_block_closes_the_connector(mode: str, server: PrivateMongo) -> None:
    """A connector is closed at the end of its `with` block."""
    harness = Harness(mode, server.url())

    async def use_connector() -> None:
        async with harness.connector:
            await harness.connector.open()

    if harness.is_async:
        harness.run(use_connector())
    else:
        with harness.connector as connector:
            connector.open()
    assert not harness.run(harness.connector.health()).is_healthy
    harness.close()


def test_a_connector_belongs_to_an_event_loop(server: PrivateMongo) -> None:
    """An asynchronous MongoDB connector refuses to be used in a second event loop."""
    connector = AsyncMongoConnector(server.url())
    operation = connector.count("orders", {})

    async def use_connector() -> None:
        await operation.perform(OperationAttempt(1, 20.0))

    async def use_and_close() -> None:
        with pytest.raises(LocalFailure, match="another event loop"):
            await use_connector()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(use_connector())
    asyncio.run(use_and_close())
    loop.run_until_complete(connector.close())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_wrong_settings_are_refused(
    harnesses: Callable[..., Harness], server: PrivateMongo
) -> None:
    """A pool of zero connections is refused, and the `repr` does not show the password."""
    with pytest.raises(InvalidData) as excinfo:
        harnesses(server.url(), connections=0)
    assert "connections" == excinfo.value.field
    assert "hunter" not in repr(
        harnesses(Secret(server.url()), password="hunter22", user="u").connector
    )
