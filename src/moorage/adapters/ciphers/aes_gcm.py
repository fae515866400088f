"""Sealing with AES-256-GCM, the nonces drawn by the operating system."""

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
    no_key_for,
    sealed_with,
    unsealed,
)
from moorage.errors import InvalidData

LONGEST: Final = 64 << 20
"""So many bytes are sealed in one piece at most."""

KEYS_COMMAND: Final = (
    "python -c 'from moorage.adapters.ciphers.aes_gcm import generate_keys;"
    " print(generate_keys().text().reveal())'"
)
"""Prints a new ring of keys, for messages that ask for one."""

_NONCE_ENDS: Final = HEADER_BYTES + NONCE_BYTES


def generate_keys(older: KeyRing | None = None) -> KeyRing:
    """A ring with a new key that seals; the keys of an older ring still open."""
    key = Secret(os.urandom(KEY_BYTES))
    return KeyRing([(1, key)]) if older is None else older.with_new(key)


class AesGcmCipher:
    """A `Cipher` with AES-256-GCM.

    Nonces are random, so one key should seal fewer than 2^32 texts; put a new one in front long
    before that.

    Args:
        keys: the first seals, and all of them open.
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
        raise TypeError("a cipher is not pickled: it holds keys")

    def seal(self, plain: bytes, about: bytes, /) -> bytes:
        """Seal bytes that belong to `about`."""
        if isinstance(plain, bytes) and isinstance(about, bytes) and len(plain) <= LONGEST:
            nonce = os.urandom(NONCE_BYTES)
            return self._header + nonce + self._seal(nonce, plain, self._header + about)
        del plain
        raise InvalidData(
            f"Only bytes can be sealed, and at most {LONGEST} of them.",
            field="plain",
            remedy="Give bytes, about bytes; seal what is longer in pieces.",
        )

    def open(self, sealed: bytes, about: bytes, /) -> bytes:
        """Open what was sealed about the same."""
        begin = sealed[:HEADER_BYTES]
        opener = self._openers.get(begin)
        if opener is None:
            raise no_key_for(sealed, self._versions)
        sealed_with(sealed)
        try:
            return opener(sealed[HEADER_BYTES:_NONCE_ENDS], sealed[_NONCE_ENDS:], begin + about)
        except InvalidTag:
            raise unsealed(
                "This was changed after it was sealed, or belongs to another tenant, service or"
                " name.",
                "Do not use it: find out who wrote to the store, and store it anew.",
            ) from None

    def needs_rotation(self, sealed: bytes, /) -> bool:
        """Whether this was sealed with another key than the one that seals now."""
        return sealed[:HEADER_BYTES] != self._header
