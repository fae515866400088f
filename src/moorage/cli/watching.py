"""Continuously updated output, on a terminal or as lines."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from moorage.cli.drawing import console, drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.cli.answer import Table

_LEAVING = frozenset({b"q", b"Q", b"\x03", b"\x04", b""})


def lines(say: Callable[[], None], every: float) -> None:
    """Print repeatedly until interrupted or until the reader closes the pipe."""
    while True:
        say()
        time.sleep(every)


def page(look: Callable[[], Table], every: float, *, colour: bool) -> None:
    """Show a full-screen table and refresh it periodically; q or Ctrl-C ends."""
    screen = console(colour=colour)
    with _keys() as pressed, Live(console=screen, screen=True, auto_refresh=False) as live:
        while True:
            foot = Text(f"{time.strftime('%H:%M:%S')}   q leaves", style="dim")
            live.update(Group(drawn(look()), foot), refresh=True)
            if pressed(every) in _LEAVING:
                return


@contextmanager
def _keys() -> Generator[Callable[[float], bytes | None]]:
    """Yield a function that waits some seconds for a key press."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)

    def pressed(within: float) -> bytes | None:
        ready, _, _ = select.select([keyboard], [], [], within)
        return os.read(keyboard, 1) if ready else None

    try:
        yield pressed
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
