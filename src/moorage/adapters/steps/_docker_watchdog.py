"""The program that ends a container at its time limit, even if its creator has died.

It runs alone, without the package, and reads its task from the standard input. The Engine has no
time limit of its own, so this program waits for the container's end, and asks the Engine to stop it
when its time is over. Before that it leaves a note inside the container, from which others read the
reason of the end.

The time counts from the start of the container, which may come late or never: its starter may die
before it. Another starter has a watchdog of its own, with the same time limit.

While it watches, it holds the lock of a record, a file with its task and the start of the container
by the clock that all processes of this machine share and that does not step. A record without a
lock tells followers that its watchdog died, and contains the task for the next one.

An Engine that does not answer may be restarting, so the program goes on asking. It ends when the
folder of the Engine's socket has been removed, because then the Engine is gone for good, as a
rootless Engine after its user's logout.

It starts at the same time as its container, and both need the processors. So it imports only
modules that are written in C.
"""

from __future__ import annotations

import _socket
import fcntl
import posix
import sys
import time

_READY = b"1"
_TIMEOUT = 3_600.0
"""Seconds for which a container may stay unstarted, and for which a stop of it is repeated."""

_PAUSE = 1.0
_SHORTEST_PAUSE = 0.05
_NOTE = 4.0
"""Seconds that the note may take: it must not keep a container alive long after its limit."""

_PARTS_OF_TASK = 7
_LOCK_TRIES = 5
_LOCK_PAUSE = 0.02
"""Seconds until the next try to lock a record, at which a follower may just have looked."""

_MISSING = 404
_SERVER_ERROR = 500
_CREATED = b'"State":{"Status":"created"'
_ENDED = tuple(b'"State":{"Status":"%b"' % state for state in (b"exited", b"dead", b"removing"))
"""The parts of a description that show the end; quotes in its texts have backslashes."""
_PART = 65536


def main() -> None:
    """Read the watchdog's task, detach from the starting process, and watch the container."""
    parts = sys.stdin.buffer.read().decode().split("\0")
    if len(parts) != _PARTS_OF_TASK or posix.fork():
        return
    posix.setsid()
    *task, path = parts
    container, record = Container(*task[:2]), Record(task, path)
    try:
        if not container.can_be_watched():
            return
        record.take()
        posix.write(1, _READY)
        posix.close(1)
        watch(container, record)
    except EngineGoneError:
        pass
    finally:
        record.remove()


def watch(container: Container, record: Record) -> None:
    """Wait until a container ends; if its time limit passes first, stop the container."""
    if not container.has_begun() or container.has_ended(record.deadline()):
        return
    _, _, _, grace, reason, _ = record.task
    until = time.monotonic() + _TIMEOUT
    while not container.stop(int(grace), reason) and time.monotonic() < until:
        time.sleep(_PAUSE)


class EngineGoneError(Exception):
    """Raised if the folder of the Engine's socket does not exist any more."""


class Record:
    """A file that a running watchdog locks, so that other processes see that it is alive.

    Without a path, or if another watchdog of the container holds the lock, nothing is recorded.

    Args:
        task: the socket, the container, the seconds, the grace, the reason, and the start of the
            container, which is empty as long as nobody knows it.
        path: the path of the file; empty for none.
    """

    def __init__(self, task: list[str], path: str) -> None:
        self.task = task
        self._path = path
        self._file = -1

    def deadline(self) -> float:
        """Return the deadline of a started container, and record its start."""
        *_, after, _, _, start_time = self.task
        self.task[-1] = start_time or str(time.monotonic())
        self._write()
        return float(self.task[-1]) + float(after)

    def take(self) -> None:
        """Lock the record's file, and write the watchdog's task into it."""
        for _ in range(_LOCK_TRIES if self._path else 0):
            try:
                file = posix.open(self._path, posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
            except OSError:
                return
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if posix.fstat(file).st_nlink:
                    self._file = file
                    self._write()
                    return
            except OSError:
                pass
            posix.close(file)
            time.sleep(_LOCK_PAUSE)

    def _write(self) -> None:
        if self._file >= 0:
            content = "\0".join(self.task).encode()
            posix.lseek(self._file, 0, 0)
            posix.write(self._file, content)
            posix.ftruncate(self._file, len(content))

    def remove(self) -> None:
        """Remove the record, before this process ends and releases its lock."""
        if self._file >= 0:
            posix.unlink(self._path)


class Container:
    """A container of a Docker Engine.

    Args:
        socket: the Engine's Unix socket.
        name: the name of the container.
    """

    def __init__(self, socket: str, name: str) -> None:
        self._socket = socket
        self._name = name

    def can_be_watched(self) -> bool:
        """Return whether the Engine answers requests about the container."""
        status, _ = self._ask("GET", "json", 30.0)
        return status < _SERVER_ERROR

    def has_begun(self) -> bool:
        """Wait until the container starts; return False if it cannot start any more."""
        watched_since = time.monotonic()
        while (waited := time.monotonic() - watched_since) < _TIMEOUT:
            status, content = self._ask("GET", "json", 30.0)
            if status == _MISSING:
                return False
            if status < _SERVER_ERROR and _CREATED not in content:
                return True
            time.sleep(min(_PAUSE, max(_SHORTEST_PAUSE, waited / 10)))
        return False

    def has_ended(self, deadline: float) -> bool:
        """Wait for the container's end, at most until a deadline; return whether it ended."""
        while (time_left := deadline - time.monotonic()) > 0:
            self._ask("POST", "wait?condition=not-running", time_left)
            status, content = self._ask("GET", "json", 30.0)
            if status == _MISSING or any(state in content for state in _ENDED):
                return True
            time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))
        return False

    def stop(self, grace: int, reason: str) -> bool:
        """Leave a note about the reason and stop the container; return whether that succeeded."""
        self._ask("PUT", "archive?path=/", _NOTE, _reason_archive(reason))
        status, _ = self._ask("POST", f"stop?t={grace}", grace + 60.0)
        return status < _SERVER_ERROR

    def _ask(self, method: str, path: str, timeout: float, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request, and return the answer's status and body.

        The Engine ends an answer of HTTP/1.0 with the connection. Without a valid answer, the
        status is that of a server error.
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
            head_lines, _, content = answer.partition(b"\r\n\r\n")
            protocol, _, remainder = head_lines.partition(b" ")
            return (
                int(remainder[:3]) if protocol.startswith(b"HTTP/1.") else _SERVER_ERROR
            ), content
        except (OSError, ValueError):
            if not posix.access(self._socket.rpartition("/")[0] or "/", posix.F_OK):
                raise EngineGoneError from None
            return _SERVER_ERROR, b""
        finally:
            engine.close()


def _reason_archive(reason: str) -> bytes:
    """Return an archive of a folder with an empty file; the file's name is the reason."""
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
