"""Slack: requests, responses and events."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    Request,
    Response,
    Timeouts,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.chat import ChatMessage, ChatStatus, LinkButton
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.webhooks.events import WebhookEvent
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.chat.slack import SlackSandbox
from moorage.vendors.chat._slack_answers import ERRORS, classify, read_events
from moorage.vendors.chat._slack_content import content
from moorage.vendors.chat.slack import Slack

HELLO = ChatMessage(text="Hello.")


def hub(sandbox: SlackSandbox, **fields: Any) -> Hub:
    """Return a hub with one account at Slack."""
    options = {"credentials": sandbox.token, "channel": "#orders", **fields}
    account = Account("team", Slack(**options), settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def body_of(sandbox: SlackSandbox) -> dict[str, Any]:
    """Return the JSON body of the last request."""
    body: dict[str, Any] = json.loads(sandbox.requests[-1].body)
    return body


def test_content_of_a_message() -> None:
    """A message has a header, rich text and buttons; in its notification, text is escaped."""
    message = ChatMessage(
        title="A & B",
        text="<!here> *now*",
        fields={"Total": "1.00 EUR", "Note": ""},
        buttons=[LinkButton("Open", "https://erp.example/1")],
    )

    bold = {"bold": True}
    assert content(message) == {
        "text": "A &amp; B: &lt;!here&gt; *now*",
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": "A & B", "emoji": False},
            },
            {
                "type": "rich_text",
                "elements": [
                    {
                        "type": "rich_text_section",
                        "elements": [
                            {"type": "text", "text": "<!here> *now*"},
                            {"type": "text", "text": "\nTotal: ", "style": bold},
                            {"type": "text", "text": "1.00 EUR"},
                            {"type": "text", "text": "\nNote: ", "style": bold},
                        ],
                    }
                ],
            },
            {
                "type": "actions",
                "elements": [
                    {
                        "type": "button",
                        "text": {"type": "plain_text", "text": "Open", "emoji": False},
                        "url": "https://erp.example/1",
                    }
                ],
            },
        ],
        "parse": "none",
        "link_names": False,
    }


def test_notification_is_short_enough_for_an_update() -> None:
    """The notification for a long text has at most 4,000 characters, even after escaping."""
    text = content(ChatMessage(text="&" * 4_000))["text"]

    assert 700 * "&amp;" == text


@pytest.mark.parametrize(
    "operation, path, names",
    [
        ("send", "/api/chat.postMessage", {"channel", "unfurl_links", "unfurl_media"}),
        ("edit", "/api/chat.update", {"channel", "ts"}),
    ],
)
def test_paths_and_names(operation: str, path: str, names: set[str]) -> None:
    """Each operation calls its Slack method, with the token in a header and UTF-8 JSON."""
    sandbox = SlackSandbox()
    chat = hub(sandbox).chat()
    ref = chat.send(HELLO).ref

    getattr(chat, operation)(*((ref, HELLO) if operation == "edit" else (HELLO,)))

    request = sandbox.requests[-1]
    assert path == request.path
    assert request.headers["authorization"] == f"Bearer {sandbox.token}"
    assert "application/json; charset=utf-8" == request.headers["content-type"]
    assert {"text", "blocks", "parse", "link_names"} | names == body_of(sandbox).keys()


def test_scheduled_message_is_cancelled_but_not_edited() -> None:
    """A scheduled message has a special id; the id can be used only to cancel the message."""
    sandbox = SlackSandbox()
    chat = hub(sandbox).chat()
    send_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)

    receipt = chat.send(attrs.evolve(HELLO, send_at=send_at))

    assert (ChatStatus.SCHEDULED, send_at) == (receipt.status, receipt.at)
    ref = receipt.ref
    assert ref is not None
    with pytest.raises(InvalidData, match="is scheduled"):
        chat.edit(ref, HELLO)
    with pytest.raises(InvalidData, match="is scheduled"):
        chat.reply(ref, HELLO)
    assert ChatStatus.DELETED is chat.delete(str(ref)).status
    assert "/api/chat.deleteScheduledMessage" == sandbox.requests[-1].path
    assert {} == sandbox.scheduled
    assert ChatStatus.DELETED is chat.delete(ref).status


@pytest.mark.parametrize(
    "days, code", [(-1, "time_in_past"), (121, "time_too_far")], ids=["past", "far"]
)
def test_time_of_sending_is_limited(days: int, code: str) -> None:
    """A sending time in the past, or more than 120 days ahead, is refused."""
    send_at = datetime.now(UTC) + timedelta(days=days)

    with pytest.raises(InvalidRequest) as excinfo:
        hub(SlackSandbox()).chat().send(attrs.evolve(HELLO, send_at=send_at))
    assert code == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "channel, kind, code",
    [
        ("#nowhere", VendorRejected, "channel_not_found"),
        ("#archive", VendorRejected, "is_archived"),
        ("secrets", VendorRejected, "not_in_channel"),
        ("C0000000004", RateLimitExceeded, "ratelimited"),
        ("broken", VendorFailed, "fatal_error"),
    ],
)
def test_refusals_of_channels(channel: str, kind: type[Any], code: str) -> None:
    """Each reason why a channel cannot be used gives its own error class and code."""
    with pytest.raises(kind) as excinfo:
        hub(SlackSandbox()).chat().send(attrs.evolve(HELLO, channel=channel))
    assert (kind, code) == (type(excinfo.value), excinfo.value.vendor_code)


def test_fatal_error_may_have_posted_the_message() -> None:
    """After a fatal error the outcome is unknown, and the message is not posted again."""
    sandbox = SlackSandbox()
    chat = hub(sandbox).chat()
    message = attrs.evolve(HELLO, channel="broken")

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            chat.send(message, idempotency_key="k")
    assert 1 == len(sandbox.shown())


def test_unknown_code_is_a_refusal_with_slacks_messages() -> None:
    """An unknown Slack error code is kept, with Slack's explanation."""
    sandbox = SlackSandbox()
    messages = {"messages": ["[ERROR] must be shorter"]}
    sandbox.fail(reply({"ok": False, "error": "brand_new", "response_metadata": messages}))

    with pytest.raises(VendorRejected, match="must be shorter") as excinfo:
        hub(sandbox).chat().send(HELLO)
    assert "brand_new" == excinfo.value.vendor_code


def test_slack_error_codes_have_these_four_classes() -> None:
    """Slack's error codes have one of four error classes; uncertain codes count as failures."""
    assert {AuthenticationFailed, InvalidRequest, RateLimitExceeded, VendorFailed} == {
        *ERRORS.values()
    }
    assert VendorFailed is ERRORS["fatal_error"] is ERRORS["internal_error"]


def test_ok_is_required() -> None:
    """A response without `ok` is a failure, even if it contains a message id."""
    sandbox = SlackSandbox()
    for answer in ({"channel": "C1", "ts": "1.1"}, {"ok": False, "channel": "C1", "ts": "1.1"}):
        sandbox.fail(reply(answer))
        with pytest.raises(VendorFailed, match="has no ok"):
            hub(sandbox).chat().send(HELLO)


def test_refused_deletion_is_an_error() -> None:
    """A refused deletion is an error, unless the message does not exist."""
    sandbox = SlackSandbox()
    chat = hub(sandbox).chat()
    ref = chat.send(HELLO).ref
    assert ref is not None
    sandbox.fail(reply({"ok": False, "error": "cant_delete_message"}))

    with pytest.raises(VendorRejected, match="cant_delete_message"):
        chat.delete(ref)


def test_status_500_is_no_refusal() -> None:
    """A response with status 500 is a failure and not a rejection, whatever its error code."""
    sandbox = SlackSandbox()
    sandbox.fail(reply({"ok": False, "error": "channel_not_found"}, 500))

    with pytest.raises(VendorFailed):
        hub(sandbox).chat().send(HELLO)


def test_ok_is_required_of_each_operation() -> None:
    """Deletions and scheduled messages also need `ok` in the response."""
    sandbox = SlackSandbox()
    chat = hub(sandbox).chat()
    ref = chat.send(HELLO).ref
    assert ref is not None
    for answer in ({}, {"ok": False}):
        sandbox.fail(reply(answer))
        with pytest.raises(VendorFailed, match="has no ok"):
            chat.delete(ref)
        sandbox.fail(reply({**answer, "channel": "C1", "scheduled_message_id": "Q1"}))
        with pytest.raises(VendorFailed, match="has no ok"):
            chat.send(attrs.evolve(HELLO, send_at=datetime.now(UTC) + timedelta(days=1)))


def test_channel_is_required() -> None:
    """A message without a channel, and a reference without one, are refused."""
    sandbox = SlackSandbox()
    chat = hub(sandbox, channel=None).chat()

    with pytest.raises(InvalidData) as excinfo:
        chat.send(HELLO)
    assert "channel" == excinfo.value.field
    with pytest.raises(InvalidData, match="contain the message's channel"):
        chat.delete(Ref("slack", "team", "1.1"))
    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"text": "a" * 4_001}, "text"),
        ({"title": "a" * 151}, "title"),
        ({"buttons": [LinkButton("a", "https://a.example")] * 26}, "buttons"),
        ({"buttons": [LinkButton("a" * 76, "https://a.example")]}, "buttons"),
    ],
)
def test_message_that_is_too_long_for_slack_is_refused_before_it_is_sent(
    fields: dict[str, Any], field: str
) -> None:
    """A message that is too long for Slack is refused before it is sent."""
    sandbox = SlackSandbox()

    with pytest.raises(InvalidData, match="at most") as excinfo:
        hub(sandbox).chat().send(attrs.evolve(HELLO, **fields))
    assert field == excinfo.value.field
    assert [] == sandbox.requests


def test_silent_message_is_refused() -> None:
    """A silent message is refused, since Slack has no silent messages."""
    with pytest.raises(UnsupportedByVendor):
        hub(SlackSandbox()).chat().send(attrs.evolve(HELLO, silent=True))


@pytest.mark.parametrize(
    "kind, count", [("message", 1), ("app_mention", 1), ("reaction_added", 0), (None, 0)]
)
def test_messages_and_mentions_are_events(kind: str | None, count: int) -> None:
    """A message in a channel and a mention of the application are messages; nothing else is."""
    message = {"type": kind, "channel": "C1", "user": "U1", "text": "Hi", "ts": "1900000000.000001"}
    webhook = WebhookEvent(
        vendor="slack", id="1", type="", vendor_type="", payload={"event": message}
    )
    events = read_events(webhook, lambda id, /, **_: Ref("slack", "team", id))

    assert count == len(events)


def test_answers_and_special_events() -> None:
    """A reply's event has its thread; a bot's message is marked as automatic; edits give none."""
    sandbox = SlackSandbox()
    team = hub(sandbox)
    verifier = team.webhooks("team", secrets=sandbox.signing_secret)

    def events(**fields: Any) -> Any:
        notice = sandbox.receive("Hi", url="https://erp.example/slack", **fields)
        return team.events("team", verifier.verify(**notice.arguments())[0])

    assert "1900000000.000001" == events(thread="1900000000.000001")[0].ref.other("thread")
    bot = events(sender="B0000000009", subtype="bot_message")[0]
    assert (True, "B0000000009") == (bot.automatic, bot.sender)
    for subtype in ("file_share", "me_message", "thread_broadcast"):
        assert 1 == len(events(subtype=subtype))
    assert () == events(subtype="message_changed")
    assert () == events(subtype="channel_join")


def test_answer_to_an_incoming_message_goes_to_its_thread() -> None:
    """A reply to a received message goes to that message's thread."""
    sandbox = SlackSandbox()
    team = hub(sandbox)
    first = team.chat().send(HELLO).ref
    assert first is not None
    verifier = team.webhooks("team", secrets=sandbox.signing_secret)
    notice = sandbox.receive("Why?", url="https://erp.example/slack", thread=first.id)
    event = team.events("team", verifier.verify(**notice.arguments())[0])[0]

    team.chat().reply(event.ref, ChatMessage(text="Because."))

    assert (first.id, "Because.") == (sandbox.shown()[-1].thread, sandbox.shown()[-1].text)


@pytest.mark.parametrize(
    "method, body, code",
    [
        ("chat.postMessage", {"text": "a"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": "orders", "text": "a", "x": 1}, "invalid_arguments"),
        ("chat.postMessage", {"channel": "orders"}, "no_text"),
        ("chat.postMessage", {"channel": "orders", "text": "a" * 4_001}, "msg_too_long"),
        ("chat.postMessage", {"channel": "orders", "blocks": [{}]}, "invalid_blocks"),
        (
            "chat.postMessage",
            {"channel": "orders", "blocks": [{"type": "actions", "elements": []}]},
            "invalid_blocks",
        ),
        (
            "chat.postMessage",
            {"channel": "orders", "text": "a", "thread_ts": "1.1"},
            "cannot_reply_to_message",
        ),
        ("chat.update", {"channel": "orders", "ts": "1.1", "text": "a"}, "message_not_found"),
        ("chat.delete", {"channel": "orders", "ts": "1.1"}, "message_not_found"),
        (
            "chat.deleteScheduledMessage",
            {"channel": "orders", "scheduled_message_id": "Q1"},
            "invalid_scheduled_message_id",
        ),
        ("chat.shout", {}, "unknown_method"),
    ],
)
def test_sandbox_refuses_invalid_requests(method: str, body: Any, code: str) -> None:
    """The Slack sandbox refuses missing, unknown and invalid arguments."""
    sandbox = SlackSandbox()
    client = SandboxHttpClient(sandbox)
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    request = Request.post(f"/api/{method}", json=body, headers=headers)

    answer: Response = client.send(request, f"https://slack.com/api/{method}", Timeouts())

    assert (200, False, code) == (answer.status, answer.json()["ok"], answer.json()["error"])


CREDENTIAL_CODES = """
    access_denied accesslimited account_inactive bad_token ekm_access_denied
    enterprise_is_restricted invalid_auth invalid_token missing_scope no_permission
    not_allowed_token_type not_authed org_login_required token_expired token_revoked
    two_factor_setup_required
"""
REQUEST_CODES = """
    invalid_arg_name invalid_arguments invalid_array_arg invalid_attachments invalid_blocks
    invalid_blocks_format invalid_charset invalid_form_data invalid_json invalid_metadata_format
    invalid_metadata_schema invalid_post_type invalid_time json_not_object markdown_text_conflict
    missing_post_type msg_blocks_too_long msg_too_long no_text request_timeout time_in_past
    time_too_far too_many_attachments
"""


@pytest.mark.parametrize(
    "codes, kind",
    [
        (CREDENTIAL_CODES, AuthenticationFailed),
        (REQUEST_CODES, InvalidRequest),
        ("fatal_error internal_error service_unavailable update_failed", VendorFailed),
        ("ratelimited rate_limited message_limit_exceeded", RateLimitExceeded),
        ("channel_not_found is_archived", VendorRejected),
    ],
)
def test_code_of_a_refusal_has_an_error_class(codes: str, kind: type[Exception]) -> None:
    """Each known error code of Slack's methods has its class of error."""
    for code in codes.split():
        answer = reply({"ok": False, "error": code})

        assert (code, kind) == (code, type(classify(Request.post("/chat.postMessage"), answer)))


def test_sandbox_requires_a_token() -> None:
    """The Slack sandbox refuses a missing token and a wrong token with different codes."""
    with pytest.raises(AuthenticationFailed, match="invalid_auth"):
        hub(SlackSandbox(), credentials="xoxb-another").chat().send(HELLO)
