"""Any bytes make a verifier return events or refuse."""

from __future__ import annotations

import pytest

from moorage.domain.webhooks.presets import PRESETS
from tests.webhooks.fuzzing import FAMILIES, fuzz


@pytest.mark.parametrize("family", FAMILIES)
def test_damaged_webhooks(family: str) -> None:
    """Damaged webhooks raise no unexpected error, and none with relevant damage is accepted."""
    assert fuzz(family, 1_500) < 1_500


def test_families_are_of_presets() -> None:
    """Each family has schemes that there are."""
    assert {name for names in FAMILIES.values() for name in names} <= set(PRESETS)
