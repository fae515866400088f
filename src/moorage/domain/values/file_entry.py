"""The metadata of a file in a folder that serves as file storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

OWN_FOLDER: Final = ".moorage"
"""The folder in which file storage keeps its own data."""

_LONGEST_NAME: Final = 255


@attrs.frozen(kw_only=True)
class FileEntry:
    """The metadata of a file in a folder that serves as storage.

    Attributes:
        key: the file's path below the folder.
        size: the file's size in bytes.
        etag: a string that changes whenever the file does.
        modified: the time at which it was written; None if the filesystem states none.
        metadata: the metadata that was passed when it was written; empty if another program wrote
            the file.
    """

    key: str
    size: int
    etag: str
    modified: datetime | None
    metadata: Mapping[str, Any]


def names_of(key: str) -> list[str]:
    """Split an object's key into folder names and file name, after checking that all are safe.

    Raises:
        InvalidData: the key is not a valid file name, or is reserved.
    """
    names = key.split("/")
    for name in names:
        if not name or name in {".", ".."} or "\\" in name or "\0" in name:
            raise _unusable_error(
                "contains an empty folder, '.', '..', a backslash or a NUL character"
            )
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise _unusable_error("contains a surrogate code point") from None
        if size > _LONGEST_NAME:
            raise _unusable_error(f"contains a name longer than {_LONGEST_NAME} bytes")
    if names[0].lower() == OWN_FOLDER:
        raise _unusable_error(f"is in {OWN_FOLDER}, which is reserved")
    return names


def _unusable_error(what: str) -> InvalidData:
    return InvalidData(
        f"A file cannot have this key, because the key {what}.",
        field="key",
        remedy="Pass a relative path with slashes, such as 'invoices/2041.pdf'.",
    )
