"""The plan of an upload: its source, its options and the size of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.storage import part_size
from moorage.errors import InvalidData
from moorage.services.transfers.uploading import Pieces, is_opener

if TYPE_CHECKING:
    from moorage.contracts.storage import PutOptions
    from moorage.services.core.core import Core
    from moorage.services.transfers.uploading import UploadSource


class UploadPlan:
    """The source, the options and the part size of an upload.

    Args:
        source: content to upload.
        options: options for storing the object.
        length: number of bytes, if known.
        requested_size: requested number of bytes per part, if any.
        at_once: maximum number of concurrent parts.
    """

    def __init__(
        self,
        source: UploadSource,
        options: PutOptions,
        length: int | None,
        requested_size: int | None,
        at_once: int,
    ) -> None:
        self._sources = [source]
        self._again = is_opener(source)
        self._length = length
        self._requested_size = requested_size
        self.options = options
        self.at_once = at_once
        total = length
        if isinstance(source, (bytes, bytearray, memoryview)):
            total = memoryview(source).nbytes
            self._again = True
        self._size = part_size(total, requested_size)

    def size(self, *existing_sizes: int) -> int:
        """Return the size of a part; a resumed upload keeps the size of its first parts."""
        return (
            self._size if self._requested_size is not None else max(self._size, *existing_sizes, 0)
        )

    def pieces(self, core: Core, size: int) -> Pieces:
        """Open the upload's source at its beginning, and return a reader of its parts."""
        if not self._sources:
            raise InvalidData(
                "The upload's source was read already, and cannot be read again for another"
                " account.",
                field="source",
                remedy="Pass a function that opens the source, so that moorage can open it again.",
            )
        return Pieces(
            core,
            self._sources[0] if self._again else self._sources.pop(),
            size,
            length=self._length,
            checksum=self.options.checksum,
        )
