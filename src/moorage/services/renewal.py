"""Renewing what this process holds, so that it lasts while its holders live and no longer.

Claims of keys and entries of an inbox or outbox are renewed by the same rounds.

Laws:

1. A claim or entry is renewed from the moment it is kept until it is let go, or until nobody refers
   to it any more. A child of a fork renews none of its parent's.
2. Whoever finds the renewal of its claim late asks the store once more before it sends anything.
   A worker whose entry was taken by another has its result refused by the entry's fence.
3. One command renews many claims, and one swap one entry. A command that fails is tried again
   in halves, within the same round, so that a state that cannot be read costs nobody else a claim.
4. Nothing that goes wrong here reaches a call or a handler.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from moorage.domain.durations import SECOND
from moorage.domain.entries import renew
from moorage.domain.idempotency import LEASE, RENEWAL, Renew
from moorage.domain.renewal import (
    ENTRY_LEASE,
    LASTS,
    UNRENEWED,
    Held,
    HeldEntry,
    due,
    entries_due,
    halves,
)
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.entries import Entry
    from moorage.domain.state import Command
    from moorage.services.core import Flow
    from moorage.services.entries import Shelf

H = TypeVar("H", Held, HeldEntry)


class Heartbeat(Protocol):
    """Runs the rounds of renewals, one every `RENEWAL`, while there is anything to renew."""

    def able(self) -> bool:
        """Whether rounds can be run here at all."""
        ...

    def wake(self) -> None:
        """Run rounds from now on, unless that goes on already."""
        ...


class _Rounds(ABC, Generic[H]):
    """What this process holds in one store, and the rounds that renew it.

    Args:
        nanoseconds: the local clock.
        heartbeat: makes what runs the rounds, of the round and of whether anything is held.
    """

    def __init__(
        self,
        nanoseconds: Callable[[], int],
        heartbeat: Callable[[Callable[[], Flow[None]], Callable[[], bool]], Heartbeat],
    ) -> None:
        self._nanoseconds = nanoseconds
        self._held: WeakValueDictionary[int, H] = WeakValueDictionary()
        self._heartbeat = heartbeat(self.round, lambda: len(self._held) > 0)

    def keep(self, held: H) -> None:
        """Renew this from now on."""
        self._held[id(held)] = held
        self._heartbeat.wake()

    def let_go(self, held: H) -> None:
        """Renew this no longer."""
        self._held.pop(id(held), None)

    async def round(self) -> None:
        """Renew what has to be renewed by now."""
        began = self._nanoseconds()
        groups = self._groups(began)
        while groups:
            group = groups.pop()
            try:
                await self._renew(group, RENEWAL / SECOND)
            except StorageUnavailable:
                if self._nanoseconds() < began + RENEWAL * 1000:
                    groups += halves(group)

    def disown(self) -> None:
        """Renew nothing more, as in a child that was just forked: all is its parent's."""
        self._held.clear()

    def _all(self) -> list[H]:
        # Not `values`, which must not be changed by another thread meanwhile.
        return [held for found in self._held.valuerefs() if (held := found()) is not None]

    @abstractmethod
    def _groups(self, now: int) -> list[list[H]]:
        """What to renew now, in groups; the last group is renewed first."""

    @abstractmethod
    async def _renew(self, group: Iterable[H], timeout: float | None) -> None:
        """Renew a group, and let go of what belongs to somebody else by now."""


class Renewals(_Rounds[Held]):
    """The claims of this process in one store.

    Args:
        execute: runs a command in that store.
        nanoseconds: the local clock.
        by_tag: whether the keys of one command must have the same tag.
        heartbeat: makes what runs the rounds, of the round and of whether there are claims.
    """

    def __init__(
        self,
        execute: Callable[[Command[Any], float | None], Flow[Any]],
        nanoseconds: Callable[[], int],
        *,
        by_tag: bool,
        heartbeat: Callable[[Callable[[], Flow[None]], Callable[[], bool]], Heartbeat],
    ) -> None:
        super().__init__(nanoseconds, heartbeat)
        self._execute = execute
        self._by_tag = by_tag

    def lease(self, term: int) -> int:
        """Microseconds that a claim lasts whose holder may be at work for `term`."""
        return LEASE if self._heartbeat.able() else term

    async def holds(self, held: Held, timeout: float | None) -> bool:
        """Whether a claim is its holder's still; the store is asked if its renewal is late.

        Args:
            held: the claim.
            timeout: seconds that the store may take; None for its own bound.

        Raises:
            StorageUnavailable: nobody knows.
        """
        if self._nanoseconds() >= held.until and not held.lost:
            await self._renew([held], timeout)
        return not held.lost

    def disown(self) -> None:
        """Give up all claims, as in a child that was just forked: they are its parent's."""
        for held in self._all():
            held.until, held.lost = 0, True
        super().disown()

    def _groups(self, now: int) -> list[list[Held]]:
        return due(self._all(), now, by_tag=self._by_tag)

    async def _renew(self, group: Iterable[Held], timeout: float | None) -> None:
        claims = list(group)
        began = self._nanoseconds()
        command = Renew([(held.key, held.fence, held.ttl) for held in claims], lease=LEASE)
        for held, mine in zip(claims, await self._execute(command, timeout), strict=True):
            if mine:
                held.until = max(held.until, began + LASTS)
            else:
                held.lost = True
                self.let_go(held)


class EntryRenewals(_Rounds[HeldEntry]):
    """The entries of one store that this process is at work on.

    Args:
        shelf: the store.
        nanoseconds: the local clock.
        heartbeat: makes what runs the rounds, of the round and of whether there are entries.
    """

    def __init__(
        self,
        shelf: Shelf[Any],
        nanoseconds: Callable[[], int],
        *,
        heartbeat: Callable[[Callable[[], Flow[None]], Callable[[], bool]], Heartbeat],
    ) -> None:
        super().__init__(nanoseconds, heartbeat)
        self._shelf = shelf

    def lease(self, lease: float | None) -> float:
        """Seconds that a worker has an entry for: `lease`, or as short as can be."""
        if lease is not None:
            return lease
        return ENTRY_LEASE if self._heartbeat.able() else UNRENEWED

    def hold(self, entry: Entry, lease: float) -> HeldEntry:
        """Renew an entry that was just taken, until it is let go."""
        held = HeldEntry(entry, lease=lease, until=self._nanoseconds() + int(lease * 1e9))
        self.keep(held)
        return held

    def _groups(self, now: int) -> list[list[HeldEntry]]:
        return [[held] for held in reversed(entries_due(self._all(), now))]

    async def _renew(self, group: Iterable[HeldEntry], timeout: float | None) -> None:  # noqa: ARG002 - stores of entries bound their own time
        for held in group:
            began = self._nanoseconds()
            renewed = renew(held.entry, await self._shelf.now(), held.lease)
            if await self._shelf.swap(renewed, held.entry.fence):
                held.until = began + int(held.lease * 1e9)
            else:
                self.let_go(held)


class Unrenewed:
    """In place of `Renewals` where a store ends with its process, and all claims with it."""

    def lease(self, term: int) -> int:
        """As long as the term."""
        return term

    def keep(self, held: Held) -> None:
        """Nothing: the lease lasts for the whole term."""

    def let_go(self, held: Held) -> None:
        """Nothing."""

    async def holds(self, held: Held, timeout: float | None) -> bool:  # noqa: ARG002 - as of Renewals
        """Whether a claim is its holder's still, which the store itself says where it is marked."""
        return True
