"""Commands that end in every way."""

from __future__ import annotations

import sys
import threading

from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.errors import ConnectionFailed, OutcomeUnknown


def crash(*, desk: Desk) -> Answer:
    """Does crash."""
    secret = "hunt"
    raise ZeroDivisionError(secret + "er2")


def refuse(*, desk: Desk) -> Answer:
    """Does refuse."""
    raise ConnectionFailed("the vendor is away.", service="vat")


def lose(*, desk: Desk) -> Answer:
    """Does lose."""
    raise OutcomeUnknown("the answer was lost.")


def interrupt(*, desk: Desk) -> Answer:
    """Does interrupt."""
    raise KeyboardInterrupt


def leave(*, desk: Desk) -> Answer:
    """Does leave."""
    sys.exit("enough")


def talk(*, desk: Desk) -> Answer:
    """Does talk."""
    return Answer({}, ["word " * 20] * 100_000)


def mumble(*, desk: Desk) -> Answer:
    """Does mumble."""
    return Answer({}, ["word"])


def wait(*, desk: Desk) -> Answer:
    """Does wait."""
    desk.tell("waiting")
    threading.Event().wait(60)
    return Answer({})
