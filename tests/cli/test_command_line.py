"""The command line itself: arguments, output, and how commands end."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import cli
from moorage.cli import exit_codes
from moorage.cli.answer import CommandResult, Table
from moorage.cli.command_line import run
from moorage.cli.command_table import COMMANDS, GROUPS
from moorage.cli.streams import as_json
from moorage.domain.values.installation import install
from moorage.errors import ConnectionFailed, InvalidData, OutcomeUnknown
from tests.support.command import ENDINGS, command
from tests.support.modules import uninstall

HELP = {"--help", "-h", "--version"}
EXCLUDED_WORDS = {"listen", "demo"}
"""What waits for others, and what takes seconds."""
MOORAGE = [sys.executable, "-m", "moorage"]
EVERYWHERE = ["--json", "--config", "--environment", "--no-color", "--debug", "--help", "-h"]
OPTIONS = ["--version", "--migrate", "--tenant", "--write", "--timeout", "--issuer", "--", "-"]


@pytest.mark.parametrize("words", COMMANDS)
def test_command_docstrings_match_the_table(words: str) -> None:
    """Each command's docstring begins with the command's sentence in the table of commands."""
    place, description = COMMANDS[words]
    module, _, name = place.partition(":")
    result = getattr(import_module(module), name).__doc__

    assert description == " ".join(result.partition("\n\n")[0].split())
    groups = {command.rpartition(" ")[0] for command in COMMANDS} - {""}
    assert groups | {group.split()[0] for group in groups} == set(GROUPS)


@pytest.mark.parametrize(
    "words, option",
    [
        ("logs list --days -5", "--days"),
        ("logs remove --older-than -5", "--older-than"),
        ("logs remove --older-than 1e12", "--older-than"),
        ("logs follow --count 0", "--count"),
        ("ping vat --timeout nan", "--timeout"),
        ("inbox run --pause -1", "--pause"),
        ("dashboard --port 65536", "--port"),
        ("stream dlq list shop --limit -1", "--limit"),
        ("payments settle --limit 0", "--limit"),
        ("connectors --timeout nan", "--timeout"),
        ("status --every 0", "--every"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(words: str, option: str) -> None:
    """A number outside an option's range is refused, and the error contains the range."""
    result = command(*words.split())

    assert 2 == result.code
    assert re.search(f"for {option}. Pass a number .* and of at most", result.err)


@pytest.mark.untraced
@pytest.mark.parametrize("words", COMMANDS)
def test_help_of_each_command_shows_docstring_and_options(words: str) -> None:
    """The help of each command shows its whole docstring and the common options."""
    result = command(*words.split(), "--help")

    assert 0 == result.code
    assert f"moorage {words}" in result.out
    for option in EVERYWHERE[:5]:
        assert option in result.out
    assert "context" not in result.out


def test_help_lists_commands_and_exit_codes() -> None:
    """`moorage --help` lists all commands and exit codes, without importing the commands."""
    result = command("--help")

    assert 0 == result.code
    for words in COMMANDS:
        assert words.split()[0] in result.out
    assert "Exit codes" in result.out
    assert (0, f"{version('moorage')}\n") == (command("--version").code, command("--version").out)


@pytest.mark.parametrize("words", [[], ["oauth"]])
def test_missing_command_shows_the_help(words: list[str]) -> None:
    """A missing command shows the help, with the exit code for wrong usage."""
    result = command(*words)

    assert 2 == result.code
    assert "Usage: moorage" in result.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["chekc"],
        ["oauth", "enter"],
        ["vendors", "--nope"],
        ["vendors", "stripe", "hunter2"],
        ["vendors", "--config"],
        ["oauth", "login", "--port", "x"],
    ],
)
def test_wrong_arguments_are_refused_with_one_line(arguments: list[str]) -> None:
    """Wrong arguments are refused with one line and the exit code for wrong usage."""
    ended_ended = command(*arguments)
    result = command(*arguments, "--json").document

    assert (2, "") == (ended_ended.code, ended_ended.out)
    assert ended_ended.err.startswith("moorage: ")
    assert 1 == ended_ended.err.count("\n")
    assert "hunter2" not in ended_ended.err
    assert (False, "WrongCall", 2) == (
        result["ok"],
        result["error"]["kind"],
        result["error"]["code"],
    )


def test_global_option_works_before_and_after_command() -> None:
    """A global option works before and after the command."""
    assert command("--json", "vendors").document == command("vendors", "--json").document


@pytest.mark.parametrize("option", ["--config", "--environment"])
def test_command_that_is_also_a_group_runs_after_a_global_option(option: str) -> None:
    """`moorage vendors` lists the vendors even if a global option with a value precedes it."""
    assert command("vendors").out == command(option, "any", "vendors").out


def test_configuration_is_the_named_or_the_nearest_file(tmp_path: Path) -> None:
    """The configuration is the named file, MOORAGE_CONFIG's, or the nearest here or in a parent."""
    deep_path = tmp_path / "deep" / "deeper"
    deep_path.mkdir(parents=True)
    os.chdir(deep_path)
    assert "--config" in command("check").err
    (tmp_path / "moorage.toml").write_text("")
    assert str(tmp_path / "moorage.toml") == command("check", "--json").result["configuration"]
    named_path = tmp_path / "other.toml"
    named_path.write_text("")
    os.environ["MOORAGE_CONFIG"] = str(named_path)
    assert str(named_path) == command("check", "--json").result["configuration"]
    third = str(tmp_path / "third.toml")
    assert third in command("check", "--config", third).err


def test_empty_path_of_the_configuration_is_an_error(tmp_path: Path) -> None:
    """If --config is empty, as with an unset shell variable, no other file is used instead."""
    os.chdir(tmp_path)
    (tmp_path / "moorage.toml").write_text("")
    os.environ["MOORAGE_CONFIG"] = str(tmp_path / "moorage.toml")
    for words in (["check"], ["audit", "list"]):
        result = command(*words, "--config", "")
        assert result.code != 0
        assert "The path of the configuration is empty." in result.err


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        ("crash", 70, "An unexpected error occurred (ZeroDivisionError in crash, line"),
        ("refuse", 1, "the vendor is away. Check the network"),
        ("lose", 3, "the answer was lost."),
        ("interrupt", 130, "Interrupted."),
    ],
)
def test_error_ends_the_command_with_a_one_line_message(
    words: str, code: int, sentence: str
) -> None:
    """Any error ends the command with its exit code and a one-line message, not a traceback."""
    ended_ended = command(words, commands=ENDINGS)
    result = command(words, "--json", commands=ENDINGS)

    assert (code, "") == (ended_ended.code, ended_ended.out)
    assert ended_ended.err.startswith("moorage: ")
    assert sentence in ended_ended.err
    assert (code, code, False) == (
        result.code,
        result.document["error"]["code"],
        result.document["ok"],
    )
    assert "hunter2" not in ended_ended.err + result.out + result.err
    assert "Traceback" not in ended_ended.err


def test_debug_option_shows_the_traceback() -> None:
    """With --debug the traceback of an error is shown, without secret values."""
    result = command("crash", "--debug", commands=ENDINGS)

    assert "endings.py" in result.err
    assert "hunter2" not in result.err


def test_kinds_of_errors_have_different_exit_codes() -> None:
    """Configuration errors, unknown outcomes and rejections have different exit codes."""
    assert 3 == exit_codes.code_of(OutcomeUnknown("lost"))
    assert 1 == exit_codes.code_of(ConnectionFailed("away"))
    # The value may be of a record or an entry instead of an argument.
    assert 1 == exit_codes.code_of(InvalidData("No entry has this id.", field="id"))


def test_command_that_raises_system_exit_sets_exit_code() -> None:
    """A command that raises SystemExit sets the exit code; without a code it is 1."""
    assert 1 == command("leave", commands=ENDINGS).code


def test_tables_are_aligned() -> None:
    """Without a terminal, columns are aligned and no line has trailing blanks."""
    table = Table(("name", "of"), [("a", None), ("long one", 7)])

    assert ["name      of", "a", "long one  7"] == table.lines()
    assert CommandResult({}).code == 0


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """If its libraries are missing, the command line prints the pip extra to install."""
    uninstall(monkeypatch, "cyclopts", "moorage.cli.")
    result = command("vendors")

    assert (2, "") == (result.code, result.out)
    assert install("cli") in result.err


def test_other_import_errors_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library of the `cli` extra is reported; any other import error is raised."""
    uninstall(monkeypatch, "moorage.errors", "moorage.cli.")
    with pytest.raises(ImportError, match=re.escape("moorage.errors")):
        cli.main(["vendors"])


def test_help_imports_no_command_vendor_or_store() -> None:
    """Help and version import no command, no vendor, no store and no server."""
    code = (
        "import sys, json; from moorage.cli import main; main(['--help']);"
        " print(json.dumps([one for one in sys.modules if one.startswith('moorage.')]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded_modules = set(json.loads(process.stdout.splitlines()[-1]))

    assert set() == {place.partition(":")[0] for place, _ in COMMANDS.values()} & loaded_modules
    assert not any(
        item.startswith(("moorage.adapters", "moorage.vendors")) for item in loaded_modules
    )
    assert "moorage.config" not in loaded_modules


def test_closed_pipe_ends_quietly() -> None:
    """If the reader closes the pipe, the command ends quietly with its usual exit code."""
    with subprocess.Popen(
        [sys.executable, "-c", "from tests.support.command import run_talkative; run_talkative()"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as running_process:
        assert running_process.stdout is not None
        assert running_process.stderr is not None
        running_process.stdout.read(1)
        running_process.stdout.close()
        assert b"" == running_process.stderr.read()
    assert 141 == running_process.returncode


def test_command_can_be_interrupted_while_it_loads() -> None:
    """Ctrl-C during the import of modules ends the command like any other interruption."""
    program = (
        "import sys\n"
        "class Interrupter:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'moorage.cli.command_table':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupter())\n"
        "from moorage.cli import main\n"
        "sys.exit(main(['status']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (130, "", "moorage: Interrupted.\n") == (run.returncode, run.stdout, run.stderr)


def test_waiting_command_can_be_interrupted() -> None:
    """Ctrl-C ends a waiting command with the exit code of interruptions and one line."""
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from tests.support.command import wait_for_interruption; wait_for_interruption()",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as running_process:
        assert running_process.stdout is not None
        assert running_process.stderr is not None
        assert b"waiting\n" == running_process.stdout.readline()
        running_process.send_signal(signal.SIGINT)
        assert b"moorage: Interrupted.\n" == running_process.stderr.read()
    assert 130 == running_process.returncode


def test_unencodable_letters_do_not_fail() -> None:
    """Output to an ASCII terminal, and undecodable arguments, do not make a command fail."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.run(
        [*MOORAGE, "--help"], capture_output=True, env=environment, check=False
    )
    odd_process = subprocess.run(
        [*MOORAGE, "vendors", b"\xff\xfe", "--json"], capture_output=True, check=False
    )

    assert (0, b"") == (process.returncode, process.stderr)
    assert (2, b"") == (odd_process.returncode, odd_process.stderr)
    assert json.loads(odd_process.stdout)["error"]["kind"] == "ConfigurationError"


@pytest.mark.parametrize("coding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("words", [["check", "--json"], ["export", "openapi"]])
def test_json_output_escapes_characters_that_the_encoding_lacks(
    tmp_path: Path, coding: str, words: list[str]
) -> None:
    """In JSON output, characters that the output's encoding lacks are escaped as JSON requires."""
    written_path = tmp_path / "moorage.toml"
    written_path.write_text(
        '[services."\U0001f600\u00fc"]\nbase_url = "https://a.example"\n', "utf-8"
    )
    process = subprocess.run(
        [*MOORAGE, *words, "--config", written_path],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": coding},
        check=True,
    )

    assert "\U0001f600\u00fc" in str(json.loads(process.stdout.decode(coding)))


def test_completion_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the home folder is not writable, completion is refused with advice."""
    home_directory = tmp_path / "home"
    home_directory.write_text("")
    for name, value in (
        ("HOME", home_directory),
        ("XDG_DATA_HOME", home_directory),
        ("SHELL", "/bin/bash"),
    ):
        monkeypatch.setenv(name, str(value))
    result = command("--install-completion", "--shell", "bash")

    assert (2, True) == (result.code, "pass --output" in result.err)


@pytest.mark.parametrize("arguments", [["check"], ["--help"], ["vendors", "--json"]])
def test_closed_streams_do_not_fail(arguments: list[str]) -> None:
    """A command whose standard streams are closed exits with its usual exit code."""
    with_streams = subprocess.run([*MOORAGE, *arguments], capture_output=True, check=False)
    closed_process = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", *MOORAGE, *arguments],
        capture_output=True,
        check=False,
    )

    assert (with_streams.returncode, b"", b"") == (
        closed_process.returncode,
        closed_process.stdout,
        closed_process.stderr,
    )


def test_letters_that_are_missing_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON output escapes only those characters that the output's encoding lacks."""
    for coding, written_json in (("ascii", '"\\u00fc"'), ("utf-8", '"\u00fc"')):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), coding))
        assert written_json == as_json("\u00fc")


def test_missing_streams_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a standard stream is missing, output is dropped and input is empty."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert 0 == cli.main(["vendors"])
    assert "" == sys.stdin.read()
    for item in (sys.stdin, sys.stdout, sys.stderr):
        item.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
@pytest.mark.parametrize("words", ["talk", "refuse", "leave", "return_word"])
def test_full_disk_is_reported(words: str, capfd: pytest.CaptureFixture[str]) -> None:
    """If output cannot be written, the command prints an error and has a special exit code."""
    with Path("/dev/full").open("w") as full_disk, redirect_stdout(full_disk):
        assert 1 == run([words], ENDINGS)
    output = capfd.readouterr().err
    assert ("No space left" in output) == (words in {"talk", "return_word"})
    assert "Traceback" not in output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_exit_code_survives_a_full_disk() -> None:
    """If the error message cannot be written, the exit code is still that of the error."""
    with Path("/dev/full").open("w") as full_disk:
        ended = subprocess.run(
            [*MOORAGE, "check", "--config", "nowhere.toml"], stderr=full_disk, check=False
        )
    assert 2 == ended.returncode


WORDS = st.sampled_from(
    sorted({word for command in COMMANDS for word in command.split()} - EXCLUDED_WORDS)
)
ARGUMENTS = st.lists(
    WORDS | st.sampled_from([*EVERYWHERE, *OPTIONS]) | st.text(max_size=8), max_size=8
)


@pytest.mark.untraced
@settings(deadline=None)
@given(ARGUMENTS)
def test_arbitrary_arguments_end_with_documented_exit_code(arguments: list[str]) -> None:
    """Arbitrary arguments end with a documented exit code, and with --json in a JSON document."""
    result = command(*arguments)

    assert result.code in set(exit_codes.CODES) - {exit_codes.INTERNAL_ERROR}
    assert "Traceback" not in result.out + result.err
    if result.out and "--json" in arguments and "--" not in arguments and not HELP & {*arguments}:
        assert result.document["ok"] == (result.code == 0)


@pytest.mark.parametrize("named_by", ["option", "variable"])
def test_configuration_in_a_pipe_is_read_once(named_by: str) -> None:
    """A command that needs its configuration twice reads a pipe only once."""
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        pipe.write('[state]\nurl = "sqlite:///state.db"\n[services.shop]\n')
        pipe.close()
        path = f"/dev/fd/{reading}"
        if named_by == "variable":
            os.environ["MOORAGE_CONFIG"] = path
        result = command("status", *(("--config", path) if named_by == "option" else ()))

    assert (0, "") == (result.code, result.err)
    assert "shop" in result.out
