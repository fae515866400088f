"""A digest of a request, which shows whether another request is its repetition."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.domain.http.body import BodyStream
from moorage.domain.http.media_type import is_json
from moorage.domain.values.fingerprints import LONGEST_KEPT, Fingerprint, new_sha256
from moorage.domain.values.json_text import LARGEST_PARSED, refuse_constant
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.http.requests import Request

SAME_FINGERPRINT: Final = bytes.fromhex(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)
"""The digest of no parts, for records under one key that are all alike.

It is a literal, because computing it would load OpenSSL.
"""

_COMPACT_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
)
_USUAL_ENCODER: Final = json.JSONEncoder(allow_nan=False)
_SORTED_JSON: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"), sort_keys=True)


def fingerprint(request: Request) -> bytes:
    """Return the SHA-256 of a request's method, path, query, `Content-Type` and body.

    The order of keys and the white space of a JSON body do not matter. Every difference that a
    vendor could notice changes the digest: 1, 1.0, "1" and true, the digits of a number, the order
    of a list and of the query. Three kinds of bodies are compared byte for byte: those that only
    claim to be JSON, those that repeat a key, and those of more than 64 KiB. Of a replayable stream
    only the length is compared, since a pure function cannot read it.

    Raises:
        InvalidData: the body can be read only once, so it cannot be compared with another.
    """
    return digest(_parts(request))


def digest(parts: Iterable[bytes]) -> bytes:
    """Return one SHA-256 digest of a list of parts; different lists have different digests.

    Each part is hashed with its length, so that different lists of parts never look alike.
    """
    whole_hash = new_sha256()
    for part in parts:
        whole_hash.update(b"%d:" % len(part))
        whole_hash.update(part)
    return whole_hash.digest()


def request_fingerprint(request: Request) -> bytes | Fingerprint:
    """Return the fingerprint of a request. Its digest is computed only when needed.

    Raises:
        InvalidData: the body can be read only once.
    """
    body = request.body
    if not isinstance(body, bytes) or len(body) > LONGEST_KEPT:
        return fingerprint(request)
    content_type = request.headers.get("content-type")
    content = (request.method, request.path, request.query, content_type, body)
    return Fingerprint(content, _digest_of)


def _digest_of(content: Any) -> bytes:
    return digest(_list_parts(*content))


def _parts(request: Request) -> list[bytes]:
    content_type = request.headers.get("content-type")
    return _list_parts(request.method, request.path, request.query, content_type, request.body)


def _list_parts(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    content_type: str | None,
    content: bytes | BodyStream,
) -> list[bytes]:
    pairs = [text.encode() for pair in query for text in pair]
    head = [method.encode(), path.encode(), b"%d" % len(pairs), *pairs]
    kind, body = _content(content, content_type)
    return [*head, (content_type or "").encode(), kind, body]


def _content(body: bytes | BodyStream, content_type: str | None) -> tuple[bytes, bytes]:
    if isinstance(body, BodyStream):
        if not body.replayable:
            raise InvalidData(
                "The body can be read only once, so its fingerprint cannot be computed.",
                field="body",
                remedy="Pass bytes, or a function that opens the body.",
            )
        return b"stream", str(body.length).encode()
    if len(body) <= LARGEST_PARSED and is_json(content_type):
        try:
            return b"json", _canonical(body)
        except (ValueError, RecursionError):
            pass
    return b"raw", body


def _canonical(body: bytes) -> bytes:
    """Return a JSON body with sorted keys and without white space; numbers stay as written."""
    return _canonical_body(body) or _canonical_text(_parse_body(body)).encode()


def _canonical_body(body: bytes) -> bytes | None:
    """Return a body as canonical JSON; None if a value would change.

    If the written text equals the body, no number was rounded and no repeated key was lost.
    """
    try:
        value = json.loads(body)
        layout = _USUAL_ENCODER if b'": ' in body else _COMPACT_ENCODER
        if layout.encode(value).encode() != body:
            return None
    except ValueError:
        return None
    return _SORTED_JSON.encode(value).encode()


class _Digits(str):
    """A JSON number that keeps its digits exactly as the request's body has them."""

    __slots__ = ()


def _parse_body(body: bytes) -> object:
    parsed_json: object = json.loads(
        body,
        object_pairs_hook=_object,
        parse_int=_Digits,
        parse_float=_Digits,
        parse_constant=refuse_constant,
    )
    return parsed_json


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError  # A repeated key makes the text unsuitable for comparison as JSON.
    return members


def _canonical_text(value: object) -> str:
    """Return a parsed JSON value as canonical text."""
    if isinstance(value, _Digits):
        return str(value)
    if isinstance(value, dict):
        members = sorted(cast("dict[str, object]", value).items())
        return (
            "{"
            + ",".join(f"{_SORTED_JSON.encode(key)}:{_canonical_text(v)}" for key, v in members)
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical_text, cast("list[object]", value))) + "]"
    return _SORTED_JSON.encode(value)
