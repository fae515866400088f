"""Steps that run as GitLab pipelines.

A run is claimed with a label of the project, whose title only one caller can create. The label's
description is the note of the run. The label turns red if a caller has asked the run to end, so
that this mark and the number of the pipeline are never written over each other. The pipeline gets
the name of the run as a variable, by which it is found again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage.adapters.steps._git_host_answers import NOT_FOUND, reads_answers
from moorage.adapters.steps._git_host_platform import Claim, GitHostRuns
from moorage.adapters.steps._git_host_wire import FixedAccess, GitHostApi, in_seconds
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.steps.hosted_runs import (
    KILLED,
    HostedRun,
    RunNote,
    exit_code_in,
    gitlab_end,
    log_part,
)
from moorage.domain.steps.runs import EndReason, LogChunk
from moorage.domain.steps.step import ConnectorType
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, InvalidRequest
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.adapters.steps._git_host_answers import Answer
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.steps.runs import RunSpec
    from moorage.domain.steps.step import Step

_PROJECT: Final = late_pattern(
    r"[0-9]+|(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+"
)
_SCOPE: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_REF: Final = late_pattern(r"[A-Za-z0-9_.][A-Za-z0-9_./-]{0,199}")
_STAMP: Final = late_pattern(
    rb"^(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z [0-9a-f]{2}[OE][+ ]?)?"
    rb"(?:section_(?:start|end):\d+:[^\r\n]{1,200}\r?(?:\x1b\[0K)?)*"
)
_MISSING: Final = frozenset({NOT_FOUND})
_NO_TRACE: Final = frozenset({404, 416})
_PARTIAL_STATUS: Final = 206
_OPEN_COLOR: Final = "#428bca"
_STOPPED_COLOR: Final = "#cc0033"
_LATE_COLOR: Final = "#ed9121"
_DONE_STATUSES: Final = frozenset({"success", "failed", "canceled", "skipped", "manual"})
_TIMEOUTS: Final = frozenset({"job_execution_timeout", "job_execution_server_timeout"})
_PART: Final = 1024 * 1024
_SEARCH_MARGIN: Final = timedelta(minutes=2)
_TAIL_BYTES: Final = 4096


@checked_options
@attrs.frozen(kw_only=True)
class GitLabSettings:
    """Steps that run as GitLab pipelines.

    Attributes:
        project: the path or the number of the project, such as "acme/erp".
        token: an access token of the project, a group or a person with the scope `api` and the role
            Developer.
        api: the URL of the API.
        ca_file: a file with further certificate authorities to trust.
        scope: a name for the runs of this program; other runs are left alone.
        run_variable: the variable of the pipelines that gets the name of the run.
        pace: shortest time in seconds between two requests for the state of a run.
        lost_after: seconds after which a run that has not appeared is lost.
    """

    project: str
    token: Secret = attrs.field(converter=maybe_secret, repr=False)
    api: str = "https://gitlab.com/api/v4"
    ca_file: str | None = None
    scope: str = "moorage"
    run_variable: str = "MOORAGE_RUN"
    pace: float = attrs.field(default=5.0, validator=in_seconds(0))
    lost_after: float = attrs.field(default=120.0, validator=in_seconds(1))

    def __attrs_post_init__(self) -> None:
        """Check the names, and that the token is not empty."""
        for name, pattern in (("project", _PROJECT), ("scope", _SCOPE)):
            value: str = getattr(self, name)
            if pattern.fullmatch(value) is None:
                raise ConfigurationError(
                    f"{value[:80]!r} cannot be the {name} of a GitLab platform.",
                    path=name,
                    remedy="Write a project such as 'acme/erp', and a scope such as 'reports'.",
                )
        if not self.token:
            raise ConfigurationError(
                "The token of the GitLab platform is empty.",
                path="token",
                remedy="Give an access token with the scope `api`.",
            )


def gitlab_api(settings: GitLabSettings) -> GitHostApi:
    """Return the GitLab API for these settings."""
    access = FixedAccess("PRIVATE-TOKEN", settings.token)
    return GitHostApi("GitLab", settings.api, access, settings.ca_file)


@with_careful_constructor
class GitLabPlatform(GitHostRuns):
    """Runs steps as GitLab pipelines.

    The command of a step is the branch or the tag whose pipeline runs. The step's environment
    becomes the variables of the pipeline.

    A run has one output: the logs of its jobs in the order of their numbers, which are read while
    they are written. The exit code is the one that the runner prints in the log of the first job
    that failed. For a pipeline that was cancelled it is 137.

    Args:
        settings: the project, and the token.

    Raises:
        ConfigurationError: a setting is not valid.
    """

    type = ConnectorType.GITLAB

    def __init__(self, settings: GitLabSettings) -> None:
        super().__init__(
            _GitLab(settings, gitlab_api(settings)), settings.pace, settings.lost_after
        )


@reads_answers("GitLab")
class _GitLab:
    """The requests to GitLab with which `GitHostRuns` starts, finds and ends runs."""

    def __init__(self, settings: GitLabSettings, api: GitHostApi) -> None:
        self._settings = settings
        self._api = api
        self._root = f"/projects/{quote(settings.project, safe='')}"

    def check(self, step: Step, /) -> None:
        """Refuse a step that has neither a branch nor a tag."""
        if len(step.command) != 1 or _REF.fullmatch(step.command[0]) is None:
            raise InvalidData(
                f"The command of the step {step.name!r} is not a branch or tag.",
                field="command",
                remedy="Give the branch or the tag whose pipeline runs, such as ['main'].",
            )
        variable = self._settings.run_variable
        if variable in step.environment:
            raise InvalidData(
                f"The step {step.name!r} sets the variable {variable}, which moorage sets.",
                field="environment",
                remedy="Leave the variable out, because moorage sets it to the name of the run.",
            )

    def target(self, step: Step, /) -> str:
        return step.command[0]

    def now(self, timeout: float, /) -> datetime:
        return self._ask("GET", "", timeout).now

    def claim(self, note: RunNote, timeout: float, /) -> Claim | None:
        body = {
            "name": self._title(note.name),
            "color": _OPEN_COLOR,
            "description": note.packed(),
        }
        problem: ConnectorError
        try:
            return Claim(note, self._ask("POST", "/labels", timeout, body=body).now)
        except ConnectorError as error:
            # The label exists, or it was created and the response was lost.
            problem = error
        claim = self.claim_of(note.name, timeout)
        if claim is None:
            raise problem
        return claim if claim.note.owner == note.owner else None

    def claim_of(self, name: str, timeout: float, /) -> Claim | None:
        query = {"include_ancestor_groups": "false"}
        path = f"/labels/{self._title(name)}"
        answer = self._ask("GET", path, timeout, query=query, allowed=_MISSING)
        note = None if answer.status == NOT_FOUND else _note_of_label(answer.json())
        return None if note is None else Claim(note, answer.now)

    def claims(self, timeout: float, /) -> Sequence[Claim]:
        now = self.now(timeout)
        query = {"search": self._title(""), "include_ancestor_groups": "false"}
        labels = [
            label
            for page in self._api.pages(f"{self._root}/labels", timeout, query=query)
            for label in page
            if label["name"].startswith(self._title(""))
        ]
        return [Claim(note, now) for label in labels if (note := _note_of_label(label)) is not None]

    def change(
        self, name: str, change: Callable[[RunNote], RunNote], timeout: float, /
    ) -> Claim | None:
        claim = self.claim_of(name, timeout)
        if claim is None:
            return None
        note, body = change(claim.note), dict[str, str]()
        if note.run != claim.note.run:
            body["description"] = note.changed(is_stopped=False, is_late=False).packed()
        if (note.is_stopped, note.is_late) != (claim.note.is_stopped, claim.note.is_late):
            body["color"] = _STOPPED_COLOR if note.is_stopped else _LATE_COLOR
        if body:
            self._ask("PUT", f"/labels/{self._title(name)}", timeout, body=body)
        return claim._replace(note=note)

    def give_back(self, name: str, timeout: float, /) -> None:
        self._ask("DELETE", f"/labels/{self._title(name)}", timeout, allowed=_MISSING)

    def begin(self, spec: RunSpec, timeout: float, /) -> int | None:
        variables = {**spec.step.environment, self._settings.run_variable: spec.name}
        body = {
            "ref": spec.step.command[0],
            "variables": [{"key": name, "value": text} for name, text in variables.items()],
        }
        try:
            number: int = self._ask("POST", "/pipeline", timeout, body=body).json()["id"]
        except InvalidRequest as error:
            error.remedy = (
                f"Check that {spec.step.command[0]} exists and has jobs for pipelines of the API,"
                " and that the token's role may set pipeline variables in the project."
            )
            raise
        return number

    def find(self, note: RunNote, timeout: float, /) -> int | None:
        query = {
            "ref": note.target,
            "source": "api",
            "created_after": (note.claimed_at - _SEARCH_MARGIN).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "order_by": "id",
            "sort": "asc",
        }
        for page in self._api.pages(f"{self._root}/pipelines", timeout, query=query):
            for pipeline in page:
                number: int = pipeline["id"]
                path = f"/pipelines/{number}/variables"
                for variable in self._ask("GET", path, timeout).json():
                    if (variable["key"], variable["value"]) == (
                        self._settings.run_variable,
                        note.name,
                    ):
                        return number
        return None

    def run(self, note: RunNote, number: int, timeout: float, /) -> HostedRun | None:  # noqa: ARG002 - as of all hosts
        answer = self._ask("GET", f"/pipelines/{number}", timeout, allowed=_MISSING)
        if answer.status == NOT_FOUND:
            return None
        pipeline = answer.json()
        end = gitlab_end(pipeline["status"])
        code, reason = end.exit_code, end.reason
        if reason is not None and code is None:
            code, reason = self._failure(number, timeout)
        ended_at = pipeline["finished_at"] or pipeline["updated_at"]
        return HostedRun(
            number=number,
            phase=end.phase,
            reason=reason,
            exit_code=code,
            started_at=datetime.fromisoformat(pipeline["started_at"] or pipeline["created_at"]),
            ended_at=datetime.fromisoformat(ended_at) if reason is not None else None,
            facts={
                "url": pipeline["web_url"],
                "status": pipeline["status"],
                "commit": pipeline["sha"],
                **({"problem": end.problem} if end.problem else {}),
            },
        )

    def cancel(self, number: int, timeout: float, /, *, is_forced: bool) -> None:
        self._ask("POST", f"/pipelines/{number}/cancel", timeout)
        if is_forced:
            for job in self._jobs(number, timeout):
                if job["status"] == "canceling":
                    # Only a maintainer may do this; for other users the job waits for a runner.
                    path, allowed = f"/jobs/{job['id']}/cancel", frozenset({403})
                    self._ask("POST", path, timeout, body={"force": True}, allowed=allowed)

    def log(self, number: int, position: str, timeout: float, /, *, is_over: bool) -> LogChunk:
        """Return a part of the logs; `position` is a job's number and a position in its log."""
        first, _, place = position.partition(":")
        jobs = sorted(self._jobs(number, timeout), key=lambda job: job["id"])
        remaining_jobs = [job for job in jobs if job["id"] >= int(first or 0)]
        while remaining_jobs:
            job = remaining_jobs.pop(0)
            start = int(place or 0) if str(job["id"]) == first else 0
            is_done = is_over or job["status"] in _DONE_STATUSES
            log, base = self._trace(job["id"], start, timeout)
            part = log_part(log, start - base, _PART, _STAMP, is_complete=is_done)
            end = base + part.end
            is_read = is_done and part.end >= len(log)
            if part.data or not is_read:
                is_last = is_over and is_read and not remaining_jobs
                return LogChunk(part.data, f"{job['id']}:{end}", is_last)
            position = f"{job['id']}:{end}"
        return LogChunk(b"", position, is_over)

    def file(self, number: int, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a file from the artifacts of the first job that has it."""
        for job in sorted(self._jobs(number, timeout), key=lambda job: job["id"]):
            if job.get("artifacts_file"):
                place = f"{self._root}/jobs/{job['id']}/artifacts/{quote(path)}"
                answer = self._api.download(place, timeout, allowed=frozenset({400, 404}))
                if answer.status == 200:
                    return answer.data if len(answer.data) <= limit else None
        return None

    def _failure(self, number: int, timeout: float) -> tuple[int, EndReason]:
        """Return the exit code that the runner printed in the first failed job's log."""
        failed = [job for job in self._jobs(number, timeout) if job["status"] == "failed"]
        for job in sorted(failed, key=lambda job: (job["finished_at"] or "", job["id"])):
            if job.get("allow_failure"):
                continue
            if job.get("failure_reason") in _TIMEOUTS:
                return KILLED, EndReason.DEADLINE
            log, _ = self._trace(job["id"], 0, timeout)
            return exit_code_in([log[-_TAIL_BYTES:].decode("utf-8", "replace")]), EndReason.EXITED
        return exit_code_in([]), EndReason.EXITED

    def _trace(self, job: int, start: int, timeout: float) -> tuple[bytes, int]:
        """Return a job's log from about this position, and the exact position of its first byte.

        The request asks for a range, but GitLab up to version 19 answers with the whole log.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        answer = self._ask("GET", f"/jobs/{job}/trace", timeout, headers=headers, allowed=_NO_TRACE)
        if answer.status in _NO_TRACE:
            return b"", start
        base = start if answer.status == _PARTIAL_STATUS else 0
        return self._api.masked(answer.data, timeout), base

    def _jobs(self, number: int, timeout: float) -> list[dict[str, Any]]:
        path = f"{self._root}/pipelines/{number}/jobs"
        query = {"include_retried": "true"}
        return [job for page in self._api.pages(path, timeout, query=query) for job in page]

    def _title(self, name: str) -> str:
        return f"{self._settings.scope}.{name}"

    def _ask(self, method: str, path: str, timeout: float, **options: Any) -> Answer:
        return self._api.ask(method, f"{self._root}{path}", timeout, **options)


def _note_of_label(label: dict[str, Any]) -> RunNote | None:
    """Return the note of a run in a GitLab label; None if another program made the label."""
    note = RunNote.unpacked(label["description"] or "")
    color = label["color"].lower()
    return note and note.changed(is_stopped=color == _STOPPED_COLOR, is_late=color == _LATE_COLOR)


GITLAB: Final = PlatformKind(name="gitlab", settings=GitLabSettings, build=GitLabPlatform)
"""The kind of platforms that run steps as pipelines of GitLab."""
