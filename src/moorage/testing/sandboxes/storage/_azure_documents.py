"""The documents, headers, ranges and errors of the Azure sandbox."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

import attrs

from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer, Reply, tag
from moorage.testing.sandboxes.storage._s3_store import Piece, StoredContent

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.storage._s3_store import Spool

CONTENT: Final = {
    "x-ms-blob-content-type": "Content-Type",
    "x-ms-blob-content-encoding": "Content-Encoding",
    "x-ms-blob-content-language": "Content-Language",
    "x-ms-blob-content-disposition": "Content-Disposition",
    "x-ms-blob-cache-control": "Cache-Control",
    "x-ms-blob-content-md5": "Content-MD5",
}
_USUAL_HEADERS: Final = {"x-ms-version", "x-ms-date"}
_STORED_HEADERS: Final = {"x-ms-access-tier", "x-ms-tags"}
_SCOPE: Final = "x-ms-encryption-scope"
HEADERS: Final = {
    "put": {"x-ms-blob-type", _SCOPE, *CONTENT, *_STORED_HEADERS},
    "copy": {"x-ms-copy-source", *_STORED_HEADERS},
    "block": {_SCOPE},
    "blocklist": {_SCOPE, *CONTENT, *_STORED_HEADERS},
    "properties": {*CONTENT},
    "metadata": {_SCOPE},
    "get": {"x-ms-range"},
}
"""The headers that each operation accepts, besides metadata where it accepts them."""
_WITH_METADATA: Final = {"put", "copy", "blocklist", "metadata"}
_META: Final = "x-ms-meta-"
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIERS: Final = {"Hot", "Cool", "Cold", "Archive"}
_VERSION: Final = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]")
_RANGE: Final = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_MOST_TAGS: Final = 10
_LONGEST_NAME: Final = 64


@attrs.frozen(kw_only=True)
class Blob(StoredContent):
    """A blob of the Azure sandbox, with its blocks.

    Attributes:
        blocks: names and sizes of the blocks that it was made of.
        version: id of its version.
        copy: the statuses that look-ups of a copy return in turn; the last one stays.
    """

    blocks: tuple[tuple[str, int], ...] = ()
    version: str = ""
    copy: list[str] = attrs.field(factory=list)


@attrs.frozen
class Block:
    """An uploaded, uncommitted block of a blob."""

    name: str
    piece: Piece


def document(root: str, *inside: str, **attributes: str) -> bytes:
    """Return an XML document with a byte order mark, as Azure writes it."""
    head = '\ufeff<?xml version="1.0" encoding="utf-8"?>'
    texts = "".join(f" {name}={quoteattr(text)}" for name, text in attributes.items())
    return f"{head}<{root}{texts}>{''.join(inside)}</{root}>".encode()


def xml_reply(body: bytes) -> Reply:
    """Return a response with an XML document."""
    return Reply(200, {"Content-Type": "application/xml"}, body)


def azure_error(code: str, message: str = "", **more: str) -> bytes:
    """Return the XML document of an Azure error."""
    words = f"{message or code}\nRequestId:5a1d3c0e-001e-0062-0b3d-2d8f3f000000\nTime:2026-01-01"
    child_elements = [tag("Code", code), tag("Message", words)]
    return document("Error", *child_elements, *(tag(name, text) for name, text in more.items()))


def invalid_value(name: str, value: str, *, query: bool = False) -> ErrorAnswer:
    """Return the error for a header or parameter with an invalid value."""
    kind = "QueryParameter" if query else "Header"
    code = "InvalidQueryParameterValue" if query else "InvalidHeaderValue"
    error_fields = {f"{kind}Name": name, f"{kind}Value": value}
    return ErrorAnswer(code, 400, "The value is not in the correct format.", **error_fields)


def parse_body(spool: Spool) -> ET.Element:
    """Parse the XML document in a request's body."""
    try:
        return ET.fromstring(spool.content())  # noqa: S314 - our own client sends it
    except ET.ParseError:
        raise ErrorAnswer(
            "InvalidXmlDocument", 400, "XML specified is not syntactically valid."
        ) from None


def check_version(request: SandboxRequest) -> None:
    """Refuse a request without an API version."""
    version = request.headers.get("x-ms-version", "")
    if not _VERSION.fullmatch(version):
        raise invalid_value("x-ms-version", version)


def check_headers(request: SandboxRequest, operation: str) -> None:
    """Refuse headers that an operation does not take."""
    for name, value in request.headers.items():
        header_name = name.lower()
        if header_name.startswith(_META) and operation in _WITH_METADATA:
            if not _IDENTIFIER.fullmatch(header_name.removeprefix(_META)) or not value.isascii():
                raise ErrorAnswer("InvalidMetadata", 400, "The metadata specified is invalid.")
        elif (
            header_name.startswith("x-ms-")
            and header_name not in HEADERS[operation] | _USUAL_HEADERS
        ):
            raise ErrorAnswer(
                "UnsupportedHeader", 400, "A header is not supported.", HeaderName=name
            )
    if request.headers.get("x-ms-access-tier", "Hot") not in _TIERS:
        raise invalid_value("x-ms-access-tier", request.headers["x-ms-access-tier"])
    tags = parse_qsl(request.headers.get("x-ms-tags", ""), keep_blank_values=True)
    if len(tags) > _MOST_TAGS:
        raise ErrorAnswer("TagsTooLarge", 400, "The tags specified exceed the maximum size.")


def check_md5(request: SandboxRequest, spool: Spool) -> str:
    """Check a body against its stated MD5, and return the MD5."""
    md5 = b64encode(spool.digests["md5"]).decode()
    if request.headers.get("content-md5", md5) != md5:
        raise ErrorAnswer("Md5Mismatch", 400, "The MD5 value specified did not match.")
    return md5


def check_block_name(name: str, others: list[Block]) -> None:
    """Refuse a block name that is invalid, or differs in length from existing names."""
    try:
        plain_bytes = b64decode(name, validate=True)
    except NotBase64:
        raise invalid_value("blockid", name, query=True) from None
    if not 0 < len(plain_bytes) <= _LONGEST_NAME:
        raise invalid_value("blockid", name, query=True)
    if any(len(other_block.name) != len(name) for other_block in others):
        raise ErrorAnswer(
            "InvalidBlobOrBlock", 400, "The specified blob or block content is invalid."
        )


def content(request: SandboxRequest) -> dict[str, str]:
    """Return the content headers that a request sets for a blob."""
    stated_headers = {
        name: request.headers[azure_name]
        for azure_name, name in CONTENT.items()
        if azure_name in request.headers
    }
    return {"Content-Type": "application/octet-stream", **stated_headers}


def is_metadata(name: str) -> bool:
    """Return whether a header is metadata of a blob."""
    return name.lower().startswith(_META)


def metadata(request: SandboxRequest) -> dict[str, str]:
    """Return the metadata in a request's headers."""
    return {name.lower(): value for name, value in request.headers.items() if is_metadata(name)}


def stored_headers(request: SandboxRequest) -> dict[str, str]:
    """Return the further properties that a request sets for a blob."""
    fields = {"x-ms-access-tier": request.headers.get("x-ms-access-tier", "Hot")}
    tags = parse_qsl(request.headers.get("x-ms-tags", ""), keep_blank_values=True)
    if tags:
        fields["x-ms-tag-count"] = str(len(tags))
    if _SCOPE in request.headers:
        fields[_SCOPE] = request.headers[_SCOPE]
    return fields


def may_write(request: SandboxRequest, blob: Blob | None) -> None:
    """Raise an error if a request's condition forbids writing."""
    header = request.headers.get("if-match")
    if request.headers.get("if-none-match") == "*" and blob is not None:
        raise ErrorAnswer("BlobAlreadyExists", 409, "The specified blob already exists.")
    if header is not None and (blob is None or header not in {f'"{blob.etag}"', "*"}):
        raise ErrorAnswer("ConditionNotMet", 412, "The condition specified was not met.")


def is_wanted(request: SandboxRequest, blob: Blob) -> bool:
    """Return False if the response to a GET must be 304; raise 412 if a condition fails."""
    fields = request.headers
    modified_time = blob.modified.replace(microsecond=0)
    unmodified_since, modified_since = (
        fields.get("if-unmodified-since"),
        fields.get("if-modified-since"),
    )
    if_match, if_none_match = fields.get("if-match"), fields.get("if-none-match")
    etag = f'"{blob.etag}"'
    is_late = unmodified_since is not None and modified_time > parsedate_to_datetime(
        unmodified_since
    )
    if is_late or if_match not in {None, etag, "*"}:
        raise ErrorAnswer("ConditionNotMet", 412, "The condition specified was not met.")
    if if_none_match is not None:
        return if_none_match not in {etag, "*"}
    return modified_since is None or modified_time > parsedate_to_datetime(modified_since)


def range_of(text: str, size: int) -> tuple[int, int]:
    """Return a requested range's first byte and length."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise invalid_value("x-ms-range", text)
    start = int(match[1])
    if start >= size:
        raise ErrorAnswer(
            "InvalidRange", 416, "The range specified is invalid for the current size."
        )
    last_byte = min(int(match[2]), size - 1) if match[2] else size - 1
    return start, last_byte - start + 1


def blob_headers(blob: Blob) -> dict[str, str]:
    """Return a blob's response headers."""
    return {
        **blob.headers,
        "ETag": f'"{blob.etag}"',
        "Last-Modified": format_datetime(blob.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-version-id": blob.version,
    }
