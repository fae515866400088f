"""A strict fake GitHub, based on GitHub's API description, that really runs workflows.

Each request and each answer is checked against the description. The log of a job has the form that
the runner writes. The repository has the workflow `step.yml`, which gives its input `script` to a
shell, and uploads the folder `out` as an artifact.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
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
    from collections.abc import Callable, Generator

    from moorage import GitHubSettings

TOKEN = "ghp_16180339887498948482045868343656"
_API = StrictApi(Path(__file__).with_name("github_api.json"))
_ROOT = "/repos/{owner}/{repo}"
_INPUTS = frozenset({"moorage", "script", "GREETING", "minutes"})


def _digest(content: bytes) -> str:
    """Return forty hexadecimal digits, like a git commit id."""
    return hashlib.sha256(content).hexdigest()[:40]


_TREE = _digest(b"tree")


class FakeGitHub:
    """A fake GitHub repository with its refs and workflow runs.

    Attributes:
        tokens: the tokens that are accepted.
        cuts: the operations whose next answer is lost, although they are done.
        failures: the next answers of an operation, in place of doing it.
        mistakes: responses of this fake server that violate the description.
        downloads: the headers of each request to the storage of logs.
        dispatches: the bodies of all dispatches.
        is_silent: whether the response to a dispatch lacks the run id.
        title: makes the title of a run from its inputs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = RLock()
        self.tokens = {TOKEN}
        self.cuts: list[str] = []
        self.failures: list[tuple[str, int, dict[str, Any], dict[str, str]]] = []
        self.mistakes: list[str] = []
        self.downloads: list[dict[str, str]] = []
        self.dispatches: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.is_silent = False
        self.appears = True
        self.title: Callable[[dict[str, str]], str] = lambda inputs: f"step {inputs['moorage']}"
        self.commits: dict[str, dict[str, Any]] = {}
        self.refs: dict[str, str] = {}
        self.runs: dict[int, dict[str, Any]] = {}
        self.jobs: dict[int, ScriptJob] = {}
        self.logs: dict[int, list[bytes]] = {}
        self.codes: dict[int, int] = {}
        self.storage = ""
        self.app_checks: Callable[[str], bool] = lambda _: False
        self.issued: list[str] = []
        self.releases: dict[int, dict[str, Any]] = {}
        self.assets: dict[int, dict[str, Any]] = {}
        self.check_runs: dict[int, dict[str, Any]] = {}
        self.statuses: list[dict[str, Any]] = []
        self._serial = count(1001)

    def answer(self, message: Message) -> Reply:  # noqa: C901 - one branch a refusal
        """Return the response to an API request."""
        if message.path.startswith("/uploads/"):
            message = message._replace(path=message.path.removeprefix("/uploads"))
        operation = _API.operation(message.method, message.path)
        if operation is None:
            return _reply(404, {"message": "Not Found"})
        key, path = operation
        self.requests.append(key)
        kind, _, token = message.headers.get("Authorization", "").partition(" ")
        is_app = key.startswith("POST /app/") and self.app_checks(token)
        if kind != "Bearer" or not (is_app or token in self.tokens):
            return _reply(401, {"message": "Bad credentials"})
        is_json = message.headers.get("Content-Type") == "application/json"
        body = json.loads(message.body) if message.body and is_json else None
        if message.body and not is_json:
            body = message.body
        mistakes = _API.wrong_request(key, path, message.query, body)
        if mistakes:
            return _reply(422, {"message": f"Invalid request: {mistakes}"})
        with self.lock:
            for failure in self.failures:
                if failure[0] in key:
                    self.failures.remove(failure)
                    return _reply(failure[1], failure[2], failure[3])
            status, document = self._done(key, path, message.query, body)
            if status < 400:
                self.mistakes += _API.wrong_answer(key, status, document)
            lost_part = next((cut for cut in self.cuts if cut in key), None)
            if lost_part is not None:
                self.cuts.remove(lost_part)
                raise ConnectionCut
        if status == 302:
            return Reply(302, headers=(("Location", document),))
        reply = _reply(status, document)
        tag = f'"{_digest(reply.body)}"'
        if message.headers.get("If-None-Match") == tag:
            return Reply(304)
        return reply._replace(headers=(("ETag", tag),)) if message.method == "GET" else reply

    def stored(self, message: Message) -> Reply:
        """Return a response of the separate host that stores logs and artifacts."""
        self.downloads.append(dict(message.headers))
        if message.query.get("sig") != "signed":
            return Reply(403)
        kind, number = message.path.strip("/").split("/")
        with self.lock:
            if kind == "log":
                lines = self.logs[int(number)]
                return Reply(200, b"\xef\xbb\xbf" + b"".join(line + b"\n" for line in lines))
            return Reply(200, self._archive(int(number)))

    def end(self) -> None:
        """Kill all jobs."""
        for job in list(self.jobs.values()):
            job.cancel(is_forced=True)

    def set_conclusion(self, number: int, status: str, conclusion: str | None) -> None:
        """Give a run another status and conclusion."""
        with self.lock:
            self.runs[number].update(status=status, conclusion=conclusion, updated_at=instant())

    def _done(  # noqa: C901, PLR0912 - one branch an operation
        self, key: str, path: dict[str, str], query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        match key.replace(_ROOT, ""):
            case "GET /commits/{ref}":
                return 200, _commit_of_branch(path["ref"])
            case "POST /git/commits":
                return 201, self._new_commit(body)
            case "GET /git/commits/{commit_sha}":
                commit = self.commits.get(path["commit_sha"])
                return (404, {"message": "Not Found"}) if commit is None else (200, commit)
            case "POST /git/refs":
                ref = body["ref"]
                if ref in self.refs:
                    return 422, {"message": "Reference already exists"}
                if ref.count("/") < 2 or body["sha"] not in self.commits:
                    return 422, {"message": "Object does not exist"}
                self.refs[ref] = body["sha"]
                return 201, _ref(ref, body["sha"])
            case "GET /git/ref/{ref}":
                ref = f"refs/{path['ref']}"
                sha = self.refs.get(ref)
                return (404, {"message": "Not Found"}) if sha is None else (200, _ref(ref, sha))
            case "GET /git/matching-refs/{ref}":
                prefix = f"refs/{path['ref']}"
                items = self.refs.items()
                return 200, [_ref(ref, sha) for ref, sha in items if ref.startswith(prefix)]
            case "PATCH /git/refs/{ref}":
                return self._moved(f"refs/{path['ref']}", body)
            case "DELETE /git/refs/{ref}":
                removed_ref = self.refs.pop(f"refs/{path['ref']}", None)
                return (
                    (204, None) if removed_ref else (422, {"message": "Reference does not exist"})
                )
            case "POST /actions/workflows/{workflow_id}/dispatches":
                return self._dispatched(path["workflow_id"], body)
            case "GET /actions/workflows/{workflow_id}/runs":
                runs = [run for run in self.runs.values() if self.appears]
                page = int(query.get("page", "1"))
                size = int(query.get("per_page", "30"))
                page_of_runs = sorted(runs, key=lambda run: -run["id"])[
                    (page - 1) * size : page * size
                ]
                return 200, {"total_count": len(runs), "workflow_runs": page_of_runs}
            case (
                "GET /actions/runs/{run_id}"
                | "GET /actions/runs/{run_id}/attempts/{attempt_number}"
            ):
                run = self.runs.get(int(path["run_id"]))
                return (404, {"message": "Not Found"}) if run is None else (200, dict(run))
            case "GET /actions/runs/{run_id}/attempts/{attempt_number}/jobs":
                jobs = [self._job(int(path["run_id"]))]
                return 200, {"total_count": len(jobs), "jobs": jobs}
            case "GET /actions/jobs/{job_id}/logs":
                number = int(path["job_id"]) - 500_000
                if self.runs[number]["status"] != "completed":
                    return 404, {"message": "Not Found"}
                return 302, f"{self.storage}/log/{number}?sig=signed"
            case "GET /check-runs/{check_run_id}/annotations":
                return 200, self._annotations(int(path["check_run_id"]) - 500_000)
            case "POST /actions/runs/{run_id}/cancel" | "POST /actions/runs/{run_id}/force-cancel":
                number = int(path["run_id"])
                if self.runs[number]["status"] == "completed":
                    return 409, {"message": "Cannot cancel a workflow run that is completed."}
                self.jobs[number].cancel(is_forced="force" in key)
                return 202, {}
            case "GET /actions/runs/{run_id}/artifacts":
                return 200, self._artifacts(int(path["run_id"]), query.get("name"))
            case "GET /actions/artifacts/{artifact_id}/{archive_format}":
                return 302, f"{self.storage}/artifact/{path['artifact_id']}?sig=signed"
            case "POST /app/installations/{installation_id}/access_tokens":
                token = f"ghs_{next(self._serial)}_{_digest(b'token')}"
                self.tokens.add(token)
                self.issued.append(token)
                return 201, {"token": token, "expires_at": self.ends_at()}
            case _:
                return self._other(key.replace(_ROOT, ""), path, query, body)

    def ends_at(self) -> str:
        """Return the time at which a token expires."""
        return "2999-01-01T00:00:00Z"

    def _other(  # noqa: PLR0912, C901 - one branch an operation
        self, key: str, path: dict[str, str], query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        match key:
            case "POST /releases":
                if any(item["tag_name"] == body["tag_name"] for item in self.releases.values()):
                    errors = [
                        {"resource": "Release", "code": "already_exists", "field": "tag_name"}
                    ]
                    return 422, {"message": "Validation Failed", "errors": errors}
                number = next(self._serial)
                self.releases[number] = self._release(number, body)
                return 201, self.releases[number]
            case "GET /releases/tags/{tag}":
                for item in self.releases.values():
                    if item["tag_name"] == path["tag"] and not item["draft"]:
                        return 200, item
                return 404, {"message": "Not Found"}
            case "GET /releases/{release_id}/assets":
                number = int(path["release_id"])
                items = [dict(item) for item in self.assets.values() if item["_of"] == number]
                for item in items:
                    del item["_of"]
                return 200, items
            case "POST /releases/{release_id}/assets":
                number, content = int(path["release_id"]), body
                names = [item["name"] for item in self.assets.values() if item["_of"] == number]
                if query["name"] in names:
                    errors = [{"resource": "ReleaseAsset", "code": "already_exists"}]
                    return 422, {"message": "Validation Failed", "errors": errors}
                asset = self._asset(query["name"], content)
                self.assets[asset["id"]] = {**asset, "_of": number}
                return 201, asset
            case "DELETE /releases/assets/{asset_id}":
                del self.assets[int(path["asset_id"])]
                return 204, None
            case "POST /statuses/{sha}":
                self.statuses.append({**body, "sha": path["sha"]})
                return 201, _status(path["sha"], body, next(self._serial))
            case "POST /check-runs":
                number = next(self._serial)
                self.check_runs[number] = body
                return 201, _check_run(number, body)
            case "PATCH /check-runs/{check_run_id}":
                number = int(path["check_run_id"])
                self.check_runs[number].update(body)
                return 200, _check_run(number, self.check_runs[number])
            case "GET /commits/{ref}/check-runs":
                runs = [
                    _check_run(number, item)
                    for number, item in self.check_runs.items()
                    if item["head_sha"] == path["ref"] and item["name"] == query["check_name"]
                ]
                return 200, {"total_count": len(runs), "check_runs": runs}
            case _:
                raise AssertionError(key)

    def _new_commit(self, body: dict[str, Any]) -> dict[str, Any]:
        sha = _digest(f"{next(self._serial)}".encode())
        person = {"name": "steps", "email": "steps@example.com", "date": instant()}
        self.commits[sha] = {
            "sha": sha,
            "node_id": "n",
            "url": "https://api.example/commit",
            "html_url": "https://git.example/commit",
            "author": person,
            "committer": person,
            "tree": {"sha": body["tree"], "url": "https://api.example/tree"},
            "message": body["message"],
            "parents": [
                {"sha": parent, "url": "https://a.example", "html_url": "https://b.example"}
                for parent in body.get("parents", [])
            ],
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        }
        return self.commits[sha]

    def _moved(self, ref: str, body: dict[str, Any]) -> tuple[int, Any]:
        if ref not in self.refs:
            return 422, {"message": "Reference does not exist"}
        parents = [parent["sha"] for parent in self.commits[body["sha"]]["parents"]]
        if not body.get("force") and self.refs[ref] not in parents:
            return 422, {"message": "Update is not a fast forward"}
        self.refs[ref] = body["sha"]
        return 200, _ref(ref, body["sha"])

    def _dispatched(self, workflow: str, body: dict[str, Any]) -> tuple[int, Any]:
        if workflow != "step.yml":
            return 404, {"message": "Not Found"}
        if body["ref"] != "main":
            return 422, {"message": f"No ref found for: {body['ref']}"}
        unknown_inputs = sorted(set(body.get("inputs", {})) - _INPUTS)
        if unknown_inputs:
            return 422, {"message": f"Unexpected inputs provided: {json.dumps(unknown_inputs)}"}
        if len(json.dumps(body["inputs"])) > 65_535:
            return 422, {"message": "inputs are too large."}
        self.dispatches.append(body)
        number = next(self._serial)
        self.runs[number] = _run(number, self.title(body["inputs"]))
        self.logs[number] = []
        self._begin(number, body["inputs"])
        url = f"https://git.example/acme/erp/actions/runs/{number}"
        if not body.get("return_run_details") or self.is_silent:
            return 204, None
        return 200, {"workflow_run_id": number, "run_url": url, "html_url": url}

    def _begin(self, number: int, inputs: dict[str, str]) -> None:
        script = inputs["script"]
        lines = self.logs[number]

        def add(text: bytes) -> None:
            # The runner reads text, and writes it again as UTF-8.
            text = text.decode("utf-8", "replace").encode()
            lines.append(b"2030-01-02T03:04:05.1234567Z " + text)

        first = script.split("\n")[0]
        add(f"##[group]Run {first}".encode())
        for line in script.split("\n"):
            add(f"\x1b[36;1m{line}\x1b[0m".encode())
        add(b"shell: /usr/bin/sh -e {0}")
        add(b"##[endgroup]")
        variables = {name: text for name, text in inputs.items() if name == "GREETING"}
        job = ScriptJob(
            script, {**variables, "GITHUB_ACTIONS": "true"}, self.folder / str(number), add
        )
        self.jobs[number] = job
        self.runs[number]["status"] = "in_progress"

        def follow() -> None:
            code = job.run()
            if code and not job.is_cancelled:
                add(f"##[error]Process completed with exit code {code}.".encode())
            add(b"Cleaning up orphan processes")
            with self.lock:
                self.codes[number] = code
                end_time = "failure" if code else "success"
                conclusion = "cancelled" if job.is_cancelled else end_time
                self.set_conclusion(number, "completed", conclusion)

        Thread(target=follow, daemon=True).start()

    def _job(self, number: int) -> dict[str, Any]:
        run = self.runs[number]
        is_over = run["status"] == "completed"
        url = "https://api.example"
        conclusions = {"success", "failure", "cancelled", "skipped", "timed_out"}
        return {
            "id": 500_000 + number,
            "run_id": number,
            "run_url": url,
            "node_id": "n",
            "head_sha": run["head_sha"],
            "url": url,
            "html_url": url,
            "status": "completed" if is_over else "in_progress",
            "conclusion": run["conclusion"] if run["conclusion"] in conclusions else None,
            "created_at": run["created_at"],
            "started_at": run["created_at"],
            "completed_at": run["updated_at"] if is_over else None,
            "name": "step",
            "check_run_url": f"{url}/repos/acme/erp/check-runs/{500_000 + number}",
            "labels": ["ubuntu-latest"],
            "runner_id": 1,
            "runner_name": "r",
            "runner_group_id": 1,
            "runner_group_name": "g",
            "workflow_name": "step",
            "head_branch": "main",
        }

    def _annotations(self, number: int) -> list[dict[str, Any]]:
        code = self.codes.get(number, 0)
        texts = [f"Process completed with exit code {code}."] if code else []
        return [
            {
                "path": ".github",
                "blob_href": "https://git.example",
                "start_line": 1,
                "end_line": 1,
                "start_column": None,
                "end_column": None,
                "annotation_level": "failure",
                "title": "",
                "message": text,
                "raw_details": "",
            }
            for text in texts
        ]

    def _artifacts(self, number: int, name: str | None) -> dict[str, Any]:
        items: list[dict[str, Any]] = []
        if (self.folder / str(number) / "out").is_dir() and name in {None, "out"}:
            items.append(
                {
                    "id": number,
                    "node_id": "n",
                    "name": "out",
                    "size_in_bytes": len(self._archive(number)),
                    "url": "u",
                    "archive_download_url": "u",
                    "expired": False,
                    "created_at": instant(),
                    "expires_at": instant(),
                    "updated_at": instant(),
                }
            )
        return {"total_count": len(items), "artifacts": items}

    def _archive(self, number: int) -> bytes:
        folder, buffer = self.folder / str(number) / "out", io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.writestr(str(path.relative_to(folder)), path.read_bytes())
        return buffer.getvalue()

    def _release(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        url, root = "https://api.example", "/repos/acme/erp/releases"
        return {
            "url": url,
            "html_url": url,
            "assets_url": url,
            "upload_url": f"{self.api}/uploads{root}/{number}/assets{{?name,label}}",
            "tarball_url": None,
            "zipball_url": None,
            "id": number,
            "node_id": "n",
            "tag_name": body["tag_name"],
            "target_commitish": body.get("target_commitish", "main"),
            "name": body.get("name"),
            "body": body.get("body"),
            "draft": body.get("draft", False),
            "prerelease": body.get("prerelease", False),
            "created_at": instant(),
            "published_at": instant(),
            "author": _user(),
            "assets": [],
        }

    def _asset(self, name: str, content: bytes) -> dict[str, Any]:
        return {
            "url": "https://api.example",
            "browser_download_url": "https://git.example",
            "id": next(self._serial),
            "node_id": "n",
            "name": name,
            "label": None,
            "state": "uploaded",
            "content_type": "application/octet-stream",
            "size": len(content),
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "download_count": 0,
            "created_at": instant(),
            "updated_at": instant(),
            "uploader": None,
        }

    api = ""


def _user() -> dict[str, Any]:
    texts = (
        "avatar_url events_url followers_url following_url gists_url html_url login node_id"
        " organizations_url received_events_url repos_url starred_url subscriptions_url type url"
    )
    fields: dict[str, Any] = dict.fromkeys(texts.split(), "https://git.example")
    return {**fields, "id": 1, "site_admin": False, "gravatar_id": None}


def _ref(ref: str, sha: str) -> dict[str, Any]:
    target = {"type": "commit", "sha": sha, "url": "https://api.example"}
    return {"ref": ref, "node_id": "n", "url": "https://api.example", "object": target}


def _commit_of_branch(ref: str) -> dict[str, Any]:
    url = "https://api.example"
    person = {"name": "a", "email": "a@example.com", "date": instant()}
    return {
        "url": url,
        "sha": _digest(ref.encode()),
        "node_id": "n",
        "html_url": url,
        "comments_url": url,
        "author": None,
        "committer": None,
        "parents": [],
        "commit": {
            "url": url,
            "author": person,
            "committer": person,
            "message": "m",
            "comment_count": 0,
            "tree": {"sha": _TREE, "url": url},
        },
    }


def _run(number: int, title: str) -> dict[str, Any]:
    urls = "jobs_url logs_url check_suite_url cancel_url rerun_url artifacts_url workflow_url url"
    return {
        **dict.fromkeys(urls.split(), "https://api.example"),
        "id": number,
        "name": "step",
        "node_id": "n",
        "head_branch": "main",
        "head_sha": _digest(b"main"),
        "path": ".github/workflows/step.yml",
        "display_title": title,
        "run_number": 1,
        "event": "workflow_dispatch",
        "status": "queued",
        "conclusion": None,
        "workflow_id": 1,
        "html_url": f"https://git.example/acme/erp/actions/runs/{number}",
        "pull_requests": [],
        "created_at": instant(),
        "updated_at": instant(),
        "run_started_at": instant(),
        "head_commit": None,
        "repository": {},
        "head_repository": {},
    }


def _status(sha: str, body: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "url": f"https://api.example/statuses/{sha}",
        "avatar_url": None,
        "id": number,
        "node_id": "n",
        "state": body["state"],
        "description": body.get("description"),
        "target_url": body.get("target_url"),
        "context": body.get("context", "default"),
        "created_at": instant(),
        "updated_at": instant(),
        "creator": None,
    }


def _check_run(number: int, body: dict[str, Any]) -> dict[str, Any]:
    output = {
        "title": None,
        "summary": None,
        "text": None,
        "annotations_count": 0,
        "annotations_url": "https://api.example",
    }
    return {
        "id": number,
        "node_id": "n",
        "head_sha": body["head_sha"],
        "external_id": body.get("external_id"),
        "url": "https://api.example",
        "html_url": None,
        "details_url": body.get("details_url"),
        "status": body.get("status", "queued"),
        "conclusion": body.get("conclusion"),
        "started_at": None,
        "completed_at": None,
        "output": output,
        "name": body["name"],
        "check_suite": None,
        "app": None,
        "pull_requests": [],
    }


def _reply(status: int, document: Any, headers: dict[str, str] | None = None) -> Reply:
    body = b"" if document is None else json.dumps(document).encode()
    return Reply(status, body, tuple((headers or {}).items()))


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a JSON Web Token."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


@contextmanager
def github() -> Generator[tuple[FakeGitHub, GitHubSettings]]:
    """Yield a fake GitHub, and settings that point to it."""
    from moorage import GitHubSettings  # noqa: PLC0415 - loads the adapter

    folder = Path(mkdtemp(prefix="gh-"))
    certificate, key = certificate_files(folder)
    server = FakeGitHub(folder / "runs")
    with (
        https_server(certificate, key, server.stored) as storage,
        https_server(certificate, key, server.answer) as api,
    ):
        server.storage, server.api = storage, api
        settings = GitHubSettings(
            repository="acme/erp",
            token=Secret(TOKEN),
            api=api,
            ca_file=str(certificate),
            pace=0.0,
        )
        try:
            yield server, settings
        finally:
            server.end()
