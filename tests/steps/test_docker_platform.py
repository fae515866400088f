"""Containers of a real Docker Engine keep the promises of a platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, SHUT_RDWR
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Thread
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
from moorage.adapters.steps._docker_wire import Engine
from moorage.adapters.steps.docker import DOCKER, DockerPlatform, DockerSettings
from moorage.domain.steps.runs import EndReason, RunPhase, RunSpec
from moorage.domain.steps.shell_limits import LIMIT_CODE, limited_command
from moorage.domain.steps.step import Resources, Workspace, run_name
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance
from tests.steps.docker_lab import IMAGE, engine, scripted_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

WORKER = Path(__file__).with_name("docker_worker.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Lend the socket of a Docker Engine."""
    with engine() as path:
        yield path


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_conformance(check: platform_conformance.Check, socket: str) -> None:
    """Containers pass each check of the kit."""
    check(platform_conformance.PlatformSubject(make=lambda: DockerPlatform(socket), image=IMAGE))


def worker(socket: str, folder: Path, script: str, timeout: float) -> subprocess.Popen[str]:
    """Start a process that runs a step in a container."""
    return subprocess.Popen(
        [sys.executable, str(WORKER), socket, str(folder), script, str(timeout)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for two minutes at most."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.05)


def connector(socket: str) -> StepConnector:
    """Return a connector of an Engine with a store of its own."""
    return StepConnector(DockerPlatform(socket), ConnectorManager([Service("steps")]))


def test_killed_program_finds_its_container_again(socket: str, tmp_path: Path) -> None:
    """After kill -9, a key leads to the same container, its exit code, and each line once."""
    script = (
        "i=1; while [ $i -le 2000 ]; do echo line $i; i=$((i+1));"
        " [ $((i % 100)) -eq 0 ] && sleep 0.1; done; exit 42"
    )
    process = worker(socket, tmp_path, script, 120.0)
    log = tmp_path / "log" / "stdout.log"
    until(lambda: log.exists() and log.stat().st_size)
    process.kill()
    process.communicate()
    status = DockerPlatform(socket).look(run_name("steps", None, str(tmp_path)), 30.0)
    assert status is not None

    output, errors = worker(socket, tmp_path, script, 120.0).communicate(timeout=120)

    assert f"42 failure {status.metadata['container']}\n" == output, errors
    assert [f"line {number}" for number in range(1, 2001)] == log.read_text().splitlines()


def test_limit_holds_although_we_are_dead(socket: str, tmp_path: Path) -> None:
    """A container whose starter was killed ends at its limit."""
    script = "trap '' TERM; echo begun; while :; do sleep 1; done"
    process = worker(socket, tmp_path, script, 4.0)
    log = tmp_path / "log" / "stdout.log"
    until(lambda: log.exists() and log.stat().st_size)
    process.kill()
    process.communicate()
    platform, name = DockerPlatform(socket), run_name("steps", None, str(tmp_path))

    def has_ended() -> bool:
        status = platform.look(name, 30.0)
        return status is not None and status.is_over

    until(has_ended)

    output, _ = worker(socket, tmp_path, script, 4.0).communicate(timeout=120)
    assert output.startswith("137 deadline")


def test_memory_limit_is_a_failure(socket: str) -> None:
    """A container that takes more memory than it may is ended, and the result says why."""
    step = Step(
        "large",
        ["sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"],
        image=IMAGE,
        resources=Resources(memory=16 * 1024 * 1024),
    )

    result = connector(socket).execute_step(step)

    assert EndReason.OUT_OF_MEMORY.value == result.metadata["reason"]
    assert not result.is_success


def test_shell_keeps_a_limit_as_the_first_process(socket: str) -> None:
    """As the first process of a real container, a shell hands on signals and kills its command."""
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
    """An image that the Engine does not have, and must not pull, is refused with its words."""
    platform = DockerPlatform(socket, pull=False)
    with pytest.raises(VendorRejected, match="No such image"):
        StepConnector(platform, ConnectorManager([Service("steps")])).execute_step(
            Step("x", ["true"], image="localhost/nothing:1")
        )


def test_missing_program_is_an_exit_code(socket: str) -> None:
    """A program that the image does not have ends the step with the exit code 127."""
    result = connector(socket).execute_step(Step("x", ["no-such-program"], image=IMAGE))

    assert 127 == result.exit_code


def test_step_without_image_is_refused(socket: str) -> None:
    """A step without an image is refused before the Engine is asked."""
    with pytest.raises(InvalidData, match="names no image"):
        connector(socket).execute_step(Step("x", ["true"]))


def test_absent_engine_is_named(tmp_path: Path) -> None:
    """An Engine that does not run is named in the error, and nothing can have happened."""
    with pytest.raises(ConnectionFailed, match="nowhere") as caught:
        DockerPlatform(f"{tmp_path}/nowhere.sock").runs(1.0)

    assert not caught.value.may_have_been_processed


def test_followers_of_one_key_get_one_result(socket: str, tmp_path: Path) -> None:
    """While the first follower removes the container, all others get its result and its lines."""
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
    """A step finds in a volume what an earlier one has left there; a read-only one stays."""
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
    """A volume at a wrong path, or without a name, is refused when the platform is made."""
    with pytest.raises(ConfigurationError, match="volume"):
        DockerPlatform(volumes=volumes)


def test_missing_python_is_named(socket: str) -> None:
    """Without a Python for its watchdog, a container is neither made nor started."""
    platform = DockerPlatform(socket, python="/nowhere/python")
    with pytest.raises(ConnectionFailed, match="watchdog") as caught:
        platform.start(RunSpec(name="unwatched", step=Step("x", ["true"], image=IMAGE)), 30.0)

    assert not caught.value.may_have_been_processed
    assert platform.look("unwatched", 30.0) is None


def test_end_of_a_container_is_told(socket: str) -> None:
    """Waiting ends with the container, or after the given seconds."""
    platform, name = DockerPlatform(socket), f"wait-{os.getpid()}"
    platform.start(RunSpec(name=name, step=Step("x", ["sleep", "2"], image=IMAGE)), 60.0)
    assert platform.can_wait
    assert not platform.wait(name, 0.1)
    assert platform.wait(name, 120.0)
    platform.remove(name, 60.0)
    with pytest.raises(VendorRejected):
        platform.wait(name, 60.0)


def test_other_user_can_write_to_the_working_directory(socket: str) -> None:
    """The working directory belongs to the step, also if another user than root runs it."""
    step = Step("x", ["sh", "-c", "echo 1 > a; cat a"], image=IMAGE)
    for user in ("1000", "0:0", None):
        platform = DockerPlatform(socket, user=user)
        steps = StepConnector(platform, ConnectorManager([Service("steps")]))
        assert "1\n" == steps.execute_step(step).stdout


@pytest.mark.parametrize("files", [{}, {"a": b"1"}], ids=["empty", "with files"])
def test_container_that_nobody_started_is_started(socket: str, files: dict[str, bytes]) -> None:
    """Whoever finds a container whose creator died starts it, and creates no other one."""
    platform = DockerPlatform(socket)
    step = Step("x", ["true"], image=IMAGE, workspace=Workspace(files=files))
    spec = RunSpec(name=f"made-{os.getpid()}-{len(files)}", step=step)
    create = platform._create  # noqa: SLF001 - all that a starter did before it died
    first, second = (create(spec, 60.0) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.metadata["container"] == second.metadata["container"]
    assert RunPhase.STARTING is second.phase
    begun = platform.start(spec, 60.0)
    assert first.metadata["container"] == begun.metadata["container"]
    assert platform.wait(spec.name, 120.0)
    platform.remove(spec.name, 60.0)


_ABSENT = (404, {"message": "No such container"})
_ROOT_IMAGE = (200, {"Config": {"User": ""}})
_TAKEN = (409, {"message": "The name is in use"})


def test_name_that_is_given_away_is_waited_for(tmp_path: Path) -> None:
    """A container that another caller is creating is found as soon as the Engine shows it."""
    running = {
        "Id": "c",
        "Image": "i",
        "Created": "2030-01-02T03:04:05Z",
        "State": {"Status": "running", "ExitCode": 0, "StartedAt": "2030-01-02T03:04:05Z"},
        "Config": {"Labels": {}},
    }
    spec = RunSpec(name="x", step=Step("x", ["true"], image=IMAGE))
    answers = (_ABSENT, _ROOT_IMAGE, _TAKEN, _ABSENT, (200, running))
    with scripted_engine(tmp_path, *answers) as path:
        status = DockerPlatform(path).start(spec, 60.0)
    assert (RunPhase.RUNNING, "c") == (status.phase, status.metadata["container"])


def test_name_whose_container_never_comes_is_an_error(tmp_path: Path) -> None:
    """If the other caller's creation fails, the start may be repeated."""
    spec = RunSpec(name="x", step=Step("x", ["true"], image=IMAGE))
    with (
        scripted_engine(tmp_path, _ABSENT, _ROOT_IMAGE, _TAKEN, _ABSENT) as path,
        pytest.raises(ConnectionFailed) as caught,
    ):
        DockerPlatform(path).start(spec, 0.5)
    assert caught.value.retryable


def test_name_that_is_used_again_is_another_run(socket: str) -> None:
    """The output of a run is read to its end although an earlier run of its name had ended."""
    platform, name = DockerPlatform(socket), f"again-{os.getpid()}"
    for script in ("true", "sleep 1; echo end"):
        step = Step("x", ["sh", "-c", script], image=IMAGE)
        platform.start(RunSpec(name=name, step=step), 60.0)
        output, is_last = b"", False
        while not is_last:
            chunk = platform.logs(name, "stdout", "", 60.0)
            output, is_last = chunk.data, chunk.is_last
        status = platform.look(name, 60.0)
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


def test_removed_container_is_an_unknown_outcome(socket: str) -> None:
    """A container that somebody removes while it runs has an unknown outcome."""
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
    assert [f"line {number}" for number in range(1, 10_001)] == lines
    assert 20 == proxy.cuts


class CuttingProxy:
    """A proxy between a program and an Engine, which cuts 20 of the answers with logs in pieces."""

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
        # A client that waits for the end of a run goes away before the answer comes.
        with client, Socket(AF_UNIX) as engine, suppress(OSError):
            engine.connect(self._target)
            request = client.recv(65536)
            left = 9_000 if b"/logs?" in request and b"stdout" in request else 1 << 40
            engine.sendall(request)
            Thread(target=self._upload, args=(client, engine), daemon=True).start()
            while data := engine.recv(4096):
                if len(data) >= left and self.cuts < 20:
                    client.sendall(data[:left])
                    self.cuts += 1
                    break
                left -= len(data)
                client.sendall(data)
            client.shutdown(SHUT_RDWR)

    @staticmethod
    def _upload(client: Socket, engine: Socket) -> None:
        try:
            while data := client.recv(65536):
                engine.sendall(data)
        except OSError:
            pass
