"""A process that uses an integration log, and then ends normally, forks, or is killed.

The arguments are the log's URL, the prefix of its table, and the name of the function to run.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage import ConnectorManager, LogEntriesLost, Service, StorageUnavailable
from moorage.testing import VirtualClock
from moorage.testing.kits.integration_log_conformance import entry
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import Event


def ends(open_: Callable[..., Any]) -> None:
    """Write entries and end the process long before the background thread would store them."""
    log = open_(every=3_600.0)
    for number in range(3):
        log.write(entry(number))


def forks(open_: Callable[..., Any]) -> None:
    """Queue a log entry, and fork a child that queues its own entry."""
    log = open_(every=3_600.0)
    log.write(entry(0))
    child = os.fork()
    if not child:
        log.write(entry(1))
        log.close()
        os._exit(0)
    os.waitpid(child, 0)


def forks_by_multiprocessing(open_: Callable[..., Any]) -> None:
    """Queue a log entry here, and another in a child process of multiprocessing."""
    log = open_(every=3_600.0)
    log.write(entry(0))
    child = multiprocessing.get_context("fork").Process(target=lambda: log.write(entry(1)))
    child.start()
    child.join()


def forks_by_celery(open_: Callable[..., Any]) -> None:
    """Queue a log entry in this process, and another in a child that exits like a Celery worker."""
    from celery.concurrency.prefork import process_destructor  # noqa: PLC0415 - optional

    log = open_(every=3_600.0)
    log.write(entry(0))
    child = os.fork()
    if not child:
        log.write(entry(1))
        process_destructor(os.getpid(), 0)
        os._exit(0)
    os.waitpid(child, 0)


def wait_with_queued_entries(open_: Callable[..., Any]) -> None:
    """Store one log entry, queue three others, print "written", and wait to be killed."""
    log, other_log = open_(every=0.05), open_(every=3_600.0)
    log.write(entry(0))
    while log._queue._waiting:  # noqa: SLF001 - asking would write them
        time.sleep(0.01)
    with log._queue._writing:  # noqa: SLF001 - the batch is committed
        pass
    for number in range(1, 4):
        other_log.write(entry(number))
    os.write(1, b"written\n")
    threading.Event().wait()


def ends_by_signal(open_: Callable[..., Any]) -> None:
    """Queue entries, print a line, and wait for a signal."""
    log = open_(every=3_600.0)
    for number in range(3):
        log.write(entry(number))
    os.write(1, b"written\n")
    threading.Event().wait()


def flushes_at_the_signal(open_: Callable[..., Any]) -> None:
    """Receive the signal while the main thread holds the lock of the log's queue, as in a flush."""
    log = open_(every=3_600.0)
    log.write(entry(0))
    with log._queue._writing:  # noqa: SLF001 - as `flush` does
        os.write(1, b"written\n")
        threading.Event().wait()


def fills_the_disk(open_: Callable[..., Any]) -> None:
    """Make calls while the log file cannot grow, and print the calls' outcomes."""
    lost_events: list[LogEntriesLost] = []

    def observer(event: Event, /) -> None:
        if isinstance(event, LogEntriesLost):
            lost_events.append(event)

    log = open_(threads=False, max_waiting=50)
    log.write(entry(0))
    log.flush()
    limit = Path(url.removeprefix("sqlite:///")).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    succeeded_calls = refused_writes = 0
    clock = VirtualClock()
    with ConnectorManager(
        [Service("v", base_url="https://v.example")], log=log, observers=[observer], clock=clock
    ) as manager:
        for _ in range(100):
            succeeded_calls += sum(manager.run("v", lambda: 1) for _ in range(20))
            try:
                log.flush()
            except StorageUnavailable:
                refused_writes += 1
        clock.advance(1.0)  # lost entries are reported once a second
        manager.run("v", lambda: 1)
    counts = (
        succeeded_calls,
        refused_writes > 0,
        log.lost > 0,
        log.lost == sum(event.entries for event in lost_events),
    )
    os.write(1, repr(counts).encode())
    os._exit(0)


def handles_the_signal(open_: Callable[..., Any]) -> None:
    """Install a signal handler as a host program would; the handler ends the program normally."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    ends_by_signal(open_)


if __name__ == "__main__":
    url, prefix, name = sys.argv[1:]
    {
        "ends": ends,
        "forks": forks,
        "forks by multiprocessing": forks_by_multiprocessing,
        "forks by Celery": forks_by_celery,
        "waits": wait_with_queued_entries,
        "ends_by_signal": ends_by_signal,
        "flushes_at_the_signal": flushes_at_the_signal,
        "fills_the_disk": fills_the_disk,
        "handles_the_signal": handles_the_signal,
    }[name](lambda **options: open_log(url, prefix=prefix, timeout=30.0, **options))
