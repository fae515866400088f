"""Pauses: an operator stops workers from taking entries, without changing the entries.

1. A pause is itself an entry of the store, in the state `PAUSED`. So a pause survives restarts, and
   the workers of all processes see it.
2. It covers the entries whose target, tenant and subject are those that it names; a field that it
   does not name may have any value.
3. A store offers no entry that a pause covers. The entry stays as it is: it is due again when the
   pause is removed, and keeps back the later entries of its lane.
4. A pause is never due, has no lane, and is not changed. Removing it ends it.
5. A worker finishes the entries that it took before the pause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.entries.queue import EntryState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage.domain.entries.queue import Entry

ANY_TARGET: Final = "*"
"""The target of a pause that covers the entries of all targets."""

OPERATION: Final = "pause"
"""The operation name of an entry that represents a pause."""

LONGEST_REASON: Final = 500


@attrs.frozen(kw_only=True)
class Pause:
    """A pause: workers do not take the inbox or outbox entries that it covers.

    Attributes:
        target: the account, contract or service; None for all.
        tenant, subject: the tenant and the person; None for all.
        reason: the reason that an operator gave.
        since: the time at which it began.
    """

    target: str | None = None
    tenant: str | None = None
    subject: str | None = None
    reason: str = ""
    since: datetime

    def covers(self, entry: Entry) -> bool:
        """Return whether this pause keeps workers from taking the entry."""
        pairs = (
            (self.target, entry.target),
            (self.tenant, entry.tenant),
            (self.subject, entry.subject),
        )
        return entry.state is not EntryState.PAUSED and all(
            expected is None or expected == value for expected, value in pairs
        )


def scope_of(target: str | None, tenant: str | None, subject: str | None) -> str:
    """Return a phrase for the entries that a pause stops, such as "tenant acme" or "all"."""
    selection = (("target", target), ("tenant", tenant), ("subject", subject))
    return ", ".join(f"{name} {value}" for name, value in selection if value is not None) or "all"


def pause_of(entry: Entry) -> Pause:
    """Return the pause that an entry in the state `PAUSED` represents."""
    return Pause(
        target=None if entry.target == ANY_TARGET else entry.target,
        tenant=entry.tenant,
        subject=entry.subject,
        reason=entry.error,
        since=entry.added_at,
    )


def is_covered(entry: Entry, pauses: Iterable[Entry]) -> bool:
    """Return whether any of these pauses keeps workers from taking the entry."""
    return any(pause_of(pause).covers(entry) for pause in pauses)
