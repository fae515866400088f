"""The command `moorage alerts`."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys

import pytest

from moorage.cli import main
from tests.support.command import command
from tests.support.configured import configure

CONFIGURATION = """
[state]
url = "sqlite:///state.db"
[services.vat]
base_url = "http://127.0.0.1:9"
[[alerts.rules]]
name = "open"
when = "circuit_open"
severity = "critical"
channels = ["log"]
[alerts.channels.log]
kind = "logging"
"""


@pytest.fixture(autouse=True)
def write_configuration() -> None:
    """Write a configuration with one alert rule, and return its path."""
    configure(CONFIGURATION)
    command("housekeep", "sqlite:///state.db", "--migrate")


def test_open_circuit_triggers_alert() -> None:
    """When a circuit opens, an alert is sent once, and is listed until the circuit is reset."""
    assert (0, "nothing") == (
        command("alerts", "check").code,
        command("alerts", "list").out.strip(),
    )
    command("circuit", "open", "vat")
    check_command = command("alerts", "check", "--json")
    assert (1, True) == (check_command.code, check_command.result["measurements"][0]["active"])
    result = command("alerts", "run", "--once")
    assert 0 == result.code
    assert "log: [critical] open: vat" in result.out
    assert "1 delivered, 0 waiting" in result.out
    listed_alerts = command("alerts", "list")
    assert 1 == listed_alerts.code
    assert "firing" in listed_alerts.out


def test_silenced_alert_is_not_sent() -> None:
    """A silenced alert is not sent, and the list shows the reason."""
    command("circuit", "open", "vat")
    assert "silent until" in command("alerts", "silence", "3600", "maintenance").out
    assert 0 == command("alerts", "run", "--once", "--json").result["delivered"]
    (silence,) = command("alerts", "list", "--json").result["silences"]
    assert "maintenance" == silence["reason"]
    assert 2 == command("alerts", "silence", "60", "x", "--rule=shut").code


def test_exit_code_is_1_if_no_channel_accepts_a_notification() -> None:
    """If no channel accepts a notification, the command shows that, and the exit code is 1."""
    failing_channel = (
        '[services.ops]\nbase_url = "http://127.0.0.1:9"\nretry = { preset = "none" }\n'
    )
    configure(
        CONFIGURATION.replace('kind = "logging"', 'kind = "webhook"\nservice = "ops"')
        + failing_channel
    )
    command("circuit", "open", "vat")
    result = command("alerts", "run", "--once")

    assert 1 == result.code
    assert "log failed: [critical] open: vat" in result.out
    assert "ConnectionFailed" in command("alerts", "list").out


def test_commands_without_alert_rules_say_so() -> None:
    """Without alert rules in the configuration, the commands print that there are no rules."""
    configure('[state]\nurl = "sqlite:///state.db"\n')
    result = command("alerts", "check")

    assert 2 == result.code
    assert "has no alert rules" in result.err


def test_rules_without_anything_to_measure() -> None:
    """If no alert is active, `moorage alerts` prints that no alert is active."""
    assert "nothing" == command("alerts", "check").out.strip()


class StopAtStart(io.StringIO):
    """An output that sends SIGTERM to this process when the command reports an evaluation."""

    def write(self, text: str, /) -> int:
        """Keep the text, and send SIGTERM if the text reports an evaluation."""
        if text.startswith("Evaluating"):
            signal.raise_signal(signal.SIGTERM)
        return super().write(text)


def test_signal_ends_the_loop() -> None:
    """A signal before the first evaluation ends `moorage alerts` with exit code 0."""
    output = StopAtStart()
    with contextlib.redirect_stdout(output):
        assert 0 == main(["alerts", "run"])

    assert "0 delivered, 0 waiting to be sent again" in output.getvalue()


def test_evaluation_ends_with_a_signal() -> None:
    """`moorage alerts` evaluates its rules until SIGTERM."""
    words = [sys.executable, "-m", "moorage", "alerts", "run"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=os.environ, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Evaluating")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)

    assert (0, "0 delivered, 0 waiting to be sent again\n") == (process.returncode, output)
