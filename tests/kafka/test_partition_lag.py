"""The lag of a partition, from librdkafka's statistics."""

from __future__ import annotations

import pytest

from moorage.domain.messages.kafka import partition_lag


@pytest.mark.parametrize(
    "committed, low, high, expected",
    [
        (5, 0, 9, 4),
        (9, 0, 9, 0),
        (12, 0, 9, 0),
        (-1001, 3, 9, 6),
        (-1001, -1001, -1001, None),
        (5, -1001, -1001, None),
    ],
)
def test_lag_counts_the_records_after_the_committed_position(
    committed: int, low: int, high: int, expected: int | None
) -> None:
    """The lag counts the records after the committed position, or is unknown without offsets."""
    partition = {"committed_offset": committed, "lo_offset": low, "hi_offset": high}

    assert expected == partition_lag(partition)
