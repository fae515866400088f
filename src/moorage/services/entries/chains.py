"""Chains of calls: release the calls whose predecessors are done, and undo failed chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.undo import FromAnswer, Undo
from moorage.contracts.value_codec import pack
from moorage.domain.entries.chains import (
    ancestor_ids,
    predecessor_ids,
    unblocked_entry,
    undo_changes,
    undo_id,
)
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import CHAINED, EntryQuery, EntryState, stored_error_text
from moorage.errors import InvalidData
from moorage.services.entries.processing import EntryProcessing, ProcessedEntry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage.services.entries.processing import StopSignal

_PAGE: Final = 100
_MOST_PAGES: Final = 10
"""The number of pages of waiting calls that a worker reads in one round."""


@attrs.define
class ChainPosition:
    """A worker's position in the list of calls that wait for others of their chain."""

    after: str | None = None


class ChainProcessing(EntryProcessing[OutboxEntry]):
    """The processing of chains of calls in an outbox."""

    _position: ChainPosition

    async def _advance_chains(self, stop: StopSignal | None) -> list[ProcessedEntry[OutboxEntry]]:
        """Release or abandon calls that wait for others in a chain; return the abandoned calls.

        Each round inspects up to a thousand waiting calls, and the next round continues from there.
        """
        results: list[ProcessedEntry[OutboxEntry]] = []
        for _ in range(_MOST_PAGES):
            if self._must_stop(stop):
                break
            query = EntryQuery(states=CHAINED, limit=_PAGE, after=self._position.after)
            page = await self.store.find(query)
            if page.items:
                results += await self._advance_page(page.items)
            self._position.after = page.next
            if page.next is None:
                break
        return results

    async def _advance_page(
        self, entries: tuple[OutboxEntry, ...]
    ) -> list[ProcessedEntry[OutboxEntry]]:
        now = await self.store.now()
        blocked_entries = [entry for entry in entries if entry.state is EntryState.BLOCKED]
        chain = await self._with_undos(
            id for entry in blocked_entries for id in predecessor_ids(entry)
        )
        results: list[ProcessedEntry[OutboxEntry]] = []
        for entry in blocked_entries:
            changed_entry = unblocked_entry(entry, chain, now)
            if (
                changed_entry is not None
                and await self.store.swap(changed_entry, entry.fence)
                and changed_entry.state is EntryState.UNDOING
            ):
                results.append(ProcessedEntry(entry=changed_entry))
        for entry in entries:
            if entry.state is EntryState.UNDOING:
                await self._release_undos(entry, now)
        return results

    async def _release_undos(self, entry: OutboxEntry, now: datetime) -> None:
        """Release the calls that undo a failed call's predecessors, then end the failed call."""
        chain = await self._with_undos([entry.id])
        missing_ids = set(ancestor_ids(entry, chain))
        while missing_ids:
            chain |= await self._with_undos(missing_ids)
            looked_up = missing_ids | set(chain)
            missing_ids = set(ancestor_ids(entry, chain)) - looked_up
        for changed_entry in undo_changes(entry, chain, now) or ():
            await self.store.swap(changed_entry, changed_entry.fence - 1)

    async def _with_undos(self, ids: Iterable[str]) -> dict[str, OutboxEntry]:
        """Return the stored calls with these ids, and the calls that undo them, by id."""
        names = [name for id in dict.fromkeys(ids) for name in (id, undo_id(id))]
        chain: dict[str, OutboxEntry] = {}
        for start in range(0, len(names), _PAGE):
            chunk = names[start : start + _PAGE]
            page = await self.store.find(EntryQuery(ids=chunk, limit=len(chunk)))
            chain |= {entry.id: entry for entry in page.items}
        return chain

    async def _prepare_undo(self, entry: OutboxEntry, undo: Undo, answer: object) -> None:
        """Store the call that can undo a call later, now that this call is done.

        A call that cannot be built is stored as given up, so that a person sees it.
        """
        prepared_entry = OutboxEntry(
            id=undo_id(entry.id),
            target=undo.contract,
            operation=undo.verb,
            tenant=entry.tenant,
            subject=entry.subject,
            added_at=self.core.utc(),
            state=EntryState.PREPARED,
            holds=False,
            priority=entry.priority,
            settled_at=await self.store.now(),
            traceparent=entry.traceparent,
            tracestate=entry.tracestate,
        )
        try:
            packed_undo = pack(undo.arguments_of(answer))
        except InvalidData as error:
            packed_undo = pack(((), dict[str, Any]()))
            prepared_entry = attrs.evolve(
                prepared_entry, state=EntryState.DEAD, error=stored_error_text(error)
            )
        await self.store.add(self.closed(prepared_entry, packed_undo))


def checked_undo(undo: Any) -> None:
    """Check that a value is an `Undo`, and return it.

    Raises:
        InvalidData: the value is not an `Undo`.
    """
    if not isinstance(undo, Undo):
        raise InvalidData(
            f"undo must be an Undo, not {type(undo).__name__!r}.",
            field="undo",
            remedy="Pass Undo('payments', 'refund', [FromAnswer('ref')]).",
        )


def refuse_parts_of_answers(values: Iterable[Any]) -> None:
    """Refuse arguments that refer to another call's result where none exists yet.

    Raises:
        InvalidData: an argument stands for a part of another call's result.
    """
    if any(isinstance(value, FromAnswer) for value in values):
        raise InvalidData(
            "FromAnswer can be used only in the arguments of an Undo.",
            field="values",
            remedy="Pass it in undo=Undo(…).",
        )
