"""Durable commands of the SQLite store return only when they are on disk."""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from moorage import ConnectorManager, RateLimitConfig, Service
from moorage.adapters.state import _sqlite_engine as engine
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.idempotency.claims import Verdict, store_answer
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.values.durations import DAY, SECOND
from moorage.errors import StorageUnavailable
from tests.adapters.memory_commands import Put, ReadCommand
from tests.adapters.sqlite_harness import DurablePut, claim, engine_of, values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_random_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off the housekeeping that the store starts at random."""
    monkeypatch.setattr(engine, "randrange", lambda _: 0)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Return a path for a new file."""
    return tmp_path / "state.db"


@pytest.fixture(name="store")
def _store(path: Path) -> Iterator[SqliteStorage]:
    """Return a store for this test."""
    with SqliteStorage(path) as store:
        yield store


@pytest.fixture(name="flushed")
def _flushed_files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list that records each file flushed to disk."""
    from moorage.adapters.state import _sqlite_flush  # noqa: PLC0415 - what it does is watched

    flushed_files: list[int] = []
    flush = _sqlite_flush.flush_data

    def note_call(file: int) -> None:
        flushed_files.append(file)
        flush(file)

    monkeypatch.setattr(_sqlite_flush, "flush_data", note_call)
    return flushed_files


def test_only_claims_wait_for_the_disk(store: SqliteStorage, flushed: list[int]) -> None:
    """An idempotency claim is flushed to disk before the claim returns.

    Counters are not flushed.
    """
    service = Service("vat", limits=RateLimitConfig.per_second(9))
    ConnectorManager([service], state=store).run("vat", lambda: None)
    flushes_before = len(flushed)
    claim_answer = store.execute(claim())
    flushes_of_one = len(flushed)
    store.execute(claim())
    flushes_of_two = len(flushed)
    store.execute(store_answer("claim", claim_answer.fence, b"paid", ttl=DAY))

    assert (0, 1, 1, 2) == (flushes_before, flushes_of_one, flushes_of_two, len(flushed))


def test_posts_wait_for_no_disk(store: SqliteStorage, flushed: list[int]) -> None:
    """Posted commands are not flushed to disk by themselves, only with a later durable command."""
    store.post(DurablePut("posted", "a"))
    flushes_after_post = len(flushed)
    store.execute(ReadCommand("a"))
    looked = len(flushed)
    store.execute(claim())

    assert (0, 0, 1) == (flushes_after_post, looked, len(flushed))


@pytest.mark.parametrize(
    "number, remedy", [(errno.EIO, "Check the disk"), (errno.EMFILE, "limit of open files")]
)
def test_failed_flush_fails_the_claim(
    store: SqliteStorage,
    flushed: list[int],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    remedy: str,
) -> None:
    """If flushing to disk fails, the claim raises an error, which blames the disk or the limit."""
    from moorage.adapters.state import _sqlite_flush  # noqa: PLC0415 - what it does is replaced

    def fail_to_flush(file: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(_sqlite_flush, "flush_data", fail_to_flush)
        with pytest.raises(StorageUnavailable, match="could not be written to the disk") as excinfo:
            store.execute(claim())
    assert remedy in excinfo.value.remedy

    assert Verdict.RUN is store.execute(claim()).verdict
    assert 1 == len(flushed)


def test_durable_commands_that_commit_during_flush_share_next_flush(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durable commands that commit during a flush share the next flush."""
    from moorage.adapters.state import _sqlite_flush  # noqa: PLC0415 - what it does is replaced

    store.execute(Put("old", "a"))
    flushed_files, start_event, may = [], threading.Event(), threading.Event()

    def flush_slowly(file: int) -> None:
        flushed_files.append(file)
        start_event.set()
        assert may.wait(20)

    monkeypatch.setattr(_sqlite_flush, "flush_data", flush_slowly)
    first = threading.Thread(target=store.execute, args=[DurablePut(0, "k0")])
    first.start()
    assert start_event.wait(20)
    other_threads = [
        threading.Thread(target=store.execute, args=[DurablePut(n, f"k{n}")]) for n in range(1, 9)
    ]
    for thread in other_threads:
        thread.start()
    while values(store, *[f"k{n}" for n in range(1, 9)]) != [*range(1, 9)]:
        time.sleep(0.001)
    tickets = engine_of(store).flush.ticket.__self__  # type: ignore[attr-defined]  # of a bound method
    while "count(11)" != repr(tickets):  # until all commands wait for the next flush
        time.sleep(0.001)
    may.set()
    for thread in (first, *other_threads):
        thread.join(20)

    assert 2 == len(flushed_files)


def test_flush_after_the_journal_was_moved(path: Path, store: SqliteStorage) -> None:
    """After the last connection closes, the write-ahead log is gone, and no flush is needed."""
    store.execute(Put("old", "a"))
    store.close()

    engine_of(store).flush(engine_of(store).flush.ticket())

    assert not path.with_name("state.db-wal").exists()


def test_rate_limit_token_is_given_back_if_its_claim_flush_fails(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a claim's flush fails, the rate limit token granted with it is given back."""
    from moorage.adapters.state import _sqlite_flush  # noqa: PLC0415 - what it does is watched

    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["limit"])
    admission = Admission(gates, within=10 * SECOND, lease=1)
    fencing_token = store.execute(claim("key")).fence
    store.execute(admission)

    def fail_to_flush(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(_sqlite_flush, "flush_data", fail_to_flush)
        with pytest.raises(StorageUnavailable, match="could not be written to the disk"):
            store.execute(admission.evolve(claim=("key", fencing_token, "vendor")))

    assert store.execute(admission)[1] <= SECOND
