"""Local files are plain files that other programs and libraries can read and write."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import fsspec
import pytest

from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from tests.storage.harnesses import folder

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ["a.txt", "in/1.pdf", "in/x/ünïcode name.bin", "with space/%20.txt", "empty"]


def content_of(key: str) -> bytes:
    """Return an object's content; the last object is empty."""
    return b"" if key == "empty" else key.encode() * 1_000


def test_each_key_is_path_of_file_with_object_content(tmp_path: Path) -> None:
    """Each key is the path of a file with the object's content, and no other file is visible."""
    with Hub([Account("files", folder(tmp_path))]) as hub:
        for key in KEYS:
            hub.storage().upload(key, content_of(key))

    library = fsspec.filesystem("file")
    root = str(tmp_path)
    files = {
        path.removeprefix(f"{root}/"): library.cat_file(path)
        for path in library.find(root)
        if not any(part.startswith(".") for part in path.removeprefix(root).split("/"))
    }
    assert {key: content_of(key) for key in KEYS} == files


def test_files_of_another_library_are_objects(tmp_path: Path) -> None:
    """A file that another library wrote is listed and downloaded, with its size."""
    library = fsspec.filesystem("file")
    with Hub([Account("files", folder(tmp_path))]) as hub:
        for key in KEYS:
            library.makedirs(f"{tmp_path}/{key}".rpartition("/")[0], exist_ok=True)
            library.pipe_file(f"{tmp_path}/{key}", content_of(key))
        items = hub.storage().list().objects

        assert {key: len(content_of(key)) for key in KEYS} == {
            item_.key: item_.size for item_ in items
        }
        assert [content_of(key) for key in KEYS] == [
            hub.storage().download(key).read() for key in KEYS
        ]


@pytest.mark.skipif(shutil.which("cksum") is None, reason="install coreutils")
def test_a_program_has_the_same_bytes(tmp_path: Path) -> None:
    """The program `cksum` prints the same checksum for a file as for the bytes uploaded to it."""
    data = bytes(range(256)) * 1_000
    with Hub([Account("files", folder(tmp_path))]) as hub:
        hub.storage().upload("a.bin", data)
    command = ["cksum"]
    of_bytes = subprocess.run(command, input=data, capture_output=True, check=True)
    with (tmp_path / "a.bin").open("rb") as file:
        of_file = subprocess.run(command, stdin=file, capture_output=True, check=True)

    assert of_bytes.stdout == of_file.stdout
