"""`moorage health`: show the health of services, stores and queues, with reasons and remedies."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from moorage.cli.answer import CommandResult, Table
from moorage.cli.commands.entries import (
    InboxPlace,
    OutboxPlace,
    host_object,
    opened_inbox,
    opened_outbox,
)
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.places import opened_hub
from moorage.domain.monitoring.health import HealthState
from moorage.hub.health import HealthMonitor
from moorage.hub.inbox import WebhookInbox
from moorage.hub.outbox import Outbox

if TYPE_CHECKING:
    from moorage.domain.monitoring.health import Health, HealthReason

_COLUMNS: Final = ("part", "health", "reason", "what to do")

OutboxUrl = Annotated[str | None, Parameter(env_var="MOORAGE_OUTBOX", show_env_var=True)]
InboxUrl = Annotated[str | None, Parameter(env_var="MOORAGE_INBOX", show_env_var=True)]


def health(
    *,
    probe: bool = False,
    outbox: OutboxUrl = None,
    inbox: InboxUrl = None,
    tenant: str | None = None,
    context: Context,
) -> CommandResult:
    """Show the health of services, stores and queues, with reasons and remedies.

    All processes share the state of circuits and limits. The exit code is 0 if everything is
    healthy; otherwise it is 1.

    Args:
        probe: send the configured probes first.
        outbox: the URL of an outbox to include.
        inbox: the URL of an inbox to include.
        tenant: the tenant of the circuits, limits and idempotency records.
        context: the options that all commands share.
    """
    with ExitStack() as cleanup:
        hub = cleanup.enter_context(opened_hub(context))
        queues: dict[str, object] = {}
        if outbox is not None or host_object(context, Outbox):
            place = OutboxPlace(store=outbox)
            queues["outbox"], _ = cleanup.enter_context(opened_outbox(context, place))
        if inbox is not None or host_object(context, WebhookInbox):
            queues["inbox"] = cleanup.enter_context(opened_inbox(context, InboxPlace(store=inbox)))
        monitor = HealthMonitor(hub, tenant=tenant, **queues)  # type: ignore[arg-type]  # opened by its URL
        if probe:
            monitor.probe(everything=True)
        result = monitor.check()
    summary = f"The integrations are {result.state.value}."
    table = Table(_COLUMNS, list(_rows(result)))
    code = OK if result.state is HealthState.HEALTHY else FAILED
    return CommandResult(result.as_dict(), [table, summary] if table.rows else [summary], code)


def _rows(result: Health) -> list[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []
    for service in result.services:
        name = service.service
        if service.region is not None:
            name = f"{name} ({service.region})"
        if not service.reasons:
            rows.append((name, service.state.value, "", ""))
        rows += [_row(name, reason) for reason in service.reasons]
    return rows + [_row(reason.part, reason) for reason in result.reasons]


def _row(name: str, reason: HealthReason) -> tuple[str, str, str, str]:
    return name, reason.state.value, reason.text, reason.remedy
