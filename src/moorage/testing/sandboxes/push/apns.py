"""A local sandbox that imitates Apple's push service."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from functools import cache
from math import ceil
from time import time
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from moorage.contracts.push import DeviceToken
from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.push.base import DeliveredNotification, PushSandbox

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HOST: Final = "api.push.apple.com"
_TEAM: Final = "SANDBOX123"
_KEY_ID: Final = "KEY4TESTS1"
_MAX_BYTES: Final = 4_096
_OLDEST: Final = 3_600
_SHORTEST: Final = 1_200
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PRIORITIES: Final = {"alert": ("10", "5"), "background": ("5",)}


@cache
def team_key() -> ec.EllipticCurvePrivateKey:
    """Return the team's key, shared by all sandboxes."""
    return ec.generate_private_key(ec.SECP256R1())


class ApnsSandbox(PushSandbox):
    """A sandbox of Apple's push service, for one app.

    Attributes:
        topic: bundle id of the app.
    """

    hosts = (_HOST,)
    team_id = _TEAM
    key_id = _KEY_ID

    topic: str = "com.example.erp"
    _provider_token: str = base.state_field(str)

    @property
    def private_key(self) -> str:
        """The content of the .p8 file."""
        key = team_key()
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def recipient(self) -> DeviceToken:
        """Register and return an app's token on a new device."""
        return self.register(DeviceToken(f"{self.number():064x}"))

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /3/device/{token}": self._send}

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - the same for all
        """Return the response to a request that matches no route."""
        return _error(404, "BadPath").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the provider token, and that it was not renewed more often than Apple allows."""
        token = request.bearer()
        if token is None:
            raise _error(403, "MissingProviderToken")
        issued_at = _issued_at(token)
        if issued_at is None:
            raise _error(403, "InvalidProviderToken")
        if not issued_at <= time() <= issued_at + _OLDEST:
            raise _error(403, "ExpiredProviderToken")
        earlier_issue = _issued_at(self._provider_token) if self._provider_token else None
        is_new = token != self._provider_token and earlier_issue is not None
        if is_new and abs(issued_at - (earlier_issue or 0)) < _SHORTEST:
            raise _error(429, "TooManyProviderTokenUpdates")
        self._provider_token = token

    def _send(self, request: base.SandboxRequest, token: str) -> Response:
        headers = request.headers
        self._check(request)
        if token in self.removed:
            raise _error(410, "Unregistered", timestamp=1_790_000_000_000)
        if token not in self.devices:
            raise _error(400, "BadDeviceToken")
        payload = request.json()
        self.delivered.append(_delivered_notification(payload, token, headers))
        id_ = headers.get("apns-id") or self.uuid()
        return Response(200, {"apns-id": id_})

    def _check(self, request: base.SandboxRequest) -> None:
        headers = request.headers
        push_type = headers.get("apns-push-type") or ""
        expiration = headers.get("apns-expiration") or "0"
        problem = base.first_problem(
            {
                "BadMessageId": _UUID.fullmatch(headers.get("apns-id") or "") is None,
                "MissingTopic": headers.get("apns-topic") is None,
                "DeviceTokenNotForTopic": headers.get("apns-topic") != self.topic,
                "InvalidPushType": push_type not in _PRIORITIES,
                "BadPriority": headers.get("apns-priority") not in _PRIORITIES.get(push_type, ()),
                "BadExpirationDate": not expiration.isdigit(),
                "BadCollapseId": len(headers.get("apns-collapse-id") or "") > 64,
                "PayloadEmpty": not request.body,
            }
        )
        if problem is not None:
            raise _error(400, problem)
        if len(request.body) > _MAX_BYTES:
            raise _error(413, "PayloadTooLarge")


def _issued_at(token: str) -> int | None:
    """Return when the team signed a provider token; None if the token is invalid."""
    text, _, signature = token.rpartition(".")
    try:
        head, claims = (json.loads(_bytes(part)) for part in text.split("."))
        content = _bytes(signature)
        pair = encode_dss_signature(
            int.from_bytes(content[:32], "big"), int.from_bytes(content[32:], "big")
        )
        team_key().public_key().verify(pair, text.encode(), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return None
    expected = {"alg": "ES256", "kid": _KEY_ID}, {"iss": _TEAM, "iat": claims.get("iat")}
    return claims["iat"] if (head, claims) == expected else None


def _delivered_notification(
    payload: Mapping[str, Any], to: str, headers: Mapping[str, str]
) -> DeliveredNotification:
    aps = payload["aps"]
    alert = aps.get("alert", {})
    data = {name: value for name, value in payload.items() if name not in {"aps", "image"}}
    expiration = headers.get("apns-expiration")
    seconds = None if expiration is None else _lifetime(int(expiration), time())
    return DeliveredNotification(
        to=to,
        title=alert.get("title"),
        body=alert.get("body"),
        data=data,
        badge=aps.get("badge"),
        sound=aps.get("sound"),
        image=payload.get("image") if aps.get("mutable-content") == 1 else None,
        link=data.get("link"),
        collapse_key=headers.get("apns-collapse-id"),
        urgent=headers.get("apns-priority") == "10",
        seconds=seconds,
        silent=aps == {"content-available": 1},
    )


def _lifetime(expiration: int, now: float) -> int:
    """Return the seconds until an expiry, in steps of ten minutes to ignore transit time."""
    return max(0, ceil((expiration - now) / 600) * 600)


def _error(status: int, reason: str, **fields: int) -> base.Refusal:
    return base.refusal({"reason": reason, **fields}, status)


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = ApnsSandbox()
    options = {
        "private_key": sandbox.private_key,
        "key_id": sandbox.key_id,
        "team_id": sandbox.team_id,
        "topic": sandbox.topic,
    }
    return SandboxFixture(sandbox=sandbox, options=options)
