"""Steps that run as GitHub Actions workflows.

A run is claimed with a git ref, which only one caller can create. The ref leads to a commit whose
message is the note of the run; a change of the note is a further commit on top of it, so no other
caller's change is lost. The run gets its name as an input, and shows it in its title.
"""

from __future__ import annotations

import io
import stat
import zipfile
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from moorage.adapters.steps._git_host_answers import NOT_FOUND, reads_answers
from moorage.adapters.steps._git_host_platform import Claim, GitHostRuns
from moorage.adapters.steps._git_host_wire import LARGEST_ANSWER
from moorage.adapters.steps.github_settings import GitHubSettings, github_api
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.steps.hosted_runs import (
    HostedRun,
    RunNote,
    exit_code_in,
    github_end,
    log_part,
)
from moorage.domain.steps.runs import LogChunk
from moorage.domain.steps.step import ConnectorType
from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    ConnectorError,
    InvalidData,
    InvalidRequest,
    VendorFailed,
)
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.adapters.steps._git_host_answers import Answer
    from moorage.adapters.steps._git_host_wire import GitHostApi
    from moorage.domain.steps.runs import RunSpec
    from moorage.domain.steps.step import Step

_WORKFLOW: Final = late_pattern(r"[A-Za-z0-9_.-]+\.ya?ml|[0-9]+")
_STAMP: Final = late_pattern(rb"^(?:\xef\xbb\xbf)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
_MISSING_STATUSES: Final = frozenset({NOT_FOUND})
_GONE_STATUSES: Final = frozenset({404, 410})
_TAKEN_STATUSES: Final = frozenset({409, 422})
_CONFLICT: Final = 409
_PART: Final = 1024 * 1024
_INPUTS: Final = 25
_CHANGES: Final = 10
_NOTES: Final = 500
_SEARCH_MARGIN: Final = timedelta(minutes=2)


@with_careful_constructor
class GitHubPlatform(GitHostRuns):
    """Runs steps as GitHub Actions workflow runs.

    The command of a step is the file name of a workflow, and the branch or tag if it differs from
    the one in the settings. The step's environment becomes the inputs of the workflow. The workflow
    needs a further input for the name of the run, and shows it in its `run-name`.

    A run has one output, which is read when its jobs have ended. GitHub states the exit code of a
    step that failed. GitHub states no exit code for a cancelled run; moorage returns 137.

    Args:
        settings: the repository, and the credential.

    Raises:
        ConfigurationError: a setting is not valid.
    """

    type = ConnectorType.GITHUB

    def __init__(self, settings: GitHubSettings) -> None:
        super().__init__(
            _GitHub(settings, github_api(settings)), settings.pace, settings.lost_after
        )


@reads_answers("GitHub")
class _GitHub:
    """The requests to GitHub with which `GitHostRuns` starts, finds and ends runs."""

    def __init__(self, settings: GitHubSettings, api: GitHostApi) -> None:
        self._settings = settings
        self._api = api
        self._root = f"/repos/{settings.repository}"
        self._refs = f"{settings.claims}/{settings.scope}/"
        self._notes: dict[str, RunNote] = {}
        self._tree: str | None = None
        # The job whose log was partly read, and its log, which is final.
        self._unread: tuple[int, bytes] | None = None

    def check(self, step: Step, /) -> None:
        """Refuse a step that has no workflow, or more inputs than GitHub accepts."""
        if len(step.command) > 2 or _WORKFLOW.fullmatch(self.target(step)) is None:
            raise InvalidData(
                f"The command of the step {step.name!r} names no workflow.",
                field="command",
                remedy="Give the file name of a workflow, such as ['report.yml']. Add a branch or"
                " tag if it differs from that of the platform.",
            )
        names = [self._settings.run_input]
        names += [self._settings.minutes_input] if self._settings.minutes_input is not None else []
        repeated_names = sorted(set(names) & set(step.environment))
        if repeated_names or len(step.environment) + len(names) > _INPUTS:
            text = (
                f"sets the input {repeated_names[0]!r}, which moorage sets"
                if repeated_names
                else "has too many inputs"
            )
            raise InvalidData(
                f"The step {step.name!r} {text}.",
                field="environment",
                remedy=f"Rename or remove variables: a workflow has at most {_INPUTS} inputs, and"
                f" moorage sets {' and '.join(names)}.",
            )

    def target(self, step: Step, /) -> str:
        return step.command[0]

    def now(self, timeout: float, /) -> datetime:
        self._tree, now = self._tree_and_time(timeout)
        return now

    def claim(self, note: RunNote, timeout: float, /) -> Claim | None:
        sha = self._commit(note, None, timeout)
        body = {"ref": f"refs/{self._refs}{note.name}", "sha": sha}
        problem: ConnectorError
        try:
            answer = self._ask("POST", "/git/refs", timeout, body=body)
            return Claim(note, answer.now, sha)
        except InvalidRequest as error:
            problem = error
            problem.remedy = (
                "Check that the repository is not empty, and that no rule protects the refs"
                f" refs/{self._refs}*."
            )
        except ConnectorError as error:
            # The response may be lost although the claim was made.
            problem = error
        claim = self.claim_of(note.name, timeout)
        if claim is None:
            raise problem
        return claim if claim.note.owner == note.owner else None

    def claim_of(self, name: str, timeout: float, /) -> Claim | None:
        path = f"/git/ref/{self._refs}{name}"
        answer = self._ask("GET", path, timeout, allowed=_MISSING_STATUSES)
        if answer.status == NOT_FOUND:
            return None
        sha: str = answer.json()["object"]["sha"]
        note = self._note(sha, timeout)
        return None if note is None else Claim(note, answer.now, sha)

    def claims(self, timeout: float, /) -> Sequence[Claim]:
        answer = self._ask("GET", f"/git/matching-refs/{self._refs}", timeout)
        claims: list[Claim] = []
        for ref in answer.json():
            sha = ref["object"]["sha"]
            note = self._note(sha, timeout)
            if note is not None:
                claims.append(Claim(note, answer.now, sha))
        return claims

    def change(
        self, name: str, change: Callable[[RunNote], RunNote], timeout: float, /
    ) -> Claim | None:
        for _ in range(_CHANGES):
            claim = self.claim_of(name, timeout)
            if claim is None:
                return None
            note = change(claim.note)
            if note == claim.note:
                return claim
            sha = self._commit(note, claim.version, timeout)
            body = {"sha": sha, "force": False}
            path = f"/git/refs/{self._refs}{name}"
            answer = self._ask("PATCH", path, timeout, body=body, allowed=_TAKEN_STATUSES)
            if answer.status not in _TAKEN_STATUSES:
                return Claim(note, answer.now, sha)
        raise VendorFailed(
            f"GitHub did not accept a change of the claim {name} in {_CHANGES} attempts."
        )

    def give_back(self, name: str, timeout: float, /) -> None:
        path = f"/git/refs/{self._refs}{name}"
        self._ask("DELETE", path, timeout, allowed=frozenset({NOT_FOUND, *_TAKEN_STATUSES}))

    def begin(self, spec: RunSpec, timeout: float, /) -> int | None:
        step, settings = spec.step, self._settings
        inputs = {**step.environment, settings.run_input: spec.name}
        if settings.minutes_input is not None:
            inputs[settings.minutes_input] = str(max(1, -int(-step.timeout // 60)))
        body: dict[str, Any] = {"ref": self._ref(step), "inputs": inputs}
        if settings.requests_run_number:
            body["return_run_details"] = True
        path = f"/actions/workflows/{quote(step.command[0], safe='')}/dispatches"
        try:
            answer = self._ask("POST", path, timeout, body=body)
        except InvalidRequest as error:
            error.remedy = (
                f"Add `on: workflow_dispatch` to {step.command[0]} with the inputs"
                f" {', '.join(sorted(inputs))}, on the branch {self._ref(step)}."
            )
            raise
        return answer.json()["workflow_run_id"] if answer.status == 200 else None

    def find(self, note: RunNote, timeout: float, /) -> int | None:
        since = (note.claimed_at - _SEARCH_MARGIN).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"event": "workflow_dispatch", "created": f">={since}"}
        path = f"{self._root}/actions/workflows/{quote(note.target, safe='')}/runs"
        for page in self._api.pages(path, timeout, query=query):
            for run in page["workflow_runs"]:
                if note.name in run["display_title"].split():
                    number: int = run["id"]
                    return number
        return None

    def run(self, note: RunNote, number: int, timeout: float, /) -> HostedRun | None:  # noqa: ARG002 - as of all hosts
        # If a person runs it again, that counts as another attempt.
        path = f"/actions/runs/{number}/attempts/1"
        answer = self._ask("GET", path, timeout, allowed=_MISSING_STATUSES)
        if answer.status == NOT_FOUND:
            return None
        run = answer.json()
        is_completed = run["status"] == "completed"
        end = github_end(run["status"], run["conclusion"] if is_completed else None)
        facts = {
            "url": run["html_url"],
            "conclusion": run["conclusion"],
            "commit": run["head_sha"],
            **({"problem": end.problem} if end.problem else {}),
        }
        code = end.exit_code
        if end.reason is not None and code is None:
            code = self._exit_code(number, timeout)
        start_time = run.get("run_started_at") or run["created_at"]
        return HostedRun(
            number=number,
            phase=end.phase,
            reason=end.reason,
            exit_code=code,
            started_at=datetime.fromisoformat(start_time),
            ended_at=datetime.fromisoformat(run["updated_at"]) if is_completed else None,
            facts=facts,
            approval=run["html_url"] if run["conclusion"] == "action_required" else None,
        )

    def cancel(self, number: int, timeout: float, /, *, is_forced: bool) -> None:
        verb = "force-cancel" if is_forced else "cancel"
        path = f"/actions/runs/{number}/{verb}"
        answer = self._ask("POST", path, timeout, allowed=frozenset({_CONFLICT}))
        if answer.status == _CONFLICT:
            run = self._ask("GET", f"/actions/runs/{number}", timeout).json()
            if run["status"] != "completed":
                raise VendorFailed(
                    "GitHub cannot cancel the run at the moment.",
                    status=_CONFLICT,
                    vendor_message=answer.data[:300].decode("utf-8", "replace"),
                    remedy="Try again. If GitHub keeps the run queued, ask its support.",
                )

    def log(self, number: int, position: str, timeout: float, /, *, is_over: bool) -> LogChunk:
        """Return a part of the logs; `position` is a job's number and a position in its log."""
        if not is_over:
            # GitHub offers a job's log only after the job has ended.
            return LogChunk(b"", position, is_last=False)
        jobs = sorted(self._jobs(number, timeout), key=lambda job: (job["started_at"], job["id"]))
        first, _, place = position.partition(":")
        index, start = int(first or 0), int(place or 0)
        if index >= len(jobs):
            return LogChunk(b"", position, is_last=True)
        job: int = jobs[index]["id"]
        unread = self._unread
        log = self._job_log(job, timeout) if unread is None or unread[0] != job else unread[1]
        part = log_part(log, start, _PART, _STAMP, is_complete=True)
        is_read = part.end >= len(log)
        self._unread = None if is_read else (job, log)
        position = f"{index + 1}:0" if is_read else f"{index}:{part.end}"
        return LogChunk(part.data, position, is_last=is_read and index + 1 == len(jobs))

    def _job_log(self, job: int, timeout: float) -> bytes:
        """Return the log of a finished job."""
        path = f"{self._root}/actions/jobs/{job}/logs"
        # A job that never ran has no log, and the log of an old job is deleted.
        answer = self._api.download(path, timeout, allowed=_GONE_STATUSES)
        return b"" if answer.status in _GONE_STATUSES else self._api.masked(answer.data, timeout)

    def file(self, number: int, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a file of an artifact; the path begins with the artifact's name."""
        artifact, _, name = path.partition("/")
        query = {"name": artifact}
        for page in self._api.pages(
            f"{self._root}/actions/runs/{number}/artifacts", timeout, query=query
        ):
            for item in page["artifacts"]:
                if item["name"] == artifact and item["size_in_bytes"] <= LARGEST_ANSWER:
                    place = f"{self._root}/actions/artifacts/{item['id']}/zip"
                    answer = self._api.download(place, timeout, allowed=_GONE_STATUSES)
                    return (
                        None
                        if answer.status in _GONE_STATUSES
                        else _archived_file(answer.data, name, limit)
                    )
        return None

    def _exit_code(self, number: int, timeout: float) -> int:
        """Return the exit code in GitHub's annotation of the first failed job."""
        failed = [job for job in self._jobs(number, timeout) if job["conclusion"] == "failure"]
        for job in sorted(failed, key=lambda job: (job["completed_at"], job["id"])):
            url: str = job["check_run_url"]
            check = urlsplit(url).path.rpartition("/")[2]
            notes: list[dict[str, Any]] = []
            try:
                notes = self._ask("GET", f"/check-runs/{check}/annotations", timeout).json()
            except ConnectorError as error:
                if error.retryable:
                    raise
                # The permission `checks: read` is missing.
            return exit_code_in([note["message"] or "" for note in notes])
        return exit_code_in([])

    def _jobs(self, number: int, timeout: float) -> list[dict[str, Any]]:
        path = f"{self._root}/actions/runs/{number}/attempts/1/jobs"
        return [job for page in self._api.pages(path, timeout) for job in page["jobs"]]

    def _commit(self, note: RunNote, parent: str | None, timeout: float) -> str:
        if self._tree is None:
            self._tree, _ = self._tree_and_time(timeout)
        body = {
            "message": f"Claim {note.name}\n\n{note.packed()}",
            "tree": self._tree,
            "parents": [] if parent is None else [parent],
        }
        sha: str = self._ask("POST", "/git/commits", timeout, body=body).json()["sha"]
        self._keep(sha, note)
        return sha

    def _keep(self, sha: str, note: RunNote | None) -> RunNote | None:
        """Cache and return the note of a run's claim, which never changes."""
        if note is not None:
            while len(self._notes) >= _NOTES:
                self._notes.pop(next(iter(self._notes)), None)
            self._notes[sha] = note
        return note

    def _note(self, sha: str, timeout: float) -> RunNote | None:
        note = self._notes.get(sha)
        if note is None:
            answer = self._ask("GET", f"/git/commits/{sha}", timeout, allowed=_MISSING_STATUSES)
            if answer.status == NOT_FOUND:
                return None
            note = RunNote.unpacked(answer.json()["message"])
        return self._keep(sha, note)

    def _tree_and_time(self, timeout: float) -> tuple[str, datetime]:
        """Return any tree of the repository, because a commit needs a tree, and GitHub's time."""
        ref = quote(self._settings.ref, safe="")
        answer = self._ask("GET", f"/commits/{ref}", timeout)
        return answer.json()["commit"]["tree"]["sha"], answer.now

    def _ref(self, step: Step) -> str:
        return step.command[1] if len(step.command) > 1 else self._settings.ref

    def _ask(self, method: str, path: str, timeout: float, **options: Any) -> Answer:
        return self._api.ask(method, f"{self._root}{path}", timeout, **options)


def _archived_file(archive: bytes, name: str, limit: int) -> bytes | None:
    """Return a regular file of a ZIP archive; None if it is missing or too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            entry = file.getinfo(name)
            mode = entry.external_attr >> 16
            is_link = mode != 0 and stat.S_ISLNK(mode)
            if entry.is_dir() or is_link or entry.file_size > limit:
                return None
            with file.open(entry) as content:
                data = content.read(limit + 1)
    except Exception:  # noqa: BLE001 - an archive can be broken in any way
        return None
    return data if len(data) <= limit else None


GITHUB: Final = PlatformKind(name="github", settings=GitHubSettings, build=GitHubPlatform)
"""The kind of platforms that run steps as runs of GitHub Actions workflows."""
