"""Webhooks signed as JSON Web Tokens, whose claims are trusted only after verification."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, cast

from moorage.domain.webhooks.algorithms import JWTS, WebhookAlgorithm, WebhookEncoding, decoded_as
from moorage.domain.webhooks.rejection import WebhookReason, rejection_error

_MAX_LENGTH: Final = 16_384


class Token(NamedTuple):
    """The parts of a JSON Web Token: the signed text, the signature and the claims."""

    content: bytes
    signature: str
    key_id: str | None
    claims: dict[str, Any]


def read_token(text: str, algorithm: WebhookAlgorithm) -> Token:
    """Parse a JSON Web Token that must be signed with this algorithm."""
    parts = text.removeprefix("Bearer ").split(".")
    if len(parts) != 3 or len(text) > _MAX_LENGTH or not text.isascii():
        raise rejection_error(WebhookReason.MALFORMED, "The token does not have three parts.")
    header, claims = (_members(part) for part in parts[:2])
    if header.get("alg") != JWTS[algorithm][0]:
        raise rejection_error(
            WebhookReason.DOWNGRADED,
            "The token is signed with a different algorithm than the scheme requires.",
        )
    if "crit" in header:
        raise rejection_error(WebhookReason.MALFORMED, "The token requires an unknown extension.")
    key_id = header.get("kid")
    content = f"{parts[0]}.{parts[1]}".encode()
    return Token(content, parts[2], key_id if isinstance(key_id, str) else None, claims)


def _members(part: str) -> dict[str, Any]:
    decoded_bytes = decoded_as(WebhookEncoding.BASE64URL, part)
    try:
        members: Any = json.loads(decoded_bytes or b"")
    except (ValueError, RecursionError):
        members = None
    if isinstance(members, dict):
        return cast("dict[str, Any]", members)
    raise rejection_error(WebhookReason.MALFORMED, "A part of the token is not a JSON object.")
