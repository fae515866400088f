"""Commands that end in different ways, for tests of the command line."""

from __future__ import annotations

import sys
import threading

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.errors import ConnectionFailed, OutcomeUnknown


def crash(*, context: Context) -> CommandResult:
    """Does crash."""
    secret = "hunt"
    raise ZeroDivisionError(secret + "er2")


def refuse(*, context: Context) -> CommandResult:
    """Does refuse."""
    raise ConnectionFailed("the vendor is away.", service="vat")


def lose(*, context: Context) -> CommandResult:
    """Does lose."""
    raise OutcomeUnknown("the answer was lost.")


def interrupt(*, context: Context) -> CommandResult:
    """Does interrupt."""
    raise KeyboardInterrupt


def leave(*, context: Context) -> CommandResult:
    """Does leave."""
    sys.exit("enough")


def talk(*, context: Context) -> CommandResult:
    """Does talk."""
    return CommandResult({}, ["word " * 20] * 100_000)


def mumble(*, context: Context) -> CommandResult:
    """Does mumble."""
    return CommandResult({}, ["word"])


def wait(*, context: Context) -> CommandResult:
    """Does wait."""
    context.print_progress("waiting")
    threading.Event().wait(60)
    return CommandResult({})
