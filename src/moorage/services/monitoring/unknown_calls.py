"""The calls in an integration log whose idempotency keys still have an unknown outcome.

Payments of the payments contract are not among them: they have a register of their own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from moorage.contracts.payments import KIND
from moorage.domain.idempotency.claims import ReadUnknown
from moorage.domain.observation.integration_log import IntegrationStatus, LogQuery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.observation.integration_log import IntegrationLog, LogPage
    from moorage.services.calling.steps import CallOperations

RECENT: Final = timedelta(days=7)
"""The maximum age of the calls that are searched."""

_MOST_ENTRIES: Final = 100
"""The maximum number of log entries that are searched, because each key is read from the store."""

_PAYMENTS: Final = f"{KIND}."


async def unknown_calls(
    calling: CallOperations,
    find: Callable[[LogQuery], Awaitable[LogPage]],
    timeout: float | None = None,
) -> list[IntegrationLog]:
    """Return the latest call under each idempotency key whose outcome is still unknown.

    Args:
        calling: the flows that calls go through.
        find: returns a page of the integration log.
        timeout: the seconds that the store of shared state may take for each key.
    """
    since = calling.core.utc() - RECENT
    page = await find(LogQuery(status=IntegrationStatus.UNKNOWN, since=since, limit=_MOST_ENTRIES))
    calls: dict[str, IntegrationLog] = {}
    for call in page.items:
        is_payment = (call.operation or "").startswith(_PAYMENTS)
        if call.idempotency_key is None or is_payment or call.service not in calling.plans.services:
            continue
        plan = calling.plans.find(call.service, call.tenant, None)
        calls.setdefault(plan.claim_key(call.idempotency_key), call)
    return [
        call for key, call in calls.items() if await calling.core.execute(ReadUnknown(key), timeout)
    ]
