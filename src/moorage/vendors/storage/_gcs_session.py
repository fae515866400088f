"""A Google Cloud Storage upload session, from the first byte to the last."""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5
from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.storage import _gcs_answers as answers
from moorage.vendors.storage import _gcs_requests as requests

if TYPE_CHECKING:
    from moorage.contracts.storage import Pieces

_MOST_IDLE_REQUESTS: Final = 3
"""Number of consecutive breaks without a new byte after which the upload fails."""


class Chunks:
    """An upload's data in chunks of the sizes that Google requires.

    Args:
        pieces: source of the bytes.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._left = b""
        self._md5 = md5(usedforsecurity=False)
        self.over = False
        """True after the last chunk."""

    async def next(self) -> bytes:
        """The next chunk; the last one may have any length, even zero."""
        data = self._left
        while piece := await self._pieces.next():
            chunk_size = len(data) // requests.STEP * requests.STEP
            if chunk_size:
                self._left = data[chunk_size:] + piece
                return self._hash_bytes(data[:chunk_size])
            data += piece
        self.over = True
        return self._hash_bytes(data)

    @property
    def md5(self) -> str:
        """The base64 MD5 of all bytes that were added."""
        return b64encode(self._md5.digest()).decode()

    def _hash_bytes(self, data: bytes) -> bytes:
        self._md5.update(data)
        return data


class Session:
    """An upload's progress; if a response is lost, the progress is requested from Google.

    Args:
        wire: sends the requests.
        bucket: bucket of the future object.
        id: id of the upload.
    """

    def __init__(self, wire: sdk.Wire, bucket: str, id: str) -> None:
        self._wire = wire
        self._bucket = bucket
        self._id = id
        self.reached = 0
        """Number of stored bytes."""
        self.object: sdk.Response | None = None
        """Answer with the object, once it is complete."""

    async def ask(self) -> None:
        """Read the number of stored bytes from Google."""
        await self._send(requests.progress(self._bucket, self._id))

    async def put(self, start: int, data: bytes, total: int | None, md5: str | None) -> None:
        """Send a chunk's bytes that are not stored yet."""
        end, idle_count = start + len(data), 0
        while self.object is None and (self.reached < end or total is not None):
            offset = self.reached
            remaining_bytes = data[offset - start :]
            request = requests.chunk(
                self._bucket, self._id, offset, remaining_bytes, total=total, md5=md5
            )
            cut_error = await self._try_request(request)
            if self.reached < offset:
                raise _lost_session_error(offset, self.reached)
            idle_count = 0 if self.reached > offset else idle_count + 1
            if self.object is None and idle_count > _MOST_IDLE_REQUESTS:
                raise cut_error or _upload_ended_error()
            await self._pause_before_retry(idle_count)

    async def _try_request(self, request: sdk.Request) -> Exception | None:
        """Send a chunk; if this is interrupted, get the progress and return the error."""
        try:
            await self._send(request)
        except (sdk.ConnectionFailed, sdk.RateLimitExceeded, sdk.VendorFailed) as error:
            if not error.retryable:
                raise
            cut = error
        else:
            return None
        await self.ask()
        return cut

    async def _pause_before_retry(self, idle: int) -> None:
        """Pause before a retry; the first retry after a response of Google has no pause."""
        if self.object is None and idle > 1:
            await self._wire.sleep(2.0 ** (idle - 2))

    async def _send(self, request: sdk.Request) -> None:
        try:
            response = await self._wire.send(request)
        except sdk.VendorRejected as error:
            # A server that does not support the header responds with 308 instead of 200.
            if error.response is None or error.status != 308:
                raise
            response = error.response
        reached = answers.stored_size(response)
        if reached is None:
            self.object = response
        else:
            self.reached = reached


def _lost_session_error(before: int, reached: int) -> sdk.VendorFailed:
    return sdk.VendorFailed(
        f"Google had stored {before} bytes of the upload, but now has {reached}.",
        retryable=False,
        remedy="Start the upload again.",
    )


def _upload_ended_error() -> sdk.VendorFailed:
    return sdk.VendorFailed(
        "Google no longer accepts bytes of the upload.", remedy="Resume the upload later."
    )


async def sent(session: Session, pieces: Pieces) -> tuple[sdk.Response, int, str]:
    """Send the remaining bytes; return the final response, the length and the MD5.

    Raises:
        VendorFailed: Google reports the object as complete too early.
    """
    chunks, offset = Chunks(pieces), 0
    while session.object is None:
        data = await chunks.next()
        end, is_last = offset + len(data), chunks.over
        await session.put(offset, data, end if is_last else None, chunks.md5 if is_last else None)
        offset = end
    if not chunks.over:
        raise sdk.malformed(session.object, "Range")
    return session.object, offset, chunks.md5
