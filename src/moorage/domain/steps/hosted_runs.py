"""Runs of a git host: the note by which a caller claims a run, its state, and its log."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import attrs

from moorage.domain.steps.runs import EndReason, RunPhase, RunStatus
from moorage.domain.values.frozen_values import evolve, frozen
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping

    from moorage.domain.steps.runs import RunSpec

KILLED: Final = 137
"""The exit code of a run that was ended from outside, because git hosts report none."""

NEVER_RAN: Final = 125
"""The exit code of a run of which no job ran."""

FAILED: Final = 1
"""The exit code of a run that failed, if its host reports no other one."""

_MAX_NUMBER: Final = 10**11
"""The largest number in a note: of seconds, or the number of a run."""

_HEAD: Final = "moorage-run:"
_EXIT_CODE: Final = late_pattern(
    r"(?:Process completed with exit code|ERROR: Job failed: exit (?:code|status)) (\d{1,3})\b"
)


@frozen(kw_only=True)
class RunNote:
    """The note by which one caller claims the name of a run, and by which others find the run.

    Attributes:
        name: the name of the run.
        target: the workflow or the git ref that runs.
        step: the name of the step.
        fingerprint: the fingerprint of the step.
        labels: the labels of the run.
        timeout: seconds after which the run is ended.
        grace: seconds between the request to end and the kill.
        owner: a random text of the caller who wrote the note.
        claimed_at: the host's time of the claim.
        run: the number of the run at the host; None if it is not known yet.
        is_stopped: whether somebody asked the run to end.
        is_late: whether the run was asked to end at its time limit.
    """

    name: str
    target: str
    step: str
    fingerprint: str
    labels: Mapping[str, str]
    timeout: float
    grace: float
    owner: str
    claimed_at: datetime
    run: int | None = None
    is_stopped: bool = False
    is_late: bool = False

    @classmethod
    def of(cls, spec: RunSpec, target: str, *, owner: str, now: datetime) -> Self:
        """Return the note with which a caller claims a run."""
        step = spec.step
        return cls(
            name=spec.name,
            target=target,
            step=step.name,
            fingerprint=step.fingerprint,
            labels=dict(spec.labels),
            timeout=step.timeout,
            grace=step.grace,
            owner=owner,
            claimed_at=now,
        )

    def changed(self, **fields: Any) -> Self:
        """Return the note with other values of some fields."""
        return evolve(self, **fields)

    def packed(self) -> str:
        """Return the note as text of letters, digits and hyphens, which no host changes."""
        fields = attrs.asdict(self)
        fields["claimed_at"] = self.claimed_at.isoformat()
        return _HEAD + urlsafe_b64encode(json.dumps(fields).encode()).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self | None:
        """Return the note that a string contains; None if it contains none."""
        packed_note = text.partition(_HEAD)[2]
        try:
            fields: dict[str, Any] = json.loads(urlsafe_b64decode(packed_note.split()[0]))
            fields["claimed_at"] = datetime.fromisoformat(fields["claimed_at"])
            note = cls(**fields)
        except (ValueError, LookupError, TypeError, RecursionError):
            # An object with this name belongs to another user.
            return None
        return note if _has_valid_fields(note) else None


def _has_valid_fields(note: RunNote) -> bool:
    """Return whether the fields of a note have the types and ranges that callers write."""
    labels: Any = note.labels
    if not isinstance(labels, dict):
        return False
    names = (note.name, note.target, note.step, note.fingerprint, note.owner)
    texts: list[Any] = [*names, *labels, *labels.values()]
    numbers: list[Any] = [note.timeout, note.grace, 0 if note.run is None else note.run]
    return (
        all(isinstance(text, str) for text in texts)
        and all(type(number) in {int, float} and 0 <= number <= _MAX_NUMBER for number in numbers)
        and type(note.run) is not float
        and note.claimed_at.tzinfo is not None
    )


class HostedRun(NamedTuple):
    """The data that a git host has about a run now.

    Attributes:
        number: the number of the run at the host.
        phase: the run's current phase; LOST if the host gave it up.
        reason: the reason of its end, if it has ended.
        exit_code: the run's exit code, if the run has ended.
        started_at: the time at which it began.
        ended_at: the time at which it ended.
        facts: further facts, such as its URL.
        approval: the URL at which a person must approve the run; None if no approval is needed.
    """

    number: int
    phase: RunPhase
    reason: EndReason | None
    exit_code: int | None
    started_at: datetime | None
    ended_at: datetime | None
    facts: Mapping[str, Any]
    approval: str | None = None

    @property
    def is_over(self) -> bool:
        """True if the run has ended or is lost."""
        return self.phase in {RunPhase.ENDED, RunPhase.LOST}


class RunEnd(NamedTuple):
    """A git host's state of a run in moorage's terms: the run's phase, and how it ended.

    Attributes:
        phase: the phase of the run.
        reason: the reason of its end, if it has ended.
        exit_code: the run's exit code; None if it has not ended, or if the host reports it
            elsewhere.
        problem: the problem to report to a person; None if there is none.
    """

    phase: RunPhase
    reason: EndReason | None = None
    exit_code: int | None = None
    problem: str | None = None


GITHUB_CONCLUSIONS: Final[Mapping[str, RunEnd]] = {
    "success": RunEnd(RunPhase.ENDED, EndReason.EXITED, 0),
    "neutral": RunEnd(RunPhase.ENDED, EndReason.EXITED, 0),
    "failure": RunEnd(RunPhase.ENDED, EndReason.EXITED),
    "cancelled": RunEnd(RunPhase.ENDED, EndReason.STOPPED, KILLED),
    "timed_out": RunEnd(RunPhase.ENDED, EndReason.DEADLINE, KILLED),
    "skipped": RunEnd(RunPhase.ENDED, EndReason.EXITED, NEVER_RAN, "All jobs were skipped."),
    "startup_failure": RunEnd(
        RunPhase.ENDED, EndReason.EXITED, NEVER_RAN, "The workflow could not start."
    ),
    "stale": RunEnd(RunPhase.LOST, problem="GitHub gave up the run."),
    "action_required": RunEnd(RunPhase.RUNNING, problem="A person must approve the run."),
}
"""The meaning of each conclusion of a workflow run."""

GITHUB_STATUSES: Final[Mapping[str, RunEnd]] = {
    "in_progress": RunEnd(RunPhase.RUNNING),
    "waiting": RunEnd(
        RunPhase.STARTING, problem="A protection rule of the environment holds the run."
    ),
}
"""The meaning of statuses of a workflow run without a conclusion; of others, it is starting."""

GITLAB_STATUSES: Final[Mapping[str, RunEnd]] = {
    "success": RunEnd(RunPhase.ENDED, EndReason.EXITED, 0),
    "failed": RunEnd(RunPhase.ENDED, EndReason.EXITED),
    "canceled": RunEnd(RunPhase.ENDED, EndReason.STOPPED, KILLED),
    "skipped": RunEnd(RunPhase.ENDED, EndReason.EXITED, NEVER_RAN, "All jobs were skipped."),
    "running": RunEnd(RunPhase.RUNNING),
    "canceling": RunEnd(RunPhase.RUNNING),
    "manual": RunEnd(RunPhase.RUNNING, problem="A person must start the next job."),
    "scheduled": RunEnd(RunPhase.RUNNING, problem="The next job waits for its scheduled time."),
}
"""The meaning of each status of a pipeline; with any other one, it is starting."""


def github_end(status: str | None, conclusion: str | None) -> RunEnd:
    """Return the phase and the end of a run, from a workflow run's status and conclusion."""
    if conclusion is None:
        return GITHUB_STATUSES.get(status or "", RunEnd(RunPhase.STARTING))
    problem = f"GitHub reported that the run ended as {conclusion[:40]!r}."
    return GITHUB_CONCLUSIONS.get(conclusion, RunEnd(RunPhase.LOST, problem=problem))


def gitlab_end(status: str) -> RunEnd:
    """Return the phase and the end of a run, from the status of a GitLab pipeline."""
    return GITLAB_STATUSES.get(status, RunEnd(RunPhase.STARTING))


def exit_code_in(texts: Iterable[str]) -> int:
    """Return the exit code that a host's own messages state, and 1 if they state none."""
    codes = [int(match[1]) for text in texts for match in _EXIT_CODE.finditer(text)]
    return codes[-1] if codes and codes[-1] else FAILED


def hosted_status(note: RunNote, run: HostedRun | None, *, is_lost: bool = False) -> RunStatus:
    """Return the status of a run.

    Args:
        note: the note with which the run was claimed.
        run: the facts of its host; None if no run was found.
        is_lost: whether a run that was not found will not appear any more.
    """
    if run is None:
        problem = "The start of the run was never confirmed, and the host does not have this run."
        return RunStatus(
            name=note.name,
            phase=RunPhase.LOST if is_lost else RunPhase.STARTING,
            fingerprint=note.fingerprint,
            step=note.step,
            labels=note.labels,
            metadata={"problem": problem} if is_lost else {},
        )
    reason = run.reason
    if reason is EndReason.STOPPED and note.is_late:
        reason = EndReason.DEADLINE
    status_fields: dict[str, Any] = {**run.facts, "number": run.number}
    return RunStatus(
        name=note.name,
        phase=run.phase,
        exit_code=run.exit_code,
        reason=reason,
        fingerprint=note.fingerprint,
        started_at=run.started_at,
        ended_at=run.ended_at,
        step=note.step,
        labels=note.labels,
        metadata=status_fields,
    )


def is_late(note: RunNote, run: HostedRun, now: datetime) -> bool:
    """Return whether a run is still running after its time limit."""
    if run.is_over or run.started_at is None:
        return False
    return now >= run.started_at + timedelta(seconds=note.timeout)


def must_be_killed(note: RunNote, run: HostedRun, now: datetime) -> bool:
    """Return whether a run still runs after its time limit and its time to stop."""
    return is_late(note, run, now - timedelta(seconds=note.grace))


class LogPart(NamedTuple):
    """A part of a job's log: its lines without the host's marks, and the position after them."""

    data: bytes
    end: int


def log_part(
    log: bytes, start: int, size: int, stamp: re.Pattern[bytes], *, is_complete: bool
) -> LogPart:
    """Return whole lines of a log, without the timestamps at their beginnings.

    Args:
        log: the current log; later it may only have more bytes at its end.
        start: the place of the first line, as a number of bytes.
        size: the approximate number of bytes to return; a line is never cut.
        stamp: the pattern of the text that the host writes in front of a line.
        is_complete: whether the log is complete; until then a last line without an end is left out.
    """
    end = len(log)
    if end - start > size:
        end = log.find(b"\n", start + size) + 1 or end
    if not (is_complete and end == len(log)):
        end = max(start, log.rfind(b"\n", start, end) + 1)
    lines = log[start:end].split(b"\n")
    return LogPart(b"\n".join(stamp.sub(b"", line, count=1) for line in lines), end)
