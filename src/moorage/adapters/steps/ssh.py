"""Steps that run as processes of another machine, reached through `ssh`.

A small program is sent over the connection each time; nothing is installed on the other machine.
The program keeps runs in folders, as the local platform does, with the same supervisor. So a run
does not depend on any connection, and the place in an output is a number of bytes in a file.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.steps._ssh_wire import RemoteHost, Target
from moorage.adapters.steps.local import DEFAULT_PATH
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options
from moorage.domain.steps.runs import EndReason, LogChunk, RunPhase, RunStatus
from moorage.domain.steps.step import ConnectorType
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, InvalidData
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.steps.runs import LogStream, RunSpec
    from moorage.domain.steps.step import Step

_SUPERVISOR: Final = Path(__file__).with_name("_supervisor.py")
_FOLDER: Final = "~/.moorage/runs"
_PORT: Final = 22
_HOST: Final = late_pattern(r"[A-Za-z0-9_.:\[\]%][A-Za-z0-9_.:\[\]%-]{0,252}")
_USER: Final = late_pattern(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\-]{0,63}")
_PROGRAM: Final = late_pattern(r"[A-Za-z0-9_./+-]{1,200}")
_RUN: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@with_careful_constructor
class SshPlatform:
    """Runs steps as processes of another Linux machine, through OpenSSH's `ssh`.

    A step goes on if this process dies or the connection breaks, and any program that connects to
    the same account finds it again. The other machine needs Python 3.9 or newer, and nothing else.

    The host's key must be known already. No agent, port or window is forwarded, and the user's
    configuration of `ssh` is not read. Requests of one object follow each other on one connection.

    Args:
        host: the name or the address of the machine.
        user: the account there; by default the name of this process's user.
        port: the port of its sshd.
        known_hosts: a file with the host's public key, as `ssh-keyscan` writes it; by default the
            files that `ssh` reads.
        identity: the file of the private key, without a passphrase; by default the files that `ssh`
            reads, and the keys of the user's agent.
        folder: the folder of the runs there; it belongs to this program alone.
        path: the value of PATH that steps have unless they declare one.
        python: the Python interpreter there.
        program: the program `ssh` of this machine.

    Raises:
        ConfigurationError: an argument is not valid.
    """

    type = ConnectorType.SSH

    def __init__(
        self,
        host: str,
        *,
        user: str | None = None,
        port: int = _PORT,
        known_hosts: str | None = None,
        identity: str | None = None,
        folder: str = _FOLDER,
        path: str = DEFAULT_PATH,
        python: str = "python3",
        program: str = "ssh",
    ) -> None:
        for name, value, pattern in (
            ("host", host, _HOST),
            ("user", user, _USER),
            ("python", python, _PROGRAM),
        ):
            if value is not None and pattern.fullmatch(value) is None:
                raise ConfigurationError(
                    f"{value[:80]!r} cannot be the {name} of steps over SSH.",
                    path=name,
                    remedy="Give a name without spaces and quotes that does not begin with a"
                    " hyphen.",
                )
        self._far = RemoteHost(Target(host, user, port, known_hosts, identity, python, program))
        self._folder = folder
        self._path = path

    def validate(self, step: Step, /) -> None:
        """Refuse a step that needs a container.

        Raises:
            InvalidData: the step names an image, or limits processors or processes.
        """
        if step.image is not None:
            raise InvalidData(
                f"The step {step.name!r} names an image, but a process cannot use an image.",
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
            HostKeyRefused: the machine's host key is not the known one.
            AuthenticationFailed: the machine does not accept the key.
            ConnectionFailed: the machine cannot be reached, or no process can be started there.
        """
        self.validate(spec.step)
        step = spec.step
        task = {
            "command": list(step.command),
            "environment": {"PATH": self._path, **step.environment},
            "timeout": step.timeout,
            "grace": step.grace,
            "memory": step.resources.memory,
            "secrets": {name: value.reveal_bytes().hex() for name, value in spec.secrets.items()},
        }
        answer, _ = self._ask(
            "start",
            timeout,
            spec.name,
            task=task,
            files={
                path: base64.b64encode(content).decode() for path, content in spec.files.items()
            },
            description={
                "step": step.name,
                "command": list(step.command),
                "fingerprint": step.fingerprint,
                "labels": dict(spec.labels),
            },
            supervisor=_SUPERVISOR.read_text(),
        )
        return _status(answer["status"])

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; None if no run has this name."""
        answer, _ = self._ask("status", timeout, name)
        return None if answer["status"] is None else _status(answer["status"])

    def logs(self, name: str, stream: LogStream, position: str, timeout: float, /) -> LogChunk:
        """Return a run's output after `position`, which is a number of bytes."""
        start = int(position or 0)
        answer, data = self._ask("logs", timeout, name, stream=stream, start=start)
        return LogChunk(data, str(start + len(data)), answer["is_last"])

    def stop(self, name: str, grace: float, timeout: float, /) -> None:
        """Ask a run to end; it is killed after `grace` seconds."""
        self._ask("stop", timeout, name, grace=grace)

    def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs in the folder, by name."""
        answer, _ = self._ask("runs", timeout)
        return [_status(facts) for facts in answer["runs"]]

    def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a regular file of a run's working directory; None if it does not exist."""
        answer, data = self._ask("collect", timeout, name, path=path, limit=limit)
        return data if answer["found"] else None

    def remove(self, name: str, timeout: float, /) -> None:
        """Remove a finished run, with its output."""
        self._ask("remove", timeout, name)

    def close(self) -> None:
        """End the connection; the runs continue."""
        self._far.close()

    def _ask(
        self, action: str, timeout: float, name: str | None = None, **fields: Any
    ) -> tuple[dict[str, Any], bytes]:
        if name is not None and _RUN.fullmatch(name) is None:
            raise InvalidData(
                f"{name[:80]!r} is not a name of a run.",
                field="name",
                remedy="Use letters, digits, hyphens, dots and underscores.",
            )
        request = {"do": action, "folder": self._folder, "name": name or "", **fields}
        return self._far.ask(request, timeout)


def _status(facts: dict[str, Any]) -> RunStatus:
    return RunStatus(
        name=facts["name"],
        phase=RunPhase(facts["phase"]),
        exit_code=facts["code"],
        reason=None if facts["reason"] is None else EndReason(facts["reason"]),
        fingerprint=facts["fingerprint"],
        started_at=_utc_time(facts["started_at"]),
        ended_at=_utc_time(facts["ended_at"]),
        step=facts["step"],
        labels=facts["labels"],
        metadata={} if facts["pid"] is None else {"pid": facts["pid"]},
    )


def _utc_time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


@checked_options
@attrs.frozen(kw_only=True)
class SshSettings:
    """The settings for steps that run as processes of another machine.

    Attributes:
        host: the name or the address of the machine.
        user: the account there; by default the name of this process's user.
        port: the port of its sshd.
        known_hosts: a file with the host's public key; by default the files that `ssh` reads.
        identity: the file of the private key; by default the files that `ssh` reads.
        folder: the folder of the runs there.
        path: the value of PATH that steps have unless they declare one.
        python: the Python interpreter there, 3.9 or newer.
        program: the program `ssh` of this machine.
    """

    host: str
    user: str | None = None
    port: int = _PORT
    known_hosts: str | None = None
    identity: str | None = None
    folder: str = _FOLDER
    path: str = DEFAULT_PATH
    python: str = "python3"
    program: str = "ssh"


SSH: Final = PlatformKind(
    name="ssh",
    settings=SshSettings,
    build=lambda settings: SshPlatform(**attrs.asdict(settings)),
)
"""The kind of platforms that run steps as processes of another machine."""
