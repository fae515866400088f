"""The adapters of the extension for Flask do what their ports owe, in SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

import attrs
import pytest
import sqlalchemy

from moorage import (
    ConfigurationError,
    CredentialNotFound,
    Credentials,
    LogQuery,
    Money,
    Secret,
    StorageUnavailable,
)
from moorage.adapters.memory import MemoryStorage
from moorage.adapters.sql import SqlStorage
from moorage.adapters.sqlite import SqliteStorage
from moorage.contracts.payments import Charge
from moorage.testing import (
    inbox_conformance,
    integration_log_conformance,
    outbox_conformance,
)
from moorage.testing.checks import name_of
from tests.embedding.flask.shop import KEYS, Shop
from tests.embedding.flask.test_webhooks import charge

if TYPE_CHECKING:
    from pathlib import Path

from moorage_flask import worker
from moorage_flask.database import Database
from moorage_flask.entries import SqlAlchemyInbox, SqlAlchemyOutbox
from moorage_flask.log import SqlAlchemyLog
from moorage_flask.tables import Tables, tables

Fresh: TypeAlias = Callable[[], tuple[Database, Tables]]


@pytest.fixture
def fresh(any_database_url: str) -> Iterator[Fresh]:
    """Makes tables that nobody has written in, with the database they are in."""
    with ExitStack() as stack:

        def make() -> tuple[Database, Tables]:
            database, made = Database(any_database_url), tables(prefix=f"m{uuid4().hex[:8]}_")
            stack.callback(database.close)
            database.create(made.log.metadata, (made.log, made.inbox, made.outbox, made.lanes))
            return database, made

        yield make


@pytest.mark.parametrize("check", integration_log_conformance.CHECKS, ids=name_of)
def test_log(check: integration_log_conformance.Check, fresh: Fresh) -> None:
    """The log does what every integration log must."""
    with ExitStack() as stack:

        def make() -> SqlAlchemyLog:
            database, made = fresh()
            log = SqlAlchemyLog(database, made.log)
            stack.callback(log.close)
            return log

        check(make)


@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_inbox(check: Callable[[Callable[[], object]], None], fresh: Fresh) -> None:
    """The inbox does what every store of webhooks must."""

    def make() -> SqlAlchemyInbox:
        database, made = fresh()
        return SqlAlchemyInbox(database, made.inbox, made.lanes)

    check(make)


@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_outbox(check: Callable[[Callable[[], object]], None], fresh: Fresh) -> None:
    """The outbox does what every store of calls must."""

    def make() -> SqlAlchemyOutbox:
        database, made = fresh()
        return SqlAlchemyOutbox(database, made.outbox, made.lanes)

    check(make)


def test_state(database_url: str) -> None:
    """State is on connections of its own: in the host's server, or in a file beside the host's."""
    with closing(Shop(database_url)) as shop:
        kind = type(shop.moored.stores.state)

    assert (SqliteStorage if "sqlite" in database_url else SqlStorage) is kind


def test_state_that_is_given(sqlite_url: str) -> None:
    """A store that the settings give is used as it is."""
    given = MemoryStorage()
    with closing(Shop(sqlite_url, STATE=given)) as shop:
        assert given is shop.moored.stores.state


def test_credentials(database_url: str) -> None:
    """Credentials are shared by all who have the key, and nobody reads them in the database."""
    with (
        closing(Shop(database_url, KEYS=KEYS)) as first,
        closing(Shop(database_url, KEYS=Secret(KEYS))) as second,
    ):
        first.moored.migrate()
        told = Credentials.bearer("canary-4711")
        providers = [shop.moored.stores.credentials for shop in (first, second)]
        assert providers[0] is not None
        assert providers[1] is not None
        providers[0].rotate("stripe", "acme", told)

        assert told == providers[1].get("stripe", "acme")
        with pytest.raises(CredentialNotFound):
            providers[1].get("stripe", None)


def test_without_keys_no_credentials(database_url: str) -> None:
    """Without a key to seal them with no credentials are stored."""
    with closing(Shop(database_url)) as shop:
        assert None is shop.moored.stores.credentials


def test_tenants(database_url: str) -> None:
    """A tenant's accounts may be in the database, and are used without a restart."""
    with closing(Shop(database_url, KEYS=KEYS, TENANTS=True)) as shop:
        shop.moored.migrate()
        stripe = {"credentials": shop.sandbox.api_key}
        tenants = shop.moored.stores.tenants
        assert tenants is not None
        tenants.put("acme", {"vendors": {"stripe": stripe}, "payments": {"vendor": "stripe"}})
        order = Charge(Money("1.00", "EUR"), "pm_card_visa", reference="INV-1")
        payment = shop.moorage.hub.payments("acme").charge(order, idempotency_key="INV-1")

    assert "acme.stripe" == payment.ref.account


def test_tenants_are_sealed(sqlite_url: str) -> None:
    """Without a key tenants' accounts are not stored."""
    with closing(Shop(sqlite_url, TENANTS=True)) as shop:
        with pytest.raises(ConfigurationError) as raised:
            _ = shop.moorage.hub

        assert "MOORAGE.KEYS" == raised.value.path


def test_in_memory() -> None:
    """An application without a database keeps everything in memory, webhooks included."""
    with closing(Shop(KEYS=KEYS, volatile=True)) as shop:
        shop.moored.migrate()
        payment = charge(shop)

        assert 200 == shop.deliver()
        assert [1] == [one.done for one in worker.deliver(shop.moored)]
        assert [payment] == [event.ref.id for event in shop.news]
        assert 1 == shop.moorage.log.summarise(LogQuery()).count


def test_log_of_a_database_that_is_away(tmp_path: Path) -> None:
    """What cannot be written waits, within its bound, and goes when it can."""
    made = tables()
    path = tmp_path / "later" / "log.db"
    database = Database(f"sqlite:///{path}")
    log = SqlAlchemyLog(database, made.log, max_waiting=3)
    for number in range(5):
        log.write(integration_log_conformance.entry(number))
    with pytest.raises(StorageUnavailable):
        log.find(LogQuery())
    log.close()
    path.parent.mkdir()
    database.create(made.log.metadata, (made.log,))

    assert ["call-0004", "call-0003", "call-0002"] == [
        entry.id for entry in log.find(LogQuery()).items
    ]


@pytest.mark.parametrize("unfit", ["\ud800", "a\0b"])
def test_an_entry_that_no_database_takes(fresh: Fresh, unfit: str) -> None:
    """One entry that cannot be written holds up none of the others."""
    database, made = fresh()
    log = SqlAlchemyLog(database, made.log)
    entries = [integration_log_conformance.entry(number) for number in range(5)]
    entries[2] = attrs.evolve(entries[2], vendor_code=unfit)
    with log._queue().writing:  # noqa: SLF001 - so that all of them wait together
        for entry in entries:
            log.write(entry)

    kept = {entry.id for entry in log.find(LogQuery()).items}
    log.close()
    assert {"call-0000", "call-0001", "call-0003", "call-0004"} <= kept


def test_a_database_that_is_not_there(postgresql_url: str) -> None:
    """A database that is not there is away; only where it is there are tables missing."""
    there = sqlalchemy.make_url(postgresql_url)
    nowhere = there.set(database="nobody_made_this").render_as_string(hide_password=False)
    for url, said in ((nowhere, "did not do it"), (postgresql_url, "no tables")):
        with closing(Database(url)) as database, pytest.raises(StorageUnavailable, match=said):
            SqlAlchemyLog(database, tables().log).find(LogQuery())
