"""Runs `git` with a time limit, bounded output, and no inherited environment."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.adapters.concurrency.thread_start import start_thread
from moorage.adapters.git._askpass import askpass
from moorage.domain.secrets.value_mask import masked_text, value_mask
from moorage.errors import AttemptTimeout, ConfigurationError, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from moorage.adapters.git.remote import GitRemote

LARGEST_OUTPUT: Final = 4 * 1024 * 1024
"""The number of bytes of each output of `git` that are kept; the rest is read and dropped."""

_LONGEST_ESCAPE: Final = 16
"""The largest number of bytes that one byte of a secret takes in an output, with escapes."""

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.askPass=",
)


class GitEnding(NamedTuple):
    """The end of a `git` run: its exit code and its output with the token masked."""

    code: int
    out: str
    err: str


def run_git(
    program: str,
    arguments: Sequence[str],
    timeout: float,
    *,
    folder: str,
    remote: GitRemote | None = None,
) -> GitEnding:
    """Run `git` in a bare repository, and wait for its end.

    `git` gets neither this process's environment nor the configuration of a user or of the system,
    and asks only this process for credentials.

    Args:
        program: the program.
        arguments: the command's arguments, without any credential.
        timeout: seconds after which it is killed, with all programs that it started.
        folder: the bare repository.
        remote: the other repository, if the command contacts one.

    Raises:
        AttemptTimeout: the command took too long.
        ConfigurationError: there is no such program.
        LocalFailure: there is no space for the temporary files, or the system has no more threads.
    """
    with ExitStack() as stack:
        home = ""
        askpass_path = problem = None
        try:
            home = stack.enter_context(
                TemporaryDirectory(prefix="git-home-", ignore_cleanup_errors=True)
            )
            if remote is not None and remote.token is not None:
                askpass_path = stack.enter_context(askpass(remote))
        except OSError as error:
            problem = error.strerror or str(error)
        if problem is not None:
            raise LocalFailure(
                f"The temporary files of git could not be created ({problem}).",
                remedy="Set TMPDIR to a folder with a short path that this user may write to.",
            )
        environment = {
            "PATH": os.environ.get("PATH", _PATH),
            "HOME": home,
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_ALLOW_PROTOCOL": "" if remote is None else remote.scheme,
        }
        options = [part for setting in _SETTINGS for part in ("-c", setting)]
        secrets: list[bytes] = []
        if remote is not None:
            options += remote.options()
            environment["GIT_SSH_COMMAND"] = remote.ssh_command()
            environment["GIT_SSH_VARIANT"] = "ssh"
            if remote.token is not None:
                secrets.append(remote.token.reveal_bytes())
        if askpass_path is not None:
            environment["GIT_ASKPASS"] = askpass_path
        command = [program, *options, "--git-dir", folder, *arguments]
        code, outputs = _run_to_end(command, environment, folder, timeout)
    mask = value_mask(secrets)
    output, err = (
        masked_text(_complete(data, secrets).decode("utf-8", "replace"), mask) for data in outputs
    )
    return GitEnding(code, output, err)


def _complete(output: bytes, secrets: Sequence[bytes]) -> bytes:
    """Return git's output; remove the end of truncated output, which may be half a secret."""
    if len(output) < LARGEST_OUTPUT:
        return output
    longest = max(map(len, secrets), default=0)
    return output[: len(output) - _LONGEST_ESCAPE * longest]


def _run_to_end(
    command: Sequence[str], environment: dict[str, str], folder: str, timeout: float
) -> tuple[int, tuple[bytes, bytes]]:
    process = None
    with suppress(FileNotFoundError, PermissionError):
        process = subprocess.Popen(  # noqa: S603 - no shell reads it
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    if process is None:
        raise ConfigurationError(
            f"The program {command[0]!r} could not be started in {folder!r}.",
            path="program",
            remedy="Install git, or set the path of its program.",
        )
    streams = [stream for stream in (process.stdout, process.stderr) if stream]
    readers: list[_Reader] = []
    is_late = False
    try:
        readers += map(_Reader, streams)
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        is_late = True
    finally:
        # Processes that git has started end with it, even if this thread is interrupted.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        outputs = [reader.data() for reader in readers]
        for stream in streams:
            stream.close()
    if is_late:
        raise AttemptTimeout(
            f"The program git did not end within {timeout:.0f} seconds.",
            remedy="Raise the timeout. The first run for a large repository takes longest.",
        )
    return code, (outputs[0], outputs[1])


class _Reader:
    """Reads a stream to its end in a thread, but keeps only its first bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._thread = Thread(target=self._read, daemon=True)
        start_thread(self._thread)

    def data(self) -> bytes:
        """Wait for the end of the stream, and return the bytes that were kept."""
        self._thread.join()
        return bytes(self._kept)

    def _read(self) -> None:
        with self._stream:
            while part := os.read(self._stream.fileno(), 65536):
                self._kept += part[: LARGEST_OUTPUT - len(self._kept)]
