"""Inbox and outbox in Django's database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connections, transaction

from moorage.domain.entries.queue import EntryQuery, EntryState, finish
from moorage.hub.outbox import OutboxEntry
from moorage.testing import inbox_conformance, outbox_conformance
from moorage.testing.kits.checks import name_of
from moorage_django.entries import AsyncOrmInbox, AsyncOrmOutbox, OrmInbox, OrmOutbox
from moorage_django.models import Deferred, Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.kits._entries_checks import AsyncCheck, Check


pytestmark = pytest.mark.usefixtures("plain_in_a_loop")


@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_the_inbox_conforms(check: Check, home: str) -> None:
    """The inbox keeps the contract of its port."""
    check(emptied(Webhook, OrmInbox, home))


@pytest.mark.parametrize("check", inbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_the_inbox_conforms_awaited(check: AsyncCheck, home: str) -> None:
    """The awaited inbox keeps the contract of its port."""
    asyncio.run(check(emptied(Webhook, AsyncOrmInbox, home)))


@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_the_outbox_conforms(check: Check, home: str) -> None:
    """The outbox keeps the contract of its port."""
    check(emptied(Deferred, OrmOutbox, home))


@pytest.mark.parametrize("check", outbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_the_outbox_conforms_awaited(check: AsyncCheck, home: str) -> None:
    """The awaited outbox keeps the contract of its port."""
    asyncio.run(check(emptied(Deferred, AsyncOrmOutbox, home)))


def test_a_renewal_uses_a_connection_of_its_own_and_closes_it(home: str) -> None:
    """What renews an entry in another thread leaves no connection open there."""
    store = emptied(Webhook, OrmInbox, home)()
    store.due(1)
    results: list[Any] = []

    def renewing() -> None:
        store.due(1)
        results.append(connections[home].connection is None)
        store.release_thread()
        results.append(connections[home].connection is None)

    thread = Thread(target=renewing)
    thread.start()
    thread.join()
    assert [False, True] == results
    assert connections[home].connection is not None


def test_leases_outlast_transactions_of_a_file(home: str) -> None:
    """In a file, where a handler's transaction keeps renewals out, entries are taken for longer."""
    target = 10.0 if connections[home].vendor == "sqlite" else 1.5
    assert target == OrmInbox(home).shortest_lease == AsyncOrmInbox(home).shortest_lease


def test_workers_claim_different_calls_together(home: str) -> None:
    """Of ten calls two workers have each call once, and late results change nothing."""
    store = emptied(Deferred, OrmOutbox, home)()
    for number in range(10):
        store.add(call(f"call-{number}"))
    first = store.claim(4, 60.0, 5)
    later = asyncio.run(AsyncOrmOutbox(home).claim(10, 60.0, 5))

    assert [1] * 10 == [entry.fence for entry in (*first, *later)]
    assert 10 == len({entry.id for entry in (*first, *later)})
    done = [finish(entry, store.now()) for entry in first]
    assert [True, False] == store.settle(done[:2], [1, 0])
    assert [False, True] == asyncio.run(AsyncOrmOutbox(home).settle(done[:2], [7, 1]))
    results = store.find(EntryQuery(states=(EntryState.DONE,))).items
    assert {entry.id for entry in done[:2]} == {entry.id for entry in results}


def test_a_call_that_another_worker_locks_is_passed_over(home: str) -> None:
    """Where the database can, a worker does not wait for the rows that another one takes."""
    features = connections[home].features
    if not features.has_select_for_update_skip_locked:
        pytest.skip("this database locks no rows: run the cases of the servers")
    store = emptied(Deferred, OrmOutbox, home)()
    for name in ("a", "b"):
        store.add(call(name))
    claimed: list[str] = []
    with transaction.atomic(using=home):
        Deferred.objects.using(home).select_for_update().get(id="a")
        thread = Thread(
            target=lambda: claimed.extend(entry.id for entry in OrmOutbox(home).claim(9, 60.0, 5))
        )
        thread.start()
        thread.join()
    assert ["b"] == claimed


def call(name: str) -> OutboxEntry:
    """A call that is due."""
    return OutboxEntry(id=name, target="shop", operation="call", added_at=datetime.now(UTC))


def emptied(table: Any, kind: Callable[[str], Any], alias: str) -> Callable[[], Any]:
    """What makes a store without entries."""

    def made() -> Any:
        table.objects.using(alias).all().delete()
        return kind(alias)

    return made
