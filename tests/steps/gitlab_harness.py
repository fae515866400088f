"""A strict fake GitLab, based on GitLab's API definitions, that really runs pipelines.

Each request and each answer is checked against the definitions. The trace of a job has the form
that the runner writes. The pipeline of the branch `main` has one job, which gives its variable
`script` to a shell, and keeps the folder `out` as artifacts.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any

from moorage.domain.secrets.secret import Secret
from moorage.testing.fakes.http_tls import certificate_files
from tests.steps.git_host_harness import (
    ConnectionCut,
    Message,
    Reply,
    ScriptJob,
    https_server,
    instant,
)
from tests.steps.strict_api import StrictApi

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage import GitLabSettings

TOKEN = "glpat-27182818284590452353"
_API = StrictApi(Path(__file__).with_name("gitlab_api.json"))
_ROOT = "/projects/{id}"
_OVER = frozenset({"success", "failed", "canceled", "skipped"})


class FakeGitLab:
    """A fake GitLab project with its labels and pipelines.

    Attributes:
        cuts: the operations whose next answer is lost, although they are done.
        failures: the next answers of an operation, in place of doing it.
        mistakes: responses of this fake server that violate the definitions.
        has_ranges: whether traces are answered in parts.
        has_stamps: whether lines of traces have times.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = RLock()
        self.cuts: list[str] = []
        self.failures: list[tuple[str, int, Any, dict[str, str]]] = []
        self.mistakes: list[str] = []
        self.ranges: list[str] = []
        self.has_ranges = False
        self.has_stamps = False
        self.labels: dict[str, dict[str, Any]] = {}
        self.pipelines: dict[int, dict[str, Any]] = {}
        self.variables: dict[int, list[dict[str, str]]] = {}
        self.reasons: dict[int, str] = {}
        self.jobs: dict[int, ScriptJob] = {}
        self.traces: dict[int, bytes] = {}
        self.releases: dict[str, dict[str, Any]] = {}
        self.links: dict[str, list[dict[str, Any]]] = {}
        self.packages: dict[str, bytes] = {}
        self.statuses: list[dict[str, Any]] = []
        self.mirrored = 0
        self._serial = count(101)

    def answer(self, message: Message) -> Reply:
        """Return the response to a request."""
        operation = _API.operation(message.method, message.path.removeprefix("/api/v4"))
        if operation is None or not message.path.startswith("/api/v4/"):
            return _reply(404, {"error": "404 Not Found"})
        key, path = operation
        if message.headers.get("PRIVATE-TOKEN") != TOKEN:
            return _reply(401, {"message": "401 Unauthorized"})
        is_json = message.headers.get("Content-Type") == "application/json"
        body: Any = json.loads(message.body) if message.body and is_json else message.body or None
        mistakes = _API.wrong_request(key, path, message.query, body)
        if mistakes or path["id"] != "acme/erp":
            return _reply(400, {"error": f"{mistakes}"})
        with self.lock:
            for failure in self.failures:
                if failure[0] in key:
                    self.failures.remove(failure)
                    return _reply(failure[1], failure[2], failure[3])
            if key.endswith("/trace"):
                return self._trace(int(path["job_id"]), message.headers.get("Range", ""))
            status, document = self._done(key.replace(_ROOT, ""), path, message.query, body)
            if status < 400 and not isinstance(document, bytes):
                self.mistakes += _API.wrong_answer(key, status, document)
            lost_part = next((cut for cut in self.cuts if cut in key), None)
            if lost_part is not None:
                self.cuts.remove(lost_part)
                raise ConnectionCut
        return Reply(status, document) if isinstance(document, bytes) else _reply(status, document)

    def end(self) -> None:
        """Kill all jobs."""
        for job in list(self.jobs.values()):
            job.cancel(is_forced=True)

    def set_conclusion(self, number: int, status: str, reason: str = "script_failure") -> None:
        """Give a pipeline and its job another status."""
        with self.lock:
            conclusion = instant() if status in _OVER else None
            pipeline = self.pipelines[number]
            pipeline.update(status=status, updated_at=instant(), finished_at=conclusion)
            self.reasons[number] = reason

    def _done(  # noqa: C901, PLR0912 - one branch an operation
        self, key: str, path: dict[str, str], query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        match key:
            case "GET ":
                return 200, {"id": 1}
            case "GET /labels":
                labels = self.labels.values()
                return 200, [item for item in labels if query["search"] in item["name"]]
            case "POST /labels":
                if body["name"] in self.labels:
                    return 409, {"message": "Label already exists"}
                self.labels[body["name"]] = {
                    "id": next(self._serial),
                    "description": None,
                    "text_color": "#FFFFFF",
                    **body,
                }
                return 201, self.labels[body["name"]]
            case "GET /labels/{name}":
                label = self.labels.get(path["name"])
                return (404, {"message": "404 Label Not Found"}) if label is None else (200, label)
            case "PUT /labels/{name}":
                if path["name"] not in self.labels:
                    return 404, {"message": "404 Label Not Found"}
                self.labels[path["name"]].update(body)
                return 200, self.labels[path["name"]]
            case "DELETE /labels/{name}":
                removed_label = self.labels.pop(path["name"], None)
                return (204, None) if removed_label else (404, {"message": "404 Label Not Found"})
            case "POST /pipeline":
                return self._created(body)
            case "GET /pipelines":
                items = [item for item in self.pipelines.values() if item["ref"] == query["ref"]]
                names = ("id", "project_id", "sha", "ref", "status", "source", "web_url", "name")
                return 200, [{name: item[name] for name in names} for item in items]
            case "GET /pipelines/{pipeline_id}":
                pipeline = self.pipelines.get(int(path["pipeline_id"]))
                return (404, {"message": "404"}) if pipeline is None else (200, dict(pipeline))
            case "GET /pipelines/{pipeline_id}/variables":
                return 200, self.variables[int(path["pipeline_id"])]
            case "GET /pipelines/{pipeline_id}/jobs":
                return 200, [self._job(int(path["pipeline_id"]))]
            case "POST /pipelines/{pipeline_id}/cancel":
                number = int(path["pipeline_id"])
                if self.pipelines[number]["status"] not in _OVER:
                    self.pipelines[number]["status"] = "canceling"
                    self.jobs[number].cancel()
                return 200, self.pipelines[number]
            case "POST /jobs/{job_id}/cancel":
                number = int(path["job_id"]) - 5000
                self.jobs[number].cancel(is_forced=True)
                return 201, self._job(number)
            case "GET /jobs/{job_id}/artifacts/{artifact_path}":
                file = self.folder / str(int(path["job_id"]) - 5000) / path["artifact_path"]
                is_kept = path["artifact_path"].startswith("out/") and file.is_file()
                return (200, file.read_bytes()) if is_kept else (404, {"message": "404"})
            case _:
                return self._other(key, path, body)

    def _other(self, key: str, path: dict[str, str], body: Any) -> tuple[int, Any]:
        match key:
            case "GET /releases/{tag_name}":
                release = self.releases.get(path["tag_name"])
                return (404, {"message": "404 Not Found"}) if release is None else (200, release)
            case "POST /releases":
                if body["tag_name"] in self.releases:
                    return 409, {"message": "Release already exists"}
                release = {"name": None, "description": None, **body}
                release.pop("ref", None)
                self.releases[body["tag_name"]] = release
                self.links[body["tag_name"]] = []
                return 201, release
            case "GET /releases/{tag_name}/assets/links":
                return 200, self.links[path["tag_name"]]
            case "POST /releases/{tag_name}/assets/links":
                links = self.links[path["tag_name"]]
                if any(item["name"] == body["name"] for item in links):
                    return 400, {"message": "Name has already been taken"}
                links.append({"id": next(self._serial), "name": body["name"], "url": body["url"]})
                return 201, links[-1]
            case "POST /mirror/pull":
                self.mirrored += 1
                return 202, None
            case "GET /mirror/pull":
                return 200, {"update_status": "finished", "last_error": None}
            case "POST /statuses/{sha}":
                self.statuses.append({**body, "sha": path["sha"]})
                return 201, {"id": next(self._serial), "status": body["state"]}
            case _:
                return self._packaged(key, path, body)

    def _packaged(self, key: str, path: dict[str, str], body: Any) -> tuple[int, Any]:
        name = "/".join(path[part] for part in ("package_name", "package_version", "file_name"))
        if key.startswith("PUT "):
            self.packages[name] = body or b""
            return 201, {"message": "201 Created"}
        content = self.packages.get(name)
        return (404, {"message": "404 Not Found"}) if content is None else (200, content)

    def _created(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body["ref"] != "main":
            return 400, {"message": {"base": ["Reference not found"]}}
        number = next(self._serial)
        self.variables[number] = [
            {"variable_type": "env_var", **item} for item in body["variables"]
        ]
        self.pipelines[number] = {
            "id": number,
            "iid": number,
            "project_id": 1,
            "sha": "0" * 40,
            "ref": body["ref"],
            "status": "running",
            "source": "api",
            "created_at": instant(),
            "updated_at": instant(),
            "started_at": instant(),
            "finished_at": None,
            "web_url": f"https://git.example/acme/erp/-/pipelines/{number}",
            "name": None,
        }
        self._begin(number, {item["key"]: item["value"] for item in body["variables"]})
        return 201, dict(self.pipelines[number])

    def _begin(self, number: int, variables: dict[str, str]) -> None:
        script = variables.pop("script")
        self.traces[number] = b""

        def add(text: bytes) -> None:
            stamp = b"2030-01-02T03:04:05.123456Z 01O " if self.has_stamps else b""
            # A job trace is shown as text.
            clean = text.decode("utf-8", "replace").encode()
            self.traces[number] += stamp + clean + b"\n"

        add(b"\x1b[0KRunning with gitlab-runner 18.7.0\x1b[0;m")
        add(b"section_start:1786961013:step_script\r\x1b[0K\x1b[0K\x1b[36;1mExecuting\x1b[0;m")
        for line in script.split("\n"):
            add(f"\x1b[32;1m$ {line}\x1b[0;m".encode())
        self.jobs[number] = job = ScriptJob(
            script, {**variables, "GITLAB_CI": "true"}, self.folder / str(number), add
        )

        def follow() -> None:
            code = job.run()
            add(b"section_end:1786961014:step_script\r\x1b[0K")
            if code:
                add(f"\x1b[31;1mERROR: Job failed: exit code {code}".encode())
                add(b"\x1b[0;m")
            conclusion = "failed" if code else "success"
            self.set_conclusion(number, "canceled" if job.is_cancelled else conclusion)

        Thread(target=follow, daemon=True).start()

    def _job(self, number: int) -> dict[str, Any]:
        pipeline = self.pipelines[number]
        job: dict[str, Any] = {
            "id": 5000 + number,
            "status": pipeline["status"],
            "stage": "test",
            "name": "step",
            "ref": "main",
            "allow_failure": False,
            "created_at": pipeline["created_at"],
            "started_at": pipeline["started_at"],
            "finished_at": pipeline["finished_at"],
        }
        if pipeline["status"] == "failed":
            job["failure_reason"] = self.reasons.get(number, "script_failure")
        if (self.folder / str(number) / "out").is_dir():
            job["artifacts_file"] = {"filename": "artifacts.zip", "size": 1}
        return job

    def _trace(self, job: int, place: str) -> Reply:
        self.ranges.append(place)
        trace = self.traces[job - 5000]
        if not (self.has_ranges and place):
            return Reply(200, trace)
        start = int(place.removeprefix("bytes=").removesuffix("-"))
        return Reply(206, trace[start:]) if start < len(trace) else Reply(416)


def _reply(status: int, document: Any, headers: dict[str, str] | None = None) -> Reply:
    body = b"" if document is None else json.dumps(document).encode()
    return Reply(status, body, tuple((headers or {}).items()))


@contextmanager
def gitlab() -> Generator[tuple[FakeGitLab, GitLabSettings]]:
    """Yield a fake GitLab, and settings that point to it."""
    from moorage import GitLabSettings  # noqa: PLC0415 - loads the adapter

    folder = Path(mkdtemp(prefix="gl-"))
    certificate, key = certificate_files(folder)
    server = FakeGitLab(folder / "pipelines")
    with https_server(certificate, key, server.answer) as api:
        settings = GitLabSettings(
            project="acme/erp",
            token=Secret(TOKEN),
            api=f"{api}/api/v4",
            ca_file=str(certificate),
            pace=0.0,
        )
        try:
            yield server, settings
        finally:
            server.end()
