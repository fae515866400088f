"""Firebase Cloud Messaging: apps on Android, iOS and the web, by the HTTP API in version 1.

Access tokens are those of a service account. Firebase takes no idempotency key, so a notification
that may have been sent is not sent again.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.push import DeviceToken, PushCapability, PushMessage, PushReceipt
from moorage.vendors.push._common import check_data, check_size, filled, is_urgent, short_key

if TYPE_CHECKING:
    from collections.abc import Mapping


_DETAIL: Final = "google.firebase.fcm.v1.FcmError"
_MOST_BYTES: Final = 4_096
_MOST_TOPIC_BYTES: Final = 2_048
_COLLAPSE_ID: Final = re.compile(r"[!-~]{1,64}")
_RESERVED: Final = ("from ", "message_type ", "google", "gcm")
_TIMEOUT: Final = 408
_CODES: Final[Mapping[str, type[Any]]] = {
    "UNREGISTERED": sdk.DeviceGone,
    "INVALID_ARGUMENT": sdk.InvalidRequest,
    "NOT_FOUND": sdk.InvalidRequest,
    "QUOTA_EXCEEDED": sdk.RateLimitExceeded,
    "RESOURCE_EXHAUSTED": sdk.RateLimitExceeded,
    "PERMISSION_DENIED": sdk.AuthenticationFailed,
    "THIRD_PARTY_AUTH_ERROR": sdk.AuthenticationFailed,
    "UNAUTHENTICATED": sdk.AuthenticationFailed,
    "INTERNAL": sdk.VendorFailed,
    "UNAVAILABLE": sdk.VendorFailed,
}
"""The class of error for each of Firebase's codes, or else of Google's; any other code is a
`VendorRejected`.
"""


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response; Firebase's error code takes precedence over the status."""
    if sdk.is_success(response.status) or response.status == _TIMEOUT:
        return None
    error = sdk.error_answer(response).object("error")
    codes = [
        code
        for detail in error.objects("details")
        if (detail.text("@type") or "").endswith(_DETAIL) and (code := detail.text("errorCode"))
    ]
    code = next(iter(codes), None) or error.text("status")
    if code is None or (response.status >= 500 and code not in _CODES):
        return None
    kind = _CODES.get(code, sdk.VendorRejected)
    return sdk.refusal(kind, "Firebase", response, code, sdk.masked_words(error.text("message")))


def aps(message: PushMessage) -> dict[str, Any]:
    """Apple's dictionary `aps`; texts for Apple devices override the texts for all devices."""
    if message.silent:
        return {"content-available": 1}
    return filled(
        alert=filled(title=message.title, body=message.body),
        badge=message.badge,
        sound=message.sound,
        **{"mutable-content": None if message.image is None else 1},
    )


def content(message: PushMessage) -> dict[str, Any]:
    """The message in Firebase's format, with parts for Android, Apple and browsers."""
    recipient = message.to
    target = (
        {"token": recipient.token}
        if isinstance(recipient, DeviceToken)
        else {"topic": recipient.address}
    )
    seconds = None if message.time_to_live is None else int(message.time_to_live.total_seconds())
    urgent, key = is_urgent(message), message.collapse_key
    android = filled(
        collapse_key=key,
        priority="HIGH" if urgent else "NORMAL",
        ttl=None if seconds is None else f"{seconds}s",
        notification=filled(sound=message.sound, notification_count=message.badge),
    )
    apple = {
        "apns-priority": "10" if urgent else "5",
        **filled(**{"apns-collapse-id": short_key(key, form=_COLLAPSE_ID, most=43)}),
        **({"apns-push-type": "background"} if message.silent else {}),
        **({"apns-expiration": "0"} if seconds == 0 else {}),
    }
    web = {
        "Urgency": "high" if urgent else "normal",
        **filled(TTL=None if seconds is None else str(seconds)),
    }
    return {
        **target,
        **filled(
            notification=filled(title=message.title, body=message.body, image=message.image),
            data=message.app_data,
        ),
        "android": android,
        "apns": {
            "headers": apple,
            "payload": {"aps": aps(message)},
            **filled(fcm_options=filled(image=message.image)),
        },
        "webpush": {"headers": web, **filled(fcm_options=filled(link=message.link))},
    }


def read_receipt(ref: sdk.MakeRef, response: sdk.Response) -> PushReceipt:
    """The receipt in the response to an accepted notification."""
    answer = sdk.read_answer(response)
    name = sdk.required(answer.text("name"), response, "name")
    return PushReceipt(ref=ref(name), raw=answer.raw)


@attrs.frozen(kw_only=True)
class Firebase(sdk.GoogleVendor):
    """A project of Firebase.

    Attributes:
        credentials: JSON key of a service account that may send messages; by default the credential
            provider supplies a token.
        project: id of the project; by default that of the service account.
        base_url: URL of the API.
    """

    name = "firebase"
    kinds = ("push",)
    api_version = "v1"
    capabilities = frozenset(PushCapability) - {PushCapability.SUBSCRIPTION}
    limits: ClassVar[Mapping[str, int]] = {
        "message_bytes": _MOST_BYTES,
        "topic_message_bytes": _MOST_TOPIC_BYTES,
    }

    google_scope = "https://www.googleapis.com/auth/firebase.messaging"
    refusals = staticmethod(classify)

    project: str | None = None
    base_url: str = attrs.field(
        default="https://fcm.googleapis.com", converter=sdk.validate_base_url
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a service account without a project."""
        if self._project is None:
            raise sdk.ConfigurationError(
                "The Firebase project is not known.",
                path="project",
                remedy="Set the id of the project, which the Firebase console shows in the"
                " project's settings.",
            )

    @property
    def _project(self) -> str | None:
        if self.project is None and self.credentials is not None:
            return sdk.google_account(self.credentials).project
        return self.project

    async def send(
        self, wire: sdk.Wire, message: PushMessage, /, *, key: str | None
    ) -> PushReceipt:
        """Send a notification."""
        check_data(message, "Firebase", _RESERVED)
        fields = sdk.merged(content(message), sdk.extra_for(self.name, message.extra))
        is_topic = not isinstance(message.to, DeviceToken)
        max_bytes = _MOST_TOPIC_BYTES if is_topic else _MOST_BYTES
        check_size(sdk.encode_json(_payload(fields)), max_bytes, "Firebase")
        path = f"/v1/projects/{quote(str(self._project), safe='')}/messages:send"
        request = sdk.Request.post(path, json={"message": fields})
        return await wire.send(request, key=key, parse=partial(read_receipt, wire.ref))


def _payload(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a message that the device receives; Firebase limits their size."""
    return {name: fields[name] for name in ("notification", "data") if name in fields}
