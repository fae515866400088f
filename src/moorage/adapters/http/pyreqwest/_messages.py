"""Requests as pyreqwest accepts them, and the header fields of its responses.

pyreqwest normalizes URLs as browsers do, and its header fields are ASCII only. A request that it
would change is refused. If a field of a response cannot be decoded, only the field's name is kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pyreqwest.http import Url

from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.messages._http1 import (
    AUTHENTICATION_REQUIRED,
    BODILESS,
    body_framing,
    check_status,
    framing_error,
)
from moorage.domain.http.headers import first_values_of, validated_headers
from moorage.domain.http.requests import BodyStream, Headers, HttpMethod
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._wire import Origin
    from moorage.domain.http.requests import Request

_IDENTITY: Final = ("Accept-Encoding", "identity")
_HOST_START: Final = 8
_HEAD: Final = HttpMethod.HEAD
_SPECIAL_STATUSES: Final = BODILESS | {101, AUTHENTICATION_REQUIRED}


def address_of(url: str) -> tuple[Origin, Url]:
    """Return the origin of a URL, and the URL as a pyreqwest object.

    URLs without a query are kept; a query may hold a secret.

    Raises:
        InvalidData: the URL is not valid, or pyreqwest would change the request target. The message
            does not repeat it.
    """
    return _parsed_address(url) if "?" in url else _kept_address(url)


def _parsed_address(url: str) -> tuple[Origin, Url]:
    origin, _, target = locate(url)
    try:
        parsed_url = Url(url.partition("#")[0])
    except ValueError:
        raise _inexact_url_error("has a host that pyreqwest does not accept") from None
    text = str(parsed_url)
    if text[text.find("/", _HOST_START) :] != target:
        raise _inexact_url_error("has a part that pyreqwest would change")
    return origin, parsed_url


_kept_address: Final = lru_cache(maxsize=256)(_parsed_address)


def _inexact_url_error(problem: str) -> InvalidData:
    return InvalidData(
        f"The URL {problem}.",
        field="url",
        remedy="Percent-encode characters such as quotation marks and brackets, and resolve"
        " `.` and `..`. Or use another HTTP client, such as StdlibHttpClient.",
    )


def fields_of(request: Request) -> list[tuple[str, str]]:
    """Return the header fields to send; refuse fields that contradict the body's length.

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
                f"The library pyreqwest cannot send the header {name!r}, because its value is"
                " not ASCII.",
                field=f"headers.{name}",
                remedy="Percent-encode the value, or use another HTTP client, such as"
                " StdlibHttpClient.",
            )
    if "range" in headers and "accept-encoding" not in headers:
        # A range of a compressed form could not be decompressed.
        fields.append(_IDENTITY)
    if "transfer-encoding" in headers:
        raise framing_error(
            "Transfer-Encoding", "Remove the header. A body of unknown length is sent in chunks."
        )
    length = body.length if isinstance(body, BodyStream) else len(body)
    if "content-length" in headers:
        if headers.get_all("content-length") != (str(length),):
            raise framing_error(
                "Content-Length", "Remove the header, or set it to the length of the body."
            )
    elif isinstance(body, BodyStream) and length is not None:
        fields.append(("Content-Length", str(length)))
    return fields


def headers_of(response: Any) -> Headers:
    """Return the header fields of a response."""
    fields = response.headers
    try:
        return validated_headers(fields.items())
    except ValueError:
        return Headers(list(_readable_fields(fields)))


def _readable_fields(fields: Any) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(fields):
        try:
            values: list[str] = fields.getall(name)
        except ValueError:
            values = [""]
        for value in values:
            yield name, value


def plain_length(method: HttpMethod, status: int, headers: Headers) -> int | None:
    """Return the length of a response's body; None if only the full parser can determine it."""
    first_values = first_values_of(headers)
    length = first_values.get("content-length")
    if (
        length is None
        or status in _SPECIAL_STATUSES
        or method is _HEAD
        or "transfer-encoding" in first_values
        or "content-encoding" in first_values
        or len(first_values) != len(headers.pairs)
        or not length.isdecimal()
    ):
        return None
    return int(length)


def check_length(method: HttpMethod, status: int, headers: Headers) -> None:
    """Refuse a response with ambiguous length. pyreqwest itself would accept it.

    Raises:
        NotHttp: the length is ambiguous, or the response switches to another protocol.
    """
    check_status(status)
    if method is not _HEAD and status not in BODILESS:
        body_framing(headers, is_http_1_0=False)


def check_proxy(gateway: Gateway | None, origin: Origin, status: int) -> None:
    """Raise an error if the response comes from the proxy itself.

    Raises:
        ConnectionFailed: the proxy refuses to send the request.
    """
    # Over TLS, a 407 is the vendor's.
    if gateway is not None and status == AUTHENTICATION_REQUIRED and not origin.secure:
        raise gateway.refused(origin, status)
