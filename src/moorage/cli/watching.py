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

from moorage.cli.drawing import console, drawn_table

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.cli.answer import Table

_QUIT_KEYS = frozenset({b"q", b"Q", b"\x03", b"\x04", b""})


def print_lines(print_status: Callable[[], None], interval: float) -> None:
    """Print repeatedly until interrupted or until the reader closes the pipe."""
    while True:
        print_status()
        time.sleep(interval)


def show_page(read_table: Callable[[], Table], interval: float, *, color: bool) -> None:
    """Show a full-screen table and refresh it periodically; q or Ctrl-C ends."""
    screen = console(color=color)
    with _keys() as wait_for_key, Live(console=screen, screen=True, auto_refresh=False) as live:
        while True:
            footer = Text(f"{time.strftime('%H:%M:%S')}   q to quit", style="dim")
            live.update(Group(drawn_table(read_table(), screen.width), footer), refresh=True)
            if wait_for_key(interval) in _QUIT_KEYS:
                return


@contextmanager
def _keys() -> Generator[Callable[[float], bytes | None]]:
    """Yield a function that waits some seconds for a key press."""
    keyboard = sys.stdin.fileno()
    settings = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)

    def wait_for_key(timeout: float) -> bytes | None:
        readable_files, _, _ = select.select([keyboard], [], [], timeout)
        return os.read(keyboard, 1) if readable_files else None

    try:
        yield wait_for_key
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, settings)
