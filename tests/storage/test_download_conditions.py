"""Time conditions of downloads ignore fractions of a second, like HTTP dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.storage import GetOptions, ObjectInfo
from moorage.errors import VendorRejected
from moorage.vendors.storage._download_conditions import is_wanted

SECOND = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
STORED = ObjectInfo(
    ref=Ref("local-files", "files", "a"),
    key="a",
    etag='"one"',
    last_modified=SECOND.replace(microsecond=250_000),
)


def test_file_that_changed_within_same_second_counts_as_unmodified() -> None:
    """A file that changed after the given time, but in the same second, counts as unmodified."""
    assert not is_wanted(STORED, GetOptions(if_modified_since=SECOND))
    assert is_wanted(STORED, GetOptions(if_unmodified_since=SECOND))


def test_a_change_of_the_next_second_counts() -> None:
    """A file changed in the next second counts as modified."""
    second_before = SECOND - timedelta(seconds=1)

    assert is_wanted(STORED, GetOptions(if_modified_since=second_before))
    with pytest.raises(VendorRejected):
        is_wanted(STORED, GetOptions(if_unmodified_since=second_before))
