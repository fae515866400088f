"""The cryptography of Web Push: encrypted content (RFC 8291) and signed requests (RFC 8292)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import attrs
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from moorage import vendor_sdk as sdk
from moorage.contracts.push import BrowserSubscription, decode_base64url

if TYPE_CHECKING:
    from moorage.vendor_sdk import Request, Secret

_CURVE: Final = ec.SECP256R1()
_LAST: Final = b"\x02"
_RECORD_BYTES: Final = 4_096
_SALT_BYTES: Final = 16
_SCALAR_BYTES: Final = 48
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_LIFETIME: Final = timedelta(hours=12)
"""The lifetime of a token; RFC 8292 allows a day, and half of it leaves room for wrong clocks."""


class Sender(NamedTuple):
    """The salt and the sender's key pair for one notification."""

    key: ec.EllipticCurvePrivateKey
    salt: bytes

    @classmethod
    def derived(cls, secret: Secret, *parts: bytes) -> Sender:
        """Derive the salt and key pair from a secret and from all details of a notification.

        So the same notification under the same idempotency key has the same bytes, and any other
        notification has another key pair.
        """
        hashed = digest(
            secret.reveal_bytes(), b"".join(sha256(part).digest() for part in parts), "sha256"
        )
        content = _hkdf(b"", hashed, b"moorage web push", _SALT_BYTES + _SCALAR_BYTES)
        scalar = int.from_bytes(content[_SALT_BYTES:], "big") % (_ORDER - 1) + 1
        return cls(ec.derive_private_key(scalar, _CURVE), content[:_SALT_BYTES])


def encrypted_record(content: bytes, to: BrowserSubscription, sender: Sender) -> bytes:
    """Encrypt a notification for one browser, as a single aes128gcm record.

    Raises:
        InvalidData: the public key of the browser is not on the curve.
    """
    browser_point, own_point = decode_base64url(to.p256dh), point_of(sender.key.public_key())
    try:
        browser_key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, browser_point)
    except ValueError:
        browser_key = None
    if browser_key is None:
        raise sdk.InvalidData(
            "The subscription's `p256dh` is not a point on the curve P-256.",
            field="to.p256dh",
            remedy="Delete the subscription. No browser creates such a key.",
        )
    shared = sender.key.exchange(ec.ECDH(), browser_key)
    info = b"WebPush: info\x00" + browser_point + own_point
    secret = _hkdf(decode_base64url(to.auth), shared, info, 32)
    key = _hkdf(sender.salt, secret, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _hkdf(sender.salt, secret, b"Content-Encoding: nonce\x00", 12)
    head = sender.salt + _RECORD_BYTES.to_bytes(4, "big") + bytes([len(own_point)]) + own_point
    return head + AESGCM(key).encrypt(nonce, content + _LAST, None)


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """The uncompressed point of a public key: 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def as_pem(key: Secret | str | bytes) -> Secret:
    """A private key in PEM; a 32-byte key in URL-safe base64 is converted."""
    secret = sdk.as_secret(key)
    try:
        number = int.from_bytes(decode_base64url(secret.reveal_bytes().decode().strip()), "big")
        private_key = ec.derive_private_key(number, _CURVE)
    except ValueError:
        return secret
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return sdk.Secret(pem.decode())


def public_text(key: Secret) -> str:
    """The public key of a PEM private key in the browsers' format: URL-safe base64."""
    private_key = load_pem_private_key(key.reveal_bytes(), None)
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):  # pragma: no cover - checked before
        raise TypeError("The key is not an elliptic-curve key.")
    return _base64(point_of(private_key.public_key()))


@attrs.frozen(kw_only=True)
class VapidSigning(sdk.JwtSigning):
    """Signs each attempt with a token for its push service (RFC 8292)."""

    def sign(self, request: Request, url: str, key: Secret, context: sdk.SigningContext) -> Request:
        """Return the request with a signed token and the public key that verifies it."""
        parts = urlsplit(url)
        audience = f"{parts.scheme}://{parts.netloc}"
        token = attrs.evolve(self, audience=audience, lifetime=_LIFETIME).token(key, context)
        return request.with_header(
            "Authorization", f"vapid t={token.reveal()}, k={public_text(key)}"
        )


def _hkdf(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(material)


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
