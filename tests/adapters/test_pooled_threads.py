"""Functions in the threads of an executor: a function whose thread was refused never runs."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor, Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from moorage import AsyncOutbox, Request, StorageUnavailable
from moorage.adapters.concurrency.pooled_threads import submit, to_thread
from moorage.adapters.entries.sqlite import AsyncSqliteOutbox
from moorage.adapters.state.sqlite import AsyncSqliteStorage
from moorage.errors import LocalFailure
from moorage.hub.outbox import EntryQuery
from tests.support.threads import no_new_threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFUSAL = "could not start another thread"
language: ContextVar[str] = ContextVar("language", default="en")


def _fail() -> NoReturn:
    raise LookupError("No.")


def test_results_errors_and_context_pass_through() -> None:
    """The caller gets the result or the error; the function sees the caller's context."""

    async def check() -> None:
        language.set("de")
        assert "de" == await to_thread(language.get)
        assert 8 == await to_thread(pow, 2, exp=3)
        with pytest.raises(LookupError, match="No"):
            await to_thread(_fail)

    asyncio.run(check())


def test_refused_function_does_not_run_later() -> None:
    """The next thread of the event loop does not run a function that was refused before."""
    calls: list[str] = []

    async def check() -> None:
        with no_new_threads(), pytest.raises(LocalFailure, match=REFUSAL):
            await to_thread(calls.append, "refused")
        await to_thread(calls.append, "later")

    asyncio.run(check())
    assert ["later"] == calls


class _BusyExecutor(Executor):
    """An executor whose only thread takes a function while the system refuses another thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        thread = threading.Thread(target=fn, args=args, kwargs=kwargs)
        thread.start()
        thread.join()
        raise RuntimeError("can't start new thread")


def test_function_that_a_running_thread_has_begun_is_not_refused() -> None:
    """If a thread becomes free before the refusal, the caller gets the function's result."""
    assert 7 == submit(_BusyExecutor(), lambda: 7).result(60)


def test_entry_of_a_refused_put_is_not_stored_later(tmp_path: Path) -> None:
    """A program that repeats a refused `put` has one call in its outbox."""

    async def check() -> None:
        outbox = AsyncOutbox(AsyncSqliteOutbox(tmp_path / "shop.db", create=True))
        request = Request.post("/orders", json={"number": 1})
        with no_new_threads(), pytest.raises(StorageUnavailable, match=REFUSAL):
            await outbox.put_request("shop", request)
        await outbox.put_request("shop", request)
        assert 1 == len((await outbox.find(EntryQuery())).items)

    asyncio.run(check())


def test_state_store_without_threads_is_unavailable(tmp_path: Path) -> None:
    """The asynchronous SQLite store reports a refused thread as an outage with its reason."""

    async def check() -> None:
        store = AsyncSqliteStorage(tmp_path / "state.db")
        with no_new_threads(), pytest.raises(StorageUnavailable, match=REFUSAL):
            await store.migrate()
        await store.migrate()
        await store.aclose()

    asyncio.run(check())
