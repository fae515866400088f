"""Starts watchdogs, programs that enforce the time limits of containers, and replaces dead ones."""

from __future__ import annotations

import fcntl
import os
import select
import stat
import subprocess
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Final, Self

from moorage.domain.steps.runs import EndReason
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from moorage.domain.steps.step import Step

_PRIVATE_MODE: Final = 0o700
_PARTS_OF_RECORD: Final = 6

_PROGRAM: Final = Path(__file__).with_name("_docker_watchdog.py")


class Watchdog:
    """A program that stops a container after some seconds, even if this process ends before.

    It starts immediately, and ends with the `with` block unless the block gives it a task.

    Args:
        python: the Python that runs it.

    Raises:
        ConnectionFailed: the program cannot be started.
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
        # An exchange that has a task belongs to the parent process, where its child goes on.
        self._process.kill()
        with self._process:
            pass

    def watch(self, timeout: float, *task: object) -> None:
        """Send the watchdog its task, and wait until it watches the container.

        Raises:
            ConnectionFailed: the watchdog ends instead, or does not watch within `timeout` seconds.
        """
        pipe, answer = self._process.stdin, self._process.stdout
        assert pipe is not None  # noqa: S101 - it was asked for
        assert answer is not None  # noqa: S101 - so was this
        with suppress(OSError), pipe:  # A container that has ended gives no answer.
            pipe.write("\0".join(map(str, task)).encode())
        poll = select.poll()
        poll.register(answer, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise _no_watchdog("it does not answer")
        if not answer.read(1):
            raise _no_watchdog("it ended at once")


class TimeLimits:
    """The time limits of an Engine's containers, each enforced by a watchdog.

    A watchdog that dies leaves its record, from which a follower on this machine starts another.

    Args:
        socket: the Engine's Unix socket.
        python: the Python that runs the watchdogs.
        folder: the folder of the records; by default one of this user for temporary files. If it
            belongs to others, or others can use it, no record is made.
    """

    def __init__(self, socket: str, python: str, folder: Path | None = None) -> None:
        self._socket = str(Path(socket).absolute())
        self._python = python
        self._folder = folder or Path(gettempdir(), f"moorage-watchdogs-{os.getuid()}")

    def watchdog(self) -> Watchdog:
        """Return a watchdog without a task."""
        return Watchdog(self._python)

    def keep(self, watchdog: Watchdog, container: str, step: Step, timeout: float) -> None:
        """Make a watchdog stop a container at its step's time limit.

        Raises:
            ConnectionFailed: the watchdog does not watch within `timeout` seconds.
        """
        record = self._record_path(container) if self._is_private() else ""
        task = (container, step.timeout, round(step.grace), EndReason.DEADLINE.value)
        watchdog.watch(timeout, self._socket, *task, "", record)

    def stop(self, container: str, grace: float, timeout: float) -> None:
        """Make a watchdog stop a container now.

        Raises:
            ConnectionFailed: the watchdog does not watch within `timeout` seconds.
        """
        task = (container, 0.0, round(grace), EndReason.STOPPED.value)
        with self.watchdog() as watchdog:
            watchdog.watch(timeout, self._socket, *task, "", "")

    def has_no_record(self, container: str) -> bool:
        """Return whether a container lacks a watchdog's record, where records can be stored."""
        return self._is_private() and not self._record_path(container).exists()

    def restore(self, container: str, timeout: float) -> None:
        """Start a new watchdog for a container if the old one died; ignore failures."""
        record = self._record_path(container)
        task = _abandoned_task(record)
        if task is not None:
            with suppress(ConnectionFailed), self.watchdog() as watchdog:
                watchdog.watch(timeout, *task, record)

    def _record_path(self, container: str) -> Path:
        name = sha256(f"{self._socket}\0{container}".encode()).hexdigest()
        return self._folder / name

    def _is_private(self) -> bool:
        """Return whether the folder of records exists, and is private to this user."""
        try:
            self._folder.mkdir(mode=_PRIVATE_MODE, exist_ok=True)
            facts = self._folder.lstat()
        except OSError:
            return False
        is_own = facts.st_uid == os.getuid() and stat.S_ISDIR(facts.st_mode)
        return is_own and not facts.st_mode & 0o077


def _abandoned_task(record: Path) -> list[str] | None:
    """Return the task of a dead watchdog; None if the watchdog is alive or has no record."""
    try:
        with record.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            parts = file.read().decode().split("\0")
    except (OSError, UnicodeDecodeError):
        return None
    return parts if len(parts) == _PARTS_OF_RECORD else None


def _no_watchdog(reason: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"The watchdog of a container cannot watch it ({reason}).",
        may_have_been_processed=False,
        remedy="Give `python` the path of a Python interpreter that can use the Engine's socket.",
    )
