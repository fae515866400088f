"""Running a command on a pseudo-terminal, in a separate process or in this one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from queue import Queue
from typing import TYPE_CHECKING

from moorage.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_TIMEOUT = 120.0


class Terminal:
    """The screen and keyboard of a running command."""

    def __init__(self, line: int, wait: Callable[[], int]) -> None:
        self._line = line
        self._wait = wait
        self.seen = ""

    def wait_for_text(self, pattern: str) -> str:
        """Wait until matching text is on the screen, and return that text."""
        end_time = time.monotonic() + _TIMEOUT
        while (result := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < end_time, f"{pattern!r} did not come: {self.seen!r}"
            if not self._read():
                raise AssertionError(f"the program ended without {pattern!r}: {self.seen!r}")
        self.seen = self.seen[result.end() :]
        return result[0]

    def type(self, text: str) -> None:
        """Type text on the keyboard."""
        os.write(self._line, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Resize the terminal window."""
        fcntl.ioctl(self._line, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for_exit(self) -> int:
        """Wait for the end of the command, and return its exit code."""
        while self._read():
            pass
        return self._wait()

    def _read(self) -> bool:
        ready_files, _, _ = select.select([self._line], [], [], _TIMEOUT)
        assert ready_files, f"it says no more: {self.seen!r}"
        try:
            message = os.read(self._line, 65_536)
        except OSError:  # Linux's way to report that the other side has hung up
            return False
        self.seen += message.decode(errors="replace")
        return bool(message)


@contextlib.contextmanager
def terminal(*arguments: str) -> Generator[Terminal]:
    """Run a command on a terminal, in a separate process."""
    own_end, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "moorage", *arguments],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no other way
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(other_end)
    try:
        shown_terminal = Terminal(own_end, lambda: process.wait(_TIMEOUT))
        shown_terminal.resize(24, 80)
        yield shown_terminal
    finally:
        process.kill()
        process.wait()
        os.close(own_end)


@contextlib.contextmanager
def on_terminal(*arguments: str) -> Generator[Terminal]:
    """Run a command of this process on a pseudo-terminal.

    The terminal controls no process, so Ctrl-C has no effect.
    """
    os.environ["TERM"] = "xterm-256color"
    own_end, other_end = pty.openpty()
    codes: Queue[int] = Queue()

    def run() -> None:
        previous_stdin = sys.stdin
        with os.fdopen(os.dup(other_end)) as keyboard, os.fdopen(other_end, "w") as screen:
            sys.stdin = keyboard
            try:
                with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
                    codes.put(main(arguments))
            finally:
                sys.stdin = previous_stdin

    running_thread = threading.Thread(target=run, daemon=True)
    try:
        shown_terminal = Terminal(own_end, lambda: codes.get(timeout=_TIMEOUT))
        shown_terminal.resize(24, 80)
        running_thread.start()
        yield shown_terminal
        running_thread.join(_TIMEOUT)
    finally:
        os.close(own_end)
