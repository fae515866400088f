"""The source in memory, which tests of pipelines use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from moorage import PollLimits
from moorage.testing import MemorySource, make_records

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL = PollLimits(records=10, size=10_000, wait=0.0)


async def ignore_revocation(_: Sequence[object] | None) -> None:
    """Do nothing about revoked partitions."""


@pytest.mark.parametrize("commits, redelivered", [("each", [1, 3]), ("prefix", [])])
async def test_released_records_are_delivered_again_where_records_are_committed_alone(
    commits: Literal["each", "prefix"], redelivered: list[int]
) -> None:
    """A source that commits each record alone delivers released records again, others do not."""
    source = MemorySource(make_records(4), commits=commits, is_endless=True)
    await source.open(ignore_revocation)
    records = await source.poll(ALL)
    assert records is not None
    await source.commit(records[:1])

    await source.release([records[3], records[1]])
    second_batch = await source.poll(ALL)

    assert second_batch is not None
    assert redelivered == [record.json()["number"] for record in second_batch]
    assert [3, 1] == [record.json()["number"] for record in source.released]
