"""`moorage status`: how every service stands, once or as a page that stays."""

from __future__ import annotations

import sys
from typing import Any, Final

from moorage.cli.answer import Answer, Table
from moorage.cli.desk import Desk
from moorage.cli.ends import OK, UNWELL
from moorage.cli.places import opened_hub
from moorage.cli.standing import standing
from moorage.errors import ConfigurationError

_WELL: Final = frozenset({None, "closed", "disabled"})
_COLUMNS: Final = ("service", "circuit", "calls", "failures", "limits", "retries")


def status(
    *, watch: bool = False, every: float = 2.0, tenant: str | None = None, desk: Desk
) -> Answer:
    """Tell how every service stands: its circuits, its limits and its retries.

    This is what all processes share. If any circuit is open, the exit code says so.

    Args:
        watch: stay, and show it anew; q or Ctrl-C leaves. With --json, a line each time.
        every: seconds between two looks.
        tenant: whose circuits and limits.
        desk: what all commands share.
    """
    desk.state()
    with opened_hub(desk) as hub:
        if watch:
            _watched(lambda: standing(hub, tenant), every, desk)
        found = standing(hub, tenant)
    well = all(one["circuit"] in _WELL for one in found)
    shown = [] if watch else [table(found)]
    return Answer({"services": found}, shown, OK if well or watch else UNWELL)


def table(found: list[dict[str, Any]]) -> Table:
    """The same for people."""
    return Table(_COLUMNS, map(_row, found))


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    name = one["service"] if one["region"] is None else f"{one['service']} ({one['region']})"
    after = one["retry_after"]
    circuit = one["circuit"] if after is None else f"{one['circuit']}, again in {after:.0f} s"
    waits = one["limits"]
    limits = "" if not waits else f"wait {max(waits):.1f} s" if max(waits) else "free"
    retries = "allowed" if one["retries"] else "used up"
    return name, circuit or "none", one["calls"], one["failures"], limits, retries


def _watched(look: Any, every: float, desk: Desk) -> None:
    if not desk.as_json and not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise ConfigurationError(
            "a page that stays needs a terminal.",
            path="--watch",
            remedy="Leave it out, or add --json for a line each time.",
        )
    from moorage.cli.watching import lines, page  # noqa: PLC0415 - for terminals only

    if desk.as_json:
        lines(lambda: desk.note({"services": look()}), every)
    else:
        page(lambda: table(look()), every, colour=desk.colour)
