"""Whether a store is away: what is known of that, by whom."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from moorage import Service, StorageLost, StorageRecovered, StorageUnavailable
from moorage.services.watch import Watch
from tests.support.colours import World, in_both_colours

AWAY = StorageUnavailable("it does not answer.")


@in_both_colours
async def test_what_was_known_before_counts_no_more(world: World) -> None:
    """Who asked before somebody else knew better tells nothing new, whatever it was answered."""
    watch = Watch(world.watched(Service("vat")).manager._flows.core, "state")

    watch.lost(None, AWAY)
    first = watch.outage
    assert first is not None
    watch.lost(None, AWAY)
    assert first is watch.outage
    watch.lost(first, AWAY)
    second = watch.outage
    watch.found(first)

    assert second is watch.outage is not first
    assert [StorageLost, StorageLost] == [type(event) for event in world.events]
    assert second is not None
    watch.found(second)
    assert watch.outage is None
    assert isinstance(world.events[-1], StorageRecovered)
