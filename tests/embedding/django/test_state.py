"""Shared state in Django's database."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of, waiting_at_most
from moorage_django.state import AsyncOrmStorage, OrmStorage

if TYPE_CHECKING:
    from collections.abc import Generator


# Coverage of the kit and the core is measured with the core's own stores, and thousands of commands
# over an ORM take three times as long while they are measured.
pytestmark = pytest.mark.untraced


@pytest.fixture(autouse=True)
def _allow_slow_commands() -> Generator[None]:
    """Allow two minutes for commands that need much CPU time on a busy machine."""
    with waiting_at_most(120.0):
        yield


@pytest.fixture
def store(alias: str) -> OrmStorage:
    """Return the state store in a Django database."""
    return OrmStorage(alias)


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_store_passes_conformance_kit_of_its_port(check: kit.Check, store: OrmStorage) -> None:
    """The Django state store passes the conformance kit for stores."""
    check(lambda: store)


@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_conforms_in_time(check: kit.TimedCheck, store: OrmStorage) -> None:
    """The store keeps states until they expire according to the store's own clock."""
    check(lambda: (store, time.sleep))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_store_conforms(check: kit.AsyncCheck, alias: str) -> None:
    """The asynchronous Django state store passes the conformance kit for stores."""

    async def run_check() -> None:
        store = AsyncOrmStorage(alias)
        await check(lambda: store)
        await store.aclose()

    asyncio.run(run_check())


@pytest.mark.parametrize("check", kit.ASYNC_TIMED_CHECKS, ids=name_of)
def test_async_store_conforms_in_time(check: kit.AsyncTimedCheck, alias: str) -> None:
    """The asynchronous store keeps states until they expire according to the store's own clock."""

    async def run_check() -> None:
        store = AsyncOrmStorage(alias)
        await check(lambda: (store, time.sleep))
        await store.aclose()

    asyncio.run(run_check())
