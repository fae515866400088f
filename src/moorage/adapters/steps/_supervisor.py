"""The program that supervises one local step, even after its starter has ended.

It runs alone, without the package, and reads its task from the standard input. It holds the lock of
the run's folder until it ends, so others can see that it still runs. It ends the step and
everything that the step started: at the time limit, on the signal SIGTERM, and when the step's
program has ended. Then it records the exit code.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

_DEATH_SIGNAL = 1
_SUBREAPER = 36
_CANNOT_RUN = 126
_NOT_FOUND = 127
_TURN = 0.2
_FACTS_SIZE = 200
"""The bytes of a file with a run's data, which are reserved before the data is known."""


def main() -> None:
    """Read the supervisor's task, detach from the starting process, and supervise the step."""
    try:
        task = json.loads(sys.stdin.buffer.read())
    except ValueError:
        # The process that started the step died before it could start anything.
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    _Supervisor(task).run()


class _Supervisor:
    """The supervisor of one step."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.folder = Path(task["folder"])
        self.reason = "exited"
        self.kill_at: float | None = None
        self.code: int | None = None
        self.child = 0
        self.signals = {signal.SIGCHLD, signal.SIGTERM}

    def run(self) -> None:
        """Start the step, supervise it, and record its end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_SUBREAPER, 1, 0, 0, 0)
        try:
            self.write_secrets()
            # The step may fill the disk, and its end must be recorded nevertheless. Others write to
            # the second file to stop the step.
            self.write_facts("exit.new", {})
            self.write_facts("stop.new", {})
            # Written before the fork: without an exit code, this file tells that the step may have
            # begun.
            self.record("started", {"pid": os.getpid(), "at": time.time()})
            start_time = time.monotonic()
            self.child = os.fork()
        except OSError:
            self.remove_secrets()
            (self.folder / "started").unlink(missing_ok=True)
            raise
        if self.child == 0:
            self.become_step(libc)
        os.write(1, b"1")
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        self.supervise(start_time + self.task["timeout"])
        self.kill_everything()
        self.remove_secrets()
        self.record("exit", {"code": self.code, "reason": self.reason, "at": time.time()})

    def become_step(self, libc: ctypes.CDLL) -> None:
        """Turn this forked process into the step; this function never returns."""
        try:
            os.setsid()
            libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self.task_pid():
                os._exit(_CANNOT_RUN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(self.folder / "stdout", flags, 0o600), 1)
            os.dup2(os.open(self.folder / "stderr", flags, 0o600), 2)
            os.closerange(3, 65536)
            os.chdir(self.folder / "work")
            memory = self.task["memory"]
            if memory:
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            command = [os.fsencode(part) for part in self.task["command"]]
            variables = {
                os.fsencode(name): os.fsencode(value)
                for name, value in self.task["environment"].items()
            }
            os.execvpe(command[0], command, variables)  # noqa: S606 - no shell may read it
        except FileNotFoundError:
            os.write(2, b"There is no such program.\n")
            os._exit(_NOT_FOUND)
        except BaseException as error:  # noqa: BLE001 - nothing may return from here
            os.write(2, f"The program cannot run: {type(error).__name__}.\n".encode())
            os._exit(_CANNOT_RUN)

    def task_pid(self) -> int:
        """Return the recorded process id of the supervisor."""
        facts: dict[str, int] = json.loads((self.folder / "started").read_text())
        return facts["pid"]

    def supervise(self, deadline: float) -> None:
        """Wait until the step ends; end the step at its time limit or when a caller stops it."""
        while self.code is None:
            now = time.monotonic()
            if self.kill_at is not None and now >= self.kill_at:
                self.kill_everything()
            elif self.kill_at is None and now >= deadline:
                self.ask_to_end("deadline", self.task["grace"])
            until = deadline if self.kill_at is None else self.kill_at
            info = signal.sigtimedwait(self.signals, min(_TURN, max(0.01, until - now)))
            stop = self.folder / "stop"
            if info is not None and info.si_signo == signal.SIGTERM and stop.exists():
                self.ask_to_end("stopped", json.loads(stop.read_text())["grace"])
            self.reap()

    def ask_to_end(self, reason: str, grace: float) -> None:
        """Ask the step to end; it is killed after its grace period."""
        if self.kill_at is None:
            self.reason = reason
            self.kill_at = time.monotonic() + grace
            self.signal_everything(signal.SIGTERM)

    def reap(self) -> bool:
        """Collect ended child processes; return whether any child still runs."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.child:
                code = os.waitstatus_to_exitcode(status)
                self.code = 128 - code if code < 0 else code

    def kill_everything(self) -> None:
        """Kill the step and all its descendants; orphans become children of this process."""
        while self.reap():
            self.signal_everything(signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, 0.02)

    def signal_everything(self, number: int) -> None:
        """Send a signal to the step and its descendants."""
        for pid in _descendants(os.getpid()):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def write_secrets(self) -> None:
        """Write each secret to a separate file."""
        folder = self.folder / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, value in self.task["secrets"].items():
            number = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(bytes.fromhex(value))
            self.task["environment"][f"{name}_FILE"] = str(folder / name)
        self.task["secrets"] = None

    def remove_secrets(self) -> None:
        """Remove the secrets' files."""
        shutil.rmtree(self.folder / "secrets", ignore_errors=True)

    def record(self, name: str, facts: dict[str, Any]) -> None:
        """Write a run's data to a file atomically, so that the file is always complete."""
        self.write_facts(f"{name}.new", facts)
        (self.folder / f"{name}.new").replace(self.folder / name)

    def write_facts(self, name: str, facts: dict[str, Any]) -> None:
        """Write data to a file, over its former content, and return once the data is on disk."""
        number = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(number, "w") as file:
            file.write(json.dumps(facts).ljust(_FACTS_SIZE))
            file.flush()
            os.fsync(number)


def _descendants(root: int) -> list[int]:
    """Return the descendants of a process, from the table of processes."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] != b"Z":
                parents[int(entry.name)] = int(fields[1])
    descendants: list[int] = []
    pending = [root]
    while pending:
        parent = pending.pop()
        children = [pid for pid, its_parent in parents.items() if its_parent == parent]
        descendants += children
        pending += children
    return descendants


if __name__ == "__main__":
    main()
