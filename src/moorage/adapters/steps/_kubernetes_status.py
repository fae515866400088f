"""The status of a run, derived from its Kubernetes Job and Pod."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.steps.runs import EndReason, RunPhase, RunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTE: Final = "moorage.step"
"""The annotation of a Job with what the platform has noted."""

CANNOT_START: Final = 125
"""The exit code of a run whose image could not be had."""

_KILLED_CODE: Final = 137
_END_REPORT_SECONDS: Final = 15
"""Seconds after its grace in which the cluster reports the end of a container."""

_IMAGE_PROBLEMS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_THROTTLED_TEXT: Final = "toomanyrequests"


def condition_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the final condition of a Job; empty if the Job is unfinished."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            end_state: dict[str, Any] = condition
            return end_state
    return {}


def status_of(job: Mapping[str, Any], pod: Mapping[str, Any] | None) -> RunStatus:
    """Return the status of a run from its Job and Pod."""
    metadata, condition = job["metadata"], condition_of(job)
    annotations: dict[str, str] = metadata.get("annotations") or {}
    note = note_of(job)
    limit = EndReason.STOPPED if "moorage.stopped" in annotations else EndReason.DEADLINE
    state: dict[str, Any] = pod["status"] if pod is not None else {}
    container, reader = _containers(state)
    states: dict[str, dict[str, Any]] = container.get("state", {})
    waiting = states.get("waiting", {})
    end_state = states.get("terminated", {})
    is_late = has_exceeded_limit(job, pod)
    problem: str | None = state.get("reason") or (
        None if pod is not None else condition.get("reason")
    )
    reading: dict[str, dict[str, Any]] = (reader or {}).get("state", {})
    for held_back in (waiting, reading.get("waiting", {})):
        if held_back.get("reason") in _IMAGE_PROBLEMS:
            problem = f"{held_back['reason']}: {held_back.get('message', '')}"[:300]
    is_settled = bool(condition)
    if is_settled and is_late and pod is not None:
        grace = timedelta(
            seconds=pod["spec"].get("terminationGracePeriodSeconds", 0) + _END_REPORT_SECONDS
        )
        is_settled = datetime.now(UTC) > moment_of(condition["lastTransitionTime"]) + grace
    phase, code = _phase(state, container, problem, is_settled=is_settled, is_late=is_late)
    is_cut_short = is_settled or is_late or (problem is not None and _THROTTLED_TEXT not in problem)
    is_reading = reader is not None and "terminated" not in reading
    if code == 0 and is_reading and not is_cut_short:
        # The run of a successful step must include its files.
        phase, code = RunPhase.RUNNING, None
    reason = None
    if phase is RunPhase.ENDED:
        is_out = end_state.get("reason") == "OOMKilled"
        reason = EndReason.OUT_OF_MEMORY if is_out else EndReason.EXITED
        reason = limit if is_late else reason
    is_over = phase in {RunPhase.ENDED, RunPhase.LOST}
    start_time = states.get("running", end_state).get("startedAt")
    facts: dict[str, Any] = {"namespace": metadata.get("namespace"), "uid": metadata.get("uid")}
    if pod is not None:
        facts["pod"] = pod["metadata"]["name"]
        facts["node"] = pod.get("spec", {}).get("nodeName")
    if problem:
        facts["problem"] = problem
    created_at = metadata["creationTimestamp"]
    end = end_state.get("finishedAt") or condition.get("lastTransitionTime") or created_at
    return RunStatus(
        name=metadata["name"],
        phase=phase,
        exit_code=code,
        reason=reason,
        fingerprint=note.get("fingerprint"),
        started_at=moment_of(start_time or created_at) if start_time or is_over else None,
        ended_at=moment_of(end) if is_over else None,
        step=note.get("step"),
        labels=note.get("labels", {}),
        metadata=facts,
    )


def has_exceeded_limit(job: Mapping[str, Any], pod: Mapping[str, Any] | None) -> bool:
    """Return whether a Job or Pod exceeded its time limit, even if its container still runs."""
    state: dict[str, Any] = pod["status"] if pod is not None else {}
    return "DeadlineExceeded" in {state.get("reason"), condition_of(job).get("reason")}


def note_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the note about a run that moorage's platform stored in a Job."""
    annotations: dict[str, str] = job["metadata"].get("annotations") or {}
    note: dict[str, Any] = json.loads(annotations.get(NOTE, "{}"))
    return note


def _containers(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the status of the step's container, and of the container that writes its files."""
    statuses: list[dict[str, Any]] = state.get("containerStatuses") or [{}]
    first: list[dict[str, Any]] = state.get("initContainerStatuses") or []
    return (first[0], statuses[0]) if first else (statuses[0], None)


def _phase(
    state: Mapping[str, Any],
    container: Mapping[str, Any],
    problem: str | None,
    *,
    is_settled: bool,
    is_late: bool,
) -> tuple[RunPhase, int | None]:
    """Return the phase and exit code from the states of a Pod and its container."""
    end_state = container.get("state", {}).get("terminated")
    if end_state is not None:
        return RunPhase.ENDED, end_state["exitCode"]
    if is_late:
        # The pod ends at its time limit before its container, and old clusters never report its
        # end.
        is_dying = bool(container) and not is_settled
        return (RunPhase.RUNNING, None) if is_dying else (RunPhase.ENDED, _KILLED_CODE)
    if is_settled or state.get("phase") in {"Failed", "Unknown"}:
        return RunPhase.LOST, None
    if state.get("phase") == "Running" or "running" in container.get("state", {}):
        return RunPhase.RUNNING, None
    # If an image registry asks for a pause, the cluster tries again by itself.
    if "waiting" in container.get("state", {}) and problem and _THROTTLED_TEXT not in problem:
        return RunPhase.ENDED, CANNOT_START
    return RunPhase.STARTING, None


def moment_of(text: str) -> datetime:
    """Parse a time of the Kubernetes API, with up to nine decimals."""
    return datetime.fromisoformat(text)
