"""Metrics of several gunicorn workers are added up for the application."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="gunicorn is run on Linux")


@pytest.fixture(name="url")
def _url(tmp_path: Path) -> Iterator[str]:
    """Yield the URL of the application in three gunicorn workers."""
    command = (sys.executable, "-m", "gunicorn", "--workers=3", "--bind=127.0.0.1:0")
    environment = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    with subprocess.Popen(
        [*command, "tests.telemetry.scraped_app:app"],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            lines = (re.search(r"Listening at: (http://\S+)", line) for line in server.stdout)
            yield next(match[1] for match in lines if match)
        finally:
            server.terminate()
            server.communicate(timeout=150)


def _get(url: str) -> str:
    with urlopen(url, timeout=120) as answer:  # noqa: S310 - our own server
        text: str = answer.read().decode()
    return text


def test_workers_are_added_up(url: str) -> None:
    """Each call of any gunicorn worker is counted once, and a shared circuit has one state."""
    workers: set[str] = set()
    calls = 0
    while len(workers) < 2 or calls < 50:
        workers.add(_get(f"{url}/call"))
        calls += 1
    _get(f"{url}/open")

    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(_get(f"{url}/metrics"))
        for sample in family.samples
    }

    assert calls == values["moorage_call_duration_seconds_count", "", "", "tax"]
    assert calls == values["moorage_outcomes_total", "", "done", "tax"]
    assert 2 == values["moorage_circuit_state", "tax", "tax"]
    assert 1 == values["moorage_circuit_changes_total", "forced_open", "tax", "tax"]
