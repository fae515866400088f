"""`moorage limits`: end by hand a pause that a vendor asked for, for every process at once."""

from __future__ import annotations

from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.places import opened_hub


def reset(
    service: str, /, *, tenant: str | None = None, endpoint: str | None = None, desk: Desk
) -> Answer:
    """End the pause of a service's limits that a vendor asked for.

    Args:
        service: whose limits.
        tenant: the tenant whose limits.
        endpoint: the endpoint whose limits to reset besides the service's.
        desk: what all commands share.
    """
    desk.state()  # which others must share, or nobody would notice
    with opened_hub(desk) as hub:
        remaining = hub.manager.reset_limits(service, tenant=tenant, endpoint=endpoint)
    found = {"service": service, "tenant": tenant, "endpoint": endpoint, "remaining": remaining}
    whose = "".join(f" of {one}" for one in (tenant, endpoint) if one)
    if not remaining:
        return Answer(found, [f"the limits of {service}{whose} were not paused"])
    return Answer(found, [f"the limits of {service}{whose} were paused for {remaining:.0f} s more"])
