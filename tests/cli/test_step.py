"""`moorage step`: running and inspecting configured steps on the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATION = """
[state]
url = "sqlite:///state.db"

[platforms.here]
kind = "local"
folder = "runs"

[steps.greet]
command = ["sh", "-c", "echo $GREETING; cat $TOKEN_FILE name; echo oops >&2; exit $CODE"]
environment = {GREETING = "hello", CODE = "0"}
secrets = {TOKEN = "secret://env/GREET_TOKEN"}

[steps.total]
command = ["sh", "-c", "mkdir sums; wc -l < orders > sums/total; echo done"]
collect = ["sums/total"]

[steps.wait]
command = ["sh", "-c", "echo begun; while [ ! -e $FOLDER/go ]; do sleep 0.05; done; echo over"]

[steps.stored]
command = ["sh", "-c", "cat order > copy"]
inputs = {order = "orders/1"}
outputs = {copy = "copies/1", other = "copies/2"}

[storage]
vendor = "local_files"

[vendors.local_files]
root = "kept"

[steps.cached]
command = ["sh", "-c", "echo x >> $FOLDER/counter; echo done"]
cache = 3600

[steps.stubborn]
command = ["sh", "-c", "trap '' TERM; echo begun; while true; do sleep 0.05; done"]
grace = 60
"""

CLOUDS = '''
"""A platform that is interrupted as soon as it starts something, and never tells its runs."""

import attrs

from moorage import ConnectionFailed, PlatformKind
from moorage.testing import MockPlatform


class Cloudy(MockPlatform):
    def start(self, spec, timeout):
        raise KeyboardInterrupt

    def runs(self, timeout):
        raise ConnectionFailed("The cloud does not answer.")


@attrs.frozen
class Settings:
    """A cloud."""


CLOUD = PlatformKind(name="cloud", settings=Settings, build=lambda _: Cloudy())
'''


@pytest.fixture(autouse=True)
def _configuration() -> None:
    """Configure several steps, one with a secret and one with a folder."""
    Path("moorage.toml").write_text(CONFIGURATION, encoding="utf-8")
    os.environ["GREET_TOKEN"] = "tok_55aa10"


@pytest.fixture(name="cloud")
def _cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package with the platform type `cloud`, on which one configured step runs."""
    (tmp_path / "our_clouds.py").write_text(CLOUDS)
    metadata = tmp_path / "our_clouds-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: our-clouds\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[moorage.platforms]\ncloud = our_clouds:CLOUD\n")
    monkeypatch.syspath_prepend(tmp_path)
    Path("moorage.toml").write_text('[steps.greet]\nplatform = "cloud"\ncommand = ["greet"]\n')
    yield
    sys.modules.pop("our_clouds", None)


def start(name: str, key: str) -> subprocess.Popen[str]:
    """Run a step in its own process, and return the process as soon as the step has begun."""
    return started_command("run", name, "--key", key, "--env", f"FOLDER={Path.cwd()}")


def follow_run(name: str, key: str) -> subprocess.Popen[str]:
    """Follow a run in its own process, and return the process after its first line."""
    return started_command("logs", name, "--key", key, "--follow")


def started_command(*arguments: str) -> subprocess.Popen[str]:
    """Start a command of `moorage step`, and return its process after its first line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moorage", "step", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "begun\n" == process.stdout.readline()
    return process


def wait_for_output(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end of a process, and return its exit code and the rest of its output."""
    output, problems = process.communicate(timeout=120)
    return process.returncode, output, problems


def test_output_and_exit_code_are_those_of_the_step() -> None:
    """`step run` passes on both outputs, masks secrets, and exits with the step's exit code."""
    Path("name").write_text("Ada\n")
    options = ["--env", "CODE=7", "--env", "GREETING=good day", "--file", "name=name"]

    ending = command("step", "run", "greet", "--key", "g1", *options)

    assert (7, "good day\n***Ada\n") == (ending.code, ending.out)
    first, last = ending.err.splitlines()
    assert "oops" == first
    assert last.startswith("greet failed after ")
    assert last.endswith("s, exit code 7; key g1")


def test_repeat_shows_the_result() -> None:
    """A repeated key shows the earlier result and starts nothing.

    Another step with the same key is refused.
    """
    options = ["total", "--key", "g1", "--json"]
    first, second = (
        command("step", "run", *options, "--file", "orders=moorage.toml") for _ in range(2)
    )
    other = command("step", "run", *options)

    assert {"outcome": "success", "exit_code": 0, "stdout": "done\n", "files": ["sums/total"]} == {
        name: first.result[name] for name in ("outcome", "exit_code", "stdout", "files")
    }
    assert first.result == second.result
    assert (1, "IdempotencyConflict") == (other.code, other.document["error"]["kind"])


def test_reused_result_is_announced() -> None:
    """If an equal step has succeeded before, `step run` prints that it ran nothing."""
    options = ["--env", f"FOLDER={Path.cwd()}"]
    counter = Path("counter")
    first, second = (command("step", "run", "cached", "--key", key, *options) for key in "ab")
    document = command("step", "run", "cached", "--key", "c", *options, "--json").result

    assert "x\n" == counter.read_text()
    assert "done\n" == first.out == second.out
    assert "reused" not in first.err
    assert "in an earlier run with the same input; its result is reused" in second.err
    assert document["metadata"]["cached"]


def test_end_of_a_long_result_is_shown() -> None:
    """Repeating a key shows the output again, or the end of a long one, which --json indicates."""
    text = CONFIGURATION + '[steps.count]\ncommand = ["seq", "1", "20000"]\n'
    Path("moorage.toml").write_text(text, encoding="utf-8")
    command("step", "run", "count", "--key", "c1")
    Path("orders").write_text("a\n")
    short = ["total", "--key", "t1", "--file", "orders=orders"]

    second_output = command("step", "run", "count", "--key", "c1")
    document = command("step", "run", "count", "--key", "c1", "--json").result
    outputs = [command("step", "run", *short).out for _ in range(2)]

    assert ["19999", "20000"] == second_output.out.splitlines()[-2:]
    assert "before its last lines were read" in document["metadata"]["log_error"]
    assert ["done\n"] * 2 == outputs


def test_files_that_were_not_stored_are_named() -> None:
    """`step run` reads input files from the storage, and names output files that are missing."""
    Path("kept/orders").mkdir(parents=True)
    Path("kept/orders/1").write_text("5\n")

    ending = command("step", "run", "stored")

    assert 0 == ending.code
    assert "other was not stored: The step did not write this file" in ending.err
    assert "copy was not" not in ending.err
    assert "5\n" == Path("kept/copies/1").read_text()


def test_output_files_are_written_to_a_folder() -> None:
    """`--output` writes the step's output files to a folder."""
    Path("orders").write_text("a\nb\n")

    ending = command("step", "run", "total", "--file", "orders=orders", "--output", "out")

    assert (0, "done\n") == (ending.code, ending.out)
    assert "2" == Path("out/sums/total").read_text().strip()


def test_unwritable_file_keeps_the_result_of_the_step() -> None:
    """If an output file cannot be written, the error shows the key that writes it elsewhere."""
    Path("orders").write_text("a\nb\n")
    Path("out/sums/total").mkdir(parents=True)
    words = ("step", "run", "total", "--file", "orders=orders", "--output")

    ending = command(*words, "out")
    match = re.search("--key ([^,]+),", ending.err)

    assert 1 == ending.code
    assert "total succeeded after" in ending.err
    assert "'out/sums/total' cannot be written (Is a directory)" in ending.err
    assert match is not None
    assert 0 == command(*words, "elsewhere", "--key", match[1]).code
    assert "2" == Path("elsewhere/sums/total").read_text().strip()


def test_repeat_after_kill_follows_same_run() -> None:
    """If `step run` is killed, a repeat follows the same run and shows all its lines."""
    process = start("wait", "w1")
    process.kill()
    wait_for_output(process)
    output = command("step", "logs", "wait", "--key", "w1", "--json").result
    listed_runs = command("step", "list", "--json").result["runs"]
    Path("go").touch()
    ending = command("step", "run", "wait", "--key", "w1", "--env", f"FOLDER={Path.cwd()}")

    assert [{"stream": "stdout", "text": "begun"}] == output["lines"]
    assert [("here", "wait", "w1", "running")] == [
        (run["platform"], run["step"], run["key"], run["phase"]) for run in listed_runs
    ]
    assert (0, "begun\nover\n") == (ending.code, ending.out)
    assert [] == command("step", "list", "--json").result["runs"]


def test_first_interruption_stops_the_step() -> None:
    """Ctrl-C stops the step with its grace period, shows the rest of the output, and exits."""
    process = start("wait", "w1")
    process.send_signal(signal.SIGINT)

    code, output, problems = wait_for_output(process)

    assert (143, "") == (code, output)
    assert ["Stopping the step; Ctrl-C again leaves it running."] == problems.splitlines()[:1]
    assert "wait was stopped after" in problems


def test_second_ctrl_c_ends_command_at_once() -> None:
    """A second Ctrl-C ends the command at once; the run can still be followed and stopped."""
    process = start("stubborn", "s1")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Stopping the step")
    process.send_signal(signal.SIGINT)
    code, _, problems = wait_for_output(process)

    assert 130 == code
    assert "Its key is s1." in problems
    follower = follow_run("stubborn", "s1")
    stopped = command("step", "stop", "stubborn", "--key", "s1", "--grace", "0")
    assert (0, "stopped: stubborn (s1)\n") == (stopped.code, stopped.out)
    assert (137, "", "") == wait_for_output(follower)
    second_output = command("step", "stop", "stubborn", "--key", "s1")
    assert (1, "The run 's1' is not running.\n") == (second_output.code, second_output.out)


def test_logs_of_a_settled_run_are_shown() -> None:
    """`step logs` shows the output of a settled run, and fails for an unused key."""
    Path("orders").write_text("a\n")
    command("step", "run", "total", "--key", "t1", "--file", "orders=orders")

    output = command("step", "logs", "total", "--key", "t1")
    followed = command("step", "logs", "total", "--key", "t1", "--follow", "--json")
    unknown = command("step", "logs", "total", "--key", "t2")

    assert (0, "done\n") == (output.code, output.out)
    assert "success" == followed.result["outcome"]
    assert (1, "There is no run of 't2'.\n") == (unknown.code, unknown.out)


def test_following_run_whose_supervisor_was_killed_exits_with_3() -> None:
    """Following a run whose supervisor was killed exits with 3: the exit code is unknown."""
    process = start("wait", "w1")
    process.kill()
    wait_for_output(process)
    follower = follow_run("wait", "w1")
    [started] = Path("runs").glob("*/started")
    os.kill(json.loads(started.read_text())["pid"], signal.SIGKILL)

    assert 3 == wait_for_output(follower)[0]


def test_torn_last_line_is_ended() -> None:
    """The message about the step's end begins on a new line, even after an incomplete line."""
    text = CONFIGURATION + '[steps.torn]\ncommand = ["printf", "no line break"]\n'
    Path("moorage.toml").write_text(text, encoding="utf-8")

    ending = command("step", "run", "torn")

    assert "no line break" == ending.out
    assert ending.err.startswith("\ntorn succeeded after")


def test_steps_are_listed() -> None:
    """`step list` prints all steps with their platforms, or that there are no steps."""
    rows = command("step", "list").out.splitlines()
    fields = command("step", "list", "--json").result["steps"]
    Path("moorage.toml").write_text("version = 1\n")

    assert rows[0].split() == ["step", "platform", "image", "timeout", "command"]
    assert [
        ("greet", "here"),
        ("total", "here"),
        ("wait", "here"),
        ("stored", "here"),
        ("cached", "here"),
        ("stubborn", "here"),
    ] == [(row["step"], row["platform"]) for row in fields]
    assert "No step is configured.\n" == command("step", "list").out


def test_running_steps_are_listed_with_their_keys() -> None:
    """`step list` shows each running step with its key."""
    process = start("wait", "w1")

    rows = [line.split() for line in command("step", "list").out.splitlines()]

    assert ["run", "of", "platform", "key", "phase", "exit_code", "started_at"] in rows
    assert ["wait", "here", "w1", "running"] in [row[:4] for row in rows]
    Path("go").touch()
    assert 0 == wait_for_output(process)[0]


@pytest.mark.usefixtures("cloud")
def test_interruption_before_the_start_runs_nothing() -> None:
    """Ctrl-C while a step is starting just ends the command, because there is no run yet."""
    ending = command("step", "run", "greet")

    assert (130, "moorage: Interrupted.\n") == (ending.code, ending.err)


@pytest.mark.usefixtures("cloud")
def test_step_list_shows_steps() -> None:
    """`step list` shows the steps, but fails if a platform does not respond."""
    ending = command("step", "list")
    problems = json.loads(command("step", "list", "--json").out)["result"]["problems"]

    assert 1 == ending.code
    assert "cloud: The cloud does not answer." in ending.out
    assert ["cloud"] == list(problems)


@pytest.mark.usefixtures("cloud")
def test_step_list_shows_run_that_its_platform_cannot_describe(tmp_path: Path) -> None:
    """`step list` shows a run that its platform cannot describe, and fails with the reason."""
    failure = 'raise ConnectionFailed("The cloud does not answer.")'
    hanging = 'return [RunStatus(name="r1", phase=RunPhase.RUNNING, problem="It hangs.")]'
    states = "from moorage.domain.steps.runs import RunPhase, RunStatus\n"
    (tmp_path / "our_clouds.py").write_text(
        CLOUDS.replace(failure, hanging).replace("import attrs\n", f"import attrs\n{states}")
    )

    ending = command("step", "list")
    result = json.loads(command("step", "list", "--json").out)["result"]

    assert 1 == ending.code
    assert "r1: It hangs." in ending.out
    assert {"r1": "It hangs."} == result["problems"]
    assert ["running"] == [run["phase"] for run in result["runs"]]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["run", "greeet"], "There is no step named 'greeet'."),
        (["stop", "greeet", "--key", "k"], "There is no step named 'greeet'."),
        (["run", "greet", "--env", "CODE"], "--env: An option does not have the form name=value."),
        (["run", "greet", "--file", "=x"], "--file: An option does not have the form name=value."),
        (["run", "greet", "--file", "name=nowhere"], "The file 'nowhere' cannot be read"),
        (["run", "greet", "--file", "../name=moorage.toml"], "not a valid path in a workspace"),
        (["run", "greet", "--env", "A-B=1"], "not a valid name of a variable"),
        (["run", "total", "--output", "moorage.toml/out"], "cannot be used"),
    ],
)
def test_command_with_a_mistake_runs_nothing(arguments: list[str], message: str) -> None:
    """A command with a mistake runs nothing, and the error describes the mistake."""
    ending = command("step", *arguments)

    assert 2 == ending.code
    assert message in ending.err
    assert not any(Path("runs").glob("*"))


@pytest.mark.parametrize("state", ["", '[state]\nurl = "memory:"\n'])
def test_key_needs_a_store(state: str) -> None:
    """A key is refused if no store would remember the key after the command."""
    steps = CONFIGURATION.replace('[state]\nurl = "sqlite:///state.db"\n', state)
    Path("moorage.toml").write_text(steps, encoding="utf-8")

    ending = command("step", "run", "total", "--key", "t1")

    assert 2 == ending.code
    assert "state.url" in ending.err
    assert 0 == command("step", "run", "total", "--file", "orders=moorage.toml").code
