"""The base class of storage vendors on file systems, which have no signed URLs."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.storage import ListPage, ObjectInfo, OpenedObject, Part, Upload
from moorage.vendor_sdk import Headers, InvalidRequest, Result, Vendor
from moorage.vendors.storage._common import media_type, stored_encoding
from moorage.vendors.storage._download_conditions import is_wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.storage import GetOptions, PutOptions
    from moorage.vendor_sdk import FileEntry, Wire

_STORED_PROPERTIES: Final = (
    "content_type",
    "content_encoding",
    "content_disposition",
    "content_language",
    "cache_control",
)


class FilesVendor(Vendor):
    """A storage vendor whose transport reads and writes files.

    Attributes:
        piece_size: number of bytes of a download that are in memory.
    """

    piece_size: ClassVar[int] = 1024 * 1024

    # --- objects -----------------------------------------------------------

    async def put(self, wire: Wire, key: str, data: bytes, options: PutOptions, /) -> ObjectInfo:
        """Store a file."""
        return info(
            wire, await wire.execute("put", key, data, object_fields(options), _conditions(options))
        )

    async def open(self, wire: Wire, key: str, options: GetOptions, /) -> OpenedObject:
        """Open a file."""
        file = await wire.execute("open", key)
        try:
            stored_info = info(wire, file.entry)
            is_modified = is_wanted(stored_info, options)
            start, length = _requested_range(stored_info, options) if is_modified else (0, 0)
        except BaseException:
            file.close()
            raise
        reading = _FileReader(wire, file, start, length, self.piece_size)
        return OpenedObject(
            info=stored_info, start=start, length=length, modified=is_modified, arriving=reading
        )

    async def head(self, wire: Wire, key: str, /, *, version: str | None) -> ObjectInfo:  # noqa: ARG002 - the contract's
        """Get the properties of a file."""
        return info(wire, await wire.execute("head", key))

    async def delete(self, wire: Wire, key: str, /, *, version: str | None) -> None:  # noqa: ARG002 - the contract's
        """Delete a file."""
        await wire.execute("delete", key)

    async def delete_many(self, wire: Wire, keys: Sequence[str], /) -> list[Result[None]]:
        """Delete files one after another."""
        results: list[Result[None]] = []
        for key in keys:
            try:
                results.append(Result(await wire.execute("delete", key)))
            except Exception as error:  # noqa: BLE001, PERF203, RUF100 - each has its own result
                results.append(Result(error=error))
        return results

    async def list(
        self, wire: Wire, prefix: str, /, *, delimiter: str | None, cursor: str | None, limit: int
    ) -> ListPage:
        """List files."""
        files, folders, next_key = await wire.execute(
            "list", prefix, delimiter, _start_key(cursor), limit
        )
        next_cursor = None if next_key is None else urlsafe_b64encode(next_key.encode()).decode()
        objects = tuple(info(wire, file) for file in files)
        return ListPage(objects=objects, prefixes=tuple(folders), next_cursor=next_cursor)

    async def copy(
        self, wire: Wire, source: str, key: str, options: PutOptions | None, /
    ) -> ObjectInfo:
        """Copy a file."""
        fields = None if options is None else object_fields(options)
        conditions = (None, None) if options is None else _conditions(options)
        return info(wire, await wire.execute("copy", source, key, fields, conditions))

    # --- uploads in parts --------------------------------------------------

    async def start_upload(self, wire: Wire, key: str, options: PutOptions, /) -> Upload:
        """Start an upload."""
        id_ = await wire.execute("start", key, object_fields(options))
        return Upload(ref=wire.ref(key, upload=id_), key=key, id=id_, started_at=wire.now())

    async def put_part(self, wire: Wire, upload: Upload, number: int, data: bytes, /) -> Part:
        """Store a part."""
        digest = await wire.execute("put_part", upload.id, upload.key, number, data)
        return _read_part(number, len(data), digest)

    async def list_parts(self, wire: Wire, upload: Upload, /) -> Sequence[Part]:
        """List the stored parts."""
        return [_read_part(*part) for part in await wire.execute("parts", upload.id, upload.key)]

    async def complete(
        self, wire: Wire, upload: Upload, parts: Sequence[Part], options: PutOptions, /
    ) -> ObjectInfo:
        """Make a file from its stored parts."""
        part_etags = [(part.number, part.etag) for part in parts]
        conditions = _conditions(options)
        return info(
            wire, await wire.execute("complete", upload.id, upload.key, part_etags, conditions)
        )

    async def abort(self, wire: Wire, upload: Upload, /) -> None:
        """Abort an upload."""
        await wire.execute("abort", upload.id, upload.key)

    async def list_uploads(self, wire: Wire, prefix: str, /) -> Sequence[Upload]:
        """List the unfinished uploads."""
        return [
            Upload(ref=wire.ref(key, upload=id_), key=key, id=id_, started_at=started_at)
            for key, id_, started_at in await wire.execute("uploads", prefix)
        ]


class _FileReader:
    """Reads the bytes of a file when they are needed."""

    status = 200
    headers = Headers()

    def __init__(self, wire: Wire, file: Any, start: int, length: int, piece_size: int) -> None:
        self._wire = wire
        self._file = file
        self._at = start
        self._left = length
        self._piece_size = piece_size

    async def read(self) -> bytes:
        """Read the next bytes; b"" at the end."""
        if not self._left:
            return b""
        size = min(self._piece_size, self._left)
        piece: bytes = await self._wire.execute("read", self._file, self._at, size)
        self._at += len(piece)
        self._left -= len(piece)
        return piece

    def settle(self) -> None:
        """Close the file."""
        self._left = 0
        self._file.close()


def object_fields(options: PutOptions) -> dict[str, Any]:
    """The properties to store with a file."""
    fields: dict[str, Any] = {
        name: value for name in _STORED_PROPERTIES if (value := getattr(options, name)) is not None
    }
    return {**fields, "metadata": dict(options.metadata)} if options.metadata else fields


def info(wire: Wire, entry: FileEntry) -> ObjectInfo:
    """The properties of a file."""
    sha256 = entry.metadata.get("sha256")
    stored_headers = {name: entry.metadata.get(name) for name in _STORED_PROPERTIES}
    sums = () if sha256 is None else (Checksum(ChecksumAlgorithm.SHA256, sha256),)
    return ObjectInfo(
        ref=wire.ref(entry.key),
        key=entry.key,
        size=entry.size,
        etag=entry.etag,
        checksums=sums,
        last_modified=entry.modified,
        metadata=entry.metadata.get("metadata", {}),
        raw=entry,
        **{
            **stored_headers,
            "content_type": media_type(stored_headers["content_type"]),
            "content_encoding": stored_encoding(stored_headers["content_encoding"]),
        },
    )


def _requested_range(stored: ObjectInfo, options: GetOptions) -> tuple[int, int]:
    """The first requested byte and the number of bytes."""
    size, requested_range = stored.size or 0, options.range
    if requested_range is None:
        return 0, size
    start = (
        max(0, size + requested_range.start) if requested_range.start < 0 else requested_range.start
    )
    if start >= size:
        raise InvalidRequest(
            "The file does not contain this range.", status=416, vendor_code="InvalidRange"
        )
    return start, min(size - start, requested_range.length or size)


def _conditions(options: PutOptions) -> tuple[str | None, str | None]:
    return options.if_match, options.if_none_match


def _read_part(number: int, size: int, digest: str) -> Part:
    checksum = Checksum(ChecksumAlgorithm.SHA256, digest)
    return Part(number=number, size=size, etag=digest, checksum=checksum)


def _start_key(cursor: str | None) -> str:
    try:
        return b64decode((cursor or "").encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise InvalidRequest(
            "The cursor is invalid.",
            status=400,
            vendor_code="InvalidArgument",
            remedy="Pass the next_cursor of a page.",
        ) from None
