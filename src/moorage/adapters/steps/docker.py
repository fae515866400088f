"""Steps that run as containers of a Docker Engine.

A container gets its name only when its files are inside, so any caller that finds it by its name
may start it. Of several callers, one succeeds in naming its container; the others remove theirs. A
container without files gets its name immediately if root runs the step: otherwise its working
directory must be made writable first. Secrets are files in /run/secrets of the container, and so no
part of its description.

The time limit is kept by a watchdog, a program of its own on this machine. A container is started
only when its watchdog has said that it watches it. A program that reads the status of a running
container whose watchdog died starts another watchdog, which ends the container at the same time.

The Engine has no operation that keeps a container from starting. So stopping a container that was
created and not started replaces it by a tombstone: a container of the same name that nobody starts.
The Engine either removes a container or starts it, even if both are requested at the same time.
"""

from __future__ import annotations

import json
import sys
import tarfile
from contextlib import suppress
from datetime import datetime
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import attrs

from moorage.adapters.steps._docker_container import (
    WORK,
    ContainerOptions,
    bind_of,
    files_of,
    tombstone_of,
)
from moorage.adapters.steps._docker_limit import TimeLimits, Watchdog
from moorage.adapters.steps._docker_logs import LOG_DRIVER, DockerLogs
from moorage.adapters.steps._docker_status import (
    LABEL,
    ContainerStates,
    id_of,
    listed_status,
    phase_of,
)
from moorage.adapters.steps._docker_wire import Engine, check_understood, container_path, refusal
from moorage.adapters.steps._whole_login import check_whole_login
from moorage.adapters.steps.docker_images import SOCKET, pull_image
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.steps.images import RegistryLogin
from moorage.domain.steps.runs import LogChunk, RunPhase, RunStatus
from moorage.domain.steps.status_answers import LatestStatusAnswers
from moorage.domain.steps.step import ConnectorType
from moorage.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    InvalidData,
    VendorFailed,
)
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.steps.runs import LogStream, RunSpec
    from moorage.domain.steps.step import Step

_DRAFT: Final = "draft-"
_LONGEST_DRAFT: Final = 3600.0
"""Seconds after which nobody puts files into a container any more that has no run's name yet."""

_MISSING_STATUSES: Final = frozenset({404})
_DONE_STATUS: Final = 204
_CONFLICT: Final = 409
_MISSING_OR_CHANGED: Final = frozenset({*_MISSING_STATUSES, _CONFLICT})
"""The statuses of a request for a container that does not exist, or is in another state."""

_FIRST_ERROR_STATUS: Final = 400
_LONGEST_REFUSAL: Final = 65_536
_ROOT: Final = frozenset({"", "0", "root"})
_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
_SHORTEST_LOOK: Final = 0.1
"""Seconds for the description of each container of a list, also if the time of the list is over."""

_LONGEST_PREPARATION: Final = 5.0
"""If a container is not started for this many seconds, other callers remove it."""


class _Created(NamedTuple):
    """A container that this process created, and the monotonic time just before it got its name."""

    spec: RunSpec
    id: str
    at: float

    @property
    def running(self) -> RunStatus:
        """The status of the run after its start."""
        return RunStatus(
            name=self.spec.name,
            phase=RunPhase.RUNNING,
            fingerprint=self.spec.step.fingerprint,
            step=self.spec.step.name,
            labels=self.spec.labels,
            metadata={"container": self.id},
        )


@with_careful_constructor
class DockerPlatform:
    """Runs steps as containers of a Docker Engine.

    The output of a container is kept up to a gigabyte. Stopping and time limits need a Python on
    this machine that outlives this process.

    Args:
        socket: the Engine's Unix socket.
        scope: a name for the containers of this program; `runs` lists only containers of its scope.
        network: the network mode of the containers; by default the Engine's.
        user: the user that the steps run as; by default the image's.
        python: the Python that runs the watchdogs; by default this process's.
        pull: whether an image that the Engine does not have is pulled. The time of a pull counts as
            part of the start.
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
        self._states = ContainerStates(self._engine)
        self._options = ContainerOptions(
            scope=scope,
            network=network,
            user=user,
            binds=[bind_of(path, source) for path, source in (volumes or {}).items()],
        )
        self._pulls = pull
        self._login = login
        self._limits = TimeLimits(socket, python or sys.executable)
        self._latest_answers = LatestStatusAnswers()
        self._logs = DockerLogs(self._engine)
        self._logs_locally: bool | None = None

    def validate(self, step: Step, /) -> None:
        """Refuse a step without an image.

        Raises:
            InvalidData: the step names no image.
        """
        if step.image is None:
            raise InvalidData(
                f"The step {step.name!r} names no image for its container.",
                field="image",
                remedy="Name an image that the Docker Engine has or can pull.",
            )

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find an existing run with its name.

        Raises:
            InvalidData: the step names no image.
            VendorRejected: there is no such image, or the Engine refuses the container.
            RateLimitExceeded: the registry allows no further pulls for now.
            AuthenticationFailed: the registry refuses the login.
            ConnectionFailed: the Engine cannot be reached, or the watchdog cannot watch.
        """
        self.validate(spec.step)
        self._latest_answers.forget(spec.name)
        until = monotonic() + timeout
        while (status := self._begun_by_others(spec.name, until, timeout)) is None:
            # The watchdog starts while the container is being created.
            with self._limits.watchdog() as watchdog:
                new_container = self._create(spec, timeout)
                if new_container is not None:
                    status = self._begin(new_container, watchdog, timeout)
            if status is not None:
                return status
            if monotonic() > until:
                raise ConnectionFailed(f"The container {spec.name} did not start in time.")
            sleep(_PAUSE)
        if status.phase is RunPhase.RUNNING and self._limits.has_no_record(id_of(status)):
            # The watchdog died together with its files, or this process cannot see its files.
            with self._limits.watchdog() as watchdog:
                self._limits.keep(watchdog, id_of(status), spec.step, timeout)
        return status

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; None if no run has this name."""
        facts = self._states.facts(name, timeout)
        if facts is None:
            return None
        with check_understood():
            self._latest_answers.note(name, is_over=phase_of(facts) is RunPhase.ENDED)
            status = self._states.status(name, facts, timeout)
        if status.phase is RunPhase.RUNNING:
            self._limits.restore(id_of(status), timeout)
        return status

    @property
    def can_wait(self) -> bool:
        """True, because the Engine reports the end of a container."""
        return True

    def wait(self, name: str, seconds: float, /) -> bool:
        """Wait some seconds for the end of a run; return whether it ended.

        Raises:
            VendorRejected: there is no such container.
            ConnectionFailed: the Engine cannot be reached.
        """
        query = {"condition": "not-running"}
        try:
            self._engine.ask("POST", container_path(name, "wait"), seconds, query=query)
        except AttemptTimeout:
            return False
        return True

    def logs(self, name: str, stream: LogStream, position: str, timeout: float, /) -> LogChunk:
        """Return the output of a run after `position`.

        A position always leads to the same bytes, whether or not its connection is still open.
        """
        is_over = self._latest_answers.take(name, stream)
        if is_over is None:
            facts = self._states.facts(name, timeout)
            if facts is None:
                return LogChunk(b"", position, is_last=True)
            with check_understood():
                is_over = phase_of(facts) is RunPhase.ENDED
        return self._logs.read(name, stream, position, timeout, is_over=is_over)

    def stop(self, name: str, grace: float, timeout: float, /) -> None:
        """Ask a run to end; it is killed after `grace` seconds.

        A run that was created and not started ends immediately, and is never started.

        Raises:
            DeadlineExceeded: the time is over, and another caller may be starting the step.
            ConnectionFailed: the Engine cannot be reached, or the watchdog cannot watch.
        """
        status = self.status(name, timeout)
        until = monotonic() + timeout
        tombstone: dict[str, Any] = {}
        while monotonic() < until:
            if status is not None and status.phase is RunPhase.STARTING:
                tombstone = self._tombstone(status, timeout) or tombstone
                container = id_of(status)
                if not self._delete(container, timeout) and self._states.was_started(
                    container, timeout
                ):
                    # The container runs, or it has ended and was removed, so there is nothing to
                    # clean up.
                    tombstone = {}
            elif status is not None or not tombstone:
                break
            # Even if the process that started it has removed it; it may start another one under a
            # free name.
            if tombstone and self._create_tombstone(name, tombstone, timeout):
                return
            status = self.status(name, timeout)
        if status is None and tombstone:
            raise DeadlineExceeded(
                f"The time limit for stopping {name} has passed. Its container was removed before"
                " its"
                " start, and another caller may start the step again.",
                may_have_been_processed=True,
                remedy="Stop the run again, or check whether it is still running.",
            )
        if status is not None and not status.is_over:
            self._limits.stop(id_of(status), grace, timeout)

    def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs of this scope, by name.

        If the Engine does not describe a container within a quarter of the time, the status of its
        run has only the facts from the list of containers, and a `problem`; the other runs are
        complete. Containers whose starter died before it had named them are removed after an hour.
        """
        until = monotonic() + timeout
        filters = {"label": [f"{LABEL}.scope={self._options.scope}"]}
        _, content = self._engine.ask(
            "GET",
            "/containers/json",
            timeout,
            query={"all": "1", "filters": json.dumps(filters)},
        )
        with check_understood():
            items: dict[str, dict[str, Any]] = {
                str(item["Names"][0]).removeprefix("/"): item
                for item in json.loads(content)
                if item["Names"]  # The Engine frees the name before it removes the container.
            }
            drafts = {name: int(item["Created"]) for name, item in items.items() if _is_draft(name)}
        if drafts:
            self._remove_old(drafts, timeout)
        statuses: list[RunStatus | None] = []
        for name in sorted(items.keys() - drafts.keys()):
            seconds = max(_SHORTEST_LOOK, min(timeout / 4, until - monotonic()))
            try:
                status = self.status(name, seconds)
            except ConnectorError as error:
                with check_understood():
                    status = listed_status(name, items[name], str(error))
            statuses.append(status)
        return [status for status in statuses if status is not None]

    def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a regular file of a run's working directory; None if it does not exist.

        Raises:
            ConnectorError: the Engine cannot be reached, or cannot read the file.
        """
        query = {"path": f"/{WORK}/{path}"}
        try:
            with self._engine.answer(
                "GET", container_path(name, "archive"), timeout, query=query
            ) as answer:
                if answer.status in _MISSING_STATUSES:
                    return None
                if answer.status >= _FIRST_ERROR_STATUS:
                    raise refusal(answer.status, answer.read(_LONGEST_REFUSAL))
                with tarfile.open(fileobj=answer, mode="r|") as tar:
                    member = tar.next()
                    if member is None or not member.isreg() or member.size > limit:
                        return None
                    file = tar.extractfile(member)
                    return None if file is None else file.read()
        except tarfile.TarError:
            pass
        raise VendorFailed("The Docker Engine sent an archive that cannot be read.")

    def remove(self, name: str, timeout: float, /) -> None:
        """Remove a finished run, with its output."""
        self._latest_answers.forget(name)
        self._logs.forget(name)
        self._delete(name, timeout)

    def close(self) -> None:
        """Close the connections; the runs continue."""
        self._logs.forget()

    def _remove_old(self, drafts: Mapping[str, int], timeout: float) -> None:
        """Remove containers that were created but never named, once their creators' time is over.

        Args:
            drafts: the second of each container's creation, by its name.
            timeout: the seconds for each request.
        """
        _, content = self._engine.ask("GET", "/info", timeout)
        with check_understood():
            now = datetime.fromisoformat(json.loads(content)["SystemTime"]).timestamp()
        for name, container in drafts.items():
            if now - container > _LONGEST_DRAFT:
                self._delete(name, timeout)

    def _begun_by_others(self, name: str, until: float, timeout: float) -> RunStatus | None:
        """Return the status of a run that another caller starts; None if no container has its name.

        Only its creator starts a container, because a container that has ended would run again. A
        container that is not started within some seconds is removed, which its creator notices.
        """
        container, since, pause = "", 0.0, _PAUSE
        patience = _creation_seconds(timeout)
        while (status := self.status(name, timeout)) and status.phase is RunPhase.STARTING:
            if container != id_of(status):
                container, since = id_of(status), monotonic()
            elif monotonic() - since > patience:
                self._delete(container, timeout)
                continue
            if monotonic() > until:
                raise ConnectionFailed(f"The container {name} was not started in time.")
            sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return status

    def _create(self, spec: RunSpec, timeout: float) -> _Created | None:
        """Create a run's container with its files; return None if the name is in use."""
        if not spec.files and not spec.secrets and self._is_for_root(spec.step, timeout):
            created_at = monotonic()
            code, content = self._engine.ask(
                "POST",
                "/containers/create",
                timeout,
                query={"name": spec.name},
                body=self._options.container(spec, self._log_driver(timeout)),
                allowed=frozenset({_CONFLICT}),
            )
            return None if code == _CONFLICT else _Created(spec, _id_in(content), created_at)
        draft = f"{_DRAFT}{uuid4().hex}"
        create = partial(
            self._engine.ask,
            *("POST", "/containers/create", timeout),
            query={"name": draft},
            body=self._options.container(spec, self._log_driver(timeout)),
        )
        code, content = create(allowed=_MISSING_STATUSES if self._pulls else frozenset[int]())
        if code in _MISSING_STATUSES:
            pull_image(self._engine, str(spec.step.image), self._login, timeout)
            _, content = create()
        try:
            self._engine.ask(
                "PUT",
                container_path(draft, "archive"),
                timeout,
                query={"path": "/"},
                body=files_of(spec),
            )
            created_at = monotonic()
            code, _ = self._engine.ask(
                "POST",
                container_path(draft, "rename"),
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
            return None
        return _Created(spec, _id_in(content), created_at)

    def _is_for_root(self, step: Step, timeout: float) -> bool:
        """Return whether the Engine has a step's image, and root runs it.

        Root alone can write to the Engine's directories.
        """
        code, content = self._engine.ask(
            "GET", f"/images/{step.image}/json", timeout, allowed=_MISSING_STATUSES
        )
        if code in _MISSING_STATUSES:
            return False
        user = self._options.user
        if user is None:
            with check_understood():
                image: dict[str, Any] = json.loads(content)["Config"] or {}
                user = str(image.get("User") or "")
        return user.partition(":")[0] in _ROOT

    def _log_driver(self, timeout: float) -> dict[str, Any]:
        """Return the log driver for containers; empty for Podman, which has drivers of its own."""
        if self._logs_locally is None:
            _, content = self._engine.ask("GET", "/info", timeout)
            with check_understood():
                drivers = json.loads(content)["Plugins"]["Log"] or ()
                self._logs_locally = LOG_DRIVER["Type"] in drivers
        return LOG_DRIVER if self._logs_locally else {}

    def _begin(self, created: _Created, watchdog: Watchdog, timeout: float) -> RunStatus | None:
        """Start a created container; return None if another caller may be removing it."""
        try:
            self._limits.keep(watchdog, created.id, created.spec.step, timeout)
        except ConnectorError:
            self._delete(created.id, timeout)
            raise
        if monotonic() - created.at > _creation_seconds(timeout) / 2:
            return None
        code, content = self._engine.ask(
            *("POST", container_path(created.id, "start"), timeout),
            allowed=frozenset({400, 500, *_MISSING_OR_CHANGED}),
        )
        if code == _DONE_STATUS:
            return created.running
        status = self.status(created.spec.name, timeout)
        is_over = status is not None and status.is_over
        if code in _MISSING_OR_CHANGED:
            return status if is_over else None
        if code >= _FIRST_ERROR_STATUS and not is_over:
            self._delete(created.id, timeout)
            raise refusal(code, content)
        return status

    def _tombstone(self, status: RunStatus, timeout: float) -> dict[str, Any]:
        """Return the tombstone's description for an unstarted container; empty if that is gone."""
        facts = self._states.facts(id_of(status), timeout)
        if facts is None:
            return {}
        with check_understood():
            return tombstone_of(facts)

    def _create_tombstone(self, name: str, tombstone: dict[str, Any], timeout: float) -> bool:
        """Create a tombstone with the name of a run; return False if a container has that name."""
        code, _ = self._engine.ask(
            *("POST", "/containers/create", timeout),
            query={"name": name},
            body=tombstone,
            allowed=frozenset({_CONFLICT}),
        )
        return code != _CONFLICT

    def _delete(self, name: str, timeout: float) -> bool:
        """Remove a container and its volumes; return False if it does not exist or runs."""
        path = f"/containers/{quote(name, safe='')}"
        code, _ = self._engine.ask(
            "DELETE", path, timeout, query={"v": "1"}, allowed=_MISSING_OR_CHANGED
        )
        return code not in _MISSING_OR_CHANGED


def _is_draft(name: str) -> bool:
    """Return whether a container has a temporary name, not yet that of its run."""
    return name.startswith(_DRAFT)


def _id_in(answer: bytes) -> str:
    """Return the id of a container that the Engine has created."""
    with check_understood():
        return str(json.loads(answer)["Id"])


def _creation_seconds(timeout: float) -> float:
    """Return how long other callers wait for a container's creator before they remove it."""
    return min(_LONGEST_PREPARATION, timeout / 2)


@checked_options
@attrs.frozen(kw_only=True)
class DockerSettings:
    """Steps that run as containers of a Docker Engine.

    Attributes:
        socket: the Engine's Unix socket.
        scope: a name for the containers of this program; other containers are left alone.
        network: the network mode of the containers; by default the Engine's.
        user: the user that the steps run as; by default the image's.
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
        """Refuse an incomplete login."""
        check_whole_login(self, ("registry_password", "registry_user", "registry"), "a Docker")

    @property
    def login(self) -> RegistryLogin | None:
        """The login for the registry; None if no login is set."""
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
