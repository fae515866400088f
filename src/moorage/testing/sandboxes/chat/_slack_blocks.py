"""Slack's message blocks: their rules, and their appearance to people."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.chat.base import ShownMessage, without_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CONTROL: Final = re.compile(r"<([^<>]*)>")
_MENTION: Final = re.compile(r"[!@#].*")
_STYLE: Final = {"bold": bool, "italic": bool, "strike": bool, "code": bool}
_PLAIN: Final = {"type!": frozenset({"plain_text"}), "text!": str, "emoji": bool}
_MARKED: Final = {"type!": frozenset({"mrkdwn"}), "text!": str, "verbatim": bool}
_BUTTON: Final = {
    "type!": frozenset({"button"}),
    "text!": _PLAIN,
    **typed(str, "url action_id value"),
    "style": frozenset({"primary", "danger"}),
}
_RUNS: Final = {
    "text": {"type!": str, "text!": str, "style": _STYLE},
    "link": {"type!": str, "url!": str, "text": str, "style": _STYLE},
    "user": {"type!": str, "user_id!": str, "style": _STYLE},
    "broadcast": {"type!": str, "range!": frozenset({"here", "channel", "everyone"})},
}
_BLOCKS: Final[dict[str, dict[str, Any]]] = {
    "header": {"type!": str, "text!": _PLAIN, "block_id": str},
    "section": {"type!": str, "text!": dict, "block_id": str},
    "rich_text": {
        "type!": str,
        "elements!": [{"type!": frozenset({"rich_text_section"}), "elements!": [dict]}],
        "block_id": str,
    },
    "actions": {"type!": str, "elements!": [_BUTTON], "block_id": str},
}


def block_problems(block: Any) -> Iterator[str]:
    """Yield the problems of a block; none if Slack would accept it."""
    shape = _BLOCKS.get(str(block.get("type"))) if is_object(block) else None
    if shape is None:
        yield "unsupported type of a block"
        return
    misfits = _misfits(shape, block)
    yield from misfits
    if not misfits:
        yield from _FURTHER_CHECKS[block["type"]](block)


def _misfits(shape: Any, value: object) -> list[str]:
    return [f"{location}/{name}: {kind}" for location, name, kind in problems(shape, value)]


def _header_problems(block: dict[str, Any]) -> Iterator[str]:
    if not 0 < len(block["text"]["text"]) <= 150:
        yield "header: must have 1 to 150 characters"


def _section_problems(block: dict[str, Any]) -> Iterator[str]:
    is_markdown = block["text"].get("type") == "mrkdwn"
    yield from _misfits(_MARKED if is_markdown else _PLAIN, block["text"])


def _actions_problems(block: dict[str, Any]) -> Iterator[str]:
    if not 0 < len(block["elements"]) <= 25:
        yield "actions: must have 1 to 25 elements"
    if any(not 0 < len(button["text"]["text"]) <= 75 for button in block["elements"]):
        yield "button: must have 1 to 75 characters"


def _text_problems(block: dict[str, Any]) -> Iterator[str]:
    for run in _runs(block):
        yield from _misfits(_RUNS.get(str(run.get("type")), {"type!": frozenset(_RUNS)}), run)
        if run.get("text") == "":
            yield "text: must be more than 0 characters"


_FURTHER_CHECKS: Final[Mapping[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "header": _header_problems,
    "section": _section_problems,
    "rich_text": _text_problems,
    "actions": _actions_problems,
}


def _runs(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for section in block["elements"]:
        yield from section["elements"]


def shown_message(message: dict[str, Any], channel: str) -> ShownMessage:
    """Return a message as people would see it."""
    texts: list[str] = []
    mentions: list[str] = []
    links: list[str] = []
    buttons: list[tuple[str, str]] = []

    def add_marked(text: str, *, visible: bool = True) -> None:
        controls = _CONTROL.findall(text)
        mentions.extend(item for item in controls if _MENTION.fullmatch(item))
        links.extend(item.partition("|")[0] for item in controls if not _MENTION.fullmatch(item))
        if visible:
            unlinked_text = _CONTROL.sub(lambda match: match[1].rpartition("|")[2], text)
            texts.append(unescape(without_markdown(unlinked_text)[0]))

    # The text becomes the notification if there are blocks.
    add_marked(message["text"], visible=not message["blocks"])
    for block in message["blocks"]:
        if block["type"] == "rich_text":
            for run in _runs(block):
                texts.append(run.get("text", ""))
                mentions += [run[name] for name in ("user_id", "range") if name in run]
                links += [run["url"]] if "url" in run else []
            texts.append("\n")
        elif block["type"] == "actions":
            buttons += [(item["text"]["text"], item.get("url", "")) for item in block["elements"]]
        elif block["text"]["type"] == "mrkdwn":
            add_marked(block["text"]["text"])
        else:
            texts.append(f"{block['text']['text']}\n")
    return ShownMessage(
        channel=channel,
        text="".join(texts).strip("\n"),
        mentions=tuple(mentions),
        links=tuple(links),
        buttons=tuple(buttons),
        thread=message.get("thread_ts"),
    )
