"""The service account of a Google sandbox: its key file and token endpoint."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from moorage.testing.sandboxes.base import Refusal, reply
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@cache
def pair() -> rsa.RSAPrivateKey:
    """Return the service account's key pair, shared by all sandboxes to save time."""
    return rsa.generate_private_key(65_537, 2_048)


def key_file(email: str, token_uri: str, project: str = "sandbox") -> str:
    """Return the JSON text of a service account's key file, in Google's format."""
    pem = pair().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps(
        {
            "type": "service_account",
            "project_id": project,
            "private_key_id": "0123456789abcdef",
            "private_key": pem,
            "client_email": email,
            "token_uri": token_uri,
        }
    )


def is_signed(signature: bytes, text: bytes) -> bool:
    """Return whether the service account signed a text."""
    try:
        pair().public_key().verify(signature, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


class GoogleTokens(TokenEndpoint):
    """Issues access tokens for assertions that a service account has signed.

    Args:
        email: email address that names the service account.
        audience: URL that an assertion must state as its audience.
        now: returns the current time.
        scopes: the scopes that a token may have.
    """

    def __init__(
        self,
        email: str,
        audience: str,
        now: Callable[[], datetime],
        scopes: frozenset[str],
    ) -> None:
        self._scopes = scopes
        self._email = email
        self.audience = audience
        self._now = now
        super().__init__("/token", email, "")

    def _grant(self, request: SandboxRequest) -> Response:
        form = dict(request.form)
        if form.pop("grant_type", None) != _GRANT:
            raise Refusal(self.refuse("unsupported_grant_type"))
        assertion = form.pop("assertion", "")
        if form or request.headers.get("authorization") is not None:
            raise Refusal(self.refuse("invalid_request"))
        if not self._is_valid_assertion(assertion):
            raise Refusal(self.refuse("invalid_grant"))
        self.grants += 1
        token = f"ya29.sandbox-{self.grants}"
        self._good.add(token)
        return reply({"access_token": token, "token_type": "Bearer", "expires_in": 3_599})

    def _is_valid_assertion(self, assertion: str) -> bool:
        try:
            head, claims, signature = (_decode_base64(part) for part in assertion.split("."))
        except ValueError:
            return False
        text = assertion.rpartition(".")[0].encode()
        claim_fields: dict[str, Any] = json.loads(claims)
        now = int(self._now().timestamp())
        return (
            is_signed(signature, text)
            and json.loads(head)["alg"] == "RS256"
            and (claim_fields["iss"], claim_fields["aud"]) == (self._email, self.audience)
            and claim_fields["scope"] in self._scopes
            and claim_fields["iat"] - 300
            <= now
            < claim_fields["exp"]
            <= claim_fields["iat"] + 3_600
        )


def _decode_base64(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
