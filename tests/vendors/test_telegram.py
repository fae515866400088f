"""Telegram: requests, responses and updates, and the token in the path."""

from __future__ import annotations

import json
import traceback
from typing import Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    Credentials,
    DryRun,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    Response,
    Safety,
    Timeouts,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.chat import ChatMessage, ChatStatus, LinkButton
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.fakes.observer import RecordingObserver
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.chat.telegram import GROUP, TelegramSandbox
from moorage.vendors.chat._telegram_messages import content
from moorage.vendors.chat.telegram import Telegram

HELLO = ChatMessage(text="Hello.")


def hub(sandbox: TelegramSandbox, **fields: Any) -> Hub:
    """Return a hub with one account at Telegram."""
    options = {"credentials": sandbox.token, "channel": "@orders", **fields}
    account = Account("team", Telegram(**options), settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


@pytest.mark.parametrize(
    "message, fields",
    [
        (HELLO, {"text": "Hello.", "entities": None}),
        (
            ChatMessage(title="Ä😀", text="b", fields={"c": "d"}),
            {
                "text": "Ä😀\nb\nc: d",
                "entities": [
                    {"type": "bold", "offset": 0, "length": 4},
                    {"type": "bold", "offset": 5, "length": 4},
                ],
            },
        ),
        (
            ChatMessage(text="@ada, a@b.example, (@bob) <b>@</b>"),
            {"text": "@\u2060ada, a@b.example, (@\u2060bob) <b>@</b>"},
        ),
        (
            ChatMessage(text="a", buttons=[LinkButton("b", "https://c.example")], silent=True),
            {
                "reply_markup": {"inline_keyboard": [[{"text": "b", "url": "https://c.example"}]]},
                "disable_notification": True,
            },
        ),
    ],
    ids=["plain", "positions", "names", "buttons"],
)
def test_content_of_a_message(message: ChatMessage, fields: dict[str, Any]) -> None:
    """A message is sent as text without markup, with the positions of bold parts."""
    sent_fields = content(message)

    assert fields == {name: sent_fields[name] for name in fields}
    assert {"is_disabled": True} == sent_fields["link_preview_options"]


def test_whole_message_is_limited() -> None:
    """Title, text and fields together have at most 4,096 characters."""
    message = ChatMessage(title="t", text="a" * 4_090, fields={"b": "c"})

    with pytest.raises(InvalidData, match="has 4097 characters") as excinfo:
        content(message)
    assert "text" == excinfo.value.field
    assert 4_096 == len(content(attrs.evolve(message, text="a" * 4_089))["text"])


def test_paths_and_bodies() -> None:
    """Each operation calls its Bot API method, with chat and message ids."""
    sandbox = TelegramSandbox()
    chat = hub(sandbox).chat()
    ref = chat.send(HELLO).ref
    assert ref is not None
    chat.reply(ref, HELLO)
    chat.edit(ref, ChatMessage(text="New."))
    chat.delete(ref)

    methods = [request.path.rpartition("/")[2] for request in sandbox.requests]
    assert ["sendMessage", "sendMessage", "editMessageText", "deleteMessage"] == methods
    bodies = [json.loads(request.body) for request in sandbox.requests]
    assert "@orders" == bodies[0]["chat_id"]
    assert (GROUP, {"message_id": 1}) == (bodies[1]["chat_id"], bodies[1]["reply_parameters"])
    assert (GROUP, 1, "New.") == (bodies[2]["chat_id"], bodies[2]["message_id"], bodies[2]["text"])
    assert {"chat_id": GROUP, "message_id": 1} == bodies[3]


@pytest.mark.parametrize(
    "channel, kind, status",
    [
        ("@nowhere", InvalidRequest, 400),
        ("-1001000000002", VendorRejected, 403),
        ("-1001000000003", RateLimitExceeded, 429),
    ],
)
def test_refusals_of_chats(channel: str, kind: type[Any], status: int) -> None:
    """Each reason why a chat cannot be used raises its own error, with Telegram's status."""
    with pytest.raises(kind) as excinfo:
        hub(TelegramSandbox()).chat().send(attrs.evolve(HELLO, channel=channel))
    assert (kind, status) == (type(excinfo.value), excinfo.value.status)
    if status == 429:
        assert 9.0 == excinfo.value.vendor_retry_after


def test_only_a_rate_limit_asks_for_a_pause() -> None:
    """The time to wait is read only from the error for a rate limit."""
    sandbox = TelegramSandbox()
    body = {"ok": False, "error_code": 400, "description": "No", "parameters": {"retry_after": 5}}
    sandbox.fail(reply(body, 400))

    with pytest.raises(InvalidRequest) as excinfo:
        hub(sandbox).chat().send(HELLO)
    assert excinfo.value.vendor_retry_after is None


@pytest.mark.parametrize("pause", [-5, 10**9, 10**400], ids=["negative", "a lifetime", "endless"])
def test_damaged_pause_is_ignored(pause: int) -> None:
    """A rate limit with a negative or infinite wait is still a rate limit."""
    sandbox = TelegramSandbox()
    body = {"ok": False, "error_code": 429, "parameters": {"retry_after": pause}}
    sandbox.fail(reply(body, 429))

    with pytest.raises(RateLimitExceeded) as excinfo:
        hub(sandbox).chat().send(HELLO)
    assert excinfo.value.vendor_retry_after is None


def test_repeated_edit_and_deletion_are_no_errors() -> None:
    """An edit that changes nothing, and a second deletion, succeed."""
    chat = hub(TelegramSandbox()).chat()
    ref = chat.send(HELLO).ref
    assert ref is not None

    assert (ref, ChatStatus.UPDATED) == attrs.astuple(chat.edit(ref, HELLO), recurse=False)[:2]
    assert [ChatStatus.DELETED] * 2 == [chat.delete(ref).status for _ in range(2)]
    with pytest.raises(VendorRejected, match="message to edit not found"):
        chat.edit(ref, HELLO)


@pytest.mark.parametrize("id_", ["a", "1.5", "²"])
def test_reference_needs_a_number(id_: str) -> None:
    """A reference without a message number is refused before anything is sent."""
    sandbox = TelegramSandbox()
    with pytest.raises(InvalidData, match="does not contain the number"):
        hub(sandbox).chat().delete(Ref("telegram", "team", id_, {"channel": "1"}))
    assert [] == sandbox.requests


def test_edited_message_gives_no_event() -> None:
    """An edited message gives no event; a bot's message is marked as automatic."""
    sandbox = TelegramSandbox()
    team = hub(sandbox)
    verifier = team.webhooks("team", secrets=sandbox.secret_token)

    def events(**fields: Any) -> Any:
        notice = sandbox.receive("Hi", url="https://erp.example/telegram", **fields)
        return team.events("team", verifier.verify(**notice.arguments())[0])

    assert () == events(edited=True)
    bot = events(bot=True, sender=9)[0]
    assert (True, "9", GROUP) == (bot.automatic, bot.sender, bot.channel)


def test_post_in_a_channel_is_a_message_of_the_channel() -> None:
    """A channel post has the channel as sender, and its caption as text."""
    sandbox = TelegramSandbox()
    team = hub(sandbox)
    verifier = team.webhooks("team", secrets=sandbox.secret_token)
    chat = {"id": -1007, "type": "channel"}
    post = {"message_id": 5, "date": 1746268800, "chat": chat, "sender_chat": chat}
    headers = {
        "Content-Type": "application/json",
        "X-Telegram-Bot-Api-Secret-Token": sandbox.secret_token,
    }
    body = json.dumps({"update_id": 1, "channel_post": {**post, "caption": "Look."}}).encode()
    notice = sandbox.notify("https://erp.example/telegram", body, headers)

    event = team.events("team", verifier.verify(**notice.arguments())[0])[0]

    assert Ref("telegram", "team", "5", {"channel": "-1007"}) == event.ref
    assert ("-1007", "-1007", "Look.") == (event.channel, event.sender, event.text)
    assert 2025 == event.at.year


def test_incoming_message_can_be_answered() -> None:
    """A reply to a received message is sent as Telegram's reply to that message."""
    sandbox = TelegramSandbox()
    team = hub(sandbox)
    verifier = team.webhooks("team", secrets=sandbox.secret_token)
    notice = sandbox.receive("Why?", url="https://erp.example/telegram")
    event = team.events("team", verifier.verify(**notice.arguments())[0])[0]

    team.chat().reply(event.ref, ChatMessage(text="Because."))

    shown = sandbox.shown()[-1]
    assert (event.ref.id, "Because.") == (shown.thread, shown.text)


# --- the token ---------------------------------------------------------------


def test_token_is_in_the_path_only() -> None:
    """The token is in the path of each request, and in no header."""
    sandbox = TelegramSandbox()
    hub(sandbox).chat().send(HELLO)

    request = sandbox.requests[0]
    assert f"/bot{sandbox.token}/sendMessage" == request.path
    assert sandbox.token not in f"{request.headers.pairs}{request.query}{request.body!r}"


def test_token_comes_from_a_credential_provider() -> None:
    """A credential provider can supply the token."""
    sandbox = TelegramSandbox()
    credentials = Credentials.api_key(sandbox.token, path="/bot{key}")
    provider = MemoryCredentialProvider({("team", None): credentials})
    account = Account("team", Telegram(channel=GROUP), settings={"retry": None})
    with Hub([account], http=SandboxHttpClient(sandbox), credentials=provider) as team:
        assert ChatStatus.SENT is team.chat().send(HELLO).status


def test_wrong_token_is_refused() -> None:
    """A wrong token raises an authentication error that does not show the token."""
    with pytest.raises(AuthenticationFailed) as excinfo:
        hub(TelegramSandbox(), credentials="110201543:another-token").chat().send(HELLO)
    assert "another-token" not in f"{excinfo.value!r}{vars(excinfo.value)}"


def test_error_of_a_connection_does_not_show_the_token() -> None:
    """If an HTTP client's error quotes the URL, the token is masked in it and in its causes."""
    sandbox = TelegramSandbox()
    url = f"https://api.telegram.org/bot{sandbox.token}/sendMessage"
    quoted_url = url.replace(":", "%3A")

    for text in (url, quoted_url):
        error = ConnectionFailed(f"Could not connect to {text}.")
        error.__cause__ = ConnectionFailed(f"No route to {text}.")
        sandbox.fail(error)
        with pytest.raises(ConnectionFailed) as excinfo:
            hub(sandbox).chat().send(HELLO)
        shown = "".join(traceback.format_exception(excinfo.value))
        assert sandbox.token.partition(":")[2] not in f"{shown}{vars(excinfo.value)}"


def test_error_that_a_vendor_class_makes_is_masked() -> None:
    """The token is also masked in an error that the vendor's own code raises after a request."""

    class RecordingTelegram(Telegram):
        async def send(self, wire: Any, message: Any, /, *, key: str | None) -> Any:
            try:
                return await super().send(wire, message, key=key)
            except VendorRejected as error:
                token = self.credentials
                shown = "" if token is None else token.reveal()
                raise VendorRejected(f"POST /bot{shown}/sendMessage failed.") from error

    sandbox = TelegramSandbox()
    vendor = RecordingTelegram(credentials=sandbox.token, channel="@nowhere")
    with (
        Hub([Account("team", vendor)], http=SandboxHttpClient(sandbox)) as team,
        pytest.raises(VendorRejected, match=r"/\*\*\*/sendMessage") as excinfo,
    ):
        team.chat().send(HELLO)
    assert sandbox.token not in "".join(traceback.format_exception(excinfo.value))


def test_dry_run_does_not_show_the_token() -> None:
    """A dry run reports the operation without the token, and sends nothing."""
    sandbox, observer = TelegramSandbox(), RecordingObserver()
    account = Account("team", Telegram(credentials=sandbox.token, channel="@orders"))
    http = SandboxHttpClient(sandbox)
    with (
        Hub([account], http=http, observers=[observer], safety=Safety(dry_run=True)) as team,
        pytest.raises(DryRun) as excinfo,
    ):
        team.chat().send(HELLO)
    assert [] == sandbox.requests
    assert sandbox.token not in f"{excinfo.value!r}{vars(excinfo.value)}{observer.events!r}"


def test_token_in_an_answer_is_masked() -> None:
    """A token that a response repeats is masked in the error and its response."""
    sandbox = TelegramSandbox()
    sandbox.fail(
        reply({"ok": False, "error_code": 400, "description": f"bot{sandbox.token}?"}, 400)
    )
    with pytest.raises(InvalidRequest) as excinfo:
        hub(sandbox).chat().send(HELLO)
    response = excinfo.value.response
    assert response is not None
    assert sandbox.token not in f"{excinfo.value}{response.text}"


def test_ok_is_required() -> None:
    """A response without `ok` is a failure, even if it contains a message."""
    sandbox = TelegramSandbox()
    sandbox.fail(reply({"result": {"message_id": 1, "chat": {"id": 1}}}))
    with pytest.raises(VendorFailed, match="has no ok"):
        hub(sandbox).chat().send(HELLO)


@pytest.mark.parametrize(
    "answer, field",
    [
        ({"ok": False, "result": {"message_id": 1, "chat": {"id": 1}}}, "ok"),
        ({"ok": True, "result": {"chat": {"id": 1}}}, "message_id"),
        ({"ok": True, "result": {"message_id": 1}}, "message_id"),
    ],
)
def test_sent_message_is_confirmed_and_named(answer: dict[str, Any], field: str) -> None:
    """A message counts as sent only if the response contains the message and its chat."""
    sandbox = TelegramSandbox()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed, match=f"has no {field}"):
        hub(sandbox).chat().send(HELLO)


def test_deletion_is_confirmed() -> None:
    """A deletion counts as done only if Telegram confirms it."""
    sandbox = TelegramSandbox()
    chat = hub(sandbox).chat()
    ref = chat.send(HELLO).ref
    assert ref is not None
    sandbox.fail(reply({"ok": True, "result": False}))
    with pytest.raises(VendorFailed, match="has no result"):
        chat.delete(ref)


def test_only_refusal_that_nothing_would_change_means_that_edit_was_already_done() -> None:
    """Only the error "nothing would change" means that an edit was already done."""
    sandbox = TelegramSandbox()
    chat = hub(sandbox).chat()
    ref = chat.send(HELLO).ref
    assert ref is not None
    sandbox.fail(reply({"ok": False, "error_code": 400}, 400))
    with pytest.raises(InvalidRequest) as excinfo:
        chat.edit(ref, HELLO)
    assert excinfo.value.vendor_message is None


def test_password_in_text_of_refusal_is_masked() -> None:
    """A password in the text of an error response is masked."""
    sandbox = TelegramSandbox()
    words = "Wrong url https://ada:hush-hush-hush@erp.example/a"
    sandbox.fail(reply({"ok": False, "error_code": 400, "description": words}, 400))
    with pytest.raises(InvalidRequest) as excinfo:
        hub(sandbox).chat().send(HELLO)
    assert "hush-hush-hush" not in str(excinfo.value.vendor_message)


# --- the sandbox -------------------------------------------------------------


@pytest.mark.parametrize(
    "method, body, description",
    [
        ("sendMessage", {"text": "a"}, "chat_id"),
        ("sendMessage", {"chat_id": GROUP, "text": " "}, "text is empty"),
        ("sendMessage", {"chat_id": GROUP, "text": "a" * 4_097}, "too long"),
        ("sendMessage", {"chat_id": GROUP, "text": "a", "channel": "b"}, "channel"),
        (
            "sendMessage",
            {"chat_id": GROUP, "text": "a", "reply_parameters": {"message_id": 5}},
            "replied not found",
        ),
        (
            "sendMessage",
            {
                "chat_id": GROUP,
                "text": "a",
                "entities": [{"type": "bold", "offset": 0, "length": 2}],
            },
            "outside of the text",
        ),
        ("sendMessage", {"chat_id": GROUP, "text": "<x>", "parse_mode": "HTML"}, "start tag"),
        ("editMessageText", {"chat_id": GROUP, "message_id": 5, "text": "a"}, "edit not found"),
        ("deleteMessage", {"chat_id": GROUP, "message_id": 5}, "delete not found"),
        ("shout", {}, "Not Found"),
    ],
)
def test_sandbox_refuses_invalid_requests(method: str, body: Any, description: str) -> None:
    """The Telegram sandbox refuses missing, unknown and invalid parameters."""
    sandbox = TelegramSandbox()
    path = f"/bot{sandbox.token}/{method}"
    request = Request.post(path, json=body)

    answer: Response = SandboxHttpClient(sandbox).send(
        request, f"https://api.telegram.org{path}", Timeouts()
    )

    assert answer.json()["ok"] is False
    assert answer.status == answer.json()["error_code"]
    assert description in answer.json()["description"]
