"""Processes on another machine behave as the platform port requires, over a real sshd."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR, create_connection, create_server
from threading import Lock, Thread, Timer
from typing import TYPE_CHECKING

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    HostKeyRefused,
    InvalidData,
    Resources,
    RunSpec,
    Secret,
    Service,
    Step,
    StepConnector,
)
from moorage.adapters.steps.ssh import SSH, SshPlatform, SshSettings
from moorage.domain.steps.step import run_name
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance
from tests.steps.sshd_harness import Sshd, sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from socket import socket

WORKER = Path(__file__).with_name("ssh_worker.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sshd]:
    """Yield a private sshd."""
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_steps_over_ssh_pass_conformance_kit(
    check: platform_conformance.Check, server: Sshd, tmp_path: Path
) -> None:
    """Steps over SSH pass the conformance kit."""
    check(platform_conformance.PlatformSubject(make=lambda: server.platform(tmp_path)))


def worker(server: Sshd, folder: Path, script: str) -> subprocess.Popen[str]:
    """Start a process that runs a step over SSH."""
    settings = {
        "host": "127.0.0.1",
        "user": getpass.getuser(),
        "port": server.port,
        "known_hosts": f"{server.folder}/known_hosts",
        "identity": f"{server.folder}/key",
        "folder": f"{folder}/runs",
    }
    return subprocess.Popen(
        [sys.executable, str(WORKER), json.dumps(settings), str(folder), script],
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
        time.sleep(0.02)


def test_killed_program_finds_its_step_again(server: Sshd, tmp_path: Path) -> None:
    """After kill -9, a key leads to the same run, its exit code, and each line once."""
    script = (
        "i=1; while [ $i -le 3000 ]; do echo line $i; i=$((i+1));"
        " [ $((i % 100)) -eq 0 ] && sleep 0.1; done; exit 42"
    )
    process = worker(server, tmp_path, script)
    log = tmp_path / "log" / "stdout.log"
    wait_until(lambda: log.exists() and log.stat().st_size)
    process.kill()
    process.communicate()
    name = run_name("steps", None, str(tmp_path))
    status = server.platform(tmp_path / "runs").status(name, 30.0)
    assert status is not None

    output, errors = worker(server, tmp_path, script).communicate(timeout=120)

    assert f"42 failure {status.metadata['pid']}\n" == output, errors
    assert [f"line {number}" for number in range(1, 3001)] == log.read_text().splitlines()


def test_cut_connections_lose_no_line(server: Sshd, tmp_path: Path) -> None:
    """At least ten thousand lines arrive once and in order, although 20 connections are cut."""
    proxy = CuttingProxy(server.port, tmp_path / "all-cut")
    server.add_known_host(proxy.port)
    lines: list[str] = []
    # The lines continue until all connections have been cut, however busy the machine is.
    script = (
        f"i=0; until [ $i -ge 10000 ] && [ -e {proxy.all_cut} ]; do i=$((i+1)); echo line $i;"
        f" [ $((i % 100)) -eq 0 ] && [ ! -e {proxy.all_cut} ] && sleep 0.6; done; echo $i in all"
    )
    step = Step("lines", ["sh", "-c", script])
    connector = StepConnector(
        server.platform(tmp_path, proxy.port), ConnectorManager([Service("steps")])
    )

    result = connector.execute_step(step, log=lambda line: lines.append(line.text))
    proxy.close()

    assert result.is_success
    *numbered_lines, total = lines
    assert f"{len(numbered_lines)} in all" == total
    assert [f"line {number + 1}" for number in range(len(numbered_lines))] == numbered_lines
    assert 20 == proxy.cuts


def cut(client: socket) -> None:
    """Cut a connection, which may already be closed."""
    with suppress(OSError):
        client.shutdown(SHUT_RDWR)


class CuttingProxy:
    """A proxy before an SSH server that cuts 20 connections, and then creates a file."""

    def __init__(self, target: int, all_cut: Path) -> None:
        self.cuts = 0
        self.all_cut = all_cut
        self._lock = Lock()
        self._target = target
        self._server = create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                Thread(target=self._carry, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._server.shutdown(SHUT_RDWR)
        self._server.close()

    def _carry(self, client: socket) -> None:
        # Either side may have disconnected already.
        with suppress(OSError), client, create_connection(("127.0.0.1", self._target)) as server:
            Thread(target=self._upload, args=(client, server), daemon=True).start()
            bytes_left = 5_000
            while data := server.recv(4096):
                if len(data) >= bytes_left and (number := self._next_cut()):
                    if number % 2:
                        client.sendall(data[:bytes_left])
                        break
                    # Every second connection is cut between two replies.
                    Timer(0.05, cut, (client,)).start()
                    bytes_left = 1 << 40
                bytes_left -= len(data)
                client.sendall(data)
            client.shutdown(SHUT_RDWR)

    def _next_cut(self) -> int:
        """Return the number of the cut that must happen now, or 0 after the last one."""
        with self._lock:
            if self.cuts == 20:
                return 0
            self.cuts += 1
            if self.cuts == 20:
                self.all_cut.touch()
            return self.cuts

    @staticmethod
    def _upload(client: socket, server: socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)


def test_wrong_host_key_is_refused(server: Sshd, tmp_path: Path) -> None:
    """A machine with an unexpected host key is refused with its own error; nothing is sent."""
    hosts = tmp_path / "known_hosts"
    public = (server.folder / "other_key.pub").read_text()
    for text in (f"[127.0.0.1]:{server.port} {public}", ""):
        hosts.write_text(text)

        with pytest.raises(HostKeyRefused, match="nothing was sent") as excinfo:
            server.platform(tmp_path, known_hosts=str(hosts)).runs(30.0)

        assert (False, False) == (excinfo.value.retryable, excinfo.value.may_have_been_processed)


def test_wrong_settings_are_named(server: Sshd, tmp_path: Path) -> None:
    """An unusable key, Python, program or folder is named in a typed error."""
    remote_of_stranger = server.platform(tmp_path, identity=f"{server.folder}/stranger")
    with pytest.raises(AuthenticationFailed, match="does not accept the key"):
        remote_of_stranger.runs(30.0)
    with pytest.raises(ConfigurationError, match="no program '/no/python'"):
        server.platform(tmp_path, python="/no/python").runs(30.0)
    with pytest.raises(ConfigurationError, match="'/no/ssh' cannot be started"):
        server.platform(tmp_path, program="/no/ssh").runs(30.0)
    (tmp_path / "file").touch()
    with pytest.raises(ConnectionFailed, match="File exists"):
        server.platform(tmp_path / "file").runs(30.0)
    with pytest.raises(ConfigurationError, match="cannot be the host"):
        SshPlatform("-oProxyCommand=x")
    for options in ({"user": "a b"}, {"python": "x;y"}):
        with pytest.raises(ConfigurationError, match="cannot be the"):
            server.platform(tmp_path, None, **options)
    with pytest.raises(InvalidData, match="not a name of a run"):
        server.platform(tmp_path).status("../x", 30.0)


def test_absent_or_silent_machine_is_named(tmp_path: Path) -> None:
    """A machine that refuses connections, is silent or does not speak SSH is named in the error."""
    with create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        platform = SshPlatform("127.0.0.1", port=port)
        with pytest.raises(AttemptTimeout, match="did not answer") as late_excinfo:
            platform.runs(0.3)
    with pytest.raises(ConnectionFailed, match=f"port {port} was lost or refused") as excinfo:
        platform.runs(30.0)
    chatty = tmp_path / "chatty"
    chatty.write_text("#!/bin/sh\nexec yes\n")
    chatty.chmod(0o700)
    with pytest.raises(ConnectionFailed, match="text of another program"):
        SshPlatform("far.example", program=str(chatty)).runs(30.0)

    assert not late_excinfo.value.may_have_been_processed
    assert not excinfo.value.may_have_been_processed


def test_requests_take_turns_on_a_connection(tmp_path: Path) -> None:
    """A request that waits its whole timeout for the connection was certainly not sent."""
    with create_server(("127.0.0.1", 0)) as silent:
        platform = SshPlatform("127.0.0.1", port=silent.getsockname()[1])

        def list_runs() -> None:
            with pytest.raises(AttemptTimeout):
                platform.runs(2.0)

        first = Thread(target=list_runs)
        first.start()
        with silent.accept()[0]:
            with pytest.raises(AttemptTimeout, match="kept the connection"):
                platform.runs(0.01)
            first.join()


def test_connection_whose_ssh_process_was_killed_is_replaced_at_next_request(
    server: Sshd, tmp_path: Path
) -> None:
    """A connection whose `ssh` process was killed is replaced at the next request."""
    platform = server.platform(tmp_path)
    assert [] == platform.runs(30.0)
    connection = platform._far._connection  # noqa: SLF001 - kills it as a crash would
    assert connection is not None
    connection._process.kill()  # noqa: SLF001 - kills it as a crash would
    connection._process.wait()  # noqa: SLF001 - kills it as a crash would

    assert [] == platform.runs(30.0)

    platform.close()


def test_no_secret_is_in_any_command(server: Sshd, tmp_path: Path) -> None:
    """While a step with a secret runs, no command of any process contains the secret."""
    platform = server.platform(tmp_path)
    step = Step(
        "x", ["sh", "-c", "cat $TOKEN_FILE; sleep 600"], secrets={"TOKEN": "secret://env/T"}
    )
    spec = RunSpec(name="shown", step=step, secrets={"TOKEN": Secret("tok_27182818284")})
    platform.start(spec, 30.0)
    try:
        wait_until(lambda: platform.logs("shown", "stdout", "", 30.0).data)
        commands: list[bytes] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    commands.append((entry / "cmdline").read_bytes())
                except OSError:
                    continue
        assert any(b"TOKEN_FILE" in command for command in commands)
        assert not any(b"tok_27182818284" in command for command in commands)
    finally:
        platform.stop("shown", 0.0, 30.0)


def test_steps_that_need_a_container_are_refused() -> None:
    """A step with an image, or with limits that no process has, is refused before connecting."""
    platform = SSH.build(SshSettings(host="far.example"))
    with pytest.raises(InvalidData, match="names an image"):
        platform.validate(Step("x", ["true"], image="erp:1"))
    with pytest.raises(InvalidData, match="limits its cpus"):
        platform.validate(Step("x", ["true"], resources=Resources(cpus=1.0)))
