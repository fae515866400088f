"""The state of every service's circuits, rate limits and retry budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.monitoring.alert_book import ReadAlerts
from moorage.hub.internals import flows_of
from moorage.runtime.flows import run_now
from moorage.services.monitoring.service_status import (
    BudgetStatus,
    LimitStatus,
    ServiceStatus,
    plans_of,
    service_status,
)

if TYPE_CHECKING:
    from moorage.hub.hub import Hub

__all__ = ["BudgetStatus", "LimitStatus", "ServiceStatus", "service_statuses"]


def service_statuses(
    hub: Hub, tenant: str | None = None, services: tuple[str, ...] | None = None
) -> list[ServiceStatus]:
    """Return the status of each service; a service with regions gets one status per region.

    Args:
        hub: the hub of the services.
        tenant: the tenant whose circuits and limits to read.
        services: the names of the services; by default all.

    Raises:
        StorageUnavailable: the store of shared state does not answer.
    """
    flows = flows_of(hub.manager)
    # During an outage, circuits would be read from the memory of this process.
    run_now(flows.core.execute(ReadAlerts(), None))
    plans = plans_of(flows, tenant, services)
    return [run_now(service_status(flows.core, plan)) for plan in plans]
