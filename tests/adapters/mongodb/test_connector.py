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
from tests.adapters.mongodb.mongodb_lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.mongodb_servers import PrivateMongo

ORDERS = [{"_id": number, "total": number * 10, "status": "open"} for number in (1, 2, 3)]


def test_documents_are_written_and_read(lab: Lab) -> None:
    """Documents can be inserted, found, counted, changed, replaced and deleted."""
    assert (1, 2, 3) == lab.do("insert_many", "orders", ORDERS)
    assert ORDERS[0] == lab.do("find_one", "orders", {"_id": 1})
    assert lab.do("find_one", "orders", {"_id": 9}) is None
    rest = lab.do("find", "orders", {}, fields=["total"], sort={"_id": -1}, limit=2, skip=1)
    assert ({"_id": 2, "total": 20}, {"_id": 1, "total": 10}) == rest
    assert {"_id": 3, "total": 30} == lab.do(
        "find_one", "orders", {}, fields=["total"], sort={"total": -1}
    )
    expensive = {"total": MongoOperators({"$gte": 20})}
    assert 2 == lab.do("count", "orders", expensive)
    paid_change = {"$set": {"status": "paid"}}
    assert MongoUpdated(matched=1, modified=1) == lab.do(
        "update_one", "orders", {"_id": 1}, paid_change
    )
    assert MongoUpdated(matched=2, modified=2) == lab.do(
        "update_many", "orders", expensive, paid_change
    )
    replaced = lab.do("replace_one", "orders", {"_id": 7}, {"total": 70}, upsert=True)
    assert MongoUpdated(matched=0, modified=0, upserted_id=7) == replaced
    assert 1 == lab.do("delete_one", "orders", {"status": "paid"})
    assert 3 == lab.do("delete_many", "orders", {})


def test_a_document_gets_its_id_with_the_operation(lab: Lab) -> None:
    """All attempts of an insert use the same document id; stored values keep their types."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    operation = lab.connector.insert_one("orders", {"at": now, "total": Decimal128("1.10")})
    identity = lab.perform(operation)
    assert isinstance(identity, ObjectId)
    expected = {"_id": identity, "at": now, "total": Decimal128("1.10")}
    assert expected == lab.do("find_one", "orders", {"_id": identity})
    with pytest.raises(VendorRejected, match="same unique value") as excinfo:
        lab.perform(operation)
    assert "11000" == excinfo.value.vendor_code


def test_an_aggregation_reads_or_writes(lab: Lab) -> None:
    """An aggregation is safe to repeat unless one of its stages writes."""
    lab.do("insert_many", "orders", ORDERS)
    total = {"$group": {"_id": "$status", "total": MongoOperators({"$sum": "$total"})}}
    assert ({"_id": "open", "total": 60},) == lab.do("aggregate", "orders", [total])
    copy = lab.connector.aggregate("orders", [{"$match": {"_id": 1}}, {"$out": "copies"}])
    assert (False, False) == (copy.safe, copy.repeatable)
    lab.perform(copy)
    assert 1 == lab.do("count", "copies", {})


def test_a_bulk_write_has_several_steps(lab: Lab) -> None:
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
    assert expected == lab.do("bulk_write", "orders", steps)
    assert ({"_id": 1, "total": 3},) == lab.do("find", "orders", {})


def test_error_of_failed_bulk_write_says_how_many_documents_were_changed_before(lab: Lab) -> None:
    """The error of a failed bulk write states how many documents were changed before it failed."""
    document = MongoInsert({"_id": 1})
    with pytest.raises(VendorRejected, match=r"1 document was changed before") as excinfo:
        lab.do("bulk_write", "orders", [document, document])
    assert "11000" == excinfo.value.vendor_code
    with pytest.raises(VendorRejected, match=r"2 documents were changed before"):
        lab.do("insert_many", "orders", [{"_id": 2}, {"_id": 3}, {"_id": 2}])


@pytest.mark.parametrize("method, field", [("insert_many", "documents"), ("bulk_write", "steps")])
def test_empty_bulk_operations_are_refused(lab: Lab, method: str, field: str) -> None:
    """An insert_many without documents or a bulk_write without steps is refused."""
    with pytest.raises(InvalidData) as excinfo:
        getattr(lab.connector, method)("orders", [])
    assert field == excinfo.value.field


def test_a_transaction_happens_as_a_whole(lab: Lab) -> None:
    """Operations in a transaction are committed together, or undone if one raises."""
    lab.do("insert_one", "orders", {"_id": 0})
    insert = lab.connector.insert_one("orders", {"_id": 1})
    count = lab.connector.count("orders", {})
    assert [1, 2] == lab.transact(insert, count)
    with pytest.raises(KeyError, match="mine"):
        lab.transact(lab.connector.insert_one("orders", {"_id": 2}), fails=True)
    with pytest.raises(VendorRejected, match="same unique value"):
        lab.transact(lab.connector.insert_one("orders", {"_id": 3}), insert)
    assert 2 == lab.perform(count)


def test_a_conflict_undoes_a_transaction(lab: Lab) -> None:
    """If a transaction conflicts with another transaction, it is rolled back and may be retried."""
    lab.do("insert_one", "orders", {"_id": 1, "total": 1})
    raise_total = lab.connector.update_one("orders", {"_id": 1}, {"$inc": {"total": 1}})
    operation = lab.connector.find("orders", {})
    conflicting_update = lab.connector.update_one("orders", {"_id": 1}, {"$inc": {"total": 10}})

    def run_transaction(transaction: Any) -> None:
        transaction.perform(operation)
        lab.perform(conflicting_update)
        transaction.perform(raise_total)

    async def work_async(transaction: Any) -> None:
        await transaction.perform(operation)
        await lab.manager.perform("erp", conflicting_update)
        await transaction.perform(raise_total)

    with pytest.raises(TransactionConflict):
        lab.do("transaction", work_async if lab.is_async else run_transaction, name="orders.raise")
    assert 11 == lab.do("find_one", "orders", {"_id": 1})["total"]


def test_transaction_refuses_other_connectors_operations(
    lab: Lab, labs: Callable[..., Lab], server: PrivateMongo
) -> None:
    """A transaction refuses operations of other connectors, and all operations after its end."""
    other = labs(server.url()).connector.count("orders", {})
    for operation in (other, lab.connector.watch()):
        with pytest.raises(InvalidData) as excinfo:
            lab.transact(operation)
        assert "operation" == excinfo.value.field
    transactions: list[Any] = []

    async def keep(transaction: Any) -> None:
        transactions.append(transaction)

    lab.do("transaction", keep if lab.is_async else transactions.append, name="orders.keep")
    with pytest.raises(InvalidData, match="has ended"):
        lab.run(transactions[0].perform(lab.connector.count("orders", {})))


def changes_of(lab: Lab, stream: Any, number: int) -> list[Any]:
    """Return the next changes of a change stream, and close it."""

    async def read() -> list[Any]:
        async with stream:
            return [await anext(stream) for _ in range(number)]

    if lab.is_async:
        return lab.run(read())  # type: ignore[no-any-return]  # the coroutine's
    with stream:
        return [next(stream) for _ in range(number)]


def test_change_stream_reports_changes_and_continues_after_a_token(lab: Lab) -> None:
    """A change stream reports changes, and a new stream can continue after its resume token."""
    lab.do("insert_one", "orders", {"_id": 0})
    stream = lab.do("watch", "orders", documents=True, wait=0.05)
    assert lab.run(stream.next_in_time()) is None
    lab.do("insert_one", "orders", {"_id": 1, "total": 1, "note": "x"})
    change = {"$set": {"total": 2}, "$unset": {"note": ""}}
    lab.do("update_one", "orders", {"_id": 1}, change)
    lab.do("delete_one", "orders", {"_id": 1})
    inserted, updated, deleted = changes_of(lab, stream, 3)
    assert ("insert", "orders", 1) == (inserted.kind, inserted.collection, inserted.id)
    assert {"_id": 1, "total": 1, "note": "x"} == inserted.document
    assert (datetime.now(UTC) - inserted.at).total_seconds() < 120
    assert ("update", {"total": 2}, ("note",)) == (updated.kind, updated.fields, updated.removed)
    assert ("delete", None) == (deleted.kind, deleted.document)

    rest = lab.do("watch", after=inserted.token, wait=0.05)
    assert ["update", "delete"] == [item.kind for item in changes_of(lab, rest, 2)]
    assert deleted.token == rest.token


def test_a_stream_ends_with_its_collection(lab: Lab, server: PrivateMongo) -> None:
    """A change stream ends after its collection is dropped."""
    lab.do("insert_one", "orders", {"_id": 0})
    stream = lab.do("watch", "orders", stages=[{"$match": {"operationType": "invalidate"}}])
    with server.client() as client:
        client[lab.connector.find("orders", {}).target.namespace].drop_collection("orders")

    async def read() -> list[str]:
        return [change.kind async for change in stream]

    kinds = lab.run(read()) if lab.is_async else [change.kind for change in stream]
    assert ["invalidate"] == kinds
    lab.run(stream.close())


def test_iteration_waits_for_a_change(lab: Lab, server: PrivateMongo) -> None:
    """Iterating a change stream goes on even if the server replies without a change."""
    lab.do("insert_one", "orders", {"_id": 0})
    stream = lab.do("watch", "orders", wait=0.01)
    answers: list[Any] = []
    original = stream.next_in_time

    def next_in_time() -> Any:
        if answers:
            with server.client() as client:
                client[lab.connector.count("orders", {}).target.namespace].orders.insert_one({})
        answers.append(None)
        return original()

    stream.next_in_time = next_in_time
    assert ["insert"] == [change.kind for change in changes_of(lab, stream, 1)]
    assert len(answers) > 1


def test_a_wrong_token_is_refused(lab: Lab) -> None:
    """A change stream that is to continue after an invalid resume token is refused."""
    with pytest.raises(VendorRejected):
        lab.do("watch", "orders", after="no-token")


def test_repeating_idempotency_key_returns_stored_result(
    labs: Callable[..., Lab], server: PrivateMongo
) -> None:
    """A repeated idempotency key returns the stored result, whose values keep MongoDB's types."""
    lab = labs(server.url(database=Lab.new_name()))
    connector = lab.connector
    insert = connector.insert_one("orders", {"total": 1})
    results = [lab.perform(insert, idempotency_key="i") for _ in range(2)]
    assert isinstance(results[0], ObjectId)
    assert results[0] == results[1]
    operation = connector.insert_many("orders", [{"_id": 1}])
    assert [(1,), (1,)] == [lab.perform(operation, idempotency_key="m") for _ in range(2)]
    update = connector.update_one("orders", {"_id": 1}, {"$inc": {"total": 1}})
    once = MongoUpdated(matched=1, modified=1)
    assert [once, once] == [lab.perform(update, idempotency_key="u") for _ in range(2)]
    upsert = MongoUpdate({"_id": 5}, {"$inc": {"total": 1}}, upsert=True)
    bulk = connector.bulk_write("orders", [upsert])
    first, second = [lab.perform(bulk, idempotency_key="b") for _ in range(2)]
    assert first == second
    assert {0: 5} == second.upserted_ids
    assert {"_id": 1, "total": 1} == lab.do("find_one", "orders", {"_id": 1})
    transaction = lab.connector.transaction(_empty_work(lab), name="nothing")
    assert [7, 7] == [lab.perform(transaction, idempotency_key="t") for _ in range(2)]


def _empty_work(lab: Lab) -> Any:
    async def work_async(_: Any) -> int:
        return 7

    return work_async if lab.is_async else lambda _: 7


def test_reads_are_retried_and_writes_are_not(lab: Lab) -> None:
    """Reads are retried after a failure.

    Writes are retried only if they are marked with `repeatable=True`.
    """
    connector = lab.connector
    assert connector.find("orders", {}).repeatable
    writes = [
        connector.insert_one("orders", {}),
        connector.update_one("orders", {}, {"$set": {"a": 1}}),
        connector.delete_one("orders", {}),
        connector.transaction(_empty_work(lab), name="nothing"),
    ]
    assert [False] * 4 == [write.repeatable or write.safe for write in writes]
    assert connector.delete_one("orders", {}, repeatable=True).repeatable


def test_telemetry_shows_collection_and_number_of_documents(lab: Lab, server: PrivateMongo) -> None:
    """Telemetry shows the collection and the number of documents, but no values."""
    operation = lab.connector.insert_many("orders", [{"_id": "secret"}] * 2)
    target = operation.target
    assert ("mongodb", "insert_many orders", "insert_many") == (
        target.system, target.summary, target.operation
    )  # fmt: skip
    assert ("orders", 2, server.port) == (target.collection, target.batch_size, target.port)
    assert "orders.insert_many" == operation.name
    assert "secret" not in repr(operation) + repr(target)
    assert "orders.import" == lab.connector.find("orders", {}, name="orders.import").name


def test_values_that_the_driver_cannot_send_are_named(lab: Lab) -> None:
    """A value that cannot be encoded as BSON is refused, and nothing is sent."""
    for value in ({1, 2}, 2**70, b"x" * 17_000_000):
        with pytest.raises(InvalidRequest, match="cannot send a value"):
            lab.do("insert_one", "orders", {"value": value})


def test_names_that_the_server_refuses(lab: Lab) -> None:
    """An unknown query operator raises InvalidRequest."""
    with pytest.raises(InvalidRequest, match="does not accept"):
        lab.do("find", "orders", {"total": MongoOperators({"$greater": 1})})


def test_health_finds_the_version_and_closed_connector_refuses_calls(lab: Lab) -> None:
    """A health check finds the server's version; once closed, a connector refuses calls."""
    before: Any = lab.connector.versions
    assert before.server is None
    assert lab.run(lab.connector.health(20.0)).is_healthy
    assert lab.connector.versions.server.startswith("MongoDB 8")
    assert lab.connector.versions.library.startswith("pymongo 4")
    lab.run(lab.connector.close())
    with pytest.raises(LocalFailure, match="closed"):
        lab.do("count", "orders", {})


def test_with_block_closes_the_connector(mode: str, server: PrivateMongo) -> None:
    """A connector is closed at the end of its `with` block."""
    lab = Lab(mode, server.url())

    async def use_connector() -> None:
        async with lab.connector:
            await lab.connector.open()

    if lab.is_async:
        lab.run(use_connector())
    else:
        with lab.connector as connector:
            connector.open()
    assert not lab.run(lab.connector.health()).is_healthy
    lab.close()


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


def test_wrong_settings_are_refused(labs: Callable[..., Lab], server: PrivateMongo) -> None:
    """A pool of zero connections is refused, and the `repr` does not show the password."""
    with pytest.raises(InvalidData) as excinfo:
        labs(server.url(), connections=0)
    assert "connections" == excinfo.value.field
    assert "hunter" not in repr(labs(Secret(server.url()), password="hunter22", user="u").connector)
