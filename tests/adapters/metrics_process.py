"""A process that counts calls, then ends normally, forks, or is killed.

The arguments are the metrics' URL, the table's prefix, and the name of the function to run.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Any

from moorage.domain.observation.call_events import CallFinished
from moorage.wiring.store_urls import open_metrics

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def finished_call(at: datetime = NOON, **changes: Any) -> CallFinished:
    """Return the event of a finished call."""
    fields: dict[str, Any] = {
        "at": at,
        "service": "stripe",
        "operation": "payments.charge",
        "tenant": "acme",
        "started_at": NOON,
        "duration": 0.5,
        "attempts": 1,
    }
    return CallFinished(**{**fields, **changes})


def ends(open_: Callable[..., Any]) -> None:
    """Count calls and end the process long before the background thread would store the metrics."""
    metrics = open_(every=3_600.0)
    for _ in range(3):
        metrics(finished_call())


def forks(open_: Callable[..., Any]) -> None:
    """Leave one call's metrics in memory, and fork a child that counts another call."""
    metrics = open_(every=3_600.0)
    metrics(finished_call())
    child = os.fork()
    if not child:
        metrics(finished_call())
        metrics.close()
        os._exit(0)
    os.waitpid(child, 0)


def wait_with_unstored_metrics(open_: Callable[..., Any]) -> None:
    """Store the metrics of one call, keep others in memory, and wait until killed."""
    metrics = open_(every=3_600.0)
    metrics(finished_call())
    metrics.flush()
    for _ in range(5):
        metrics(finished_call())
    os.write(1, b"stored\n")
    Event().wait()


if __name__ == "__main__":
    url, prefix, name = sys.argv[1:]
    {"ends": ends, "forks": forks, "waits": wait_with_unstored_metrics}[name](
        lambda **options: open_metrics(url, prefix=prefix, timeout=30.0, **options)
    )
