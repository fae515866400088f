"""The renewers of this process's claims and entries, one for each store."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.entries.renewal import ENTRY_LEASE
from moorage.domain.idempotency.claims import RENEWAL
from moorage.domain.values.durations import SECOND
from moorage.runtime.bridge import run_now
from moorage.services.core.renewal import EntryRenewals, Renewals, Unrenewed

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.services.core.core import Core
    from moorage.services.core.renewal import Heartbeat
    from moorage.services.entries.processing import Shelf

_EVERY: Final = RENEWAL / SECOND
_known: Final[WeakValueDictionary[tuple[int, int], Renewals]] = WeakValueDictionary()
"""By store and clock, which live as long: all managers of one store share what renews."""


def renewing(core: Core, store: Any, clock: Any, *, awaited: bool) -> Renewals | Unrenewed:
    """Return the renewer of a store's claims; `core` executes its commands."""
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


_known_entries: Final[WeakValueDictionary[int, EntryRenewals]] = WeakValueDictionary()
"""By store, which lives as long."""


def renewing_entries(
    core: Core, storage: Any, shelf: Shelf[Any], *, awaited: bool
) -> EntryRenewals:
    """Return the renewer of a store's entries; `shelf` has the store's methods."""
    found = _known_entries.get(id(storage))
    if found is None:
        found = EntryRenewals(
            shelf,
            core.nanoseconds,
            heartbeat=_later if awaited else partial(_now, release=_release_of(storage)),
            shortest=getattr(storage, "shortest_lease", ENTRY_LEASE),
        )
        in_child(found, EntryRenewals.disown)
        _known_entries[id(storage)] = found
    return found


def _release_of(storage: Any) -> Callable[[], Any]:
    """Return the function that closes the calling thread's connections to a store."""
    return getattr(storage, "release_thread", _nothing)


def _nothing() -> None:
    """Give nothing back."""


def _now(
    work: Callable[[], Any], wanted: Callable[[], bool], *, release: Callable[[], Any] = _nothing
) -> Heartbeat:
    from moorage.adapters.concurrency.heartbeat import Heartbeat

    def beat() -> None:
        try:
            run_now(work())
        finally:
            release()

    return Heartbeat(beat, wanted, _EVERY)


def _later(work: Callable[[], Any], wanted: Callable[[], bool]) -> Heartbeat:
    from moorage.adapters.concurrency.heartbeat_async import AsyncHeartbeat

    return AsyncHeartbeat(work, wanted, _EVERY)
