"""Steps that run as processes of this machine.

A run is a folder. The process that holds the folder's lock may start the run; the supervisor of the
run inherits the lock and holds it until it has recorded the exit code. So the state of a run
follows from three facts, for any process at any time:

| lock | `started` | `exit` | the run |
| --- | --- | --- | --- |
| free | no | no | has not begun; the next caller may start it |
| held | no | no | is being started |
| held | yes | no | is running |
| any | yes | yes | has ended |
| free | yes | no | is lost: its supervisor was killed, and with it the step |
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM
from pathlib import Path
from select import select
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options
from moorage.domain.steps.runs import EndReason, LogChunk, RunPhase, RunStatus
from moorage.domain.steps.step import ConnectorType
from moorage.errors import AttemptTimeout, ConfigurationError, ConnectionFailed, InvalidData
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from moorage.domain.steps.runs import LogStream, RunSpec
    from moorage.domain.steps.step import Step

_SUPERVISOR: Final = Path(__file__).with_name("_supervisor.py")
_UNREADABLE_ERRORS: Final = frozenset({EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM})
"""Errors because of the path itself; a later attempt would fail in the same way."""

_PART: Final = 1024 * 1024
_PAUSE: Final = 0.005
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@with_careful_constructor
class LocalPlatform:
    """Runs steps as processes of this machine, each with its own session and folder.

    A step goes on if this process dies, and another process with the same folder finds it again.
    The step ends with its supervisor, and with everything that it started itself.

    Args:
        folder: the folder of the runs; it must outlive this process and belong to it alone.
        path: the value of PATH that steps have unless they declare one.
        python: the Python that runs the supervisors; by default that of this process.

    Raises:
        ConfigurationError: the folder cannot be used, or this machine has no Linux.
    """

    type = ConnectorType.LOCAL

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        path: str = DEFAULT_PATH,
        python: str | None = None,
    ) -> None:
        if sys.platform != "linux":
            raise ConfigurationError(  # pragma: no cover - only on other systems
                "Local steps need Linux, because only Linux ends a step together with its"
                " supervisor.",
                path="type",
                remedy="Run the step in a container instead.",
            )
        self._folder = Path(folder)
        self._path = path
        self._python = python or sys.executable
        with _as_failures(str(self._folder)):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def validate(self, step: Step, /) -> None:
        """Refuse a step that needs a container.

        Raises:
            InvalidData: the step names an image, or limits processors or processes.
        """
        if step.image is not None:
            raise InvalidData(
                f"The step {step.name!r} names an image, but a local process cannot use an image.",
                field="image",
                remedy="Leave the image out, or choose another type of connector.",
            )
        for name in ("cpus", "processes"):
            if getattr(step.resources, name) is not None:
                raise InvalidData(
                    f"The step {step.name!r} limits its {name}, but moorage cannot limit those of"
                    " a process.",
                    field=f"resources.{name}",
                    remedy="Leave the limit out, or run the step in a container.",
                )

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find an existing run with its name.

        Raises:
            InvalidData: the step cannot run in a process.
            ConnectionFailed: the folder cannot be used, or no process can be started.
        """
        self.validate(spec.step)
        folder, deadline = self._folder / spec.name, monotonic() + timeout
        with _as_failures(spec.name):
            while True:
                folder.mkdir(mode=0o700, exist_ok=True)
                with _lock(folder) as lock:
                    if lock is not None and not (folder / "started").exists():
                        self._spawn(spec, folder, lock, deadline)
                status = self._status(folder)
                # Another process may start, inspect or remove the run at the same time.
                if status is not None and status.phase is not RunPhase.STARTING:
                    return status
                if monotonic() >= deadline:
                    raise AttemptTimeout(f"The run {spec.name} did not begin in time.")
                sleep(_PAUSE)

    def status(self, name: str, timeout: float, /) -> RunStatus | None:  # noqa: ARG002 - files answer at once
        """Return the status of a run; None if no run has this name."""
        with _as_failures(name):
            return self._status(self._folder / name)

    def logs(
        self,
        name: str,
        stream: LogStream,
        position: str,
        timeout: float,  # noqa: ARG002 - files answer at once
        /,
    ) -> LogChunk:
        """Return a run's output after `position`, which is a number of bytes."""
        folder, start = self._folder / name, int(position or 0)
        with _as_failures(name):
            status = self._status(folder)
            is_over = status is None or status.is_over
            try:
                with (folder / stream).open("rb") as file:
                    file.seek(start)
                    data = file.read(_PART)
            except FileNotFoundError:
                data = b""
        return LogChunk(data, str(start + len(data)), is_over and len(data) < _PART)

    def stop(self, name: str, grace: float, timeout: float, /) -> None:  # noqa: ARG002 - files answer at once
        """Ask a run to end; it is killed after `grace` seconds."""
        folder = self._folder / name
        with _as_failures(name):
            status = self._status(folder)
            if status is None or status.phase is not RunPhase.RUNNING:
                return
            _write_stop(folder, grace)
            with _lock(folder, is_shared=True) as lock:
                # The supervisor still holds the lock, so the process id still belongs to it.
                if lock is None:
                    with suppress(ProcessLookupError):
                        os.kill(status.metadata["pid"], signal.SIGTERM)

    def runs(self, timeout: float, /) -> Sequence[RunStatus]:  # noqa: ARG002 - files answer at once
        """Return the status of all runs, by name."""
        with _as_failures(str(self._folder)):
            folders = sorted(
                item
                for item in self._folder.iterdir()
                if item.is_dir() and not item.name.startswith(".")
            )
            return [status for item in folders if (status := self._status(item)) is not None]

    def collect(
        self,
        name: str,
        path: str,
        limit: int,
        timeout: float,  # noqa: ARG002 - files answer at once
        /,
    ) -> bytes | None:
        """Return a regular file of a run's working directory; None if it does not exist.

        Raises:
            ConnectionFailed: the file cannot be read now.
        """
        with _as_failures(name):
            try:
                return _content(self._folder / name / "work", path, limit)
            except RuntimeError:  # before Python 3.13, a loop of symbolic links
                return None
            except OSError as error:
                if error.errno in _UNREADABLE_ERRORS:
                    return None
                raise

    def remove(self, name: str, timeout: float, /) -> None:
        """Remove a finished run, with its output."""
        folder, deadline = self._folder / name, monotonic() + timeout
        trash = self._folder / f".{name}-{os.getpid()}"
        with _as_failures(name):
            while folder.is_dir():
                with _lock(folder) as lock:
                    if lock is not None:
                        folder.rename(trash)
                status = self._status(folder)
                if status is None or not status.is_over or monotonic() >= deadline:
                    break
                sleep(_PAUSE)
        shutil.rmtree(trash, ignore_errors=True)

    def close(self) -> None:
        """Do nothing, because there are no connections; the runs continue."""

    def _spawn(self, spec: RunSpec, folder: Path, lock: int, deadline: float) -> None:
        step = spec.step
        (folder / "work").mkdir(exist_ok=True)
        for path, content in spec.files.items():
            file = folder / "work" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        description = {
            "step": step.name,
            "command": list(step.command),
            "fingerprint": step.fingerprint,
            "labels": dict(spec.labels),
        }
        (folder / "step.json").write_text(json.dumps(description))
        task = {
            "folder": str(folder.absolute()),
            "command": list(step.command),
            "environment": {"PATH": self._path, **step.environment},
            "timeout": step.timeout,
            "grace": step.grace,
            "memory": step.resources.memory,
            "secrets": {name: value.reveal_bytes().hex() for name, value in spec.secrets.items()},
        }
        process = subprocess.Popen(  # noqa: S603 - our own program
            [self._python, "-I", "-S", str(_SUPERVISOR)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            pass_fds=(lock,),
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101 - a pipe
        assert process.stdout is not None  # noqa: S101 - a pipe
        with process, process.stdout, process.stdin:
            process.stdin.write(json.dumps(task).encode())
            process.stdin.close()
            if not select([process.stdout], [], [], max(0.1, deadline - monotonic()))[0]:
                raise AttemptTimeout("The supervisor of the step did not start in time.")
            if process.stdout.read(1) != b"1":
                raise ConnectionFailed("The supervisor of the step ended before it began.")

    def _status(self, folder: Path) -> RunStatus | None:
        # The exit code is written before the lock is released, so the lock is checked first.
        if not folder.is_dir():
            return None
        with _lock(folder, is_shared=True) as lock:
            is_held = lock is None
        start_facts, end = _facts(folder / "started"), _facts(folder / "exit")
        description = _facts(folder / "step.json") or {}
        phase = _phase(
            is_held=is_held, has_begun=start_facts is not None, has_ended=end is not None
        )
        if phase is RunPhase.LOST:
            # The supervisor could not remove the secrets of the step.
            shutil.rmtree(folder / "secrets", ignore_errors=True)
        return RunStatus(
            name=folder.name,
            phase=phase,
            exit_code=None if end is None else end["code"],
            reason=None if end is None else EndReason(end["reason"]),
            fingerprint=description.get("fingerprint"),
            started_at=_fact_time(start_facts),
            ended_at=_fact_time(end),
            step=description.get("step"),
            labels=description.get("labels", {}),
            metadata={} if start_facts is None else {"pid": start_facts["pid"]},
        )


def _content(work: Path, path: str, limit: int) -> bytes | None:
    """Return a regular file inside a working directory; None if it is not one, or is too large."""
    # A step must not lead us outside by a symbolic link.
    file = (work / path).resolve(strict=True)
    is_inside = file.is_relative_to(work.resolve())
    facts = file.stat()
    if not is_inside or not stat.S_ISREG(facts.st_mode) or facts.st_size > limit:
        return None
    return file.read_bytes()


def _write_stop(folder: Path, grace: float) -> None:
    """Ask for a run's end in a file that has its space on the disk since the run began."""
    number = os.open(folder / "stop.new", os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(number, "w") as file:
        file.write(json.dumps({"grace": grace}))
        file.truncate()
    (folder / "stop.new").replace(folder / "stop")


def _phase(*, is_held: bool, has_begun: bool, has_ended: bool) -> RunPhase:
    if has_ended:
        return RunPhase.ENDED
    if not has_begun:
        return RunPhase.STARTING
    return RunPhase.RUNNING if is_held else RunPhase.LOST


def _facts(path: Path) -> dict[str, Any] | None:
    """Return a run's data from a file; None if the file is missing or incomplete."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return facts


def _fact_time(facts: dict[str, Any] | None) -> datetime | None:
    return None if facts is None else datetime.fromtimestamp(facts["at"], UTC)


@contextmanager
def _lock(folder: Path, *, is_shared: bool = False) -> Generator[int | None]:
    """Lock a run for a `with` block; the value is None if another process has the lock.

    The lock belongs to an open file, so a process that inherits the file goes on holding it.
    Processes that only read a run take a shared lock, so that they do not mistake each other for a
    supervisor.
    """
    try:
        file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        # The run was removed in the meantime.
        yield None
        return
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        is_current = (folder / "lock").stat().st_ino == os.fstat(file).st_ino
    except (BlockingIOError, FileNotFoundError):
        is_current = False
    try:
        yield file if is_current else None
    finally:
        os.close(file)


@contextmanager
def _as_failures(name: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ConnectionFailed(
            f"The run {name} cannot be reached on this machine: {reason}.",
            remedy="Check the folder of the runs, its disk and its permissions.",
        ) from None


@checked_options
@attrs.frozen(kw_only=True)
class LocalSettings:
    """Steps that run as processes of this machine.

    Attributes:
        folder: the folder of the runs; it must outlive the process and belong to it alone.
        path: the value of PATH that steps have unless they declare one.
    """

    folder: str
    path: str = DEFAULT_PATH


LOCAL: Final = PlatformKind(
    name="local",
    settings=LocalSettings,
    build=lambda settings: LocalPlatform(settings.folder, path=settings.path),
)
"""The kind of platforms that run steps as processes of this machine."""
