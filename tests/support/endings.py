"""Commands that end in different ways, for tests of the command line."""

from __future__ import annotations

import sys
import threading

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.errors import ConnectionFailed, OutcomeUnknown


def crash(*, context: Context) -> CommandResult:
    """Raise an unexpected error whose text contains a secret."""
    secret = "hunt"
    raise ZeroDivisionError(secret + "er2")


def refuse(*, context: Context) -> CommandResult:
    """Raise an error of moorage, as if the vendor were unreachable."""
    raise ConnectionFailed("the vendor is away.", service="vat")


def lose(*, context: Context) -> CommandResult:
    """Raise OutcomeUnknown, as if the vendor's response were lost."""
    raise OutcomeUnknown("the answer was lost.")


def interrupt(*, context: Context) -> CommandResult:
    """Raise KeyboardInterrupt, as Ctrl-C does."""
    raise KeyboardInterrupt


def leave(*, context: Context) -> CommandResult:
    """Exit with a message, as `sys.exit` does."""
    sys.exit("enough")


def talk(*, context: Context) -> CommandResult:
    """Return a very long output."""
    return CommandResult({}, ["word " * 20] * 100_000)


def return_word(*, context: Context) -> CommandResult:
    """Return a single word of output."""
    return CommandResult({}, ["word"])


def wait(*, context: Context) -> CommandResult:
    """Print that the command waits, and wait for a minute."""
    context.print_progress("waiting")
    threading.Event().wait(60)
    return CommandResult({})
