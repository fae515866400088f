"""The Flask extension's stores pass the conformance kits in SQLite and PostgreSQL."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

import attrs
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from moorage import (
    ConfigurationError,
    CredentialNotFound,
    Credentials,
    IntegrationLog,
    InvalidData,
    LogQuery,
    Money,
    Secret,
    StorageUnavailable,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher
from moorage.adapters.entries.host import HostOutbox
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.email import EmailMessage
from moorage.contracts.payments import Charge
from moorage.domain.entries.queue import EntryQuery, EntryState, finish_entry
from moorage.domain.state.sealing import KeyRing
from moorage.hub.outbox import Outbox
from moorage.testing import (
    inbox_conformance,
    integration_log_conformance,
    outbox_conformance,
)
from moorage.testing.kits.checks import name_of
from moorage.wiring.store_urls import open_inbox, open_log, open_outbox
from tests.embedding.flask.conftest import POSTGRESQL
from tests.embedding.flask.shop import KEYS, Shop
from tests.embedding.flask.test_webhooks import charge
from tests.support import overlapping

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.adapters.entries.host import HostInbox
    from moorage.adapters.logs.host import HostIntegrationLogger

from moorage_flask import worker
from moorage_flask.database import MODERN, Database
from moorage_flask.stores import Stores, inbox_in, log_in, outbox_in
from moorage_flask.tables import tables

Fresh: TypeAlias = Callable[[], tuple[Database, str]]


@pytest.fixture
def fresh_tables(any_database_url: str) -> Iterator[Fresh]:
    """Return a function that creates empty tables."""
    with ExitStack() as stack:

        def create_tables() -> tuple[Database, str]:
            database, prefix = Database(any_database_url), f"m{uuid4().hex[:8]}_"
            host_tables = tables(prefix=prefix)
            stack.callback(database.close)
            new_tables = (host_tables.log, host_tables.inbox, host_tables.outbox, host_tables.lanes)
            with database.begin() as connection:
                host_tables.log.metadata.create_all(connection, new_tables, checkfirst=False)
            return database, prefix

        yield create_tables


@pytest.mark.parametrize("check", integration_log_conformance.CHECKS, ids=name_of)
def test_log_passes_conformance_kit_of_integration_logs(
    check: integration_log_conformance.Check, fresh_tables: Fresh
) -> None:
    """The log passes the conformance kit of integration logs."""
    with ExitStack() as stack:

        def create_log() -> HostIntegrationLogger:
            database, prefix = fresh_tables()
            log = log_in(database, prefix=prefix)
            stack.callback(log.close)
            return log

        check(create_log)


@pytest.mark.untraced
@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_inbox_passes_conformance_kit_of_inboxes(
    check: Callable[[Callable[[], object]], None], fresh_tables: Fresh
) -> None:
    """The inbox passes the conformance kit of inboxes."""

    def create_inbox() -> HostInbox:
        database, prefix = fresh_tables()
        return inbox_in(database, prefix=prefix)

    check(create_inbox)


@pytest.mark.untraced
@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_outbox_passes_conformance_kit_of_outboxes(
    check: Callable[[Callable[[], object]], None], fresh_tables: Fresh
) -> None:
    """The outbox passes the conformance kit of outboxes."""

    def create_outbox() -> HostOutbox:
        database, prefix = fresh_tables()
        return outbox_in(database, prefix=prefix)

    check(create_outbox)


@pytest.mark.parametrize("skips", [True, False])
def test_workers_claim_different_calls(fresh_tables: Fresh, skips: bool) -> None:
    """Two workers claim ten calls, each call once, also on servers without SKIP LOCKED."""
    database, prefix = fresh_tables()
    target = None if skips else (lambda: False)
    store = HostOutbox(database.kind, database.lend, prefix=prefix, skips_locked=target)
    for number in range(10):
        store.add(overlapping.entry(f"call-{number}", None))
    first, later_entries = store.claim(4, 60.0, 5), store.claim(10, 60.0, 5)

    assert [1] * 10 == [entry.fence for entry in (*first, *later_entries)]
    assert 10 == len({entry.id for entry in (*first, *later_entries)})
    finished_entries = [finish_entry(entry, store.now()) for entry in first]
    assert [True, False] == store.settle(finished_entries[:2], [1, 0])
    results = store.find(EntryQuery(states=(EntryState.DONE,))).items
    assert [finished_entries[0].id] == [entry.id for entry in results]


def test_locked_call_is_skipped(fresh_tables: Fresh) -> None:
    """A worker does not wait for rows that another worker has locked."""
    database, prefix = fresh_tables()
    if database.kind == "sqlite":
        pytest.skip("a file locks no rows: run the cases of the servers")
    store = outbox_in(database, prefix=prefix)
    for name in ("a", "b"):
        store.add(overlapping.entry(name, None))
    with database.begin() as connection:
        connection.exec_driver_sql(f"SELECT id FROM {prefix}outbox WHERE id = 'a' FOR UPDATE")
        assert ["b"] == [entry.id for entry in store.claim(9, 60.0, 5)]


def test_concurrent_claims_share_the_calls(fresh_tables: Fresh) -> None:
    """Workers that claim at the same time get different calls, and no worker fails."""
    database, prefix = fresh_tables()
    if database.kind == "sqlite":
        pytest.skip("a file has one worker at a time: run the cases of the servers")
    store = outbox_in(database, prefix=prefix)
    for number in range(60):
        store.add(overlapping.entry(f"call-{number:02}", None))

    def claim_entries() -> list[str]:
        taken_ids: list[str] = []
        while batch := store.claim(3, 60.0, 5):
            taken_ids += [entry.id for entry in batch]
            store.settle([finish_entry(entry, store.now()) for entry in batch], [1] * len(batch))
        return taken_ids

    with ThreadPoolExecutor(4) as workers:
        shares = [share.result() for share in [workers.submit(claim_entries) for _ in range(4)]]
    claimed_ids = [name for share in shares for name in share]
    assert len(claimed_ids) == len(set(claimed_ids))
    remaining_entries = store.find(EntryQuery(states=(EntryState.WAITING,))).items
    assert 60 == len(claimed_ids) + len(remaining_entries)


def test_outbox_uses_the_database_of_its_table(sqlite_url: str, tmp_path: Path) -> None:
    """If a session has several databases, the outbox uses the database of its own table."""
    books = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'books.db'}")
    database = Database(sqlite_url)
    engines = {"moorage_outbox": database.engine}

    class Routing(Session):
        def get_bind(self, mapper: Any = None, clause: Any = None, **_: Any) -> Any:
            table = getattr(clause, "table", None)
            return engines.get(getattr(table, "name", ""), books)

    host_tables = tables()
    database.create(host_tables.log.metadata, (host_tables.outbox, host_tables.lanes))
    with Routing() as session:
        store = outbox_in(database, lambda: session)
        store.add(overlapping.entry("given-up", None))
        session.rollback()
        store.add(overlapping.entry("kept", None))
        session.commit()

    assert ["kept"] == [entry.id for entry in store.find(EntryQuery()).items]
    books.dispose()
    database.close()


def test_state_has_its_own_connections(sql_url: str) -> None:
    """The state store has its own connections, to the host's server or to a separate file."""
    with closing(Shop(sql_url)) as shop:
        kind = type(shop.objects.stores.state)

    assert ("SqliteStorage" if "sqlite" in sql_url else "SqlStorage") == kind.__name__


def test_state_store_from_the_settings_is_used(sqlite_url: str) -> None:
    """A state store from the settings is used unchanged."""
    value = MemoryStorage()
    with closing(Shop(sqlite_url, STATE=value)) as shop:
        assert value is shop.objects.stores.state


def test_credentials_are_encrypted_and_shared(sql_url: str) -> None:
    """Credentials are encrypted in the database, and readable by every holder of the key."""
    with (
        closing(Shop(sql_url, KEYS=KEYS)) as first,
        closing(Shop(sql_url, KEYS=Secret(KEYS))) as second,
    ):
        first.objects.migrate()
        credentials = Credentials.bearer("canary-4711")
        providers = [shop.objects.stores.credentials for shop in (first, second)]
        assert providers[0] is not None
        assert providers[1] is not None
        providers[0].rotate("stripe", "acme", credentials)

        assert credentials == providers[1].get("stripe", "acme")
        with pytest.raises(CredentialNotFound):
            providers[1].get("stripe", None)


def test_credentials_need_keys(database_url: str) -> None:
    """Without an encryption key no credentials are stored."""
    with closing(Shop(database_url)) as shop:
        assert None is shop.objects.stores.credentials


def test_new_tenant_is_used_without_a_restart(sql_url: str) -> None:
    """A tenant's accounts in the database are used without a restart."""
    with closing(Shop(sql_url, KEYS=KEYS, TENANTS=True)) as shop:
        shop.objects.migrate()
        stripe = {"credentials": shop.sandbox.api_key}
        tenants = shop.objects.stores.tenants
        assert tenants is not None
        tenants.put("acme", {"vendors": {"stripe": stripe}, "payments": {"vendor": "stripe"}})
        order = Charge(Money("1.00", "EUR"), "pm_card_visa", reference="INV-1")
        payment = shop.moorage.hub.payments("acme").charge(order, idempotency_key="INV-1")

    assert "acme.stripe" == payment.ref.account


def test_tenants_need_keys(sqlite_url: str) -> None:
    """Without an encryption key no accounts of tenants are stored."""
    with closing(Shop(sqlite_url, TENANTS=True)) as shop:
        with pytest.raises(ConfigurationError) as excinfo:
            _ = shop.moorage.hub

        assert "MOORAGE.KEYS" == excinfo.value.path


def test_application_without_a_database_uses_memory() -> None:
    """An application without a database keeps everything in memory, webhooks included."""
    with closing(Shop(KEYS=KEYS, volatile=True)) as shop:
        shop.objects.migrate()
        payment = charge(shop)

        assert 200 == shop.deliver()
        assert [1] == [item.done for item in worker.deliver(shop.objects)]
        assert [payment] == [event.ref.id for event in shop.news]
        assert 1 == shop.moorage.log.summarise(LogQuery()).count


def test_log_entries_wait_for_an_unreachable_database(tmp_path: Path) -> None:
    """Entries that cannot be written wait in a bounded queue until they can."""
    host_tables = tables()
    path = tmp_path / "later" / "log.db"
    database = Database(f"sqlite:///{path}")
    log = log_in(database, max_waiting=3, threads=False)
    for number in range(3):
        log.write(integration_log_conformance.entry(number))
    with pytest.warns(RuntimeWarning, match="loses entries"):
        log.write(integration_log_conformance.entry(3))
    log.write(integration_log_conformance.entry(4))
    with pytest.raises(StorageUnavailable):
        log.find(LogQuery())
    assert 2 == log.lost
    path.parent.mkdir()
    database.create(host_tables.log.metadata, (host_tables.log,))

    assert ["call-0004", "call-0003", "call-0002"] == [
        entry.id for entry in log.find(LogQuery()).items
    ]


@pytest.mark.parametrize("unfit", ["\ud800", "a\0b"])
def test_rejected_entry_does_not_block_others(fresh_tables: Fresh, unfit: str) -> None:
    """An entry that cannot be written does not delay other entries."""
    database, prefix = fresh_tables()
    log = log_in(database, prefix=prefix, threads=False)
    entries = [integration_log_conformance.entry(number) for number in range(5)]
    entries[2] = attrs.evolve(entries[2], vendor_code=unfit)
    for entry in entries:
        log.write(entry)

    stored_ids = {entry.id for entry in log.find(LogQuery()).items}
    log.close()
    assert {"call-0000", "call-0001", "call-0003", "call-0004"} <= stored_ids


def test_entry_with_a_too_large_number_is_lost_and_counted(fresh_tables: Fresh) -> None:
    """Only the entry with a number too large for its column is lost, and the loss is counted."""
    database, prefix = fresh_tables()
    log = log_in(database, prefix=prefix, threads=False)
    entries = [integration_log_conformance.entry(number) for number in range(3)]
    entries[1] = attrs.evolve(entries[1], attempts=2**40)
    for entry in entries:
        log.write(entry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        log.after_request()
    is_file = database.kind == "sqlite"

    assert (3 if is_file else 2) == len(log.find(LogQuery()).items)
    assert (0 if is_file else 1) == log.lost


def test_error_for_unsupported_database_lists_supported_ones() -> None:
    """The error for an unsupported database lists the supported databases."""
    database = Database("sqlite://")
    with pytest.raises(ConfigurationError, match="mariadb, mysql, postgresql, sqlite"):
        HostOutbox("oracle", database.lend)


def test_log_is_written_in_the_background(fresh_tables: Fresh) -> None:
    """A background thread soon writes the log without another request, and then ends."""
    database, prefix = fresh_tables()
    log = log_in(database, prefix=prefix)
    log.write(integration_log_conformance.entry(1))
    end_time = time.monotonic() + PATIENCE
    while "moorage-log" in _threads() and time.monotonic() < end_time:
        threading.Event().wait(0.01)

    assert ("moorage-log" in _threads(), rows(database, prefix)) == (False, 1)
    log.close()


def test_log_is_written_at_the_end_of_a_request_without_threads(fresh_tables: Fresh) -> None:
    """On a server without threads, the end of a request writes the log."""
    database, prefix = fresh_tables()
    log = log_in(database, prefix=prefix, threads=False)
    log.write(integration_log_conformance.entry(1))
    assert ("moorage-log" in _threads(), rows(database, prefix)) == (False, 0)

    log.after_request()
    log.after_request()
    assert 1 == rows(database, prefix)


def test_end_of_a_request_writes_the_log(database_url: str) -> None:
    """If no thread writes the log, the end of a request writes the queued entries."""
    with closing(Shop(database_url)) as shop:
        shop.objects.migrate()
        shop.client().get("/nothing")  # no store was opened yet
        stores = shop.objects.stores
        log = log_in(stores._own_database, threads=False)  # noqa: SLF001 - asking the log would write it
        stores.__dict__["log"] = log
        log.write(integration_log_conformance.entry(1))
        shop.client().get("/nothing")

        assert 1 == rows(stores._own_database, "moorage_")  # noqa: SLF001 - asking the log would write it


def test_unwritten_entries_are_written_at_the_next_request(tmp_path: Path) -> None:
    """Entries that a request's end could not write are written at the end of the next request."""
    host_tables, path = tables(), tmp_path / "later" / "log.db"
    database = Database(f"sqlite:///{path}")
    log = log_in(database, threads=False)
    log.write(integration_log_conformance.entry(1))
    log.after_request()
    path.parent.mkdir()
    database.create(host_tables.log.metadata, (host_tables.log,))
    log.after_request()

    assert 1 == rows(database, "moorage_")


def test_log_is_ordered_by_time(fresh_tables: Fresh) -> None:
    """Pages of the log are ordered by the time of each call, not by the time of writing."""
    database, prefix = fresh_tables()
    log = log_in(database, prefix=prefix, threads=False)
    late_entry, early_entry = (
        integration_log_conformance.entry(2),
        integration_log_conformance.entry(1),
    )
    same_time_entry = attrs.evolve(early_entry, id="same")
    for entry in (late_entry, early_entry, same_time_entry):
        log.write(entry)
    pages = [log.find(LogQuery(limit=1))]
    while pages[-1].next is not None:
        pages.append(log.find(LogQuery(limit=1, after=pages[-1].next)))

    assert [late_entry.id, "same", early_entry.id] == [page.items[0].id for page in pages]
    for cursor in ("7", "x.y", "9" * 30 + ".1"):
        with pytest.raises(InvalidData):
            log.find(LogQuery(after=cursor))


PATIENCE = 30.0
"""Seconds for a thread on a machine that is busy."""


def rows(database: Database, prefix: str) -> int:
    """Return the number of log entries in the database."""
    with database.begin() as connection:
        count_query = sqlalchemy.select(sqlalchemy.func.count()).select_from(
            tables(prefix=prefix).log
        )
        return int(connection.execute(count_query).scalar_one())


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_missing_database_and_missing_tables_raise_different_errors(postgresql_url: str) -> None:
    """A missing database is reported as unavailable; missing tables raise a different error."""
    stored_url = sqlalchemy.engine.make_url(postgresql_url)
    missing_url = stored_url.set(database="nobody_made_this").render_as_string(hide_password=False)
    for url, message in ((missing_url, "could not be reached"), (postgresql_url, "lacks a table")):
        with closing(Database(url)) as database, pytest.raises(StorageUnavailable, match=message):
            log_in(database).find(LogQuery())


def test_older_table_is_reported_and_migrated(any_database_url: str) -> None:
    """A table without newer columns is refused with a remedy, and `create` adds the columns."""
    newer_columns = {"vendor", "account", "trace_id", "method", "route", "error_message", "request"}
    prefix = f"m{uuid4().hex[:8]}_"
    log_table = tables(prefix=prefix).log
    older_table = sqlalchemy.Table(
        log_table.name,
        sqlalchemy.MetaData(),
        *(
            sqlalchemy.Column(
                item.name, item.type, primary_key=item.primary_key, nullable=item.nullable
            )
            for item in log_table.columns
            if item.name not in newer_columns
        ),
    )
    written_entry = integration_log_conformance.entry(3)
    with closing(Database(any_database_url)) as database:
        database.create(older_table.metadata, (older_table,))
        log = log_in(database, prefix=prefix, threads=False)
        log.write(written_entry)
        with pytest.raises(ConfigurationError, match="lacks a column") as excinfo:
            log.flush()
        assert "flask moorage migrate" in str(excinfo.value.remedy)

        for _ in range(2):
            database.create(log_table.metadata, (log_table,))
        assert (written_entry,) == log.find(LogQuery(vendor="adyen")).items
        log.close()
        with database.begin() as connection:
            log_table.drop(connection)


def test_unknown_field_of_a_log_entry_is_dropped(fresh_tables: Fresh) -> None:
    """A log entry with an unknown field from a newer moorage is not lost."""

    @attrs.frozen(kw_only=True)
    class NewerLog(IntegrationLog):
        mode: str = "red"

    database, prefix = fresh_tables()
    log = log_in(database, prefix=prefix, threads=False)
    entry = integration_log_conformance.entry(1)
    log.write(NewerLog(**attrs.asdict(entry, recurse=False)))

    assert [entry] == list(log.find(LogQuery()).items)


@pytest.mark.skipif(not MODERN, reason="the core's SQL stores need SQLAlchemy 2")
def test_core_stores_refuse_moorage_flask_tables(postgresql_url: str) -> None:
    """The core's stores do not read or write this package's tables of the same names."""
    database = Database(postgresql_url)
    with database.begin() as connection:
        tables().log.metadata.create_all(connection)
    mail = EmailMessage(to="a@example.com", text="a")
    host_outbox = Outbox(outbox_in(database))
    host_outbox.put("email", "send_transactional", mail)
    url = postgresql_url.replace(f"{POSTGRESQL}:", "postgresql:")
    with ExitStack() as stack:

        def opened_store(make: Callable[..., Any], **options: Any) -> Any:
            store = make(url, **options)
            stack.callback(store.close)
            return store

        for create in (False, True):
            outbox = Outbox(opened_store(open_outbox, create=create))
            inbox, log = (
                opened_store(open_inbox, create=create),
                opened_store(open_log, create=create),
            )
            uses: list[Callable[[], Any]] = [
                partial(outbox.find, EntryQuery()),
                partial(outbox.put, "email", "send_transactional", mail),
                partial(inbox.find, EntryQuery()),
                partial(log.find, LogQuery()),
            ]
            for use in uses:
                with pytest.raises(ConfigurationError, match="other column types") as excinfo:
                    use()
                assert "moorage-flask" in excinfo.value.remedy
    assert 1 == len(host_outbox.find(EntryQuery()).items)
    database.close()


def test_cipher_of_the_configuration_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys of the application, its configuration's [cipher] encrypts stored data."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)
    shop = Shop(volatile=True, CONFIGURATION={"cipher": {"keys": KEYS}})
    with closing(shop):
        cipher = shop.objects.stores.cipher

        assert cipher is not None
        sealed_text = cipher.seal(b"INV-7", b"context")
        assert b"INV-7" == AesGcmCipher(KeyRing.parse(Secret(KEYS))).open(sealed_text, b"context")


class _InterruptedPlaces:
    """Store locations whose first look-up is interrupted by a thread that opens the store."""

    aside = None

    def __init__(self, name: str) -> None:
        self.stores: Any = None
        self.places_seen_by_other: list[object] = []
        self._name = name

    @property
    def memory(self) -> bool:
        """True, because everything is in memory."""
        if not self.places_seen_by_other:
            self.places_seen_by_other.append(None)
            self.places_seen_by_other[0] = getattr(self.stores, self._name)
        return True


@pytest.mark.parametrize("name", ["inbox", "log"])
def test_threads_that_open_a_store_at_the_same_time_share_it(name: str) -> None:
    """Two requests that are the first to use a store, at the same time, get the same store."""
    with closing(Shop(volatile=True)) as shop:
        places: Any = _InterruptedPlaces(name)
        places.stores = Stores(shop.objects.settings, places, shop.objects.host)

        assert getattr(places.stores, name) is places.places_seen_by_other[0]
