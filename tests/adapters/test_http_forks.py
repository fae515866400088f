"""HTTP clients in forked processes: a plain fork, a process pool, and a preforking web server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.domain.http.requests import Request
from moorage.testing.fakes.http_server import Behaviour, ReceivedRequest, VendorServer
from tests.adapters.http_forking import CALLS, CHILDREN, PATIENT, SECONDS_BOUND
from tests.support.http_clients import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT: Final = Path(__file__).parents[2]
LATE_SECONDS: Final = 0.5
"""Seconds by which a call may outlive its deadline on a busy machine."""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def answer_request(received: ReceivedRequest) -> Behaviour:
    """Answer as the vendor: return the request's path, or never answer."""
    if received.path == "/silent":
        return Behaviour(raw=b"")
    return Behaviour(body=received.path.encode())


def check(history: list[dict[str, Any]]) -> None:
    """Check that each call received the response to its own request, or timed out."""
    silent_calls = [call for call in history if call["path"] == "/silent"]
    answered_calls = [call for call in history if call["path"] != "/silent"]
    assert silent_calls
    assert {"AttemptTimeout"} == {call["outcome"] for call in silent_calls}
    assert max(call["took"] for call in silent_calls) < SECONDS_BOUND + LATE_SECONDS
    assert [call["path"] for call in answered_calls] == [call["outcome"] for call in answered_calls]


@forks
@pytest.mark.parametrize("client", CLIENTS)
def test_parent_children_and_pools_continue(client: str) -> None:
    """After a fork, parent and child can both make calls, and do not share a connection."""
    with VendorServer() as vendor:
        vendor.always(answer_request)
        output = subprocess.run(
            [sys.executable, "-m", "tests.adapters.http_forking", client, vendor.url],
            capture_output=True,
            check=False,
            cwd=ROOT,
            text=True,
            timeout=150,
        )
    assert not output.returncode, output.stderr
    history = json.loads(output.stdout)
    check(history)

    callers = {call["path"].split("/")[1] for call in history}
    assert {f"child-{number}" for number in range(CHILDREN)} <= callers
    assert {f"pool-{number}" for number in range(CHILDREN)} <= callers
    calls = [call for call in history if call["path"].startswith("/child")]
    assert CHILDREN * CALLS == len(calls)
    assert CHILDREN == len({call["pid"] for call in calls})


@contextmanager
def gunicorn(client: str, vendor: VendorServer, home: Path) -> Generator[str]:
    """Start gunicorn with an application that used the client before the fork; yield its URL."""
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--threads=2"),
            *("--bind=127.0.0.1:0", "--graceful-timeout=1", "tests.adapters.http_preloaded:app"),
        ],
        cwd=ROOT,
        env=os.environ
        | {"MOORAGE_TEST_CLIENT": client, "MOORAGE_TEST_VENDOR": vendor.url, "HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield listening_address(server)
        finally:
            server.terminate()
            server.communicate(timeout=150)


def listening_address(server: subprocess.Popen[str]) -> str:
    """Return the address that the server listens at."""
    text = ""
    for line in server.stderr or ():
        text += line
        if result := re.search(r"Listening at: (http://\S+)", line):
            return result[1]
    raise AssertionError(text)


@pytest.mark.skipif(sys.platform != "linux", reason="gunicorn is run on Linux")
@pytest.mark.parametrize("client", CLIENTS)
def test_workers_of_a_preforking_server_work(client: str, tmp_path: Path) -> None:
    """Gunicorn workers forked after a first call make calls, each with its own connections."""
    pytest.importorskip("gunicorn")
    with VendorServer() as vendor:
        vendor.always(answer_request)
        with (
            gunicorn(client, vendor, tmp_path) as url,
            StdlibHttpClient(keep_alive=0) as asking_client,
        ):

            def send_request(path: str) -> dict[str, Any]:
                result: dict[str, Any] = asking_client.send(
                    Request.get("/"), url + path, PATIENT
                ).json()
                return result

            with ThreadPoolExecutor(8) as threads:
                # While one worker waits for a silent vendor, the other one serves the rest.
                paths = ["/silent"] * 4 + [f"/{number}" for number in range(40)]
                history = list(threads.map(send_request, paths))
        preloaded, *other_requests = vendor.requests

    check(history)
    assert "/preloaded" == preloaded.path
    assert preloaded.connection not in {
        received_webhook.connection for received_webhook in other_requests
    }
    assert 2 == len({call["pid"] for call in history})
