"""Apple Push Notification service: apps on Apple's devices, by provider API version 3.

Apple's servers speak HTTP/2 only. Each attempt is authenticated by a provider token, which is
signed with a key of the team. Apple takes no idempotency key: `apns-id` only names a notification,
and a repeat would be delivered again. So a notification that may have been sent is not sent again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID, uuid5

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.push import PushCapability, PushMessage, PushReceipt
from moorage.vendors.push._apns_tokens import ProviderToken
from moorage.vendors.push._common import check_data, check_size, filled, is_urgent, short_key

if TYPE_CHECKING:
    from collections.abc import Mapping


_PRODUCTION: Final = "https://api.push.apple.com"
_DEVELOPMENT: Final = "https://api.sandbox.push.apple.com"
_MOST_BYTES: Final = 4_096
_COLLAPSE_ID: Final = re.compile(r"[!-~]{1,64}")
_TOKEN: Final = re.compile(r"(?:[0-9a-fA-F]{2}){16,128}")
_IDS: Final = UUID("6f1c0e1e-3c5a-4a9e-8d7b-9b1f0c2d4e55")
"""The namespace in which idempotency keys become ids of notifications."""
_TIMEOUT: Final = 408
_ACCEPTED: Final = 200
_REASONS: Final[Mapping[str, type[Any]]] = {
    **dict.fromkeys(("Unregistered", "ExpiredToken"), sdk.DeviceGone),
    **dict.fromkeys(
        (
            "BadCertificate",
            "BadCertificateEnvironment",
            "BadEnvironmentKeyIdInToken",
            "BadEnvironmentKeyInToken",
            "ExpiredProviderToken",
            "Forbidden",
            "InvalidProviderToken",
            "MissingProviderToken",
            "UnrelatedKeyIdInToken",
        ),
        sdk.AuthenticationFailed,
    ),
    **dict.fromkeys(
        (
            "BadCollapseId",
            "BadDeviceToken",
            "BadExpirationDate",
            "BadMessageId",
            "BadPath",
            "BadPriority",
            "BadTopic",
            "DeviceTokenNotForTopic",
            "DuplicateHeaders",
            "InvalidPushType",
            "MethodNotAllowed",
            "MissingDeviceToken",
            "MissingTopic",
            "PayloadEmpty",
            "PayloadTooLarge",
            "TopicDisallowed",
        ),
        sdk.InvalidRequest,
    ),
    **dict.fromkeys(("TooManyProviderTokenUpdates", "TooManyRequests"), sdk.RateLimitExceeded),
}
"""The class of error for each of Apple's reasons; any other reason is a `VendorRejected`."""


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response, with the time at which Apple found a token invalid."""
    if response.status < 400 or response.status >= 500 or response.status == _TIMEOUT:
        return None
    answer = sdk.error_answer(response)
    reason = answer.text("reason")
    if reason is None:
        return None
    kind = _REASONS.get(reason, sdk.VendorRejected)
    error = sdk.refusal(kind, "Apple", response, reason, None)
    if isinstance(error, sdk.DeviceGone):
        error.since = _utc_time(answer.integer("timestamp"))
    return error


def _utc_time(milliseconds: int | None) -> datetime | None:
    try:
        seconds = None if milliseconds is None else milliseconds / 1_000
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OSError, OverflowError, ValueError):
        return None


def content(message: PushMessage) -> dict[str, Any]:
    """A notification's payload: Apple's dictionary `aps`, and the app's data."""
    if message.silent:
        return {"aps": {"content-available": 1}, **message.app_data}
    aps = filled(
        alert=filled(title=message.title, body=message.body),
        badge=message.badge,
        sound=message.sound,
        **{"mutable-content": None if message.image is None else 1},
    )
    return {"aps": aps, **message.app_data, **filled(image=message.image)}


def headers(message: PushMessage, topic: str, id: str, now: datetime) -> dict[str, str]:
    """The request headers that control the delivery of a notification.

    Args:
        message: notification to send.
        topic: bundle id of the app.
        id: UUID of the notification.
        now: current time.
    """
    lifetime = message.time_to_live
    expiration = None
    if lifetime is not None:
        expiration = str(int((now + lifetime).timestamp())) if lifetime >= _SECOND else "0"
    return {
        "apns-id": id,
        "apns-topic": topic,
        "apns-push-type": "background" if message.silent else "alert",
        "apns-priority": "10" if is_urgent(message) else "5",
        **filled(
            **{
                "apns-expiration": expiration,
                "apns-collapse-id": short_key(message.collapse_key, form=_COLLAPSE_ID, most=43),
            }
        ),
    }


_SECOND: Final = timedelta(seconds=1)


def read_receipt(id: str, ref: sdk.MakeRef, response: sdk.Response) -> PushReceipt:
    """The receipt of an accepted notification; the response is empty.

    Args:
        id: UUID that the request gave the notification.
        ref: makes a reference.
        response: the response.
    """
    if response.status != _ACCEPTED:
        raise sdk.malformed(response)
    sdk.check_done(response)
    given_id = response.headers.get("apns-id") or id
    return PushReceipt(ref=ref(given_id), raw={"status": response.status, "apns-id": given_id})


def _is_key(_: object, attribute: attrs.Attribute[sdk.Secret], value: sdk.Secret) -> None:
    try:
        sdk.check_key(sdk.SignatureAlgorithm.ECDSA_P256_SHA256, value)
    except sdk.InvalidData:
        pass
    else:
        return
    raise sdk.ConfigurationError(
        "The value is not a signing key from Apple.",
        path=attribute.name,
        remedy="Set the content of the .p8 file that Apple's developer site offers once.",
    )


def _apple_id_option(what: str) -> Any:
    return attrs.field(
        validator=sdk.matches(
            r"[A-Z0-9]{10}",
            problem=f"The value is not the id of {what}, which has ten capital letters and digits.",
            remedy="Set the id that Apple's developer site shows.",
        )
    )


@attrs.frozen(kw_only=True)
class Apns(sdk.Vendor):
    """One app of a team at Apple's push service.

    Attributes:
        private_key: content of the .p8 file of a key for push notifications.
        key_id: id of that key.
        team_id: id of the team in Apple's developer programme.
        topic: bundle id of the app, such as com.example.erp.
        base_url: URL of the service; its development system is https://api.sandbox.push.apple.com.
    """

    name = "apns"
    kinds = ("push",)
    api_version = "3"
    capabilities = frozenset(PushCapability) - {PushCapability.SUBSCRIPTION, PushCapability.TOPIC}
    limits: ClassVar[Mapping[str, int]] = {"message_bytes": _MOST_BYTES}

    private_key: sdk.Secret = attrs.field(converter=sdk.as_secret, validator=_is_key)
    key_id: str = _apple_id_option("a key")
    team_id: str = _apple_id_option("a team")
    topic: str = attrs.field(
        validator=sdk.matches(
            r"[A-Za-z0-9.\-]{1,255}",
            problem="The value is not the bundle id of an app.",
            remedy="Set the bundle id, such as com.example.erp.",
        )
    )
    base_url: str = attrs.field(default=_PRODUCTION, converter=sdk.validate_base_url)

    def mode(self) -> sdk.Mode | None:
        """Test mode for Apple's development server, live mode for the production server."""
        return sdk.mode_of_url(self.base_url, live=_PRODUCTION, test=_DEVELOPMENT)

    def services(self) -> Mapping[str, sdk.Service]:
        """The provider API, which requires HTTP/2."""
        signing = ProviderToken(algorithm="ES256", issuer=self.team_id, key_id=self.key_id)
        credentials = sdk.Credentials.signed(signing, self.private_key)
        service = sdk.Service(
            self.name,
            self.base_url,
            credentials=credentials,
            classify=classify,
            http2=True,
            endpoints=[sdk.Endpoint("send", "POST", "/3/device/{token}")],
        )
        return {"": service}

    async def send(
        self, wire: sdk.Wire, message: PushMessage, /, *, key: str | None
    ) -> PushReceipt:
        """Send a notification."""
        check_token(message.to.address)
        own_names = ("aps ", "image ") if message.image is not None else ("aps ",)
        check_data(message, "Apple", own_names)
        body = sdk.merged(content(message), sdk.extra_for(self.name, message.extra))
        check_size(sdk.encode_json(body), _MOST_BYTES, "Apple")
        id = wire.new_id() if key is None else f"{wire.tenant or ''}\n{key}"
        id = str(uuid5(_IDS, id))
        request = sdk.Request.post(
            f"/3/device/{message.to.address}",
            headers=headers(message, self.topic, id, wire.now()),
            json=body,
        )
        return await wire.send(request, key=key, parse=partial(read_receipt, id, wire.ref))


def check_token(token: str) -> None:
    """Refuse a device token that is not hexadecimal, such as a Firebase token.

    Raises:
        InvalidData: the token is not hexadecimal.
    """
    if _TOKEN.fullmatch(token) is None:
        raise sdk.InvalidData(
            "The token is not an Apple device token, because it is not hexadecimal.",
            field="to.token",
            remedy="Pass the device token in hexadecimal digits. Use the vendor `firebase`"
            " for Firebase tokens.",
        )
