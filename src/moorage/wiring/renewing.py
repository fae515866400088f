"""What renews claims, for each store that other processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from moorage._bridge import run_now
from moorage.adapters.forking import in_child
from moorage.domain.durations import SECOND
from moorage.domain.idempotency import RENEWAL
from moorage.services.renewal import Renewals, Unrenewed

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.services.core import Core
    from moorage.services.renewal import Heartbeat

_EVERY: Final = RENEWAL / SECOND
_known: Final[WeakValueDictionary[tuple[int, int], Renewals]] = WeakValueDictionary()
"""By store and clock, which live as long: all managers of one store share what renews."""


def renewing(core: Core, store: Any, clock: Any, *, awaited: bool) -> Renewals | Unrenewed:
    """What renews the claims of a store; `core` reaches it."""
    if getattr(store, "reach", None) == "process":
        return Unrenewed()
    found = _known.get((id(store), id(clock)))
    if found is None:
        found = Renewals(
            core.execute,
            core.nanoseconds,
            by_tag=not getattr(store, "mixes_tags", False),
            heartbeat=_later if awaited else _now,
        )
        in_child(found, Renewals.disown)
        _known[id(store), id(clock)] = found
    return found


def _now(work: Callable[[], Any], wanted: Callable[[], bool]) -> Heartbeat:
    from moorage.adapters.heartbeat import Heartbeat

    return Heartbeat(lambda: run_now(work()), wanted, _EVERY)


def _later(work: Callable[[], Any], wanted: Callable[[], bool]) -> Heartbeat:
    from moorage.adapters.heartbeat_async import AsyncHeartbeat

    return AsyncHeartbeat(work, wanted, _EVERY)
