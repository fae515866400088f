"""Receipts stored under idempotency keys, in a store that outlives the process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    ConnectionFailed,
    ConnectorManager,
    Message,
    PublishReceipt,
    Service,
    TopicNotFound,
    VendorFailed,
)
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.messages.stored_results import (
    pack_receipt,
    pack_results,
    unpack_receipt,
    unpack_results,
)
from moorage.domain.state.packing import pack_values, unpack_values
from moorage.domain.values.result import Result
from moorage.testing import MemoryBroker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.adapters.messages.publisher_harness import Harness

RECEIPT = PublishReceipt(
    broker="kafka",
    topic="orders",
    at=datetime(2026, 1, 1, tzinfo=UTC),
    partition=3,
    offset=2**40,
    id="7",
    stream="ORDERS",
    is_duplicate=True,
)


@pytest.fixture
def harness(mode: str, memory_harness: Callable[..., Harness], tmp_path: Path) -> Harness:
    """Yield a publisher to the in-memory broker, with idempotency keys in a file."""
    harness = memory_harness(MemoryBroker(topics=["orders"]))
    service, path = Service("events", retry=None, circuit=None), tmp_path / "state.db"
    harness.manager = (
        ConnectorManager([service], state=SqliteStorage(path))
        if mode == "sync"
        else AsyncConnectorManager([service], state=AsyncSqliteStorage(path))
    )
    return harness


def test_repeat_of_a_key_gets_the_receipt(harness: Harness) -> None:
    """Publishing again with the same idempotency key returns the first receipt."""
    receipts = [
        harness.publish("orders", Message(b"1", id="7"), idempotency_key="order-1")
        for _ in range(2)
    ]
    assert receipts[0] == receipts[1]
    assert receipts[0].id == "7"


def test_repeat_of_a_key_gets_the_results_of_the_batch(harness: Harness) -> None:
    """A batch published again with the same idempotency key returns the first results."""
    batch = [Message(b"1"), Message(b"2")]
    results = [harness.publish_batch("orders", batch, idempotency_key="orders") for _ in range(2)]
    assert results[0] == results[1]
    assert [result.unwrap().offset for result in results[0]] == [0, 1]


def round_trip(value: object) -> Any:
    """Return a value after the store has encoded and decoded it."""
    return unpack_values(pack_values((value,)))[0]


def test_receipt_survives_its_storage() -> None:
    """A receipt has the same fields after it has been stored and loaded."""
    assert unpack_receipt(round_trip(pack_receipt(RECEIPT))) == RECEIPT


def test_errors_of_a_batch_survive_their_storage() -> None:
    """Stored batch results contain the text of moorage's errors, but only the class of others."""
    results = (
        Result(RECEIPT),
        Result[PublishReceipt](error=TopicNotFound("No such topic.")),
        Result[PublishReceipt](error=ConnectionFailed("Lost.", may_have_been_processed=False)),
        Result[PublishReceipt](error=OSError("password=hunter2")),
    )
    first, unknown_topic, unsent, foreign = unpack_results(round_trip(pack_results(results)))
    assert first == Result(RECEIPT)
    assert isinstance(unknown_topic.error, TopicNotFound)
    assert isinstance(unsent.error, ConnectionFailed)
    assert not unsent.error.may_have_been_processed
    assert isinstance(foreign.error, VendorFailed)
    assert "hunter2" not in str(foreign.error)
