"""Forming batches of records, and halving them after an error."""

from __future__ import annotations

from collections import deque
from math import ceil, log2
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import BatchLimits, ConfigurationError
from moorage.domain.pipelines.batches import BatchSize, split_in_half

if TYPE_CHECKING:
    from collections.abc import Sequence


@given(st.integers(1, 500), st.data())
def test_halving_failed_batch_finds_exactly_bad_records(count: int, data: st.DataObject) -> None:
    """A failed batch is halved until exactly its bad records are known, in order, in few calls."""
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=20))
    calls = 0
    done: list[int] = []
    bad_records: list[int] = []
    groups: deque[Sequence[int]] = deque([range(count)])
    while groups:
        group = groups.popleft()
        calls += 1
        if not bad.intersection(group):
            done += group
        elif len(group) == 1:
            bad_records += group
        else:
            groups.extendleft(reversed(split_in_half(group)))
    assert sorted(bad) == bad_records
    assert [number for number in range(count) if number not in bad] == done
    k = len(bad)
    assert calls <= (1 + 2 * k * ceil(log2(count / k)) + 2 * k if k else 1)


def test_batch_ends_at_its_limits() -> None:
    """A batch ends at its record limit, or before the record that would exceed its byte limit."""
    limits = BatchLimits(records=2, size=10)
    assert 1 == BatchSize().fitting([99, 1], 100, limits)
    assert 0 == BatchSize(1, 9).fitting([2], 2, limits)
    assert 1 == BatchSize(1, 9).fitting([1], 1, limits)
    assert 0 == BatchSize(2, 2).fitting([1], 1, limits)
    assert 2 == BatchSize().fitting([5, 5, 0], 10, limits)
    assert 0 == BatchSize().fitting([], 0, limits)
    assert BatchSize(2, 2).is_full(limits)
    assert BatchSize(1, 10).is_full(limits)
    assert not BatchSize(1, 9).is_full(limits)
    assert BatchSize(2, 9) == BatchSize(1, 4).plus(1, 5)


def test_limits_are_checked() -> None:
    """A batch limit below one is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as error:
        BatchLimits(records=0)
    assert "records" == error.value.path
