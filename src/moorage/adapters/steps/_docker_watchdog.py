"""The program that ends a container at its time limit, although its starter may be dead.

It runs alone, without the package, and reads its task from the standard input. The Engine has no
time limit of its own, so this program waits for the container's end, and asks the Engine to stop it
when its time is over. Before that it leaves a note inside the container, by which others can tell
the reason of the end.

Its starter waits until it is on its own, so until then it imports as little as possible.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TRIES = 60
_PAUSE = 1.0
_MISSING = 404
_ENDED = ("exited", "dead", "removing")
_PART = 65536


def main() -> None:
    """Read the task, leave the starting process, and watch the container."""
    content = sys.stdin.buffer.read()
    if os.fork():
        os._exit(0)
    os.setsid()
    import json  # noqa: PLC0415 - from here on nobody waits

    try:
        task = json.loads(content)
    except ValueError:
        return
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
    import json  # noqa: PLC0415 - imported already

    try:
        _ask(task, "POST", "wait?condition=not-running", deadline - time.monotonic())
        status, content = _ask(task, "GET", "json", 30.0)
        # One that is not started yet is not running either.
        return status == _MISSING or json.loads(content)["State"]["Status"] in _ENDED
    except (OSError, ValueError, KeyError):
        return False


def _stop(task: dict[str, Any]) -> bool:
    """Leave the note and stop the container; return whether the Engine did so."""
    grace = task["grace"]
    try:
        _ask(task, "PUT", "archive?path=/", 30.0, _note(task["reason"]))
        status, _ = _ask(task, "POST", f"stop?t={grace}", grace + 60.0)
    except (OSError, ValueError):
        return False
    return status < 500


def _ask(
    task: dict[str, Any], method: str, path: str, timeout: float, body: bytes = b""
) -> tuple[int, bytes]:
    """Send a request, and return the status and the body of the answer.

    The Engine ends an answer of HTTP/1.0 with the connection.

    Raises:
        OSError: the Engine does not answer.
        ValueError: it answers in another protocol.
    """
    import socket  # noqa: PLC0415 - from here on nobody waits

    head = (
        f"{method} /containers/{task['container']}/{path} HTTP/1.0\r\n"
        f"Content-Type: application/x-tar\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(max(0.1, timeout))
        engine.connect(task["socket"])
        engine.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: engine.recv(_PART), b""))
    head_lines, _, content = answer.partition(b"\r\n\r\n")
    protocol, _, rest = head_lines.partition(b" ")
    if not protocol.startswith(b"HTTP/1."):
        raise ValueError(protocol)
    return int(rest[:3]), content


def _note(reason: str) -> bytes:
    """Return an archive with a folder, in which an empty file has the reason as its name."""
    import io  # noqa: PLC0415 - rarely needed
    import tarfile  # noqa: PLC0415 - rarely needed

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folder = tarfile.TarInfo(".moorage")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        tar.addfile(tarfile.TarInfo(f".moorage/{reason}"))
    return archive.getvalue()


if __name__ == "__main__":
    main()
