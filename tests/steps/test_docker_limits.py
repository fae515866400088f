"""Time limits and stops of containers hold even if the program that started them died."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, SHUT_WR
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConnectionFailed,
    ConnectorManager,
    DeadlineExceeded,
    Service,
    Step,
    StepConnector,
    VendorFailed,
    Workspace,
)
from moorage.adapters.steps._docker_limit import TimeLimits, Watchdog
from moorage.adapters.steps._docker_logs import DockerLogs
from moorage.adapters.steps._docker_wire import Engine
from moorage.adapters.steps.docker import DockerPlatform
from moorage.domain.steps.result import StepOutcome
from moorage.domain.steps.runs import EndReason, RunPhase, RunSpec
from moorage.domain.steps.step import Resources, run_name
from tests.steps.docker_harness import IMAGE, engine, is_podman, scripted_engine
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.domain.steps.runs import RunStatus


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Yield the socket of a Docker Engine."""
    with engine() as path:
        yield path


def created_run(platform: DockerPlatform, spec: RunSpec) -> RunStatus:
    """Return the run of a container whose starter died before starting the container."""
    assert platform._create(spec, 60.0) is not None  # noqa: SLF001 - all that it did before
    status = platform.status(spec.name, 60.0)
    assert status is not None
    return status


def program(folder: Path, script: str) -> str:
    """Return the path of a script that replaces the Python interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("script", ["exit 1", "cat > /dev/null; exit 1"])
def test_step_without_a_watchdog_does_not_start(script: str, socket: str, tmp_path: Path) -> None:
    """If its watchdog fails at once, a step does not start, and the start may be retried."""
    platform = DockerPlatform(socket, python=program(tmp_path, script))
    spec = RunSpec(name=f"alone-{os.getpid()}", step=Step("x", ["true"], image=IMAGE))

    with pytest.raises(ConnectionFailed, match="ended at once") as excinfo:
        platform.start(spec, 60.0)

    assert not excinfo.value.may_have_been_processed
    assert excinfo.value.retryable
    assert platform.status(spec.name, 60.0) is None
    DockerPlatform(socket).start(spec, 60.0)
    assert platform.wait(spec.name, 120.0)
    platform.remove(spec.name, 60.0)


def test_watchdog_program_that_neither_watches_nor_ends_is_killed(tmp_path: Path) -> None:
    """A program that neither watches nor ends when started as a watchdog is killed."""
    sleeper = program(tmp_path, "exec sleep 600")
    with Watchdog(sleeper) as watchdog, pytest.raises(ConnectionFailed, match="not answer"):
        watchdog.watch(0.1, tmp_path / "nowhere", "c", 60.0, 1, "deadline", "", "")


def test_watchdog_that_cannot_ask_the_engine_does_not_watch(tmp_path: Path) -> None:
    """If a watchdog cannot reach the Engine, starting it raises ConnectionFailed."""
    with Watchdog(sys.executable) as watchdog, pytest.raises(ConnectionFailed, match="at once"):
        watchdog.watch(60.0, tmp_path / "nowhere", "c", 60.0, 1, "deadline", "", "")


@pytest.mark.parametrize("state", ["created", "running"])
def test_watchdog_ends_when_the_engine_is_removed(state: str, tmp_path: Path) -> None:
    """If the folder of the Engine's socket is removed, the watchdog ends before the time limit."""
    requests: list[str] = []
    record = tmp_path / "record"
    with (
        scripted_engine(tmp_path, (200, {"State": {"Status": state}}), requests=requests) as path,
        Watchdog(sys.executable) as watchdog,
    ):
        watchdog.watch(60.0, path, "c", 3_600.0, 1, "deadline", "", str(record))
        wait_until(lambda: len(requests) > 1, "The beginning of the watch")
        assert record.exists()
    wait_until(lambda: not record.exists(), "The end of the watchdog")


def watchdogs(folder: Path) -> dict[int, tuple[str, ...]]:
    """Return the task of each watchdog that has a record in a folder, by process id."""
    records = {record.stat().st_ino: record for record in folder.iterdir()}
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    # Other processes that wait for a lock have an arrow in their lines.
    holders = {int(parts[5].split(":")[2]): int(parts[4]) for parts in locks if "->" not in parts}
    return {
        holders[inode]: tuple(record.read_text().split("\0"))
        for inode, record in records.items()
        if inode in holders
    }


def limited_platform(socket: str, folder: Path) -> DockerPlatform:
    """Return a platform whose watchdogs keep their records in a folder."""
    platform = DockerPlatform(socket)
    platform._limits = TimeLimits(socket, sys.executable, folder)  # noqa: SLF001 - has no option
    return platform


def killed_watchdog(folder: Path) -> tuple[str, ...]:
    """Kill the only watchdog that has seen its container begin, and return its task."""
    wait_until(
        lambda: [task for task in watchdogs(folder).values() if task[-1]], "A watchdog at work"
    )
    ((process, task),) = watchdogs(folder).items()
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not watchdogs(folder), "The end of the watchdog")
    return task


ENDLESS = ["sh", "-c", "trap 'exit 3' TERM; sleep 600 & wait"]


def test_follower_replaces_a_watchdog_that_was_killed(socket: str, tmp_path: Path) -> None:
    """After its watchdog was killed, another one ends the container at the limit."""
    platform, folder = limited_platform(socket, tmp_path / "records"), tmp_path / "records"
    steps = StepConnector(platform, ConnectorManager([Service("steps")]))
    step = Step("x", ENDLESS, image=IMAGE, timeout=10.0, grace=5.0)
    with ThreadPoolExecutor(1) as threads:
        result = threads.submit(steps.execute_step, step)
        wait_until(folder.exists, "The first watchdog")
        task = killed_watchdog(folder)
        wait_until(lambda: watchdogs(folder), "The second watchdog")
        assert [task] == list(watchdogs(folder).values())

    assert (StepOutcome.DEADLINE, 3) == (result.result().outcome, result.result().exit_code)
    wait_until(lambda: not list(folder.iterdir()), "The end of the record")


def test_restart_replaces_a_watchdog_that_died_with_its_follower(
    socket: str, tmp_path: Path
) -> None:
    """If watchdog and follower were killed, the next status request restores the time limit."""
    folder = tmp_path / "records"
    spec = RunSpec(
        name=f"both-{os.getpid()}", step=Step("x", ENDLESS, image=IMAGE, timeout=5.0, grace=5.0)
    )
    limited_platform(socket, folder).start(spec, 60.0)
    task = killed_watchdog(folder)

    second = limited_platform(socket, folder)
    assert [spec.name] == [run.name for run in second.runs(60.0) if run.name == spec.name]

    assert task == next(iter(watchdogs(folder).values()), task)
    assert second.wait(spec.name, 120.0)
    status = second.status(spec.name, 60.0)
    assert status is not None
    assert EndReason.DEADLINE is status.reason
    second.remove(spec.name, 60.0)


def test_run_found_again_without_a_watchdog_record_gets_a_watchdog(
    socket: str, tmp_path: Path
) -> None:
    """A program that cannot see the old watchdog records restores a run's time limit."""
    first, second = tmp_path / "first", tmp_path / "second"
    spec = RunSpec(
        name=f"moved-{os.getpid()}", step=Step("x", ENDLESS, image=IMAGE, timeout=4.0, grace=5.0)
    )
    limited_platform(socket, first).start(spec, 60.0)
    killed_watchdog(first)
    platform = limited_platform(socket, second)

    for _ in range(2):
        platform.start(spec, 60.0)

    assert 1 == len(watchdogs(second))
    assert platform.wait(spec.name, 120.0)
    status = platform.status(spec.name, 60.0)
    assert status is not None
    assert EndReason.DEADLINE is status.reason
    platform.remove(spec.name, 60.0)


@pytest.mark.parametrize("kind", ["open to others", "a file"])
def test_folder_that_is_not_private_gets_no_records(kind: str, tmp_path: Path) -> None:
    """A folder that other users can write to gets no watchdog records; runs are still watched."""
    folder, requests = tmp_path / "records", list[str]()
    if kind == "a file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o755)
    with scripted_engine(
        tmp_path, container_state("running"), container_state("exited"), requests=requests
    ) as path:
        limits = TimeLimits(path, sys.executable, folder)
        with limits.watchdog() as watchdog:
            limits.keep(watchdog, "c", Step("x", ["true"], image=IMAGE), 60.0)
        wait_until(lambda: 4 == len(requests), "The end of the watchdog")
        assert not limits.has_no_record("c")

    assert [] == (list(folder.iterdir()) if folder.is_dir() else [])


def test_container_whose_watchdog_has_record_gets_second_watchdog_without_record(
    tmp_path: Path,
) -> None:
    """If a container's watchdog has a record already, a second watchdog gets none."""
    requests: list[str] = []
    with scripted_engine(
        tmp_path, container_state("running"), container_state("exited"), requests=requests
    ) as path:
        limits = TimeLimits(path, sys.executable, tmp_path)
        record = limits._record_path("c")  # noqa: SLF001 - as another watchdog
        tmp_path.chmod(0o700)
        record.write_bytes(b"held")
        with record.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with limits.watchdog() as watchdog:
                limits.keep(watchdog, "c", Step("x", ["true"], image=IMAGE), 60.0)
            wait_until(lambda: 4 == len(requests), "The end of the watchdog")

            assert b"held" == record.read_bytes()
            assert not limits.has_no_record("c")


@pytest.mark.parametrize("content", [b"", b"\xff", b"a\0b"])
def test_strange_record_is_no_task(content: bytes, tmp_path: Path) -> None:
    """A malformed watchdog record starts no watchdog."""
    limits = TimeLimits("/nowhere", program(tmp_path, "touch $0.started"), tmp_path)
    limits._record_path("c").write_bytes(content)  # noqa: SLF001 - a record of another watchdog

    limits.restore("c", 60.0)

    assert not (tmp_path / "python.started").exists()


def container_state(status: str) -> tuple[int, Any]:
    """Return an Engine's description of a container in a state."""
    return 200, {"State": {"Status": status}}


@pytest.mark.parametrize("after", [0.0, 3600.0])
def test_time_limit_counts_from_the_start_of_the_container(after: float, tmp_path: Path) -> None:
    """A container's time limit begins with its start, not with its creation."""
    requests: list[str] = []
    states = ("created", "created", "created", "running", "exited")
    answers = (*(container_state(state) for state in states), (304, {}))
    with scripted_engine(tmp_path, *answers, requests=requests) as path:
        with Watchdog(sys.executable) as watchdog:
            watchdog.watch(60.0, path, "c", after, 1, "deadline", "", "")
        wait_until(lambda: 6 == len(requests), "The end of the watchdog")

    status_requests = ["GET /containers/c/json"] * 4
    stop = ["PUT /containers/c/archive?path=/", "POST /containers/c/stop?t=1"]
    wait = ["POST /containers/c/wait?condition=not-running", "GET /containers/c/json"]
    assert [*status_requests, *(wait if after else stop)] == requests


@pytest.mark.parametrize("files", [{}, {"a": b"1"}], ids=["empty", "with files"])
def test_stopping_container_that_was_only_created_ends_its_run(
    files: dict[str, bytes], socket: str
) -> None:
    """Stopping a container that was only created ends its run; a later start runs nothing."""
    platform, key = DockerPlatform(socket), f"early-{os.getpid()}-{len(files)}"
    step = Step("x", ["sh", "-c", "exit 3"], image=IMAGE, workspace=Workspace(files=files))
    name = run_name("steps", None, key)
    status = created_run(platform, RunSpec(name=name, step=step, labels={"key": key}))
    steps = StepConnector(platform, ConnectorManager([Service("steps")]))

    assert steps.stop(key)

    assert not steps.stop(key)
    end_status = platform.status(name, 60.0)
    assert end_status is not None
    assert (RunPhase.ENDED, 143, EndReason.STOPPED) == (
        end_status.phase,
        end_status.exit_code,
        end_status.reason,
    )
    assert {"key": key} == end_status.labels
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
    assert platform.status(name, 60.0) is None


def test_stop_that_races_with_start_always_ends_run_as_stopped(socket: str) -> None:
    """If a stop and a start happen at the same time, the run always ends as stopped."""
    platform = DockerPlatform(socket)
    step = Step("x", ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"], image=IMAGE, grace=0)
    with ThreadPoolExecutor(2) as threads:
        for number in range(5):
            spec = RunSpec(name=f"race-{os.getpid()}-{number}", step=step)
            created_run(platform, spec)
            start = threads.submit(platform.start, spec, 60.0)
            stop = threads.submit(platform.stop, spec.name, 0.0, 60.0)
            stop.result()
            start.exception()
            # A start that finds the container removed is repeated, because its operation is
            # repeatable.
            platform.start(spec, 60.0)
            assert platform.wait(spec.name, 120.0)
            status = platform.status(spec.name, 60.0)
            assert status is not None
            assert EndReason.STOPPED is status.reason
            platform.remove(spec.name, 60.0)


class OvertakenPlatform(DockerPlatform):
    """A platform whose container starts, ends and is removed while it is being stopped."""

    def _tombstone(self, status: RunStatus, timeout: float) -> dict[str, Any]:
        tombstone = super()._tombstone(status, timeout)
        engine, path = Engine(self._engine.path), f"/containers/{status.metadata['container']}"
        engine.ask("POST", f"{path}/start", timeout)
        engine.ask("POST", f"{path}/wait", timeout)
        engine.ask("DELETE", path, timeout)
        return tombstone


def test_stopping_run_that_is_over_and_removed_leaves_no_stopped_run_under_its_name(
    socket: str,
) -> None:
    """If a run ends and is removed during its stop, no stopped run remains under its name."""
    platform = OvertakenPlatform(socket)
    spec = RunSpec(name=f"overtaken-{os.getpid()}", step=Step("x", ["true"], image=IMAGE))
    created_run(platform, spec)

    platform.stop(spec.name, 0.0, 60.0)

    assert platform.status(spec.name, 60.0) is None


def test_stop_that_ends_while_the_name_is_free_is_an_error(tmp_path: Path) -> None:
    """If a name is taken again and again until a stop times out, an error is raised."""
    created = {
        "Id": "c",
        "Image": "i",
        "Created": "2030-01-02T03:04:05Z",
        "State": {"Status": "created", "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z"},
        "Config": {"Labels": {}, "Entrypoint": ["true"]},
        "HostConfig": {"LogConfig": {}},
    }
    first = ((200, created), (200, created), (204, None))
    with (
        scripted_engine(tmp_path, *first, *(_TAKEN, _ABSENT) * 5000) as path,
        pytest.raises(DeadlineExceeded, match="another caller may start the step again") as excinfo,
    ):
        DockerPlatform(path).stop("x", 1.0, 0.5)

    assert excinfo.value.may_have_been_processed
    assert excinfo.value.retryable
    assert "Stop the run again" in str(excinfo.value)


_ABSENT = (404, {"message": "No such container"})
_TAKEN = (409, {"message": "The name is in use"})


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
    """An Engine's malformed description of a container raises an error of moorage."""
    spec = RunSpec(name="x", step=Step("x", ["true"], image=IMAGE))
    with scripted_engine(tmp_path, (200, answer)) as path:
        platform = DockerPlatform(path)
        calls: list[Callable[[], object]] = [
            lambda: platform.start(spec, 60.0),
            lambda: platform.status("x", 60.0),
            lambda: platform.stop("x", 0.0, 60.0),
        ]
        for call in calls:
            with pytest.raises(VendorFailed, match="cannot read"):
                call()
        with suppress(VendorFailed):
            platform.runs(60.0)
        with suppress(VendorFailed):
            platform.logs("x", "stdout", "", 60.0)


def test_strange_answers_to_a_start_are_failures(tmp_path: Path) -> None:
    """An image without a configuration, or a container without an id, raises an error."""
    spec = RunSpec(name="x", step=Step("x", ["true"], image=IMAGE))
    absent: tuple[int, object] = (404, {"message": "No such container"})
    image: tuple[int, object] = (200, {"Config": {"User": ""}})
    scripts: list[list[tuple[int, object]]] = [[absent, (200, [])], [absent, image, (201, {})]]
    for number, answers in enumerate(scripts):
        folder = tmp_path / str(number)
        folder.mkdir()
        with (
            scripted_engine(folder, *answers) as path,
            pytest.raises(VendorFailed, match="cannot read"),
        ):
            DockerPlatform(path).start(spec, 60.0)


def test_log_entry_with_an_invalid_time_is_a_failure(tmp_path: Path) -> None:
    """An invalid timestamp in an Engine's log raises an error."""
    logs = DockerLogs(Engine(f"{tmp_path}/nowhere"))
    with pytest.raises(VendorFailed, match="cannot read"):
        logs.read("c", "stdout", "noon#1##", 60.0, is_over=True)


def test_container_of_a_dead_starter_is_removed(tmp_path: Path) -> None:
    """An unnamed container that was created over an hour ago is removed; a newer one stays."""
    drafts = [{"Names": [f"/draft-{age}"], "Created": 10_000 - age} for age in (3601, 3599)]
    requests: list[str] = []
    time = {"SystemTime": "1970-01-01T03:46:40.123456789+01:00"}
    with scripted_engine(
        tmp_path, (200, drafts), (200, time), (204, None), requests=requests
    ) as path:
        assert not DockerPlatform(path).runs(60.0)

    assert ["GET /info", "DELETE /containers/draft-3601?v=1"] == requests[1:]


def test_container_without_a_name_is_no_run(tmp_path: Path) -> None:
    """A container that is being removed has no name, and is not listed as a run."""
    items = [{"Names": None, "Created": 1}, {"Names": [], "Created": 1}]
    with scripted_engine(tmp_path, (200, items)) as path:
        assert not DockerPlatform(path).runs(60.0)


def test_container_in_preparation_stays(socket: str) -> None:
    """When runs are listed, a container that is still being prepared is not removed."""
    platform, body = DockerPlatform(socket, scope="drafts"), {"Image": IMAGE, "Cmd": ["true"]}
    labels = {"moorage.scope": "drafts"}
    name = f"draft-{os.getpid()}"
    Engine(socket).ask(
        "POST", "/containers/create", 60.0, query={"name": name}, body={**body, "Labels": labels}
    )
    assert not platform.runs(60.0)
    Engine(socket).ask("DELETE", f"/containers/{name}", 60.0)


class UnawareEngine:
    """A proxy of an Engine that never reports that a container ran out of memory.

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


def test_lack_of_memory_is_the_reason_even_if_it_is_reported_late(
    socket: str, tmp_path: Path
) -> None:
    """If the Engine reports a lack of memory only after the end, the reason is still correct."""
    if is_podman(socket):
        pytest.skip("Podman 4.3 has no event for a lack of memory where cgroups have version 1")
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
