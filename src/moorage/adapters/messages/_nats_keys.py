"""NATS keys: a seed is a string with which a client signs the server's challenge.

The form is that of NATS's own tools: the bytes of a seed or of a public key follow a prefix of one
or two bytes, a checksum follows them, and all are written in Base32.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode, b64encode
from binascii import crc_hqx
from typing import Final

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError

_SEED_PREFIX: Final = 18 << 3
_USER: Final = 20 << 3
_LENGTH: Final = 36
_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\s+(\S+)")
_NKEY: Final = re.compile(r"-+BEGIN USER NKEY SEED-+\s+(\S+)")


@attrs.frozen
class NatsKey:
    """The key of a NATS user.

    Attributes:
        public: the public key in the form of a server's configuration.
        private: the private key.
    """

    public: str
    private: Ed25519PrivateKey = attrs.field(repr=False)

    def sign(self, nonce: str) -> bytes:
        """Return the signature of a server's challenge, in Base64."""
        return b64encode(self.private.sign(nonce.encode()))


def nats_key(seed: Secret, path: str = "nkey") -> NatsKey:
    """Return the key of a NATS user from its seed.

    Args:
        seed: the seed, such as SU….
        path: the path of the setting, for errors.

    Raises:
        ConfigurationError: the text is not the seed of a user.
    """
    try:
        seed_bytes = b32decode(
            seed.reveal().strip().upper() + "======"[: -len(seed.reveal().strip()) % 8]
        )
    except ValueError:
        seed_bytes = b""
    body = seed_bytes[:-2]
    is_seed = len(seed_bytes) == _LENGTH and _checksum(body) == seed_bytes[-2:]
    if (
        not is_seed
        or seed_bytes[0] & 0xF8 != _SEED_PREFIX
        or (seed_bytes[0] & 7) << 5 | seed_bytes[1] >> 3 != _USER
    ):
        raise ConfigurationError(
            "The NKEY seed is not the seed of a NATS user.",
            path=path,
            remedy="Set the seed of a user, which begins with SU. `nk -gen user` prints such"
            " a seed.",
        )
    private_key = Ed25519PrivateKey.from_private_bytes(body[2:])
    public_bytes = bytes([_USER]) + private_key.public_key().public_bytes_raw()
    return NatsKey(
        b32encode(public_bytes + _checksum(public_bytes)).decode().rstrip("="), private_key
    )


def read_credentials(text: Secret) -> tuple[Secret, NatsKey]:
    """Return the token and key of a user, from the content of a credentials file.

    Raises:
        ConfigurationError: the text is not that of a credentials file.
    """
    token, seed = _JWT.search(text.reveal()), _NKEY.search(text.reveal())
    if token is None or seed is None:
        raise ConfigurationError(
            "The credentials are not the content of a NATS credentials file.",
            path="credentials",
            remedy="Pass the whole content of the file that `nsc generate creds` writes.",
        )
    return Secret(token.group(1)), nats_key(Secret(seed.group(1)), "credentials")


def _checksum(data: bytes) -> bytes:
    return crc_hqx(data, 0).to_bytes(2, "little")
