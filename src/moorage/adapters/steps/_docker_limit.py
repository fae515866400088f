"""Starts the programs that keep the time limits of containers."""

from __future__ import annotations

import select
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from moorage.errors import ConnectionFailed

_PROGRAM: Final = Path(__file__).with_name("_docker_watchdog.py")


class Watchdog:
    """The program that stops a container after some seconds, whatever becomes of this process.

    It starts at once, and ends with the `with` block unless the block gives it a task.

    Args:
        python: the Python that runs it.

    Raises:
        ConnectionFailed: it cannot be started.
    """

    def __init__(self, python: str) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [python, "-I", "-S", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        except OSError as error:
            raise _no_watchdog(type(error).__name__) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # One with a task has left this process, and its child goes on.
        self._process.kill()
        with self._process:
            pass

    def watch(self, timeout: float, *task: object) -> None:
        """Give it its task, the values that `_docker_watchdog` reads, and wait until it watches.

        Raises:
            ConnectionFailed: it ends instead, or does not watch within `timeout` seconds.
        """
        pipe, answer = self._process.stdin, self._process.stdout
        assert pipe is not None  # noqa: S101 - it was asked for
        assert answer is not None  # noqa: S101 - so was this
        with suppress(OSError), pipe:  # One that has ended gives no answer.
            pipe.write("\0".join(map(str, task)).encode())
        poll = select.poll()
        poll.register(answer, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise _no_watchdog("it does not answer")
        if not answer.read(1):
            raise _no_watchdog("it ended at once")


def _no_watchdog(reason: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"The watchdog of a container cannot watch it ({reason}).",
        may_have_been_processed=False,
        remedy="Give `python` the path of a Python interpreter that can use the Engine's socket.",
    )
