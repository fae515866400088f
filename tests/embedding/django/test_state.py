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


@pytest.fixture(autouse=True)
def _patient() -> Generator[None]:
    """Wait two minutes for commands that need much CPU time, which a busy machine has not."""
    with waiting_at_most(120.0):
        yield


@pytest.fixture
def store(alias: str) -> OrmStorage:
    """A store."""
    return OrmStorage(alias)


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_conforms(check: kit.Check, store: OrmStorage) -> None:
    """The store keeps the contract of its port."""
    check(lambda: store)


@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_conforms_in_time(check: kit.TimedCheck, store: OrmStorage) -> None:
    """It keeps states for as long as they matter, and decides by its own time."""
    check(lambda: (store, time.sleep))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_conforms_awaited(check: kit.AsyncCheck, alias: str) -> None:
    """The asynchronous store keeps the contract of its port."""

    async def checked() -> None:
        store = AsyncOrmStorage(alias)
        await check(lambda: store)
        await store.aclose()

    asyncio.run(checked())


@pytest.mark.parametrize("check", kit.ASYNC_TIMED_CHECKS, ids=name_of)
def test_conforms_awaited_in_time(check: kit.AsyncTimedCheck, alias: str) -> None:
    """It keeps states for as long as they matter, and decides by its own time."""

    async def checked() -> None:
        store = AsyncOrmStorage(alias)
        await check(lambda: (store, time.sleep))
        await store.aclose()

    asyncio.run(checked())
