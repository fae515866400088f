"""`moorage vendors`: list the installed vendors and their capabilities."""

from __future__ import annotations

from typing import Any, cast

import attrs

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.wiring.installed_vendors import vendor_class, vendor_names


def vendors(name: str | None = None, /, *, context: Context) -> CommandResult:
    """List the installed vendors, or show the capabilities of one vendor.

    Args:
        name: show only this vendor, with its contracts, capabilities and options.
        context: the options that all commands share.
    """
    if name is not None:
        return _details(name)
    classes = {vendor_name: vendor_class(vendor_name) for vendor_name in vendor_names()}
    rows = [
        (vendor_name, ", ".join(kind.kinds), kind.api_version, kind.webhook)
        for vendor_name, kind in classes.items()
    ]
    return CommandResult(
        {
            "vendors": [
                {"name": vendor_name, "kinds": [*kind.kinds]}
                for vendor_name, kind in classes.items()
            ]
        },
        [Table(("vendor", "contracts", "version", "webhooks"), rows)],
    )


def _details(name: str) -> CommandResult:
    kind = vendor_class(name)
    fields = attrs.fields(cast("Any", kind))
    options = [
        {
            "name": field.name,
            "type": str(field.type),
            "required": field.default is attrs.NOTHING,
        }
        for field in fields
    ]
    summary = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    return CommandResult(
        {
            "name": name,
            "kinds": [*kind.kinds],
            "version": kind.api_version,
            "webhooks": kind.webhook,
            "capabilities": sorted(kind.capabilities),
            "limits": dict(kind.limits),
            "options": options,
        },
        [
            f"{name}: {summary}",
            f"contracts: {', '.join(kind.kinds)}",
            f"version: {kind.api_version or 'none'}; webhooks: {kind.webhook or 'none'}",
            f"can: {', '.join(sorted(kind.capabilities)) or 'no optional capabilities'}",
            f"limits: {', '.join(f'{name} {top}' for name, top in kind.limits.items()) or 'none'}",
            "",
            Table(
                ("option", "type", ""),
                [
                    (option["name"], option["type"], "required" if option["required"] else "")
                    for option in options
                ],
            ),
        ],
    )
