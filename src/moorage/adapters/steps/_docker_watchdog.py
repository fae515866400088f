"""The program that ends a container at its time limit, although its starter may be dead.

It runs alone, without the package, and reads its task from the standard input. The Engine has no
time limit of its own, so this program waits for the container's end, and asks the Engine to stop it
when its time is over. Before that it leaves a note inside the container, by which others can tell
the reason of the end.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import sys
import tarfile
import time
from typing import Any

_TRIES = 60
_PAUSE = 1.0
_MISSING = 404
_ENDED = ("exited", "dead", "removing")


class _Engine(http.client.HTTPConnection):
    """A connection to an Engine over its Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def main() -> None:
    """Read the task, leave the starting process, and watch the container."""
    try:
        task: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    except ValueError:
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    deadline = time.monotonic() + task["after"]
    while time.monotonic() < deadline:
        if _has_ended(task, deadline):
            return
        time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))
    for _ in range(_TRIES):
        if _stop(task):
            return
        time.sleep(_PAUSE)


def _has_ended(task: dict[str, Any], deadline: float) -> bool:
    """Wait for the end of the container until its deadline; return whether it has ended."""
    try:
        _ask(task, "POST", "wait?condition=not-running", deadline - time.monotonic())
        status, content = _ask(task, "GET", "json", 30.0)
        # One that is not started yet is not running either.
        return status == _MISSING or json.loads(content)["State"]["Status"] in _ENDED
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False


def _stop(task: dict[str, Any]) -> bool:
    """Leave the note and stop the container; return whether the Engine did so."""
    grace = task["grace"]
    try:
        _ask(task, "PUT", "archive?path=/", 30.0, _note(task["reason"]))
        status, _ = _ask(task, "POST", f"stop?t={grace}", grace + 60.0)
    except (OSError, http.client.HTTPException):
        return False
    return status < 500


def _ask(
    task: dict[str, Any], method: str, path: str, timeout: float, body: bytes | None = None
) -> tuple[int, bytes]:
    engine = _Engine(task["socket"], max(0.1, timeout))
    try:
        engine.request(method, f"/containers/{task['container']}/{path}", body)
        answer = engine.getresponse()
        return answer.status, answer.read()
    finally:
        engine.close()


def _note(reason: str) -> bytes:
    """Return an archive with an empty file whose name is the reason."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(f".moorage-{reason}"))
    return archive.getvalue()


if __name__ == "__main__":
    main()
