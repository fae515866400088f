"""Workers of gunicorn that share the extension's stores."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from moorage import Request, Timeouts
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage_flask.database import MODERN
from tests.embedding.flask.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

ROOT: Final = Path(__file__).parents[3]
PATIENT: Final = Timeouts(total=30.0)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="gunicorn is run on Linux")


@contextmanager
def gunicorn(environment: dict[str, str]) -> Generator[str]:
    """Yield the URL of gunicorn with two workers, forked from a process that has already paid."""
    command = (sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--threads=4")
    locations = ("--bind=127.0.0.1:0", "--graceful-timeout=5", "tests.embedding.flask.served:app")
    with run_program([*command, *locations], environment) as server:
        yield wait_for_output(server, r"Listening at: (http://\S+)")


@contextmanager
def run_program(
    command: Sequence[str], environment: dict[str, str]
) -> Generator[subprocess.Popen[str]]:
    """Run a program during the block, and end it gracefully."""
    paths = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.terminate()
            program.communicate(timeout=150)


def wait_for_output(program: subprocess.Popen[str], pattern: str) -> str:
    """Wait until the program's output matches the pattern, and return the match's group."""
    text = ""
    for line in program.stdout or ():
        text += line
        if result := re.search(pattern, line):
            return result[1]
    raise AssertionError(text)


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """Return the environment variables of a shop with migrated tables."""
    shop = Shop(database_url)
    shop.objects.migrate()
    shop.close()
    return {
        "MOORAGE_TEST_DATABASE": database_url,
        **({} if MODERN else {"MOORAGE_TEST_STATE": f"sqlite:///{tmp_path / 'state.db'}"}),
        "MOORAGE_TEST_KEY": shop.sandbox.api_key,
        "MOORAGE_TEST_SECRET": shop.sandbox.webhook_secret,
    }


def test_eight_parallel_submits_charge_once(environment: dict[str, str]) -> None:
    """Eight parallel submits of one order all show a success page, and charge once."""
    pytest.importorskip("gunicorn")
    sandbox = StripeSandbox()
    with (
        sandbox.serving() as vendor,
        gunicorn(environment | {"MOORAGE_TEST_VENDOR": vendor.url}) as url,
        StdlibHttpClient(keep_alive=0) as browser,
        ThreadPoolExecutor(8) as threads,
    ):
        form = {"amount": "149.90"}

        def pay(order: str) -> tuple[int, Any]:
            answer = browser.send(Request.post("/", form=form), f"{url}/pay/{order}", PATIENT)
            return answer.status, answer.json()["payment"]

        answers = list(threads.map(pay, ["INV-1"] * 8))
        payments = list(threads.map(pay, [f"INV-{number}" for number in range(2, 10)]))
        notice = attrs.evolve(sandbox.sent[-1], url=f"{url}/moorage/webhooks/stripe")
        received_status = notice.deliver()

    assert [answers[0]] * 8 == answers
    assert 200 == answers[0][0]
    assert 8 == len({payment for _, payment in payments})
    assert 10 == len(sandbox.charges)
    assert 200 == received_status


def test_worker_stops_on_signal(environment: dict[str, str]) -> None:
    """A worker that is told to stop exits at once with success."""
    command = (sys.executable, "-m", "flask", "--app=tests.embedding.flask.served", "moorage")
    with (
        StripeSandbox().serving() as vendor,
        run_program(
            [*command, "deliver", "--pause=60"],
            environment | {"MOORAGE_TEST_VENDOR": vendor.url, "PYTHONUNBUFFERED": "1"},
        ) as worker,
    ):
        wait_for_output(worker, "(The worker is running)")
        worker.terminate()

        assert 0 == worker.wait(20)
