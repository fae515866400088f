"""Many processes on one database, some of which are killed or lose their connections."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage.errors import StorageUnavailable
from moorage.testing.kits._state_commands import AppendResult, require_one_order
from tests.adapters.sql_harness import PATIENCE, Append, Harness, new_key, values
from tests.adapters.sql_storm import EACH, THREADS

if TYPE_CHECKING:
    from moorage.adapters.state.sql import SqlStorage

PROCESSES = 4


def _program(harness: Harness, task: str, *arguments: str) -> subprocess.Popen[str]:
    url = harness.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.sql_storm", task, url, harness.prefix, *arguments],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("process_count", [1, 4])
def test_concurrent_appends_on_overlapping_keys_are_neither_lost_nor_duplicated(
    harness: Harness, sql_store: SqlStorage, process_count: int
) -> None:
    """Concurrent appends on overlapping keys are neither lost nor duplicated."""
    keys = [new_key() for _ in range(process_count)]
    programs = [_program(harness, "append", str(number), *keys) for number in range(PROCESSES)]
    history: list[AppendResult] = []
    errors: list[str] = []
    for program in programs:
        done_count, process_errors = json.loads(program.communicate(timeout=4 * PATIENCE)[0])
        errors += process_errors
        for number, key_names, now, result, start_time, finish_time in done_count:
            earlier_appends = tuple(map(tuple, result))
            history.append(
                AppendResult(
                    number, tuple(key_names), now, earlier_appends, start_time, finish_time
                )
            )

    logs = {key: log or () for key, log in zip(keys, values(sql_store, *keys), strict=True)}

    assert [] == errors
    assert PROCESSES * THREADS * EACH == len(history)
    require_one_order(history, logs)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_process_killed_or_stopped_inside_transaction_does_not_block_others(
    harness: Harness, sql_store: SqlStorage, how: signal.Signals
) -> None:
    """A process killed or stopped inside a transaction does not block others."""
    key = new_key()
    sql_store.execute(Append(0, key))
    program = _program(harness, "hang", key)
    assert program.stdout is not None
    try:
        assert "locked\n" == program.stdout.readline()
        program.send_signal(how)

        sql_store.execute(Append(2, key))

        assert ((0, 2),) == values(sql_store, key)
    finally:
        program.kill()
        program.communicate()


@pytest.mark.untraced
def test_connections_that_are_cut_under_load_lose_nothing(harness: Harness) -> None:
    """While the server cuts connections, each write that was confirmed is stored exactly once."""
    store, keys = harness.sync_store(connections=4), [new_key(), new_key()]
    answered_commands: list[int] = []
    other_errors: list[BaseException] = []
    end_event = threading.Event()

    def append_rows(thread: int) -> None:
        for number in range(thread * 200, thread * 200 + 200):
            try:
                store.execute(Append(number, *keys[number % 2 :]))
            except StorageUnavailable:
                continue
            except BaseException as error:  # noqa: BLE001 - it is looked at
                other_errors.append(error)
            answered_commands.append(number)

    def cut_connections() -> None:
        while not end_event.wait(0.05):
            harness.terminate()

    threads = [threading.Thread(target=append_rows, args=(thread,)) for thread in range(4)]
    cutter = threading.Thread(target=cut_connections)
    for thread in (*threads, cutter):
        thread.start()
    for thread in threads:
        thread.join(4 * PATIENCE)
    end_event.set()
    cutter.join(PATIENCE)

    first, second = (log or () for log in values(harness.sync_store(), *keys))
    assert [] == other_errors
    assert len(set(second)) == len(second)
    assert set(answered_commands) <= set(second)
    assert [number for number in second if not number % 2] == list(first)
