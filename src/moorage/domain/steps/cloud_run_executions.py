"""Executions of Cloud Run jobs: the meaning of their states, and the entries of their logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.steps.cloud_runs import (
    CloudRun,
    CloudRunEnd,
    CloudRunNote,
    cloud_status,
    moment_of,
    part_of,
    parts_of,
)
from moorage.domain.steps.hosted_runs import KILLED, NEVER_RAN
from moorage.domain.steps.result import exit_code_of_signal
from moorage.domain.steps.runs import EndReason, LogChunk, RunPhase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

SCOPE_LABEL: Final = "moorage-scope"
"""The label with the scope of a job's platform."""

_SUCCEEDED: Final = "CONDITION_SUCCEEDED"
_FAILED: Final = "CONDITION_FAILED"
_CANCELLED_REASONS: Final = frozenset({"CANCELLED", "CANCELLING"})


def has_failed(execution: Mapping[str, Any] | None) -> bool:
    """Return whether an execution ended without success, so that its task has more details."""
    return execution is not None and _completion_condition(execution).get("state") == _FAILED


def execution_end(
    job: Mapping[str, Any], execution: Mapping[str, Any] | None, task: Mapping[str, Any]
) -> CloudRunEnd:
    """Return the phase of a job's execution and, if it has ended, the reason of its end.

    Args:
        job: Cloud Run's description of the job.
        execution: its execution; None if there is none yet.
        task: the task of an execution that has failed; empty for other executions.
    """
    if execution is None:
        terminal = part_of(job, "terminalCondition")
        if terminal.get("state") == _FAILED:
            return CloudRunEnd(RunPhase.ENDED, NEVER_RAN, EndReason.EXITED, _message(terminal))
        return CloudRunEnd(RunPhase.STARTING)
    condition = _completion_condition(execution)
    state = condition.get("state")
    if state == _SUCCEEDED:
        return CloudRunEnd(RunPhase.ENDED, 0, EndReason.EXITED)
    if state == _FAILED:
        return _failure(condition, execution, task)
    if execution.get("completionTime"):
        return CloudRunEnd(
            RunPhase.LOST, problem=f"Cloud Run reported the state {str(state)[:40]!r}."
        )
    return CloudRunEnd(RunPhase.RUNNING if execution.get("startTime") else RunPhase.STARTING)


def _failure(
    condition: Mapping[str, Any], execution: Mapping[str, Any], task: Mapping[str, Any]
) -> CloudRunEnd:
    """Return the end of an execution that has failed: its reason, exit code and problem."""
    result = part_of(task, "lastAttemptResult")
    status = part_of(result, "status")
    problem = _message(status) or _message(condition)
    code: int | None = result.get("exitCode")
    if result.get("termSignal"):
        code = exit_code_of_signal(result["termSignal"])
    text = (problem or "").lower()
    if condition.get("executionReason") in _CANCELLED_REASONS or execution.get("cancelledCount"):
        return CloudRunEnd(RunPhase.ENDED, code or KILLED, EndReason.STOPPED)
    if "timeout" in text:
        return CloudRunEnd(RunPhase.ENDED, code or KILLED, EndReason.DEADLINE, problem)
    if "memory limit" in text or "out of memory" in text:
        return CloudRunEnd(RunPhase.ENDED, code or KILLED, EndReason.OUT_OF_MEMORY, problem)
    if code:
        return CloudRunEnd(RunPhase.ENDED, code, EndReason.EXITED, problem)
    if not task.get("startTime"):
        return CloudRunEnd(RunPhase.ENDED, NEVER_RAN, EndReason.EXITED, problem)
    return CloudRunEnd(RunPhase.LOST, problem=problem or "Cloud Run did not report an exit code.")


def job_run(
    job: Mapping[str, Any],
    execution: Mapping[str, Any] | None,
    task: Mapping[str, Any],
    now: datetime,
) -> CloudRun | None:
    """Return the run of a job; None if the job was not created by this program.

    Args:
        job: the job, as Cloud Run describes it.
        execution: its execution; None if there is none yet.
        task: the task of an execution that has failed; empty for other executions.
        now: the time of Cloud Run.
    """
    note = CloudRunNote.of_tags(job.get("annotations"))
    if note is None:
        return None
    execution_fields: Mapping[str, Any] = execution or {}
    name = short_name(execution_fields.get("name") or "")
    end = execution_end(job, execution, task)
    status = cloud_status(
        note,
        end,
        started_at=moment_of(execution_fields.get("startTime")),
        ended_at=moment_of(execution_fields.get("completionTime") or job.get("updateTime")),
        facts={
            "job": job["name"],
            "execution": name or None,
            "url": execution_fields.get("logUri"),
        },
    )
    return CloudRun(note, status, name, now)


def short_name(name: str) -> str:
    """Return the last part of the name of a job or an execution."""
    return name.rpartition("/")[2]


def log_filter(
    project: str,
    location: str,
    execution: str,
    stream: str,
    *,
    since: str,
    until: datetime | None,
) -> str:
    """Return the Cloud Logging filter that selects the log entries of an execution.

    Args:
        project: the project.
        location: the region of the job.
        execution: the short name of the execution.
        stream: "stdout" or "stderr".
        since: the time of the first entry; empty for all.
        until: the time of the last entry; None for all.
    """
    parts = [
        'resource.type="cloud_run_job"',
        f'resource.labels.location="{location}"',
        f'labels."run.googleapis.com/execution_name"="{execution}"',
        f'logName="projects/{project}/logs/run.googleapis.com%2F{stream}"',
    ]
    if since:
        parts.append(f'timestamp>="{since}"')
    if until is not None:
        parts.append(f'timestamp<="{until.isoformat()}"')
    return " AND ".join(parts)


def log_chunk(entries: Iterable[Mapping[str, Any]], position: str, *, is_last: bool) -> LogChunk:
    """Return log lines after `position`, which is the time and the id of a log entry.

    Args:
        entries: the entries in the order of their times, from the time of the position.
        position: the position; empty for the beginning.
        is_last: whether no further entries will appear.
    """
    time, _, insert_id = position.partition("#")
    lines: list[bytes] = []
    for entry in entries:
        # Log entries with the same time are ordered by their ids.
        if entry["timestamp"] == time and entry["insertId"] <= insert_id:
            continue
        lines.append(_line(entry))
        position = f"{entry['timestamp']}#{entry['insertId']}"
    return LogChunk(b"".join(lines), position, is_last)


def _line(entry: Mapping[str, Any]) -> bytes:
    """Return the line of output in a log entry, which may be a document if the line is JSON."""
    text: str | None = entry.get("textPayload")
    if text is None:
        text = json.dumps(part_of(entry, "jsonPayload"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def _completion_condition(execution: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the condition that shows whether an execution has completed."""
    conditions = parts_of(execution, "conditions")
    return next((item for item in conditions if item.get("type") == "Completed"), dict[str, Any]())


def _message(facts: Mapping[str, Any]) -> str | None:
    message = str(facts.get("message") or "")[:500]
    return message or None
