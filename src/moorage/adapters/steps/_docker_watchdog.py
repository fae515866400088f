"""The program that ends a container at its time limit, although its starter may be dead.

It runs alone, without the package, and reads its task from the standard input. The Engine has no
time limit of its own, so this program waits for the container's end, and asks the Engine to stop it
when its time is over. Before that it leaves a note inside the container, by which others can tell
the reason of the end.

It begins while its container begins, and both want the processors. So it imports only modules that
are written in C.
"""

from __future__ import annotations

import _socket
import posix
import sys
import time

_TRIES = 60
_PAUSE = 1.0
_PARTS_OF_TASK = 5
_MISSING = 404
_SERVER_ERROR = 500
_ENDED = tuple(b'"State":{"Status":"%b"' % state for state in (b"exited", b"dead", b"removing"))
"""The parts of a description that tell of the end; in its texts quotes have backslashes."""
_PART = 65536


def main() -> None:
    """Read the task, leave the starting process, and watch the container."""
    parts = sys.stdin.buffer.read().decode().split("\0")
    if len(parts) != _PARTS_OF_TASK or posix.fork():
        return
    posix.setsid()
    socket, name, after, grace, reason = parts
    container = Container(socket, name)
    deadline = time.monotonic() + float(after)
    while time.monotonic() < deadline:
        if container.has_ended(deadline):
            return
        time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))
    for _ in range(_TRIES):
        if container.stop(int(grace), reason):
            return
        time.sleep(_PAUSE)


class Container:
    """A container of a Docker Engine.

    Args:
        socket: the Engine's Unix socket.
        name: the name of the container.
    """

    def __init__(self, socket: str, name: str) -> None:
        self._socket = socket
        self._name = name

    def has_ended(self, deadline: float) -> bool:
        """Wait for the end of the container until its deadline; return whether it has ended."""
        try:
            self._ask("POST", "wait?condition=not-running", deadline - time.monotonic())
            status, content = self._ask("GET", "json", 30.0)
        except (OSError, ValueError):
            return False
        # One that is not started yet is not running either.
        return status == _MISSING or any(state in content for state in _ENDED)

    def stop(self, grace: int, reason: str) -> bool:
        """Leave the note and stop the container; return whether the Engine did so."""
        try:
            self._ask("PUT", "archive?path=/", 30.0, _note(reason))
            status, _ = self._ask("POST", f"stop?t={grace}", grace + 60.0)
        except (OSError, ValueError):
            return False
        return status < _SERVER_ERROR

    def _ask(self, method: str, path: str, timeout: float, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request, and return the status and the body of the answer.

        The Engine ends an answer of HTTP/1.0 with the connection.

        Raises:
            OSError: the Engine does not answer.
            ValueError: it answers in another protocol.
        """
        head = (
            f"{method} /containers/{self._name}/{path} HTTP/1.0\r\n"
            f"Content-Type: application/x-tar\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        engine = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            engine.settimeout(max(0.1, timeout))
            engine.connect(self._socket)
            engine.sendall(head.encode() + body)
            answer = b"".join(iter(lambda: engine.recv(_PART), b""))
        finally:
            engine.close()
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
