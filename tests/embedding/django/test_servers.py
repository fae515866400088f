"""A Django project under real web servers: several workers, and an event loop."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from moorage import Request, Timeouts
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.embedding.django.shop import KEYS
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[3]
PATIENT: Final = Timeouts(total=30.0)
SITE: Final = "tests.embedding.django.site"
GUNICORN: Final = (
    "gunicorn",
    "--preload",
    "--workers=2",
    "--bind=127.0.0.1:0",
    f"{SITE}:wsgi",
)
UVICORN: Final = ("uvicorn", "--port=0", f"{SITE}:asgi")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="gunicorn is run on Linux")


def program(*words: str, environment: Mapping[str, str]) -> list[str]:
    """Run a program until it ends, and return the lines that it printed."""
    finished_process = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == finished_process.returncode, finished_process.stderr
    return finished_process.stdout.splitlines()


@pytest.fixture
def vendor() -> StripeSandbox:
    """Start a vendor's sandbox."""
    return StripeSandbox()


def environment_in(folder: Path, vendor: StripeSandbox, url: str) -> dict[str, str]:
    """Return the environment variables of a project whose databases are in this folder."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "SITE_FOLDER": str(folder),
        "SITE_VENDOR": url,
        "SITE_KEY": vendor.api_key,
        "MOORAGE_KEYS": KEYS,
    }


@pytest.fixture(scope="module")
def migrated_databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of databases that have empty tables."""
    folder = tmp_path_factory.mktemp("migrated")
    environment = environment_in(folder, StripeSandbox(), "http://127.0.0.1:9")
    program(SITE, "migrate", "--verbosity=0", environment=environment)
    migrate_command = ("migrate", "moorage_django", "--verbosity=0", "--database=moorage")
    program(SITE, *migrate_command, environment=environment)
    return folder


@pytest.fixture
def environment(
    vendor: StripeSandbox, migrated_databases: Path, tmp_path: Path
) -> Generator[dict[str, str]]:
    """Return the environment variables of a migrated project whose vendor is running."""
    shutil.copytree(migrated_databases, tmp_path, dirs_exist_ok=True)
    with vendor.serving() as server:
        yield environment_in(tmp_path, vendor, server.url)


@contextmanager
def run_server(words: Sequence[str], environment: Mapping[str, str]) -> Generator[str]:
    """Run a web server during the block, and yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            yield wait_for_address(server)
        finally:
            server.terminate()
            server.communicate(timeout=150)


def wait_for_address(server: subprocess.Popen[str]) -> str:
    """Wait until a server prints the address that it listens on."""
    text = ""
    for line in server.stdout or ():
        text += line
        if result := re.search(r"(?:Listening at:|running on) (http://\S+)", line):
            return result[1]
    raise AssertionError(text)


def charges(vendor: StripeSandbox) -> int:
    """Return the number of times that the vendor took money."""
    return sum(
        request.method == "POST" and "payment_intents" in request.path
        for request in vendor.requests
    )


@pytest.mark.parametrize("words", [GUNICORN, UVICORN], ids=["gunicorn", "uvicorn"])
@pytest.mark.parametrize("way", ["pay", "apay"])
def test_eight_parallel_submits_charge_once(
    vendor: StripeSandbox, environment: dict[str, str], words: Sequence[str], way: str
) -> None:
    """Eight parallel submits of one order all show a success page, and charge once."""
    warm = {**environment, "SITE_WARM": "yes"}
    with (
        run_server(words, warm) as url,
        StdlibHttpClient() as client,
        ThreadPoolExecutor(8) as pool,
    ):
        charges_before = charges(vendor)

        def submit(_: int) -> tuple[int, bytes]:
            location = f"{url}/{way}/INV-1/"
            answer = client.send(Request.get(location), location, PATIENT)
            return answer.status, answer.body

        answers = list(pool.map(submit, range(8)))

    assert {200} == {status for status, _ in answers}
    assert 1 == len({body for _, body in answers})
    assert 1 == charges(vendor) - charges_before


def test_process_with_an_async_hub_ends_quietly(
    vendor: StripeSandbox, environment: dict[str, str]
) -> None:
    """A process that used the asynchronous hub closes its connections and prints no error."""
    charge_once = (
        "import asyncio\n"
        f"from {SITE} import _charge\n"
        "from moorage_django import ahub\n"
        "async def main():\n"
        "    payment = await ahub().payments().charge(_charge('INV-1'), idempotency_key='INV-1')\n"
        "    print(payment.state.value)\n"
        "asyncio.run(main())\n"
    )
    ended_process = subprocess.run(
        [sys.executable, "-c", charge_once],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ("captured\n", "") == (ended_process.stdout, ended_process.stderr)
    assert 1 == charges(vendor)


def test_charge_survives_a_rollback(vendor: StripeSandbox, environment: dict[str, str]) -> None:
    """If a request that charged is rolled back, its charge stays in the log and is not repeated."""
    with run_server(GUNICORN, environment) as url, StdlibHttpClient() as client:
        for place in ("pay/INV-1/?fail", "pay/INV-1/"):
            location = f"{url}/{place}"
            assert 200 == client.send(Request.get(location), location, PATIENT).status
        location = f"{url}/log/"

        def logged_calls() -> int:
            return int(client.send(Request.get(location), location, PATIENT).body)

        # Each worker writes its waiting entries at most a second after the response.
        wait_until(logged_calls, "entry in the log")

    assert 1 == charges(vendor)


def test_django_checks_report_nothing_except_warnings_silenced_here(
    environment: dict[str, str],
) -> None:
    """Django's checks report nothing except the warnings silenced here."""
    output_lines = program(
        SITE, "check", "--database=default", "--database=moorage", environment=environment
    )

    assert "no issues" in output_lines[-1] or "W004" in "".join(output_lines)


def test_worker_ends_gracefully(environment: dict[str, str]) -> None:
    """A worker that is told to stop finishes its work and exits."""
    words = (sys.executable, "-m", SITE, "moorage", "deliver", "--pause=0.05")
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert (
            "The worker is running. Press Ctrl-C or send SIGTERM to stop it.\n"
            == worker.stdout.readline()
        )
        worker.terminate()
        _, errors = worker.communicate(timeout=150)

    assert (0, "") == (worker.returncode, errors)
