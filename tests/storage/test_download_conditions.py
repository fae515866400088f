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


@pytest.mark.parametrize("tag", ['"one"', "*"])
def test_condition_is_met_by_the_tag_of_the_file_or_an_asterisk(tag: str) -> None:
    """A condition is met by the file's own tag, or by any file if the tag is an asterisk."""
    assert is_wanted(STORED, GetOptions(if_match=tag))
    assert not is_wanted(STORED, GetOptions(if_none_match=tag))


def test_tag_of_another_version_does_not_match() -> None:
    """A download of another version is refused, and one of every other version is not."""
    with pytest.raises(VendorRejected):
        is_wanted(STORED, GetOptions(if_match='"two"'))
    assert is_wanted(STORED, GetOptions(if_none_match='"two"'))


def test_file_that_changed_in_the_next_second_counts_as_modified() -> None:
    """A file changed in the next second counts as modified."""
    second_before = SECOND - timedelta(seconds=1)

    assert is_wanted(STORED, GetOptions(if_modified_since=second_before))
    with pytest.raises(VendorRejected):
        is_wanted(STORED, GetOptions(if_unmodified_since=second_before))
