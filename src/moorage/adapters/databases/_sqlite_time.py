"""A clock that all processes of a SQLite file share: the boot clock plus a stored origin.

The origin is a row of the file, so all processes of a machine have the same time, even if the wall
clock changes. After a reboot the boot clock restarts, and the first process stores a new origin,
such that the time is not before the latest time in the file.

On systems that do not identify a boot, the time is that of the wall clock.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.ports.clock import Clock

Run: TypeAlias = "Callable[..., Any]"
"""Runs a statement, and returns a cursor."""

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_ORIGIN: Final = "SELECT origin FROM clock WHERE boot = ?"


def boot_id() -> str | None:
    """Return the id of the current boot; None if the system has none, such as outside of Linux."""
    try:
        return _BOOT.read_text("ascii").strip() or None
    except (OSError, ValueError):
        return None


def origin(run: Run, boot: str, clock: Clock) -> int:
    """Return the value to add to the boot clock; the first process has stored it in the file."""
    row = run(_ORIGIN, (boot,)).fetchone()
    if row is None:
        run("BEGIN IMMEDIATE")
        row = run(_ORIGIN, (boot,)).fetchone() or _store_origin(run, boot, clock)
        run("COMMIT")
    return row[0]  # type: ignore[no-any-return]  # an integer


def _store_origin(run: Run, boot: str, clock: Clock) -> tuple[int]:
    latest_time = run("SELECT max(latest) FROM clock").fetchone()[0] or 0
    origin = max(wall_nanoseconds(clock), latest_time) - clock.nanoseconds()
    run("DELETE FROM clock")
    run("INSERT INTO clock (boot, origin, latest) VALUES (?, ?, ?)", (boot, origin, latest_time))
    return (origin,)


def wall_nanoseconds(clock: Clock) -> int:
    """Return the wall-clock time, in nanoseconds since the Unix epoch."""
    return int(clock.utc().timestamp() * 1_000_000) * 1_000
