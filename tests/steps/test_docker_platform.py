"""A real Docker Engine's containers behave as the platform port requires."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from socket import AF_UNIX, SHUT_RDWR
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Event, Thread, Timer
from typing import TYPE_CHECKING

import pytest

from moorage import (
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    InvalidData,
    LogLine,
    OutcomeUnknown,
    Secret,
    Service,
    Step,
    StepConnector,
    VendorRejected,
)
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.adapters.steps._docker_limit import Watchdog
from moorage.adapters.steps._docker_wire import Engine
from moorage.adapters.steps.docker import DOCKER, DockerPlatform, DockerSettings
from moorage.domain.steps.runs import EndReason, RunPhase, RunSpec
from moorage.domain.steps.shell_limits import LIMIT_CODE, limited_command
from moorage.domain.steps.step import Resources, Workspace, run_name
from moorage.domain.values.frozen_values import evolve
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance
from moorage.testing.kits.platform_conformance import PlatformLimit, PlatformSubject
from tests.steps.docker_harness import IMAGE, engine, is_podman, scripted_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.domain.steps.runs import RunStatus

WORKER = Path(__file__).with_name("docker_worker.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Yield the socket of a Docker Engine."""
    with engine() as path:
        yield path


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_containers_pass_conformance_kit(check: platform_conformance.Check, socket: str) -> None:
    """Containers pass the conformance kit; Podman adds the variable `container` to a step."""
    limits = {PlatformLimit.OTHER_VARIABLES} if is_podman(socket) else set[PlatformLimit]()
    check(
        PlatformSubject(make=lambda: DockerPlatform(socket), image=IMAGE, limits=frozenset(limits))
    )


def worker(socket: str, folder: Path, script: str, timeout: float) -> subprocess.Popen[str]:
    """Start a process that runs a step in a container."""
    return subprocess.Popen(
        [sys.executable, str(WORKER), socket, str(folder), script, str(timeout)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for two minutes at most."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.05)


def connector(socket: str) -> StepConnector:
    """Return a connector of an Engine, with its own store."""
    return StepConnector(DockerPlatform(socket), ConnectorManager([Service("steps")]))


def test_killed_program_finds_its_container_again(socket: str, tmp_path: Path) -> None:
    """After kill -9, a key leads to the same container, its exit code, and each line once."""
    script = (
        "i=1; while [ $i -le 2000 ]; do echo line $i; i=$((i+1));"
        " [ $((i % 100)) -eq 0 ] && sleep 0.1; done; exit 42"
    )
    process = worker(socket, tmp_path, script, 120.0)
    log = tmp_path / "log" / "stdout.log"
    wait_until(lambda: log.exists() and log.stat().st_size)
    process.kill()
    process.communicate()
    status = DockerPlatform(socket).status(run_name("steps", None, str(tmp_path)), 30.0)
    assert status is not None

    output, errors = worker(socket, tmp_path, script, 120.0).communicate(timeout=120)

    assert f"42 failure {status.metadata['container']}\n" == output, errors
    assert [f"line {number}" for number in range(1, 2001)] == log.read_text().splitlines()


def test_limit_ends_a_container_whose_starter_was_killed(socket: str, tmp_path: Path) -> None:
    """A container whose starter was killed ends at its limit, at most five seconds late."""
    script = "trap '' TERM; echo begun; while :; do sleep 1; done"
    process = worker(socket, tmp_path, script, 4.0)
    log = tmp_path / "log" / "stdout.log"
    wait_until(lambda: log.exists() and log.stat().st_size)
    process.kill()
    process.communicate()
    platform, name = DockerPlatform(socket), run_name("steps", None, str(tmp_path))

    def end() -> RunStatus | None:
        status = platform.status(name, 30.0)
        return status if status is not None and status.is_over else None

    wait_until(end)

    status = end()
    assert status is not None
    assert status.started_at is not None
    assert status.ended_at is not None
    # The limit is 4 seconds, and the grace period is one second.
    assert status.ended_at - status.started_at < timedelta(seconds=4 + 1 + 5)
    output, _ = worker(socket, tmp_path, script, 4.0).communicate(timeout=120)
    assert output.startswith("137 deadline")


def test_memory_limit_is_a_failure(socket: str) -> None:
    """A container that exceeds its memory limit is ended, and the result says why."""
    step = Step(
        "large",
        ["sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"],
        image=IMAGE,
        resources=Resources(memory=16 * 1024 * 1024),
    )

    result = connector(socket).execute_step(step)

    assert 137 == result.exit_code
    if not is_podman(socket):  # With cgroups version 1, Podman 4.3 does not learn of it.
        assert EndReason.OUT_OF_MEMORY.value == result.metadata["reason"]


def test_shell_as_container_first_process_forwards_signals(socket: str) -> None:
    """A shell as a container's first process forwards signals, and kills its command."""
    endless = Step("x", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], timeout=1, grace=0)
    stopped = Step("x", ["sh", "-c", "trap 'exit 9' TERM; echo begun; sleep 600 & wait"])
    steps = connector(socket)

    def stop(line: LogLine) -> None:
        steps.stop("stopped-by-shell")

    first = steps.execute_step(Step("x", limited_command(endless), image=IMAGE))
    second = steps.execute_step(
        Step("x", limited_command(stopped), image=IMAGE),
        idempotency_key="stopped-by-shell",
        log=stop,
    )

    assert (LIMIT_CODE, 9) == (first.exit_code, second.exit_code)


def test_missing_image_is_refused(socket: str) -> None:
    """A missing image that must not be pulled is refused with the Engine's message."""
    platform = DockerPlatform(socket, pull=False)
    with pytest.raises(VendorRejected, match=r"(?i)no such image"):
        StepConnector(platform, ConnectorManager([Service("steps")])).execute_step(
            Step("x", ["true"], image="localhost/nothing:1")
        )


def test_missing_program_is_an_exit_code(socket: str) -> None:
    """A program that the image lacks ends the step with exit code 127.

    Podman keeps no exit code of a container that it could not start, so the step is refused there.
    """
    step = Step("x", ["no-such-program"], image=IMAGE)
    if is_podman(socket):
        with pytest.raises(VendorRejected, match="no-such-program"):
            connector(socket).execute_step(step)
        return

    assert 127 == connector(socket).execute_step(step).exit_code


def test_step_without_image_is_refused(socket: str) -> None:
    """A step without an image is refused before any request to the Engine."""
    with pytest.raises(InvalidData, match="names no image"):
        connector(socket).execute_step(Step("x", ["true"]))


def test_absent_engine_is_named(tmp_path: Path) -> None:
    """If no Engine is running, the error names the Engine and proves that nothing was done."""
    with pytest.raises(ConnectionFailed, match="nowhere") as excinfo:
        DockerPlatform(f"{tmp_path}/nowhere.sock").runs(1.0)

    assert not excinfo.value.may_have_been_processed


def test_followers_of_one_key_get_one_result(socket: str, tmp_path: Path) -> None:
    """If one of several followers removes the run's container, all get the result and lines."""
    step = Step("x", ["sh", "-c", "echo rows; sleep 1; exit 4"], image=IMAGE)

    def follow(number: int) -> tuple[int, str, list[str]]:
        store = SqliteStorage(f"{tmp_path}/state.db")
        steps = StepConnector(
            DockerPlatform(socket), ConnectorManager([Service("steps")], state=store)
        )
        lines: list[str] = []
        result = steps.execute_step(
            step, idempotency_key="k", log=lambda line: lines.append(line.text)
        )
        return result.exit_code, result.metadata["container"], lines

    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(follow, range(16)))

    assert [(4, results[0][1], ["rows"])] * 16 == results


def test_volume_is_shared_by_steps(socket: str) -> None:
    """A step finds the files of an earlier step in a volume; a read-only volume stays unchanged."""
    settings = DockerSettings(socket=socket, volumes={"/data": "erp-data"})
    manager = ConnectorManager([Service("steps")])
    writer = StepConnector(DOCKER.build(settings), manager)
    reader = StepConnector(DockerPlatform(socket, volumes={"/data:ro": "erp-data"}), manager)

    writer.execute_step(Step("x", ["sh", "-c", "echo rows > /data/r"], image=IMAGE))
    result = reader.execute_step(
        Step("x", ["sh", "-c", "cat /data/r; echo more > /data/r || exit 6"], image=IMAGE)
    )

    assert (6, "rows\n") == (result.exit_code, result.stdout)
    Engine(socket).ask("DELETE", "/volumes/erp-data", 30.0)


@pytest.mark.parametrize(
    "volumes",
    [
        *({"data": "a"}, {"/": "a"}, {"/workspace/x": "a"}, {"/run/secrets": "a"}),
        *({"/a:rw": "a"}, {"/a": ""}, {"/a": "b:c"}),
    ],
)
def test_wrong_volumes_are_named(volumes: dict[str, str]) -> None:
    """A volume without a name or at a wrong path is refused when the platform is created."""
    with pytest.raises(ConfigurationError, match="volume"):
        DockerPlatform(volumes=volumes)


def test_missing_python_is_named(socket: str) -> None:
    """Without a Python interpreter for its watchdog, no container is created or started."""
    platform = DockerPlatform(socket, python="/nowhere/python")
    with pytest.raises(ConnectionFailed, match="watchdog") as excinfo:
        platform.start(RunSpec(name="unwatched", step=Step("x", ["true"], image=IMAGE)), 30.0)

    assert not excinfo.value.may_have_been_processed
    assert platform.status("unwatched", 30.0) is None


def test_waiting_ends_when_container_ends(socket: str) -> None:
    """Waiting ends when the container ends, or after the given seconds."""
    platform, name = DockerPlatform(socket), f"wait-{os.getpid()}"
    platform.start(RunSpec(name=name, step=Step("x", ["sleep", "2"], image=IMAGE)), 60.0)
    assert platform.can_wait
    assert not platform.wait(name, 0.1)
    assert platform.wait(name, 120.0)
    platform.remove(name, 60.0)
    with pytest.raises(VendorRejected):
        platform.wait(name, 60.0)


def test_other_user_can_write_to_the_working_directory(socket: str) -> None:
    """The working directory is writable for the step's user, also if that is not root."""
    step = Step("x", ["sh", "-c", "echo 1 > a; cat a"], image=IMAGE)
    for user in ("1000", "0:0", None):
        platform = DockerPlatform(socket, user=user)
        steps = StepConnector(platform, ConnectorManager([Service("steps")]))
        assert "1\n" == steps.execute_step(step).stdout


@pytest.mark.parametrize("files", [{}, {"a": b"1"}], ids=["empty", "with files"])
def test_others_replace_container_if_container_creator_is_stuck(
    socket: str, files: dict[str, bytes]
) -> None:
    """If a container's creator hangs, others create a new one, and the creator starts nothing."""
    platform = DockerPlatform(socket)
    step = Step("x", ["echo", "once"], image=IMAGE, workspace=Workspace(files=files))
    spec = RunSpec(name=f"made-{os.getpid()}-{len(files)}", step=step)
    created = platform._create(spec, 60.0)  # noqa: SLF001 - all that a starter did before
    assert created is not None
    assert platform._create(spec, 60.0) is None  # noqa: SLF001 - what another starter does

    replaced = DockerPlatform(socket).start(spec, 60.0)
    assert created.id != replaced.metadata["container"]
    assert platform.wait(spec.name, 120.0)
    with Watchdog(sys.executable) as watchdog:
        platform._begin(created, watchdog, 3600.0)  # noqa: SLF001 - what the creator does next
    assert b"once\n" == platform.logs(spec.name, "stdout", "", 60.0).data
    platform.remove(spec.name, 60.0)


def test_late_creator_starts_nothing(socket: str) -> None:
    """If a creator was stuck for a long time, it does not start its container."""
    platform = DockerPlatform(socket)
    spec = RunSpec(name=f"late-{os.getpid()}", step=Step("x", ["true"], image=IMAGE))
    created = platform._create(spec, 60.0)  # noqa: SLF001 - all that a starter did before
    assert created is not None
    late_look = created._replace(at=created.at - 60.0)
    with Watchdog(sys.executable) as watchdog:
        assert platform._begin(late_look, watchdog, 60.0) is None  # noqa: SLF001 - what a creator does next
    status = platform.status(spec.name, 60.0)
    assert status is not None
    assert RunPhase.STARTING is status.phase
    platform.stop(spec.name, 0.0, 60.0)
    platform.remove(spec.name, 60.0)


_ABSENT = (404, {"message": "No such container"})
_ROOT_IMAGE = (200, {"Config": {"User": ""}})
_DRIVERS = (200, {"Plugins": {"Log": ["local"]}})
_TAKEN = (409, {"message": "The name is in use"})


def test_container_that_another_caller_creates_is_awaited(tmp_path: Path) -> None:
    """A container that another caller is creating is found as soon as the Engine lists it."""
    running = {
        "Id": "c",
        "Image": "i",
        "Created": "2030-01-02T03:04:05Z",
        "State": {"Status": "running", "ExitCode": 0, "StartedAt": "2030-01-02T03:04:05Z"},
        "Config": {"Labels": {}},
    }
    spec = RunSpec(name="x", step=Step("x", ["true"], image=IMAGE))
    tries = (_ABSENT, _ROOT_IMAGE, _DRIVERS, _TAKEN, _ABSENT, _ROOT_IMAGE, _TAKEN)
    answers = (*tries, (200, running))
    with scripted_engine(tmp_path, *answers) as path:
        status = DockerPlatform(path).start(spec, 60.0)
    assert (RunPhase.RUNNING, "c") == (status.phase, status.metadata["container"])


def test_name_whose_container_never_comes_is_an_error(tmp_path: Path) -> None:
    """If another caller's container never appears, the start raises an error and may be retried."""
    first = (_ABSENT, _ROOT_IMAGE, _DRIVERS, _TAKEN)
    spec = RunSpec(name="x", step=Step("x", ["true"], image=IMAGE))
    with (
        scripted_engine(tmp_path, *first, *(_ABSENT, _ROOT_IMAGE, _TAKEN) * 1000) as path,
        pytest.raises(ConnectionFailed) as excinfo,
    ):
        DockerPlatform(path).start(spec, 0.5)
    assert excinfo.value.retryable


def test_name_that_is_used_again_is_another_run(socket: str) -> None:
    """A run's output is read to its end even if an earlier run had the same name."""
    platform, name = DockerPlatform(socket), f"again-{os.getpid()}"
    for script in ("true", "sleep 1; echo end"):
        step = Step("x", ["sh", "-c", script], image=IMAGE)
        platform.start(RunSpec(name=name, step=step), 60.0)
        output, is_last = b"", False
        while not is_last:
            chunk = platform.logs(name, "stdout", "", 60.0)
            output, is_last = chunk.data, chunk.is_last
        status = platform.status(name, 60.0)
        assert status is not None
        assert status.is_over
        platform.remove(name, 60.0)
    assert b"end\n" == output


def test_inspect_shows_no_secret(socket: str) -> None:
    """The Engine's description of a container does not contain the secret that the step reads."""
    platform = DockerPlatform(socket)
    step = Step("x", ["sh", "-c", "sleep 600"], image=IMAGE, secrets={"TOKEN": "secret://env/T"})
    spec = RunSpec(name="inspected", step=step, secrets={"TOKEN": Secret("tok_31415926535")})
    platform.start(spec, 30.0)
    try:
        _, description = Engine(socket).ask("GET", "/containers/inspected/json", 30.0)
        assert "tok_31415926535" not in json.dumps(json.loads(description))
        assert b"TOKEN_FILE" in description
    finally:
        platform.stop("inspected", 0.0, 30.0)


def test_no_secret_is_shown_outside_a_container(socket: str, tmp_path: Path) -> None:
    """No process, store, log, result or error of a step shows its secret while it runs or later."""
    token = "tok_27182818284590"
    shown: list[bytes] = []

    def look_around(line: LogLine) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                shown.append(
                    (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                )
        shown.append(line.text.encode())

    manager = ConnectorManager([Service("steps")], state=SqliteStorage(f"{tmp_path}/state.db"))
    steps = StepConnector(DockerPlatform(socket), manager)
    script = "cat $TOKEN_FILE; echo; tr a-z A-Z < $TOKEN_FILE >&2; sleep 0.5; exit 3"
    step = Step("x", ["sh", "-c", script], image=IMAGE, secrets={"TOKEN": Secret(token)})
    result = steps.execute_step(step, idempotency_key="shown", log=look_around)
    with pytest.raises(VendorRejected) as excinfo:
        StepConnector(DockerPlatform(socket, pull=False), manager).execute_step(
            evolve(step, image="localhost/nothing:1"), idempotency_key="shown-2"
        )

    assert 3 == result.exit_code
    assert "***\n" == result.stdout
    assert 10 < len(shown)
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    texts = [repr(result), repr(step), repr(excinfo.value), repr(excinfo.value.__dict__)]
    for content in (*shown, *stored, *(text.encode() for text in texts)):
        assert token.encode() not in content


def test_step_survives_an_engine_that_is_away(socket: str, tmp_path: Path) -> None:
    """While the socket is missing, the follower waits; then it reads each line once to the end."""
    path, lines = Path(tmp_path, "p"), list[str]()
    proxy = VanishingProxy(path, socket)
    script = "i=1; while [ $i -le 40 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 6"

    def record_line(line: LogLine) -> None:
        lines.append(line.text)
        if len(lines) == 10:
            proxy.vanish(1.5)

    result = connector(str(path)).execute_step(
        Step("x", ["sh", "-c", script], image=IMAGE), log=record_line
    )

    assert 6 == result.exit_code
    assert [f"line {number}" for number in range(1, 41)] == lines
    assert proxy.was_away.is_set()


class VanishingProxy:
    """A proxy between a program and an Engine whose socket can be removed for a while."""

    def __init__(self, path: Path, target: str) -> None:
        self.was_away = Event()
        self._path = path
        self._target = target
        self._open()

    def vanish(self, seconds: float) -> None:
        """Remove the socket, and restore it after some seconds."""
        self._path.unlink()
        self._server.close()
        Timer(seconds, self._return).start()

    def _return(self) -> None:
        self.was_away.set()
        self._open()

    def _open(self) -> None:
        self._server = Socket(AF_UNIX)
        self._server.bind(str(self._path))
        self._server.listen()
        Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def _serve(self, server: Socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: Socket) -> None:
        with client, Socket(AF_UNIX) as engine, suppress(OSError):
            engine.connect(self._target)
            Thread(target=CuttingProxy.upload, args=(client, engine), daemon=True).start()
            while data := engine.recv(65536):
                client.sendall(data)
            client.shutdown(SHUT_RDWR)


def test_removed_container_is_an_unknown_outcome(socket: str) -> None:
    """If somebody removes a running container, the step's outcome is unknown."""
    name = run_name("steps", None, "removed")

    def remove(line: LogLine) -> None:
        Engine(socket).ask("DELETE", f"/containers/{name}", 30.0, query={"force": "1"})

    step = Step("x", ["sh", "-c", "echo begun; sleep 600"], image=IMAGE)
    with pytest.raises(OutcomeUnknown):
        connector(socket).execute_step(step, idempotency_key="removed", log=remove)


def test_cut_connections_lose_no_line(socket: str, tmp_path: Path) -> None:
    """Ten thousand lines arrive once and in order, although the connection is cut 20 times."""
    proxy = CuttingProxy(f"{tmp_path}/p", socket)
    lines: list[str] = []
    step = Step(
        "lines",
        ["sh", "-c", "i=1; while [ $i -le 10000 ]; do echo line $i; i=$((i+1)); done"],
        image=IMAGE,
    )

    result = connector(f"{tmp_path}/p").execute_step(step, log=lambda line: lines.append(line.text))

    assert result.is_success
    # Podman 4.3 adds a line break after each partial line that it has read.
    separator = "" if is_podman(socket) else "\n"
    expected = [f"line {number}" for number in range(1, 10_001)]
    assert separator.join(expected) == separator.join(lines)
    assert 20 == proxy.cuts


class CuttingProxy:
    """A proxy between a program and an Engine that cuts the connection in 20 log responses."""

    def __init__(self, path: str, target: str) -> None:
        self.cuts = 0
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
        # A client that waits for the end of a run disconnects before the response arrives.
        with client, Socket(AF_UNIX) as engine, suppress(OSError):
            engine.connect(self._target)
            request = client.recv(65536)
            bytes_left = 9_000 if b"/logs?" in request and b"stdout" in request else 1 << 40
            engine.sendall(request)
            Thread(target=self.upload, args=(client, engine), daemon=True).start()
            while data := engine.recv(4096):
                if len(data) >= bytes_left and self.cuts < 20:
                    client.sendall(data[:bytes_left])
                    self.cuts += 1
                    break
                bytes_left -= len(data)
                client.sendall(data)
            client.shutdown(SHUT_RDWR)

    @staticmethod
    def upload(client: Socket, engine: Socket) -> None:
        """Copy the rest of a request."""
        try:
            while data := client.recv(65536):
                engine.sendall(data)
        except OSError:
            pass
