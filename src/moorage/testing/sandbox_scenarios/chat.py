"""Example calls to chat vendors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.chat import ChatCapability, ChatMessage, LinkButton
from moorage.testing.sandboxes.chat.base import CHANNEL

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

TEXT: Final = "Order 1042 is paid."
BUTTON: Final = LinkButton("Open", "https://erp.example/orders/1042")


async def message(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Post a message with these fields."""
    return (await vendor("send", ChatMessage(text=TEXT, **fields))).status


async def named_channel(vendor: ScenarioVendor) -> Any:
    """Post a message to the channel that is named in the message."""
    channel = str(vendor.fixture.options.get("channel", CHANNEL))
    return await message(vendor, channel=channel)


async def schedule_message(vendor: ScenarioVendor) -> Any:
    """Schedule a message for tomorrow."""
    return await message(vendor, send_at=datetime.now(UTC) + timedelta(days=1))


async def answer(vendor: ScenarioVendor) -> Any:
    """Post a reply in the thread of a message."""
    ref = await vendor.ref("send", ChatMessage(text=TEXT))
    return (await vendor("reply", ref, ChatMessage(text="It is packed."))).ref


async def edit_message(vendor: ScenarioVendor) -> Any:
    """Replace the content of a message."""
    ref = await vendor.ref("send", ChatMessage(text=TEXT))
    return (await vendor("edit", ref, ChatMessage(text="Order 1042 is shipped."))).ref == ref


async def delete_message(vendor: ScenarioVendor) -> Any:
    """Delete a message."""
    ref = await vendor.ref("send", ChatMessage(text=TEXT))
    return (await vendor("delete", ref)).ref == ref


BASIC: Final[dict[str, Scenario]] = {"send": message}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    ChatCapability.CHANNEL: named_channel,
    ChatCapability.THREAD: answer,
    ChatCapability.EDIT: edit_message,
    ChatCapability.DELETE: delete_message,
    ChatCapability.SCHEDULED: schedule_message,
    ChatCapability.SILENT: partial(message, silent=True),
    ChatCapability.BUTTONS: partial(message, buttons=[BUTTON]),
}
