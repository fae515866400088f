"""Due outbox entries behind many entries that must wait, in every kind of database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.domain.entries.pauses import ANY_TARGET
from moorage.domain.entries.queue import EntryState
from tests.adapters.entry_harnesses import entry

if TYPE_CHECKING:
    from tests.adapters.entry_harnesses import EntryHarness

MANY = 150
"""More entries than PostgreSQL looks at first."""


def ids(entries: Any) -> list[str]:
    """Return the ids of entries."""
    return [item.id for item in entries]


def filled_outbox(harness: EntryHarness, lane: str, **changes: Any) -> Any:
    """Return an outbox with many entries in one ordered group.

    The group's first entry is due in an hour.
    """
    outbox = harness.outbox()
    first = outbox.add(entry("first", lane=lane, **changes))
    later_time = attrs.evolve(first, due=outbox.now() + timedelta(hours=1), fence=1)
    assert outbox.swap(later_time, 0)
    for number in range(MANY):
        outbox.add(entry(f"held-{number}", lane=lane, **changes))
    return outbox


def test_only_the_first_of_each_long_lane_is_due(harness: EntryHarness) -> None:
    """In every lane only the first entry is due, and due entries keep their order."""
    outbox = harness.outbox()
    for number in range(MANY):
        outbox.add(entry(f"{number}", lane=f"lane-{number % 3}"))

    assert ["0", "1", "2"] == ids(outbox.due(10))
    assert ["0", "1"] == ids(outbox.claim(2, 60.0, 5))
    assert ["2"] == ids(outbox.claim(2, 60.0, 5))
    assert [] == ids(outbox.claim(2, 60.0, 5))


@pytest.mark.parametrize("limit", [1, 3, MANY])
def test_entries_behind_a_held_lane_are_due(harness: EntryHarness, limit: int) -> None:
    """If many due entries wait behind the first of their group, a worker still finds later ones."""
    outbox = filled_outbox(harness, "held", priority=1)
    outbox.add(entry("free"))
    outbox.add(entry("other", lane="other"))
    outbox.add(entry("behind", lane="other"))
    outbox.add(entry("urgent", priority=1, lane="urgent"))

    assert ["urgent", "free", "other"][:limit] == ids(outbox.due(limit))
    assert ["urgent", "free", "other"][:limit] == ids(outbox.claim(limit, 60.0, 5))


def test_pauses_hold_entries_behind_a_held_lane(harness: EntryHarness) -> None:
    """If a tenant is paused, entries behind its first waiting entry in a lane wait too."""
    outbox = filled_outbox(harness, "held")
    outbox.add(entry("free"))
    outbox.add(entry("other", lane="other", tenant="acme"))
    outbox.add(entry("pause", target=ANY_TARGET, tenant="acme", state=EntryState.PAUSED, due=None))

    assert ["free"] == ids(outbox.due(10))
    assert ["free"] == ids(outbox.claim(10, 60.0, 5))
