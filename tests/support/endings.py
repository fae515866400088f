"""Commands that end in every way."""

from __future__ import annotations

import sys
import threading

from moorage.cli.answer import Answer
from moorage.cli.context import Context
from moorage.errors import ConnectionFailed, OutcomeUnknown


def crash(*, context: Context) -> Answer:
    """Does crash."""
    secret = "hunt"
    raise ZeroDivisionError(secret + "er2")


def refuse(*, context: Context) -> Answer:
    """Does refuse."""
    raise ConnectionFailed("the vendor is away.", service="vat")


def lose(*, context: Context) -> Answer:
    """Does lose."""
    raise OutcomeUnknown("the answer was lost.")


def interrupt(*, context: Context) -> Answer:
    """Does interrupt."""
    raise KeyboardInterrupt


def leave(*, context: Context) -> Answer:
    """Does leave."""
    sys.exit("enough")


def talk(*, context: Context) -> Answer:
    """Does talk."""
    return Answer({}, ["word " * 20] * 100_000)


def mumble(*, context: Context) -> Answer:
    """Does mumble."""
    return Answer({}, ["word"])


def wait(*, context: Context) -> Answer:
    """Does wait."""
    context.tell("waiting")
    threading.Event().wait(60)
    return Answer({})
