"""A local sandbox that imitates Firebase Cloud Messaging."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.push import DeviceToken
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes._google import GoogleTokens, key_file
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.push.base import DeliveredNotification, PushSandbox

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response

_HOST: Final = "fcm.googleapis.com"
"""The host, also of its tokens: several sandboxes of Google may be behind one client."""
_SCOPES: Final = words(
    "https://www.googleapis.com/auth/cloud-platform"
    " https://www.googleapis.com/auth/firebase.messaging"
)
_DETAIL: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_MAX_BYTES: Final = 4_096
_LARGEST_FOR_TOPIC: Final = 2_048
_RESERVED: Final = re.compile("(from|message_type)|(google|gcm).*")
_TTL: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?s")
_TOPIC: Final = re.compile(r"[A-Za-z0-9\-_.~%]+")
_MESSAGE: Final[dict[str, Any]] = {
    **typed(str, "token topic condition"),
    "data": dict,
    "notification": {"title": str, "body": str, "image": str},
    "android": {
        "collapse_key": str,
        "priority": words("NORMAL HIGH"),
        "ttl": str,
        "restricted_package_name": str,
        "data": dict,
        "notification": {
            **typed(str, "title body sound image channel_id"),
            "notification_count": int,
        },
        "fcm_options": {"analytics_label": str},
    },
    "apns": {
        "headers": dict,
        "payload": dict,
        "fcm_options": {"analytics_label": str, "image": str},
    },
    "webpush": {
        **typed(dict, "headers data notification"),
        "fcm_options": {"analytics_label": str, "link": str},
    },
    "fcm_options": {"analytics_label": str},
}
_REQUEST: Final = {"message!": _MESSAGE, "validate_only": bool}


class FirebaseSandbox(PushSandbox):
    """A sandbox of one Firebase project.

    Attributes:
        project: id of the project.
        tokens: the endpoint that grants access tokens.
    """

    hosts = (_HOST,)

    project: str = "acme-erp"

    def __attrs_post_init__(self) -> None:
        self.email = f"push@{self.project}.iam.gserviceaccount.com"
        self.tokens = GoogleTokens(
            self.email, f"https://{_HOST}/token", lambda: datetime.now(UTC), _SCOPES
        )
        self.mounts = {"/token": self.tokens}

    def key_file(self, token_uri: str | None = None) -> str:
        """Return the JSON text of the service account's key file.

        Args:
            token_uri: URL of the token endpoint, if it is not Google's.
        """
        if token_uri is not None:
            self.tokens.audience = token_uri
        return key_file(self.email, self.tokens.audience, self.project)

    def recipient(self) -> DeviceToken:
        """Register and return an app's token on a new device."""
        return self.register(DeviceToken(f"cR3g1s7r4t10n:APA91b-device-{self.number():04d}"))

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /v1/projects/{project}/messages:send": self._send}

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token."""
        if not self.tokens.allows(request):
            raise _error(401, "UNAUTHENTICATED", "The request has invalid credentials.")

    def _send(self, request: base.SandboxRequest, project: str) -> Response:
        if project != self.project:
            raise _error(403, "PERMISSION_DENIED", "The account has no project of this name.")
        body = request.json()
        invalid_fields = list(problems(_REQUEST, body))
        if invalid_fields:
            raise _error(400, "INVALID_ARGUMENT", f"Invalid JSON payload: {invalid_fields}")
        message = body["message"]
        targets = [name for name in ("token", "topic", "condition") if name in message]
        if len(targets) != 1:
            raise _invalid("Exactly one of token, topic or condition is required")
        self._check(message)
        if not body.get("validate_only"):
            self.delivered.append(_delivered_notification(message, message[targets[0]]))
        return base.reply(
            {"name": f"projects/{project}/messages/0:150041531{self.number():04d}31bd1c9"}
        )

    def _check(self, message: Mapping[str, Any]) -> None:
        data = message.get("data", {})
        if any(not isinstance(text, str) for text in data.values()):
            raise _error(400, "INVALID_ARGUMENT", "Invalid value at 'message.data' (TYPE_STRING)")
        if any(_RESERVED.fullmatch(name) for name in data):
            raise _invalid("Invalid data payload key")
        if _TOPIC.fullmatch(message.get("topic", "a")) is None:
            raise _invalid("Invalid topic name")
        if _TTL.fullmatch(message.get("android", {}).get("ttl", "1s")) is None:
            raise _invalid("Invalid TTL")
        parts = {name: message[name] for name in ("notification", "data") if name in message}
        maximum = _LARGEST_FOR_TOPIC if "topic" in message else _MAX_BYTES
        if len(encode_json(parts)) > maximum:
            raise _invalid("Android message is too big")
        token = message.get("token")
        if token in self.removed:
            raise _fcm_error(404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found.")
        if token is not None and token not in self.devices:
            raise _invalid("The registration token is not a valid FCM registration token")


def _delivered_notification(message: Mapping[str, Any], to: str) -> DeliveredNotification:
    notification = message.get("notification", {})
    android = message.get("android", {})
    ttl = android.get("ttl")
    data = dict(message.get("data", {}))
    return DeliveredNotification(
        to=to,
        title=notification.get("title"),
        body=notification.get("body"),
        data=data,
        badge=android.get("notification", {}).get("notification_count"),
        sound=android.get("notification", {}).get("sound"),
        image=notification.get("image"),
        link=data.get("link"),
        collapse_key=android.get("collapse_key"),
        urgent=android.get("priority") == "HIGH",
        seconds=None if ttl is None else int(ttl.rstrip("s")),
        silent=not notification,
    )


def _error(status: int, word: str, message: str, details: list[Any] | None = None) -> base.Refusal:
    error = {"code": status, "message": message, "status": word, "details": details or []}
    return base.refusal({"error": error}, status)


def _fcm_error(status: int, word: str, code: str, message: str) -> base.Refusal:
    return _error(status, word, message, [{"@type": _DETAIL, "errorCode": code}])


def _invalid(message: str) -> base.Refusal:
    return _fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = FirebaseSandbox()
    return SandboxFixture(sandbox=sandbox, options={"credentials": sandbox.key_file()})
