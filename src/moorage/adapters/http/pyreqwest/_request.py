"""Requests in the form that pyreqwest accepts, and the header fields of its responses.

pyreqwest normalizes URLs as browsers do, and its header fields are ASCII only. A request that it
would change is refused; of a field of a response that cannot be decoded, the name is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyreqwest.http import Url

from moorage.adapters.http.messages._http1 import framing_error
from moorage.domain.http.headers import sound
from moorage.domain.http.requests import BodyStream, Headers
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.http.requests import Request

_IDENTITY: Final = ("Accept-Encoding", "identity")
_AFTER_SCHEME: Final = 8


def exact_url(url: str, target: str) -> Url:
    """Return a URL as an object of pyreqwest.

    Raises:
        InvalidData: pyreqwest would change the request target. The message does not repeat it.
    """
    try:
        parsed_url = Url(url.partition("#")[0])
    except ValueError:
        raise _inexact("has a host that pyreqwest does not accept") from None
    text = str(parsed_url)
    if text[text.find("/", _AFTER_SCHEME) :] != target:
        raise _inexact("has a part that pyreqwest would change")
    return parsed_url


def _inexact(problem: str) -> InvalidData:
    return InvalidData(
        f"The URL {problem}.",
        field="url",
        remedy="Percent-encode quotation marks, brackets and the like, and resolve `.` and `..`;"
        " or use another HTTP client, such as StdlibHttpClient.",
    )


def fields_of(request: Request) -> list[tuple[str, str]]:
    """Return the header fields to send; refuse those that contradict the length of the body.

    Raises:
        InvalidData: a field cannot be sent.
    """
    headers, body = request.headers, request.body
    if not headers.pairs and isinstance(body, bytes):
        return []
    fields = [*headers.pairs]
    for name, value in fields:
        if not value.isascii():
            raise InvalidData(
                f"The library pyreqwest cannot send the header {name!r}, whose value is not ASCII.",
                field=f"headers.{name}",
                remedy="Percent-encode it, or use another HTTP client, such as StdlibHttpClient.",
            )
    if "range" in headers and "accept-encoding" not in headers:
        # A range of a compressed form could not be decompressed.
        fields.append(_IDENTITY)
    if "transfer-encoding" in headers:
        raise framing_error(
            "Transfer-Encoding", "Remove it; a body of unknown length is sent in chunks."
        )
    length = body.length if isinstance(body, BodyStream) else len(body)
    if "content-length" in headers:
        if headers.get_all("content-length") != (str(length),):
            raise framing_error("Content-Length", "Remove it, or set it to the length of the body.")
    elif isinstance(body, BodyStream) and length is not None:
        fields.append(("Content-Length", str(length)))
    return fields


def headers_of(response: Any) -> Headers:
    """Return the header fields of a response."""
    fields = response.headers
    try:
        return sound(fields.items())
    except ValueError:
        return Headers(list(_readable(fields)))


def _readable(fields: Any) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(fields):
        try:
            values: list[str] = fields.getall(name)
        except ValueError:
            values = [""]
        for value in values:
            yield name, value
