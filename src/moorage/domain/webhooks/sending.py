"""Signing of outgoing webhooks, as defined by Standard Webhooks."""

from __future__ import annotations

import re
from binascii import b2a_base64
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.http.headers import Headers
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secrets
from moorage.domain.webhooks.algorithms import SecretForm, hmac_key
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from datetime import datetime

_SHARED_PREFIX: Final = "whsec_"
_PRIVATE_PREFIX: Final = "whsk_"
_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,128}")
_SHORTEST_SECRET: Final = 24
_SEED_SIZE: Final = 32


@with_careful_constructor
@attrs.frozen
class WebhookSigner:
    """Signs webhooks for a subscriber, with the headers of Standard Webhooks.

    While you replace a secret, pass both secrets: each of them signs, and the subscriber accepts
    either signature.

    Attributes:
        secrets: the subscriber's secret, or several, the newest first: `whsec_…` for a shared
            secret, `whsk_…` for a private key of Ed25519.
    """

    secrets: tuple[Secret, ...] = attrs.field(converter=as_secrets)

    def __attrs_post_init__(self) -> None:
        """Refuse a signer's secrets if they are weak or malformed."""
        if not self.secrets or None in [_key(secret) for secret in self.secrets]:
            raise ConfigurationError(
                "A subscriber's secret is missing, too short, or not in the whsec_… form of"
                " Standard Webhooks.",
                path="secrets",
                remedy="Create a secret with `generate_webhook_secret`.",
            )

    def sign(self, body: bytes, *, id: str, at: datetime) -> Headers:
        """Return the headers to send with a webhook's body.

        Args:
            body: exactly the bytes that are sent.
            id: the id of the message; the same when it is sent again.
            at: the time of sending; a new time when it is sent again.
        """
        if not _ID.fullmatch(id):
            raise InvalidData(
                "The id of a webhook must be 1 to 128 letters, digits, hyphens and underscores.",
                field="id",
                remedy="Pass the id of the event.",
            )
        if at.tzinfo is None:
            raise InvalidData(
                "The time of signing has no time zone.",
                field="at",
                remedy="Pass an aware datetime, such as datetime.now(UTC).",
            )
        stamp = str(int(at.timestamp()))
        content = b"%s.%s.%s" % (id.encode(), stamp.encode(), body)
        signatures = " ".join(_signature_header(secret, content) for secret in self.secrets)
        return Headers(
            {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signatures}
        )


def _key(secret: Secret) -> bytes | None:
    text = secret.reveal_bytes()
    if text.startswith(_PRIVATE_PREFIX.encode()):
        private_seed = hmac_key(secret, SecretForm.BASE64, _PRIVATE_PREFIX)
        # Some key files contain the public key after the seed.
        return (
            private_seed[:_SEED_SIZE]
            if private_seed is not None and len(private_seed) in {_SEED_SIZE, 2 * _SEED_SIZE}
            else None
        )
    key = hmac_key(secret, SecretForm.BASE64, _SHARED_PREFIX)
    return key if key is not None and len(key) >= _SHORTEST_SECRET else None


def _signature_header(secret: Secret, content: bytes) -> str:
    key = _key(secret) or b""
    if secret.reveal_bytes().startswith(_PRIVATE_PREFIX.encode()):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - loads OpenSSL
            Ed25519PrivateKey,
        )

        return "v1a," + _base64(Ed25519PrivateKey.from_private_bytes(key).sign(content))
    from hmac import digest  # noqa: PLC0415 - loads OpenSSL

    return "v1," + _base64(digest(key, content, "sha256"))


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode()
