"""Conditions of downloads, which moorage checks itself if a vendor does not support them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moorage.vendor_sdk import Headers, VendorRejected

if TYPE_CHECKING:
    from moorage.contracts.storage import GetOptions, ObjectInfo


def is_wanted(stored: ObjectInfo, options: GetOptions) -> bool:
    """True if the conditions allow the download; False if the object has not changed.

    Raises:
        VendorRejected: a condition forbids the download.
    """
    modified_time = stored.last_modified or datetime.min.replace(tzinfo=UTC)
    modified_time = modified_time.replace(microsecond=0)
    unmodified_since, modified_since = options.if_unmodified_since, options.if_modified_since
    no_match = options.if_match not in {None, "*", stored.etag}
    is_modified = (
        options.if_match is None
        and unmodified_since is not None
        and modified_time > unmodified_since
    )
    if no_match or is_modified:
        raise VendorRejected(
            "The file has changed, or is a different file.",
            status=412,
            vendor_code="PreconditionFailed",
        )
    if options.if_none_match is not None:
        return options.if_none_match not in {"*", stored.etag}
    return modified_since is None or modified_time > modified_since


class EmptyAnswer:
    """A vendor's response without a body."""

    status = 304
    headers = Headers()

    async def read(self) -> bytes:
        """Return b"", because there is no content."""
        return b""

    def settle(self) -> None:
        """Do nothing, because no body is open."""
