"""`moorage vendors`: which are installed, and what each can do."""

from __future__ import annotations

from typing import Any, cast

import attrs

from moorage.cli.answer import Answer, Table
from moorage.cli.desk import Desk
from moorage.wiring.catalog import vendor_class, vendor_names


def vendors(name: str | None = None, /, *, desk: Desk) -> Answer:
    """List the vendors that are installed, or tell what one can do.

    Args:
        name: tell of this one alone: its contracts, its capabilities and its options.
        desk: what all commands share.
    """
    if name is not None:
        return _one(name)
    found = {one: vendor_class(one) for one in vendor_names()}
    rows = [
        (one, ", ".join(kind.kinds), kind.api_version, kind.webhook) for one, kind in found.items()
    ]
    return Answer(
        {"vendors": [{"name": one, "kinds": [*kind.kinds]} for one, kind in found.items()]},
        [Table(("vendor", "contracts", "version", "webhooks"), rows)],
    )


def _one(name: str) -> Answer:
    kind = vendor_class(name)
    fields = attrs.fields(cast("Any", kind))
    options = [
        {"name": one.name, "type": str(one.type), "required": one.default is attrs.NOTHING}
        for one in fields
    ]
    about = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    return Answer(
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
            f"{name}: {about}",
            f"contracts: {', '.join(kind.kinds)}",
            f"version: {kind.api_version or 'none'}; webhooks: {kind.webhook or 'none'}",
            f"can: {', '.join(sorted(kind.capabilities)) or 'what every vendor of its kind can'}",
            f"limits: {', '.join(f'{one} {most}' for one, most in kind.limits.items()) or 'none'}",
            "",
            Table(
                ("option", "type", ""),
                [
                    (one["name"], one["type"], "needed" if one["required"] else "")
                    for one in options
                ],
            ),
        ],
    )
