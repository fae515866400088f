"""The program on a remote machine that manages runs of steps; it is started over SSH.

It runs alone, without the package, on Python 3.9 or newer. It reads requests from the standard
input and answers each on the standard output: eight digits of hexadecimal length and a JSON object,
then the same for bytes. A run is a folder, as on this machine: the process that holds its lock may
start it, and its supervisor holds the lock until it has recorded the exit code.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from select import select
from typing import Any, Generator, Optional  # noqa: UP035 - old releases of Python, too

# Errors because of the path itself; a later attempt would fail in the same way.
_UNREADABLE = {
    errno.EACCES,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
}
_PART = 1024 * 1024
_PAUSE = 0.005
_START = "import sys;exec(sys.stdin.buffer.read(int(sys.argv[1])))"


def main() -> None:
    """Answer requests until the connection ends."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.umask(0o077)
    _write(b"moorage-far 1\n")
    while True:
        size = sys.stdin.buffer.read(8)
        if len(size) < 8:
            return
        text = sys.stdin.buffer.read(int(size, 16))
        if len(text) < int(size, 16):
            return
        request = json.loads(text)
        data = b""
        try:
            answer, data = _Runs(request).response()
        except OSError as error:
            answer = {"error": os.strerror(error.errno) if error.errno else type(error).__name__}
        packed_answer = json.dumps(answer).encode()
        _write(b"%08x%s%08x%s" % (len(packed_answer), packed_answer, len(data), data))


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


class _Runs:
    """The runs in a folder, and one request about them."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.root = Path(os.path.expanduser(request["folder"]))  # noqa: PTH111 - keeps it as it is
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name: str = request.get("name", "")
        self.folder = self.root / self.name
        self.deadline = time.monotonic() + request["timeout"]

    def response(self) -> tuple[dict[str, Any], bytes]:
        """Return the response to the request as plain values, and the bytes that follow it."""
        action = self.request["do"]
        if action == "start":
            return self.start_run(), b""
        if action == "status":
            return {"status": self.status(self.folder)}, b""
        if action == "logs":
            return self.logs()
        if action == "runs":
            folders = sorted(item for item in self.root.iterdir() if item.name[0] != ".")
            statuses = [self.status(item) for item in folders]
            return {"runs": [status for status in statuses if status is not None]}, b""
        if action == "collect":
            data = self.collected_file()
            return {"found": data is not None}, data or b""
        if action == "stop":
            self.stop_run()
        else:
            self.remove_run()
        return {}, b""

    def start_run(self) -> dict[str, Any]:
        """Start the run, or find an existing run with its name."""
        while True:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with _lock(self.folder) as lock:
                if lock is not None and not (self.folder / "started").exists():
                    problem = self.spawn(lock)
                    if problem:
                        return {"error": problem}
            status = self.status(self.folder)
            if status is not None and status["phase"] != "starting":
                return {"status": status}
            if time.monotonic() >= self.deadline:
                return {"error": "the run did not begin in time"}
            time.sleep(_PAUSE)

    def spawn(self, lock: int) -> str:
        """Start the supervisor with the lock of the run; return an error if that fails."""
        task = self.request["task"]
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        for path, content in self.request["files"].items():
            file = work / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(content))
        (self.folder / "step.json").write_text(json.dumps(self.request["description"]))
        task["folder"] = str(self.folder.absolute())
        program = self.request["supervisor"].encode()
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", "-c", _START, str(len(program))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            pass_fds=(lock,),
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101 - a pipe
        assert process.stdout is not None  # noqa: S101 - a pipe
        with process, process.stdout, process.stdin:
            process.stdin.write(program + json.dumps(task).encode())
            process.stdin.close()
            time_left = max(0.1, self.deadline - time.monotonic())
            if not select([process.stdout], [], [], time_left)[0]:
                return "the supervisor of the step did not start in time"
            if process.stdout.read(1) != b"1":
                return "the supervisor of the step ended before it began"
        return ""

    def logs(self) -> tuple[dict[str, Any], bytes]:
        """Return the run's output after a position, which is a number of bytes."""
        start = self.request["start"]
        status = self.status(self.folder)
        is_over = status is None or status["phase"] in {"ended", "lost"}
        try:
            with (self.folder / self.request["stream"]).open("rb") as file:
                file.seek(start)
                data = file.read(_PART)
        except FileNotFoundError:
            data = b""
        return {"is_last": is_over and len(data) < _PART}, data

    def stop_run(self) -> None:
        """Ask the run to end."""
        status = self.status(self.folder)
        if status is None or status["phase"] != "running":
            return
        # The file has its space on the disk since the run began.
        number = os.open(self.folder / "stop.new", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(number, "w") as file:
            file.write(json.dumps({"grace": self.request["grace"]}))
            file.truncate()
        (self.folder / "stop.new").replace(self.folder / "stop")
        with _lock(self.folder, is_shared=True) as lock:
            # The supervisor still holds the lock, so the process id still belongs to it.
            if lock is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(status["pid"], signal.SIGTERM)

    def remove_run(self) -> None:
        """Remove a run that has ended."""
        trash = self.root / f".{self.name}-{os.getpid()}"
        while self.folder.is_dir():
            with _lock(self.folder) as lock:
                if lock is not None:
                    self.folder.rename(trash)
            status = self.status(self.folder)
            is_over = status is not None and status["phase"] in {"ended", "lost"}
            if not is_over or time.monotonic() >= self.deadline:
                break
            time.sleep(_PAUSE)
        shutil.rmtree(trash, ignore_errors=True)

    def collected_file(self) -> Optional[bytes]:  # noqa: UP045 - old releases of Python, too
        """Return a regular file of the working directory; None if it does not exist."""
        work = self.folder / "work"
        try:
            # A symbolic link in a step's folder must not lead outside of it.
            file = (work / self.request["path"]).resolve(strict=True)
            file.relative_to(work.resolve())
            facts = file.stat()
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > self.request["limit"]:
                return None
            data: bytes = file.read_bytes()
        except (RuntimeError, ValueError):  # before Python 3.13, a loop of links is the former
            return None
        except OSError as error:
            if error.errno in _UNREADABLE:
                return None
            raise
        return data

    def status(self, folder: Path) -> Optional[dict[str, Any]]:  # noqa: UP045 - old releases of Python, too
        """Return the status of a run as plain values."""
        # The exit code is written before the lock is released, so the lock is checked first.
        if not folder.is_dir():
            return None
        with _lock(folder, is_shared=True) as lock:
            is_held = lock is None
        started, end = _facts(folder / "started"), _facts(folder / "exit")
        phase = "running" if is_held else "lost"
        if end is not None:
            phase = "ended"
        elif started is None:
            phase = "starting"
        elif phase == "lost":
            # The supervisor could not remove the secrets of the step.
            shutil.rmtree(folder / "secrets", ignore_errors=True)
        description = _facts(folder / "step.json") or {}
        return {
            "name": folder.name,
            "phase": phase,
            "code": end and end["code"],
            "reason": end and end["reason"],
            "started_at": started and started["at"],
            "ended_at": end and end["at"],
            "pid": started and started["pid"],
            "fingerprint": description.get("fingerprint"),
            "step": description.get("step"),
            "labels": description.get("labels", {}),
        }


def _facts(path: Path) -> Optional[dict[str, Any]]:  # noqa: UP045 - old releases of Python, too
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return facts


@contextlib.contextmanager
def _lock(folder: Path, *, is_shared: bool = False) -> Generator[Optional[int], None, None]:  # noqa: UP045 - old releases of Python, too
    """Lock a run for a `with` block; the value is None if another process has the lock."""
    try:
        file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        # The run was removed in the meantime.
        yield None
        return
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        is_current = (folder / "lock").stat().st_ino == os.fstat(file).st_ino
    except (BlockingIOError, FileNotFoundError):
        is_current = False
    try:
        yield file if is_current else None
    finally:
        os.close(file)


if __name__ == "__main__":
    main()
