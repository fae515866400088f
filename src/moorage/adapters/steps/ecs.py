"""Steps that run as Amazon ECS tasks.

A task is started with a client token that follows from the name of its run, so that ECS itself
refuses to start a second one. The note of the run is in the tags of the task.
"""

from __future__ import annotations

from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from moorage.adapters.secret_managers.aws_identity import default_endpoint
from moorage.adapters.steps._aws_access import (
    AwsAccess,
    AwsJsonApi,
    aws_identity,
    is_region,
)
from moorage.adapters.steps._cloud_platform import (
    CloudRuns,
    check_command_length,
    check_no_secrets,
)
from moorage.adapters.steps._git_host_wire import in_seconds
from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import as_series, checked_options, maybe_secret
from moorage.domain.steps.cloud_runs import CloudRunNote, has_settled, parts_of
from moorage.domain.steps.ecs_tasks import (
    REASONS,
    SCOPE_TAG,
    family_of,
    is_capacity,
    stream_of,
    tags_of,
    task_run,
)
from moorage.domain.steps.runs import LogChunk
from moorage.domain.steps.shell_limits import limited_command, with_shell_limit
from moorage.domain.steps.step import ConnectorType
from moorage.domain.values.field_checks import is_among, is_filled
from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData, InvalidRequest, VendorFailed, VendorRejected
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.http.requests import Response
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.steps.cloud_runs import CloudRun
    from moorage.domain.steps.runs import EndReason, LogStream, RunSpec
    from moorage.domain.steps.step import Step
    from moorage.ports.clock import Clock
    from moorage.ports.http import HttpClient

_LAUNCH_TYPES: Final = ("FARGATE", "EC2", "EXTERNAL")
_LONGEST_OVERRIDES: Final = 8192
_MEBIBYTE: Final = 1024 * 1024
_TASKS_PER_REQUEST: Final = 100
_LOG_SETTLE_SECONDS: Final = 5.0
"""Seconds after the end of a task in which CloudWatch Logs still stores its last lines."""

_ECS: Final = "AmazonEC2ContainerServiceV20141113"
_LOGS: Final = "Logs_20140328"
_CONFLICT: Final = "ConflictException"
_NO_STREAM: Final = "ResourceNotFoundException"


def _ecs_endpoint(settings: EcsSettings) -> str:
    return default_endpoint("ecs", settings.region)


def _logs_endpoint(settings: EcsSettings) -> str:
    return default_endpoint("logs", settings.region)


@checked_options
@attrs.frozen(kw_only=True)
class EcsSettings:
    """Steps that run as Amazon ECS tasks.

    Attributes:
        region: the region of the cluster, such as `eu-central-1`.
        task_definition: the family of the task definition that has the image, such as "erp", or
            "erp:7" for one revision.
        container: the name of its container in which the steps run.
        cluster: the name of the cluster.
        launch_type: "FARGATE", "EC2" or "EXTERNAL".
        capacity_provider: the capacity provider instead of a launch type, such as "FARGATE_SPOT".
        subnets: the subnets of the tasks, which Fargate needs.
        security_groups: the security groups of the tasks.
        public_ip: whether a task gets a public address.
        log_group: the log group of the task definition; without one, steps have no output.
        log_prefix: the stream prefix of the task definition's logs.
        scope: a name for the tasks of this program; other tasks are left alone.
        shell_limit: whether a shell in the container ends a step at its time limit, even if no
            program follows the run. The image needs `sh` and `sleep`, and no entry point.
        access_key_id: the id of the access key; by default the keys of the environment, the
            container or the instance are used.
        secret_access_key: the secret of the access key.
        session_token: the token of temporary keys.
        endpoint: the URL of ECS, if it is not the region's default.
        logs_endpoint: the URL of CloudWatch Logs, if it is not the region's default.
        pace: shortest time in seconds between two requests for the state of a run.
    """

    region: str = attrs.field(validator=is_region)
    task_definition: str = attrs.field(validator=is_filled)
    container: str = attrs.field(validator=is_filled)
    cluster: str = "default"
    launch_type: Literal["FARGATE", "EC2", "EXTERNAL"] = attrs.field(
        default="FARGATE", validator=is_among(_LAUNCH_TYPES)
    )
    capacity_provider: str | None = None
    subnets: tuple[str, ...] = attrs.field(default=(), converter=as_series)
    security_groups: tuple[str, ...] = attrs.field(default=(), converter=as_series)
    public_ip: bool = False
    log_group: str | None = None
    log_prefix: str = "ecs"
    scope: str = "default"
    shell_limit: bool = False
    access_key_id: str | None = attrs.field(default=None, repr=False)
    secret_access_key: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    session_token: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    endpoint: str = attrs.field(
        default=attrs.Factory(_ecs_endpoint, takes_self=True), converter=validate_base_url
    )
    logs_endpoint: str = attrs.field(
        default=attrs.Factory(_logs_endpoint, takes_self=True), converter=validate_base_url
    )
    pace: float = attrs.field(default=2.0, validator=in_seconds(0))

    def __attrs_post_init__(self) -> None:
        """Refuse an access key id without its secret, or a secret without its id."""
        aws_identity(self.access_key_id, self.secret_access_key, self.session_token)


def ecs_api(settings: EcsSettings, http: HttpClient | None, clock: Clock | None) -> AwsJsonApi:
    """Return the ECS API with the address and keys of the settings."""
    keys = aws_identity(settings.access_key_id, settings.secret_access_key, settings.session_token)
    access = AwsAccess(keys, settings.region, "ecs")
    return AwsJsonApi("Amazon ECS", _ECS, access, settings.endpoint, http, clock=clock)


@with_careful_constructor
class EcsPlatform(CloudRuns):
    """Runs steps as Amazon ECS tasks.

    The task definition has the image; the command and the environment of a step replace those of
    its container. The output is read from CloudWatch Logs, as one string.

    Args:
        settings: the cluster, and the task definition.
        http: the HTTP client; by default one of its own.
        clock: the clock of signatures and pauses.

    Raises:
        ConfigurationError: a setting is not valid.
    """

    type = ConnectorType.ECS

    def __init__(
        self,
        settings: EcsSettings,
        *,
        http: HttpClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        cloud = _Ecs(settings, http, clock)
        super().__init__(cloud, settings.pace, cloud.ecs.api.clock)


class _Ecs:
    """The requests to ECS with which `CloudRuns` starts, finds and ends runs."""

    has_limit = False
    has_streams = False

    def __init__(self, settings: EcsSettings, http: HttpClient | None, clock: Clock | None) -> None:
        self._settings = chosen = settings
        self.ecs = ecs_api(settings, http, clock)
        keys = aws_identity(chosen.access_key_id, chosen.secret_access_key, chosen.session_token)
        access = AwsAccess(keys, chosen.region, "logs")
        self._logs = AwsJsonApi(
            "CloudWatch Logs", _LOGS, access, chosen.logs_endpoint, http, clock=clock
        )

    def check(self, step: Step, /) -> None:
        """Refuse a step with an image or secrets, or with a command that is too long."""
        if step.image is not None:
            raise InvalidData(
                f"The step {step.name!r} names an image, but ECS reads the image from the task"
                " definition.",
                field="image",
                remedy="Name the image in the task definition, and leave it out here.",
            )
        check_no_secrets(
            step, "ECS", "Name them as `secrets` in the task definition, from Secrets Manager."
        )
        length = len(encode_json(self._overrides(step)).decode())
        check_command_length(step, length, _LONGEST_OVERRIDES, "ECS")

    def begin(self, spec: RunSpec, timeout: float, /) -> CloudRun:
        try:
            answer = self.ecs.act("RunTask", self._task(spec), timeout)
        except InvalidRequest as error:
            if error.vendor_code != _CONFLICT:
                raise
            # Another step was started under this name; the fingerprint distinguishes them.
            answer = None
        run = None if answer is None else self.ecs.api.read(self._started_run, answer)
        run = run or self.find(spec.name, None, timeout)
        if run is None:
            raise VendorFailed(
                f"ECS has a task for the run {spec.name}, but does not list it yet.",
                remedy="Repeat the call with the same key. It finds the task once ECS lists it.",
            )
        return run

    def find(self, name: str, place: str | None, timeout: float, /) -> CloudRun | None:
        left = self.ecs.api.countdown(timeout)
        runs = [] if place is None else self._described([place], left)
        if not runs:
            arns = self._listed({"startedBy": name}, left)
            runs = self._described(arns, left)
        if not runs:
            stopped_tasks = {"family": self._family, "desiredStatus": "STOPPED"}
            runs = self._described(self._listed(stopped_tasks, left), left)
        matches = [run for run in runs if run.note.name == name]
        return min(matches, key=lambda run: run.place, default=None)

    def end(self, run: CloudRun, reason: EndReason, timeout: float, /) -> None:
        fields = {"cluster": self._settings.cluster, "task": run.place, "reason": REASONS[reason]}
        self.ecs.act("StopTask", fields, timeout)

    def log(self, run: CloudRun, stream: LogStream, position: str, timeout: float, /) -> LogChunk:  # noqa: ARG002 - it has one
        """Return a part of the log; `position` is CloudWatch's token for the next part."""
        is_settled = has_settled(run, _LOG_SETTLE_SECONDS)
        if self._settings.log_group is None:
            return LogChunk(b"", position, run.status.is_over)
        fields: dict[str, Any] = {
            "logGroupName": self._settings.log_group,
            "logStreamName": stream_of(
                run.place, self._settings.log_prefix, self._settings.container
            ),
            "startFromHead": True,
        }
        if position:
            fields["nextToken"] = position
        try:
            answer = self._logs.act("GetLogEvents", fields, timeout)
        except InvalidRequest as error:
            if error.vendor_code != _NO_STREAM:
                raise
            # The container has not started, or never will.
            return LogChunk(b"", position, is_settled)
        return self._logs.api.read(_chunk, answer, position, is_settled=is_settled)

    def all(self, timeout: float, /) -> Sequence[CloudRun]:
        family = {"family": self._family}
        left = self.ecs.api.countdown(timeout)
        running_tasks = self._listed(family, left)
        stopped_tasks = self._listed({**family, "desiredStatus": "STOPPED"}, left)
        return self._described([*dict.fromkeys([*running_tasks, *stopped_tasks])], left)

    def remove(self, run: CloudRun, timeout: float, /) -> None:
        """Do nothing, because ECS forgets a task about an hour after its end."""

    def close(self) -> None:
        self.ecs.api.close()
        self._logs.api.close()

    @property
    def _family(self) -> str:
        return family_of(self._settings.task_definition)

    def _overrides(self, step: Step) -> dict[str, Any]:
        command = limited_command(step) if self._settings.shell_limit else list(step.command)
        container: dict[str, Any] = {
            "name": self._settings.container,
            "command": command,
            "environment": [
                {"name": name, "value": value} for name, value in step.environment.items()
            ],
        }
        if step.resources.cpus is not None:
            container["cpu"] = ceil(step.resources.cpus * 1024)
        if step.resources.memory is not None:
            container["memory"] = ceil(step.resources.memory / _MEBIBYTE)
        return {"containerOverrides": [container]}

    def _task(self, spec: RunSpec) -> dict[str, Any]:
        settings = self._settings
        tags = {**CloudRunNote.of(spec).tags(), SCOPE_TAG: settings.scope}
        fields: dict[str, Any] = {
            "cluster": settings.cluster,
            "taskDefinition": settings.task_definition,
            "count": 1,
            "startedBy": spec.name,
            "clientToken": sha256(spec.name.encode()).hexdigest(),
            "overrides": self._overrides(spec.step),
            "tags": [{"key": name, "value": value} for name, value in tags.items()],
        }
        if settings.capacity_provider is None:
            fields["launchType"] = settings.launch_type
        else:
            provider = {"capacityProvider": settings.capacity_provider}
            fields["capacityProviderStrategy"] = [provider]
        if settings.subnets:
            network = {
                "subnets": list(settings.subnets),
                "securityGroups": list(settings.security_groups),
                "assignPublicIp": "ENABLED" if settings.public_ip else "DISABLED",
            }
            fields["networkConfiguration"] = {"awsvpcConfiguration": network}
        return fields

    def _started_run(self, answer: Response) -> CloudRun | None:
        """Return the run of a started task; raise an error with the reason if none started."""
        document = answer.json()
        tasks = parts_of(document, "tasks")
        if tasks:
            return task_run(tasks[0], self._settings.container, self.ecs.api.now(answer))
        failures = parts_of(document, "failures")
        reason = str(failures[0]["reason"])[:200]
        raise VendorRejected(
            f"ECS could not place the task: {reason}",
            vendor_code=reason,
            retryable=is_capacity(reason),
            remedy="Try again later, request fewer resources, or add capacity to the cluster.",
        )

    def _listed(self, filters: dict[str, str], left: Callable[[], float]) -> list[str]:
        fields: dict[str, Any] = {"cluster": self._settings.cluster, **filters}
        arns: list[str] = []
        while True:
            answer = self.ecs.act("ListTasks", fields, left())
            document: Any = self.ecs.api.read(answer.json)
            arns += self.ecs.api.read(_arns, document)
            token = document.get("nextToken")
            if not token:
                return arns
            fields = {**fields, "nextToken": token}

    def _described(self, arns: list[str], left: Callable[[], float]) -> list[CloudRun]:
        """Return those tasks of the list that belong to this scope, as runs."""
        runs: list[CloudRun] = []
        for start in range(0, len(arns), _TASKS_PER_REQUEST):
            fields = {
                "cluster": self._settings.cluster,
                "tasks": arns[start : start + _TASKS_PER_REQUEST],
                "include": ["TAGS"],
            }
            answer = self.ecs.act("DescribeTasks", fields, left())
            runs += self.ecs.api.read(self._runs_of_scope, answer)
        return runs

    def _runs_of_scope(self, answer: Response) -> list[CloudRun]:
        document, now = answer.json(), self.ecs.api.now(answer)
        runs = (
            task_run(task, self._settings.container, now)
            for task in document["tasks"]
            if tags_of(task).get(SCOPE_TAG) == self._settings.scope
        )
        own_runs = [run for run in runs if run is not None]
        return [*map(with_shell_limit, own_runs)] if self._settings.shell_limit else own_runs


def _arns(document: dict[str, Any]) -> list[str]:
    arns: list[str] = document["taskArns"]
    return arns


def _chunk(answer: Response, position: str, *, is_settled: bool) -> LogChunk:
    """Return the part of a log in a response; an unchanged token means the end of the log."""
    document = answer.json()
    data = b"".join(
        event["message"].encode("utf-8", "surrogatepass") + b"\n" for event in document["events"]
    )
    token: str = document["nextForwardToken"]
    return LogChunk(data, token, is_settled and not data and token == position)


ECS: Final = PlatformKind(name="ecs", settings=EcsSettings, build=EcsPlatform)
"""The kind of platforms that run steps as tasks of Amazon ECS."""
