"""Objects with connections cannot be copied or pickled; values can."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import (
    AsyncConnectorManager,
    AsyncLinkPool,
    Bulkhead,
    ConnectorManager,
    Credentials,
    InvalidData,
    LinkPool,
    Outbox,
    PoolConfig,
    RetryHandler,
    Secret,
    Service,
    WebhookInbox,
)
from moorage.adapters.audit.sqlite import SqliteAudit
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import SqliteCredentialProvider
from moorage.adapters.entries.memory import MemoryOutbox
from moorage.adapters.entries.sqlite import SqliteInbox, SqliteOutbox
from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.adapters.logs.sqlite import SqliteIntegrationLogger
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.adapters.metrics.sqlite import SqliteMetrics
from moorage.adapters.mongodb.connector_async import AsyncMongoConnector
from moorage.adapters.mongodb.connector_sync import MongoConnector
from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
from moorage.adapters.sql.statements import Command, Query
from moorage.adapters.state.leasing_sync import LeasingStorage
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.adapters.websocket.connector import AsyncWebSocketConnector, WebSocketConnector
from moorage.hub.audit import AuditTrail
from moorage.wiring.store_urls import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "token-4711-very-secret"
READ = Query("SELECT :x", name="read")
MAKERS: dict[str, Callable[[], Any]] = {
    "manager": lambda: ConnectorManager([Service("c")]),
    "async manager": lambda: AsyncConnectorManager([Service("c")]),
    "retries": RetryHandler,
    "bulkhead": lambda: Bulkhead(3),
    "pool": lambda: LinkPool(lambda _: pytest.fail("never opened"), PoolConfig()),
    "async pool": lambda: AsyncLinkPool(lambda _: pytest.fail("never opened"), PoolConfig()),
    "sql": lambda: SqlConnector("sqlite://"),
    "async sql": lambda: AsyncSqlConnector("sqlite://"),
    "mongodb": lambda: MongoConnector(f"mongodb://erp:{SECRET}@localhost/erp"),
    "async mongodb": lambda: AsyncMongoConnector(f"mongodb://erp:{SECRET}@localhost/erp"),
    "grpc": lambda: GrpcConnector("localhost:1", credentials=Credentials.bearer(SECRET)),
    "async grpc": lambda: AsyncGrpcConnector("localhost:1"),
    "websocket": lambda: WebSocketConnector("ws://localhost/"),
    "async websocket": lambda: AsyncWebSocketConnector("ws://localhost/"),
    "publisher": lambda: RabbitMq(url=f"amqp://erp:{SECRET}@localhost/").publisher("events"),
    "async publisher": lambda: RabbitMq(url="amqp://localhost/").async_publisher("events"),
}


def copies() -> dict[str, Callable[[Any], object]]:
    """Return the functions that copy or pickle an object."""
    return {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickle.dumps}


def check_refused(original: Any) -> None:
    """Check that an object cannot be copied or pickled, and that the error names its class."""
    for duplicate in copies().values():
        with pytest.raises(InvalidData, match=f"^{type(original).__name__} objects cannot be"):
            duplicate(original)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_owns_connections_is_not_copied(make: Callable[[], Any]) -> None:
    """Managers, retry handlers, bulkheads, pools and connectors cannot be copied or pickled."""
    check_refused(make())


def test_hub_and_its_connectors_are_not_copied() -> None:
    """A hub and its registry of connectors can be neither copied nor pickled."""
    with moorage.open({"connectors": {"stock": {"kind": "sql", "url": "sqlite://"}}}) as hub:
        for original in (hub, hub.connectors, hub.manager, hub.connectors.get("stock", object)):
            check_refused(original)


def test_stores_and_parts_of_a_hub_are_not_copied(tmp_path: Path) -> None:
    """Stores, outboxes, inboxes, logs and operations of contracts cannot be copied or pickled."""
    file = tmp_path / "moorage.db"
    state, entries = SqliteStorage(file), SqliteOutbox(file)
    with moorage.open({}, state=state) as hub:
        originals = (
            *(hub.payments(), hub.storage("acme"), hub.steps),
            *(state, entries, SqliteInbox(file), SqliteIntegrationLogger(file)),
            *(MemoryStorage(), AsyncMemoryStorage(), MemoryOutbox(), MemoryIntegrationLogger()),
            *(SqliteMetrics(file), SqliteCredentialProvider(file, AesGcmCipher(generate_keys()))),
            *(Outbox(entries), WebhookInbox(hub, SqliteInbox(file))),
            AuditTrail(SqliteAudit(file)),
            LeasingStorage(
                open_storage("redis://localhost/0"), tmp_path / "broker.sock", services=["vat"]
            ),
        )
        for original in originals:
            check_refused(original)


def test_used_connector_is_not_copied_and_still_works() -> None:
    """After its first use, a connector still cannot be copied; its operations cannot, either."""
    with SqlConnector("sqlite://", name="c") as connector:
        manager = ConnectorManager([Service("c")])
        assert ((1,),) == manager.perform("c", connector.query(READ, x=1))
        check_refused(connector)
        check_refused(manager)
        for duplicate in (copy.deepcopy, pickle.dumps):
            with pytest.raises(InvalidData, match="SqlConnector objects cannot be copied"):
                duplicate(connector.query(READ, x=1))
        assert ((2,),) == manager.perform("c", connector.query(READ, x=2))


def test_copied_pool_cannot_lend_connections_of_another() -> None:
    """A used pool cannot be copied or pickled, so no copy can hand out its connections."""

    class Link:
        version = None

        def is_connected(self) -> bool:
            return True

        def ping(self, timeout: float) -> None:
            """Do nothing, because the connection leads nowhere."""

        def close(self) -> None:
            """Do nothing, because the connection leads nowhere."""

    with LinkPool(lambda _: Link()) as pool:
        pool.open(1.0)
        check_refused(pool)
        with pool.link("use", 1.0) as first, pool.link("use", 1.0) as second:
            assert first is not second


def test_statements_are_copied_and_not_pickled() -> None:
    """Copying a statement returns the same object.

    Unpickling is refused, because a pickle can be forged.
    """
    command = Command("DELETE FROM carts WHERE id = :id", name="carts.delete")
    for statement in (READ, command):
        assert statement is copy.copy(statement)
        assert statement is copy.deepcopy([statement])[0]
        with pytest.raises(InvalidData, match=f"The statement '{statement.name}' cannot be pickl"):
            pickle.dumps(statement)


def test_settings_are_copied_and_their_secrets_not_pickled() -> None:
    """Settings and credentials are copied with their secrets, and cannot be pickled."""
    for settings in (
        RabbitMq(url=f"amqp://erp:{SECRET}@localhost/"),
        RabbitMq(url="amqp://erp@localhost/", password=Secret(SECRET)),
        Credentials.bearer(SECRET),
    ):
        assert settings == copy.deepcopy(settings)
        with pytest.raises(InvalidData, match="A secret cannot be pickled"):
            pickle.dumps(settings)


def test_used_asynchronous_connector_is_not_copied() -> None:
    """An asynchronous connector that was used in an event loop cannot be copied."""

    async def use() -> None:
        connector = AsyncSqlConnector("sqlite://", name="c")
        manager = AsyncConnectorManager([Service("c")])
        assert ((1,),) == await manager.perform("c", connector.query(READ, x=1))
        check_refused(connector)
        check_refused(manager)
        await connector.close()

    asyncio.run(use())
