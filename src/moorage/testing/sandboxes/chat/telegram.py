"""A local sandbox that imitates Telegram's Bot API.

It has the chats -1001000000001, a group with the public name `@orders`; -1001000000002, from which
the bot was removed; and -1001000000003, which has had too many messages.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems
from moorage.testing.sandboxes.chat.base import CHANNEL, ChatSandbox, ShownMessage
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from moorage.domain.http.requests import Response

GROUP: Final = "-1001000000001"
_REMOVED: Final = "-1001000000002"
_FLOOD: Final = "-1001000000003"
_CHATS: Final = frozenset({GROUP, _REMOVED, _FLOOD})
_FIRST: Final = 1_900_000_000
_MAX_LENGTH: Final = 4_096
_JOINER: Final = "\u2060"
_NAME: Final = re.compile(r"(?<!\w)@(\w{2,32})", re.ASCII)
_TAGS: Final = frozenset({"b", "strong", "i", "em", "u", "s", "code", "pre", "a"})
_ENTITY: Final = {
    "type!": frozenset({"bold", "italic", "underline", "code", "pre", "text_link", "text_mention"}),
    "offset!": int,
    "length!": int,
    "url": str,
    "user": dict,
}
_CONTENT: Final[dict[str, Any]] = {
    "chat_id!": (str, int),
    "text!": str,
    "parse_mode": frozenset({"HTML"}),
    "entities": [_ENTITY],
    "link_preview_options": {"is_disabled": bool, "url": str},
    "reply_markup": {"inline_keyboard!": [[{"text!": str, "url!": str}]]},
}
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "sendMessage": {
        **_CONTENT,
        "message_thread_id": int,
        "disable_notification": bool,
        "protect_content": bool,
        "reply_parameters": {"message_id!": int, "allow_sending_without_reply": bool},
    },
    "editMessageText": {**_CONTENT, "message_id!": int},
    "deleteMessage": {"chat_id!": (str, int), "message_id!": int},
}
"""The parameters of each method, and their types."""


class TelegramSandbox(ChatSandbox):
    """A sandbox of Telegram: messages and updates.

    Attributes:
        token: token of the bot.
        secret_token: secret that updates carry.
        messages: the messages in all chats, by chat and number.
    """

    hosts = ("api.telegram.org",)

    token: str = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
    secret_token: str = "telegram-sandbox-secret-token"
    messages: dict[tuple[str, int], dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "GET /bot{token}/getMe": self._describe,
            "POST /bot{token}/sendMessage": self._send,
            "POST /bot{token}/editMessageText": self._edit,
            "POST /bot{token}/deleteMessage": self._delete,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response to an unknown method."""
        return _error(404, "Not Found").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the token in the path; a request must not contain other credentials."""
        if request.path.split("/")[1] != f"bot{self.token}":
            raise _error(401, "Unauthorized")
        if request.headers.get("authorization") is not None:
            raise _error(400, "Bad Request: the token belongs in the path")

    def shown(self) -> Sequence[ShownMessage]:
        """Return the messages that people can see."""
        return [_shown_message(chat, message) for (chat, _), message in self.messages.items()]

    def receive(
        self, text: str, *, url: str = "", sender: int = 7, bot: bool = False, edited: bool = False
    ) -> base.Notice:
        """Show a message that a person wrote in the group, and send its update.

        Args:
            text: text of the message.
            url: address of the application.
            sender: number of the user.
            bot: True if a bot wrote it.
            edited: True if an earlier message was changed.
        """
        message: dict[str, Any] = {
            **self._message_head(GROUP),
            "from": {"id": sender, "is_bot": bot, "first_name": "Ada"},
            "text": text,
        }
        if not edited:
            self.messages[GROUP, message["message_id"]] = {**message, **_content({"text": text})}
        kind = "edited_message" if edited else "message"
        body = encode_json({"update_id": 900_000 + self.number(), kind: message})
        headers = {
            "Content-Type": "application/json",
            "X-Telegram-Bot-Api-Secret-Token": self.secret_token,
        }
        return self.notify(url, body, headers)

    def _message_head(self, chat: str) -> dict[str, Any]:
        number = self.number()
        place = {"id": int(chat), "type": "supergroup", "title": "Orders"}
        return {"message_id": number, "date": _FIRST + number, "chat": place}

    def _describe(self, _: base.SandboxRequest, token: str) -> Response:
        user = {"id": int(token.partition(":")[0]), "is_bot": True, "first_name": "Sandbox"}
        return _result(user)

    def _send(self, request: base.SandboxRequest, **_token: str) -> Response:
        body, chat = _parameters(request, "sendMessage")
        answered_id = body.get("reply_parameters", {}).get("message_id")
        if answered_id is not None and (chat, answered_id) not in self.messages:
            raise _error(400, "Bad Request: message to be replied not found")
        message = {**self._message_head(chat), **_content(body)}
        if answered_id is not None:
            message["reply_to_message"] = {"message_id": answered_id}
        self.messages[chat, message["message_id"]] = message
        return _result(_public_message(message))

    def _edit(self, request: base.SandboxRequest, **_token: str) -> Response:
        body, chat = _parameters(request, "editMessageText")
        message = self.messages.get((chat, body["message_id"]))
        if message is None:
            raise _error(400, "Bad Request: message to edit not found")
        content = _content(body)
        if content == {name: message[name] for name in content}:
            raise _error(
                400,
                "Bad Request: message is not modified: specified new message content and reply"
                " markup are exactly the same as a current content and reply markup of the message",
            )
        content["silent"] = message["silent"]
        message |= {**content, "edit_date": message["date"] + 60}
        return _result(_public_message(message))

    def _delete(self, request: base.SandboxRequest, **_token: str) -> Response:
        body, chat = _parameters(request, "deleteMessage")
        if self.messages.pop((chat, body["message_id"]), None) is None:
            raise _error(400, "Bad Request: message to delete not found")
        return _result(result=True)


def _parameters(request: base.SandboxRequest, method: str) -> tuple[dict[str, Any], str]:
    """Return the checked parameters of a method, and the number of their chat."""
    body = request.json()
    invalid_fields = list(problems(FIELDS[method], body))
    if invalid_fields or not is_object(body):
        raise _error(400, f"Bad Request: {invalid_fields}")
    chat = GROUP if body["chat_id"] == f"@{CHANNEL}" else str(body["chat_id"])
    if chat not in _CHATS:
        raise _error(400, "Bad Request: chat not found")
    if chat == _REMOVED:
        raise _error(403, "Forbidden: bot was kicked from the supergroup chat")
    if chat == _FLOOD:
        parameters = {"retry_after": 9}
        raise _error(429, "Too Many Requests: retry after 9", parameters=parameters)
    return body, chat


class _Markup(HTMLParser):
    """Reads the text of an HTML message, and the links in it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            raise _error(400, f'Bad Request: can\'t parse entities: Unsupported start tag "{tag}"')
        self.urls += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def _content(body: dict[str, Any]) -> dict[str, Any]:
    """Return the checked content of a message."""
    text, entities = body["text"], body.get("entities", [])
    urls = [entity["url"] for entity in entities if "url" in entity]
    if "parse_mode" in body:
        markup = _Markup()
        markup.feed(text)
        markup.close()
        text, urls = markup.text, markup.urls
    if not text.strip():
        raise _error(400, "Bad Request: message text is empty")
    if len(text) > _MAX_LENGTH:
        raise _error(400, "Bad Request: message is too long")
    units = len(text.encode("utf-16-le")) // 2
    for entity in entities:
        if not 0 <= entity["offset"] < entity["offset"] + entity["length"] <= units:
            raise _error(400, "Bad Request: entity is outside of the text")
    return {
        "text": text,
        "entities": entities,
        "urls": urls,
        "reply_markup": body.get("reply_markup", {}),
        "silent": body.get("disable_notification", False),
    }


def _public_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message in the API's format."""
    return {name: value for name, value in message.items() if name not in {"urls", "silent"}}


def _shown_message(chat: str, message: dict[str, Any]) -> ShownMessage:
    text: str = message["text"]
    people = [entity["user"] for entity in message["entities"] if "user" in entity]
    people += [url for url in message["urls"] if url.startswith("tg://user")]
    rows = message["reply_markup"].get("inline_keyboard", [])
    answered_id = message.get("reply_to_message", {}).get("message_id")
    return ShownMessage(
        channel=chat,
        text=text.replace(_JOINER, ""),
        mentions=(*_NAME.findall(text), *map(str, people)),
        links=tuple(message["urls"]),
        buttons=tuple((button["text"], button["url"]) for row in rows for button in row),
        thread=None if answered_id is None else str(answered_id),
        silent=message["silent"],
    )


def _result(result: object) -> Response:
    return base.reply({"ok": True, "result": result})


def _error(status: int, description: str, **more: Any) -> base.Refusal:
    body = {"ok": False, "error_code": status, "description": description, **more}
    return base.refusal(body, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = TelegramSandbox()
    account = {"credentials": sandbox.token, "channel": f"@{CHANNEL}"}
    return SandboxFixture(sandbox=sandbox, options=account)
