"""NATS accounts signed by an operator, as `nsc` creates them."""

from __future__ import annotations

import json
from base64 import b32encode, urlsafe_b64encode
from binascii import crc_hqx
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED = 18 << 3
_ROLES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}


@attrs.frozen
class Signer:
    """The signing key of an operator, an account or a user."""

    role: str
    private: Ed25519PrivateKey = attrs.field(factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> str:
        """Return the public key, whose first letter shows the role of its owner."""
        return _encode(bytes([_ROLES[self.role]]) + self.private.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        """Return the seed, the private form of the key."""
        role = _ROLES[self.role]
        prefix = bytes([_SEED | role >> 5, (role & 31) << 3])
        return _encode(prefix + self.private.private_bytes_raw())

    def token(self, subject: Signer, **rights: Any) -> str:
        """Return a signed JWT that gives a subject its permissions."""
        parts = [
            {"typ": "JWT", "alg": "ed25519-nkey"},
            {
                "jti": subject.public,
                "iat": 1_700_000_000,
                "iss": self.public,
                "name": subject.role,
                "sub": subject.public,
                "nats": {"type": subject.role, "version": 2, **rights},
            },
        ]
        text = ".".join(_text(json.dumps(part).encode()) for part in parts)
        return f"{text}.{_text(self.private.sign(text.encode()))}"


def account_with_user() -> tuple[str, str]:
    """Return a server's account configuration, and the content of a credentials file."""
    operator, system, account, user = map(Signer, ("operator", "account", "account", "user"))
    unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    preloaded = [
        f"{system.public}: {operator.token(system, limits=unlimited)}",
        f"{account.public}: {operator.token(account, limits={**unlimited, **storage})}",
    ]
    config = (
        f"operator: {operator.token(operator)}\nsystem_account: {system.public}\n"
        f"resolver: MEMORY\nresolver_preload: {{\n{chr(10).join(preloaded)}\n}}"
    )
    credentials = (
        f"-----BEGIN NATS USER JWT-----\n"
        f"{account.token(user, subs=-1, data=-1, payload=-1)}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    return config, credentials


def _encode(data: bytes) -> str:
    return b32encode(data + crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
