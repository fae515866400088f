"""The rows of `moorage status`, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.hub import service_status

if TYPE_CHECKING:
    from moorage.hub.hub import Hub
    from moorage.hub.service_status import ServiceStatus


def service_statuses(hub: Hub, tenant: str | None) -> list[dict[str, Any]]:
    """Return the status of each service, with a row for each region."""
    return [_row(status) for status in service_status.service_statuses(hub, tenant)]


def _row(status: ServiceStatus) -> dict[str, Any]:
    circuit = status.circuit
    return {
        "service": status.service,
        "region": status.region,
        "circuit": None if circuit is None else circuit.state.value,
        "retry_after": None if circuit is None else circuit.retry_after,
        "failures": None if circuit is None else circuit.failures,
        "calls": None if circuit is None else circuit.calls,
        "limits": [limit.wait for limit in status.limits],
        "quotas": [
            {"quota": limit.name, "left": limit.left}
            for limit in status.limits
            if limit.left is not None
        ],
        "retries": status.budget is None or status.budget.allows,
    }
