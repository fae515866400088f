"""Fuzzing of webhook verifiers: any input gives events or a refusal."""

from __future__ import annotations

import pytest

from moorage.domain.webhooks.presets import PRESETS
from tests.webhooks.fuzzing import FAMILIES, fuzz


@pytest.mark.parametrize("family", FAMILIES)
def test_damaged_webhooks_raise_no_unexpected_error(family: str) -> None:
    """Damaged webhooks raise no unexpected error; none with damaged signed data is accepted."""
    assert fuzz(family, 1_500) < 1_500


def test_fuzz_families_contain_existing_presets() -> None:
    """Each family of the webhook fuzzer contains only presets that exist."""
    assert {name for names in FAMILIES.values() for name in names} <= set(PRESETS)
