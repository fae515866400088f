"""Deployments of services of Amazon ECS, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATES: Final[Mapping[str, str]] = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "IN_PROGRESS": "in_progress",
}
_REPLACED_STATE: Final = "replaced"


def primary_of(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return the newest deployment of a service, as plain values."""
    return _deployment_fields(
        next(item for item in service["deployments"] if item["status"] == "PRIMARY")
    )


def deployment_of(service: Mapping[str, Any], deployment: str) -> dict[str, Any]:
    """Return a deployment of a service by its id, as plain values.

    A deployment that ECS no longer lists was replaced by a newer one.
    """
    match = next((item for item in service["deployments"] if item["id"] == deployment), None)
    return (
        {"deployment": deployment, "state": _REPLACED_STATE}
        if match is None
        else _deployment_fields(match)
    )


def _deployment_fields(deployment: Mapping[str, Any]) -> dict[str, Any]:
    state = deployment.get("rolloutState")
    if state is None:
        # Behind a classic load balancer, ECS reports only the numbers of tasks.
        is_done = deployment["runningCount"] >= deployment["desiredCount"]
        state = "COMPLETED" if is_done else "IN_PROGRESS"
    return {
        "deployment": deployment["id"],
        "state": _STATES.get(state, "in_progress"),
        "reason": deployment.get("rolloutStateReason"),
        "task_definition": deployment["taskDefinition"],
        "running": deployment["runningCount"],
        "desired": deployment["desiredCount"],
    }
