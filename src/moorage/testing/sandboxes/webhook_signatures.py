"""HMAC signatures by which vendors sign webhooks."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def hex_hmac(key: str, content: bytes, digest: str = "sha256") -> str:
    """Return the HMAC of a text in hexadecimal digits."""
    return hmac.digest(key.encode(), content, digest).hex()


def base64_hmac(key: bytes, content: bytes, digest: str = "sha256") -> str:
    """Return the HMAC of some bytes in base64."""
    return b64encode(hmac.digest(key, content, digest)).decode()


def standard_headers(
    secret: str, id_: str, at: datetime, body: bytes, *, prefix: str = "webhook"
) -> dict[str, str]:
    """Return the headers of a webhook signed by the Standard Webhooks rules.

    Args:
        secret: `whsec_`, and the key in base64.
        id_: the webhook's id.
        at: time of its sending.
        body: the bytes of its body.
        prefix: beginning of the headers' names.
    """
    stamp = str(int(at.timestamp()))
    key = b64decode(secret.removeprefix("whsec_"))
    signature = base64_hmac(key, f"{id_}.{stamp}.".encode() + body)
    return {
        "Content-Type": "application/json",
        f"{prefix}-id": id_,
        f"{prefix}-timestamp": stamp,
        f"{prefix}-signature": f"v1,{signature}",
    }
