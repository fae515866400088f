"""Files at a vendor: what is kept, what is said of it, and what vendors of storage can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import attrs

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.kinds import OneOf, are_texts, as_table, is_a, is_maybe, is_moment
from moorage.contracts.signed import PostOptions, SignedPost, SignedUrl, UrlOptions, is_header
from moorage.contracts.vendor import no_options
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Arriving, Wire
    from moorage.domain.result import Result

KIND: Final = "storage"
PART_SIZE: Final = 8 * 1024 * 1024
MOST_PARTS: Final = 10_000

_LONGEST_KEY: Final = 1_024
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,126}[a-z0-9])?")


class StorageCapability(StrEnum):
    """What not every vendor can do."""

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


class Visibility(OneOf, field="visibility"):
    """Who may read an object without saying who they are."""

    PRIVATE = "private"
    PUBLIC = "public"


def check_key(value: object, field: str = "key") -> str:
    """`value` as the key of an object, such as "invoices/2041.pdf".

    Raises:
        InvalidData: it is none that every vendor, and every HTTP client on the way, keeps.
    """
    if not isinstance(value, str) or not value:
        raise _bad_key("is empty, or no str", field)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise _bad_key("is not valid Unicode", field) from None
    if size > _LONGEST_KEY:
        raise _bad_key(f"is longer than {_LONGEST_KEY} bytes", field)
    if _CONTROL.search(value):
        raise _bad_key("has a control character in it", field)
    if value.startswith("/") or any(part in {".", ".."} for part in value.split("/")):
        raise _bad_key("begins with a slash, or has '.' or '..' for a folder", field)
    return value


def _bad_key(what: str, field: str) -> InvalidData:
    return InvalidData(
        f"The key {what}.",
        field=field,
        remedy="Give a relative path with slashes, such as 'invoices/2041.pdf'.",
    )


def check_prefix(value: str) -> str:
    """`value` as the beginning of keys; it may be empty."""
    if not isinstance(value, str) or _CONTROL.search(value) or len(value) > _LONGEST_KEY:
        raise InvalidData(
            "This cannot be the beginning of keys.",
            field="prefix",
            remedy="Give text without control characters, such as 'invoices/'.",
        )
    return value


def _is_metadata(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    are_texts(_, attribute, value)
    for name, text in value.items():
        if _NAME.fullmatch(name) is None or _CONTROL.search(text) or text != text.strip():
            raise InvalidData(
                f"{str(name)[:80]!r} cannot be metadata, or what stands there cannot.",
                field="metadata",
                remedy="Name it with small letters, digits and dashes, and give one line of text"
                " without spaces around it.",
            )


def _table(value: Mapping[str, str] | None) -> Any:
    return as_table({} if value is None else value)


def _is_create_only(_: object, __: object, value: str | None) -> None:
    if value is not None and value != "*":
        raise InvalidData(
            "An object is only put where none is with if_none_match='*'.",
            field="if_none_match",
            remedy="Give '*', or if_match with the ETag of what is to be replaced.",
        )


@attrs.frozen
class ByteRange:
    """Some of an object's bytes.

    Attributes:
        start: the first, counted from 0; negative is counted from the end, and goes to the end.
        length: how many; None is all to the end.
    """

    start: int = attrs.field(default=0, validator=is_a(int))
    length: int | None = attrs.field(default=None, validator=is_maybe(int))

    def __attrs_post_init__(self) -> None:
        """Refuse what is no range."""
        whole = type(self.start) is int and type(self.length) in {int, type(None)}
        if not whole or (self.length is not None and (self.length < 1 or self.start < 0)):
            raise InvalidData(
                "This is not a range of bytes.",
                field="range",
                remedy="Give ByteRange(start, length), ByteRange(start), or ByteRange(-count).",
            )

    @property
    def header(self) -> str:
        """As HTTP writes it."""
        if self.start < 0:
            return f"bytes={self.start}"
        last = "" if self.length is None else self.start + self.length - 1
        return f"bytes={self.start}-{last}"


@attrs.frozen(kw_only=True)
class PutOptions:
    """How an object is kept.

    Attributes:
        content_type: what it is, such as "application/pdf".
        content_encoding: how it is packed, such as "gzip"; it comes back packed as it was put.
        content_disposition, content_language, cache_control: as HTTP has them.
        metadata: words of ours that come back with it.
        checksum: of the whole of it; what does not fit is not kept.
        if_match: only replace what has this ETag.
        if_none_match: "*" to put it only where nothing is yet.
        visibility: who may read it.
        storage_class: in the vendor's word.
        encryption: how the vendor encrypts it, in the vendor's word.
        tags: labels that the vendor acts on.
        extra: options of single vendors, by the vendor's name, in the vendor's words.
    """

    content_type: str | None = attrs.field(default=None, validator=is_header)
    content_encoding: str | None = attrs.field(default=None, validator=is_header)
    content_disposition: str | None = attrs.field(default=None, validator=is_header, repr=False)
    content_language: str | None = attrs.field(default=None, validator=is_header)
    cache_control: str | None = attrs.field(default=None, validator=is_header)
    metadata: Mapping[str, str] = attrs.field(
        factory=no_options, converter=_table, validator=_is_metadata, repr=False
    )
    checksum: Checksum | None = attrs.field(default=None, validator=is_maybe(Checksum))
    if_match: str | None = attrs.field(default=None, validator=is_maybe(str))
    if_none_match: str | None = attrs.field(default=None, validator=_is_create_only)
    visibility: Visibility | None = attrs.field(
        default=None, converter=attrs.converters.optional(Visibility)
    )
    storage_class: str | None = attrs.field(default=None, validator=is_maybe(str))
    encryption: str | None = attrs.field(default=None, validator=is_maybe(str))
    tags: Mapping[str, str] = attrs.field(
        factory=no_options, converter=_table, repr=False, validator=are_texts
    )
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that keeping it so takes."""
        asked: dict[StorageCapability, object] = {
            StorageCapability.CONDITIONAL_PUT: self.if_match or self.if_none_match,
            StorageCapability.METADATA: self.metadata,
            StorageCapability.VISIBILITY: self.visibility,
            StorageCapability.STORAGE_CLASS: self.storage_class,
            StorageCapability.ENCRYPTION: self.encryption,
            StorageCapability.TAGS: self.tags,
        }
        return frozenset(capability for capability, value in asked.items() if value)


@attrs.frozen(kw_only=True)
class GetOptions:
    """Which of an object's bytes are wanted, and on which condition.

    Attributes:
        range: some of them; None is all.
        if_match, if_none_match: only if the ETag is, or is not, this.
        if_modified_since, if_unmodified_since: only if it has, or has not, changed since.
        version: an earlier version of it.
    """

    range: ByteRange | None = attrs.field(default=None, validator=is_maybe(ByteRange))
    if_match: str | None = attrs.field(default=None, validator=is_maybe(str))
    if_none_match: str | None = attrs.field(default=None, validator=is_maybe(str))
    if_modified_since: datetime | None = attrs.field(default=None, validator=is_moment)
    if_unmodified_since: datetime | None = attrs.field(default=None, validator=is_moment)
    version: str | None = attrs.field(default=None, validator=is_maybe(str))

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that it takes."""
        conditions = (
            self.if_match,
            self.if_none_match,
            self.if_modified_since,
            self.if_unmodified_since,
        )
        asked: dict[StorageCapability, object] = {
            StorageCapability.RANGE: self.range,
            StorageCapability.CONDITIONAL_GET: any(one is not None for one in conditions),
            StorageCapability.VERSIONS: self.version,
        }
        return frozenset(capability for capability, value in asked.items() if value)


@attrs.frozen(kw_only=True)
class ObjectInfo:
    """What a vendor says of an object; None is what it does not say.

    Attributes:
        ref: the object at the vendor.
        key: what it is called.
        size: how many bytes it has.
        etag: changes whenever the object does, and says nothing else.
        checksums: of what is kept; a vendor may know none.
        content_type, content_encoding, content_disposition, content_language, cache_control: as
            they were put.
        last_modified: when it was put.
        metadata: as it was put.
        version: which of several it is, where the vendor keeps them.
        storage_class: in the vendor's word.
        raw: all that the vendor said.
    """

    ref: Ref
    key: str
    size: int | None = None
    etag: str | None = None
    checksums: tuple[Checksum, ...] = ()
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = attrs.field(default=None, repr=False)
    content_language: str | None = None
    cache_control: str | None = None
    last_modified: datetime | None = None
    metadata: Mapping[str, str] = attrs.field(factory=no_options, repr=False)
    version: str | None = None
    storage_class: str | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class ListPage:
    """Some of the objects whose keys begin alike, in the order of their keys.

    Attributes:
        objects: those that no further delimiter hides.
        prefixes: what stands for the others: their keys up to the delimiter.
        next_cursor: asks for what follows; None at the end.
        raw: all that the vendor said.
    """

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...] = ()
    next_cursor: str | None = attrs.field(default=None, repr=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Upload:
    """An object that is being put part by part; nobody sees it before it is complete.

    Attributes:
        ref: the upload at the vendor: keep it to go on after a crash.
        key: what the object will be called.
        id: the vendor's name for the upload.
        started_at: when it was begun, if the vendor says.
        raw: all that the vendor said.
    """

    ref: Ref
    key: str
    id: str = attrs.field(repr=False)
    started_at: datetime | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Part:
    """A part that a vendor has.

    Attributes:
        number: its place, from 1 on.
        size: how many bytes it has.
        etag: what the vendor calls it.
        checksum: of its bytes, where the vendor knows it.
    """

    number: int
    size: int
    etag: str
    checksum: Checksum | None = None

    def holds(self, data: bytes) -> bool:
        """Whether it is certain that it has these bytes."""
        if self.size != len(data):
            return False
        if self.checksum is not None:
            return self.checksum.fits(data)
        # An ETag is opaque, but bytes that it is the MD5 of are the bytes that are there.
        return Checksum.of(ChecksumAlgorithm.MD5, data).value == self.etag


@attrs.frozen(kw_only=True)
class Opened:
    """An object whose bytes are arriving.

    Attributes:
        info: what is said of it.
        start: which of its bytes is the first that comes.
        length: how many come; None is not known beforehand.
        modified: False if nothing comes because it has not changed.
        arriving: gives the bytes.
    """

    info: ObjectInfo
    start: int = 0
    length: int | None = None
    modified: bool = True
    arriving: Arriving


class StorageVendor(Protocol):
    """What a vendor of storage does; the optional verbs are named by its capabilities.

    `put` and `put_part` keep nothing of what does not arrive whole. A part that is put again takes
    the place of the first. `complete` is told every part, in order, and may be repeated. `delete`
    and `abort` do nothing where nothing is.
    """

    async def put(
        self, wire: Wire, key: str, data: bytes, options: PutOptions, /
    ) -> ObjectInfo: ...

    async def open(self, wire: Wire, key: str, options: GetOptions, /) -> Opened: ...

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

    async def start_upload(self, wire: Wire, key: str, options: PutOptions, /) -> Upload: ...

    async def put_part(self, wire: Wire, upload: Upload, number: int, data: bytes, /) -> Part: ...

    async def list_parts(self, wire: Wire, upload: Upload, /) -> Sequence[Part]: ...

    async def complete(
        self, wire: Wire, upload: Upload, parts: Sequence[Part], options: PutOptions, /
    ) -> ObjectInfo: ...

    async def abort(self, wire: Wire, upload: Upload, /) -> None: ...

    async def list_uploads(self, wire: Wire, prefix: str, /) -> Sequence[Upload]: ...


class Pieces(Protocol):
    """What is uploaded, read once and from its beginning; b"" is its end.

    Its end comes only if all of it is what it was said to be.
    """

    async def next(self) -> bytes: ...


@runtime_checkable
class TakesInOrder(Protocol):
    """What a vendor does whose uploads go from the first byte to the last.

    It has `send` instead of `put_part`, `list_parts` and `complete`. Where an upload is `resumed`,
    `send` goes on where it was; one that is complete or gone is refused.
    """

    async def send(
        self, wire: Wire, upload: Upload, pieces: Pieces, /, *, resumed: bool
    ) -> ObjectInfo: ...


def part_size(length: int | None, wanted: int | None = None) -> int:
    """How long the parts of an object are, so that there are not too many."""
    if wanted is not None and (type(wanted) is not int or wanted < 1):
        raise InvalidData(
            "This is not the size of a part.",
            field="part_size",
            remedy="Give a number of bytes, at least what the vendor asks for.",
        )
    if length is None or wanted is not None:
        return wanted or PART_SIZE
    least = -(-length // MOST_PARTS)
    return max(PART_SIZE, -(-least // PART_SIZE) * PART_SIZE)


__all__ = [
    "KIND",
    "MOST_PARTS",
    "PART_SIZE",
    "ByteRange",
    "Checksum",
    "ChecksumAlgorithm",
    "GetOptions",
    "ListPage",
    "ObjectInfo",
    "Opened",
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
    "check_key",
    "check_prefix",
    "part_size",
]
