"""Shared state in Django's database."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import pytest

from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of, waiting_at_most
from moorage_django.guard import log_errors
from moorage_django.state import AsyncOrmStorage, OrmStorage
from tests.adapters.memory_commands import ReadCommand

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.domain.state.commands import States


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
def test_store_passes_the_timed_conformance_checks(
    check: kit.TimedCheck, store: OrmStorage
) -> None:
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


class TaskTimeout(Exception):
    """The exception for a task's time limit, like Celery's `SoftTimeLimitExceeded`."""


@pytest.fixture
def _time_limit() -> Generator[None]:
    """Install a signal handler that raises TaskTimeout."""

    def end_task(*_: object) -> None:
        raise TaskTimeout

    before = signal.signal(signal.SIGUSR1, end_task)
    yield
    signal.signal(signal.SIGUSR1, before)


class InterruptedCommand(ReadCommand):
    """A command that a time limit interrupts."""

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Raise the signal."""
        signal.raise_signal(signal.SIGUSR1)
        return super().apply(states, now)


@pytest.mark.usefixtures("_time_limit")
def test_time_limit_of_a_task_is_raised_from_a_store_command(store: OrmStorage) -> None:
    """An exception that a signal handler raises during a store's command reaches the task."""
    with pytest.raises(TaskTimeout):
        store.post(InterruptedCommand("key"))
    assert store.execute(ReadCommand("key")) == (None,)


@pytest.mark.usefixtures("_time_limit")
def test_time_limit_of_a_task_is_raised_from_background_work() -> None:
    """Background work logs its errors, and passes on the exception of a signal handler."""
    with pytest.raises(TaskTimeout), log_errors("The work", "Repeat it."):
        signal.raise_signal(signal.SIGUSR1)
