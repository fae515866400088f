"""A process with an integration log: it ends by itself, forks, or is killed.

Run with the log's URL, the prefix of its table, and what it does.
"""

from __future__ import annotations

import os
import sys
import time
from threading import Event
from typing import TYPE_CHECKING, Any

from moorage.testing.kits.integration_log_conformance import entry
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from collections.abc import Callable


def ends(open_: Callable[..., Any]) -> None:
    """Write entries and come to an end long before a thread would write them."""
    log = open_(every=3_600.0)
    for number in range(3):
        log.write(entry(number))


def forks(open_: Callable[..., Any]) -> None:
    """Leave an entry in the queue, and fork a child that has one of its own."""
    log = open_(every=3_600.0)
    log.write(entry(0))
    child = os.fork()
    if not child:
        log.write(entry(1))
        log.close()
        os._exit(0)
    os.waitpid(child, 0)


def waits(open_: Callable[..., Any]) -> None:
    """Say which entry is in the table, leave others in the queue, and wait to be killed."""
    log, other = open_(every=0.05), open_(every=3_600.0)
    log.write(entry(0))
    while log._queue._waiting:  # noqa: SLF001 - asking would write them
        time.sleep(0.01)
    with log._queue._writing:  # noqa: SLF001 - the batch is committed
        pass
    for number in range(1, 4):
        other.write(entry(number))
    os.write(1, b"written\n")
    Event().wait()


if __name__ == "__main__":
    url, prefix, name = sys.argv[1:]
    {"ends": ends, "forks": forks, "waits": waits}[name](
        lambda **options: open_log(url, prefix=prefix, timeout=30.0, **options)
    )
