"""Manual operations on a store's entries: find, remove, replay or cancel them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from moorage.domain.entries.queue import (
    SETTLED,
    STUCK,
    Entry,
    EntryPage,
    EntryQuery,
    EntryState,
    cancel_entry,
    lease_left,
    replay_entry,
    usual_wait,
)
from moorage.domain.monitoring.health import Backlog
from moorage.errors import IdempotencyInProgress, InvalidData
from moorage.services.calling.manual_operations import ManualAct, perform_recorded
from moorage.services.entries.pausing import EntryPauses

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.domain.resilience.retry import RetryPolicy

E = TypeVar("E", bound=Entry)

_MOST_COUNTED: Final = 100
"""The maximum number of entries that a backlog counts."""


class EntryManagement(EntryPauses[E]):
    """The manual operations on the entries of an inbox or an outbox."""

    _retry: RetryPolicy

    async def find(self, query: EntryQuery) -> EntryPage[E]:
        """Find one page of the entries that match a query, newest first."""
        return await self.store.find(query)

    async def remove(self, query: EntryQuery) -> int:
        """Remove all entries that match a query, in any state; return their number."""
        return await self.store.remove(query)

    async def stuck(self, *, limit: int = 100, after: str | None = None) -> EntryPage[E]:
        """Find the entries that need a person's decision, newest first.

        Such entries are the unknown and dead entries, and those that have waited unusually long for
        another attempt: longer than an hour and longer than the longest delay of `retry`.
        """
        overdue_time = await self.store.now() + usual_wait(self._retry)
        pages = [
            await self.store.find(attrs.evolve(query, limit=limit, after=after))
            for query in (EntryQuery(states=STUCK), EntryQuery(waits_beyond=overdue_time))
        ]
        entries = sorted(
            (entry for page in pages for entry in page.items),
            key=lambda entry: entry.number,
            reverse=True,
        )
        items = tuple(entries[:limit])
        has_next_page = len(entries) > limit or any(page.next for page in pages)
        return EntryPage(items=items, next=str(items[-1].number) if has_next_page else None)

    async def backlog(self) -> Backlog:
        """Count the entries that need a person, and return how long the oldest is overdue.

        At most 100 entries of each kind are counted. Entries that wait behind 100 others of a
        higher priority do not count as overdue.
        """
        now = await self.store.now()
        stuck_page = await self.store.find(EntryQuery(states=STUCK, limit=_MOST_COUNTED))
        waiting_entries = await self.store.due(_MOST_COUNTED)
        dead_count = sum(entry.state is EntryState.DEAD for entry in stuck_page.items)
        late_numbers = [
            (now - entry.due).total_seconds() for entry in waiting_entries if entry.due is not None
        ]
        return Backlog(
            dead=dead_count,
            unknown=len(stuck_page.items) - dead_count,
            late=max([0.0, *late_numbers]),
            more=stuck_page.next is not None,
        )

    async def forget(self, before: datetime | timedelta) -> int:
        """Remove the entries that ended before a time; return their number.

        A removed entry cannot be replayed, and a repeat of it counts as new.

        Args:
            before: time or age, both by the store's clock.
        """
        if isinstance(before, timedelta):
            before = await self.store.now() - before
        return await self.store.remove(EntryQuery(states=SETTLED, settled_before=before))

    async def get(self, id: str) -> E:
        """Return the entry with this id.

        Raises:
            InvalidData: no entry has this id.
        """
        page = await self.store.find(EntryQuery(id=id, limit=1))
        if not page.items:
            raise InvalidData(
                f"No entry has the id {id[:80]!r}.",
                field="id",
                remedy="Pass the `id` of an entry that is still stored.",
            )
        return page.items[0]

    async def replay(self, id: str, *, actor: str | None = None, reason: str = "") -> E:
        """Process an entry again, in any state, with as many attempts as a new entry.

        Args:
            id: id of the entry.
            actor: person who takes the action, for the audit trail; by default the system's user.
            reason: reason for the audit trail.
        """
        return await self._change_entry(id, "replay", replay_entry, actor, reason)

    async def drop(self, id: str, *, actor: str | None = None, reason: str = "") -> E:
        """Cancel an entry, so that no worker processes it.

        Args:
            id: id of the entry.
            actor: person who takes the action, for the audit trail; by default the system's user.
            reason: reason for the audit trail.

        Raises:
            InvalidData: the entry is done, so that it cannot be cancelled.
        """
        return await self._change_entry(id, "drop", _cancel_entry, actor, reason)

    async def _change_entry(
        self,
        id: str,
        act: str,
        change: Callable[[E, datetime], E],
        actor: str | None,
        reason: str,
    ) -> E:
        previous_entry = await self.get(id)
        if previous_entry.state is EntryState.PAUSED:
            raise InvalidData(
                f"The entry {id} is a pause of the queue, not a stored call or webhook.",
                field="id",
                remedy="Call `resume` to end the pause.",
            )
        manual_act = ManualAct(
            act=f"{self._name}.{act}",
            subject=f"entry {id}",
            actor=actor,
            reason=reason,
            before={
                "state": previous_entry.state.value,
                "target": previous_entry.target,
                "operation": previous_entry.operation,
                "tenant": previous_entry.tenant,
                "attempts": previous_entry.attempts,
            },
        )
        return await perform_recorded(
            self.core, manual_act, lambda: self._replace_entry(id, change)
        )

    async def _replace_entry(self, id: str, change: Callable[[E, datetime], E]) -> E:
        while True:
            entry, now = await self.get(id), await self.store.now()
            remaining_duration = lease_left(entry, now)
            if remaining_duration:
                raise IdempotencyInProgress(
                    f"A worker is processing the entry {entry.id}.",
                    retry_at=self.core.utc() + remaining_duration,
                    remedy="Wait until the worker has finished, or its lease has expired.",
                )
            changed_entry = change(entry, now)
            if await self.store.swap(changed_entry, entry.fence):
                return changed_entry


def _cancel_entry(entry: E, now: datetime) -> E:
    """Return the entry marked as cancelled."""
    if entry.state is EntryState.DONE:
        raise InvalidData(
            f"The entry {entry.id} cannot be cancelled, because it is already done.",
            field="id",
            remedy="Reverse the effect in another way, such as with a refund.",
        )
    return cancel_entry(entry, now)
