"""`moorage limits`: end a vendor's rate-limit pause by hand, for all processes together."""

from __future__ import annotations

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.places import opened_hub


def reset(
    service: str, /, *, tenant: str | None = None, endpoint: str | None = None, context: Context
) -> CommandResult:
    """End a rate-limit pause that a vendor asked for.

    Args:
        service: the service of the limits.
        tenant: the tenant of the limits.
        endpoint: an endpoint whose own limits to reset too.
        context: the options that all commands share.
    """
    context.state()  # raises an error if no other process shares the store
    with opened_hub(context) as hub:
        pause_left = hub.manager.reset_limits(service, tenant=tenant, endpoint=endpoint)
    result = {
        "service": service,
        "tenant": tenant,
        "endpoint": endpoint,
        "remaining": pause_left,
    }
    suffix = "".join(f" of {name}" for name in (tenant, endpoint) if name)
    if not pause_left:
        return CommandResult(result, [f"the limits of {service}{suffix} were not paused"])
    return CommandResult(
        result,
        [f"the limits of {service}{suffix} are no longer paused ({pause_left:.0f} s were left)"],
    )
