"""The probe that finds out when an unavailable store works again."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from moorage import Service, StorageLost, StorageRecovered, StorageUnavailable
from moorage.services.core.outage_probe import OutageProbe
from tests.support.modes import Harness, sync_and_async

STORE_AWAY = StorageUnavailable("it does not answer.")


@sync_and_async
async def test_outdated_outcomes_are_ignored(harness: Harness) -> None:
    """The outcome of a store command that began before the last outage is ignored."""
    probe = OutageProbe(harness.watched(Service("vat")).manager._flows.core, "state")

    probe.record_loss(None, STORE_AWAY, 0)
    first = probe.outage
    assert first is not None
    probe.record_loss(None, STORE_AWAY, 0)
    assert first is probe.outage
    probe.record_loss(first, STORE_AWAY, 0)
    second = probe.outage
    probe.record_recovery(first)

    assert second is probe.outage is not first
    assert [StorageLost, StorageLost] == [type(event) for event in harness.events]
    assert second is not None
    probe.record_recovery(second)
    assert probe.outage is None
    assert isinstance(harness.events[-1], StorageRecovered)
