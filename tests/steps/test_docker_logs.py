"""Logs of containers are read in parts, each byte once, however large they are."""

from __future__ import annotations

import os
from contextlib import contextmanager
from socket import AF_UNIX
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from moorage import ConnectionFailed
from moorage.adapters.steps._docker_logs import LOG_DRIVER, DockerLogs
from moorage.adapters.steps._docker_wire import Engine
from tests.steps.docker_lab import IMAGE, engine

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moorage.domain.steps.runs import LogChunk

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Lend the socket of a Docker Engine."""
    with engine() as path:
        yield path


class LogServer:
    """An Engine that answers each request with a log of 3 MB and a bit.

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
        """Return the whole log."""
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
def served(folder: Path) -> Generator[tuple[LogServer, DockerLogs]]:
    """Yield a server of logs, and what reads them."""
    path = f"{folder}/engine"
    logs = DockerLogs(Engine(path))
    yield LogServer(path), logs
    logs.forget()


def test_large_log_is_read_over_one_connection(tmp_path: Path) -> None:
    """Parts of a log follow each other on one connection, and a mark needs none of them."""
    with served(tmp_path) as (server, logs):
        chunks: list[LogChunk] = []
        for _ in range(4):
            mark = chunks[-1].mark if chunks else ""
            chunks.append(logs.read("c", "stdout", mark, 60.0, is_over=True))
        assert [False, False, False, True] == [chunk.is_last for chunk in chunks]
        assert server.content() == b"".join(chunk.data for chunk in chunks)
        assert 1 == server.requests


def test_log_that_was_opened_before_the_end_is_not_the_last(tmp_path: Path) -> None:
    """A connection shows what was there when it was opened, so a later one brings the rest."""
    with served(tmp_path) as (server, logs):
        mark, ends = "", []
        for is_over in (False, True, True, True):
            chunk = logs.read("c", "stdout", mark, 60.0, is_over=is_over)
            mark = chunk.mark
            ends.append(chunk.is_last)
        assert [False] * 4 == ends
        assert 1 == server.requests


def test_broken_connection_keeps_what_has_arrived(tmp_path: Path) -> None:
    """Whole entries before a cut are a part; a cut without any is an error."""
    with served(tmp_path) as (server, logs):
        server.is_cut = True
        first = logs.read("c", "stdout", "", 60.0, is_over=True)
        second = logs.read("c", "stdout", first.mark, 60.0, is_over=True)
        assert not second.is_last
        assert server.content().startswith(first.data + second.data)
        assert MEGABYTE * 5 // 4 < len(first.data + second.data)
        other = DockerLogs(Engine(f"{tmp_path}/nowhere"))
        with pytest.raises(ConnectionFailed):
            other.read("c", "stdout", first.mark, 60.0, is_over=True)


def test_few_connections_stay_open(tmp_path: Path) -> None:
    """Of many logs that nobody reads further, the oldest are closed; each can still be read."""
    with served(tmp_path) as (server, logs):
        names = [f"c{number}" for number in range(20)]
        marks = {name: logs.read(name, "stdout", "", 60.0, is_over=True).mark for name in names}
        assert 20 == server.requests
        assert 1 == len(set(marks.values()))
        for name in ("c19", "c10"):
            assert logs.read(name, "stdout", marks[name], 60.0, is_over=True).data
        assert 20 == server.requests
        logs.forget("c11")
        for number, name in enumerate(("c0", "c11"), 21):
            assert logs.read(name, "stdout", marks[name], 60.0, is_over=True).data
            assert number == server.requests


def test_rotated_log_has_each_line_once(socket: str) -> None:
    """A real Engine that has begun further files of a log shows all of them from any mark."""
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
        logs, content, mark, is_last = DockerLogs(client), b"", "", False
        while not is_last:
            chunk = logs.read(name, "stdout", mark, 60.0, is_over=True)
            # The next part comes over a connection of its own.
            logs.forget(name)
            content, mark, is_last = content + chunk.data, chunk.mark, chunk.is_last
    finally:
        client.ask("DELETE", f"/containers/{name}", 60.0, query={"force": "1"})

    numbers = [line[:6].decode() for line in content.splitlines()]
    assert [str(number) for number in range(100_000, 100_350)] == numbers
