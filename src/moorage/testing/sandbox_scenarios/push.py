"""Example calls to push vendors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.push import (
    BrowserSubscription,
    DeviceToken,
    PushCapability,
    PushMessage,
    PushTopic,
)
from moorage.testing.sandboxes.push.base import PushSandbox

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

TITLE: Final = "Order 1042"
ORDER: Final = "https://erp.example/orders/1042"
PICTURE: Final = "https://erp.example/orders/1042.png"
SUBSCRIPTION: Final = BrowserSubscription(
    endpoint="https://push.example/s/1",
    p256dh="BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    auth="BTBZMqHH6r4Tts7J_aSIgg",
)


TOKEN: Final = DeviceToken("token")


def _recipient(
    vendor: ScenarioVendor, other: DeviceToken | BrowserSubscription = TOKEN
) -> DeviceToken | BrowserSubscription:
    """Return a recipient that the sandbox knows, or `other` if it knows none."""
    sandbox = vendor.fixture.sandbox
    return sandbox.recipient() if isinstance(sandbox, PushSandbox) else other


async def notification(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Send a notification with these fields to a device that accepts it."""
    message = PushMessage(to=_recipient(vendor), title=TITLE, **fields)
    return bool((await vendor("send", message)).raw)


async def send_data(vendor: ScenarioVendor) -> Any:
    """Send data to an app without showing a notification."""
    message = PushMessage(to=_recipient(vendor), data={"order": "1042"}, silent=True)
    return bool((await vendor("send", message)).raw)


async def to_device(vendor: ScenarioVendor) -> Any:
    """Send a notification to a device token."""
    recipient = _recipient(vendor) if vendor.is_supported else TOKEN
    return bool((await vendor("send", PushMessage(to=recipient, title=TITLE))).raw)


async def to_browser(vendor: ScenarioVendor) -> Any:
    """Send a notification to a browser subscription."""
    recipient = _recipient(vendor, SUBSCRIPTION) if vendor.is_supported else SUBSCRIPTION
    return bool((await vendor("send", PushMessage(to=recipient, title=TITLE))).raw)


async def topic(vendor: ScenarioVendor) -> Any:
    """Send a notification to a topic."""
    message = PushMessage(to=PushTopic("orders"), title=TITLE)
    return bool((await vendor("send", message)).raw)


BASIC: Final[dict[str, Scenario]] = {"send": notification}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    PushCapability.DEVICE_TOKEN: to_device,
    PushCapability.SUBSCRIPTION: to_browser,
    PushCapability.TOPIC: topic,
    PushCapability.BADGE: partial(notification, badge=3),
    PushCapability.SOUND: partial(notification, sound="default"),
    PushCapability.IMAGE: partial(notification, image=PICTURE),
    PushCapability.LINK: partial(notification, link=ORDER),
    PushCapability.COLLAPSE_KEY: partial(notification, collapse_key="order-1042"),
    PushCapability.SILENT: send_data,
}
