"""What vendors of storage share: how the bytes of an object are told, asked for, and not sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from mooring.contracts.storage import Opened
from mooring.domain.headers import Headers
from mooring.domain.http import Response
from mooring.errors import VendorRejected
from mooring.vendors._reading import malformed

if TYPE_CHECKING:
    from mooring.contracts.storage import GetOptions, ObjectInfo
    from mooring.contracts.wire import Arriving

_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:([0-9]{1,19})|\*)")


def whole(text: str | None) -> int | None:
    """A number of bytes."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None


def content_range(headers: Headers) -> tuple[int, int, int | None] | None:
    """The first byte, how many there are, and how many the object has."""
    found = _RANGE.fullmatch(headers.get("content-range", ""))
    if found is None:
        return None
    start, last = int(found[1]), int(found[2])
    return start, last - start + 1, whole(found[3])


def opened(arriving: Arriving, info: ObjectInfo, options: GetOptions) -> Opened:
    """An object, or some of it, as an answer gives it; `info` is what its headers say.

    Raises:
        VendorFailed: nobody says which bytes of the object come.
    """
    if arriving.status == 304:
        info = attrs.evolve(info, size=None)
        return Opened(info=info, length=0, modified=False, arriving=arriving)
    start, length = 0, info.size
    if arriving.status == 206 or options.range is not None:
        # Who gives all of an object where some of it was asked for gives other bytes.
        some = content_range(arriving.headers)
        if some is None:
            arriving.settle()
            raise malformed(Response(arriving.status, arriving.headers), "Content-Range")
        start, length, size = some
        info = attrs.evolve(info, size=size)
    if info.content_encoding is not None:
        # What comes is unpacked on its way, and has another length.
        length = None
    return Opened(info=info, start=start, length=length, arriving=arriving)


def is_wanted(known: ObjectInfo, options: GetOptions) -> bool:
    """Whether an object is to be read at all, as HTTP decides it.

    Raises:
        VendorRejected: it is not the one that was meant.
    """
    modified = known.last_modified or datetime.min.replace(tzinfo=UTC)
    modified = modified.replace(microsecond=0)
    until, since = options.if_unmodified_since, options.if_modified_since
    other = options.if_match not in {None, "*", known.etag}
    later = options.if_match is None and until is not None and modified > until
    if other or later:
        raise VendorRejected(
            "The file is not the one that was meant.", status=412, vendor_code="PreconditionFailed"
        )
    if options.if_none_match is not None:
        return options.if_none_match not in {"*", known.etag}
    return since is None or modified > since


class Nothing:
    """An answer that has come, and has no bytes."""

    status = 304
    headers = Headers()

    async def read(self) -> bytes:
        """Its end."""
        return b""

    def settle(self) -> None:
        """There is nothing to end."""
