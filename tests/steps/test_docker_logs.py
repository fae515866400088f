"""Container logs are read in parts, each byte once, however large the logs are."""

from __future__ import annotations

import os
from contextlib import contextmanager
from socket import AF_UNIX
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from moorage import ConnectionFailed
from moorage.adapters.steps._docker_logs import LOG_DRIVER, DockerLogs
from moorage.adapters.steps._docker_wire import Engine
from moorage.domain.steps.log_times import nanoseconds_of
from tests.steps.docker_harness import IMAGE, engine, is_podman

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moorage.domain.steps.runs import LogChunk

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Yield the socket of a Docker Engine."""
    with engine() as path:
        yield path


class LogServer:
    """A fake Engine that responds to each request with a log of a little over 3 MB.

    Attributes:
        requests: the number of requests.
        is_cut: whether it closes the connection after the first megabyte and a half.
    """

    def __init__(self, path: str) -> None:
        self.requests = 0
        self.is_cut = False
        self._server = Socket(AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        Thread(target=self._serve, daemon=True).start()

    def content(self) -> bytes:
        """Return the complete log."""
        return b"".join(b"%07d\n" % number * 128 for number in range(3100))

    def _serve(self) -> None:
        while True:
            client, _ = self._server.accept()
            self.requests += 1
            Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: Socket) -> None:
        with client:
            client.recv(65536)
            frames: list[bytes] = []
            for number in range(3100):
                entry = b"2030-01-01T00:00:00.%09dZ " % number + b"%07d\n" % number * 128
                frames.append(bytes([1, 0, 0, 0]) + len(entry).to_bytes(4, "big") + entry)
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames)
            body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
            try:
                client.sendall(body[: MEGABYTE * 3 // 2 if self.is_cut else None])
            except OSError:
                return  # The reader has seen enough.


@contextmanager
def serve_logs(folder: Path) -> Generator[tuple[LogServer, DockerLogs]]:
    """Yield a log server and a reader for it."""
    path = f"{folder}/engine"
    logs = DockerLogs(Engine(path))
    yield LogServer(path), logs
    logs.forget()


def test_large_log_is_read_over_one_connection(tmp_path: Path) -> None:
    """The parts of a log come over one connection; reading from a position skips earlier parts."""
    with serve_logs(tmp_path) as (server, logs):
        chunks: list[LogChunk] = []
        for _ in range(4):
            position = chunks[-1].position if chunks else ""
            chunks.append(logs.read("c", "stdout", position, 60.0, is_over=True))
        assert [False, False, False, True] == [chunk.is_last for chunk in chunks]
        assert server.content() == b"".join(chunk.data for chunk in chunks)
        assert 1 == server.requests


def test_log_that_was_opened_before_the_end_is_not_the_last(tmp_path: Path) -> None:
    """A log response opened before the run's end is not taken as complete."""
    with serve_logs(tmp_path) as (server, logs):
        position, chunk_ends = "", []
        for is_over in (False, True, True, True):
            chunk = logs.read("c", "stdout", position, 60.0, is_over=is_over)
            position = chunk.position
            chunk_ends.append(chunk.is_last)
        assert [False] * 4 == chunk_ends
        assert 1 == server.requests


def test_complete_entries_before_cut_are_returned(tmp_path: Path) -> None:
    """If a log is cut, its complete entries are returned; if it has none, an error is raised."""
    with serve_logs(tmp_path) as (server, logs):
        server.is_cut = True
        first = logs.read("c", "stdout", "", 60.0, is_over=True)
        second = logs.read("c", "stdout", first.position, 60.0, is_over=True)
        assert not second.is_last
        assert server.content().startswith(first.data + second.data)
        assert MEGABYTE * 5 // 4 < len(first.data + second.data)
        other = DockerLogs(Engine(f"{tmp_path}/nowhere"))
        with pytest.raises(ConnectionFailed):
            other.read("c", "stdout", first.position, 60.0, is_over=True)


def test_few_connections_stay_open(tmp_path: Path) -> None:
    """If many logs are read in part, the connections that were opened first are closed."""
    with serve_logs(tmp_path) as (server, logs):
        names = [f"c{number}" for number in range(20)]
        positions = {
            name: logs.read(name, "stdout", "", 60.0, is_over=True).position for name in names
        }
        assert 20 == server.requests
        assert 1 == len(set(positions.values()))
        for name in ("c19", "c10"):
            assert logs.read(name, "stdout", positions[name], 60.0, is_over=True).data
        assert 20 == server.requests
        logs.forget("c11")
        for number, name in enumerate(("c0", "c11"), 21):
            assert logs.read(name, "stdout", positions[name], 60.0, is_over=True).data
            assert number == server.requests


class GrowingLog:
    """A fake Engine whose log grows by one entry with each request for it.

    Podman shows what is after a time, and Docker also what is of this time.

    Args:
        path: the Unix socket.
        log: the times of the entries, as the Engine writes them, and their bytes.
        server: the name of the Engine.
    """

    def __init__(
        self, path: str, log: list[tuple[str, bytes]], server: str = "Libpod/6.0.0 (linux)"
    ) -> None:
        self._log = log
        self._name = server
        self._is_podman = server.startswith("Libpod")
        self._server = Socket(AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        shown = 0
        while True:
            client, _ = self._server.accept()
            with client:
                query = parse_qs(urlsplit(client.recv(65536).split()[1].decode()).query)
                shown += "since" in query
                seconds, _, nanoseconds = query.get("since", ["0"])[0].partition(".")
                start = int(seconds) * 1_000_000_000 + int(nanoseconds or 0) + self._is_podman
                frames = [
                    b"\1\0\0\0" + (len(entry) + len(time) + 1).to_bytes(4, "big")
                    + time.encode() + b" " + entry
                    for time, entry in self._log[:shown]
                    if nanoseconds_of(time) >= start
                ]  # fmt: skip
                frames = frames[-int(query.get("tail", ["0"])[0]) :]
                head = f"HTTP/1.0 200 OK\r\nServer: {self._name}\r\n\r\n"
                client.sendall(head.encode() + b"".join(frames))


def test_podman_log_has_each_byte_once(tmp_path: Path) -> None:
    """A Podman log is read without changes, despite equal times, UTC offsets and partial lines."""
    moment = "2030-01-01T00:00:00.00000000{}-08:00"
    log = [
        *((moment.format(1), entry) for entry in (b"a\n", b"a\n", b"begin of a line, ")),
        *((moment.format(2), entry) for entry in (b"its middle, ", b"its end\n", b"a\n")),
        ("2030-01-01T00:00:01-08:00", b"a\n"),
        ("2030-01-01T00:00:01-08:00", b"a torn end"),
    ]
    path = f"{tmp_path}/podman"
    GrowingLog(path, log)
    logs, content, position = DockerLogs(Engine(path)), b"", ""
    for _ in range(len(log) + 1):
        chunk = logs.read("c", "stdout", position, 60.0, is_over=False)
        content, position = content + chunk.data, chunk.position

    assert b"".join(entry for _, entry in log) == content


_BEFORE_STEP = [("2030-01-01T00:00:05.000000000Z", b"1\n")]
_AFTER_STEP = [(f"2030-01-01T00:00:0{second}.000000000Z", b"%d\n" % second) for second in (2, 3)]


@pytest.mark.parametrize("log", [_BEFORE_STEP + _AFTER_STEP, _AFTER_STEP + _BEFORE_STEP])
def test_clock_that_was_set_back_is_a_gap(log: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Lines that the Engine hides because its clock was set back are reported as a gap."""
    path = f"{tmp_path}/docker"
    GrowingLog(path, log, "Docker/20.10 (linux)")
    logs, position, content, gaps = DockerLogs(Engine(path)), "", b"", []
    for _ in range(len(log) + 1):
        chunk = logs.read("c", "stdout", position, 60.0, is_over=True)
        content, position = content + chunk.data, chunk.position
        gaps.append(chunk.has_gap)

    assert (log[0][1] == b"1\n") == any(gaps)
    assert (b"1\n" if any(gaps) else b"2\n3\n1\n") == content


def test_clock_that_was_set_back_repeats_no_line(tmp_path: Path) -> None:
    """After a clock was set back, a later reader gets each line once, and a notice of a gap."""
    path, log = f"{tmp_path}/docker", _BEFORE_STEP + _AFTER_STEP
    GrowingLog(path, log, "Docker/20.10 (linux)")
    logs = DockerLogs(Engine(path))
    for _ in log:
        logs.read("other", "stdout", "", 60.0, is_over=False)

    first = logs.read("c", "stdout", "", 60.0, is_over=False)
    second = logs.read("c", "stdout", first.position, 60.0, is_over=False)

    assert (b"1\n2\n3\n", b"") == (first.data, second.data)
    assert first.has_gap


@pytest.mark.parametrize(
    "script, size, has_gap",
    [
        ("head -c 30000000 /dev/zero | tr '\\0' x", 30_000_000, True),
        ("echo y; head -c 30000000 /dev/zero | tr '\\0' x", 30_000_000, True),
        ("busybox yes xxxxxxx | head -c 8000000", 7_000_000, True),
        ("head -c 7000000 /dev/zero | tr '\\0' x", 7_000_000, False),
    ],
    ids=["line", "second line", "lines", "small"],
)
def test_dropped_entries_are_a_gap(socket: str, script: str, size: int, *, has_gap: bool) -> None:
    """Entries that a real Engine drops before they are read are reported as a gap."""
    if is_podman(socket):
        pytest.skip("Podman has no log driver that drops files")
    name, client = f"dropped-{os.getpid()}", Engine(socket)
    driver = {**LOG_DRIVER, "Config": {**LOG_DRIVER["Config"], "max-size": "1m"}}
    body = {"Image": IMAGE, "Cmd": ["sh", "-c", script], "HostConfig": {"LogConfig": driver}}
    client.ask("POST", "/containers/create", 60.0, query={"name": name}, body=body)
    try:
        client.ask("POST", f"/containers/{name}/start", 60.0)
        logs, count, position = DockerLogs(client, 8_200_000), 0, ""
        is_told = is_last = False
        while not is_last:
            _, facts = client.ask("GET", f"/containers/{name}/json", 60.0)
            is_over = b'"Status":"exited"' in facts
            chunk = logs.read(name, "stdout", position, 60.0, is_over=is_over)
            # The next part uses a new connection, and reports that other lines were dropped.
            logs.forget(name)
            if not is_over and position:
                client.ask("POST", f"/containers/{name}/wait", 120.0)
            count, position, is_last = count + chunk.data.count(b"x"), chunk.position, chunk.is_last
            is_told = is_told or chunk.has_gap
    finally:
        client.ask("DELETE", f"/containers/{name}", 60.0, query={"force": "1"})

    assert (has_gap, has_gap) == (count < size, is_told)


def test_rotated_log_has_each_line_once(socket: str) -> None:
    """A log that a real Engine has rotated into several files is complete from any position."""
    if is_podman(socket):
        pytest.skip("Podman has no log driver that begins further files")
    name, client = f"rotated-{os.getpid()}", Engine(socket)
    script = (
        "x=$(head -c 9993 /dev/zero | tr '\\0' x); i=100000;"
        " while [ $i -lt 100350 ]; do echo $i$x; i=$((i+1)); done"
    )
    driver = {
        **LOG_DRIVER,
        "Config": {**LOG_DRIVER["Config"], "max-size": "200k", "max-file": "99"},
    }
    body = {"Image": IMAGE, "Cmd": ["sh", "-c", script], "HostConfig": {"LogConfig": driver}}
    client.ask("POST", "/containers/create", 60.0, query={"name": name}, body=body)
    try:
        client.ask("POST", f"/containers/{name}/start", 60.0)
        client.ask("POST", f"/containers/{name}/wait", 120.0)
        logs, content, position, is_last = DockerLogs(client), b"", "", False
        while not is_last:
            chunk = logs.read(name, "stdout", position, 60.0, is_over=True)
            # The next part uses a new connection.
            logs.forget(name)
            content, position, is_last = content + chunk.data, chunk.position, chunk.is_last
    finally:
        client.ask("DELETE", f"/containers/{name}", 60.0, query={"force": "1"})

    numbers = [line[:6].decode() for line in content.splitlines()]
    assert [str(number) for number in range(100_000, 100_350)] == numbers
