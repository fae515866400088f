"""A process that appends to keys at the same time as other processes."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from random import Random

from moorage.adapters.state.sql import SqlStorage
from moorage.errors import StorageUnavailable
from tests.adapters.sql_harness import PATIENCE, Append, RacingAppend

THREADS = 4
EACH = 40


def append(url: str, prefix: str, process: int, keys: list[str]) -> None:
    """Append from several threads, each time to several keys in another order."""
    store = SqlStorage(url, prefix=prefix, timeout=PATIENCE, connections=THREADS)
    history: list[object] = []
    errors: list[str] = []

    def append_rows(thread: int) -> None:
        generator = Random(f"{process} {thread}")
        for round_number in range(EACH):
            number = (process * THREADS + thread) * EACH + round_number
            chosen_keys = generator.sample(keys, generator.randint(1, len(keys)))
            start_time = time.perf_counter_ns()
            try:
                now, result = store.execute(Append(number, *chosen_keys))
            except StorageUnavailable as error:
                errors.append(str(error))
                continue
            history.append([number, chosen_keys, now, result, start_time, time.perf_counter_ns()])

    threads = [threading.Thread(target=append_rows, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    print(json.dumps([history, errors]))  # noqa: T201 - this is the answer


def hang_in_transaction(url: str, prefix: str, key: str) -> None:
    """Hang in the middle of a transaction forever."""

    def run_beside() -> None:
        print("locked", flush=True)  # noqa: T201 - this is the answer
        threading.Event().wait(PATIENCE * 10)

    SqlStorage(url, prefix=prefix, timeout=0.5).execute(RacingAppend(run_beside, 1, key))


if __name__ == "__main__":
    task, *arguments = sys.argv[1:]
    if task == "append":
        append(arguments[0], arguments[1], int(arguments[2]), arguments[3:])
    else:
        hang_in_transaction(*arguments)
    os._exit(0)
