"""Health checks of several connectors in concurrent threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from moorage.adapters.concurrency.gather import ThreadGather

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.connectors.health import ConnectorHealth

R = TypeVar("R")

_AT_ONCE: Final = 32


def every_sync(steps: Sequence[Callable[[], R]]) -> list[R]:
    """Run several functions in concurrent threads, and return their results in order."""
    return ThreadGather().run_all(steps, at_once=_AT_ONCE)


def bounded_sync(health: Callable[[float], ConnectorHealth], seconds: float) -> ConnectorHealth:
    """Return the health of a connector; the connector's check observes the time limit itself."""
    return health(seconds)
