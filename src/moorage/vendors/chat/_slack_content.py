"""Converts messages to Slack blocks, without letting Slack interpret markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from moorage.contracts.chat import ChatMessage

_NOTIFICATION: Final = 700
"""The largest number of characters in a notification. Escaping may make five of each, and an update
may have 4,000.
"""


def _escaped_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain_text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def content(message: ChatMessage) -> dict[str, Any]:
    """The request fields that contain the message."""
    runs: list[dict[str, Any]] = [{"type": "text", "text": message.text}]
    for label, value in message.fields:
        runs.append({"type": "text", "text": f"\n{label}: ", "style": {"bold": True}})
        runs += [{"type": "text", "text": value}] if value else []
    section = {"type": "rich_text_section", "elements": runs}
    blocks: list[dict[str, Any]] = [{"type": "rich_text", "elements": [section]}]
    if message.title:
        blocks.insert(0, {"type": "header", "text": _plain_text(message.title)})
    if message.buttons:
        buttons = [
            {"type": "button", "text": _plain_text(button.label), "url": button.url}
            for button in message.buttons
        ]
        blocks.append({"type": "actions", "elements": buttons})
    notification = f"{message.title}: {message.text}" if message.title else message.text
    return {
        "text": _escaped_text(notification[:_NOTIFICATION]),
        "blocks": blocks,
        "parse": "none",
        "link_names": False,
    }
