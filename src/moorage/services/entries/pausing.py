"""Pauses of entries: an operator stops workers from taking some entries, and resumes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import attrs

from moorage.contracts.value_codec import pack
from moorage.domain.entries.pauses import (
    ANY_TARGET,
    LONGEST_REASON,
    OPERATION,
    Pause,
    is_covered,
    pause_of,
    scope_of,
)
from moorage.domain.entries.queue import Entry, EntryQuery, EntryState
from moorage.domain.values.text import storable_text
from moorage.errors import InvalidData
from moorage.services.calling.manual_operations import ManualAct, perform_recorded

if TYPE_CHECKING:
    from moorage.services.core.core import Core
    from moorage.services.entries.store import EntryStore

E = TypeVar("E", bound=Entry)

_PAUSES: Final = EntryQuery(states={EntryState.PAUSED})


class EntryPauses(Generic[E]):
    """The pauses of an inbox's or outbox's entries, and the operations on them."""

    core: Core
    store: EntryStore[E]
    _name: str
    _kind: type[E]

    async def pause(
        self,
        target: str | None = None,
        *,
        tenant: str | None = None,
        subject: str | None = None,
        reason: str,
        actor: str | None = None,
    ) -> Pause:
        """Stop all workers, in every process, from taking these entries until `resume` is called.

        Entries stay in the store unchanged, and more can be added. A worker finishes the entries
        that it has taken already. If these entries are paused already, that pause stays unchanged.

        Args:
            target: the contract or service of the entries, or the account of webhooks; by default
                all.
            tenant: the tenant of the entries; by default all.
            subject: the person whose data the entries hold; by default all.
            reason: the reason, which lists and the audit trail show.
            actor: person who takes the action, for the audit trail; by default the system's user.

        Raises:
            InvalidData: the reason is missing.
        """
        if not reason.strip():
            raise InvalidData(
                "A pause needs a reason.",
                field="reason",
                remedy="Pass a reason, so that others can see why no entries are processed.",
            )
        entry = self._kind(
            id=_id_of(target, tenant, subject),
            target=target or ANY_TARGET,
            operation=OPERATION,
            tenant=tenant,
            subject=subject,
            added_at=self.core.utc(),
            state=EntryState.PAUSED,
            holds=False,
            error=storable_text(reason.strip()[:LONGEST_REASON]),
        )
        manual_act = self._manual_act("pause", entry, actor, reason)
        return pause_of(
            await perform_recorded(self.core, manual_act, lambda: self.store.add(entry))
        )

    async def resume(
        self,
        target: str | None = None,
        *,
        tenant: str | None = None,
        subject: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> bool:
        """End the pause of these entries, so that workers claim them; return whether one existed.

        Another pause that covers the same entries, such as a pause of all entries, remains.

        Args:
            target: the `target` that `pause` was called with.
            tenant: the `tenant` that `pause` was called with.
            subject: the `subject` that `pause` was called with.
            actor: person who takes the action, for the audit trail; by default the system's user.
            reason: reason for the audit trail.
        """
        query = EntryQuery(id=_id_of(target, tenant, subject), states={EntryState.PAUSED})
        entries = (await self.store.find(query)).items
        for entry in entries:
            manual_act = self._manual_act("resume", entry, actor, reason)
            await perform_recorded(self.core, manual_act, lambda: self.store.remove(query))
        return bool(entries)

    async def pauses(self) -> tuple[Pause, ...]:
        """Return the pauses in force, newest first."""
        return tuple(map(pause_of, await self._current_pauses()))

    async def _current_pauses(self) -> list[E]:
        page = await self.store.find(_PAUSES)
        entries = [*page.items]
        while page.next is not None:
            page = await self.store.find(attrs.evolve(_PAUSES, after=page.next))
            entries += page.items
        return entries

    async def _is_paused(self, entry: E) -> bool:
        """Return whether a pause in force covers this entry."""
        return is_covered(entry, await self._current_pauses())

    def _manual_act(self, name: str, entry: E, actor: str | None, reason: str) -> ManualAct:
        pause = pause_of(entry)
        scope = scope_of(pause.target, pause.tenant, pause.subject)
        return ManualAct(
            act=f"{self._name}.{name}",
            subject=f"{self._name} {scope}",
            actor=actor,
            reason=reason,
        )


def _id_of(target: str | None, tenant: str | None, subject: str | None) -> str:
    """Return the id of the pause for these entries."""
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

    return f"pause-{sha256(pack((target, tenant, subject))).hexdigest()[:32]}"
