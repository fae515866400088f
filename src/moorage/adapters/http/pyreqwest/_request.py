"""A request as pyreqwest takes it, and the fields of an answer as it gives them.

Its URLs are tidied as a browser's are, and its fields are ASCII only. A request that would arrive
as another is refused; of an answer's field that cannot be read, the name is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyreqwest.http import Url

from moorage.domain.http.headers import sound
from moorage.domain.http.requests import BodyStream, Headers
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.http.requests import Request

_NO_CODING: Final = ("Accept-Encoding", "identity")
_AFTER_SCHEME: Final = 8


def exact_url(url: str, target: str) -> Url:
    """Return the URL as pyreqwest takes it.

    Raises:
        InvalidData: it would ask for something else. The message does not repeat it.
    """
    try:
        parsed = Url(url.partition("#")[0])
    except ValueError:
        raise _inexact("names a host that pyreqwest takes for none") from None
    text = str(parsed)
    if text[text.find("/", _AFTER_SCHEME) :] != target:
        raise _inexact("has a part that pyreqwest sends otherwise than it is written")
    return parsed


def _inexact(why: str) -> InvalidData:
    return InvalidData(
        f"The URL {why}.",
        field="url",
        remedy="Percent-encode quotation marks, brackets and the like, and resolve `.` and `..`;"
        " or give another HTTP client, such as StdlibHttpClient.",
    )


def fields_of(request: Request) -> list[tuple[str, str]]:
    """Return the fields to send; those that would frame the body otherwise than it is are refused.

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
                f"The value of the header {name!r} has letters that are not ASCII, which pyreqwest"
                " cannot send as they are.",
                field=f"headers.{name}",
                remedy="Encode them; or give another HTTP client, such as StdlibHttpClient.",
            )
    if "range" in headers and "accept-encoding" not in headers:
        # A range of a compressed form could not be decompressed.
        fields.append(_NO_CODING)
    if "transfer-encoding" in headers:
        raise _misframed("Transfer-Encoding", "leave it out; a body of unknown length is chunked")
    length = body.length if isinstance(body, BodyStream) else len(body)
    if "content-length" in headers:
        if headers.get_all("content-length") != (str(length),):
            raise _misframed("Content-Length", "leave it out, or give the body's own length")
    elif isinstance(body, BodyStream) and length is not None:
        fields.append(("Content-Length", str(length)))
    return fields


def headers_of(response: Any) -> Headers:
    """Return the fields of an answer."""
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


def _misframed(name: str, remedy: str) -> InvalidData:
    return InvalidData(
        f"The header {name} does not say how the body is sent.",
        field=f"headers.{name}",
        remedy=f"Please {remedy}.",
    )
