"""Whether an id_token is for us, and of this consent (OpenID Connect Core, section 3.1.3.7).

It came from the token endpoint itself, over TLS, so who issued it is known and its signature is not
looked at (the same section, number 6). An id_token that came any other way must not be read here.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_SKEW: Final = 60.0


def id_token_problem(
    token: Secret | None,
    *,
    issuer: str | None,
    client_id: str,
    nonce: Secret | None,
    now: datetime,
) -> str | None:
    """What is wrong with an id_token, as the end of a sentence, if anything is.

    Args:
        token: what came; nothing is wrong with none, unless one was asked for by its nonce.
        issuer: who was asked, if it has that name.
        client_id: who asked.
        nonce: what it must name.
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
    several: list[Any] = audience if isinstance(audience, list) else [audience]  # pyright: ignore[reportUnknownVariableType]
    if client_id not in several or claims.get("azp", client_id) != client_id:
        return "is for another client"
    if len(several) > 1 and "azp" not in claims:
        return "is for several clients, and does not say for which"
    ends = claims.get("exp")
    if isinstance(ends, bool) or not isinstance(ends, (int, float)):
        return "does not say when it ends"
    if not now.timestamp() - _SKEW < ends:
        return "has expired"
    if nonce is not None and not _is(nonce, claims.get("nonce")):
        return "is of another consent"
    return None


def _is(nonce: Secret, said: object) -> bool:
    return isinstance(said, str) and Secret(said) == nonce


def _claims(token: Secret) -> Mapping[str, Any] | None:
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims: Any = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None  # pyright: ignore[reportUnknownVariableType]
