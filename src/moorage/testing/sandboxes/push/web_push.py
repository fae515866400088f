"""A local sandbox that imitates a browser maker's push service, and browsers.

It checks the signature of each request, and decrypts the notification as a browser does.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from time import time
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moorage.contracts.push import BrowserSubscription
from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.push.base import DeliveredNotification, PushSandbox

if TYPE_CHECKING:
    from pathlib import Path

_HOST: Final = "updates.push.services.mozilla.com"
_AUTH: Final = b"sandbox browser!"
_MAX_BYTES: Final = 4_096
_DAY: Final = 86_400
_LONGEST_TTL: Final = 2_592_000
_TOPIC: Final = re.compile(r"[A-Za-z0-9_\-]{1,32}")
_VAPID: Final = re.compile(r"vapid t=([\w\-]+)\.([\w\-]+)\.([\w\-]+), k=([\w\-]+)")


@cache
def site_key() -> ec.EllipticCurvePrivateKey:
    """Return the web site's key pair, shared by all sandboxes."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def _browser_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class WebPushSandbox(PushSandbox):
    """A sandbox of a push service, with browsers subscribed to one web site."""

    hosts = (_HOST,)

    @property
    def private_key(self) -> str:
        """The web site's private key: 32 bytes in URL-safe base64."""
        return _base64(site_key().private_numbers().private_value.to_bytes(32, "big"))

    def recipient(self) -> BrowserSubscription:
        """Register and return the subscription of a new browser."""
        subscription = BrowserSubscription(
            endpoint=f"https://{_HOST}/wpush/v2/gAAAAABsandbox{self.number():08d}secret",
            p256dh=_base64(_point(_browser_key().public_key())),
            auth=_base64(_AUTH),
        )
        return self.register(subscription)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /wpush/v2/{id}": self._accept}

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's signed token, and the key that it names."""
        match = _VAPID.fullmatch(request.headers.get("authorization") or "")
        if match is None or not _is_signed(match, f"https://{request.host}"):
            raise _error(401, 109, "Unauthorized", "The VAPID credentials are not valid.")

    def _accept(self, request: base.SandboxRequest, id: str) -> Response:
        endpoint = f"https://{request.host}{request.path}"
        if endpoint in self.removed:
            raise _error(410, 106, "Gone", "The subscription has ended.")
        if endpoint not in self.devices:
            raise _error(404, 102, "Not Found", "There is no such endpoint.")
        ttl = request.headers.get("ttl")
        if ttl is None:
            raise _error(400, 111, "Bad Request", "The TTL is missing.")
        if not (ttl.isascii() and ttl.isdigit()) or int(ttl) > _LONGEST_TTL:
            raise _error(400, 112, "Bad Request", "The TTL is malformed.")
        topic = request.headers.get("topic")
        if topic is not None and _TOPIC.fullmatch(topic) is None:
            raise _error(400, 113, "Bad Request", "The topic is malformed.")
        if len(request.body) > _MAX_BYTES:
            raise _error(413, 104, "Payload Too Large", "The notification is too large.")
        fields = self._decrypted(request)
        data: dict[str, str] = fields.get("data", {})
        self.delivered.append(
            DeliveredNotification(
                to=endpoint,
                title=fields.get("title"),
                body=fields.get("body"),
                data=data,
                badge=fields.get("badge"),
                image=fields.get("image"),
                link=fields.get("link"),
                collapse_key=topic,
                urgent=request.headers.get("urgency") == "high",
                seconds=int(ttl),
            )
        )
        location = f"https://{request.host}/m/{self.number()}-{id[:8]}"
        return Response(201, {"Location": location, "TTL": ttl})

    def _decrypted(self, request: base.SandboxRequest) -> dict[str, Any]:
        if request.headers.get("content-encoding") != "aes128gcm":
            raise _error(400, 110, "Bad Request", "The content encoding is not supported.")
        salt, point, text = request.body[:16], request.body[21:86], request.body[86:]
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        info = b"WebPush: info\x00" + _point(_browser_key().public_key()) + point
        secret = _hkdf(_AUTH, _browser_key().exchange(ec.ECDH(), sender), info, 32)
        key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _hkdf(salt, secret, b"Content-Encoding: nonce\x00", 12)
        try:
            content = AESGCM(key).decrypt(nonce, text, None)
        except InvalidTag:
            raise _error(400, 110, "Bad Request", "The browser cannot decrypt it.") from None
        fields: dict[str, Any] = json.loads(content.rstrip(b"\x00").removesuffix(b"\x02"))
        return fields


def _is_signed(match: re.Match[str], audience: str) -> bool:
    head, payload, signature = (match[number] for number in (1, 2, 3))
    claims = json.loads(_bytes(payload))
    content = _bytes(signature)
    pair = encode_dss_signature(int.from_bytes(content[:32]), int.from_bytes(content[32:]))
    public_key = site_key().public_key()
    try:
        public_key.verify(pair, f"{head}.{payload}".encode(), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return (
        json.loads(_bytes(head)) == {"alg": "ES256", "typ": "JWT"}
        and _bytes(match[4]) == _point(public_key)
        and claims["aud"] == audience
        and time() < claims["exp"] <= time() + _DAY
        and claims["sub"].startswith(("mailto:", "https://"))
    )


def _error(status: int, number: int, error: str, message: str) -> base.Refusal:
    return base.refusal(
        {"code": status, "errno": number, "error": error, "message": message}, status
    )


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _hkdf(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(material)


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = WebPushSandbox()
    options = {"private_key": sandbox.private_key, "contact": "mailto:push@erp.example"}
    return SandboxFixture(sandbox=sandbox, options=options)
