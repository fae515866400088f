"""Renewing the claims of this process, so that they last while their holders live and no longer.

Laws:

1. A claim is renewed from the moment it is kept until it is let go, or until nobody refers to it
   any more. A child of a fork renews none of its parent's.
2. Whoever finds its renewal late asks the store once more before it sends anything.
3. One command renews many claims. One that fails is tried again in halves, within the same round,
   so that a state that cannot be read costs nobody else a claim.
4. Nothing that goes wrong here reaches a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from moorage.domain.durations import SECOND
from moorage.domain.idempotency import LEASE, RENEWAL, Renew
from moorage.domain.renewal import LASTS, due, halves
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.renewal import Held
    from moorage.domain.state import Command
    from moorage.services.core import Flow


class Heartbeat(Protocol):
    """Runs the rounds of renewals, one every `RENEWAL`, while there is anything to renew."""

    def able(self) -> bool:
        """Whether rounds can be run here at all."""
        ...

    def wake(self) -> None:
        """Run rounds from now on, unless that goes on already."""
        ...


class Renewals:
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
        self._execute = execute
        self._nanoseconds = nanoseconds
        self._by_tag = by_tag
        self._held: WeakValueDictionary[int, Held] = WeakValueDictionary()
        self._heartbeat = heartbeat(self.round, lambda: len(self._held) > 0)

    def lease(self, term: int) -> int:
        """Microseconds that a claim lasts whose holder may be at work for `term`."""
        return LEASE if self._heartbeat.able() else term

    def keep(self, held: Held) -> None:
        """Renew a claim from now on."""
        self._held[id(held)] = held
        self._heartbeat.wake()

    def let_go(self, held: Held) -> None:
        """Renew a claim no longer."""
        self._held.pop(id(held), None)

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

    async def round(self) -> None:
        """Renew what has to be renewed by now."""
        began = self._nanoseconds()
        groups = due(self._claims(), began, by_tag=self._by_tag)
        while groups:
            group = groups.pop()
            try:
                await self._renew(group, RENEWAL / SECOND)
            except StorageUnavailable:
                if self._nanoseconds() < began + RENEWAL * 1000:
                    groups += halves(group)

    def disown(self) -> None:
        """Give up all claims, as in a child that was just forked: they are its parent's."""
        for held in self._claims():
            held.until, held.lost = 0, True
        self._held.clear()

    def _claims(self) -> list[Held]:
        # Not `values`, which must not be changed by another thread meanwhile.
        return [held for found in self._held.valuerefs() if (held := found()) is not None]

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
