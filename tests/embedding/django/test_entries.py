"""The inbox and the outbox in Django's database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connections, transaction

from moorage.domain.entries.queue import EntryQuery, EntryState, finish_entry
from moorage.hub.outbox import OutboxEntry
from moorage.testing import inbox_conformance, outbox_conformance
from moorage.testing.kits.checks import name_of
from moorage_django.entries import AsyncOrmInbox, AsyncOrmOutbox, OrmInbox, OrmOutbox
from moorage_django.models import Deferred, Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.kits._entries_checks import AsyncCheck, Check


pytestmark = pytest.mark.usefixtures("allow_sync_in_a_loop")


@pytest.mark.untraced
@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_inbox_passes_conformance_kit_of_its_port(check: Check, host_database: str) -> None:
    """The Django inbox passes the conformance kit for inboxes."""
    check(store_factory(Webhook, OrmInbox, host_database))


@pytest.mark.parametrize("check", inbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_inbox_conforms(check: AsyncCheck, host_database: str) -> None:
    """The asynchronous Django inbox passes the conformance kit for inboxes."""
    asyncio.run(check(store_factory(Webhook, AsyncOrmInbox, host_database)))


@pytest.mark.untraced
@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_outbox_passes_conformance_kit_of_its_port(check: Check, host_database: str) -> None:
    """The Django outbox passes the conformance kit for outboxes."""
    check(store_factory(Deferred, OrmOutbox, host_database))


@pytest.mark.untraced
@pytest.mark.parametrize("check", outbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_outbox_conforms(check: AsyncCheck, host_database: str) -> None:
    """The asynchronous Django outbox passes the conformance kit for outboxes."""
    asyncio.run(check(store_factory(Deferred, AsyncOrmOutbox, host_database)))


def test_renewal_closes_its_connection(host_database: str) -> None:
    """The thread that renews a lease uses its own database connection, and closes it."""
    store = store_factory(Webhook, OrmInbox, host_database)()
    store.due(1)
    results: list[Any] = []

    def read_due_entries() -> None:
        store.due(1)
        results.append(connections[host_database].connection is None)
        store.release_thread()
        results.append(connections[host_database].connection is None)

    thread = Thread(target=read_due_entries)
    thread.start()
    thread.join()
    assert [False, True] == results
    assert connections[host_database].connection is not None


def test_leases_on_sqlite_are_longer(host_database: str) -> None:
    """Leases on SQLite are longer, because a handler's transaction blocks their renewal."""
    target = 10.0 if connections[host_database].vendor == "sqlite" else 1.5
    assert (
        target
        == OrmInbox(host_database).shortest_lease
        == AsyncOrmInbox(host_database).shortest_lease
    )


def test_workers_claim_different_calls(host_database: str) -> None:
    """Two workers claim ten calls, each call once, and results that arrive late change nothing."""
    store = store_factory(Deferred, OrmOutbox, host_database)()
    for number in range(10):
        store.add(call(f"call-{number}"))
    first = store.claim(4, 60.0, 5)
    later_entries = asyncio.run(AsyncOrmOutbox(host_database).claim(10, 60.0, 5))

    assert [1] * 10 == [entry.fence for entry in (*first, *later_entries)]
    assert 10 == len({entry.id for entry in (*first, *later_entries)})
    finished_entries = [finish_entry(entry, store.now()) for entry in first]
    assert [True, False] == store.settle(finished_entries[:2], [1, 0])
    assert [False, True] == asyncio.run(
        AsyncOrmOutbox(host_database).settle(finished_entries[:2], [7, 1])
    )
    results = store.find(EntryQuery(states=(EntryState.DONE,))).items
    assert {entry.id for entry in finished_entries[:2]} == {entry.id for entry in results}


def test_locked_call_is_skipped(host_database: str) -> None:
    """A worker skips rows that another worker has locked, where the database supports it."""
    features = connections[host_database].features
    if not features.has_select_for_update_skip_locked:
        pytest.skip("this database locks no rows: run the cases of the servers")
    store = store_factory(Deferred, OrmOutbox, host_database)()
    for name in ("a", "b"):
        store.add(call(name))
    claimed_ids: list[str] = []
    with transaction.atomic(using=host_database):
        Deferred.objects.using(host_database).select_for_update().get(id="a")
        thread = Thread(
            target=lambda: claimed_ids.extend(
                entry.id for entry in OrmOutbox(host_database).claim(9, 60.0, 5)
            )
        )
        thread.start()
        thread.join()
    assert ["b"] == claimed_ids


def call(name: str) -> OutboxEntry:
    """Return a stored call that is due."""
    return OutboxEntry(id=name, target="shop", operation="call", added_at=datetime.now(UTC))


def store_factory(table: Any, kind: Callable[[str], Any], alias: str) -> Callable[[], Any]:
    """Return a factory that makes empty stores."""

    def new_store() -> Any:
        table.objects.using(alias).all().delete()
        return kind(alias)

    return new_store
