"""Connector managers that were used before Celery forked its worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.testing.fakes.http_server import Behaviour, ReceivedRequest, VendorServer
from tests.adapters.http_forking import SECONDS_BOUND
from tests.adapters.test_http_forks import LATE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT: Final = Path(__file__).parents[2]
DEFAULT_CLIENT: Final = ""
PYREQWEST: Final = "moorage.adapters.http.pyreqwest.client:PyreqwestHttpClient"
HANGING_PATHS: Final = ("/silent", "/dripping")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Celery forks on Linux")


def answer_request(received: ReceivedRequest) -> Behaviour:
    """Respond like a vendor: return the request's path, never respond, or never finish."""
    if received.path == "/silent":
        return Behaviour(raw=b"")
    if received.path == "/dripping":
        return Behaviour(headers={"Content-Length": "9999"}, pause=0.05, repeat=b".")
    return Behaviour(body=received.path.encode())


@contextmanager
def celery(client: str, vendor: VendorServer, home: Path) -> Generator[None]:
    """Run two Celery workers, forked from a process that has used the manager."""
    queue = {
        "MOORAGE_TEST_CLIENT": client,
        "MOORAGE_TEST_HOME": str(home),
        "MOORAGE_TEST_VENDOR": vendor.url,
    }
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "--app=tests.adapters.http_celery", "worker"),
            *("--pool=prefork", "--concurrency=2", "--loglevel=WARNING"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ],
        cwd=ROOT,
        env=os.environ | queue,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            yield
        finally:
            os.killpg(worker.pid, signal.SIGKILL)  # a warm shutdown takes seconds


def outcomes_of(home: Path, *paths: str) -> list[dict[str, Any]]:
    """Run a Celery task for each path, and return the outcomes."""
    output = subprocess.run(
        [sys.executable, "-m", "tests.adapters.celery_queue", str(home), *paths],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=150,
    )
    assert not output.returncode, output.stderr
    fields: list[dict[str, Any]] = json.loads(output.stdout)
    return fields


@pytest.mark.parametrize("client", [DEFAULT_CLIENT, PYREQWEST], ids=["default", "pyreqwest"])
def test_tasks_of_a_prefork_worker_go_on(client: str, tmp_path: Path) -> None:
    """Tasks of a forked Celery worker use new connections, and end within their time limits."""
    pytest.importorskip("celery")
    with VendorServer() as vendor:
        vendor.always(answer_request)
        with celery(client, vendor, tmp_path):
            paths = [*HANGING_PATHS * 2, *(f"/{number}" for number in range(12))]
            history = outcomes_of(tmp_path, *paths)
        preloaded, *other_requests = vendor.requests

    assert paths == [task["path"] for task in history]
    assert paths[4:] == [task["outcome"] for task in history[4:]]
    for task in history[:4]:
        assert task["outcome"] in {"AttemptTimeout", "DeadlineExceeded"}
        assert SECONDS_BOUND - 0.05 < task["took"] < SECONDS_BOUND + LATE_SECONDS + task["lost"]
    assert "/preloaded" == preloaded.path
    assert preloaded.connection not in {
        received_webhook.connection for received_webhook in other_requests
    }
    assert 2 == len({task["pid"] for task in history})
