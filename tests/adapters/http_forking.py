"""A program that forks after using an HTTP client, and prints the results of all calls.

`python -m tests.adapters.http_forking CLIENT URL` prints a line of JSON. The vendor at that URL
responds to every path except `/silent`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import warnings
from itertools import chain
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

from moorage.domain.http.requests import Request, Timeouts
from moorage.errors import ConnectorError
from moorage.testing.kits.checks import StallMeter
from tests.support.http_clients import DrivenClient

SECONDS_BOUND: Final = 0.3
"""Seconds after which a call to somebody silent is over."""

CHILDREN: Final = 4
CALLS: Final = 3
PATIENT: Final = Timeouts(total=120.0)


def outcome(driven_client: DrivenClient, url: str, path: str, timeouts: Timeouts) -> dict[str, Any]:
    """Return how a call ended, and its duration, without delays of a busy machine."""
    start_time = monotonic()
    with StallMeter() as control:
        try:
            outcome = driven_client.send(Request.get("/"), url + path, timeouts).text
        except ConnectorError as error:
            outcome = type(error).__name__
        duration = monotonic() - start_time
    return {"path": path, "outcome": outcome, "took": duration - control.lost, "pid": os.getpid()}


def calls(driven_client: DrivenClient, url: str, caller_name: str) -> list[dict[str, Any]]:
    """Make a few HTTP calls; the last call goes to a server that never responds."""
    outcomes = [
        outcome(driven_client, url, f"/{caller_name}/{attempt}", PATIENT)
        for attempt in range(CALLS)
    ]
    return [*outcomes, outcome(driven_client, url, "/silent", Timeouts(total=SECONDS_BOUND))]


def call_in_fork(driven_client: DrivenClient, url: str, caller_name: str) -> int:
    """Make the calls in a forked child; the child writes their outcomes to a pipe."""
    reading, writing = os.pipe()
    if not os.fork():
        try:
            os.write(writing, json.dumps(calls(driven_client, url, caller_name)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return reading


_shared: dict[str, Any] = {}


def call_in_pool(number: int) -> list[dict[str, Any]]:
    """Make the calls in a worker of a forked process pool."""
    return calls(_shared["driven"], _shared["url"], f"pool-{number}")


def main(client: str, url: str) -> None:
    """Fork while a thread makes HTTP calls, then make calls in a process pool."""
    driver = DrivenClient(client)
    _shared.update(driven=driver, url=url)
    calls_before = calls(driver, url, "before")
    stop, thread_outcomes = Event(), list[dict[str, Any]]()

    def send_until_stopped() -> None:
        while not stop.is_set():
            thread_outcomes.append(outcome(driver, url, "/meanwhile", PATIENT))

    thread = Thread(target=send_until_stopped)
    thread.start()
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads
    pipes = [call_in_fork(driver, url, f"child-{number}") for number in range(CHILDREN)]
    children = [json.loads(b"".join(os.fdopen(pipe, "rb"))) for pipe in pipes]
    stop.set()
    thread.join()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        workers = pool.map(call_in_pool, range(CHILDREN))
    calls_after = calls(driver, url, "after")
    all_outcomes = chain(calls_before, thread_outcomes, *children, *workers, calls_after)
    sys.stdout.write(json.dumps(list(all_outcomes)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
