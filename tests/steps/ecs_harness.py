"""A fake of Amazon ECS and CloudWatch Logs, whose tasks are local processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage import EcsPlatform, EcsSettings
from tests.steps.cloud_harness import FakeCloud, StepHost, json_response

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Request, Response
    from moorage.ports.clock import Clock

SETTINGS: dict[str, Any] = {
    "region": "eu-central-1",
    "task_definition": "erp:7",
    "container": "erp",
    "cluster": "reports",
    "subnets": ["subnet-1"],
    "security_groups": ["sg-1"],
    "log_group": "/ecs/erp",
    "access_key_id": "AKIAEXAMPLE",
    "secret_access_key": "s3cr3t-key-of-aws",
    "pace": 0.0,
}
_FIELDS = {
    "RunTask": {
        *("cluster", "taskDefinition", "count", "startedBy", "clientToken", "overrides", "tags"),
        *("launchType", "networkConfiguration", "capacityProviderStrategy"),
    },
    "DescribeTasks": {"cluster", "tasks", "include"},
    "ListTasks": {"cluster", "startedBy", "family", "desiredStatus", "nextToken"},
    "StopTask": {"cluster", "task", "reason"},
    "GetLogEvents": {"logGroupName", "logStreamName", "startFromHead", "nextToken"},
}
_PAGE = 2


class FakeEcs(FakeCloud):
    """The tasks of a fake ECS cluster.

    Attributes:
        tasks: the tasks by their ARN; further fields replace those that follow from the process.
        hidden: whether ECS shows no task yet.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.host = StepHost(folder)
        self.tasks: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, tuple[str, str]] = {}
        self.hidden = False

    def platform(self, clock: Clock | None = None, **options: Any) -> EcsPlatform:
        """Return a platform that uses this fake server."""
        return EcsPlatform(EcsSettings(**{**SETTINGS, **options}), http=self.http, clock=clock)

    def answer(self, request: Request, url: str) -> Response:
        """Return the response to an API action."""
        action = (request.headers.get("X-Amz-Target") or "").rpartition(".")[2]
        assert isinstance(request.body, bytes)
        fields = json.loads(request.body)
        assert set(fields) <= _FIELDS[action], set(fields) - _FIELDS[action]
        assert "Authorization" in request.headers
        acts: Any = getattr(self, f"_{action}")
        answer: Response = acts(fields)
        return answer

    def _RunTask(self, fields: dict[str, Any]) -> Response:  # noqa: N802 - as ECS calls it
        token = fields["clientToken"]
        sent_text = json.dumps(fields, sort_keys=True)
        assert len(token) <= 64
        if token in self.tokens:
            arn, first = self.tokens[token]
            if first != sent_text:
                error = {"__type": "ConflictException", "message": "in use", "resourceIds": [arn]}
                return json_response(error, 400)
            return json_response({"tasks": [self._shown(arn)], "failures": []})
        arn = f"arn:aws:ecs:eu-central-1:123456789012:task/reports/{len(self.tasks):032}"
        (container,) = fields["overrides"]["containerOverrides"]
        variables = {item["name"]: item["value"] for item in container["environment"]}
        name = fields["startedBy"]
        self.host.start(name, container["command"], variables)
        self.tasks[arn] = {"startedBy": name, "tags": fields["tags"]}
        self.tokens[token] = arn, sent_text
        return json_response({"tasks": [self._shown(arn)], "failures": []})

    def _DescribeTasks(self, fields: dict[str, Any]) -> Response:  # noqa: N802 - as ECS calls it
        arns = [] if self.hidden else [arn for arn in fields["tasks"] if arn in self.tasks]
        return json_response({"tasks": [self._shown(arn) for arn in arns], "failures": []})

    def _ListTasks(self, fields: dict[str, Any]) -> Response:  # noqa: N802 - as ECS calls it
        filters = set(fields) - {"cluster", "nextToken"}
        assert filters != {"startedBy", "desiredStatus"}, "startedBy must be the only filter"
        desired = fields.get("desiredStatus", "RUNNING")
        arns = [
            arn
            for arn, task in self.tasks.items()
            if fields.get("startedBy") in {None, task["startedBy"]}
            and self._shown(arn)["desiredStatus"] == desired
            and not self.hidden
        ]
        start = int(fields.get("nextToken", 0))
        document: dict[str, Any] = {"taskArns": arns[start : start + _PAGE]}
        if len(arns) > start + _PAGE:
            document["nextToken"] = str(start + _PAGE)
        return json_response(document)

    def _StopTask(self, fields: dict[str, Any]) -> Response:  # noqa: N802 - as ECS calls it
        task = self.tasks[fields["task"]]
        task.setdefault("why", fields["reason"])
        self.host.stop(task["startedBy"])
        return json_response({"task": self._shown(fields["task"])})

    def _GetLogEvents(self, fields: dict[str, Any]) -> Response:  # noqa: N802 - as CloudWatch calls it
        prefix, container, number = fields["logStreamName"].split("/")
        assert ("ecs", "erp") == (prefix, container)
        arn = next((arn for arn in self.tasks if arn.endswith(number)), "")
        lines = self.host.lines(self.tasks[arn]["startedBy"])
        start = int(fields.get("nextToken", "f/0").removeprefix("f/"))
        part = lines[start : start + 5000]
        events = [{"timestamp": 1, "message": line, "ingestionTime": 1} for line in part]
        return json_response({"events": events, "nextForwardToken": f"f/{start + len(part)}"})

    def _shown(self, arn: str) -> dict[str, Any]:
        task = self.tasks[arn]
        status = self.host.status(task["startedBy"])
        container: dict[str, Any] = {"name": "erp", "lastStatus": "RUNNING"}
        answer: dict[str, Any] = {
            "taskArn": arn,
            "lastStatus": "RUNNING",
            "desiredStatus": "STOPPED" if "why" in task else "RUNNING",
            "containers": [container],
            "tags": task["tags"],
            "startedBy": task["startedBy"],
        }
        if status.started_at is not None:
            answer["startedAt"] = status.started_at.timestamp()
        if status.is_over and status.ended_at is not None:
            container["exitCode"] = status.exit_code
            answer |= {"lastStatus": "STOPPED", "desiredStatus": "STOPPED"}
            answer["stoppedAt"] = status.ended_at.timestamp()
            answer["stopCode"] = "UserInitiated" if "why" in task else "EssentialContainerExited"
            answer["stoppedReason"] = task.get("why", "Essential container in task exited")
        return {**answer, **task.get("fields", {})}
