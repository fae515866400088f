"""A digest of a request, by which a repeat is recognised."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage.domain.http.body import BodyStream
from moorage.domain.http.media_type import is_json
from moorage.domain.values.json_text import LARGEST_PARSED, refuse_constant
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.http.requests import Request


def fingerprint(request: Request) -> bytes:
    """Digest method, path, query, `Content-Type` and body with SHA-256.

    The order of keys and the white space of a JSON body do not matter. Everything that a vendor
    could distinguish does: 1, 1.0, "1" and true, the digits of a number, the order of a list and of
    the query. A body is compared byte for byte if it only claims to be JSON, repeats a key or has
    more than 64 KiB. Of a replayable stream only the length counts, since a pure function cannot
    read it.

    Raises:
        InvalidData: the body can be read only once, so it cannot be compared with another.
    """
    return digest(_parts(request))


def digest(parts: Iterable[bytes]) -> bytes:
    """Digest parts with SHA-256, each with its length, so that no two lists give the same input."""
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL, which importing moorage must not

    whole = sha256()
    for part in parts:
        whole.update(b"%d:" % len(part))
        whole.update(part)
    return whole.digest()


def _parts(request: Request) -> list[bytes]:
    content_type = request.headers.get("content-type")
    pairs = [text.encode() for pair in request.query for text in pair]
    head = [request.method.encode(), request.path.encode(), b"%d" % len(pairs), *pairs]
    kind, body = _content(request.body, content_type)
    return [*head, (content_type or "").encode(), kind, body]


def _content(body: bytes | BodyStream, content_type: str | None) -> tuple[bytes, bytes]:
    if isinstance(body, BodyStream):
        if not body.replayable:
            raise InvalidData(
                "A body that can be read only once has no fingerprint.",
                field="body",
                remedy="Give bytes, or a function that opens the body.",
            )
        return b"stream", str(body.length).encode()
    if len(body) <= LARGEST_PARSED and is_json(content_type):
        try:
            return b"json", _canonical(body)
        except (ValueError, RecursionError):
            pass
    return b"raw", body


def _canonical(body: bytes) -> bytes:
    """Return JSON with sorted keys, wrapped so that an object and a number never look alike."""
    parsed = json.loads(
        body,
        object_pairs_hook=_object,
        parse_int=_number,
        parse_float=_number,
        parse_constant=refuse_constant,
    )
    return json.dumps(parsed, sort_keys=True, separators=(",", ":")).encode()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError  # A repeated key makes it no JSON to compare by.
    return {"object": members}


def _number(digits: str) -> dict[str, str]:
    return {"number": digits}
