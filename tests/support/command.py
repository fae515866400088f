"""Running the command line in this process, and reading its output."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import attrs

from moorage.cli import main
from moorage.cli.command_line import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.cli.host import Host

ENDINGS = {
    name: (f"tests.support.endings:{name}", f"Does {name}.")
    for name in ("crash", "refuse", "lose", "interrupt", "leave", "talk", "return_word", "wait")
}
"""Commands that end in every way."""


@attrs.frozen
class CommandEnding:
    """The result of a command: its exit code and output."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Return the JSON document that the command printed."""
        output: dict[str, Any] = json.loads(self.out)
        return output

    @property
    def result(self) -> dict[str, Any]:
        """Return the command's result, which is a part of its JSON output."""
        fields: dict[str, Any] = self.document["result"]
        return fields


def command(
    *arguments: str,
    commands: Mapping[str, tuple[str, str]] | None = None,
    host: Host | None = None,
) -> CommandEnding:
    """Run a command, and return its exit code and output."""
    output, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(err):
        code = main(arguments, host=host) if commands is None else run(arguments, commands)
    return CommandEnding(code, output.getvalue(), err.getvalue())


def run_typed(text: str, *arguments: str) -> CommandEnding:
    """Run a command with this text on its standard input."""
    previous_stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8")
    try:
        return command(*arguments)
    finally:
        sys.stdin = previous_stdin


def run_talkative() -> None:
    """Run a command that prints more than the program at the other end of its pipe reads."""
    sys.exit(run(["talk"], ENDINGS))


def wait_for_interruption() -> None:
    """Run a command that waits until it is interrupted."""
    sys.exit(run(["wait"], ENDINGS))
