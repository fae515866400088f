"""Validation of an ID token (OpenID Connect Core, section 3.1.3.7).

The token came from the token endpoint itself, over TLS, so its issuer is known and its signature is
not checked (the same section, number 6). Never validate an ID token from elsewhere with this.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.secrets.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_CLOCK_SKEW: Final = 60.0


def id_token_problem(
    token: Secret | None,
    *,
    issuer: str | None,
    client_id: str,
    nonce: Secret | None,
    now: datetime,
) -> str | None:
    """Return the problem with an ID token, as the end of a sentence; None if it is valid.

    Args:
        token: the ID token; a missing one is a problem only if a nonce was sent.
        issuer: the issuer name of the server, if it has one.
        client_id: the id of the client.
        nonce: the nonce that the token must contain.
        now: the time.
    """
    if token is None:
        return None if nonce is None else "is missing"
    claims = _claims(token)
    if claims is None:
        return "cannot be read"
    if issuer is not None and claims.get("iss") != issuer:
        return "is from another issuer"
    audience: Any = claims.get("aud")
    audiences: list[Any] = audience if isinstance(audience, list) else [audience]  # pyright: ignore[reportUnknownVariableType]  # parsed JSON
    if client_id not in audiences or claims.get("azp", client_id) != client_id:
        return "is for another client"
    if len(audiences) > 1 and "azp" not in claims:
        return "is for several clients, and does not name the authorised client (azp)"
    expiry = claims.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, (int, float)):
        return "has no expiry"
    if not now.timestamp() - _CLOCK_SKEW < expiry:
        return "has expired"
    if nonce is not None and not _is_nonce(nonce, claims.get("nonce")):
        return "belongs to another consent"
    return None


def _is_nonce(nonce: Secret, claim: object) -> bool:
    return isinstance(claim, str) and Secret(claim) == nonce


def _claims(token: Secret) -> Mapping[str, Any] | None:
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims: Any = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None  # pyright: ignore[reportUnknownVariableType]  # parsed JSON
