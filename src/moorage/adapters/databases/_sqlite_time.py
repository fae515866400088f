"""The time of a SQLite file: the machine's boot clock, anchored once per boot to the wall clock.

The anchor is a row of the file, so all processes of a machine go by the same time, whatever their
wall clocks are set to meanwhile. Another boot finds a clock that counts from elsewhere, and anchors
it anew; never before the latest time that the file knows of.

Where the system does not say which boot this is, the time is the wall clock's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.ports.clock import Clock

Run: TypeAlias = "Callable[..., Any]"
"""Runs a statement, and gives a cursor."""

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_ORIGIN: Final = "SELECT origin FROM clock WHERE boot = ?"


def boot_id() -> str | None:
    """Which run of the machine this is, if the system tells: Linux does."""
    try:
        return _BOOT.read_text("ascii").strip() or None
    except (OSError, ValueError):
        return None


def origin(run: Run, boot: str, clock: Clock) -> int:
    """Return the offset of the boot clock, which the first process stores."""
    row = run(_ORIGIN, (boot,)).fetchone()
    if row is None:
        run("BEGIN IMMEDIATE")
        row = run(_ORIGIN, (boot,)).fetchone() or _anchored(run, boot, clock)
        run("COMMIT")
    return row[0]  # type: ignore[no-any-return]  # an integer


def _anchored(run: Run, boot: str, clock: Clock) -> tuple[int]:
    latest = run("SELECT max(latest) FROM clock").fetchone()[0] or 0
    origin = max(wall(clock), latest) - clock.nanoseconds()
    run("DELETE FROM clock")
    run("INSERT INTO clock (boot, origin, latest) VALUES (?, ?, ?)", (boot, origin, latest))
    return (origin,)


def wall(clock: Clock) -> int:
    """The nanoseconds since the Unix epoch that a person's watch shows."""
    return int(clock.utc().timestamp() * 1_000_000) * 1_000
