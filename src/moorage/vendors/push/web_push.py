"""Web Push: notifications to browsers, by their makers' push services (RFC 8030).

The content is encrypted for the browser (RFC 8291), and each request is signed (RFC 8292). A
subscription names the URL that is called, so only the origins of known push services are called.
Push services take no idempotency key, so a notification that may have been sent is not sent again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.push import BrowserSubscription, PushCapability, PushMessage, PushReceipt
from moorage.vendors.push._common import check_size, filled, is_urgent, short_key
from moorage.vendors.push._web_push_crypto import Sender, VapidSigning, as_pem, encrypted_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from moorage.vendor_sdk import ConnectorError, Request, Response, Secret, Service, Wire

_MOST_BYTES: Final = 3_993
"""The most bytes of content in a body of 4,096 bytes, which also has a head and a tag."""
_FOUR_WEEKS: Final = 28 * 24 * 60 * 60
_TOPIC: Final = re.compile(r"[A-Za-z0-9_\-]{1,32}")
_CREATED: Final = 201
_ACCEPTED: Final = (_CREATED, 202)
_TIMEOUT: Final = 408
_STATUSES: Final[Mapping[int, type[Any]]] = {
    **dict.fromkeys((400, 413), sdk.InvalidRequest),
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    **dict.fromkeys((404, 410), sdk.DeviceGone),
    429: sdk.RateLimitExceeded,
}
"""The class of error by HTTP status, because only the status means the same at each push service.
"""


def classify(_: Request, response: Response) -> ConnectorError | None:
    """Return the error for a response."""
    status = response.status
    if sdk.is_success(status) or status >= 500 or status == _TIMEOUT:
        return None
    code, words = sdk.vendor_code_and_message(response)
    kind = _STATUSES.get(status, sdk.VendorRejected)
    return sdk.refusal(kind, "The push service", response, code, words, otherwise=f"HTTP {status}")


def content(message: PushMessage) -> dict[str, Any]:
    """The JSON that your site's service worker receives."""
    return filled(
        title=message.title,
        body=message.body,
        data=dict(message.data),
        badge=message.badge,
        image=message.image,
        link=message.link,
    )


def read_accepted(response: Response) -> PushReceipt:
    """The receipt of an accepted notification; the response is empty."""
    if response.status not in _ACCEPTED:
        raise sdk.malformed(response)
    if response.status != _CREATED:
        sdk.check_done(response)
    return PushReceipt(ref=None, raw={"status": response.status})


def _is_key(_: object, attribute: attrs.Attribute[Secret], value: Secret) -> None:
    try:
        sdk.check_key(sdk.SignatureAlgorithm.ECDSA_P256_SHA256, value)
    except sdk.InvalidData:
        pass
    else:
        return
    raise sdk.ConfigurationError(
        "The value is not the private key of an application server.",
        path=attribute.name,
        remedy="Set a private key for P-256, in PEM or as 32 bytes in URL-safe base64, as"
        " VAPID tools write it.",
    )


def _origins(value: Any) -> tuple[str, ...]:
    origins = (value,) if isinstance(value, str) else tuple(value)
    return tuple(sdk.validate_base_url(origin).rstrip("/") for origin in origins)


@attrs.frozen(kw_only=True)
class WebPush(sdk.Vendor):
    """Your web site as a sender of browser notifications.

    Attributes:
        private_key: private key of your site (VAPID): in PEM, or 32 bytes in base64 for URLs.
        contact: mailto: or https:// address by which push services reach you.
        push_services: origins of push services that may be called; by default those of Google,
            Mozilla and Apple.
    """

    name = "web_push"
    kinds = ("push",)
    capabilities = sdk.members_of(PushCapability, "subscription badge image link collapse_key")
    limits: ClassVar[Mapping[str, int]] = {"message_bytes": _MOST_BYTES}

    private_key: Secret = attrs.field(converter=as_pem, validator=_is_key)
    contact: str = attrs.field(
        validator=sdk.matches(
            r"mailto:[!-~]+@[!-~]+|https://[!-~]+",
            problem="The contact is not a mailto: or an https:// address.",
            remedy="Set an address of your team, such as mailto:push@erp.example.",
        )
    )
    push_services: tuple[str, ...] = attrs.field(
        default=(
            "https://fcm.googleapis.com",
            "https://updates.push.services.mozilla.com",
            "https://web.push.apple.com",
        ),
        converter=_origins,
    )

    def services(self) -> Mapping[str, Service]:
        """One service whose regions are the browsers' push services, each with its own circuit."""
        regions = [sdk.Region(origin.partition("://")[2], origin) for origin in self.push_services]
        signing = VapidSigning(algorithm="ES256", subject=self.contact)
        credentials = sdk.Credentials.signed(signing, self.private_key)
        endpoints = [
            sdk.Endpoint(
                f"push-{parts}", "POST", "".join(f"/{{part{index}}}" for index in range(parts))
            )
            for parts in range(1, 6)
        ]
        service = sdk.Service(
            self.name,
            regions=regions,
            credentials=credentials,
            classify=classify,
            endpoints=endpoints,
        )
        return {"": service}

    async def send(self, wire: Wire, message: PushMessage, /, *, key: str | None) -> PushReceipt:
        """Encrypt a notification, and send it to the browser's push service."""
        if not isinstance(message.to, BrowserSubscription):  # pragma: no cover - refused before
            raise TypeError("The recipient is not a browser subscription.")
        self._check_origin(message.to)
        extra = sdk.extra_for(self.name, message.extra)
        body = sdk.encode_json(sdk.merged(content(message), extra))
        check_size(body, _MOST_BYTES, "Web Push")
        seconds = _FOUR_WEEKS
        if message.time_to_live is not None:
            seconds = int(message.time_to_live.total_seconds())
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(seconds),
            "Urgency": "high" if is_urgent(message) else "normal",
            **filled(Topic=short_key(message.collapse_key, form=_TOPIC, most=32)),
        }
        identity = wire.new_id() if key is None else f"{wire.tenant or ''}\n{key}"
        parts = (identity.encode(), message.to.endpoint.encode(), message.to.auth.encode(), body)
        sender = Sender.derived(self.private_key, *parts)
        request = sdk.Request.post(
            message.to.endpoint, headers=headers, body=encrypted_record(body, message.to, sender)
        )
        return await wire.send(request, key=key, parse=read_accepted)

    def _check_origin(self, to: BrowserSubscription) -> None:
        """Refuse a subscription whose URL is not of a known push service."""
        scheme, _, host_and_path = to.endpoint.partition("://")
        origin = f"{scheme}://{host_and_path.partition('/')[0]}"
        if origin not in self.push_services:
            raise sdk.InvalidData(
                f"The subscription belongs to {origin[:200]}, but this is not a known push"
                " service.",
                field="to.endpoint",
                remedy="If you trust this origin, add it to the account's `push_services`.",
            )
