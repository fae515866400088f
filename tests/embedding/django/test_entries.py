"""Inbox and outbox in Django's database."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connections

from moorage.testing import inbox_conformance, outbox_conformance
from moorage.testing.checks import name_of
from moorage_django.entries import AsyncOrmInbox, AsyncOrmOutbox, OrmInbox, OrmOutbox
from moorage_django.models import Deferred, Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing._entries_checks import AsyncCheck, Check


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
    found: list[Any] = []

    def renewing() -> None:
        store.due(1)
        found.append(connections[home].connection is None)
        store.release_thread()
        found.append(connections[home].connection is None)

    thread = Thread(target=renewing)
    thread.start()
    thread.join()
    assert [False, True] == found
    assert connections[home].connection is not None


def emptied(table: Any, kind: Callable[[str], Any], alias: str) -> Callable[[], Any]:
    """What makes a store without entries."""

    def made() -> Any:
        table.objects.using(alias).all().delete()
        return kind(alias)

    return made
