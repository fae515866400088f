"""Downloads that resume after a broken connection, and verify the object's checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.contracts.checksum import start_checksum
from moorage.contracts.storage import ByteRange, GetOptions
from moorage.errors import ConnectionFailed, ConnectorError, DeadlineExceeded, VendorFailed

if TYPE_CHECKING:
    from moorage.contracts.storage import ObjectInfo, OpenedObject, StorageVendor
    from moorage.contracts.wire import Wire

_MOST_BROKEN_CONNECTIONS: Final = 3
"""The number of consecutive broken connections, without a new byte, after which a download fails.
"""


class DownloadSession:
    """The state of a download in progress.

    Args:
        vendor, wire: source of the bytes.
        options: options of the download.
        opened: first response of the vendor.
        resumes: True if the vendor can send the rest of an object.
    """

    def __init__(
        self,
        vendor: StorageVendor,
        wire: Wire,
        options: GetOptions,
        opened: OpenedObject,
        *,
        resumes: bool,
    ) -> None:
        self._vendor = vendor
        self._wire = wire
        self._options = options
        self._opened = opened
        self._over = False
        self._idle = 0
        self.done = 0
        """The number of bytes that have arrived."""
        self._checksum, self._running = None, None
        if opened.start == 0 and opened.length is not None and opened.length == opened.info.size:
            for checksum in opened.info.checksums:
                running_checksum = start_checksum(checksum.algorithm)
                if running_checksum is not None and checksum.parts is None:
                    self._checksum, self._running = checksum.value, running_checksum
        self._resumes = resumes and opened.info.etag is not None
        self._first = opened.start
        self._length = opened.length

    @property
    def info(self) -> ObjectInfo:
        """The properties of the downloaded object."""
        return self._opened.info

    @property
    def start(self) -> int:
        """The position, within the object, of the first byte to download."""
        return self._first

    @property
    def length(self) -> int | None:
        """The number of bytes of the download; None if unknown."""
        return self._length

    @property
    def modified(self) -> bool:
        """False if the caller has the current object, so that no bytes are downloaded."""
        return self._opened.modified

    async def read(self) -> bytes:
        """Read the next bytes of the object; return b"" at the end."""
        while not self._over:
            error: ConnectorError
            try:
                piece = await self._opened.arriving.read()
                if piece:
                    return self._count_piece(piece)
                if self._length in {None, self.done}:
                    return self._finish()
                error = ConnectionFailed("The connection broke during the download of the object.")
            except (ConnectionFailed, DeadlineExceeded) as broken_value:
                if self.done == self._length:
                    return self._finish()
                error = broken_value
            except BaseException:
                self.settle()
                raise
            await self._continue_download(error)
        return b""

    def settle(self) -> None:
        """End the download early, and drop the remaining bytes."""
        self._over = True
        self._opened.arriving.settle()

    def _count_piece(self, piece: bytes) -> bytes:
        self.done += len(piece)
        self._idle = 0
        if self._length is not None and self.done > self._length:
            self.settle()
            raise VendorFailed(
                "The vendor sent more bytes than the announced length.",
                remedy="Discard the bytes read so far, and download the object again.",
            )
        if self._running is not None:
            self._running.update(piece)
        return piece

    def _finish(self) -> bytes:
        self.settle()
        if self._running is not None and self._running.digest().hex() != self._checksum:
            raise VendorFailed(
                "The checksum of the downloaded bytes differs from the object's checksum.",
                remedy="Discard the bytes read so far, and download the object again.",
            )
        return b""

    async def _continue_download(self, error: ConnectorError) -> None:
        """Continue a broken download with the rest of the same object version."""
        self._opened.arriving.settle()
        self._idle += 1
        if not self._resumes or self._length is None or self._idle > _MOST_BROKEN_CONNECTIONS:
            self._over = True
            raise error
        remaining_range = ByteRange(self._first + self.done, self._length - self.done)
        options = GetOptions(
            range=remaining_range, if_match=self.info.etag, version=self._options.version
        )
        try:
            self._opened = attrs.evolve(
                await self._vendor.open(self._wire, self.info.key, options), info=self.info
            )
        except BaseException:
            self._over = True
            raise
        if self._opened.start != remaining_range.start:
            self.settle()
            raise VendorFailed(
                "The vendor sent a different byte range of the object than requested."
            )
