"""Test subjects of all chat vendors for the conformance kit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moorage.contracts.chat import ChatStatus, LinkButton
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.chat_conformance import ChatSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.chat.slack import SlackSandbox
from moorage.testing.sandboxes.chat.teams import TeamsSandbox
from moorage.testing.sandboxes.chat.telegram import TelegramSandbox
from moorage.vendors.chat.slack import Slack
from moorage.vendors.chat.teams import Teams
from moorage.vendors.chat.telegram import Telegram

if TYPE_CHECKING:
    from collections.abc import Callable

BUTTON: Final = LinkButton("Open", "https://erp.example/1")


def slack_error(code: str, status: int = 200, **headers: str) -> Response:
    """Return an error response of Slack."""
    return reply({"ok": False, "error": code}, status, **headers)


def telegram_error(status: int, words: str, **more: object) -> Response:
    """Return an error response of Telegram."""
    return reply({"ok": False, "error_code": status, "description": words, **more}, status)


def teams_error(status: int, code: str, **headers: str) -> Response:
    """Return an error response of a Teams workflow."""
    return reply({"error": {"code": code, "message": "This did not work."}}, status, **headers)


def slack() -> ChatSubject:
    """Return a Slack test subject with a new sandbox."""
    sandbox = SlackSandbox()
    plain_text = {"emoji": False, "type": "plain_text"}
    return ChatSubject(
        vendor=Slack(credentials=sandbox.token, channel="#orders"),
        sandbox=sandbox,
        channel="orders",
        refusals=(
            (slack_error("channel_not_found"), VendorRejected, "channel_not_found"),
            (slack_error("is_archived"), VendorRejected, "is_archived"),
            (slack_error("a_new_word"), VendorRejected, "a_new_word"),
            (slack_error("invalid_auth"), AuthenticationFailed, "invalid_auth"),
            (slack_error("token_revoked"), AuthenticationFailed, "token_revoked"),
            (slack_error("missing_scope"), AuthenticationFailed, "missing_scope"),
            (slack_error("msg_too_long"), InvalidRequest, "msg_too_long"),
            (slack_error("invalid_blocks"), InvalidRequest, "invalid_blocks"),
            (slack_error("rate_limited"), RateLimitExceeded, "rate_limited"),
            (slack_error("ratelimited", 429), RateLimitExceeded, "ratelimited"),
        ),
        uncertain=(
            slack_error("fatal_error"),
            slack_error("internal_error"),
            slack_error("service_unavailable"),
            slack_error("fatal_error", 500),
        ),
        pause=(slack_error("ratelimited", 429, Retry_After="30"), 30.0),
        option=("icon_emoji", ":truck:"),
        secrets=(sandbox.token,),
        webhook_secret=sandbox.signing_secret,
        receive=sandbox.receive,
        requests=(
            (
                {"title": "New", "fields": {"Total": "1.00"}, "buttons": [BUTTON]},
                {
                    "channel": "#orders",
                    "text": "New: Order 1042 of Ada is paid.",
                    "blocks.text": {**plain_text, "text": "New"},
                    "blocks.elements.elements": {
                        "type": "text",
                        "text": "\nTotal: ",
                        "style": {"bold": True},
                    },
                    "blocks.elements.url": "https://erp.example/1",
                    "parse": "none",
                    "link_names": False,
                    "unfurl_links": False,
                    "thread_ts": None,
                    "post_at": None,
                },
            ),
            ({"channel": "C0000000001", "text": "a & <b>"}, {"text": "a &amp; &lt;b&gt;"}),
        ),
        answers=(
            (
                "send",
                reply({"ok": True, "channel": "C7", "ts": "1503435956.000247", "message": {}}),
                {
                    "ref": Ref("slack", "chats", "1503435956.000247", {"channel": "C7"}),
                    "status": ChatStatus.SENT,
                    "at": datetime(2017, 8, 22, 21, 5, 56, tzinfo=UTC),
                },
            ),
            (
                "reply",
                reply({"ok": True, "channel": "C0000000001", "ts": "1503435957.000001"}),
                {
                    "ref": Ref(
                        "slack",
                        "chats",
                        "1503435957.000001",
                        {"channel": "C0000000001", "thread": "1900000001.000001"},
                    ),
                    "status": ChatStatus.SENT,
                },
            ),
            (
                "edit",
                reply({"ok": True, "channel": "C7", "ts": "1401383885.000061", "text": "New"}),
                {
                    "ref": Ref("slack", "chats", "1401383885.000061", {"channel": "C7"}),
                    "status": ChatStatus.UPDATED,
                },
            ),
            (
                "delete",
                reply({"ok": True, "channel": "C7", "ts": "1401383885.000061"}),
                {"status": ChatStatus.DELETED, "at": None},
            ),
        ),
    )


def telegram() -> ChatSubject:
    """Return a Telegram test subject with a new sandbox."""
    sandbox = TelegramSandbox()
    message = {"message_id": 42, "date": 1746268800, "chat": {"id": -1007, "type": "channel"}}
    return ChatSubject(
        vendor=Telegram(credentials=sandbox.token, channel="@orders"),
        sandbox=sandbox,
        channel="-1001000000001",
        refusals=(
            (telegram_error(400, "Bad Request: chat not found"), InvalidRequest, "400"),
            (telegram_error(401, "Unauthorized"), AuthenticationFailed, "401"),
            (telegram_error(404, "Not Found"), AuthenticationFailed, "404"),
            (
                telegram_error(403, "Forbidden: bot was kicked from the supergroup chat"),
                VendorRejected,
                "403",
            ),
            (telegram_error(429, "Too Many Requests: retry after 5"), RateLimitExceeded, "429"),
        ),
        uncertain=(telegram_error(500, "Internal Server Error"),),
        pause=(
            telegram_error(429, "Too Many Requests: retry after 5", parameters={"retry_after": 5}),
            5.0,
        ),
        option=("protect_content", True),
        secrets=(sandbox.token, sandbox.token.partition(":")[2]),
        webhook_secret=sandbox.secret_token,
        receive=sandbox.receive,
        requests=(
            (
                {"title": "😀 New", "silent": True, "buttons": [BUTTON]},
                {
                    "chat_id": "@orders",
                    "text": "😀 New\nOrder 1042 of Ada is paid.",
                    "entities": {"type": "bold", "offset": 0, "length": 7},
                    "disable_notification": True,
                    "reply_markup.inline_keyboard": [
                        [{"text": "Open", "url": "https://erp.example/1"}]
                    ],
                    "link_preview_options.is_disabled": True,
                    "parse_mode": None,
                    "reply_parameters": None,
                },
            ),
            (
                {"text": "😀", "fields": {"To": "@ada a@b.example"}},
                {
                    "text": "😀\nTo: @\u2060ada a@b.example",
                    "entities": {"type": "bold", "offset": 2, "length": 5},
                    "disable_notification": None,
                    "reply_markup": None,
                },
            ),
        ),
        answers=(
            (
                "send",
                reply({"ok": True, "result": message}),
                {
                    "ref": Ref("telegram", "chats", "42", {"channel": "-1007"}),
                    "status": ChatStatus.SENT,
                    "at": datetime(2025, 5, 3, 10, 40, tzinfo=UTC),
                },
            ),
            (
                "edit",
                reply({"ok": True, "result": {**message, "edit_date": 1746268860}}),
                {
                    "ref": Ref("telegram", "chats", "42", {"channel": "-1007"}),
                    "status": ChatStatus.UPDATED,
                    "at": datetime(2025, 5, 3, 10, 41, tzinfo=UTC),
                },
            ),
            ("delete", reply({"ok": True, "result": True}), {"status": ChatStatus.DELETED}),
        ),
    )


def teams() -> ChatSubject:
    """Return a Teams test subject with a new sandbox."""
    sandbox = TeamsSandbox()
    card = "attachments.content"
    return ChatSubject(
        vendor=Teams(webhook_url=sandbox.webhook_url),
        sandbox=sandbox,
        channel=None,
        refusals=(
            (teams_error(400, "TriggerInputSchemaMismatch"), InvalidRequest),
            (
                teams_error(401, "DirectApiAuthorizationRequired"),
                AuthenticationFailed,
                "DirectApiAuthorizationRequired",
            ),
            (teams_error(404, "WorkflowNotFound"), VendorRejected, "WorkflowNotFound"),
            (teams_error(413, "RequestEntityTooLarge"), InvalidRequest),
            (teams_error(429, "TooManyRequests"), RateLimitExceeded, "TooManyRequests"),
        ),
        uncertain=(teams_error(502, "NoResponse"),),
        pause=(teams_error(429, "TooManyRequests", Retry_After="11"), 11.0),
        option=("speak", "An order was paid."),
        secrets=(sandbox.signature,),
        answers_empty=True,
        requests=(
            (
                {"title": "New", "text": "a\n\nb", "fields": {"To": "Ada"}, "buttons": [BUTTON]},
                {
                    "type": "message",
                    f"{card}.version": "1.4",
                    f"{card}.body.inlines": {"type": "TextRun", "text": "b"},
                    f"{card}.body.inlines.weight": "Bolder",
                    f"{card}.actions": {
                        "type": "Action.OpenUrl",
                        "title": "Open",
                        "url": "https://erp.example/1",
                    },
                },
            ),
            ({}, {f"{card}.actions": None}),
        ),
        answers=(
            ("send", Response(202), {"ref": None, "status": ChatStatus.ACCEPTED, "at": None}),
            ("send", reply({"id": "1"}), {"ref": None, "status": ChatStatus.ACCEPTED}),
        ),
    )


SUBJECTS: Final[list[Callable[[], ChatSubject]]] = [slack, teams, telegram]
