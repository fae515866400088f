"""Reading file descriptions and options of fsspec filesystems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from moorage.domain.connectors.foreign_files import path_of, read_description, revealed_options
from moorage.domain.secrets.secret import Secret

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"mtime": NOON}, NOON),
        ({"mtime": NOON.replace(tzinfo=None)}, NOON),
        ({"modified": NOON.astimezone(timezone(timedelta(hours=2)))}, NOON),
        ({"created": NOON.timestamp()}, NOON),
        ({"modify": "20261120120000"}, NOON),
        ({"modify": "20261120120000.25"}, NOON + timedelta(milliseconds=250)),
        ({"last_modified": "2026-11-20T12:00:00Z"}, NOON),
        ({"LastModified": "Fri, 20 Nov 2026 12:00:00 GMT"}, NOON),
        ({"mtime": "yesterday", "created": NOON}, NOON),
        ({"mtime": 1e300}, None),
        ({"mtime": []}, None),
        ({}, None),
    ],
)
def test_file_modification_time_is_read_in_every_form_that_filesystems_use(
    fields: dict[str, Any], expected: datetime | None
) -> None:
    """A file's modification time is read in every form that filesystems use."""
    assert expected == read_description({"name": "a", **fields}).modified


def test_description_of_a_file_has_name_type_size_and_stamp() -> None:
    """A file's description has name, type, size, and a stamp that changes when the file does."""
    fields = {"name": "/root/a%20b", "size": 3, "type": "file", "mtime": NOON}
    file = read_description(fields)
    assert ("a%20b", True, False, 3) == (file.name, file.is_file, file.is_folder, file.size)
    assert "a b" == read_description(fields, quoted=True).name
    folder = read_description({"name": "/root/b/", "size": None, "type": "directory"})
    assert ("b", False, True, 0) == (folder.name, folder.is_file, folder.is_folder, folder.size)
    assert file.stamp == read_description({**fields, "mtime": NOON.timestamp()}).stamp
    for change in ({"size": 4}, {"mtime": NOON + timedelta(seconds=1)}, {"etag": "x"}):
        assert file.stamp != read_description({**fields, **change}).stamp


def test_file_key_is_path_below_root() -> None:
    """The key of a file is its path below the root; over HTTP the path is percent-encoded."""
    assert "/root/a b" == path_of("sftp", "/root", "a b")
    assert "/a" == path_of("sftp", "/", "a")
    assert "a" == path_of("webdav", "", "a")
    assert "https://host/root/a%20b" == path_of("https", "https://host/root/", "a b")


def test_secrets_are_inserted_at_their_dotted_names() -> None:
    """Secrets are inserted into nested filesystem options at their dotted names."""
    options = {"client_kwargs": {"headers": {"X": "1"}}, "port": 22}
    secrets = {"client_kwargs.headers.Authorization": Secret("token"), "a.b": Secret("c")}
    assert {
        "client_kwargs": {"headers": {"X": "1", "Authorization": "token"}},
        "port": 22,
        "a": {"b": "c"},
    } == revealed_options("https", options, secrets)
    assert {"client_kwargs": {"headers": {"X": "1"}}, "port": 22} == options
    pair = revealed_options("webdav", {"username": "erp"}, {"password": Secret("p")})
    assert {"auth": ("erp", "p")} == pair
    assert {"x": 1} == revealed_options("webdav", {"x": 1}, {})
