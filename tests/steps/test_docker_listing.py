"""A list of runs is complete, even if the Engine does not respond about one container."""

from __future__ import annotations

import os
from contextlib import suppress
from socket import AF_UNIX, SHUT_RDWR
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from moorage import Step
from moorage.adapters.steps._docker_status import TOMBSTONE
from moorage.adapters.steps.docker import DockerPlatform
from moorage.domain.steps.runs import EndReason, RunPhase, RunSpec
from moorage.errors import AttemptTimeout, VendorFailed
from tests.steps.docker_harness import IMAGE, engine, scripted_engine

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Yield the socket of a Docker Engine."""
    with engine() as path:
        yield path


class HangingProxy:
    """A proxy of an Engine that never answers requests about one container.

    Args:
        path: the proxy's Unix socket.
        target: the Engine's.
        container: the name of the container.
    """

    def __init__(self, path: str, target: str, container: str) -> None:
        self._target = target
        self._words = f"/containers/{container}/".encode()
        self._end = Event()
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
            request = client.recv(65536)
            if self._words in request.partition(b"\r\n")[0]:
                self._end.wait(600.0)
                return
            engine.connect(self._target)
            engine.sendall(request)
            Thread(target=self._upload, args=(client, engine), daemon=True).start()
            while data := engine.recv(65536):
                client.sendall(data)
            client.shutdown(SHUT_RDWR)

    @staticmethod
    def _upload(client: Socket, engine: Socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                engine.sendall(data)

    def end(self) -> None:
        """Close the requests that have no response yet."""
        self._end.set()


@pytest.fixture
def hung_run(socket: str, tmp_path: Path) -> Generator[tuple[str, list[str]]]:
    """Yield an Engine with three running steps, which does not respond about the second one."""
    scope = f"hung-{os.getpid()}"
    names = [f"{scope}-{letter}" for letter in "abc"]
    platform = DockerPlatform(socket, scope=scope)
    for name in names:
        step = Step("x", ["sleep", "600"], image=IMAGE, grace=0.0)
        platform.start(RunSpec(name=name, step=step, labels={"key": name}), 60.0)
    proxy = HangingProxy(f"{tmp_path}/p", socket, names[1])
    yield f"{tmp_path}/p", names
    proxy.end()
    for name in names:
        platform.stop(name, 0.0, 60.0)
        assert platform.wait(name, 120.0)
        platform.remove(name, 60.0)


def test_container_that_hangs_hides_no_other_run(hung_run: tuple[str, list[str]]) -> None:
    """If a container is not described before the timeout, its run is listed with what is known."""
    path, names = hung_run
    platform = DockerPlatform(path, scope=names[0].removesuffix("-a"))
    start_time = monotonic()

    statuses = platform.runs(8.0)

    assert 8.0 > monotonic() - start_time
    assert names == [status.name for status in statuses]
    assert [RunPhase.RUNNING] * 3 == [status.phase for status in statuses]
    first, hung, _ = statuses
    assert first.problem is None
    assert hung.problem is not None
    assert "did not answer in time" in hung.problem
    step = Step("x", ["sleep", "600"], image=IMAGE, grace=0.0)
    facts = (hung.fingerprint, hung.step, hung.labels, hung.exit_code)
    assert (step.fingerprint, "x", {"key": names[1]}, None) == facts
    assert set(first.metadata) == set(hung.metadata)
    with pytest.raises(AttemptTimeout):
        platform.status(names[1], 0.5)


@pytest.mark.parametrize(
    "state, phase",
    [
        ("created", RunPhase.STARTING),
        ("paused", RunPhase.RUNNING),
        ("exited", RunPhase.ENDED),
        ("removing", None),
    ],
)
def test_list_shows_the_phase_of_a_run(state: str, phase: RunPhase | None, tmp_path: Path) -> None:
    """A container that cannot be described is listed with its phase, unless it is being removed."""
    item = {"Names": ["/x"], "Created": 1, "Id": "c", "ImageID": "i", "Labels": {}, "State": state}
    with scripted_engine(tmp_path, (200, [item]), (500, {"message": "broken"})) as path:
        statuses = DockerPlatform(path).runs(60.0)

    assert [phase] * (phase is not None) == [status.phase for status in statuses]
    assert all("broken" in str(status.problem) for status in statuses)


def test_list_shows_a_run_that_was_stopped_before_its_start(tmp_path: Path) -> None:
    """A run that was stopped before its start is listed as stopped."""
    item: dict[str, object] = {"Names": ["/x"], "Created": 1, "Id": "c", "ImageID": "i"}
    item["State"] = "created"
    item["Labels"] = {TOMBSTONE: ""}
    with scripted_engine(tmp_path, (200, [item]), (500, {"message": "broken"})) as path:
        (status,) = DockerPlatform(path).runs(60.0)

    assert (RunPhase.ENDED, 143, EndReason.STOPPED) == (
        status.phase,
        status.exit_code,
        status.reason,
    )


@pytest.mark.parametrize("answer", [(500, {"message": "disk"}), (503, {}), (200, {"no": "tar"})])
def test_file_that_the_engine_cannot_read_is_not_missing(
    tmp_path: Path, answer: tuple[int, object]
) -> None:
    """A failure of the Engine is not taken for a file that does not exist."""
    with scripted_engine(tmp_path, answer) as path, pytest.raises(VendorFailed):
        DockerPlatform(path).collect("moorage-1", "a.csv", 100, 5.0)
    with scripted_engine(tmp_path, (404, {"message": "no such path"})) as path:
        assert DockerPlatform(path).collect("moorage-1", "a.csv", 100, 5.0) is None
