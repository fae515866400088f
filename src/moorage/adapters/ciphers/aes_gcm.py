"""Encryption with AES-256-GCM, with nonces from the operating system."""

from __future__ import annotations

import os
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moorage.domain.secrets.secret import Secret
from moorage.domain.state.sealing import (
    HEADER_BYTES,
    KEY_BYTES,
    NONCE_BYTES,
    KeyRing,
    header,
    no_key_error,
    sealed_with,
    unopenable_error,
)
from moorage.errors import InvalidData

LONGEST: Final = 64 << 20
"""The maximum number of bytes that are sealed in one piece."""

KEYS_COMMAND: Final = (
    "python -c 'from moorage.adapters.ciphers.aes_gcm import generate_keys;"
    " print(generate_keys().text().reveal())'"
)
"""A command that prints a new key ring, for error messages."""

_NONCE_ENDS: Final = HEADER_BYTES + NONCE_BYTES


def generate_keys(older: KeyRing | None = None) -> KeyRing:
    """Return a key ring with a new key that encrypts; the keys of an older ring only decrypt."""
    key = Secret(os.urandom(KEY_BYTES))
    return KeyRing([(1, key)]) if older is None else older.with_new(key)


class AesGcmCipher:
    """A `Cipher` with AES-256-GCM.

    Nonces are random, so one key should encrypt fewer than 2^32 strings; put a new key in front
    long before that.

    Args:
        keys: the key ring; the first key encrypts, and all keys decrypt.
    """

    __slots__ = ("_header", "_openers", "_seal", "_versions")

    def __init__(self, keys: KeyRing) -> None:
        self._versions = tuple(version for version, _ in keys.keys)
        self._openers = {
            header(version, key): AESGCM(key.reveal_bytes()).decrypt for version, key in keys.keys
        }
        version, key = keys.keys[0]
        self._header = header(version, key)
        self._seal = AESGCM(key.reveal_bytes()).encrypt

    def __repr__(self) -> str:
        return f"AesGcmCipher(versions={self._versions})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A cipher cannot be pickled, because it holds keys.")

    def seal(self, plain: bytes, about: bytes, /) -> bytes:
        """Encrypt bytes for a context; decryption needs the same `about`."""
        if isinstance(plain, bytes) and isinstance(about, bytes) and len(plain) <= LONGEST:
            nonce = os.urandom(NONCE_BYTES)
            return self._header + nonce + self._seal(nonce, plain, self._header + about)
        del plain
        raise InvalidData(
            f"A cipher encrypts only bytes, and at most {LONGEST} of them.",
            field="plain",
            remedy="Pass `data` and `about` as bytes, and encrypt longer data in pieces.",
        )

    def open(self, sealed: bytes, about: bytes, /) -> bytes:
        """Decrypt bytes that were encrypted with the same context `about`."""
        begin = sealed[:HEADER_BYTES]
        opener = self._openers.get(begin)
        if opener is None:
            raise no_key_error(sealed, self._versions)
        sealed_with(sealed)
        try:
            return opener(sealed[HEADER_BYTES:_NONCE_ENDS], sealed[_NONCE_ENDS:], begin + about)
        except InvalidTag:
            raise unopenable_error(
                "The encrypted data was changed, or it belongs to another tenant, service or name.",
                "Do not use the data. Find out who wrote to the store, and store the data again.",
            ) from None

    def needs_rotation(self, sealed: bytes, /) -> bool:
        """Return whether the data was encrypted with an older key than the current one."""
        return sealed[:HEADER_BYTES] != self._header
