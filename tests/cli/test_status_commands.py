"""`moorage status` and `moorage circuit`: the shared state of all processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import redirect_stdout
from queue import Queue
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from moorage import CircuitBreakerOpen, CircuitState, Hub, Region, Request, RetryBudget, Service
from moorage.cli import main
from moorage.cli.commands.status import table
from moorage.cli.context import Context
from moorage.cli.exit_codes import CLOSED_PIPE
from moorage.cli.places import opened_hub
from moorage.cli.service_status import service_statuses
from moorage.testing import VendorServer
from tests.support.command import command
from tests.support.configured import STORES, configure, unique
from tests.support.terminal import on_terminal, terminal

if TYPE_CHECKING:
    from collections.abc import Callable

MAKES = pytest.mark.parametrize("make", STORES.values(), ids=STORES)


def write_configuration(state: str, url: str = "http://127.0.0.1:9") -> str:
    """Write a configuration with one service."""
    command("housekeep", state, "--migrate")
    name = unique("vat")
    configure(
        f'[state]\nurl = "{state}"\n[services.{name}]\nbase_url = "{url}"\n'
        'limits = { rate = 1, per = "day", burst = 1 }\n'
        f"[services.{name}.bulkhead]\nmax_concurrent = 5\n"
    )
    return name


@MAKES
def test_circuit_is_set_for_every_process(make: Callable[[], str]) -> None:
    """A circuit that is set by hand applies to all processes, is shown, and ends with a reset."""
    name = write_configuration(make())
    assert 0 == command("status").code
    opened_circuit = command("circuit", "open", name, "--json")
    result = command("status", "--json")

    assert ("closed", "forced_open") == (
        opened_circuit.result["before"],
        opened_circuit.result["state"],
    )
    assert 1 == result.code
    assert "forced_open" in command("status").out
    (service_status,) = result.result["services"]
    assert (name, "forced_open") == (service_status["service"], service_status["circuit"])
    with opened_hub(Context()) as hub, pytest.raises(CircuitBreakerOpen):
        hub.manager.call(name, Request.get("/"))

    assert "disabled" in command("circuit", "close", name).out
    assert 0 == command("status").code
    assert (
        f"the circuit of {name} was disabled and is closed" in command("circuit", "reset", name).out
    )


@MAKES
def test_operator_can_end_pause_that_vendor_imposed_on_rate_limit(make: Callable[[], str]) -> None:
    """An operator can end the pause that a vendor imposed on a rate limit."""
    with VendorServer() as vendor:
        name = write_configuration(make(), vendor.url)
        vendor.respond(429, {"Retry-After": "1800"})
        assert command("call", name, "GET", "/").code
        reset_result = command("limits", "reset", name, "--json").result

        assert (name, None, None) == (
            reset_result["service"],
            reset_result["tenant"],
            reset_result["endpoint"],
        )
        assert 0 < reset_result["remaining"] <= 1800
        assert f"the limits of {name} were not paused" in command("limits", "reset", name).out


@MAKES
def test_limits_reset_names_service_and_tenant(make: Callable[[], str]) -> None:
    """`limits reset` shows service, tenant and remaining pause of each limit that it resets."""
    with VendorServer() as vendor:
        name = write_configuration(make(), vendor.url)
        vendor.respond(429, {"Retry-After": "1800"})
        assert command("call", name, "GET", "/", "--tenant", "acme").code

        output = command("limits", "reset", name, "--tenant", "acme").out
        assert f"the limits of {name} of acme are no longer paused (1" in output


@MAKES
def test_tokens_left_of_a_budget_are_shown(make: Callable[[], str]) -> None:
    """`moorage status` shows the tokens that are left of a budget, as text and as JSON."""
    state = make()
    command("housekeep", state, "--migrate")
    tenant = unique("acme")
    configure(
        f'[state]\nurl = "{state}"\n[inference]\nvendor = "openai"\n'
        '[vendors.openai]\ncredentials = "k"\nmodel = "m"\n'
        "daily_tokens = 200_000\nmonthly_tokens = 900_000\n"
    )
    result = command("status", "--json", "--tenant", tenant).result
    rows = {row["service"]: row for row in result["services"]}
    text = command("status", "--tenant", tenant).out

    assert [
        {"quota": "200000 per calendar day", "left": 200_000},
        {"quota": "900000 per calendar month", "left": 900_000},
    ] == rows["openai.budget"]["quotas"]
    assert [] == rows["openai"]["quotas"]
    assert "200000 left of 200000 per calendar day; 900000 left of 900000 per calendar m" in text


@pytest.mark.untraced
@MAKES
def test_a_limit_that_is_used_up_is_shown(make: Callable[[], str]) -> None:
    """`moorage status` shows the wait for an exhausted rate limit, without consuming a token."""
    with VendorServer() as vendor:
        name = write_configuration(make(), vendor.url)
        assert [0.0] == command("status", "--json").result["services"][0]["limits"]
        assert "free" in command("status").out
        vendor.respond(204)
        assert 0 == command("call", name, "GET", "/").code
        (service_status,) = command("status", "--json").result["services"]
        people = command("status")

    assert 80_000 < service_status["limits"][0] <= 86_400
    assert "wait 86" in people.out
    assert service_status["retries"] is True


def test_status_shows_a_row_for_each_region() -> None:
    """`status` shows a row and a circuit for each region, and shows exhausted retry budgets."""
    regions = [Region("eu", "http://127.0.0.1:9"), Region("us", "http://127.0.0.1:9")]
    budget = RetryBudget(floor=0, ratio=0.01)
    services = [
        Service("vat", regions=regions),
        Service("bare", "http://127.0.0.1:9", circuit=None, retry=None),
        Service("thrifty", "http://127.0.0.1:9", retry_budget=budget),
    ]
    with Hub([], services=services) as hub:
        hub.manager.set_circuit("vat", CircuitState.FORCED_OPEN, region="eu")
        results = service_statuses(hub, None)

    result = {(result["service"], result["region"]): result["circuit"] for result in results}
    assert {
        ("vat", "eu"): "forced_open",
        ("vat", "us"): "closed",
        ("bare", None): None,
        ("thrifty", None): "closed",
    } == result
    assert [True, True, True, False] == [result["retries"] for result in results]
    lines = table(results).lines()
    assert lines[1].startswith("vat (eu)")
    assert "used up" in lines[-1]


def test_open_circuit_shows_its_remaining_time() -> None:
    """`moorage circuit` shows the failures of an open circuit, and the remaining open time."""
    with VendorServer(port="refusing") as refusing:
        configure(
            f'[state]\nurl = "sqlite:///state.db"\n[services.vat]\nbase_url = "{refusing.url}"\n'
            'retry = { preset = "none" }\ncircuit = { failures = 1 }\n'
            f'[services.bare]\nbase_url = "{refusing.url}"\n'
        )
        command("call", "vat", "GET", "/")
    service_status = command("status", "--json").result["services"][0]

    assert ("open", True) == (service_status["circuit"], 0 < service_status["retry_after"] <= 60)
    assert "again in" in command("status").out


@pytest.mark.parametrize("words", [["status"], ["circuit", "open", "vat"]])
def test_status_needs_a_shared_store(words: list[str]) -> None:
    """`status` and `circuit` need a shared store; without one, each process has its own state."""
    configure('[services.vat]\nbase_url = "http://127.0.0.1:9"\n')

    assert (2, True) == (command(*words).code, "state.url" in command(*words).err)


def test_an_unknown_service_is_refused() -> None:
    """The error for an unknown service lists the known services."""
    write_configuration("sqlite:///state.db")

    assert 2 == command("circuit", "open", "nobody").code


def test_status_page_fits_its_window_and_ends_with_q() -> None:
    """`status --watch` is refreshed, fits the window's size, and ends with q."""
    name = write_configuration("sqlite:///state.db")
    with terminal("status", "--watch", "--every", "0.1") as shown_terminal:
        shown_terminal.wait_for_text("closed")
        shown_terminal.wait_for_text("q to quit")
        command("circuit", "open", name)
        shown_terminal.wait_for_text("forced_open")
        shown_terminal.resize(10, 60)
        shown_terminal.wait_for_text("q to quit")
        shown_terminal.type("x")
        shown_terminal.wait_for_text("q to quit")
        shown_terminal.type("q")
        assert 0 == shown_terminal.wait_for_exit()
        assert "Traceback" not in shown_terminal.seen


def test_control_c_ends_the_status_page() -> None:
    """Ctrl-C ends the status page with the exit code for interruptions."""
    write_configuration("sqlite:///state.db")
    with terminal("status", "--watch", "--no-color") as shown_terminal:
        shown_terminal.wait_for_text("q to quit")
        shown_terminal.type("\x03")
        shown_terminal.wait_for_text("Interrupted")
        assert 130 == shown_terminal.wait_for_exit()


def test_watch_needs_a_terminal() -> None:
    """Without a terminal, `status --watch` is refused, and the error suggests an alternative."""
    write_configuration("sqlite:///state.db")

    assert (2, True) == (
        command("status", "--watch").code,
        "--json" in command("status", "--watch").err,
    )


def test_watch_with_json_prints_one_line_for_each_refresh() -> None:
    """With --json, `status --watch` prints one line of JSON for each refresh."""
    name = write_configuration("sqlite:///state.db")
    with subprocess.Popen(
        [sys.executable, "-m", "moorage", "status", "--watch", "--every", "0.05", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running_process:
        assert running_process.stdout is not None
        lines = [json.loads(running_process.stdout.readline()) for _ in range(2)]
        os.kill(running_process.pid, signal.SIGINT)
        assert b"" == running_process.stderr.read() if running_process.stderr else True

    assert [name, name] == [line["services"][0]["service"] for line in lines]
    assert 130 == running_process.returncode


def test_tables_fit_the_terminal() -> None:
    """On a terminal, tables have frames, and long work shows its progress."""
    write_configuration("sqlite:///state.db")
    with terminal("status") as shown_terminal:
        shown_terminal.wait_for_text("circuit")
        shown_terminal.wait_for_text("closed")
        assert 0 == shown_terminal.wait_for_exit()
    with terminal("housekeep") as shown_terminal:
        shown_terminal.wait_for_text("states deleted")
        assert 0 == shown_terminal.wait_for_exit()


def test_unknown_key_refreshes_page_on_status_page() -> None:
    """On the status page, an unknown key refreshes the page, and all key presses are handled."""
    name = write_configuration("sqlite:///state.db")
    with on_terminal("status", "--watch", "--every", "30") as shown_terminal:
        shown_terminal.wait_for_text(name[:8])
        shown_terminal.wait_for_text("q to quit")
        shown_terminal.type("xq")
        shown_terminal.wait_for_text("q to quit")
        assert 0 == shown_terminal.wait_for_exit()


def test_status_page_is_refreshed_after_given_number_of_seconds() -> None:
    """The status page is refreshed after the given number of seconds."""
    write_configuration("sqlite:///state.db")
    with on_terminal("status", "--watch", "--every", "0.05", "--no-color") as shown_terminal:
        shown_terminal.wait_for_text("q to quit")
        shown_terminal.wait_for_text("q to quit")
        shown_terminal.type("Q")
        assert 0 == shown_terminal.wait_for_exit()


def test_terminal_shows_framed_tables_and_progress() -> None:
    """On a terminal, a table has a frame, and long work shows its progress."""
    write_configuration("sqlite:///state.db")
    with on_terminal("status") as shown_terminal:
        shown_terminal.wait_for_text("circuit")
        shown_terminal.wait_for_text("──")
        shown_terminal.wait_for_text("closed")
        assert 0 == shown_terminal.wait_for_exit()
    with on_terminal("housekeep") as shown_terminal:
        shown_terminal.wait_for_text("states deleted")
        assert 0 == shown_terminal.wait_for_exit()


def test_watch_ends_without_error_when_its_reader_leaves() -> None:
    """`--watch` ends without an error when the reader of its output exits."""
    name = write_configuration("sqlite:///state.db")
    own_end, other_end = os.pipe()
    codes: Queue[int] = Queue()

    def run() -> None:
        with os.fdopen(other_end, "w") as message, redirect_stdout(message):
            codes.put(main(["status", "--watch", "--every", "0.01", "--json"]))

    running_thread = threading.Thread(target=run, daemon=True)
    with os.fdopen(own_end) as lines:
        running_thread.start()
        fields = [json.loads(lines.readline()) for _ in range(2)]
    running_thread.join(20)

    assert [name, name] == [line["services"][0]["service"] for line in fields]
    assert CLOSED_PIPE == codes.get(timeout=120)


def test_status_of_an_unreachable_store_is_an_error() -> None:
    """`moorage status` shows no circuit as closed if the store of the circuits is unreachable."""
    with VendorServer(port="refusing") as server:
        host = urlsplit(server.url).netloc
        configure(
            f'[state]\nurl = "redis://{host}/0"\n[services.vat]\nbase_url = "https://vat.example"\n'
        )
        result = command("status")

    assert (1, "") == (result.code, result.out)
    assert f"{host}/0 cannot be reached" in result.err
