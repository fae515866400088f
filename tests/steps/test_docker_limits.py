"""Containers have their limits and their stops, whatever becomes of those who started them."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from socket import AF_UNIX, SHUT_WR
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConnectionFailed,
    ConnectorManager,
    Service,
    Step,
    StepConnector,
    VendorFailed,
    Workspace,
)
from moorage.adapters.steps._docker_limit import Watchdog
from moorage.adapters.steps._docker_logs import DockerLogs
from moorage.adapters.steps._docker_wire import Engine
from moorage.adapters.steps.docker import DockerPlatform
from moorage.domain.steps.result import StepOutcome
from moorage.domain.steps.runs import EndReason, RunPhase, RunSpec
from moorage.domain.steps.step import Resources, run_name
from tests.steps.docker_lab import IMAGE, engine, scripted_engine
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from moorage.domain.steps.runs import RunStatus


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Lend the socket of a Docker Engine."""
    with engine() as path:
        yield path


def created(platform: DockerPlatform, spec: RunSpec) -> RunStatus:
    """Return the run of a container whose starter died before it started it."""
    status = platform._create(spec, 60.0)  # noqa: SLF001 - all that it did before
    assert status is not None
    return status


def program(folder: Path, script: str) -> str:
    """Return the path of a program that takes the place of a Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("script", ["exit 1", "cat > /dev/null; exit 1"])
def test_step_without_a_watchdog_does_not_start(script: str, socket: str, tmp_path: Path) -> None:
    """If its watchdog fails at once, a start fails before the step runs, and may be repeated."""
    platform = DockerPlatform(socket, python=program(tmp_path, script))
    spec = RunSpec(name=f"alone-{os.getpid()}", step=Step("x", ["true"], image=IMAGE))

    with pytest.raises(ConnectionFailed, match="ended at once") as caught:
        platform.start(spec, 60.0)

    assert not caught.value.may_have_been_processed
    assert caught.value.retryable
    status = platform.look(spec.name, 60.0)
    assert status is not None
    assert RunPhase.STARTING is status.phase
    DockerPlatform(socket).start(spec, 60.0)
    assert platform.wait(spec.name, 120.0)
    platform.remove(spec.name, 60.0)


def test_watchdog_that_does_not_answer_is_none(tmp_path: Path) -> None:
    """A program that neither watches nor ends is ended."""
    sleeper = program(tmp_path, "exec sleep 600")
    with Watchdog(sleeper) as watchdog, pytest.raises(ConnectionFailed, match="not answer"):
        watchdog.watch(0.1, tmp_path / "nowhere", "c", 60.0, 1, "deadline")


def test_watchdog_that_cannot_ask_the_engine_does_not_watch(tmp_path: Path) -> None:
    """A watchdog that the Engine gives no answer is none."""
    with Watchdog(sys.executable) as watchdog, pytest.raises(ConnectionFailed, match="at once"):
        watchdog.watch(60.0, tmp_path / "nowhere", "c", 60.0, 1, "deadline")


def described(status: str) -> tuple[int, Any]:
    """Return an Engine's description of a container in a state."""
    return 200, {"State": {"Status": status}}


@pytest.mark.parametrize("after", [0.0, 3600.0])
def test_time_limit_counts_from_the_start_of_the_container(after: float, tmp_path: Path) -> None:
    """A watchdog waits while its container is not started yet, even if its time is over by then."""
    requests: list[str] = []
    states = ("created", "created", "created", "running", "exited")
    answers = (*(described(state) for state in states), (304, {}))
    with scripted_engine(tmp_path, *answers, requests=requests) as path:
        with Watchdog(sys.executable) as watchdog:
            watchdog.watch(60.0, path, "c", after, 1, "deadline")
        wait_until(lambda: 6 == len(requests), "The end of the watchdog")

    looks = ["GET /containers/c/json"] * 4
    stop = ["PUT /containers/c/archive?path=/", "POST /containers/c/stop?t=1"]
    wait = ["POST /containers/c/wait?condition=not-running", "GET /containers/c/json"]
    assert [*looks, *(wait if after else stop)] == requests


@pytest.mark.parametrize("files", [{}, {"a": b"1"}], ids=["empty", "with files"])
def test_run_that_is_stopped_before_its_start_never_starts(
    files: dict[str, bytes], socket: str
) -> None:
    """A stop of a container that was created only ends its run; a later start finds that end."""
    platform, key = DockerPlatform(socket), f"early-{os.getpid()}-{len(files)}"
    step = Step("x", ["sh", "-c", "exit 3"], image=IMAGE, workspace=Workspace(files=files))
    name = run_name("steps", None, key)
    status = created(platform, RunSpec(name=name, step=step, labels={"key": key}))
    steps = StepConnector(platform, ConnectorManager([Service("steps")]))

    assert steps.stop(key)

    assert not steps.stop(key)
    ended = platform.look(name, 60.0)
    assert ended is not None
    assert (RunPhase.ENDED, 143, EndReason.STOPPED) == (ended.phase, ended.exit_code, ended.reason)
    assert {"key": key} == ended.labels
    assert [name] == [run.name for run in steps.runs() if run.name == name]
    container = status.metadata["container"]
    assert (
        404
        == Engine(socket).ask(
            "POST", f"/containers/{container}/start", 60.0, allowed=frozenset({404})
        )[0]
    )
    result = steps.execute_step(step, idempotency_key=key)
    assert (StepOutcome.CANCELLED, 143, "") == (result.outcome, result.exit_code, result.stdout)
    assert platform.look(name, 60.0) is None


def test_stop_beside_a_start_is_never_lost(socket: str) -> None:
    """Whichever of both comes first at the Engine, the run ends as stopped."""
    platform = DockerPlatform(socket)
    step = Step("x", ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"], image=IMAGE, grace=0)
    with ThreadPoolExecutor(2) as threads:
        for number in range(5):
            spec = RunSpec(name=f"race-{os.getpid()}-{number}", step=step)
            created(platform, spec)
            start = threads.submit(platform.start, spec, 60.0)
            stop = threads.submit(platform.stop, spec.name, 0.0, 60.0)
            stop.result()
            start.exception()
            # A start that found the container removed is repeated, as its operation is.
            platform.start(spec, 60.0)
            assert platform.wait(spec.name, 120.0)
            status = platform.look(spec.name, 60.0)
            assert status is not None
            assert EndReason.STOPPED is status.reason
            platform.remove(spec.name, 60.0)


_STATE = {"Status": "running", "ExitCode": 0, "StartedAt": "noon", "FinishedAt": "noon"}


@pytest.mark.parametrize(
    "answer",
    [
        *(None, [], {}, [1], {"State": "x"}, {"State": {"Status": []}}),
        {"State": _STATE, "Config": {"Labels": {}}, "Created": "noon", "Id": 1, "Image": 2},
        {"State": {**_STATE, "Status": "exited", "ExitCode": "x"}, "Config": {}, "Created": "noon"},
        {"State": {**_STATE, "Status": "created"}, "Config": {"Labels": []}, "Created": "noon"},
    ],
)
def test_strange_description_of_a_container_is_a_failure(answer: object, tmp_path: Path) -> None:
    """Whatever an Engine answers, its user gets an error of moorage."""
    spec = RunSpec(name="x", step=Step("x", ["true"], image=IMAGE))
    with scripted_engine(tmp_path, (200, answer)) as path:
        platform = DockerPlatform(path)
        calls: list[Callable[[], object]] = [
            lambda: platform.start(spec, 60.0),
            lambda: platform.look("x", 60.0),
            lambda: platform.stop("x", 0.0, 60.0),
        ]
        for call in calls:
            with pytest.raises(VendorFailed, match="cannot be understood"):
                call()
        with suppress(VendorFailed):
            platform.runs(60.0)
        with suppress(VendorFailed):
            platform.logs("x", "stdout", "", 60.0)


def test_strange_answers_to_a_start_are_failures(tmp_path: Path) -> None:
    """An image without a configuration, and a container without an id, are named as failures."""
    spec = RunSpec(name="x", step=Step("x", ["true"], image=IMAGE))
    absent: tuple[int, object] = (404, {"message": "No such container"})
    image: tuple[int, object] = (200, {"Config": {"User": ""}})
    scripts: list[list[tuple[int, object]]] = [[absent, (200, [])], [absent, image, (201, {})]]
    for number, answers in enumerate(scripts):
        folder = tmp_path / str(number)
        folder.mkdir()
        with (
            scripted_engine(folder, *answers) as path,
            pytest.raises(VendorFailed, match="cannot be understood"),
        ):
            DockerPlatform(path).start(spec, 60.0)


def test_mark_without_a_time_is_a_failure(tmp_path: Path) -> None:
    """A time that an Engine wrote into a log, and that is none, is a failure of the Engine."""
    logs = DockerLogs(Engine(f"{tmp_path}/nowhere"))
    with pytest.raises(VendorFailed, match="cannot be understood"):
        logs.read("c", "stdout", "noon#1#", 60.0, is_over=True)


def test_container_of_a_dead_starter_is_removed(tmp_path: Path) -> None:
    """A container that nobody has named for an hour is removed, and a newer one is not."""
    drafts = [{"Names": [f"/draft-{age}"], "Created": 10_000 - age} for age in (3601, 3599)]
    requests: list[str] = []
    time = {"SystemTime": "1970-01-01T03:46:40.123456789+01:00"}
    with scripted_engine(
        tmp_path, (200, drafts), (200, time), (204, None), requests=requests
    ) as path:
        assert not DockerPlatform(path).runs(60.0)

    assert ["GET /info", "DELETE /containers/draft-3601?v=1"] == requests[1:]


def test_container_in_preparation_stays(socket: str) -> None:
    """Listing the runs of a real Engine leaves a container whose starter still prepares it."""
    platform, body = DockerPlatform(socket, scope="drafts"), {"Image": IMAGE, "Cmd": ["true"]}
    labels = {"moorage.scope": "drafts"}
    name = f"draft-{os.getpid()}"
    Engine(socket).ask(
        "POST", "/containers/create", 60.0, query={"name": name}, body={**body, "Labels": labels}
    )
    assert not platform.runs(60.0)
    Engine(socket).ask("DELETE", f"/containers/{name}", 60.0)


class UnawareEngine:
    """A proxy of an Engine whose descriptions never say that a container lacked memory.

    Args:
        path: the proxy's Unix socket.
        target: the Engine's.
    """

    def __init__(self, path: str, target: str) -> None:
        self._target = target
        self._server = Socket(AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._server.accept()
            Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: Socket) -> None:
        with client, Socket(AF_UNIX) as engine:
            engine.connect(self._target)
            upload = Thread(target=self._copy, args=(client, engine), daemon=True)
            upload.start()
            self._copy(engine, client)
            upload.join()

    @staticmethod
    def _copy(source: Socket, target: Socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data.replace(b'"OOMKilled":true', b'"OOMKilled":null'))
        with suppress(OSError):
            target.shutdown(SHUT_WR)


def test_late_knowledge_of_a_lack_of_memory(socket: str, tmp_path: Path) -> None:
    """The reason is right too if the Engine learns of it after it has described the end."""
    UnawareEngine(str(tmp_path / "unaware.sock"), socket)
    too_large = ["sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"]
    limited = Resources(memory=16 * 1024 * 1024)
    platform = DockerPlatform(str(tmp_path / "unaware.sock"))
    steps = StepConnector(platform, ConnectorManager([Service("steps")]))

    result = steps.execute_step(Step("large", too_large, image=IMAGE, resources=limited))
    killed = steps.execute_step(
        Step("killed", ["sh", "-c", "exit 137"], image=IMAGE, resources=limited)
    )

    assert EndReason.OUT_OF_MEMORY.value == result.metadata["reason"]
    assert EndReason.EXITED.value == killed.metadata["reason"]
