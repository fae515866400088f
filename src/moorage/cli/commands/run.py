"""`moorage run` and `moorage connectors`: operations of connectors by name, and their list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from moorage.cli.answer import CommandResult, Table
from moorage.cli.commands.call import read_bytes
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.numbers import Seconds
from moorage.cli.places import opened_hub
from moorage.domain.monitoring.health import HealthState
from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.connectors.description import ConnectorDescription
    from moorage.domain.connectors.health import ConnectorHealth


def run(
    connector: str,
    operation: str,
    /,
    *,
    arguments: str = "{}",
    key: str | None = None,
    tenant: str | None = None,
    timeout: Seconds | None = None,
    context: Context,
) -> CommandResult:
    """Run an operation of a connector by its name.

    All protections of its service apply. `moorage connectors` shows the operations of each
    connector.

    Args:
        connector: the name of a configured connector.
        operation: the name of one of its operations.
        arguments: the arguments as a JSON object: text, @file, or @- for the standard input.
        key: the idempotency key of this effect.
        tenant: the tenant whose limits, circuit and keys apply.
        timeout: seconds for the whole call, instead of the service's timeout.
        context: the options that all commands share.
    """
    values = _arguments(arguments)
    with opened_hub(context) as hub:
        result = hub.connectors.run(
            connector, operation, values, tenant=tenant, idempotency_key=key, timeout=timeout
        )
    text = result if isinstance(result, str) else json.dumps(result, indent=2, ensure_ascii=False)
    return CommandResult({"value": result}, [text])


def list_connectors(*, timeout: Seconds = 5.0, context: Context) -> CommandResult:
    """List the connectors with their health, versions, pools and operations.

    The servers of all connectors are checked concurrently. The exit code is 1 if one of them is
    unavailable.

    Args:
        timeout: the maximum seconds for each connector.
        context: the options that all commands share.
    """
    with opened_hub(context) as hub:
        healths = hub.connectors.health_of_all(timeout)
        descriptions = hub.connectors.descriptions()
    rows = [_row(*pair) for pair in zip(descriptions, healths, strict=True)]
    is_failed = any(health.state is HealthState.UNAVAILABLE for health in healths)
    columns = ("connector", "kind", "health", "problem", "server", "operations")
    lines = [
        [
            row["name"],
            row["kind"],
            row["health"],
            row["problem"] or "",
            row["server"] or "",
            ", ".join(row["operations"]),
        ]
        for row in rows
    ]
    output = Table(columns, lines) if rows else "No connector is configured."
    return CommandResult({"connectors": rows}, [output], FAILED if is_failed else OK)


def _row(description: ConnectorDescription, health: ConnectorHealth) -> dict[str, Any]:
    versions, pool = description.versions, description.statistics
    return {
        "name": description.name,
        "kind": description.kind,
        "enabled": description.enabled,
        "version": description.version,
        "depends_on": list(description.depends_on),
        "health": health.state.value,
        "problem": health.text,
        "remedy": health.remedy,
        "seconds": health.seconds,
        "library": None if versions is None else versions.library,
        "server": None if versions is None else versions.server,
        "pool": None if pool is None else attrs.asdict(pool),
        "operations": list(description.operations),
    }


def _arguments(text: str) -> dict[str, Any]:
    """Return the arguments of an operation.

    Raises:
        ConfigurationError: the text is not a JSON object.
    """
    try:
        values = json.loads(read_bytes(text, "--arguments"))
    except ValueError:
        values = None
    if is_object(values):
        return values
    raise ConfigurationError(
        "The arguments are not a JSON object.",
        path="--arguments",
        remedy="Pass for example '{\"name\": 1}', quoted for your shell, or @file.",
    )
