"""The tokens that authenticate a provider at Apple's push service."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final

import attrs

from moorage import vendor_sdk as sdk

PERIOD: Final = 2_400
"""Seconds for which a token is used: Apple refuses a new token within 20 minutes of the last one,
and a token older than 60 minutes.
"""
MOST_TOKENS: Final = 256

current_tokens: Final[dict[tuple[str, str, str, int], sdk.Secret]] = {}


def period_start(seconds: int) -> int:
    """The start of the 40-minute period that contains a time; both in seconds since 1970."""
    return seconds - seconds % PERIOD


@attrs.frozen(kw_only=True)
class ProviderToken(sdk.JwtSigning):
    """Signs one token per 40 minutes and uses it for all requests, as Apple requires.

    The threads of a process share one token for each key. The token is dated to the beginning of
    its period, so it does not depend on the time of the first attempt.
    """

    def token(self, key: sdk.Secret, context: sdk.SigningContext) -> sdk.Secret:
        """Return the current period's token, which is signed at the first request of the period."""
        issued_at = period_start(int(context.now.timestamp()))
        digest = sha256(key.reveal_bytes()).hexdigest()
        name = (digest, str(self.issuer), str(self.key_id), issued_at)
        token = current_tokens.get(name)
        if token is not None:
            return token
        if len(current_tokens) >= MOST_TOKENS:
            current_tokens.clear()
        return current_tokens.setdefault(
            name, signed_token(key, self.issuer, self.key_id, issued_at)
        )


def signed_token(
    key: sdk.Secret, team_id: str | None, key_id: str | None, issued_at: int
) -> sdk.Secret:
    """Return a token signed with a team's key.

    Args:
        key: private key in PEM.
        team_id: id of the team.
        key_id: id of the key.
        issued_at: date of the token, in seconds since 1970.
    """
    head = sdk.encode_json({"alg": "ES256", "kid": key_id})
    claims = sdk.encode_json({"iss": team_id, "iat": issued_at})
    text = f"{_base64(head)}.{_base64(claims)}"
    signature = sdk.sign_bytes(sdk.SignatureAlgorithm.ECDSA_P256_SHA256, key, text.encode())
    return sdk.Secret(f"{text}.{_base64(signature)}")


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
