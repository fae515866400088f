"""Steps that run as Google Cloud Run jobs.

Each run is a job with the name of the run, and Cloud Run creates a job only once. The request that
creates the job also starts its execution, so nobody can start a second execution.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage.adapters.secret_managers.gcp_secret_manager import GcpMetadata, GcpServiceAccount
from moorage.adapters.steps._cloud_platform import CloudRuns, check_no_secrets
from moorage.adapters.steps._cloud_wire import NOT_FOUND, CloudApi
from moorage.adapters.steps._git_host_wire import in_seconds
from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options
from moorage.domain.steps.cloud_run_executions import (
    SCOPE_LABEL,
    has_failed,
    job_run,
    log_chunk,
    log_filter,
    short_name,
)
from moorage.domain.steps.cloud_runs import CloudRunNote, has_settled, part_of, parts_of
from moorage.domain.steps.runs import LogChunk
from moorage.domain.steps.step import ConnectorType
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, InvalidData, VendorFailed
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.adapters.secret_managers.gcp_secret_manager import GcpIdentity
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.domain.steps.cloud_runs import CloudRun
    from moorage.domain.steps.runs import EndReason, LogStream, RunSpec
    from moorage.domain.steps.step import Step
    from moorage.ports.clock import Clock
    from moorage.ports.http import HttpClient
    from moorage.ports.secret_manager import NetworkAccess

_WORD: Final = late_pattern(r"[a-z][a-z0-9:.-]{0,62}")
_TOKEN: Final = "run"  # noqa: S105 - the end of the name of an execution
_CONFLICT: Final = frozenset({409})
_MISSING_STATUSES: Final = frozenset({404})
_PAGE: Final = 1000
_SECOND: Final = 10**9
_MAX_SECONDS: Final = 7 * 86_400
_LOG_DELAY: Final = 5.0
"""Seconds in which Cloud Logging may still store an entry of an earlier time."""

_LOG_SETTLE_SECONDS: Final = 15.0
"""Seconds after the end of an execution in which its last entries are stored."""


@checked_options
@attrs.frozen(kw_only=True)
class CloudRunSettings:
    """Steps that run as Google Cloud Run jobs.

    Attributes:
        project: the id of the project.
        location: the region of the jobs, such as "europe-west1".
        key_file: the file of a service account's key; by default the account of this machine is
            used.
        service_account: the email address of the account that the steps run as.
        secrets: the names of secrets in Secret Manager, by the name of the secret in the step.
        scope: a name for the jobs of this program; other jobs are left alone.
        endpoint: the URL of Cloud Run.
        logging_endpoint: the URL of Cloud Logging.
        pace: shortest time in seconds between two requests for the state of a run.
    """

    project: str
    location: str
    key_file: str | None = None
    service_account: str | None = None
    secrets: Mapping[str, str] = attrs.field(factory=dict[str, str])
    scope: str = "default"
    endpoint: str = attrs.field(default="https://run.googleapis.com", converter=validate_base_url)
    logging_endpoint: str = attrs.field(
        default="https://logging.googleapis.com", converter=validate_base_url
    )
    pace: float = attrs.field(default=5.0, validator=in_seconds(0))

    def __attrs_post_init__(self) -> None:
        """Check the names that become parts of URLs and labels."""
        for name in ("project", "location", "scope"):
            value: str = getattr(self, name)
            if _WORD.fullmatch(value) is None:
                raise ConfigurationError(
                    f"{value[:80]!r} cannot be the {name} of a Cloud Run platform.",
                    path=name,
                    remedy="Use lowercase letters, digits and hyphens, such as 'europe-west1'.",
                )


@attrs.frozen
class _Access:
    """Access to Google's APIs; a `Session` renews its token."""

    identity: GcpIdentity

    @property
    def where(self) -> str:
        """The name of the service for error messages."""
        return "Google Cloud"

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """Return an access token."""
        return await self.identity.token(wire)


@with_careful_constructor
class CloudRunPlatform(CloudRuns):
    """Runs steps as Google Cloud Run jobs, each with one task that is never retried.

    Args:
        settings: the project, and the permissions of the steps there.
        http: the HTTP client; by default one of its own.
        clock: the clock of signatures and pauses.

    Raises:
        ConfigurationError: a setting is not valid, or the key cannot be read.
    """

    type = ConnectorType.CLOUD_RUN

    def __init__(
        self,
        settings: CloudRunSettings,
        *,
        http: HttpClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        cloud = _CloudRun(settings, http, clock)
        super().__init__(cloud, settings.pace, cloud.api.clock)


class _CloudRun:
    """The requests to Cloud Run with which `CloudRuns` starts, finds and ends runs."""

    has_limit = True
    has_streams = True

    def __init__(
        self, settings: CloudRunSettings, http: HttpClient | None, clock: Clock | None
    ) -> None:
        self._settings = settings
        key = settings.key_file
        identity = GcpMetadata() if key is None else GcpServiceAccount.from_file(key)
        remedy = "Grant the account the roles run.developer and logging.viewer."
        self.api = CloudApi("Google Cloud", _Access(identity), http, clock, remedy=remedy)
        self._jobs = f"/v2/projects/{settings.project}/locations/{settings.location}/jobs"

    def check(self, step: Step, /) -> None:
        """Refuse a step without an image, with secrets, or with a time limit above a week."""
        problem = None
        if step.image is None:
            problem = ("image", "names no image for its job", "Name one.")
        elif step.timeout > _MAX_SECONDS:
            problem = ("timeout", "has a time limit of more than a week", "Give less time.")
        if problem is not None:
            field, text, remedy = problem
            raise InvalidData(f"The step {step.name!r} {text}.", field=field, remedy=remedy)
        check_no_secrets(
            step, "Cloud Run", "Name them as `secrets` of the platform, from Secret Manager."
        )

    def begin(self, spec: RunSpec, timeout: float, /) -> CloudRun:
        answer = self.api.ask(
            "POST",
            self._settings.endpoint,
            self._jobs,
            timeout,
            query={"jobId": spec.name},
            body=self._job(spec),
            allowed=_CONFLICT,
        )
        run = self.find(spec.name, None, timeout)
        if run is None:
            raise VendorFailed(
                f"Cloud Run has a job for the run {spec.name}, but does not list it yet.",
                status=answer.status,
                remedy="Repeat the call with the same key. It finds the job once it is listed.",
            )
        return run

    def find(self, name: str, place: str | None, timeout: float, /) -> CloudRun | None:  # noqa: ARG002 - found by name
        left = self.api.countdown(timeout)
        answer = self._get(f"{self._jobs}/{quote(name, safe='')}", left())
        if answer.status == NOT_FOUND:
            return None
        job: Any = self.api.read(answer.json)
        return self.api.read(self._run, job, answer, left)

    def end(self, run: CloudRun, reason: EndReason, timeout: float, /) -> None:  # noqa: ARG002 - its limit is its own
        if run.place:
            path = f"{self._jobs}/{run.note.name}/executions/{run.place}:cancel"
            self.api.ask("POST", self._settings.endpoint, path, timeout, body={})

    def log(self, run: CloudRun, stream: LogStream, position: str, timeout: float, /) -> LogChunk:
        """Return a part of the log; `position` is the time and id of its last entry.

        All pages share the time limit; what does not fit follows with the next part.
        """
        is_settled = has_settled(run, _LOG_SETTLE_SECONDS)
        if not run.place:
            return LogChunk(b"", position, is_settled)
        settings, until = (
            self._settings,
            None if is_settled else run.now - timedelta(seconds=_LOG_DELAY),
        )
        since = position.partition("#")[0]
        body: dict[str, Any] = {
            "resourceNames": [f"projects/{settings.project}"],
            "filter": log_filter(
                settings.project, settings.location, run.place, stream, since=since, until=until
            ),
            "orderBy": "timestamp asc",
            "pageSize": _PAGE,
        }
        clock = self.api.clock
        end_time = clock.nanoseconds() + int(timeout * _SECOND)
        page = self._page(body, timeout)
        entries: list[Any] = [*page["entries"]]
        while page["next"] and len(entries) <= _PAGE:
            seconds_left = (end_time - clock.nanoseconds()) / _SECOND
            if seconds_left <= 0:
                break
            page = self._page({**body, "pageToken": page["next"]}, seconds_left)
            entries += page["entries"]
        is_last = is_settled and not page["next"]
        return self.api.read(log_chunk, entries, position, is_last=is_last)

    def all(self, timeout: float, /) -> Sequence[CloudRun]:
        runs: list[CloudRun | None] = []
        query = {"pageSize": "100"}
        left = self.api.countdown(timeout)
        while True:
            answer = self.api.ask("GET", self._settings.endpoint, self._jobs, left(), query=query)
            document: Any = self.api.read(answer.json)
            runs += self.api.read(self._runs_of_scope, document, answer, left)
            token = document.get("nextPageToken")
            if not token:
                return [run for run in runs if run is not None]
            query = {**query, "pageToken": token}

    def remove(self, run: CloudRun, timeout: float, /) -> None:
        path = f"{self._jobs}/{run.note.name}"
        self.api.ask("DELETE", self._settings.endpoint, path, timeout, allowed=_MISSING_STATUSES)

    def close(self) -> None:
        self.api.close()

    def _job(self, spec: RunSpec) -> dict[str, Any]:
        step, settings = spec.step, self._settings
        files = {f"{name}_FILE": f"/run/secrets/{name}/value" for name in settings.secrets}
        variables = {**step.environment, **files}
        limits: dict[str, str] = {}
        if step.resources.cpus is not None:
            limits["cpu"] = f"{ceil(step.resources.cpus * 1000)}m"
        if step.resources.memory is not None:
            limits["memory"] = str(step.resources.memory)
        volumes = list(enumerate(settings.secrets.items()))
        container = {
            "image": step.image,
            "command": [step.command[0]],
            "args": list(step.command[1:]),
            "env": [{"name": name, "value": value} for name, value in variables.items()],
            "resources": {"limits": limits},
            "volumeMounts": [
                {"name": f"secret-{number}", "mountPath": f"/run/secrets/{name}"}
                for number, (name, _) in volumes
            ],
        }
        task: dict[str, Any] = {
            "containers": [container],
            "maxRetries": 0,
            "timeout": f"{max(1, ceil(step.timeout))}s",
            "volumes": [
                {
                    "name": f"secret-{number}",
                    "secret": {"secret": name, "items": [{"path": "value", "version": "latest"}]},
                }
                for number, (_, name) in volumes
            ],
        }
        if settings.service_account is not None:
            task["serviceAccount"] = settings.service_account
        return {
            "labels": {SCOPE_LABEL: settings.scope},
            "annotations": CloudRunNote.of(spec).tags(),
            "launchStage": "BETA",
            "startExecutionToken": _TOKEN,
            "template": {"taskCount": 1, "parallelism": 1, "template": task},
        }

    def _runs_of_scope(
        self, document: dict[str, Any], answer: Response, left: Callable[[], float]
    ) -> list[CloudRun | None]:
        return [
            self._run(job, answer, left)
            for job in parts_of(document, "jobs")
            if part_of(job, "labels").get(SCOPE_LABEL) == self._settings.scope
        ]

    def _run(
        self, job: dict[str, Any], answer: Response, left: Callable[[], float]
    ) -> CloudRun | None:
        """Return the run of a job and its execution; None while the job is being deleted."""
        if job.get("deleteTime"):
            return None
        name = short_name(part_of(job, "latestCreatedExecution").get("name") or "")
        execution: dict[str, Any] | None = None
        task: dict[str, Any] = {}
        if name:
            path = f"{self._jobs}/{short_name(job['name'])}/executions/{name}"
            description = self._get(path, left())
            execution = None if description.status == NOT_FOUND else description.json()
            if has_failed(execution):
                tasks = self._get(f"{path}/tasks", left())
                tasks_of_run = [] if tasks.status == NOT_FOUND else parts_of(tasks.json(), "tasks")
                task = tasks_of_run[0] if tasks_of_run else {}
        return job_run(job, execution, task, self.api.now(answer))

    def _get(self, path: str, timeout: float) -> Response:
        return self.api.ask(
            "GET", self._settings.endpoint, path, timeout, allowed=_MISSING_STATUSES
        )

    def _page(self, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        path, base = "/v2/entries:list", self._settings.logging_endpoint
        return self.api.read(_entries, self.api.ask("POST", base, path, timeout, body=body))


def _entries(answer: Response) -> dict[str, Any]:
    """Return the entries on a log page, and the token of the next page."""
    document = answer.json()
    return {"entries": parts_of(document, "entries"), "next": document.get("nextPageToken")}


CLOUD_RUN: Final = PlatformKind(name="cloud-run", settings=CloudRunSettings, build=CloudRunPlatform)
"""The kind of platforms that run steps as jobs of Google Cloud Run."""
