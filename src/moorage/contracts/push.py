"""Push notifications to phones and browsers: values, outcomes and vendors' operations."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import (
    OneOf,
    are_texts,
    as_table,
    is_a,
    is_maybe,
    is_maybe_filled,
    is_maybe_https,
    is_maybe_whole,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import is_object
from moorage.errors import (
    BulkheadFull,
    CircuitBreakerOpen,
    ConnectorError,
    DeviceGone,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    RateLimitExceeded,
    RetryBudgetExhausted,
    StorageUnavailable,
    VendorFailed,
)

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.values.result import Result

KIND: Final = "push"

LINK: Final = "link"
"""The name under which an app finds the link of a notification in its data."""

_TOPIC: Final = re.compile(r"[A-Za-z0-9\-_.~%]{1,900}")
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")
_BASE64: Final = re.compile(r"[A-Za-z0-9_\-]+={0,2}")
_POINT_BYTES: Final = 65
_SECRET_BYTES: Final = 16
_VISIBLE_FIELDS: Final = ("title", "body", "badge", "sound", "image", "link")


class PushCapability(StrEnum):
    """An optional feature of a push vendor: a type of recipient or of content."""

    DEVICE_TOKEN = "device_token"  # noqa: S105 - the name of a kind of recipient
    SUBSCRIPTION = "subscription"
    TOPIC = "topic"
    BADGE = "badge"
    SOUND = "sound"
    IMAGE = "image"
    LINK = "link"
    COLLAPSE_KEY = "collapse_key"
    SILENT = "silent"


class PushPriority(OneOf, field="priority"):
    """The urgency of a notification; `normal` may wait until the device is used."""

    NORMAL = "normal"
    HIGH = "high"


class PushOutcome(StrEnum):
    """The outcome of a single notification among many."""

    ACCEPTED = "accepted"
    """The push service took it; no push service reports if the device showed it."""
    GONE = "gone"
    """The token or subscription ended; delete it."""
    THROTTLED = "throttled"
    """The notification was not sent now, for example because too many were sent; send it again
    later.
    """
    REFUSED = "refused"
    """It was not sent, and would be refused again."""
    UNKNOWN = "unknown"
    """It may have been sent or not."""


_NEEDED_CAPABILITIES: Final = {
    "badge": PushCapability.BADGE,
    "sound": PushCapability.SOUND,
    "image": PushCapability.IMAGE,
    "link": PushCapability.LINK,
    "collapse_key": PushCapability.COLLAPSE_KEY,
}
"""The capability that each optional field of a notification needs."""


def _is_token(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _TOKEN.fullmatch(value) is None:
        raise InvalidData(
            f"The {attribute.name} is not a valid device token.",
            field=attribute.name,
            remedy="Give the device token exactly as the app received it, without spaces.",
        )


@frozen
class DeviceToken:
    """The token of an app on one device. Its repr hides the token.

    Attributes:
        token: token, as the app received it.
    """

    token: str = field(validator=_is_token, repr=False)

    @property
    def capability(self) -> PushCapability:
        """The capability that a vendor needs to reach this recipient."""
        return PushCapability.DEVICE_TOKEN

    @property
    def address(self) -> str:
        """The address of this recipient: its token."""
        return self.token

    @property
    def recipient_entry(self) -> str:
        """The entry that allows this recipient in `safety.recipients` of a configuration."""
        return f"token:{self.token}"


def _is_endpoint(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    try:
        url = urlsplit(value) if isinstance(value, str) else None
        port = None if url is None else url.port
        valid = url is not None and url.scheme == "https" and bool(url.hostname) and port != 0
        valid = valid and url is not None and "@" not in url.netloc and url.path.startswith("/")
    except ValueError:
        valid = False
    if not valid or re.fullmatch(r"[!-~]+", str(value)) is None or "#" in str(value):
        raise InvalidData(
            "The endpoint of a push subscription must be an https:// address.",
            field=attribute.name,
            remedy="Give the `endpoint` of the browser's PushSubscription.",
        )


def _is_encoded(size: int) -> Any:
    def check_value(_: object, attribute: attrs.Attribute[str], value: object) -> None:
        try:
            content = decode_base64url(value) if isinstance(value, str) else b""
        except ValueError:
            content = b""
        if len(content) != size:
            raise InvalidData(
                f"The {attribute.name} of a push subscription must encode {size} bytes in URL-safe"
                " base64.",
                field=attribute.name,
                remedy=f"Give `keys.{attribute.name}` of the browser's PushSubscription.",
            )

    return check_value


def decode_base64url(text: str) -> bytes:
    """The bytes of a text in URL-safe base64, with or without padding.

    Raises:
        ValueError: the text is not base64 for URLs.
    """
    if _BASE64.fullmatch(text) is None:
        raise ValueError("The text is not valid URL-safe base64.")
    plain_text = text.rstrip("=")
    return urlsafe_b64decode(plain_text + "=" * (-len(plain_text) % 4))


@frozen(kw_only=True)
class BrowserSubscription:
    """A browser's subscription to notifications of your site. Its repr hides the content.

    Attributes:
        endpoint: URL at which the browser's push service accepts notifications.
        p256dh: public key of the browser, in base64 for URLs.
        auth: secret that the browser shares with your site, in base64 for URLs.
    """

    endpoint: str = field(validator=_is_endpoint, repr=False)
    p256dh: str = field(validator=_is_encoded(_POINT_BYTES), repr=False)
    auth: str = field(validator=_is_encoded(_SECRET_BYTES), repr=False)

    @classmethod
    def from_json(cls, subscription: str | Mapping[str, Any]) -> BrowserSubscription:
        """Parse the JSON of a browser's subscription, or convert its decoded object.

        Raises:
            InvalidData: the text is not the JSON of a subscription.
        """
        fields: object = subscription
        if isinstance(subscription, str):
            try:
                fields = json.loads(subscription)
            except (ValueError, RecursionError):
                fields = None
        keys = fields.get("keys") if is_object(fields) else None
        if not is_object(fields) or not is_object(keys):
            raise InvalidData(
                "The subscription is not the JSON of a browser's PushSubscription.",
                field="subscription",
                remedy="Give JSON.stringify(subscription), with `endpoint` and `keys`.",
            )
        texts: dict[str, Any] = {name: keys.get(name) for name in ("p256dh", "auth")}
        return cls(endpoint=fields.get("endpoint", ""), **texts)

    @property
    def capability(self) -> PushCapability:
        """The capability that a vendor needs to reach this recipient."""
        return PushCapability.SUBSCRIPTION

    @property
    def address(self) -> str:
        """The address of this recipient: its endpoint."""
        return self.endpoint

    @property
    def recipient_entry(self) -> str:
        """The entry that allows this recipient in `safety.recipients` of a configuration."""
        return self.endpoint


def _is_topic(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _TOPIC.fullmatch(value) is None:
        raise InvalidData(
            f"The {attribute.name} is not a valid name of a push topic.",
            field=attribute.name,
            remedy="Use only letters, digits and -_.~%, and leave out the prefix /topics/.",
        )


@frozen
class PushTopic:
    """A topic that many devices have subscribed to.

    Attributes:
        name: name of the topic.
    """

    name: str = field(validator=_is_topic)

    @property
    def capability(self) -> PushCapability:
        """The capability that a vendor needs to reach this recipient."""
        return PushCapability.TOPIC

    @property
    def address(self) -> str:
        """The address of this recipient: the name of the topic."""
        return self.name

    @property
    def recipient_entry(self) -> str:
        """The entry that allows this recipient in `safety.recipients` of a configuration."""
        return f"topic:{self.name}"


def _is_recipient(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, (DeviceToken, BrowserSubscription, PushTopic)):
        raise InvalidData(
            "The recipient must be a DeviceToken, a BrowserSubscription or a PushTopic.",
            field=attribute.name,
            remedy="Wrap the address in one of these classes, such as DeviceToken(token).",
        )


def _is_duration(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_maybe(timedelta)(_, attribute, value)
    if isinstance(value, timedelta) and value < timedelta(0):
        raise InvalidData(
            "The time to live must not be negative.",
            field=attribute.name,
            remedy="Give a timedelta such as timedelta(hours=4); timedelta(0) drops the"
            " notification if the device is offline.",
        )


@frozen(kw_only=True)
class PushMessage:
    """A notification to one device, one browser or one topic. Its repr hides the content.

    Attributes:
        to: recipient.
        title: headline.
        body: text below the headline.
        data: texts for the app, by name.
        badge: number on the icon of the app; 0 removes it.
        sound: name of a sound of the app, or "default".
        image: https:// address of a picture.
        link: https:// address that a tap opens. Apps find it in their data as `link`.
        collapse_key: a later notification with the same key replaces an earlier one that is
            still waiting.
        priority: urgency. Silent notifications are always of normal priority.
        time_to_live: time for which the vendor keeps it for a device that is offline; by
            default the vendor's. With 0 it is delivered now or never.
        silent: True to pass only `data` to the app, and to show nothing.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    to: DeviceToken | BrowserSubscription | PushTopic = field(validator=_is_recipient, repr=False)
    title: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    body: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    data: Mapping[str, str] = field(
        factory=dict, converter=as_table, repr=False, validator=are_texts
    )
    badge: int | None = field(default=None, validator=is_maybe_whole)
    sound: str | None = field(default=None, validator=is_maybe_filled)
    image: str | None = field(default=None, repr=False, validator=is_maybe_https)
    link: str | None = field(default=None, repr=False, validator=is_maybe_https)
    collapse_key: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    priority: PushPriority = field(default=PushPriority.HIGH, converter=PushPriority)
    time_to_live: timedelta | None = field(default=None, validator=_is_duration)
    silent: bool = field(default=False, validator=is_a(bool))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a notification that shows nothing, is silent but has texts, or has two links."""
        if self.silent:
            visible_field = next(
                (name for name in _VISIBLE_FIELDS if getattr(self, name) is not None), None
            )
            if visible_field is not None:
                raise InvalidData(
                    f"A silent notification must not have a {visible_field}, since it shows"
                    " nothing.",
                    field=visible_field,
                    remedy="Put this value into `data`, or leave `silent` out.",
                )
        elif self.title is None and self.body is None:
            raise InvalidData(
                "The notification must have a title or a body.",
                field="title",
                remedy="Give a title or a body, or set `silent` to pass only data to the app.",
            )
        if self.link is not None and LINK in self.data:
            raise InvalidData(
                "The notification has a link, and `data` has another one.",
                field="data.link",
                remedy="Give the link only once, either as `link` or in `data`.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this notification."""
        needs = {
            capability
            for field, capability in _NEEDED_CAPABILITIES.items()
            if getattr(self, field) is not None
        }
        silent_capabilities = {PushCapability.SILENT} if self.silent else set[PushCapability]()
        return frozenset(needs | silent_capabilities | {self.to.capability})

    @property
    def app_data(self) -> dict[str, str]:
        """The data that the app gets, with the link."""
        return {**self.data, **({} if self.link is None else {LINK: self.link})}


@frozen(kw_only=True)
class PushReceipt:
    """The vendor's confirmation that it accepted a notification.

    No push service reports if the device showed it.

    Attributes:
        ref: reference of the notification at the vendor; None if the vendor gives it no id.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref | None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


_UNSENT_ERRORS: Final = (BulkheadFull, CircuitBreakerOpen, RateLimitExceeded)
_UNCERTAIN_ERRORS: Final = (
    IdempotencyInProgress,
    OutcomeUnknown,
    RetryBudgetExhausted,
    StorageUnavailable,
    VendorFailed,
)


def outcome_of(result: Result[PushReceipt]) -> PushOutcome:
    """The outcome of one notification of `send_bulk`; `unknown` if its sending is in doubt."""
    error = result.error
    if error is None:
        return PushOutcome.ACCEPTED
    if isinstance(error, DeviceGone):
        return PushOutcome.GONE
    if isinstance(error, _UNSENT_ERRORS):
        return PushOutcome.THROTTLED
    if not isinstance(error, ConnectorError) or isinstance(error, _UNCERTAIN_ERRORS):
        return PushOutcome.UNKNOWN
    if error.may_have_been_processed:
        return PushOutcome.UNKNOWN
    return PushOutcome.THROTTLED if error.retryable else PushOutcome.REFUSED


class PushVendor(Protocol):
    """The operation of a push vendor; its `capabilities` list the recipients that it reaches."""

    async def send(
        self, wire: Wire, message: PushMessage, /, *, key: str | None
    ) -> PushReceipt: ...
