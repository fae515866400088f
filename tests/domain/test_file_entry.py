"""Valid and invalid keys of stored files."""

from __future__ import annotations

import pytest

from moorage import InvalidData
from moorage.domain.values.file_entry import names_of


def test_file_key_is_a_path_of_names_of_at_most_255_bytes() -> None:
    """A file's key is a path of folders and a name, each of at most 255 bytes."""
    assert ["a", "b.c", "x" + "ü" * 127] == names_of("a/b.c/x" + "ü" * 127)
    assert [".moorages", ".moorage"] == names_of(".moorages/.moorage")


@pytest.mark.parametrize(
    "key, reason",
    [
        ("", "an empty folder"),
        ("a//b", "an empty folder"),
        ("./a", "an empty folder"),
        ("a/../b", "an empty folder"),
        ("a\\b", "a backslash"),
        ("a\0b", "a NUL"),
        ("ü" * 128, "longer than 255 bytes"),
        (".Moorage/lock", "which is reserved"),
    ],
)
def test_invalid_keys_are_refused(key: str, reason: str) -> None:
    """The error for an invalid file key contains the reason and an example."""
    with pytest.raises(InvalidData, match=reason) as excinfo:
        names_of(key)
    assert "key" == excinfo.value.field
    assert "such as 'invoices/2041.pdf'" in excinfo.value.remedy
