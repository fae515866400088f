"""Renewal of this process's leases until the holders of the leases release them.

The same rounds renew claims of idempotency keys, and entries of an inbox or outbox.

Laws:

1. A claim or entry is renewed from the moment it is held until it is released or
   garbage-collected. A forked child renews nothing of its parent's.
2. A holder whose renewal is late asks the store again before it sends anything. If another worker
   took an entry, the entry's version refuses the first worker's result.
3. One command renews many claims, or many entries where a store settles several together. A failed
   command is repeated in halves within the same round, so that one unreadable state affects no
   other claim. The claims on a node that does not respond are renewed after all others.
4. A failure here never reaches a call or a handler.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from moorage.domain.entries.renewal import (
    CLAIM_LEASE,
    ENTRY_LEASE,
    MOST_TOGETHER,
    UNRENEWED,
    HeldClaim,
    HeldEntry,
    claims_due,
    entries_due,
    split_in_half,
)
from moorage.domain.idempotency.claims import LEASE, RENEWAL, Renew
from moorage.domain.values.durations import SECOND
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.entries.queue import Entry
    from moorage.domain.state.commands import Command
    from moorage.services.core.core import Flow
    from moorage.services.entries.store import EntryStore

H = TypeVar("H", HeldClaim, HeldEntry)

_SILENCE: Final = RENEWAL * 1000 // 2
"""Nanoseconds after which a failed renewal means that a node does not respond."""


class Heartbeat(Protocol):
    """A background loop that renews leases every `RENEWAL` seconds while there are any."""

    def is_available(self) -> bool:
        """True if this process can renew leases in the background, for example in a thread."""
        ...

    def wake(self) -> None:
        """Start renewing leases in the background, unless that is running already."""
        ...


class _RenewalRounds(ABC, Generic[H]):
    """The leases of this process in one store, which are renewed together at intervals.

    Args:
        nanoseconds: local clock.
        heartbeat: makes the runner of rounds, from the round and a test for held leases.
    """

    def __init__(
        self,
        nanoseconds: Callable[[], int],
        heartbeat: Callable[[Callable[[], Flow[None]], Callable[[], bool]], Heartbeat],
    ) -> None:
        self._nanoseconds = nanoseconds
        self._silent_nodes: set[str] = set()
        self._silent: WeakKeyDictionary[H, int] = WeakKeyDictionary()
        self._held: WeakValueDictionary[int, H] = WeakValueDictionary()
        self._heartbeat = heartbeat(self.round, lambda: len(self._held) > 0)

    def keep(self, held: H) -> None:
        """Renew this lease from now on."""
        self._held[id(held)] = held
        self._heartbeat.wake()

    def stop_renewing(self, held: H) -> None:
        """Stop renewing this lease."""
        self._held.pop(id(held), None)

    async def round(self) -> None:
        """Renew the leases that are due now."""
        start_time = self._nanoseconds()
        end_time = start_time + RENEWAL * 1000
        groups, last_groups = self._groups(start_time), list[list[H]]()
        while groups:
            group = groups.pop()
            if self._silent_nodes and self._node(group) in self._silent_nodes:
                last_groups.append(group)
            else:
                groups += await self._try(group, end_time)
        # Those that waited in vain come last, so that one of them does not stop the others.
        last_groups.sort(key=lambda group: -max(self._silent.get(held, 0) for held in group))
        while last_groups and self._nanoseconds() < end_time:
            last_groups += await self._try(last_groups.pop(), end_time)

    async def _try(self, group: list[H], end_time: int) -> list[list[H]]:
        """Renew a group of leases; after a failure, return the groups to try before `end_time`."""
        start_time = self._nanoseconds()
        try:
            await self._renew(group, RENEWAL / SECOND)
        except StorageUnavailable:
            now, node = self._nanoseconds(), self._node(group)
            if node and now >= start_time + _SILENCE:
                self._silent_nodes.add(node)
                self._silent.update(dict.fromkeys(group, now))
            return split_in_half(group) if now < end_time else []
        if self._silent_nodes:
            self._silent_nodes.discard(self._node(group))
            for held in group:
                self._silent.pop(held, None)
        return []

    def stop_after_fork(self) -> None:
        """Stop renewing all leases in a forked child: they belong to its parent process."""
        self._held.clear()

    def _all_claims(self) -> list[H]:
        # Not `values()`, whose dictionary another thread may change during the iteration.
        return [claim for reference in self._held.valuerefs() if (claim := reference()) is not None]

    @abstractmethod
    def _groups(self, now: int) -> list[list[H]]:
        """Return the leases that are due now, in groups; the last group is renewed first."""

    def _node(self, group: list[H]) -> str:  # noqa: ARG002 - of other stores
        """Return the node of the store that has these leases; empty if there is only one."""
        return ""

    @abstractmethod
    async def _renew(self, group: Iterable[H], timeout: float | None) -> None:
        """Renew a group of leases; drop leases that another process has taken over."""


class Renewals(_RenewalRounds[HeldClaim]):
    """The idempotency-key claims of this process in one store, and their renewal.

    Args:
        execute: runs a command in that store.
        nanoseconds: local clock.
        by_tag: True if the keys of one command must have the same tag.
        heartbeat: makes the runner of rounds, from the round and a test for held claims.
        node_of: names the node with the keys of a command, if nodes can fail separately.

    Attributes:
        renews: True, since a claim is held only while it is renewed.
    """

    def __init__(
        self,
        execute: Callable[[Command[Any], float | None], Flow[Any]],
        nanoseconds: Callable[[], int],
        *,
        by_tag: bool,
        heartbeat: Callable[[Callable[[], Flow[None]], Callable[[], bool]], Heartbeat],
        node_of: Callable[[Command[Any]], str] | None = None,
    ) -> None:
        super().__init__(nanoseconds, heartbeat)
        self._execute = execute
        self._by_tag = by_tag
        self._node_of = node_of

    renews = True

    def lease(self, term: int) -> int:
        """Return the microseconds of a lease, for a holder that may work for `term`."""
        return LEASE if self._heartbeat.is_available() else term

    async def holds(self, held: HeldClaim, timeout: float | None) -> bool:
        """Return whether this process owns a claim; if its renewal is overdue, ask the store.

        Args:
            held: the claim.
            timeout: maximum seconds for the store; None for its own limit.

        Raises:
            StorageUnavailable: the store did not respond.
        """
        if self._nanoseconds() >= held.until and not held.lost:
            await self._renew([held], timeout)
        return not held.lost

    def stop_after_fork(self) -> None:
        """Stop renewing all claims in a forked child: they belong to its parent process."""
        for claim in self._all_claims():
            claim.until, claim.lost = 0, True
        super().stop_after_fork()

    def _groups(self, now: int) -> list[list[HeldClaim]]:
        return claims_due(self._all_claims(), now, by_tag=self._by_tag)

    def _node(self, group: list[HeldClaim]) -> str:
        return "" if self._node_of is None else self._node_of(_renew_command(group))

    async def _renew(self, group: Iterable[HeldClaim], timeout: float | None) -> None:
        claims = list(group)
        start_time = self._nanoseconds()
        command = _renew_command(claims)
        for claim, is_held in zip(claims, await self._execute(command, timeout), strict=True):
            if is_held:
                claim.until = max(claim.until, start_time + CLAIM_LEASE)
            else:
                claim.lost = True
                self.stop_renewing(claim)


def _renew_command(claims: Iterable[HeldClaim]) -> Renew:
    return Renew([(claim.key, claim.fence, claim.ttl) for claim in claims], lease=LEASE)


class EntryRenewals(_RenewalRounds[HeldEntry]):
    """The leases of the stored entries that this process works on.

    Args:
        store: the store.
        nanoseconds: local clock.
        heartbeat: makes the runner of rounds, from the round and a test for held entries.
        shortest: the shortest lease, in seconds, that can be renewed in time in this store.
    """

    def __init__(
        self,
        store: EntryStore[Any],
        nanoseconds: Callable[[], int],
        *,
        heartbeat: Callable[[Callable[[], Flow[None]], Callable[[], bool]], Heartbeat],
        shortest: float = ENTRY_LEASE,
    ) -> None:
        super().__init__(nanoseconds, heartbeat)
        self._store = store
        self._shortest = shortest

    def lease(self, lease: float | None) -> float:
        """Return the seconds of a worker's lease; a very short lease is prolonged."""
        if lease is not None:
            return lease
        return self._shortest if self._heartbeat.is_available() else UNRENEWED

    def hold(self, entry: Entry, lease: float) -> HeldEntry:
        """Renew the lease of an entry from now until its release."""
        held_entry = HeldEntry(entry, lease=lease, until=self._nanoseconds() + int(lease * 1e9))
        self.keep(held_entry)
        return held_entry

    async def holds(self, held: HeldEntry, timeout: float | None = None) -> bool:
        """Return whether the worker owns an entry; if its renewal is overdue, ask the store.

        Args:
            held: the entry.
            timeout: maximum seconds for the store; None for its own limit.

        Raises:
            StorageUnavailable: the store did not respond.
        """
        if self._nanoseconds() >= held.until:
            await self._renew([held], timeout)
        return id(held) in self._held

    def _groups(self, now: int) -> list[list[HeldEntry]]:
        due_entries = entries_due(self._all_claims(), now)
        group_size = 1 if self._store.settle is None else MOST_TOGETHER
        return [due_entries[at : at + group_size] for at in range(0, len(due_entries), group_size)][
            ::-1
        ]

    async def _renew(self, group: Iterable[HeldEntry], timeout: float | None) -> None:
        entries = list(group)
        start_time = self._nanoseconds()
        store = (
            self._store if timeout is None else self._bounded_store(entries, start_time, timeout)
        )
        now = await store.now()
        from moorage.domain.entries.queue import extend_lease  # noqa: PLC0415 - few programs have entries

        renewed_entries = [extend_lease(claim.entry, now, claim.lease) for claim in entries]
        fences = [claim.entry.fence for claim in entries]
        if store.settle is None:
            swap_results: Iterable[bool] = [await store.swap(renewed_entries[0], fences[0])]
        else:
            swap_results = await store.settle(renewed_entries, fences)
        for claim, is_own in zip(entries, swap_results, strict=True):
            if is_own:
                claim.until = start_time + int(claim.lease * 1e9)
            else:
                self.stop_renewing(claim)

    def _bounded_store(
        self, entries: Iterable[HeldEntry], start_time: int, timeout: float
    ) -> EntryStore[Any]:
        """Return the store, with a time limit: the first lease's end or `timeout` if later."""
        end = max(start_time + int(timeout * 1e9), min(claim.until for claim in entries))
        return self._store.within(lambda: max(0.0, (end - self._nanoseconds()) / 1e9))


class NoRenewals:
    """The replacement of `Renewals` for a store whose claims end with the process.

    Attributes:
        renews: False, since a claim is held for as long as its holder may work.
    """

    renews = False

    def lease(self, term: int) -> int:
        """Return the whole time that the holder may work, because the lease is not renewed."""
        return term

    def keep(self, held: HeldClaim) -> None:
        """Do nothing, because the lease never needs a renewal."""

    def stop_renewing(self, held: HeldClaim) -> None:
        """Do nothing, because nothing is renewed."""

    async def holds(self, held: HeldClaim, timeout: float | None) -> bool:  # noqa: ARG002 - as of Renewals
        """Return True, because the store itself checks who owns the claim."""
        return True
