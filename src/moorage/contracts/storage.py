"""File storage: objects, their options and properties, and the operations of storage vendors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.signed import PostOptions, SignedPost, SignedUrl, UrlOptions, is_header
from moorage.contracts.validators import OneOf, are_texts, as_table, is_a, is_maybe, is_moment
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import attrs

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import StreamedResponse, Wire
    from moorage.domain.values.result import Result

KIND: Final = "storage"
PART_SIZE: Final = 8 * 1024 * 1024
MOST_PARTS: Final = 10_000

_LONGEST_KEY: Final = 1_024
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_CONTAINER_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){1,220}[a-z0-9]")
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,126}[a-z0-9])?")


class StorageCapability(StrEnum):
    """An optional feature of a storage vendor."""

    RANGE = "range"
    CONDITIONAL_GET = "conditional_get"
    CONDITIONAL_PUT = "conditional_put"
    METADATA = "metadata"
    MULTIPART = "multipart"
    STALE_UPLOADS = "stale_uploads"
    COPY = "copy"
    VERSIONS = "versions"
    TAGS = "tags"
    VISIBILITY = "visibility"
    STORAGE_CLASS = "storage_class"
    ENCRYPTION = "encryption"
    SIGNED_URL = "signed_url"
    SIGNED_POST = "signed_post"
    PUBLIC_URL = "public_url"
    CONTAINERS = "containers"


class Visibility(OneOf, field="visibility"):
    """The setting that decides whether everybody may read an object without credentials."""

    PRIVATE = "private"
    PUBLIC = "public"


def check_key(value: object, field: str = "key") -> str:
    """Return `value` if it is a valid key of an object, such as "invoices/2041.pdf".

    Raises:
        InvalidData: some vendor or HTTP client would change or refuse the key.
    """
    if not isinstance(value, str) or not value:
        raise _key_error("must be a string that is not empty", field)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise _key_error("is not valid Unicode", field) from None
    if size > _LONGEST_KEY:
        raise _key_error(f"is longer than {_LONGEST_KEY} bytes", field)
    if _CONTROL.search(value):
        raise _key_error("has a control character", field)
    if value.startswith("/") or any(part in {".", ".."} for part in value.split("/")):
        raise _key_error("begins with a slash, or has a folder named '.' or '..'", field)
    return value


def _key_error(problem: str, field: str) -> InvalidData:
    return InvalidData(
        f"The key {problem}.",
        field=field,
        remedy="Give a relative path with slashes, such as 'invoices/2041.pdf'.",
    )


def check_prefix(value: str) -> str:
    """Return `value` if it is a valid prefix of object keys; it may be empty."""
    if not isinstance(value, str) or _CONTROL.search(value) or len(value) > _LONGEST_KEY:
        raise InvalidData(
            f"The prefix must be a string of at most {_LONGEST_KEY} characters without control"
            " characters.",
            field="prefix",
            remedy="Give a prefix such as 'invoices/'.",
        )
    return value


def check_container(value: object) -> str:
    """Return `value` if it can be the name of a container, such as "acme-invoices".

    Raises:
        InvalidData: no vendor accepts the name.
    """
    if not isinstance(value, str) or _CONTAINER_NAME.fullmatch(value) is None:
        raise InvalidData(
            "The name of the container is invalid.",
            field="name",
            remedy="Give at least 3 lowercase letters, digits and dashes, such as 'acme-invoices'.",
        )
    return value


def _is_metadata(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    are_texts(_, attribute, value)
    for name, text in value.items():
        if _NAME.fullmatch(name) is None or _CONTROL.search(text) or text != text.strip():
            raise InvalidData(
                f"The metadata entry {str(name)[:80]!r} has an invalid name or value.",
                field="metadata",
                remedy="Use lowercase letters, digits and dashes in the name, and one line of text"
                " without surrounding spaces as the value.",
            )


def _table(value: Mapping[str, str] | None) -> Any:
    return as_table({} if value is None else value)


def _is_create_only(_: object, __: object, value: str | None) -> None:
    if value is not None and value != "*":
        raise InvalidData(
            "if_none_match must be '*', which means that no existing object is replaced.",
            field="if_none_match",
            remedy="Give '*', or give if_match the ETag of the object to replace.",
        )


@frozen
class ByteRange:
    """A range of an object's bytes.

    Attributes:
        start: position of the first byte, from 0; a negative start counts from the end and runs to
            it.
        length: number of bytes; None runs to the end.
    """

    start: int = field(default=0, validator=is_a(int))
    length: int | None = field(default=None, validator=is_maybe(int))

    def __attrs_post_init__(self) -> None:
        """Refuse an invalid range."""
        is_whole = type(self.start) is int and type(self.length) in {int, type(None)}
        if not is_whole or (self.length is not None and (self.length < 1 or self.start < 0)):
            raise InvalidData(
                "The range of bytes is invalid.",
                field="range",
                remedy="Give ByteRange(start, length), ByteRange(start), or ByteRange(-count).",
            )

    @property
    def header(self) -> str:
        """The range as the value of an HTTP Range header."""
        if self.start < 0:
            return f"bytes={self.start}"
        last_byte = "" if self.length is None else self.start + self.length - 1
        return f"bytes={self.start}-{last_byte}"


@frozen(kw_only=True)
class PutOptions:
    """Options for storing an object.

    Attributes:
        content_type: media type, such as "application/pdf".
        content_encoding: compression of the bytes, such as "gzip"; a download returns them still
            compressed.
        content_disposition, content_language, cache_control: HTTP headers of later downloads.
        metadata: names and values of your own, which come back with the object.
        checksum: checksum of the whole object; the upload fails if the bytes do not match.
        if_match: replace only an object that has this ETag.
        if_none_match: "*" to store only if no object has the key.
        visibility: who may read it without credentials.
        storage_class: the vendor's name of the storage class.
        encryption: the vendor's name of the encryption.
        tags: labels that the vendor's rules act on.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    content_type: str | None = field(default=None, validator=is_header)
    content_encoding: str | None = field(default=None, validator=is_header)
    content_disposition: str | None = field(default=None, validator=is_header, repr=False)
    content_language: str | None = field(default=None, validator=is_header)
    cache_control: str | None = field(default=None, validator=is_header)
    metadata: Mapping[str, str] = field(
        factory=no_options, converter=_table, validator=_is_metadata, repr=False
    )
    checksum: Checksum | None = field(default=None, validator=is_maybe(Checksum))
    if_match: str | None = field(default=None, validator=is_maybe(str))
    if_none_match: str | None = field(default=None, validator=_is_create_only)
    visibility: Visibility | None = field(default=None, converter=optional(Visibility))
    storage_class: str | None = field(default=None, validator=is_maybe(str))
    encryption: str | None = field(default=None, validator=is_maybe(str))
    tags: Mapping[str, str] = field(
        factory=no_options, converter=_table, repr=False, validator=are_texts
    )
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to store an object with these options."""
        requested_features: dict[StorageCapability, object] = {
            StorageCapability.CONDITIONAL_PUT: self.if_match or self.if_none_match,
            StorageCapability.METADATA: self.metadata,
            StorageCapability.VISIBILITY: self.visibility,
            StorageCapability.STORAGE_CLASS: self.storage_class,
            StorageCapability.ENCRYPTION: self.encryption,
            StorageCapability.TAGS: self.tags,
        }
        return frozenset(capability for capability, value in requested_features.items() if value)


@frozen(kw_only=True)
class GetOptions:
    """Options for downloading an object.

    Attributes:
        range: bytes to download; None for all.
        if_match, if_none_match: condition on the ETag.
        if_modified_since, if_unmodified_since: condition on the time of the last change.
        version: id of an earlier version.
    """

    range: ByteRange | None = field(default=None, validator=is_maybe(ByteRange))
    if_match: str | None = field(default=None, validator=is_maybe(str))
    if_none_match: str | None = field(default=None, validator=is_maybe(str))
    if_modified_since: datetime | None = field(default=None, validator=is_moment)
    if_unmodified_since: datetime | None = field(default=None, validator=is_moment)
    version: str | None = field(default=None, validator=is_maybe(str))

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this download."""
        conditions = (
            self.if_match,
            self.if_none_match,
            self.if_modified_since,
            self.if_unmodified_since,
        )
        requested_features: dict[StorageCapability, object] = {
            StorageCapability.RANGE: self.range,
            StorageCapability.CONDITIONAL_GET: any(
                condition is not None for condition in conditions
            ),
            StorageCapability.VERSIONS: self.version,
        }
        return frozenset(capability for capability, value in requested_features.items() if value)


@frozen(kw_only=True)
class ObjectInfo:
    """Properties of a stored object; None where the vendor does not state one.

    Attributes:
        ref: reference of the object at the vendor.
        key: key of the object.
        size: number of bytes.
        etag: opaque text that changes whenever the object does.
        checksums: checksums of the stored bytes; a vendor may know none.
        content_type: media type as given at the upload; "application/octet-stream" if none was.
        content_encoding, content_disposition, content_language, cache_control: as given at the
            upload.
        last_modified: time of the last upload.
        metadata: as given at the upload.
        version: id of this version, if the vendor keeps versions.
        storage_class: the vendor's name of the storage class.
        raw: the vendor's complete response.
    """

    ref: Ref
    key: str
    size: int | None = None
    etag: str | None = None
    checksums: tuple[Checksum, ...] = ()
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = field(default=None, repr=False)
    content_language: str | None = None
    cache_control: str | None = None
    last_modified: datetime | None = None
    metadata: Mapping[str, str] = field(factory=no_options, repr=False)
    version: str | None = None
    storage_class: str | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ListPage:
    """One page of the objects that share a prefix, in the order of their keys.

    Attributes:
        objects: objects whose keys have no delimiter after the prefix.
        prefixes: folders: the other keys, cut after the first delimiter.
        next_cursor: cursor of the next page; None at the end.
        raw: the vendor's complete response.
    """

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...] = ()
    next_cursor: str | None = field(default=None, repr=False)
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Container:
    """A container of objects; some vendors call it a bucket.

    Attributes:
        name: name of the container.
        created_at: time of its creation, if the vendor states it.
        raw: the vendor's complete response.
    """

    name: str
    created_at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Upload:
    """An unfinished upload in parts. The object is invisible until the upload completes.

    Attributes:
        ref: reference of the upload; store it to resume after a crash.
        key: key of the future object.
        id: the vendor's id of the upload.
        started_at: time of its start, if the vendor states it.
        raw: the vendor's complete response.
    """

    ref: Ref
    key: str
    id: str = field(repr=False)
    started_at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Part:
    """An uploaded part of an object.

    Attributes:
        number: position of the part, from 1.
        size: number of bytes.
        etag: the vendor's ETag of the part.
        checksum: checksum of its bytes, where the vendor knows it.
    """

    number: int
    size: int
    etag: str
    checksum: Checksum | None = None

    def holds(self, data: bytes) -> bool:
        """True if the part certainly contains exactly these bytes."""
        if self.size != len(data):
            return False
        if self.checksum is not None:
            return self.checksum.fits(data)
        # An ETag is opaque; but if it equals the MD5 of these bytes, the stored bytes are the same.
        return Checksum.of(ChecksumAlgorithm.MD5, data).value == self.etag


@frozen(kw_only=True)
class OpenedObject:
    """An object whose bytes are being received.

    Attributes:
        info: properties of the object.
        start: position of the first arriving byte in the object.
        length: number of arriving bytes; None if unknown.
        modified: False if the object has not changed, so that no bytes arrive.
        arriving: stream of the bytes.
    """

    info: ObjectInfo
    start: int = 0
    length: int | None = None
    modified: bool = True
    arriving: StreamedResponse


class StorageVendor(Protocol):
    """The operations of a storage vendor; its `capabilities` list the optional ones.

    `put` and `put_part` store nothing of a body that arrives incomplete. A part that is put again
    replaces the first. `complete` receives all parts in order, and may be repeated. `delete`,
    `delete_container` and `abort` succeed if there is nothing to remove. `create_container`
    succeeds if the account has the container, and raises `AlreadyExists` if another account has
    it. `delete_container` refuses a container with objects with `VendorRejected` of status 409.
    """

    async def put(
        self, wire: Wire, key: str, data: bytes, options: PutOptions, /
    ) -> ObjectInfo: ...

    async def open(self, wire: Wire, key: str, options: GetOptions, /) -> OpenedObject: ...

    async def head(self, wire: Wire, key: str, /, *, version: str | None) -> ObjectInfo: ...

    async def delete(self, wire: Wire, key: str, /, *, version: str | None) -> None: ...

    async def delete_many(self, wire: Wire, keys: Sequence[str], /) -> list[Result[None]]: ...

    async def list(
        self, wire: Wire, prefix: str, /, *, delimiter: str | None, cursor: str | None, limit: int
    ) -> ListPage: ...

    async def copy(
        self, wire: Wire, source: str, key: str, options: PutOptions | None, /
    ) -> ObjectInfo: ...

    async def signed_url(self, wire: Wire, key: str, options: UrlOptions, /) -> SignedUrl: ...

    async def signed_post(self, wire: Wire, key: str, options: PostOptions, /) -> SignedPost: ...

    async def public_url(self, wire: Wire, key: str, /) -> str: ...

    async def start_upload(self, wire: Wire, key: str, options: PutOptions, /) -> Upload: ...

    async def put_part(self, wire: Wire, upload: Upload, number: int, data: bytes, /) -> Part: ...

    async def list_parts(self, wire: Wire, upload: Upload, /) -> Sequence[Part]: ...

    async def complete(
        self, wire: Wire, upload: Upload, parts: Sequence[Part], options: PutOptions, /
    ) -> ObjectInfo: ...

    async def abort(self, wire: Wire, upload: Upload, /) -> None: ...

    async def list_uploads(self, wire: Wire, prefix: str, /) -> Sequence[Upload]: ...

    async def list_containers(self, wire: Wire, /) -> tuple[Container, ...]: ...

    async def create_container(self, wire: Wire, name: str, /) -> None: ...

    async def delete_container(self, wire: Wire, name: str, /) -> None: ...


class Pieces(Protocol):
    """A reader of the bytes of an upload, each read once and in order; b"" marks the end.

    The end arrives only if the bytes have the announced length and checksum.
    """

    async def next(self) -> bytes: ...


@runtime_checkable
class TakesInOrder(Protocol):
    """A vendor that accepts the parts of an upload only in order.

    It has `send` instead of `put_part`, `list_parts` and `complete`. With `resumed`, `send`
    continues after the last stored byte; a finished or deleted upload is refused.
    """

    async def send(
        self, wire: Wire, upload: Upload, pieces: Pieces, /, *, resumed: bool
    ) -> ObjectInfo: ...


def part_size(length: int | None, requested: int | None = None) -> int:
    """The size of a part in bytes, chosen so that the number of parts stays below the limit."""
    if requested is not None and (type(requested) is not int or requested < 1):
        raise InvalidData(
            "The part size must be a whole number above zero.",
            field="part_size",
            remedy="Give a number of bytes that is not below the vendor's smallest part size.",
        )
    if length is None or requested is not None:
        return requested or PART_SIZE
    smallest_size = -(-length // MOST_PARTS)
    return max(PART_SIZE, -(-smallest_size // PART_SIZE) * PART_SIZE)


__all__ = [
    "KIND",
    "MOST_PARTS",
    "PART_SIZE",
    "ByteRange",
    "Checksum",
    "ChecksumAlgorithm",
    "Container",
    "GetOptions",
    "ListPage",
    "ObjectInfo",
    "OpenedObject",
    "Part",
    "Pieces",
    "PostOptions",
    "PutOptions",
    "SignedPost",
    "SignedUrl",
    "StorageCapability",
    "StorageVendor",
    "TakesInOrder",
    "Upload",
    "UrlOptions",
    "Visibility",
    "check_container",
    "check_key",
    "check_prefix",
    "part_size",
]
