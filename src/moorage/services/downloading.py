"""A download: what breaks off is asked for again from there, and what is kept is what was put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.contracts.checksum import running
from moorage.contracts.storage import ByteRange, GetOptions
from moorage.errors import ConnectionFailed, ConnectorError, DeadlineExceeded, VendorFailed

if TYPE_CHECKING:
    from moorage.contracts.storage import ObjectInfo, Opened, StorageVendor
    from moorage.contracts.wire import Wire

_IN_A_ROW: Final = 3
"""How often it may break off without a byte between."""


class Downloading:
    """An object's bytes on their way.

    Args:
        vendor, wire: where they come from.
        options: what was asked for.
        opened: the beginning of it.
        resumes: whether the vendor gives the rest of an object.
    """

    def __init__(
        self,
        vendor: StorageVendor,
        wire: Wire,
        options: GetOptions,
        opened: Opened,
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
        """How many bytes have come."""
        self._checksum, self._running = None, None
        if opened.start == 0 and opened.length is not None and opened.length == opened.info.size:
            for known in opened.info.checksums:
                begun = running(known.algorithm)
                if begun is not None and known.parts is None:
                    self._checksum, self._running = known.value, begun
        self._resumes = resumes and opened.info.etag is not None
        self._first = opened.start
        self._length = opened.length

    @property
    def info(self) -> ObjectInfo:
        """What is said of the object."""
        return self._opened.info

    @property
    def start(self) -> int:
        """Which of the object's bytes comes first."""
        return self._first

    @property
    def length(self) -> int | None:
        """How many come; None is not known beforehand."""
        return self._length

    @property
    def modified(self) -> bool:
        """False if nothing comes because the object has not changed."""
        return self._opened.modified

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        while not self._over:
            error: ConnectorError
            try:
                piece = await self._opened.arriving.read()
                if piece:
                    return self._taken(piece)
                if self._length in {None, self.done}:
                    return self._ended()
                error = ConnectionFailed("the object's bytes broke off.")
            except (ConnectionFailed, DeadlineExceeded) as broken:
                error = broken
            except BaseException:
                self.settle()
                raise
            await self._go_on(error)
        return b""

    def settle(self) -> None:
        """End it, whatever may still come."""
        self._over = True
        self._opened.arriving.settle()

    def _taken(self, piece: bytes) -> bytes:
        self.done += len(piece)
        self._idle = 0
        if self._length is not None and self.done > self._length:
            self.settle()
            raise VendorFailed(
                "the vendor gave more bytes than it had said.",
                remedy="Throw away what was read, and read it again.",
            )
        if self._running is not None:
            self._running.update(piece)
        return piece

    def _ended(self) -> bytes:
        self.settle()
        if self._running is not None and self._running.digest().hex() != self._checksum:
            raise VendorFailed(
                "what came does not have the checksum that the object has.",
                remedy="Throw away what was read, and read it again.",
            )
        return b""

    async def _go_on(self, error: ConnectorError) -> None:
        """Ask for what is missing, of the same object only."""
        self._opened.arriving.settle()
        self._idle += 1
        if not self._resumes or self._length is None or self._idle > _IN_A_ROW:
            self._over = True
            raise error
        rest = ByteRange(self._first + self.done, self._length - self.done)
        wanted = GetOptions(range=rest, if_match=self.info.etag, version=self._options.version)
        try:
            self._opened = attrs.evolve(
                await self._vendor.open(self._wire, self.info.key, wanted), info=self.info
            )
        except BaseException:
            self._over = True
            raise
        if self._opened.start != rest.start:
            self.settle()
            raise VendorFailed("the vendor gave other bytes of the object than were asked for.")
