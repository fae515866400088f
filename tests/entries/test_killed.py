"""Outbox workers that are killed: no call is lost, and only calls in progress are repeated."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import sqlalchemy

from moorage import Outbox, Request
from moorage.hub.outbox import EntryQuery
from tests.adapters.entry_harnesses import KINDS, EntryHarness, entry_harness
from tests.entries.killed import hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced

CALLS = 600
BATCH = 50
PATIENCE = 180.0


@pytest.fixture(params=KINDS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EntryHarness]:
    """Yield a test environment for each kind of database."""
    with entry_harness(request.param, tmp_path) as value:
        yield value


def call_counts(path: Path) -> Counter[str]:
    """Return how often each call was made."""
    return Counter(path.read_text().split()) if path.exists() else Counter()


OPEN = EntryQuery(states=("waiting", "claimed", "unknown", "dead"), limit=1)
CHAINED = EntryQuery(states=("waiting", "claimed", "blocked", "undoing"), limit=1)


def test_calls_of_a_killed_worker_are_made_after_their_leases_expire(
    harness: EntryHarness, tmp_path: Path
) -> None:
    """After kill -9, another worker makes the remaining calls once their leases expire."""
    path = tmp_path / "made.txt"
    outbox = Outbox(harness.outbox())
    with harness.engine.connect() as connection:
        inner_outbox = outbox.within(connection)
        for number in range(CALLS):
            order = f"order-{number // 10 % 5}" if number % 10 == 0 else None
            request = Request.post("/orders", json=number)
            inner_outbox.put_request("shop", request, order=order)
        connection.commit()
    command = [sys.executable, "-m", "tests.entries.killed", harness.url, harness.prefix, str(path)]
    end = time.monotonic() + PATIENCE
    for calls_left in (400, 200):
        with subprocess.Popen(command) as worker:
            try:
                while CALLS - len(call_counts(path)) > calls_left:
                    assert time.monotonic() < end, "the worker makes no calls"
                    time.sleep(0.002)
            finally:
                worker.kill()

    shop = hub(path)
    while outbox.find(OPEN).items:
        outbox.deliver(shop, limit=1_000)
        assert time.monotonic() < end, "calls are left"

    counts = call_counts(path)
    assert sorted(map(int, counts)) == list(range(CALLS))
    repeated_calls = [number for number, count in counts.items() if count > 1]
    assert len(repeated_calls) <= 2 * BATCH
    for lane in range(5):
        lanes = [int(count) for count in counts if int(count) % 10 == 0]
        lane_calls = [number for number in lanes if number // 10 % 5 == lane]
        assert lane_calls == sorted(lane_calls)


def test_other_workers_continue_the_chains_of_killed_ones(
    harness: EntryHarness, tmp_path: Path
) -> None:
    """After `kill -9`, other workers continue each chain, and undo the calls before a failure.

    A killed worker forgets the answers of its last calls, so that those may be made again.
    """
    path, chains = tmp_path / "made.txt", 60
    outbox = Outbox(harness.outbox())
    for number in range(chains):
        undo = Request.post("/orders", json=f"undo-{number}")
        first = outbox.put_request(
            "shop", Request.post("/orders", json=f"first-{number}"), undo=undo
        )
        outcome = "refused" if number % 2 else "second"
        second = Request.post("/orders", json=f"{outcome}-{number}")
        outbox.put_request("shop", second, after=[first])
    command = [sys.executable, "-m", "tests.entries.killed", harness.url, harness.prefix, str(path)]
    end = time.monotonic() + PATIENCE
    for count in (30, 90, 140):
        with subprocess.Popen(command) as worker:
            try:
                while len(call_counts(path)) < count:
                    assert time.monotonic() < end, "the worker makes no calls"
                    time.sleep(0.002)
            finally:
                worker.kill()

    shop = hub(path)
    while outbox.find(CHAINED).items:
        outbox.deliver(shop, limit=1_000)
        assert time.monotonic() < end, "calls are left"

    assert {name.strip('"') for name in call_counts(path)} == {
        *(f"first-{number}" for number in range(chains)),
        *(f"second-{number}" for number in range(0, chains, 2)),
        *(f"refused-{number}" for number in range(1, chains, 2)),
        *(f"undo-{number}" for number in range(1, chains, 2)),
    }
    states = Counter(entry.state.value for entry in outbox.find(EntryQuery(limit=1_000)).items)
    assert states == {"done": 2 * chains, "dead": chains // 2, "prepared": chains // 2}


def test_call_in_the_open_transaction_of_a_killed_process_is_not_stored(
    harness: EntryHarness, tmp_path: Path
) -> None:
    """A call put in a transaction that is open when its process is killed is not stored."""
    program = (
        "import os, sys, signal, sqlalchemy\n"
        "from moorage import Outbox, Request\n"
        "from moorage.wiring.store_urls import open_outbox\n"
        "outbox = Outbox(open_outbox(sys.argv[1], prefix=sys.argv[2]))\n"
        "engine = sqlalchemy.create_engine(sys.argv[3])\n"
        "for ends in (True, False):\n"
        "    with engine.connect() as connection:\n"
        "        outbox.within(connection).put_request('shop', Request.post('/o', json=ends))\n"
        "        if not ends:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        connection.commit()\n"
    )
    store, path = harness.outbox(), tmp_path / "made.txt"
    url = harness.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", program, harness.url, harness.prefix, url]
    assert subprocess.run(command, check=False).returncode == -9

    outbox = Outbox(store)
    assert outbox.deliver(hub(path)).done == 1
    assert call_counts(path) == {"true": 1}
    with harness.engine.connect() as connection:
        count = sqlalchemy.text(f"SELECT count(*) FROM {harness.prefix}outbox")
        assert connection.execute(count).scalar_one() == 1
