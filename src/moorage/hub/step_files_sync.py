"""The files of steps, kept in the file storage of a synchronous hub.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.operations import Storage


class StorageFiles:
    """Reads and writes the files of steps in a file storage.

    Args:
        storage: returns the storage of a tenant, as `hub.storage` does.
    """

    def __init__(self, storage: Callable[[str | None], Storage]) -> None:
        self._storage = storage

    def read(self, key: str, limit: int, tenant: str | None, /) -> bytes:
        """Return the content of a file.

        Raises:
            InvalidData: the file has more than `limit` bytes.
            FileNotFound: there is no file with this key.
        """
        parts: list[bytes] = []
        with self._storage(tenant).download(key) as download:
            for part in download:
                parts.append(part)
                limit -= len(part)
                if limit < 0:
                    raise InvalidData(
                        f"The file {key!r} in the storage is too large for a workspace.",
                        field="inputs",
                        remedy="Let the step download it itself, for example by a signed URL.",
                    )
        return b"".join(parts)

    def write(self, key: str, content: bytes, tenant: str | None, /) -> None:
        """Store a file."""
        self._storage(tenant).upload(key, content)
