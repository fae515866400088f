"""Encryption of tokens and invoices, as KSeF requires.

A request is encrypted only when it is sent. So repeats of a request are equal, although RSA-OAEP
encrypts differently each time, and neither logs nor stored requests contain the token.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.x509 import load_der_x509_certificate

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from datetime import datetime


LOGIN_PATH: Final = "/auth/ksef-token"
_PADDING: Final = OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)
_KEY_BITS: Final = 2048
_KEY_BYTES: Final = 32
_VECTOR_BYTES: Final = 16
_BLOCK_BITS: Final = 128


class PublicKey(NamedTuple):
    """A public key of KSeF, the Polish invoicing system.

    Attributes:
        id: id of the key, or None.
        certificate: X.509 certificate of the key, in DER as base64.
    """

    id: str | None
    certificate: str

    def encrypted(self, content: bytes) -> str:
        """Encrypt content with RSA-OAEP and SHA-256, and return it in base64."""
        key = load_der_x509_certificate(b64decode(self.certificate)).public_key()
        if not isinstance(key, RSAPublicKey):  # pragma: no cover - checked when it was read
            raise TypeError("KSeF's key is not an RSA key.")
        return b64encode(key.encrypt(content, _PADDING)).decode()


def is_usable(certificate: str) -> bool:
    """True if a text is the certificate of an RSA key that is large enough for a token."""
    try:
        key = load_der_x509_certificate(b64decode(certificate)).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    return isinstance(key, RSAPublicKey) and key.key_size >= _KEY_BITS


def validity_of(certificate: str) -> tuple[datetime, datetime]:
    """The start and end of a usable certificate's validity, in UTC."""
    content: Any = load_der_x509_certificate(b64decode(certificate))
    names = ("not_valid_before", "not_valid_after")
    # Releases of cryptography before 42 have only the attributes without a time zone.
    begin, end = (
        getattr(content, f"{name}_utc", None) or getattr(content, name).replace(tzinfo=UTC)
        for name in names
    )
    return begin, end


@attrs.frozen
class KsefEncryption:
    """Encrypts the parts of a request that only KSeF may read.

    The key of an invoice is derived from the account's token and from a seed, which differs for
    each invoice. So an invoice that is sent again has the same key and the same bytes.

    Attributes:
        token: KSeF token of the account.
    """

    token: sdk.Secret

    def __call__(self, request: sdk.Request) -> sdk.Request:
        """Return the request with its secret parts encrypted."""
        content: Any = request.body
        body: dict[str, Any] = json.loads(content) if content else {}
        if "document" in body:
            sealed = self._invoice(body)
        elif "publicKey" in body:
            key = PublicKey(*body.pop("publicKey"))
            sealed = (
                self._login(body, key) if "challenge" in body else self._opening_body(body, key)
            )
        else:
            return request
        return request.evolve(body=sdk.encode_json(body | sealed))

    def _login(self, body: dict[str, Any], key: PublicKey) -> dict[str, Any]:
        text = b"%b|%d" % (self.token.reveal_bytes(), body.pop("timestampMs"))
        return {"encryptedToken": key.encrypted(text), "publicKeyId": key.id}

    def _opening_body(self, body: dict[str, Any], key: PublicKey) -> dict[str, Any]:
        symmetric_key, vector = self._derived_key(body.pop("seed"))
        return {
            "encryption": {
                "encryptedSymmetricKey": key.encrypted(symmetric_key),
                "initializationVector": b64encode(vector).decode(),
                "publicKeyId": key.id,
            }
        }

    def _invoice(self, body: dict[str, Any]) -> dict[str, Any]:
        document = b64decode(body.pop("document"))
        symmetric_key, vector = self._derived_key(body.pop("seed"))
        padder = PKCS7(_BLOCK_BITS).padder()
        encryptor = Cipher(AES256(symmetric_key), CBC(vector)).encryptor()
        padded = padder.update(document) + padder.finalize()
        encrypted = encryptor.update(padded) + encryptor.finalize()
        return {
            "invoiceHash": _digest(document),
            "invoiceSize": len(document),
            "encryptedInvoiceHash": _digest(encrypted),
            "encryptedInvoiceSize": len(encrypted),
            "encryptedInvoiceContent": b64encode(encrypted).decode(),
        }

    def _derived_key(self, seed: str) -> tuple[bytes, bytes]:
        info = b"moorage ksef " + seed.encode()
        kdf = HKDF(SHA256(), _KEY_BYTES + _VECTOR_BYTES, None, info)
        content = kdf.derive(self.token.reveal_bytes())
        return content[:_KEY_BYTES], content[_KEY_BYTES:]


def _digest(content: bytes) -> str:
    return b64encode(sha256(content).digest()).decode()
