"""Entries that a worker takes together, but settles one by one as each is processed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from moorage.domain.entries.queue import Entry, EntryState, finish_entry, give_back
from moorage.services.entries.processing import EntryProcessing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.entries.renewal import HeldEntry

E = TypeVar("E", bound=Entry)


class EntryClaims(EntryProcessing[E]):
    """The entries of a store for a worker that settles them one by one, in any order."""

    async def claim(self, limit: int) -> list[tuple[E, HeldEntry]]:
        """Take up to `limit` due entries, and return each with its lease.

        The leases are renewed until the entries are settled or abandoned.
        """
        lease = self._renewals.lease(self._lease)
        return [
            (entry, self._renewals.hold(entry, lease))
            for entry in await self._claim_due(limit, lease)
            if entry.state is EntryState.CLAIMED
        ]

    async def _claim_due(self, limit: int, lease: float) -> Sequence[E]:
        if self.store.claim is not None:
            return await self.store.claim(limit, lease, self._retry.max_attempts)
        entries: list[E] = []
        for entry in await self.store.due(limit):
            entries += await self._claim_one(entry, lease)
        return entries

    async def settle_claim(self, entry: E, lease: HeldEntry, *, is_done: bool) -> None:
        """Mark a claimed entry as done, or release it; do nothing if another worker has it.

        Raises:
            StorageUnavailable: the store cannot be reached. The entry is still held.
        """
        now = await self.store.now()
        settled_entry = finish_entry(entry, now) if is_done else give_back(entry, now)
        await self.store.swap(settled_entry, entry.fence)
        self.abandon(lease)

    def abandon(self, lease: HeldEntry) -> None:
        """Stop renewing a lease; when it expires, another worker gets the entry."""
        self._renewals.stop_renewing(lease)
