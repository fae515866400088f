"""The base of sandboxes for push vendors, with the notifications of each device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

import attrs

from moorage.errors import InvalidData
from moorage.testing.sandboxes.base import Sandbox, no_fields, state_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.push import BrowserSubscription, DeviceToken

_Recipient = TypeVar("_Recipient", "DeviceToken", "BrowserSubscription")


@attrs.frozen(kw_only=True)
class DeliveredNotification:
    """A notification received by a device or browser.

    Attributes:
        to: token, endpoint or topic that it was sent to.
        title, body: texts that were shown.
        data: texts for the app.
        badge, sound, image: further parts of the notification.
        link: address that a tap opens.
        collapse_key: key by which a later notification replaces this one.
        urgent: True if it was sent with high priority.
        seconds: seconds for which the notification is kept for an offline device.
        silent: True if the app received it and showed nothing.
    """

    to: str
    title: str | None = None
    body: str | None = None
    data: Mapping[str, str] = attrs.field(factory=no_fields)
    badge: int | None = None
    sound: str | None = None
    image: str | None = None
    link: str | None = None
    collapse_key: str | None = None
    urgent: bool = True
    seconds: int | None = None
    silent: bool = False


class PushSandbox(Sandbox, ABC):
    """A local sandbox that imitates a push vendor.

    Attributes:
        delivered: the notifications that were accepted, in order.
        devices: the tokens and endpoints that accept notifications; the sandbox refuses any other.
        removed: the tokens and endpoints that were registered once.
    """

    delivered: list[DeliveredNotification] = state_field(list)
    devices: set[str] = state_field(set)
    removed: set[str] = state_field(set)

    @abstractmethod
    def recipient(self) -> DeviceToken | BrowserSubscription:
        """Register and return a new device or browser."""

    def register(self, to: _Recipient) -> _Recipient:
        """Register and return a device or browser of your own, which then accepts notifications."""
        self.devices.add(to.address)
        self.removed.discard(to.address)
        return to

    def remove(self, to: DeviceToken | BrowserSubscription) -> None:
        """Unregister a device or browser, as when the app is deleted.

        Raises:
            InvalidData: it is not registered.
        """
        if to.address not in self.devices:
            raise InvalidData(
                "This recipient is not registered at the sandbox.",
                field="to",
                remedy="Pass a recipient of recipient() or register(), and remove it once.",
            )
        self.devices.remove(to.address)
        self.removed.add(to.address)


__all__ = ["DeliveredNotification", "PushSandbox"]
