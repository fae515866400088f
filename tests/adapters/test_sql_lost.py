"""Lost database connections, and stores across forks, event loops and closing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage
from moorage.domain.idempotency.claims import Verdict, release_claim
from moorage.domain.values.durations import DAY
from moorage.errors import InvalidData, StorageUnavailable
from tests.adapters.forked import run_in_forked_child
from tests.adapters.sql_harness import (
    PATIENCE,
    Append,
    Harness,
    Proxy,
    RacingAppend,
    ReadCommand,
    commit_request,
    fail_once,
    harnesses,
    new_claim,
    new_key,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy


# --- lost connections -------------------------------------------------------------


def test_a_stale_connection_is_replaced(harness: Harness) -> None:
    """Idle connections that the database server closed are replaced without an error."""
    store, key = harness.sync_store(), new_key()
    store.execute(Append(1, key))
    assert harness.terminate()

    store.execute(Append(2, key))

    assert ((1, 2),) == values(store, key)


@pytest.mark.parametrize("sent_once", [True, False])
def test_uncommitted_commands_are_retried(harness: Harness, *, sent_once: bool) -> None:
    """A command whose connection is lost before the commit is retried."""
    key = new_key()
    command_text = b"moorage_lock_1\0" if harness.kind == "postgresql" else b"FOR UPDATE"
    harness.sync_store().execute(Append(1, key))
    with Proxy(harness.url, fail_once(command_text, "after")) as proxy:
        store = harness.sync_store(proxy.url)

        store.execute(Append(2, key, once=sent_once))

        assert 2 == proxy.met
        assert ((1, 2),) == values(store, key)


def test_uncommitted_commands_are_retried_asynchronously(harness: Harness) -> None:
    """An asynchronous command whose connection is lost before the commit is retried."""
    key = new_key()
    command_text = b"moorage_lock_1\0" if harness.kind == "postgresql" else b"FOR UPDATE"

    async def try_command(url: sqlalchemy.URL) -> None:
        async with harness.async_store(url) as store:
            await store.execute(Append(1, key))

    with Proxy(harness.url, fail_once(command_text, "after")) as proxy:
        asyncio.run(try_command(proxy.url))

        assert 2 == proxy.met
        assert ((1,),) == values(harness.sync_store(), key)


@pytest.mark.parametrize("happened", ["before", "after"])
def test_unrepeatable_command_with_unknown_outcome_is_not_retried(
    harness: Harness, happened: str
) -> None:
    """If a commit has no reply, a command that may run only once fails with an unknown outcome."""
    key = new_key()
    harness.sync_store().execute(Append(1, key))
    with Proxy(harness.url, fail_once(commit_request(harness.kind), happened)) as proxy:
        store = harness.sync_store(proxy.url)

        with pytest.raises(StorageUnavailable, match="unknown outcome"):
            store.execute(Append(2, key))

        assert ((1, 2) if happened == "after" else (1,),) == values(store, key)


@pytest.mark.parametrize("happened", ["before", "after"])
def test_repeatable_command_with_unknown_outcome_is_retried(
    harness: Harness, happened: str
) -> None:
    """A repeatable command whose commit has no reply is retried, and returns its result."""
    key = new_key()
    with Proxy(harness.url, fail_once(commit_request(harness.kind), happened)) as proxy:
        claim_answer = harness.sync_store(proxy.url).execute(new_claim(key))

        assert (Verdict.RUN, 2) == (claim_answer.verdict, proxy.met)


def test_a_silent_server_is_given_up(harness: Harness) -> None:
    """If a database server stops responding, a command fails at its timeout."""
    with Proxy(harness.url, _silence_from(b"FOR UPDATE")) as proxy:
        store = harness.sync_store(proxy.url, timeout=0.2)

        with pytest.raises(StorageUnavailable, match="in time"):
            store.execute(Append(1, new_key()))


def test_a_silent_server_is_given_up_async(harness: Harness) -> None:
    """If a database server stops responding, an asynchronous command fails at its timeout."""

    async def use_store(url: sqlalchemy.URL) -> None:
        async with harness.async_store(url, timeout=0.2) as store:
            with pytest.raises(StorageUnavailable, match="in time"):
                await store.execute(Append(1, new_key()))

    with Proxy(harness.url, _silence_from(b"FOR UPDATE")) as proxy:
        asyncio.run(use_store(proxy.url))


def _silence_from(command_text: bytes) -> Callable[[bytes], str | None]:
    received_chunks: list[bytes] = []

    def fall_silent(chunk: bytes) -> str | None:
        received_chunks.extend([chunk] if command_text in chunk else [])
        return "never" if received_chunks else None

    return fall_silent


def test_error_for_unreachable_database_server_has_its_address_without_password() -> None:
    """The error for an unreachable database server has its address without the password."""
    for url in (
        "postgresql://me:hunter2@127.0.0.1:1/db?sslpassword=hunter3",
        "mysql://me:hunter2@127.0.0.1:1/db",
    ):
        store = SqlStorage(url, timeout=PATIENCE)
        with pytest.raises(StorageUnavailable, match=r"me:\*\*\*@127.0.0.1:1/db") as excinfo:
            store.execute(ReadCommand("a"))

        error = excinfo.value
        shown_error = f"{error!r} {error.__cause__!r} {store!r} {pickle.dumps(error)!r}"
        assert "hunter" not in shown_error
        assert "refused the connection" in shown_error


def test_asynchronous_store_error_for_unreachable_server_has_no_password_in_it() -> None:
    """The asynchronous store's error for an unreachable server does not contain the password."""

    async def try_command(url: str) -> None:
        store = AsyncSqlStorage(url, timeout=0.2)
        with pytest.raises(StorageUnavailable, match=r"me:\*\*\*@127.0.0.1:1/db") as excinfo:
            await store.execute(ReadCommand("a"))
        assert "hunter" not in f"{excinfo.value!r} {excinfo.value.__cause__!r} {store!r}"

    for kind in ("postgresql", "mysql"):
        asyncio.run(try_command(f"{kind}://me:hunter2@127.0.0.1:1/db"))


def test_refused_login_is_reported(harness: Harness) -> None:
    """The error for a rejected login states this cause, without the password."""
    store = harness.sync_store(harness.url.set(username="nobody", password="hunter2"))

    with pytest.raises(StorageUnavailable, match=r"(?i)user") as excinfo:
        store.execute(ReadCommand("a"))

    assert "hunter2" not in repr(excinfo.value)


def test_posting_command_while_server_is_unreachable_raises_nothing() -> None:
    """Posting a command while the server is unreachable raises nothing."""
    store = SqlStorage("postgresql://127.0.0.1:1/db", timeout=0.2)

    store.post(Append(1, "a"))
    store.post(Append(2, "a"))

    with pytest.raises(StorageUnavailable):
        store.execute(ReadCommand("a"))


# --- posted commands -------------------------------------------------------------


def test_posts_during_a_command_wait_for_its_end(sql_store: SqlStorage) -> None:
    """A command that a finaliser posts while another command runs is executed after it."""
    key = new_key()
    sql_store.execute(Append(1, key))

    sql_store.execute(RacingAppend(lambda: sql_store.post(Append(3, key)), 2, key))

    assert ((1, 2, 3),) == values(sql_store, key)


def test_failing_post_does_not_stop_others(sql_store: SqlStorage) -> None:
    """A posted command that raises is dropped, and the other posted commands run."""
    key = new_key()

    def raise_error() -> None:
        raise InvalidData("no")

    def post() -> None:
        sql_store.post(RacingAppend(raise_error, 1, key))
        sql_store.post(Append(2, key))

    sql_store.execute(RacingAppend(post, 0, new_key()))

    assert ((2,),) == values(sql_store, key)


@pytest.mark.parametrize("once, appended", [(False, (1, 2)), (True, (2,))])
def test_only_repeatable_posts_survive_an_outage(
    sql_store: SqlStorage, appended: tuple[int, ...], *, once: bool
) -> None:
    """A posted command that fails in an outage is run with the next command, if repeatable."""
    key = new_key()

    def raise_error() -> None:
        raise StorageUnavailable("away")

    sql_store.post(RacingAppend(raise_error, 1, key, once=once))
    sql_store.execute(Append(2, key))

    assert (appended,) == values(sql_store, key)


def test_post_on_unreadable_state_does_not_block_later_commands(harness: Harness) -> None:
    """A posted command on a state of a newer release is dropped, and later commands succeed."""
    store, newer_key, key = harness.sync_store(), new_key(), new_key()
    store.execute(new_claim(newer_key))
    harness.run(f"UPDATE {harness.table} SET state = :state", state=b"\x02")

    store.execute(RacingAppend(lambda: store.post(release_claim(newer_key, 1, ttl=DAY)), 1, key))
    store.post(Append(2, key))
    store.execute(Append(3, key))

    assert ((1, 2, 3),) == values(store, key)


# --- forks, event loops and closing -----------------------------------------------


def test_forked_child_opens_its_own_connections(harness: Harness) -> None:
    """A forked child opens its own connections.

    When the child ends, the parent's connections stay open.
    """
    store, key = harness.sync_store(), new_key()
    store.execute(Append(1, key))
    previous_backends = harness.backends()

    def run_in_child() -> object:
        result = store.execute(Append(2, key))[1]
        store.close()
        gc.collect()
        return result

    result = run_in_forked_child(run_in_child)
    store.execute(Append(3, key))

    assert ((1,),) == result
    assert ((1, 2, 3),) == values(store, key)
    assert set(previous_backends) <= set(harness.backends())


def test_store_can_be_used_in_one_event_loop_after_another(harness: Harness) -> None:
    """A store can be used in one event loop after another."""
    store, key = harness.async_store(), new_key()

    async def use_and_close() -> tuple[Any, ...]:
        async with store:
            return (await store.execute(ReadCommand(key)))[1]

    with warnings.catch_warnings():
        # A transport that its ended loop has left complains when it is garbage-collected.
        warnings.simplefilter("ignore", ResourceWarning)
        for number in range(3):
            asyncio.run(_append(store, number, key))
        result = asyncio.run(use_and_close())
        gc.collect()

    assert ((0, 1, 2),) == result


async def _append(store: AsyncSqlStorage, number: int, key: str) -> None:
    await store.execute(Append(number, key))


def test_a_store_is_used_in_two_event_loops_at_once(harness: Harness) -> None:
    """Two event loops use one store with separate connections, up to one common maximum."""
    store, key = harness.async_store(connections=2), new_key()
    met_barrier = threading.Barrier(2)

    async def append(number: int) -> None:
        for attempt in range(10):
            await store.execute(Append(10 * number + attempt, key))
            if not attempt:
                met_barrier.wait(PATIENCE)
        await store.execute(ReadCommand(key))

    with warnings.catch_warnings():
        # A transport that its ended loop has left complains when it is garbage-collected.
        warnings.simplefilter("ignore", ResourceWarning)
        threads = [
            threading.Thread(target=asyncio.run, args=(append(number),)) for number in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        asyncio.run(store.aclose())
        gc.collect()

    (results,) = values(harness.sync_store(), key)
    assert list(range(20)) == sorted(results)


def test_closed_store_refuses_commands(harness: Harness) -> None:
    """A closed store refuses commands, and has closed its connections."""
    with harness.sync_store() as store:
        store.execute(Append(1, new_key()))

    with pytest.raises(StorageUnavailable, match="closed") as excinfo:
        store.execute(ReadCommand("a"))
    assert not excinfo.value.retryable


def test_a_store_that_is_closed_in_the_middle_ends_its_command(harness: Harness) -> None:
    """Closing a store during a command lets the command finish."""
    store, key = harness.sync_store(), new_key()

    store.execute(RacingAppend(store.close, 1, key))

    assert ((1,),) == values(harness.sync_store(), key)


def test_close_waits_for_posts(harness: Harness) -> None:
    """Closing an asynchronous store waits until its posted commands have run."""
    key = new_key()

    async def post_and_close() -> None:
        async with harness.async_store() as store:
            store.post(Append(1, key))

    asyncio.run(post_and_close())

    assert ((1,),) == values(harness.sync_store(), key)


@pytest.mark.untraced
@pytest.mark.parametrize("kind, task_count", [("postgresql", 10_000), ("mariadb", 1_000)])
def test_thousands_of_tasks_queue_for_five_connections(kind: str, task_count: int) -> None:
    """Thousands of concurrent tasks are served over five connections."""
    keys = [new_key() for _ in range(100)]

    async def execute_many() -> tuple[int, list[int]]:
        async with harness.async_store(timeout=600, connections=5) as store:
            await asyncio.gather(
                *(store.execute(Append(n, keys[n % 100])) for n in range(task_count))
            )
            counts = [len((await store.execute(ReadCommand(key)))[1][0]) for key in keys]
            return len(harness.backends()), counts

    with harnesses(kind) as harness:
        assert (5, [task_count // 100] * 100) == asyncio.run(execute_many())


def test_wait_for_a_connection_is_bounded(harness: Harness) -> None:
    """Waiting too long for a free connection raises an error."""
    store = harness.sync_store(connections=1, timeout=1.0)

    def run_beside() -> None:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join(PATIENCE)

    def attempt() -> None:
        with pytest.raises(StorageUnavailable, match="no free connection"):
            store.execute(ReadCommand(new_key()))
        reports.append(True)

    reports: list[bool] = []
    with contextlib.suppress(StorageUnavailable):  # the command itself may time out
        store.execute(RacingAppend(run_beside, 1, new_key()))

    assert [True] == reports
