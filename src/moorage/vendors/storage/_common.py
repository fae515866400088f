"""Helpers of storage vendors: request headers and object properties."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.storage import Container, GetOptions, ObjectInfo, OpenedObject, PutOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_ENCODED: Final = re.compile(r"=\?utf-8\?b\?([A-Za-z0-9+/=]*)\?=", re.IGNORECASE)
_ANY_TYPE: Final = "application/octet-stream"
_UNKNOWN_TYPES: Final = frozenset({"", "binary/octet-stream"})
"""The content types of an object without one; the last is Amazon's word for it."""
_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:([0-9]{1,19})|\*)")

Fields = dict[str, str]

AS_PUT: Final[Fields] = {"Accept-Encoding": "gzip, identity"}
"""Headers that make an object's bytes arrive as they were uploaded.

The HTTP client does not decompress, because `identity` is named; neither does the vendor, because
gzip is accepted.
"""


def without_empty(fields: Mapping[str, str | None]) -> Fields:
    """The fields that have a value, without the empty ones."""
    return {name: value for name, value in fields.items() if value}


def in_order(containers: Iterable[Container]) -> tuple[Container, ...]:
    """The containers of all pages, in the order of their names."""
    return tuple(sorted(containers, key=lambda container: container.name))


def put_if(options: PutOptions) -> Fields:
    """The headers for the conditions of an upload."""
    return without_empty(
        {
            "If-Match": options.if_match and quoted_etag(options.if_match),
            "If-None-Match": options.if_none_match,
        }
    )


def get_if(options: GetOptions) -> Fields:
    """The headers for the conditions of a download."""
    modified_since, unmodified_since = options.if_modified_since, options.if_unmodified_since
    return without_empty(
        {
            "If-Match": options.if_match and quoted_etag(options.if_match),
            "If-None-Match": options.if_none_match and quoted_etag(options.if_none_match),
            "If-Modified-Since": None
            if modified_since is None
            else sdk.write_http_date(modified_since),
            "If-Unmodified-Since": None
            if unmodified_since is None
            else sdk.write_http_date(unmodified_since),
        }
    )


def with_vendor_options(
    fields: Fields, vendor: str, extra: Mapping[str, Mapping[str, Any]]
) -> Fields:
    """Headers to which the vendor's own options are added; these override equal names."""
    for name, value in sdk.extra_for(vendor, extra).items():
        if not isinstance(value, str):
            raise sdk.InvalidData(
                f"The value of the header {name} is not a str.",
                field=f"extra.{vendor}.{name}",
                remedy="Pass the values of the vendor's headers as str.",
            )
        fields = {field: text for field, text in fields.items() if field.lower() != name.lower()}
        fields[name] = value
    return fields


def header_text(text: str) -> str:
    """Metadata as header values; text that is not ASCII or looks encoded is encoded by RFC 2047."""
    is_plain = text.isascii() and _ENCODED.fullmatch(text) is None
    return text if is_plain else encoded_word(text)


def encoded_word(text: str) -> str:
    """Encode a metadata text by RFC 2047, even if it is plain ASCII."""
    return f"=?UTF-8?B?{b64encode(text.encode()).decode()}?="


def plain_word(value: str) -> str:
    """Decode metadata to its original form."""
    match = _ENCODED.fullmatch(value)
    try:
        return value if match is None else b64decode(match[1], validate=True).decode()
    except ValueError:
        return value


def quoted_etag(etag: str) -> str:
    """An ETag in quotes, as in headers."""
    return etag if etag == "*" or etag.startswith(('"', "W/")) else f'"{etag}"'


def bare_etag(text: str | None) -> str | None:
    """An ETag without its quotes."""
    return (text or "").strip('"') or None


def byte_count(text: str | None) -> int | None:
    """Return a number of bytes from a text."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None


def stored_encoding(text: str | None) -> str | None:
    """An object's content encoding, without a transfer encoding that some vendors add to it."""
    names = [name.strip() for name in (text or "").split(",")]
    return ", ".join(name for name in names if name not in {"", "aws-chunked", "identity"}) or None


def media_type(text: str | None) -> str:
    """An object's content type; by default `application/octet-stream`."""
    return _ANY_TYPE if text is None or text in _UNKNOWN_TYPES else text


def root(response: sdk.Response, *names: str) -> sdk.XmlElement:
    """Parse a response's XML document; its root must have one of these names.

    Raises:
        VendorFailed: the document is missing, or its root has another name.
    """
    try:
        element = sdk.read_xml(response.body)
    except sdk.NotXmlError:
        raise sdk.malformed(response) from None
    if element.name not in names:
        raise sdk.malformed(response, names[0])
    return element


def identified(info: ObjectInfo, response: sdk.Response) -> ObjectInfo:
    """Return an object's properties, after checking that they contain an ETag.

    Raises:
        VendorFailed: there is no ETag, as in the page of a proxy or a captive portal.
    """
    sdk.required(info.etag, response, "ETag")
    return info


def without_content(response: sdk.Response) -> None:
    """Check that a successful response has no body.

    Raises:
        VendorFailed: there is one, such as the page of a proxy or a captive portal.
    """
    if response.body:
        raise sdk.malformed(
            response, problem="has a body, although a successful response must be empty"
        )


def opened(
    arriving: sdk.StreamedResponse,
    info: ObjectInfo,
    options: GetOptions,
    *,
    etag_is_certain: bool = True,
) -> OpenedObject:
    """Return an object whose headers have arrived and whose body can be read.

    Args:
        arriving: the response.
        info: the object's properties, from the headers.
        options: options of the download.
        etag_is_certain: False if compatible servers leave out the ETag. Then only an HTML
            response must have an ETag.

    Raises:
        VendorFailed: the response has no ETag, or is not the requested range.
    """
    if arriving.status == 304:
        # Such a response describes the object at most by its ETag.
        known_etag = None if options.if_none_match == "*" else options.if_none_match
        content_type = info.content_type if "content-type" in arriving.headers else None
        info = attrs.evolve(
            info, size=None, content_type=content_type, etag=info.etag or known_etag
        )
        return OpenedObject(info=info, length=0, modified=False, arriving=arriving)
    start, length = 0, info.size
    if arriving.status == 206 or options.range is not None:
        # If a vendor sends the whole object instead of the range, the bytes are different.
        sent_range = content_range(arriving.headers)
        if sent_range is None:
            arriving.settle()
            raise sdk.malformed(sdk.Response(arriving.status, arriving.headers), "Content-Range")
        start, length, size = sent_range
        info = attrs.evolve(info, size=size)
    if info.etag is None and (etag_is_certain or info.content_type == "text/html"):
        arriving.settle()
        raise sdk.malformed(sdk.Response(arriving.status, arriving.headers), "ETag")
    if info.content_encoding is not None:
        # The bytes are decompressed on the way, so their number differs.
        length = None
    return OpenedObject(info=info, start=start, length=length, arriving=arriving)


def content_range(headers: sdk.Headers) -> tuple[int, int, int | None] | None:
    """The first byte, the length and the total size that a Content-Range header states."""
    match = _RANGE.fullmatch(headers.get("content-range", ""))
    if match is None:
        return None
    start, last_byte = int(match[1]), int(match[2])
    return None if last_byte < start else (start, last_byte - start + 1, byte_count(match[3]))
