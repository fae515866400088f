"""Tasks of Amazon ECS: the meaning of their states, and of the reasons of their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.steps.cloud_runs import (
    CloudRun,
    CloudRunEnd,
    CloudRunNote,
    cloud_status,
    moment_of,
    parts_of,
)
from moorage.domain.steps.hosted_runs import KILLED, NEVER_RAN
from moorage.domain.steps.runs import EndReason, RunPhase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

SCOPE_TAG: Final = "moorage-scope"
"""The tag with the scope of a task's platform."""

REASONS: Final[Mapping[EndReason, str]] = {
    EndReason.STOPPED: "moorage: a person stopped the step.",
    EndReason.DEADLINE: "moorage: the step took longer than its time limit.",
}
"""The texts with which tasks are stopped, which ECS returns as the reason of their end."""

_STARTING_STATES: Final = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})
_END_STATES: Final = frozenset({"STOPPED", "DELETED"})
_INTERRUPTION_CODES: Final = frozenset(
    {"SpotInterruption", "TerminationNotice", "InfrastructureHealth"}
)
_OUT_OF_MEMORY: Final = "OutOfMemory"
_NO_CAPACITY: Final = ("RESOURCE:", "AGENT", "Capacity is unavailable", "EMPTY CAPACITY")


def task_end(task: Mapping[str, Any], container: str) -> CloudRunEnd:
    """Return the phase of an ECS task's run and, if it has ended, the reason of its end.

    Args:
        task: the task, as ECS describes it.
        container: the name of the container in which the step runs.
    """
    state = task.get("lastStatus")
    if state in _STARTING_STATES:
        return CloudRunEnd(RunPhase.STARTING)
    if state not in _END_STATES:
        return CloudRunEnd(RunPhase.RUNNING)
    container_fields = _container(task, container)
    code: int | None = container_fields.get("exitCode")
    reason, text = str(container_fields.get("reason") or ""), str(task.get("stoppedReason") or "")
    stop = task.get("stopCode")
    problem = "; ".join(part for part in (text, reason) if part)[:500] or None
    if reason.startswith(_OUT_OF_MEMORY):
        return CloudRunEnd(RunPhase.ENDED, code or KILLED, EndReason.OUT_OF_MEMORY, problem)
    if stop == "TaskFailedToStart":
        return CloudRunEnd(RunPhase.ENDED, NEVER_RAN, EndReason.EXITED, problem)
    if text == REASONS[EndReason.DEADLINE]:
        return CloudRunEnd(RunPhase.ENDED, KILLED if code is None else code, EndReason.DEADLINE)
    if stop == "UserInitiated" or text == REASONS[EndReason.STOPPED]:
        return CloudRunEnd(
            RunPhase.ENDED, KILLED if code is None else code, EndReason.STOPPED, problem
        )
    if stop in _INTERRUPTION_CODES and not code:
        # An interrupted program that cleans up may exit with 0, although its work is not done.
        return CloudRunEnd(RunPhase.LOST, problem=problem or str(stop))
    if code is None:
        return CloudRunEnd(RunPhase.LOST, problem=problem or "ECS did not report an exit code.")
    return CloudRunEnd(RunPhase.ENDED, code, EndReason.EXITED, reason or None)


def task_run(task: Mapping[str, Any], container: str, now: datetime) -> CloudRun | None:
    """Return the run of a task; None if another program started the task.

    Args:
        task: the task, as ECS describes it.
        container: the name of the container in which the step runs.
        now: the time of ECS.
    """
    note = CloudRunNote.of_tags(tags_of(task))
    if note is None:
        return None
    container_fields = _container(task, container)
    status = cloud_status(
        note,
        task_end(task, container),
        started_at=moment_of(task.get("startedAt")),
        ended_at=moment_of(task.get("stoppedAt")),
        facts={
            "task": task["taskArn"],
            "task_definition": task.get("taskDefinitionArn"),
            "status": task.get("lastStatus"),
            "stop_code": task.get("stopCode"),
            "image": container_fields.get("imageDigest") or container_fields.get("image"),
        },
    )
    return CloudRun(note, status, task["taskArn"], now)


def tags_of(task: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a task by their names."""
    return {tag["key"]: tag["value"] for tag in parts_of(task, "tags")}


def is_capacity(reason: str) -> bool:
    """Return whether a task was not placed for lack of capacity."""
    return reason.startswith(_NO_CAPACITY)


def family_of(task_definition: str) -> str:
    """Return the family in the name of a task definition, without its revision and ARN."""
    return task_definition.rpartition("/")[2].partition(":")[0]


def stream_of(task: str, prefix: str, container: str) -> str:
    """Return the name of the log stream of a task.

    Args:
        task: the ARN of the task.
        prefix: the prefix of streams in the task definition.
        container: the name of the container.
    """
    return f"{prefix}/{container}/{task.rpartition('/')[2]}"


def _container(task: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the description of the container with a name; empty if there is none."""
    containers = parts_of(task, "containers")
    return next((item for item in containers if item.get("name") == name), dict[str, Any]())
