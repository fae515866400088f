"""A step runs once, whichever request its starter sends last before it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, SHUT_RDWR
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.steps.docker import DockerPlatform
from moorage.domain.steps.runs import RunPhase
from moorage.domain.steps.step import run_name
from tests.steps.docker_harness import engine

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Yield the socket of a Docker Engine."""
    with engine() as path:
        yield path


class DeadlyProxy:
    """A proxy between a program and an Engine that kills the program at a chosen request.

    Args:
        path: the proxy's Unix socket.
        target: the Engine's.
        words: what the head of the request has.
        is_answered: whether the Engine gets the request, and the program is killed at the answer.
    """

    def __init__(self, path: str, target: str, words: bytes, *, is_answered: bool) -> None:
        self.pid = 0
        self._target = target
        self._words = words
        self._is_answered = is_answered
        self._server = Socket(AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._server.accept()
            Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: Socket) -> None:
        with client, Socket(AF_UNIX) as engine, suppress(OSError):
            engine.connect(self._target)
            request = client.recv(65536)
            is_last = self._words in request.partition(b"\r\n")[0]
            if is_last and not self._is_answered:
                os.kill(self.pid, signal.SIGKILL)
                return
            engine.sendall(request)
            Thread(target=self._upload, args=(client, engine), daemon=True).start()
            while data := engine.recv(65536):
                if is_last:
                    os.kill(self.pid, signal.SIGKILL)
                    return
                client.sendall(data)
            client.shutdown(SHUT_RDWR)

    @staticmethod
    def _upload(client: Socket, engine: Socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                engine.sendall(data)


def worker(socket: str, folder: Path, script: str) -> subprocess.Popen[str]:
    """Start a process that runs a step in a container."""
    program = str(Path(__file__).with_name("docker_worker.py"))
    return subprocess.Popen(
        [sys.executable, program, socket, str(folder), script, "120"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


@pytest.mark.parametrize("is_answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("request_line", ["/create", "/start", "/logs?stdout", "DELETE"])
def test_same_key_leads_to_one_run_and_its_real_result_after_kill_at_any_request(
    request_line: str, *, is_answered: bool, socket: str, tmp_path: Path
) -> None:
    """After kill -9 at any request, the same key leads to one run and its real result."""
    proxy = DeadlyProxy(f"{tmp_path}/p", socket, request_line.encode(), is_answered=is_answered)
    script = "echo one line; exit 7"
    first = worker(f"{tmp_path}/p", tmp_path, script)
    proxy.pid = first.pid
    assert -signal.SIGKILL == first.wait(120)
    first.communicate()
    name = run_name("steps", None, str(tmp_path))
    before = DockerPlatform(socket).status(name, 60.0)

    second = worker(socket, tmp_path, script)
    output, errors = second.communicate(timeout=120)

    assert "7 failure" in output, errors
    is_replaced = before is not None and before.phase is RunPhase.STARTING
    assert before is None or is_replaced or before.metadata["container"] in output
    assert "one line\n" == (tmp_path / "log" / "stdout.log").read_text()
    assert DockerPlatform(socket).status(name, 60.0) is None
