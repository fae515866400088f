"""Groups of Azure Container Instances: the meaning of their states."""

from __future__ import annotations

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
from moorage.domain.steps.runs import EndReason, LogChunk, RunPhase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

SCOPE_TAG: Final = "moorage-scope"
"""The tag with the scope of a group's platform."""

END_TAG: Final = "moorage-end"
"""The tag with the reason for which a group was stopped."""

_END_REASONS: Final = {reason.value: reason for reason in (EndReason.STOPPED, EndReason.DEADLINE)}
_END_STATES: Final = frozenset({"Succeeded", "Failed"})
_PART: Final = 1024 * 1024


def group_end(group: Mapping[str, Any]) -> CloudRunEnd:
    """Return the phase of a container group's run and, if it has ended, the reason of its end."""
    properties = part_of(group, "properties")
    state = part_of(properties, "instanceView").get("state")
    group_state = _state(group)
    reason = _END_REASONS.get(part_of(group, "tags").get(END_TAG, ""))
    code: int | None = group_state.get("exitCode")
    if group_state.get("state") == "Terminated" and code is not None:
        detail = str(group_state.get("detailStatus") or "")
        if detail.startswith("OOM"):
            return CloudRunEnd(RunPhase.ENDED, code or KILLED, EndReason.OUT_OF_MEMORY)
        return CloudRunEnd(RunPhase.ENDED, code, reason or EndReason.EXITED)
    if state == "Stopped":
        return CloudRunEnd(RunPhase.ENDED, KILLED, reason or EndReason.STOPPED)
    problem = _problem(group)
    if properties.get("provisioningState") == "Failed":
        return CloudRunEnd(RunPhase.ENDED, NEVER_RAN, EndReason.EXITED, problem)
    if state in _END_STATES or group_state.get("state") == "Terminated":
        return CloudRunEnd(RunPhase.LOST, problem=problem or "Azure did not report an exit code.")
    is_running = group_state.get("state") == "Running"
    return CloudRunEnd(RunPhase.RUNNING if is_running else RunPhase.STARTING, problem=problem)


def group_run(group: Mapping[str, Any], now: datetime) -> CloudRun | None:
    """Return the run of a group; None if the group was not created by this program.

    Args:
        group: the group, as Azure describes it.
        now: the time of Azure.
    """
    tags = part_of(group, "tags")
    note = CloudRunNote.of_tags(tags)
    if note is None:
        return None
    group_state = _state(group)
    ended_at = group_state.get("finishTime") or group_state.get("startTime")
    status = cloud_status(
        note,
        group_end(group),
        started_at=moment_of(group_state.get("startTime")),
        ended_at=moment_of(ended_at) or now,
        facts={"group": group.get("id"), "stopped_for": tags.get(END_TAG)},
    )
    return CloudRun(note, status, note.name, now)


def log_rest(log: bytes, position: str, *, is_last: bool) -> LogChunk:
    """Return the whole lines of a log after its first `position` bytes.

    Args:
        log: the current log; later it may have more bytes at its end.
        position: a number of bytes; empty for the beginning.
        is_last: whether the log is complete. If not, an unfinished last line is left out.
    """
    start = min(int(position or 0), len(log))
    end = min(start + _PART, len(log))
    if not is_last or end < len(log):
        end = log.rfind(b"\n", start, end) + 1 or log.find(b"\n", end) + 1 or start
    if end == start and is_last:
        end = len(log)
    return LogChunk(log[start:end], str(end), is_last and end == len(log))


def _state(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the current state of a group's container; empty if it has no state yet."""
    return next((part_of(view, "currentState") for view in _views(group)), dict[str, Any]())


def _views(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the state of each container in a group, as Azure describes it."""
    containers = parts_of(part_of(group, "properties"), "containers")
    return [part_of(part_of(item, "properties"), "instanceView") for item in containers]


def _problem(group: Mapping[str, Any]) -> str | None:
    """Return the last warning among a container group's events; None if there is none."""
    group_view = part_of(part_of(group, "properties"), "instanceView")
    warnings = [
        str(event.get("message") or "")[:500]
        for view in (group_view, *_views(group))
        for event in parts_of(view, "events")
        if event.get("type") == "Warning"
    ]
    return warnings[-1] if warnings else None
