"""Steps as containers of a Docker Engine.

A container gets its name only when its files are inside, so any caller that finds it by its name
may start it. Of several callers, one succeeds in naming its container; the others remove theirs. A
container without files gets its name at once if root runs the step: otherwise its working directory
must be made writable first. Secrets are files in /run/secrets of the container, and so no part of
its description.

The time limit is kept by a watchdog, a program of its own on this machine. A container is started
only when its watchdog has said that it watches it. Whoever looks at a running container whose
watchdog died starts another one, which ends it at the same time.

The Engine has no operation that keeps a container from starting. So stopping a container that was
created and not started replaces it by a tombstone: a container of the same name that nobody starts.
The Engine either removes a container or starts it, whatever comes at the same time.
"""

from __future__ import annotations

import io
import json
import signal
import sys
import tarfile
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import uuid4

import attrs

from moorage.adapters.steps._docker_limit import TimeLimits
from moorage.adapters.steps._docker_logs import LOG_DRIVER, DockerLogs, seconds_of
from moorage.adapters.steps._docker_wire import Engine, refusal, understood
from moorage.adapters.steps._whole_login import check_whole_login
from moorage.adapters.steps.docker_images import SOCKET, pull_image
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.steps.images import RegistryLogin
from moorage.domain.steps.looks import LatestLooks
from moorage.domain.steps.runs import EndReason, LogChunk, RunPhase, RunStatus
from moorage.domain.steps.step import ConnectorType
from moorage.errors import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
)
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.steps.runs import LogStream, RunSpec
    from moorage.domain.steps.step import Step

_LABEL: Final = "moorage"
_DRAFT: Final = "draft-"
_LONGEST_DRAFT: Final = 3600.0
"""Seconds after which nobody puts files into a container any more that has no run's name yet."""

_WORK: Final = "workspace"
_SECRETS: Final = "run/secrets"
_NOTES: Final = "/.moorage"
_MISSING: Final = frozenset({404})
_DONE: Final = 204
_CONFLICT: Final = 409
_MISSING_OR_CHANGED: Final = frozenset({*_MISSING, _CONFLICT})
"""The statuses of a request for a container that does not exist, or is in another state."""

_REFUSED: Final = 400
_CANNOT_RUN: Final = frozenset({126, 127})
_ROOT: Final = frozenset({"", "0", "root"})
_PAUSE: Final = 0.02
_LONGEST_CREATION: Final = 5.0
_NEVER_YEAR: Final = "0001"
_BEGAN: Final = "start"
_PUT: Final = "extract-to-dir"
_TOMBSTONE: Final = f"{_LABEL}.stopped-before-start"
_STOPPED_CODE: Final = 128 + signal.SIGTERM
_KILLED_CODE: Final = 128 + signal.SIGKILL
_LATE_EVENT: Final = 1
"""Seconds after a container's end in which the Engine learns of its lack of memory."""

_EVENTS_TIMEOUT: Final = 2.0
"""Seconds for recalling events; the Engine waits for the future if its clock was set back."""

_PHASES: Final = {"exited": RunPhase.ENDED, "created": RunPhase.STARTING}
_REMOVED: Final = frozenset({"removing", "dead"})
"""The states of a container whose output the Engine does not show any more."""


@careful
class DockerPlatform:
    """Runs steps as containers of a Docker Engine.

    The output of a container is kept up to a gigabyte. Stopping and time limits need a Python on
    this machine that outlives this process.

    Args:
        socket: the Engine's Unix socket.
        scope: a name for the containers of this program; `runs` lists those of its scope only.
        network: the network mode of the containers; by default that of the Engine.
        user: the user that the steps run as; by default that of the image.
        python: the Python that runs the watchdogs; by default that of this process.
        pull: whether an image that the Engine does not have is pulled. The time of a pull is part
            of that of the start.
        login: the login to the registry from which images are pulled.
        volumes: the volumes of all containers: for each path in the containers, the name of a
            volume, or a path of the Engine's machine. A path that ends with ":ro" is read-only.

    Raises:
        ConfigurationError: a path of a volume is not absolute, or belongs to the step.
    """

    type = ConnectorType.DOCKER

    def __init__(
        self,
        socket: str = SOCKET,
        *,
        scope: str = "default",
        network: str | None = None,
        user: str | None = None,
        python: str | None = None,
        pull: bool = True,
        login: RegistryLogin | None = None,
        volumes: Mapping[str, str] | None = None,
    ) -> None:
        self._engine = Engine(socket)
        self._binds = [_bind(path, source) for path, source in (volumes or {}).items()]
        self._pulls = pull
        self._login = login
        self._scope = scope
        self._network = network
        self._user = user
        self._limits = TimeLimits(socket, python or sys.executable)
        self._looks = LatestLooks()
        self._logs = DockerLogs(self._engine)

    def validate(self, step: Step, /) -> None:
        """Refuse a step without an image.

        Raises:
            InvalidData: it names no image.
        """
        if step.image is None:
            raise InvalidData(
                f"The step {step.name!r} names no image to make a container of.",
                field="image",
                remedy="Name one that the Docker Engine has or can pull.",
            )

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find the one of this name.

        Raises:
            InvalidData: the step names no image.
            VendorRejected: there is no such image, or the Engine refuses the container.
            RateLimitExceeded: the registry takes no further pulls for now.
            AuthenticationFailed: the registry wants another login.
            ConnectionFailed: the Engine cannot be reached, or the watchdog cannot watch.
        """
        self.validate(spec.step)
        self._looks.forget(spec.name)
        status = self.look(spec.name, timeout)
        if status is None or status.phase is RunPhase.STARTING:
            # The watchdog begins while the container is created.
            with self._limits.watchdog() as watchdog:
                if status is None:
                    status = self._create(spec, timeout)
                if status is not None and status.phase is RunPhase.STARTING:
                    self._limits.keep(watchdog, _id_of(status), spec.step, timeout)
                    status = self._begin(status, timeout)
        elif status.phase is RunPhase.RUNNING and self._limits.has_no_record(_id_of(status)):
            # Its watchdog died with its files, or has files that this process does not see.
            with self._limits.watchdog() as watchdog:
                self._limits.keep(watchdog, _id_of(status), spec.step, timeout)
        if status is None:
            raise ConnectionFailed(f"The container {spec.name} was removed while it started.")
        return status

    def look(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; None if there is none of this name."""
        facts = self._facts(name, timeout)
        if facts is None:
            return None
        with understood():
            self._looks.note(name, is_over=_phase(facts) is RunPhase.ENDED)
            status = self._status(name, facts, timeout)
        if status.phase is RunPhase.RUNNING:
            self._limits.restore(_id_of(status), timeout)
        return status

    @property
    def can_wait(self) -> bool:
        """True, because the Engine reports the end of a container."""
        return True

    def wait(self, name: str, seconds: float, /) -> bool:
        """Wait for the end of a run for some seconds; return whether it has ended.

        Raises:
            VendorRejected: there is no such container.
            ConnectionFailed: the Engine cannot be reached.
        """
        query = {"condition": "not-running"}
        try:
            self._engine.ask("POST", _container(name, "wait"), seconds, query=query)
        except AttemptTimeout:
            return False
        return True

    def logs(self, name: str, stream: LogStream, mark: str, timeout: float, /) -> LogChunk:
        """Return the output of a run after a mark.

        A mark always leads to the same bytes, whether its connection is open still or not.
        """
        is_over = self._looks.take(name, stream)
        if is_over is None:
            facts = self._facts(name, timeout)
            if facts is None:
                return LogChunk(b"", mark, is_last=True)
            with understood():
                is_over = _phase(facts) is RunPhase.ENDED
        return self._logs.read(name, stream, mark, timeout, is_over=is_over)

    def stop(self, name: str, grace: float, timeout: float, /) -> None:
        """Ask a run to end, and have it killed after `grace` seconds.

        One that was created and not started ends at once, and is never started.
        """
        status = self.look(name, timeout)
        until = monotonic() + timeout
        while status is not None and status.phase is RunPhase.STARTING and monotonic() < until:
            self._replace_by_tombstone(status, timeout)
            status = self.look(name, timeout)
        if status is not None and not status.is_over:
            self._limits.stop(_id_of(status), grace, timeout)

    def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs of this scope, by name.

        Containers whose starter died before it had named them are removed after an hour.
        """
        filters = {"label": [f"{_LABEL}.scope={self._scope}"]}
        _, content = self._engine.ask(
            "GET",
            "/containers/json",
            timeout,
            query={"all": "1", "filters": json.dumps(filters)},
        )
        with understood():
            containers = {
                str(item["Names"][0]).removeprefix("/"): int(item["Created"])
                for item in json.loads(content)
            }
        drafts = {name: made for name, made in containers.items() if name.startswith(_DRAFT)}
        if drafts:
            self._remove_old(drafts, timeout)
        statuses = (self.look(name, timeout) for name in sorted(containers.keys() - drafts.keys()))
        return [status for status in statuses if status is not None]

    def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a file of a run's working directory; None if there is no such regular file."""
        query = {"path": f"/{_WORK}/{path}"}
        try:
            with self._engine.answer(
                "GET", _container(name, "archive"), timeout, query=query
            ) as answer:
                if answer.status >= _REFUSED:
                    return None
                with tarfile.open(fileobj=answer, mode="r|") as tar:
                    member = tar.next()
                    if member is None or not member.isreg() or member.size > limit:
                        return None
                    file = tar.extractfile(member)
                    return None if file is None else file.read()
        except tarfile.TarError:
            return None

    def remove(self, name: str, timeout: float, /) -> None:
        """Remove a run that has ended, with its output."""
        self._looks.forget(name)
        self._logs.forget(name)
        self._delete(name, timeout)

    def close(self) -> None:
        """Close the connections; runs go on."""
        self._logs.forget()

    def _facts(self, name: str, timeout: float) -> dict[str, Any] | None:
        """Return the description of a container; None if there is none or it is being removed."""
        code, content = self._engine.ask("GET", _container(name, "json"), timeout, allowed=_MISSING)
        if code in _MISSING:
            return None
        with understood():
            facts: dict[str, Any] = json.loads(content)
            return None if facts["State"]["Status"] in _REMOVED else facts

    def _remove_old(self, drafts: Mapping[str, int], timeout: float) -> None:
        """Remove containers without a run's name that nobody is preparing any more.

        Args:
            drafts: the second of each container's creation, by its name.
            timeout: the seconds for each request.
        """
        _, content = self._engine.ask("GET", "/info", timeout)
        with understood():
            now = datetime.fromisoformat(json.loads(content)["SystemTime"]).timestamp()
        for name, made in drafts.items():
            if now - made > _LONGEST_DRAFT:
                self._delete(name, timeout)

    def _create(self, spec: RunSpec, timeout: float) -> RunStatus | None:
        """Create the container of a run with its files, unless another caller was faster.

        Returns:
            The status of the run; None if it was removed meanwhile.
        """
        if not spec.files and not spec.secrets and self._is_for_root(spec.step, timeout):
            return self._create_empty(spec, timeout)
        draft = f"{_DRAFT}{uuid4().hex}"
        create = partial(
            self._engine.ask,
            *("POST", "/containers/create", timeout),
            query={"name": draft},
            body=self._body(spec),
        )
        code, content = create(allowed=_MISSING if self._pulls else frozenset[int]())
        if code in _MISSING:
            pull_image(self._engine, str(spec.step.image), self._login, timeout)
            _, content = create()
        try:
            self._engine.ask(
                "PUT",
                _container(draft, "archive"),
                timeout,
                query={"path": "/"},
                body=_files_of(spec),
            )
            code, _ = self._engine.ask(
                "POST",
                _container(draft, "rename"),
                timeout,
                query={"name": spec.name},
                allowed=frozenset({_CONFLICT}),
            )
            is_named = code != _CONFLICT
        except ConnectorError:
            with suppress(ConnectorError):
                self.remove(draft, timeout)
            raise
        if not is_named:
            self.remove(draft, timeout)
            return self.look(spec.name, timeout)
        return _created(spec, content)

    def _create_empty(self, spec: RunSpec, timeout: float) -> RunStatus | None:
        """Create the container of a run without files; the Engine makes its working directory."""
        code, content = self._engine.ask(
            "POST",
            "/containers/create",
            timeout,
            query={"name": spec.name},
            body=self._body(spec),
            allowed=frozenset({_CONFLICT}),
        )
        if code != _CONFLICT:
            return _created(spec, content)
        # The Engine reserves a name before others can see its container.
        until = monotonic() + min(timeout, _LONGEST_CREATION)
        while (status := self.look(spec.name, timeout)) is None and monotonic() < until:
            sleep(_PAUSE)
        return status

    def _is_for_root(self, step: Step, timeout: float) -> bool:
        """Return whether root runs a step, who can write to a directory that the Engine made."""
        user = self._user
        if user is None:
            code, content = self._engine.ask(
                "GET", f"/images/{step.image}/json", timeout, allowed=_MISSING
            )
            if code in _MISSING:
                return False
            with understood():
                image: dict[str, Any] = json.loads(content)["Config"] or {}
                user = str(image.get("User") or "")
        return user.partition(":")[0] in _ROOT

    def _body(self, spec: RunSpec) -> dict[str, Any]:
        step, resources = spec.step, spec.step.resources
        files = {f"{name}_FILE": f"/{_SECRETS}/{name}" for name in spec.secrets}
        host: dict[str, Any] = {
            "LogConfig": LOG_DRIVER,
            "SecurityOpt": ["no-new-privileges"],
            "NanoCpus": int((resources.cpus or 0) * 1e9),
            "Memory": resources.memory or 0,
            "MemorySwap": resources.memory or 0,
            "PidsLimit": resources.processes or 0,
            "Binds": self._binds,
        }
        if self._network is not None:
            host["NetworkMode"] = self._network
        return {
            "Image": step.image,
            "Entrypoint": [step.command[0]],
            "Cmd": list(step.command[1:]),
            "Env": [f"{name}={value}" for name, value in {**step.environment, **files}.items()],
            "WorkingDir": f"/{_WORK}",
            "User": self._user or "",
            "Labels": {
                f"{_LABEL}.scope": self._scope,
                f"{_LABEL}.step": step.name,
                f"{_LABEL}.fingerprint": step.fingerprint,
                **{f"{_LABEL}.label.{name}": value for name, value in spec.labels.items()},
            },
            "HostConfig": host,
        }

    def _begin(self, created: RunStatus, timeout: float) -> RunStatus | None:
        """Start a container that was created, and return the status of its run."""
        code, content = self._engine.ask(
            *("POST", _container(created.metadata["container"], "start"), timeout),
            allowed=frozenset({400, 500, *_MISSING_OR_CHANGED}),
        )
        if code == _DONE:
            return attrs.evolve(created, phase=RunPhase.RUNNING)
        status = self.look(created.name, timeout)
        is_over = status is not None and status.is_over
        if code in _MISSING_OR_CHANGED:
            return status if is_over else None
        if code >= _REFUSED and not is_over:
            raise refusal(code, content)
        return status

    def _replace_by_tombstone(self, status: RunStatus, timeout: float) -> None:
        """Replace a container that was not started by its tombstone, unless it is started now."""
        container = status.metadata["container"]
        facts = self._facts(container, timeout)
        if facts is None:
            return
        with understood():
            body = {
                "Image": facts["Image"],
                "Entrypoint": facts["Config"]["Entrypoint"],
                "Labels": {**facts["Config"]["Labels"], _TOMBSTONE: ""},
                "HostConfig": {"LogConfig": LOG_DRIVER, "NetworkMode": "none"},
            }
        if self._delete(container, timeout):
            # If another caller has created a container of this name by now, that is buried next.
            self._engine.ask(
                "POST",
                "/containers/create",
                timeout,
                query={"name": status.name},
                body=body,
                allowed=frozenset({_CONFLICT}),
            )

    def _delete(self, name: str, timeout: float) -> bool:
        """Remove a container with its volumes; return False if there is none, or it runs."""
        path = f"/containers/{quote(name, safe='')}"
        code, _ = self._engine.ask(
            "DELETE", path, timeout, query={"v": "1"}, allowed=_MISSING_OR_CHANGED
        )
        return code not in _MISSING_OR_CHANGED

    def _status(self, name: str, facts: Mapping[str, Any], timeout: float) -> RunStatus:
        state = facts["State"]
        labels: dict[str, str] = facts["Config"]["Labels"] or {}
        phase = _phase(facts)
        code = _STOPPED_CODE if _is_tombstone(facts) else int(state["ExitCode"])
        is_over, created = phase is RunPhase.ENDED, _moment(facts["Created"])
        prefix = f"{_LABEL}.label."
        return RunStatus(
            name=name,
            phase=phase,
            exit_code=code if is_over else None,
            reason=self._reason(name, facts, timeout) if is_over else None,
            fingerprint=labels.get(f"{_LABEL}.fingerprint"),
            started_at=_moment(state["StartedAt"]) or (created if is_over else None),
            ended_at=(_moment(state["FinishedAt"]) or created) if is_over else None,
            step=labels.get(f"{_LABEL}.step"),
            labels={
                key.removeprefix(prefix): value
                for key, value in labels.items()
                if key.startswith(prefix)
            },
            metadata={"container": str(facts["Id"]), "image": str(facts["Image"])},
        )

    def _reason(self, name: str, facts: Mapping[str, Any], timeout: float) -> EndReason:
        """Return the reason of a container's end, by the notes inside it."""
        if facts["State"].get("OOMKilled"):
            return EndReason.OUT_OF_MEMORY
        if _is_tombstone(facts):
            return EndReason.STOPPED
        if self._was_untouched(facts, timeout) or not self._has_note(name, "", timeout):
            lacked_memory = self._lacked_memory(facts, timeout)
            return EndReason.OUT_OF_MEMORY if lacked_memory else EndReason.EXITED
        is_stopped = self._has_note(name, f"/{EndReason.STOPPED.value}", timeout)
        return EndReason.STOPPED if is_stopped else EndReason.DEADLINE

    def _lacked_memory(self, facts: Mapping[str, Any], timeout: float) -> bool:
        """Return whether an event says that a killed container had too little memory.

        The Engine may learn of that only after it has described the container's end.
        """
        if facts["State"]["ExitCode"] != _KILLED_CODE or not facts["HostConfig"]["Memory"]:
            return False
        query = {
            "since": seconds_of(facts["Created"]),
            "until": seconds_of(facts["State"]["FinishedAt"], _LATE_EVENT),
            "filters": json.dumps({"container": [facts["Id"]], "event": ["oom"]}),
        }
        try:
            _, content = self._engine.ask(
                "GET", "/events", min(timeout, _EVENTS_TIMEOUT), query=query
            )
        except ConnectorError:
            return False
        return bool(content.strip())

    def _was_untouched(self, facts: Mapping[str, Any], timeout: float) -> bool:
        """Return whether the Engine's events show that no file was put into a started container.

        The Engine remembers its last 256 events. Looking into a container instead takes much
        longer, because the Engine mounts the files.
        """
        filters = {"container": [facts["Id"]], "event": [_BEGAN, _PUT]}
        query = {
            "since": seconds_of(facts["Created"]),
            "until": seconds_of(facts["State"]["FinishedAt"]),
            "filters": json.dumps(filters),
        }
        try:
            _, content = self._engine.ask(
                "GET", "/events", min(timeout, _EVENTS_TIMEOUT), query=query
            )
            with understood():
                *_, last = [None, *(json.loads(line)["Action"] for line in content.splitlines())]
        except ConnectorError:
            return False
        return bool(last == _BEGAN)

    def _has_note(self, name: str, note: str, timeout: float) -> bool:
        """Return whether a watchdog left a note in a container, or any if its name is empty."""
        query = {"path": f"{_NOTES}{note}"}
        with self._engine.answer(
            "HEAD", _container(name, "archive"), timeout, query=query
        ) as answer:
            return answer.status < _REFUSED


def _created(spec: RunSpec, answer: bytes) -> RunStatus:
    """Return the status of a run whose container was created."""
    with understood():
        container = str(json.loads(answer)["Id"])
    return RunStatus(
        name=spec.name,
        phase=RunPhase.STARTING,
        fingerprint=spec.step.fingerprint,
        step=spec.step.name,
        labels=spec.labels,
        metadata={"container": container},
    )


def _id_of(status: RunStatus) -> str:
    """Return the id of a run's container."""
    return str(status.metadata["container"])


def _bind(path: str, source: str) -> str:
    """Return a volume as the Engine takes it."""
    place, _, mode = path.partition(":")
    is_own = any(f"{place}/".startswith(f"/{folder}/") for folder in (_WORK, _SECRETS))
    if not place.startswith("/") or place == "/" or is_own or mode not in {"", "ro"}:
        raise ConfigurationError(
            f"{path[:80]!r} is not a path for a volume.",
            path="volumes",
            remedy=f"Give an absolute path outside /{_WORK} and /{_SECRETS}, such as '/data' or"
            " '/data:ro'.",
        )
    if not source or ":" in source:
        raise ConfigurationError(
            f"The volume of {path[:80]!r} has no valid name.",
            path="volumes",
            remedy="Give the name of a volume, or an absolute path of the Engine's machine.",
        )
    return f"{source}:{path}"


def _phase(facts: Mapping[str, Any]) -> RunPhase:
    """Return the phase of a container by its description."""
    state = facts["State"]
    phase = _PHASES.get(state["Status"], RunPhase.RUNNING)
    # The Engine could not run the program, or must not.
    is_over = state["ExitCode"] in _CANNOT_RUN or _is_tombstone(facts)
    return RunPhase.ENDED if phase is RunPhase.STARTING and is_over else phase


def _is_tombstone(facts: Mapping[str, Any]) -> bool:
    """Return whether a container only marks that a run was stopped before it started."""
    return _TOMBSTONE in (facts["Config"]["Labels"] or {})


def _container(name: str, action: str) -> str:
    return f"/containers/{quote(name, safe='')}/{action}"


def _files_of(spec: RunSpec) -> bytes:
    """Return an archive of the files that a container gets: its workspace and its secrets."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folders = {_WORK, "run", _SECRETS}
        for path in spec.files:
            parts = f"{_WORK}/{path}".split("/")[:-1]
            folders.update("/".join(parts[: end + 1]) for end in range(len(parts)))
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777 if folder.startswith(_WORK) else 0o755
            tar.addfile(entry)
        for path, content in spec.files.items():
            _add(tar, f"{_WORK}/{path}", content, 0o666)
        for name, secret in spec.secrets.items():
            _add(tar, f"{_SECRETS}/{name}", secret.reveal_bytes(), 0o444)
    return archive.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _moment(text: str) -> datetime | None:
    """Return a time that the Engine writes with nanoseconds; None for the one that means never."""
    if text.startswith(_NEVER_YEAR):
        return None
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}").replace(tzinfo=UTC)


@checked_options
@attrs.frozen(kw_only=True)
class DockerSettings:
    """Steps as containers of a Docker Engine.

    Attributes:
        socket: the Engine's Unix socket.
        scope: a name for the containers of this program; others are left alone.
        network: the network mode of the containers; by default that of the Engine.
        user: the user that the steps run as; by default that of the image.
        pull: whether an image that the Engine does not have is pulled.
        registry: the server of a private registry, such as "registry.example:5000".
        registry_user: the user of the registry.
        registry_password: the password of the registry.
        volumes: for each path in the containers, the name of a volume, or a path of the Engine's
            machine. A path that ends with ":ro" is read-only.
    """

    socket: str = SOCKET
    scope: str = "default"
    network: str | None = None
    user: str | None = None
    pull: bool = True
    registry: str | None = None
    registry_user: str | None = None
    registry_password: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    volumes: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def __attrs_post_init__(self) -> None:
        """Refuse a part of a login without its other parts."""
        check_whole_login(self, ("registry_password", "registry_user", "registry"), "a Docker")

    @property
    def login(self) -> RegistryLogin | None:
        """The login to the registry; None if there is none."""
        if self.registry is None or self.registry_user is None or self.registry_password is None:
            return None
        return RegistryLogin(
            server=self.registry, user=self.registry_user, password=self.registry_password
        )


DOCKER: Final = PlatformKind(
    name="docker",
    settings=DockerSettings,
    build=lambda settings: DockerPlatform(
        settings.socket,
        scope=settings.scope,
        network=settings.network,
        user=settings.user,
        pull=settings.pull,
        login=settings.login,
        volumes=settings.volumes,
    ),
)
"""The kind of platforms that run steps as containers of a Docker Engine."""
