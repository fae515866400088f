"""Django processes that are killed: calls are made only for committed transactions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from django.db import connections

from moorage import Outbox
from moorage.hub.outbox import EntryQuery
from moorage_django.entries import OrmOutbox
from tests.entries.killed import hub
from tests.entries.test_killed import BATCH, OPEN, PATIENCE, call_counts
from tests.support.django_project import POSTGRES, migrate

if TYPE_CHECKING:
    from pathlib import Path

CALLS = 300
KILLED = -9


@pytest.fixture(params=["default", POSTGRES])
def database(request: pytest.FixtureRequest) -> str:
    """Return the alias of a host database whose outbox is empty."""
    alias = migrate(request.param)
    OrmOutbox(alias).remove(EntryQuery())
    return alias


def process(alias: str, log_path: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a process that is killed: an application inside its transaction, or a worker."""
    value = connections[alias].settings_dict
    names = ("ENGINE", "NAME", "HOST", "PORT", "USER", "PASSWORD")
    place = json.dumps({name: value[name] for name in names}, default=str)
    command = [sys.executable, "-m", "tests.embedding.django.killed", place, str(log_path), *words]
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})


def test_each_committed_call_is_made_despite_kills(database: str, tmp_path: Path) -> None:
    """After kills, each committed call is made in order; only interrupted calls are repeated."""
    path = tmp_path / "made.txt"
    with process(database, path, str(CALLS)) as host:
        assert host.wait(PATIENCE) == KILLED
    end = time.monotonic() + PATIENCE
    for calls_left in (200, 100):
        with process(database, path) as worker:
            try:
                while CALLS - len(call_counts(path)) > calls_left:
                    assert time.monotonic() < end, "the worker makes no calls"
                    time.sleep(0.002)
            finally:
                worker.kill()

    outbox, shop = Outbox(OrmOutbox(database)), hub(path)
    while outbox.find(OPEN).items:
        outbox.deliver(shop, limit=1_000)
        assert time.monotonic() < end, "calls are left"

    counts = call_counts(path)
    assert sorted(map(int, counts)) == list(range(CALLS))
    repeated_calls = [number for number, count in counts.items() if count > 1]
    assert len(repeated_calls) <= 2 * BATCH
    for lane in range(5):
        lane_calls = [
            number for number in map(int, counts) if number % 10 == 0 and number // 10 % 5 == lane
        ]
        assert lane_calls == sorted(lane_calls)
