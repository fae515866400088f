"""The documents, headers, ranges and errors of the S3 sandbox."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.storage._s3_store import Spool, StoredContent

STORED_HEADERS: Final = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-server-side-encryption",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
)
KNOWN_HEADERS: Final = frozenset(
    {
        "x-amz-acl",
        "x-amz-checksum-algorithm",
        "x-amz-checksum-crc32",
        "x-amz-checksum-mode",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-date",
        "x-amz-metadata-directive",
        "x-amz-mp-object-size",
        "x-amz-security-token",
        *STORED_HEADERS,
    }
)
ALGORITHMS: Final = ("crc32", "sha1", "sha256")


@attrs.frozen
class Reply:
    """A response whose body can be an object on disk."""

    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    stored: tuple[StoredContent, int, int] | None = None

    @property
    def length(self) -> int:
        """The length of the body in bytes."""
        return len(self.body) if self.stored is None else self.stored[2]

    def chunks(self) -> Iterator[bytes]:
        """Yield the body in chunks."""
        if self.stored is None:
            return iter([self.body] if self.body else [])
        stored_object, start, length = self.stored
        return stored_object.read(start, length)


class ErrorAnswer(Exception):
    """An exception with which a storage sandbox responds with an error."""

    def __init__(self, code: str, status: int, message: str = "", **more: str) -> None:
        super().__init__(code)
        self.code, self.status, self.message, self.more = code, status, message or code, more


def xml(root: str, *inside: str) -> bytes:
    space = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' if root != "Error" else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{space}>{"".join(inside)}</{root}>'
    ).encode()


def tag(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"


def yes_or_no(value: object) -> str:
    return "true" if value else "false"


def error_xml(code: str, message: str = "", **more: str) -> bytes:
    """Return the XML document of an S3 error."""
    child_elements = [tag("Code", code), tag("Message", message or code)]
    child_elements += [tag(name, value) for name, value in more.items()]
    return xml(
        "Error", *child_elements, tag("RequestId", "4442587FB7D0A2F9"), tag("HostId", "sandbox")
    )


def quote_plus(text: str) -> str:
    """Return a key in S3's URL encoding."""
    return quote(text, safe="/").replace("%20", "+")


def answer(body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a response with an XML document and extra headers."""
    return Reply(200, {"Content-Type": "application/xml", **(headers or {})}, body)


def title(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))


def name_of(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def parse_body(spool: Spool) -> ET.Element:
    try:
        return ET.fromstring(spool.content())  # noqa: S314 - our own client sends it
    except ET.ParseError:
        raise ErrorAnswer("MalformedXML", 400) from None


def open_token(token: str | None) -> str:
    try:
        return b64decode(token or "", validate=True).decode()
    except (NotBase64, UnicodeDecodeError):
        raise ErrorAnswer(
            "InvalidArgument", 400, "The continuation token provided is incorrect"
        ) from None


def stored_headers(request: SandboxRequest) -> dict[str, str]:
    fields = {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() in STORED_HEADERS or name.lower().startswith("x-amz-meta-")
    }
    tags = parse_qsl(fields.get("x-amz-tagging", ""))
    if tags:
        fields["x-amz-tagging-count"] = str(len(tags))
    return {"content-type": "binary/octet-stream", **fields}


def sums_of(request: SandboxRequest) -> list[tuple[str, str]]:
    return [
        (name, text)
        for name in ALGORITHMS
        if (text := request.headers.get(f"x-amz-checksum-{name}")) is not None
    ]


def checked_sums(request: SandboxRequest, spool: Spool) -> None:
    sums = sums_of(request)
    if request.method == "POST" and "uploadId" in dict(request.query):
        return  # these headers describe the object
    if len(sums) > 1:
        raise ErrorAnswer("InvalidRequest", 400, "Expecting a single x-amz-checksum- header.")
    md5 = request.headers.get("content-md5")
    for name, text in [*sums, *([("md5", md5)] if md5 is not None else [])]:
        if text != b64encode(spool.digests[name]).decode():
            raise ErrorAnswer("BadDigest", 400, f"The {name.upper()} you specified did not match")


def is_fresh(request: SandboxRequest, stored: StoredContent) -> bool:
    """Return False if the response to a GET must be 304; raise 412 if a condition fails."""
    fields = request.headers
    modified_time = stored.modified.replace(microsecond=0)
    if_match, if_none_match = fields.get("if-match"), fields.get("if-none-match")
    modified_since, unmodified_since = (
        fields.get("if-modified-since"),
        fields.get("if-unmodified-since"),
    )
    if if_match is not None and if_match.strip('"') not in {stored.etag, "*"}:
        raise ErrorAnswer("PreconditionFailed", 412, Condition="If-Match")
    if (
        if_match is None
        and unmodified_since is not None
        and modified_time > parsedate_to_datetime(unmodified_since)
    ):
        raise ErrorAnswer("PreconditionFailed", 412, Condition="If-Unmodified-Since")
    if if_none_match is not None:
        return if_none_match.strip('"') not in {stored.etag, "*"}
    return modified_since is None or modified_time > parsedate_to_datetime(modified_since)


def range_of(text: str, size: int) -> tuple[int, int]:
    first_byte, _, last_byte = text.removeprefix("bytes=").partition("-")
    start = max(0, size - int(last_byte)) if not first_byte else int(first_byte)
    end = size - 1 if not first_byte or not last_byte else min(int(last_byte), size - 1)
    if start >= size or end < start:
        raise ErrorAnswer("InvalidRange", 416, "The requested range is not satisfiable")
    return start, end - start + 1
