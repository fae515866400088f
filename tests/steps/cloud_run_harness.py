"""A strict fake of Google Cloud Run and Cloud Logging; executions are local processes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

from moorage import CloudRunPlatform, CloudRunSettings
from moorage.domain.steps.runs import EndReason
from tests.steps.cloud_harness import AheadClock, FakeCloud, StepHost, json_response
from tests.steps.kubernetes_harness import unknown_fields

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Request, Response
    from moorage.ports.clock import Clock

_NAMES: dict[str, Any] = {"*": str}
_TASK = {
    "containers": [
        {
            "image": str,
            "command": [str],
            "args": [str],
            "env": [{"name": str, "value": str}],
            "resources": {"limits": _NAMES},
            "volumeMounts": [{"name": str, "mountPath": str}],
        }
    ],
    "maxRetries": int,
    "timeout": str,
    "serviceAccount": str,
    "volumes": [{"name": str, "secret": {"secret": str, "items": [{"path": str, "version": str}]}}],
}
_JOB = {
    "labels": _NAMES,
    "annotations": _NAMES,
    "launchStage": str,
    "startExecutionToken": str,
    "template": {"taskCount": int, "parallelism": int, "template": _TASK},
}
_QUERY = {
    "resourceNames": [str],
    "filter": str,
    "orderBy": str,
    "pageSize": int,
    "pageToken": str,
}
_ROOT = "/v2/projects/acme/locations/europe-west1/jobs"
_CONDITIONS = {True: "CONDITION_SUCCEEDED", False: "CONDITION_FAILED", None: "CONDITION_PENDING"}


class FakeCloudRun(FakeCloud):
    """The jobs of a fake Google Cloud project.

    Attributes:
        jobs: the jobs by their names.
        changes: further fields of a job, its `execution` and its `task`.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.host = StepHost(folder)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.changes: dict[str, dict[str, Any]] = {}
        self.cancelled: set[str] = set()

    def platform(self, clock: Clock | None = None, **options: Any) -> CloudRunPlatform:
        """Return a platform that uses this fake server, with the machine's own account."""
        settings = {"project": "acme", "location": "europe-west1", "pace": 0.0, **options}
        return CloudRunPlatform(
            CloudRunSettings(**cast("Any", settings)), http=self.http, clock=clock or AheadClock(16)
        )

    def answer(self, request: Request, url: str) -> Response:
        """Return the response to a request."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        if parts.hostname == "metadata.google.internal":
            return json_response(
                {"access_token": "t0ken", "expires_in": 3600, "token_type": "Bearer"}
            )
        assert "Bearer t0ken" == request.headers.get("Authorization")
        assert isinstance(request.body, bytes)
        body = json.loads(request.body or b"null")
        if parts.hostname == "logging.googleapis.com":
            return self._entries(body)
        assert "run.googleapis.com" == parts.hostname
        assert parts.path.startswith(_ROOT)
        name, _, subpath = parts.path.removeprefix(_ROOT).strip("/").partition("/")
        if not name:
            return self._list(query) if request.method == "GET" else self._create(query, body)
        if name not in self.jobs:
            return json_response({"error": {"code": 404, "status": "NOT_FOUND"}}, 404)
        if request.method == "DELETE":
            self.host.remove(name)
            del self.jobs[name]
            return json_response({"name": "operations/1"})
        if subpath.endswith(":cancel"):
            self.cancelled.add(name)
            self.host.stop(name)
            return json_response({"name": "operations/2"})
        if subpath.endswith("/tasks"):
            return json_response({"tasks": [self._task(name)]})
        return json_response(self._execution(name) if subpath else self._job(name))

    def _create(self, query: dict[str, str], body: Any) -> Response:
        mistakes = unknown_fields(body, _JOB)
        assert not mistakes, mistakes
        name = query["jobId"]
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,48}[a-z0-9]", name), name
        if name in self.jobs:
            return json_response({"error": {"code": 409, "status": "ALREADY_EXISTS"}}, 409)
        self.jobs[name] = body
        (container,) = body["template"]["template"]["containers"]
        variables = {item["name"]: item["value"] for item in container["env"]}
        timeout = float(body["template"]["template"]["timeout"].removesuffix("s"))
        self.host.start(name, [*container["command"], *container["args"]], variables, timeout)
        return json_response({"name": "operations/3", "done": False})

    def _list(self, query: dict[str, str]) -> Response:
        names = list(self.jobs)
        start = int(query.get("pageToken", 0))
        document: dict[str, Any] = {"jobs": [self._job(name) for name in names[start : start + 2]]}
        if len(names) > start + 2:
            document["nextPageToken"] = str(start + 2)
        return json_response(document)

    def _job(self, name: str) -> dict[str, Any]:
        full = f"{_ROOT.removeprefix('/v2/')}/{name}"
        latest = {"name": f"{name}-{self.jobs[name]['startExecutionToken']}"}
        job = {**self.jobs[name], "name": full, "latestCreatedExecution": latest}
        return {**job, **self.changes.get(name, {}).get("job", {})}

    def _execution(self, name: str) -> dict[str, Any]:
        status = self.host.status(name)
        is_success = None if not status.is_over else status.exit_code == 0
        condition = {"type": "Completed", "state": _CONDITIONS[is_success]}
        execution: dict[str, Any] = {
            "name": f"{_ROOT.removeprefix('/v2/')}/{name}/executions/{name}-run",
            "conditions": [{"type": "Started"}, condition],
            "logUri": "https://console.cloud.google.com/logs",
        }
        if status.started_at is not None:
            execution["startTime"] = status.started_at.isoformat()
        if status.ended_at is not None:
            execution["completionTime"] = status.ended_at.isoformat()
        if is_success is False:
            condition["message"] = "Task failed."
            condition["executionReason"] = "NON_ZERO_EXIT_CODE"
            if name in self.cancelled:
                execution["cancelledCount"] = 1
        return {**execution, **self.changes.get(name, {}).get("execution", {})}

    def _task(self, name: str) -> dict[str, Any]:
        status = self.host.status(name)
        message = ""
        if status.reason is EndReason.DEADLINE:
            message = "The configured timeout was reached."
        result = {"status": {"code": 2, "message": message}, "exitCode": status.exit_code}
        task = {"startTime": "2030-01-02T03:04:05Z", "lastAttemptResult": result}
        return {**task, **self.changes.get(name, {}).get("task", {})}

    def _entries(self, body: Any) -> Response:
        mistakes = unknown_fields(body, _QUERY)
        assert not mistakes, mistakes
        facts = dict(re.findall(r'([\w."/]+?)[<>]?="([^"]*)"', body["filter"]))
        name = facts['labels."run.googleapis.com/execution_name"'].removesuffix("-run")
        stream = facts["logName"].rpartition("%2F")[2]
        assert stream in {"stdout", "stderr"}
        start_match = re.search(r'timestamp>="([^"]*)"', body["filter"])
        lines = self.host.lines(name, (stream,))
        entries = [
            {
                "timestamp": f"2030-01-01T00:{number // 3000:02}:{number // 50 % 60:02}Z",
                "insertId": f"{number:08}",
                "textPayload": line,
            }
            for number, line in enumerate(lines)
        ]
        if start_match is not None:
            entries = [entry for entry in entries if entry["timestamp"] >= start_match[1]]
        start = int(body.get("pageToken", 0))
        document: dict[str, Any] = {"entries": entries[start : start + 500]}
        if len(entries) > start + 500:
            document["nextPageToken"] = str(start + 500)
        return json_response(document)
