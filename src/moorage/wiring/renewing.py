"""The lease renewers of this process, one for each store."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from moorage.adapters.concurrency.forking import ForkSafeLock, in_child
from moorage.domain.entries.renewal import ENTRY_LEASE
from moorage.domain.idempotency.claims import RENEWAL
from moorage.domain.values.durations import SECOND
from moorage.runtime.flows import run_now
from moorage.services.core.renewal import EntryRenewals, NoRenewals, Renewals

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.services.core.core import Core
    from moorage.services.core.renewal import Heartbeat
    from moorage.services.entries.store import EntryStore

_EVERY: Final = RENEWAL / SECOND
_making: Final = ForkSafeLock()
_renewals_of_stores: Final[WeakValueDictionary[tuple[int, int], Renewals]] = WeakValueDictionary()
"""The renewers of claims by the ids of store and clock; all managers of a store share one."""


def claim_renewals(core: Core, store: Any, clock: Any, *, is_async: bool) -> Renewals | NoRenewals:
    """Return the renewer for the leases of a store's claims; it runs commands with `core`."""
    if getattr(store, "reach", None) == "process":
        return NoRenewals()
    with _making.current:
        renewals = _renewals_of_stores.get((id(store), id(clock)))
        if renewals is None:
            renewals = Renewals(
                core.execute,
                core.nanoseconds,
                by_tag=not getattr(store, "mixes_tags", False),
                heartbeat=_async_heartbeat if is_async else _sync_heartbeat,
                node_of=getattr(store, "node_of", None),
            )
            in_child(renewals, Renewals.stop_after_fork)
            _renewals_of_stores[id(store), id(clock)] = renewals
        return renewals


_renewals_of_entry_stores: Final[WeakValueDictionary[int, EntryRenewals]] = WeakValueDictionary()
"""The renewers of entries by the id of their store."""


def entry_renewals(
    core: Core, storage: Any, entry_store: EntryStore[Any], *, is_async: bool
) -> EntryRenewals:
    """Return the renewer for the leases of a store's entries, which uses its methods."""
    with _making.current:
        renewals = _renewals_of_entry_stores.get(id(storage))
        if renewals is None:
            renewals = EntryRenewals(
                entry_store,
                core.nanoseconds,
                heartbeat=_async_heartbeat
                if is_async
                else partial(_sync_heartbeat, release=_release_of(storage)),
                shortest=getattr(storage, "shortest_lease", ENTRY_LEASE),
            )
            in_child(renewals, EntryRenewals.stop_after_fork)
            _renewals_of_entry_stores[id(storage)] = renewals
        return renewals


def _release_of(storage: Any) -> Callable[[], Any]:
    """Return the function that closes the calling thread's connections to a store."""
    return getattr(storage, "release_thread", _do_nothing)


def _do_nothing() -> None:
    """Do nothing, because no connection was opened."""


def _sync_heartbeat(
    work: Callable[[], Any],
    is_needed: Callable[[], bool],
    *,
    release: Callable[[], Any] = _do_nothing,
) -> Heartbeat:
    from moorage.adapters.concurrency.heartbeat import Heartbeat

    def renew_loop() -> None:
        try:
            run_now(work())
        finally:
            release()

    return Heartbeat(renew_loop, is_needed, _EVERY)


def _async_heartbeat(work: Callable[[], Any], is_needed: Callable[[], bool]) -> Heartbeat:
    from moorage.adapters.concurrency.heartbeat_async import AsyncHeartbeat

    return AsyncHeartbeat(work, is_needed, _EVERY)
