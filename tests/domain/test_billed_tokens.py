"""The tokens that count for an attempt are the vendor's count, or else the most it may use."""

from __future__ import annotations

import pytest

from moorage.domain.resilience.billed_tokens import billed_tokens
from moorage.domain.resilience.ledger import AttemptEffect


@pytest.mark.parametrize("effect", AttemptEffect)
def test_vendors_count_is_exact(effect: AttemptEffect) -> None:
    """If the vendor counted tokens, exactly these count, but never fewer than none."""
    assert [25, 1_200, 0] == [billed_tokens(effect, 1_000, count) for count in (25, 1_200, -3)]


def test_attempt_without_count_counts_if_it_may_have_been_processed() -> None:
    """Without a count, an attempt counts with all its tokens if it may have been processed."""
    counts = {effect: billed_tokens(effect, 1_000, None) for effect in AttemptEffect}
    assert {**dict.fromkeys(AttemptEffect, 0), AttemptEffect.POSSIBLE: 1_000} == counts
