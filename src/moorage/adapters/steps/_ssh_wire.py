"""Connections to another machine through `ssh`, and their requests."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import weakref
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    HostKeyRefused,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_REMOTE_PROGRAM: Final = Path(__file__).with_name("_ssh_far.py")
_GREETING: Final = b"moorage-far 1\n"
_LONGEST_GREETING: Final = 64 * 1024
_PART: Final = 64 * 1024
_LENGTH: Final = 8
_NOT_FOUND: Final = 127
_VARIABLES: Final = ("PATH", "HOME", "SSH_AUTH_SOCK")


class Target(NamedTuple):
    """An account on another machine, and the `ssh` options with which to reach it."""

    host: str
    user: str | None
    port: int
    known_hosts: str | None
    identity: str | None
    python: str
    program: str

    def command(self, size: int, timeout: float) -> list[str]:
        """Return the command that starts moorage's program on the remote machine.

        Nothing of the user's configuration of `ssh` is read, so that nobody can switch the check of
        the host's key off there.
        """
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "VerifyHostKeyDNS": "no",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "ClearAllForwardings": "yes",
            "PermitLocalCommand": "no",
            "ControlMaster": "no",
            "ControlPath": "none",
            "RequestTTY": "no",
            "EscapeChar": "none",
            "ConnectTimeout": str(max(1, round(timeout))),
            "ServerAliveInterval": "10",
            "ServerAliveCountMax": "3",
        }
        if self.known_hosts is not None:
            options["UserKnownHostsFile"] = f'"{self.known_hosts}"'
            options["GlobalKnownHostsFile"] = "/dev/null"
        parts = [self.program, "-F", "none", "-p", str(self.port)]
        for name, value in options.items():
            parts += ["-o", f"{name}={value}"]
        if self.identity is not None:
            parts += ["-o", "IdentitiesOnly=yes", "-i", self.identity]
        if self.user is not None:
            parts += ["-l", self.user]
        start = f"'import sys;exec(sys.stdin.buffer.read({size}))'"
        return [*parts, "--", self.host, f"exec {self.python} -I -S -c {start}"]


class RemoteHost:
    """Sends requests over one connection, which opens at its first use and reopens after a loss.

    Args:
        target: the account on the other machine.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = Lock()
        self._connection: _Connection | None = None

    def ask(self, request: dict[str, Any], timeout: float) -> tuple[dict[str, Any], bytes]:
        """Send a request, and return the answer with its bytes.

        Raises:
            ConnectorError: the other machine cannot be reached, or refuses.
        """
        deadline = monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise AttemptTimeout(
                "Other requests kept the connection for too long.", may_have_been_processed=False
            )
        try:
            connection = self._connected(deadline)
            packed_answer = json.dumps({**request, "timeout": timeout}).encode()
            try:
                connection.send(b"%08x%s" % (len(packed_answer), packed_answer), deadline)
                answer = json.loads(connection.receive_framed(deadline))
                data = connection.receive_framed(deadline)
            except BaseException:
                # A reply that is still on its way would be taken for the next reply.
                self._close_connection()
                raise
        finally:
            self._lock.release()
        if "error" in answer:
            raise ConnectionFailed(
                f"The run cannot be supervised on {self._target.host}: {answer['error']}.",
                remedy="Check the folder of the runs there, its disk and its permissions.",
            )
        return answer, data

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._close_connection()

    def _connected(self, deadline: float) -> _Connection:
        connection = self._connection
        if connection is not None and not connection.is_usable():
            self._close_connection()
            connection = None
        if connection is None:
            self._connection = connection = _Connection(self._target, deadline)
            try:
                connection.greet(deadline)
            except BaseException:
                self._close_connection()
                raise
        return connection

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Connection:
    """A running `ssh`, and the program that it started on the remote machine."""

    def __init__(self, target: Target, deadline: float) -> None:
        self._target = target
        self._owner = os.getpid()
        self._is_greeted = False
        self._pending = b""
        program = _REMOTE_PROGRAM.read_bytes()
        self._first = program
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the connection
        variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ssh, with checked arguments
                target.command(len(program), deadline - monotonic()),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**variables, "LC_ALL": "C"},
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise ConfigurationError(
                f"The program {target.program!r} cannot be started ({type(error).__name__}).",
                path="program",
                remedy="Install OpenSSH's client, or give the path of its program `ssh`.",
            ) from None
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        self._in: IO[bytes] = self._process.stdin
        self._out: IO[bytes] = self._process.stdout
        os.set_blocking(self._in.fileno(), False)
        self._end = weakref.finalize(
            self, _end, self._process, (self._in, self._out, self._errors), self._owner
        )

    def is_usable(self) -> bool:
        """Return whether this process opened the connection, and its `ssh` still runs."""
        return self._owner == os.getpid() and self._process.poll() is None

    def greet(self, deadline: float) -> None:
        """Send the program to the remote machine, and wait until it runs there."""
        self.send(self._first, deadline)
        output = b""
        while _GREETING not in output:
            output += self._received(deadline)
            if len(output) > _LONGEST_GREETING:
                raise ConnectionFailed(
                    f"The response of {self._target.host} begins with text of another program.",
                    may_have_been_processed=False,
                    remedy="Let the account's shell print nothing when it runs a command.",
                )
        self._pending = output.partition(_GREETING)[2]
        self._is_greeted = True

    def send(self, data: bytes, deadline: float) -> None:
        """Send bytes to the remote machine."""
        view = memoryview(data)
        while view:
            self._wait(self._in, deadline, writing=True)
            try:
                view = view[os.write(self._in.fileno(), view[:_PART]) :]
            except OSError:
                raise self._failure() from None

    def receive_framed(self, deadline: float) -> bytes:
        """Receive bytes that are preceded by their length."""
        size = int(self._receive_exactly(_LENGTH, deadline), 16)
        return self._receive_exactly(size, deadline)

    def close(self) -> None:
        """End the connection."""
        self._end()

    def _receive_exactly(self, size: int, deadline: float) -> bytes:
        parts, missing_bytes = [self._pending], size - len(self._pending)
        while missing_bytes > 0:
            parts.append(self._received(deadline))
            missing_bytes -= len(parts[-1])
        data = b"".join(parts)
        self._pending = data[size:]
        return data[:size]

    def _received(self, deadline: float) -> bytes:
        self._wait(self._out, deadline, writing=False)
        data = os.read(self._out.fileno(), _PART)
        if not data:
            raise self._failure()
        return data

    def _wait(self, file: IO[bytes], deadline: float, *, writing: bool) -> None:
        if not is_ready(file, max(0.0, deadline - monotonic()), writing=writing):
            raise AttemptTimeout(
                f"{self._target.host} did not answer in time.",
                may_have_been_processed=self._is_greeted,
            )

    def _failure(self) -> ConnectorError:
        """Return the error for an ended `ssh`."""
        try:
            code: int | None = self._process.wait(5)
        except subprocess.TimeoutExpired:  # pragma: no cover - ssh closes its pipes when it ends
            code = None
        self._errors.seek(0)
        text = self._errors.read(_PART).decode("utf-8", "replace").strip()
        return failure_of(self._target, code, text, is_greeted=self._is_greeted)


def failure_of(target: Target, code: int | None, text: str, *, is_greeted: bool) -> ConnectorError:
    """Return the error for an ended `ssh`, from its exit code and last output."""
    last = text.splitlines()[-1][:200] if text else "it gave no reason"
    where = f"{target.host}, port {target.port}"
    if "Host key verification failed" in text or "IDENTIFICATION HAS CHANGED" in text:
        return HostKeyRefused(
            f"The host key of {where} is not a known host key, so nothing was sent."
        )
    if "Permission denied (" in text:
        return AuthenticationFailed(
            f"{where} does not accept the key of this program: {last}",
            remedy="Add the public key to authorized_keys of the account there, and give the"
            " private one as `identity`.",
        )
    if code == _NOT_FOUND and not is_greeted:
        return ConfigurationError(
            f"There is no program {target.python!r} on {where}.",
            path="python",
            remedy="Install Python 3.9 or newer there, or give its path as `python`.",
        )
    return ConnectionFailed(
        f"The connection to {where} was lost or refused: {last}",
        may_have_been_processed=is_greeted,
        remedy="Check that the machine runs, and that its sshd accepts this account.",
    )


def _end(process: subprocess.Popen[bytes], files: Sequence[IO[bytes]], owner: int) -> None:
    for file in files:
        file.close()
    # After a fork, the connection belongs to the parent process.
    if owner == os.getpid():
        process.kill()
        process.wait()


def is_ready_by_poll(file: IO[bytes], seconds: float, *, writing: bool) -> bool:
    """Wait until a pipe can be read or written; return False if the time is over."""
    waiting = select.poll()
    waiting.register(file, select.POLLOUT if writing else select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def is_ready_by_select(file: IO[bytes], seconds: float, *, writing: bool) -> bool:
    """Wait as `is_ready_by_poll` does, in programs where eventlet has removed `poll`."""
    reading_files, writing_files = ([], [file]) if writing else ([file], [])
    return any(select.select(reading_files, writing_files, [], seconds))


is_ready = is_ready_by_poll if hasattr(select, "poll") else is_ready_by_select
