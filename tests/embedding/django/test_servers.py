"""A project under the servers that hosts use: several workers, and an event loop."""

from __future__ import annotations

import os
import re
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
    """Run a program to its end, and give the lines it says."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def vendor() -> StripeSandbox:
    """A vendor."""
    return StripeSandbox()


@pytest.fixture
def environment(vendor: StripeSandbox, tmp_path: Path) -> Generator[dict[str, str]]:
    """The environment of a project whose tables are there, and whose vendor listens."""
    with vendor.serving() as server:
        paths = os.pathsep.join(path for path in sys.path if path)
        made = {
            **os.environ,
            "PYTHONPATH": paths,
            "SITE_FOLDER": str(tmp_path),
            "SITE_VENDOR": server.url,
            "SITE_KEY": vendor.api_key,
            "MOORAGE_KEYS": KEYS,
        }
        program(SITE, "migrate", "--verbosity=0", environment=made)
        custom = ("migrate", "moorage_django", "--verbosity=0", "--database=moorage")
        program(SITE, *custom, environment=made)
        yield made


@contextmanager
def serving(words: Sequence[str], environment: Mapping[str, str]) -> Generator[str]:
    """The URL of a server that runs meanwhile."""
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            yield said(server)
        finally:
            server.terminate()
            server.communicate(timeout=150)


def said(server: subprocess.Popen[str]) -> str:
    """Wait until a server says where it listens."""
    text = ""
    for line in server.stdout or ():
        text += line
        if result := re.search(r"(?:Listening at:|running on) (http://\S+)", line):
            return result[1]
    raise AssertionError(text)


def charges(vendor: StripeSandbox) -> int:
    """How often the vendor took money."""
    return sum(
        request.method == "POST" and "payment_intents" in request.path for request in vendor.asked
    )


@pytest.mark.parametrize("words", [GUNICORN, UVICORN], ids=["gunicorn", "uvicorn"])
@pytest.mark.parametrize("way", ["pay", "apay"])
def test_eight_at_once_are_one_charge(
    vendor: StripeSandbox, environment: dict[str, str], words: Sequence[str], way: str
) -> None:
    """Eight parallel submits of one order are eight good pages and one charge."""
    warm = {**environment, "SITE_WARM": "yes"}
    with serving(words, warm) as url, StdlibHttpClient() as client, ThreadPoolExecutor(8) as pool:
        before = charges(vendor)

        def submit(_: int) -> tuple[int, bytes]:
            where = f"{url}/{way}/INV-1/"
            answer = client.send(Request.get(where), where, PATIENT)
            return answer.status, answer.body

        answers = list(pool.map(submit, range(8)))

    assert {200} == {status for status, _ in answers}
    assert 1 == len({body for _, body in answers})
    assert 1 == charges(vendor) - before


def test_a_rollback_takes_nothing_back(vendor: StripeSandbox, environment: dict[str, str]) -> None:
    """What a request charged that is rolled back stays charged, in the log and for the next."""
    with serving(GUNICORN, environment) as url, StdlibHttpClient() as client:
        for place in ("pay/INV-1/?fail", "pay/INV-1/"):
            where = f"{url}/{place}"
            assert 200 == client.send(Request.get(where), where, PATIENT).status
        where = f"{url}/log/"

        def logged() -> int:
            return int(client.send(Request.get(where), where, PATIENT).body)

        # Each worker writes what waits there a second after the response, at the latest.
        wait_until(logged, "entry in the log")

    assert 1 == charges(vendor)


def test_nothing_is_amiss(environment: dict[str, str]) -> None:
    """The checks of Django's have nothing to say but what is left out here."""
    done = program(
        SITE, "check", "--database=default", "--database=moorage", environment=environment
    )

    assert "no issues" in done[-1] or "W004" in "".join(done)


def test_the_worker_ends_kindly(environment: dict[str, str]) -> None:
    """A worker that is told to end does, with nothing half done."""
    words = (sys.executable, "-m", SITE, "moorage", "deliver", "--pause=0.05")
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert "At work, until told to end.\n" == worker.stdout.readline()
        worker.terminate()
        _, errors = worker.communicate(timeout=150)

    assert (0, "") == (worker.returncode, errors)
