"""Workers of two releases use the same tables during a roll-out.

A newer release may add columns with defaults, and write states of a version that this one cannot
read. The tests imitate workers of the newer release with SQL statements. An older release
wrote no columns that have a default.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import sqlalchemy

from moorage import (
    ConnectorManager,
    LogQuery,
    RateLimitConfig,
    RateLimitExceeded,
    Service,
    StateSubstituted,
    StateUnavailable,
)
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.testing import inbox_conformance, integration_log_conformance, outbox_conformance
from moorage.testing.kits.checks import name_of
from moorage.wiring.store_urls import open_inbox, open_storage
from tests.adapters.entry_harnesses import KINDS, entry
from tests.adapters.test_table_definition import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

NEWER_VERSION: Final = 2
"""A version of stored states that this release cannot read."""
ADDED: Final = {"added_later": "BIGINT", "defaulted": "VARCHAR(20) NOT NULL DEFAULT 'later'"}
"""The columns that the next release adds."""
NEWER_COLUMNS: Final = {"added_later": 7, "defaulted": "by the next"}
"""The values that the next release writes into them."""


class SharedDatabase(Database):
    """A database whose tables are used by workers of two releases."""

    @property
    def states(self) -> str:
        """The name of the table that stores the states."""
        return "state" if self.kind == "sqlite" else f"{self.prefix}states"

    @property
    def name(self) -> str:
        """The name of the column that stores the keys."""
        return "key" if self.kind == "sqlite" else "name"

    @property
    def state(self) -> str:
        """The name of the column that stores the encoded states."""
        return "value" if self.kind == "sqlite" else "state"

    def inbox(self) -> Any:
        """Open the inbox in the database."""
        return self.note_opened(open_inbox(self.url, prefix=self.prefix, timeout=30.0))

    def extend(self, table: str) -> None:
        """Add the columns of the next release to a table."""
        name = f"{self.prefix}{table}"
        for column, definition in ADDED.items():
            self.run(f"ALTER TABLE {name} ADD COLUMN {column} {definition}")

    def table(self, name: str) -> sqlalchemy.Table:
        """Return the table's current definition in the database."""
        return sqlalchemy.Table(
            f"{self.prefix}{name}", sqlalchemy.MetaData(), autoload_with=self.engine
        )

    def copy(self, name: str, **changes: Any) -> None:
        """Insert a copy of the table's only row with these values changed."""
        table = self.table(name)
        with self.engine.begin() as connection:
            row = connection.execute(sqlalchemy.select(table)).mappings().one()
            column_names = [c.name for c in table.columns if c.name != "number" and not c.computed]
            values = {name: row[name] for name in column_names}
            connection.execute(table.insert().values(values | changes))

    def values(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of all rows, in the order of the rows' numbers."""
        table = self.table(name)
        query = sqlalchemy.select(*(table.c[column] for column in columns))
        if "number" in table.c:
            query = query.order_by(table.c.number)
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]


@pytest.fixture(params=KINDS, scope="module")
def tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Yield a database of each kind with tables that the next release has migrated."""
    yield from _migrated_database(SharedDatabase(request.param, tmp_path_factory.mktemp("mixed")))


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[SharedDatabase]:
    """Yield a database of each kind without tables."""
    mixed = SharedDatabase(request.param, tmp_path)
    yield mixed
    mixed.close()


def _migrated_database(mixed: SharedDatabase) -> Iterator[SharedDatabase]:
    for name, store in (("inbox", mixed.inbox()), ("outbox", mixed.outbox()), ("log", mixed.log())):
        store.migrate()
        mixed.extend(name)
    yield mixed
    mixed.close()


@pytest.mark.untraced
@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_outbox_works_on_newer_tables(
    check: outbox_conformance.Check, tables: SharedDatabase
) -> None:
    """A worker of this release passes the outbox kit on tables that the next release migrated."""
    outbox = tables.outbox()
    outbox.remove(EntryQuery())

    check(lambda: outbox)


@pytest.mark.untraced
@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_inbox_works_on_newer_tables(
    check: inbox_conformance.Check, tables: SharedDatabase
) -> None:
    """A worker of this release passes the inbox kit on tables that the next release migrated."""
    inbox = tables.inbox()
    inbox.remove(EntryQuery())

    check(lambda: inbox)


def test_log_works_on_newer_tables(tables: SharedDatabase) -> None:
    """A worker of this release writes and reads a log whose table the next release migrated."""
    log = tables.log()
    for number in range(3):
        log.write(integration_log_conformance.entry(number))
    log.flush()

    assert 3 == len(log.find(LogQuery()).items)


def test_migration_of_an_older_release_keeps_newer_columns(tables: SharedDatabase) -> None:
    """`migrate` neither refuses nor removes columns that a newer release has added."""
    layout_before = tables.columns("outbox")
    tables.outbox().migrate()

    assert set(ADDED) <= tables.columns("outbox") == layout_before


def settle_due(outbox: Any) -> dict[str, bool]:
    """Settle all due entries, and return whether each one succeeded, by its id."""
    return {
        entry.id: outbox.swap(
            attrs.evolve(
                entry, state=EntryState.DONE, due=None, holds=False, fence=entry.fence + 1
            ),
            entry.fence,
        )
        for entry in outbox.due(10)
    }


def test_entries_of_the_next_release_are_processed(database: SharedDatabase) -> None:
    """A worker settles entries that the next release stored, and keeps their new columns."""
    outbox = database.outbox()
    outbox.migrate()
    database.extend("outbox")
    outbox.add(entry("this"))
    database.copy("outbox", id="next", **NEWER_COLUMNS)

    assert {"this": True, "next": True} == settle_due(outbox)
    assert [(None, "later"), (7, "by the next")] == database.values("outbox", *NEWER_COLUMNS)
    assert [("done",), ("done",)] == database.values("outbox", "state")


def test_entries_of_an_older_release_are_processed(database: SharedDatabase) -> None:
    """A worker settles an entry of an older release that lacks values in the optional columns."""
    outbox = database.outbox()
    outbox.migrate()
    outbox.add(entry("full"))
    optional = [column.name for column in database.table("outbox").columns if column.nullable]
    needed_for_work = {"due"}
    database.copy("outbox", id="old", **dict.fromkeys(set(optional) - needed_for_work))

    assert {"full": True, "old": True} == settle_due(outbox)


def test_log_of_an_older_release_is_read(database: SharedDatabase) -> None:
    """The log reads an entry of an older release that lacks values in the optional columns."""
    log = database.log()
    log.migrate()
    log.write(integration_log_conformance.entry(1))
    log.flush()
    optional = [column.name for column in database.table("log").columns if column.nullable]
    database.copy("log", **dict.fromkeys(optional))

    assert 2 == len(log.find(LogQuery()).items)


# --- states of a version that this release cannot read ---


def storage(database: SharedDatabase) -> Any:
    """Open a store of shared state in the database."""
    options = {} if database.kind == "sqlite" else {"prefix": database.prefix, "create": True}
    return database.note_opened(open_storage(database.url, **options))


def states(database: SharedDatabase) -> dict[str, bytes]:
    """Return the stored states by their keys."""
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT {database.name}, {database.state} FROM {database.states}"
        )
        return {str(name): bytes(state) for name, state in rows}


def rewrite_states(database: SharedDatabase) -> dict[str, bytes]:
    """Rewrite all states as the next release would, and return them."""
    statement = sqlalchemy.text(
        f"UPDATE {database.states} SET {database.state} = :state WHERE {database.name} = :name"
    )
    newer = {name: bytes([NEWER_VERSION]) + state[1:] for name, state in states(database).items()}
    with database.engine.begin() as connection:
        for name, state in newer.items():
            connection.execute(statement, {"name": name, "state": state})
    return newer


class Worker:
    """A worker process of this release that uses the store in a database."""

    def __init__(self, database: SharedDatabase) -> None:
        self.events: list[Any] = []
        limit = RateLimitConfig.per_hour(2)
        service = Service("vat", limits=limit, max_limit_wait=0, retry=None)
        self._manager = ConnectorManager(
            [service], state=storage(database), observers=[self.events.append]
        )

    def admitted_calls(self, tenant: str, calls: int = 2) -> int:
        """Return how many calls of a tenant the limit admits."""
        grants = 0
        for _ in range(calls):
            with suppress(RateLimitExceeded):
                grants += self._manager.run("vat", lambda: 1, tenant=tenant)
        return grants

    def call_with_key(self, key: str) -> int:
        """Make a call with an idempotency key."""
        return self._manager.run("vat", lambda: 1, tenant="keys", idempotency_key=key)

    def close(self) -> None:
        """Settle open work, and close the worker."""
        self._manager.close()


@pytest.fixture
def states_of_next_release(database: SharedDatabase) -> dict[str, bytes]:
    """Return the states of a tenant and of a key, as the next release rewrites them."""
    worker = Worker(database)
    assert 1 == worker.admitted_calls("moved", calls=1)
    assert 1 == worker.call_with_key("moved")
    worker.close()
    return rewrite_states(database)


def test_newer_limits_have_substitutes_that_workers_share(
    database: SharedDatabase, states_of_next_release: dict[str, bytes]
) -> None:
    """Workers that cannot read a newer state of a rate limit share one substitute state."""
    first, second = Worker(database), Worker(database)

    assert 2 == first.admitted_calls("moved") + second.admitted_calls("moved")
    assert {StateSubstituted} <= {type(event) for event in first.events}
    assert states_of_next_release.items() <= states(database).items()


def test_newer_states_affect_nothing_else(
    database: SharedDatabase, states_of_next_release: dict[str, bytes]
) -> None:
    """Limits and keys of other tenants work as before, and are shared by all workers."""
    first, second = Worker(database), Worker(database)

    assert 2 == first.admitted_calls("other", calls=1) + second.admitted_calls("other", calls=3)
    assert 1 == first.call_with_key("other")
    assert states_of_next_release.items() <= states(database).items()


def test_newer_claim_is_refused(
    database: SharedDatabase, states_of_next_release: dict[str, bytes]
) -> None:
    """If an idempotency key's state is unreadable, calls with it are refused; it is not changed."""
    worker = Worker(database)
    with pytest.raises(StateUnavailable) as excinfo:
        worker.call_with_key("moved")

    assert "version 2" in excinfo.value.message
    assert states_of_next_release.items() <= states(database).items()
