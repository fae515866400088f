"""A local sandbox that imitates Slack.

It has the channels `orders` (C0000000001), `archive` (C0000000002), which is archived, `secrets`
(C0000000003), where the bot is not a member, `flood` (C0000000004), which has had too many
messages, and `broken` (C0000000005): a message there is posted, and answered with `fatal_error`.
A channel is named by its id, by its name, or by its name after a hash.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.chat._slack_blocks import block_problems, shown_message
from moorage.testing.sandboxes.chat.base import CHANNEL, ChatSandbox
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.chat.base import ShownMessage

_CHANNELS: Final = {
    CHANNEL: "C0000000001",
    "archive": "C0000000002",
    "secrets": "C0000000003",
    "flood": "C0000000004",
    "broken": "C0000000005",
}
_BROKEN_CHANNEL: Final = _CHANNELS["broken"]
_REFUSED: Final = {
    _CHANNELS["archive"]: "is_archived",
    _CHANNELS["secrets"]: "not_in_channel",
}
_FIRST: Final = 1_900_000_000
_LAST_DAY: Final = 120
_COMMON: Final[dict[str, Any]] = {
    "channel!": str,
    "text": str,
    "blocks": list,
    "attachments": list,
    "markdown_text": str,
    "metadata": dict,
    "parse": frozenset({"none", "full"}),
    "link_names": bool,
    "reply_broadcast": bool,
}
_POSTED: Final = {
    **_COMMON,
    "thread_ts": str,
    "unfurl_links": bool,
    "unfurl_media": bool,
}
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "chat.postMessage": {
        **_POSTED,
        **typed(str, "username icon_emoji icon_url"),
        "mrkdwn": bool,
    },
    "chat.scheduleMessage": {**_POSTED, "post_at!": int},
    "chat.update": {**_COMMON, "ts!": str, "file_ids": list},
    "chat.delete": {"channel!": str, "ts!": str},
    "chat.deleteScheduledMessage": {"channel!": str, "scheduled_message_id!": str},
}
"""The arguments of each method, and their types."""


class SlackSandbox(ChatSandbox):
    """A sandbox of Slack: messages, threads, and events.

    Attributes:
        token: token of the bot.
        signing_secret: secret that events are signed with.
        messages: the posted messages, by channel and timestamp, as the API returns them.
        scheduled: the scheduled messages, by id.
    """

    hosts = ("slack.com",)

    token: str = "xoxb-sandbox-000000000001"
    signing_secret: str = "slack-sandbox-signing-secret"
    messages: dict[tuple[str, str], dict[str, Any]] = base.state_field(dict)
    scheduled: dict[str, dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "GET /api/auth.test": self._auth_test,
            "POST /api/chat.postMessage": self._post,
            "POST /api/chat.scheduleMessage": self._schedule,
            "POST /api/chat.update": self._update,
            "POST /api/chat.delete": self._delete,
            "POST /api/chat.deleteScheduledMessage": self._cancel,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to an unknown method."""
        return _error("unknown_method", req_method=request.path).response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token."""
        token = request.bearer()
        if token != self.token:
            raise _error("not_authed" if token is None else "invalid_auth")

    def shown(self) -> Sequence[ShownMessage]:
        """Return the messages that people can see."""
        return [shown_message(message, channel) for (channel, _), message in self.messages.items()]

    def receive(
        self,
        text: str,
        *,
        url: str = "",
        sender: str = "U0000000007",
        thread: str | None = None,
        subtype: str | None = None,
    ) -> base.Notice:
        """Show a message that a person wrote in the channel `orders`, and send its event.

        Args:
            text: text of the message, in Slack's markup.
            url: address of the application.
            sender: id of the user; an id that begins with B is a bot.
            thread: timestamp of the message to which it replies.
            subtype: Slack's word for a special kind of message.
        """
        stamp = self._new_timestamp()
        person = {"bot_id" if sender.startswith("B") else "user": sender}
        event = {
            "type": "message",
            "channel": _CHANNELS[CHANNEL],
            "channel_type": "channel",
            "text": text,
            "ts": stamp,
            "event_ts": stamp,
            **person,
            **({} if thread is None else {"thread_ts": thread}),
            **({} if subtype is None else {"subtype": subtype}),
        }
        if subtype is None:
            self.messages[_CHANNELS[CHANNEL], stamp] = {**event, "blocks": []}
        content: dict[str, Any] = {
            "token": "unused",
            "team_id": "T0000000001",
            "api_app_id": "A0000000001",
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{self.number():010d}",
            "event_time": int(stamp.partition(".")[0]),
            "authed_users": [],
        }
        body, sent_at = encode_json(content), str(int(datetime.now(UTC).timestamp()))
        signed_text = b"v0:" + sent_at.encode() + b":" + body
        headers = {
            "Content-Type": "application/json",
            "X-Slack-Request-Timestamp": sent_at,
            "X-Slack-Signature": f"v0={hex_hmac(self.signing_secret, signed_text)}",
        }
        return self.notify(url, body, headers)

    def _new_timestamp(self) -> str:
        number = self.number()
        return f"{_FIRST + number}.{number:06d}"

    def _auth_test(self, _: base.SandboxRequest) -> Response:
        return base.reply({"ok": True, "team_id": "T0000000001", "bot_id": "B0000000001"})

    def _post(self, request: base.SandboxRequest) -> Response:
        body, channel = _arguments(request)
        thread = body.get("thread_ts")
        if thread is not None and self.messages.get((channel, thread), {}).get("thread_ts", ""):
            raise _error("cannot_reply_to_message")
        if thread is not None and (channel, thread) not in self.messages:
            raise _error("cannot_reply_to_message")
        stamp = self._new_timestamp()
        message = {**_content(body), "type": "message", "bot_id": "B0000000001", "ts": stamp}
        if thread is not None:
            message["thread_ts"] = thread
        self.messages[channel, stamp] = message
        if channel == _BROKEN_CHANNEL:
            raise _error("fatal_error")
        return base.reply({"ok": True, "channel": channel, "ts": stamp, "message": message})

    def _schedule(self, request: base.SandboxRequest) -> Response:
        body, channel = _arguments(request)
        days = (body["post_at"] - datetime.now(UTC).timestamp()) / 86_400
        if days <= 0:
            raise _error("time_in_past")
        if days > _LAST_DAY:
            raise _error("time_too_far")
        id_ = f"Q{self.number():010d}"
        message = {**_content(body), "type": "delayed_message", "bot_id": "B0000000001"}
        self.scheduled[id_] = {"channel": channel, "post_at": body["post_at"], **message}
        author = {"user": "U0000000001", "team": "T0000000001"}
        return base.reply(
            {
                "ok": True,
                "channel": channel,
                "scheduled_message_id": id_,
                "post_at": body["post_at"],
                "message": {**message, **author},
            }
        )

    def _update(self, request: base.SandboxRequest) -> Response:
        body, channel = _arguments(request)
        message = self.messages.get((channel, body["ts"]))
        if message is None:
            raise _error("message_not_found")
        message |= _content(body)
        return base.reply(
            {
                "ok": True,
                "channel": channel,
                "ts": body["ts"],
                "text": message["text"],
                "message": message,
            }
        )

    def _delete(self, request: base.SandboxRequest) -> Response:
        body, channel = _arguments(request)
        if self.messages.pop((channel, body["ts"]), None) is None:
            raise _error("message_not_found")
        return base.reply({"ok": True, "channel": channel, "ts": body["ts"]})

    def _cancel(self, request: base.SandboxRequest) -> Response:
        body, channel = _arguments(request)
        id_ = body["scheduled_message_id"]
        if self.scheduled.get(id_, {}).get("channel") != channel:
            raise _error("invalid_scheduled_message_id")
        del self.scheduled[id_]
        return base.reply({"ok": True})


def _arguments(request: base.SandboxRequest) -> tuple[dict[str, Any], str]:
    """Return the checked arguments of a method, and the id of their channel."""
    body: dict[str, Any] = request.json()
    method = request.path.rpartition("/")[2]
    messages = [
        f"{location}/{name}: {kind}" for location, name, kind in problems(FIELDS[method], body)
    ]
    if messages:
        raise _error("invalid_arguments", response_metadata={"messages": messages})
    channel_name: str = body["channel"]
    channel = _CHANNELS.get(channel_name.removeprefix("#"), channel_name)
    if channel not in _CHANNELS.values():
        raise _error("channel_not_found")
    if channel in _REFUSED:
        raise _error(_REFUSED[channel])
    if channel == _CHANNELS["flood"]:
        raise base.refusal({"ok": False, "error": "ratelimited"}, 429, Retry_After="7")
    return body, channel


def _content(body: dict[str, Any]) -> dict[str, Any]:
    """Return the checked content of a message."""
    text, blocks = body.get("text", ""), body.get("blocks", [])
    if not text and not blocks:
        raise _error("no_text")
    if len(text) > 4_000:
        raise _error("msg_too_long")
    invalid_blocks = [problem for block in blocks for problem in block_problems(block)]
    if invalid_blocks or len(blocks) > 50:
        raise _error("invalid_blocks", response_metadata={"messages": invalid_blocks})
    return {"text": text, "blocks": blocks}


def _error(code: str, **more: Any) -> base.Refusal:
    return base.refusal({"ok": False, "error": code, **more}, 200)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = SlackSandbox()
    account = {"credentials": sandbox.token, "channel": CHANNEL}
    return SandboxFixture(sandbox=sandbox, options=account)
