"""The base of sandboxes for push vendors, with the notifications of each device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import attrs

from moorage.testing.sandboxes.base import Sandbox, no_fields, state_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.push import BrowserSubscription, DeviceToken


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
    """

    delivered: list[DeliveredNotification] = state_field(list)

    @abstractmethod
    def recipient(self) -> DeviceToken | BrowserSubscription:
        """Return a device or browser that accepts notifications."""

    @abstractmethod
    def remove(self, to: DeviceToken | BrowserSubscription) -> None:
        """Unregister a device or browser."""


__all__ = ["DeliveredNotification", "PushSandbox"]
