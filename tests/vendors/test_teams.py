"""Microsoft Teams: the card of a message, its size, and the secret URL."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    Request,
    Response,
    Timeouts,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.chat import ChatMessage, ChatStatus, LinkButton
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.chat.teams import TeamsSandbox
from moorage.vendors.chat.teams import Teams, card

HELLO = ChatMessage(text="Hello.")
PATH = "/powerautomate/automations/direct/workflows"


def hub(sandbox: TeamsSandbox, url: str | None = None) -> Hub:
    """Return a hub with one Teams workflow."""
    vendor = Teams(webhook_url=url or sandbox.webhook_url)
    account = Account("team", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def test_card_of_a_message() -> None:
    """A message is an Adaptive Card with a block for each line, and its buttons."""
    message = ChatMessage(
        title="*A*",
        text="[b](https://c.example)\n\nd",
        fields={"Total": "1.00 EUR", "Note": ""},
        buttons=[LinkButton("Open", "https://erp.example/1")],
    )

    def block(*runs: Any, **options: str) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": list(runs), **options}

    def run(text: str, **options: str) -> dict[str, Any]:
        return {"type": "TextRun", "text": text, **options}

    assert card(message) == {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            block(run("*A*", weight="Bolder", size="Large")),
            block(run("[b](https://c.example)"), spacing="Default"),
            block(run("d"), spacing="Medium"),
            block(run("Total: ", weight="Bolder"), run("1.00 EUR"), spacing="Small"),
            block(run("Note: ", weight="Bolder"), spacing="Small"),
        ],
        "actions": [{"type": "Action.OpenUrl", "title": "Open", "url": "https://erp.example/1"}],
    }


def test_lines_without_an_empty_line_between_have_no_space() -> None:
    """Lines of text with no empty line between them are shown without space between them."""
    spacings = [block["spacing"] for block in card(ChatMessage(text="a\nb\n\nc"))["body"]]

    assert ["Default", "None", "Medium"] == spacings


def test_request_is_the_webhook_with_the_card() -> None:
    """The request goes to the webhook's URL, with the card as an attachment."""
    sandbox = TeamsSandbox()
    hub(sandbox).chat().send(HELLO)

    request = sandbox.requests[0]
    assert request.path.startswith(PATH)
    assert {
        "api-version": "1",
        "sp": "/triggers/manual/run",
        "sv": "1.0",
        "sig": sandbox.signature,
    } == dict(request.query)
    body = json.loads(request.body)
    assert ["message"] == [body["type"]]
    assert "application/vnd.microsoft.card.adaptive" == body["attachments"][0]["contentType"]
    assert card(HELLO) == body["attachments"][0]["content"]
    assert sandbox.signature not in request.body.decode()


def test_signature_may_be_anywhere_in_query_of_url() -> None:
    """The signature may be anywhere in the query of the URL; all parameters are sent."""
    sandbox = TeamsSandbox()
    address, _, query = sandbox.webhook_url.partition("?")
    reversed_query = "&".join(reversed(query.split("&")))

    hub(sandbox, f"{address}?{reversed_query}").chat().send(HELLO)

    assert 1 == len(sandbox.cards)


def test_size_is_limited_to_28_kilobytes() -> None:
    """A message of 28 KB is sent, and a larger one is refused before sending."""
    sandbox = TeamsSandbox()
    chat = hub(sandbox).chat()
    chat.send(HELLO)
    spare = 28 * 1024 - len(sandbox.requests[0].body) + len("Hello.")

    chat.send(ChatMessage(text="a" * spare))
    assert 28 * 1024 == len(sandbox.requests[-1].body)
    with pytest.raises(InvalidData, match="has 28673 bytes") as excinfo:
        chat.send(ChatMessage(text="a" * (spare + 1)))
    assert "text" == excinfo.value.field
    with pytest.raises(InvalidData, match="bytes"):
        chat.send(ChatMessage(text="€" * (spare // 3 + 1)))
    assert 2 == len(sandbox.requests)


def test_accepted_message_has_no_reference() -> None:
    """Teams accepts a message but returns no reference; a repeat with its key is not sent."""
    sandbox = TeamsSandbox()
    chat = hub(sandbox).chat()
    receipts = [chat.send(HELLO, idempotency_key="k") for _ in range(2)]

    assert [(ChatStatus.ACCEPTED, None)] * 2 == [(item.status, item.ref) for item in receipts]
    assert [False, True] == [item.replayed for item in receipts]
    assert 1 == len(sandbox.cards)


def test_page_of_a_proxy_is_no_success() -> None:
    """An HTML page with a success status is a failure, since no workflow responds like that."""
    sandbox = TeamsSandbox()
    sandbox.fail(Response(200, body=b"<html></html>"))
    with pytest.raises(VendorFailed):
        hub(sandbox).chat().send(HELLO)
    sandbox.fail(Response(202, body=b"<html></html>"))
    with pytest.raises(OutcomeUnknown):
        hub(sandbox).chat().send(HELLO, idempotency_key="k")


@pytest.mark.parametrize(
    "url",
    [
        "https://prod-01.westeurope.logic.azure.com/workflows/1/triggers/manual/paths/invoke",
        "http://prod-01.westeurope.logic.azure.com/workflows/1?sig=abcdefgh",
        "https:///workflows/1?sig=abcdefgh",
        "https://[/workflows/1?sig=abcdefgh",
        "sig=abcdefgh",
        "",
    ],
)
def test_url_must_be_signed(url: str) -> None:
    """A URL without a signature, and any other text, are refused and not shown."""
    with pytest.raises(InvalidData, match="not the signed webhook URL") as excinfo:
        Teams(webhook_url=url)
    assert "webhook_url" == excinfo.value.field
    assert "abcdefgh" not in "".join(traceback.format_exception(excinfo.value))


def test_neither_repr_nor_errors_show_signature_in_url() -> None:
    """Neither repr nor errors show the signature in the URL."""
    sandbox = TeamsSandbox()
    vendor = Teams(webhook_url=sandbox.webhook_url)
    shown = f"{vendor!r}{vendor.services()!r}{vendor.request(HELLO)!r}{vendor.request(HELLO).query}"
    assert sandbox.signature not in shown

    sandbox.fail(ConnectionFailed(f"Could not connect to {sandbox.webhook_url}."))
    with pytest.raises(ConnectionFailed) as excinfo:
        hub(sandbox).chat().send(HELLO)
    assert sandbox.signature not in "".join(traceback.format_exception(excinfo.value))


def test_each_kind_of_teams_refusal_has_its_own_error() -> None:
    """A wrong signature, a missing workflow and too many messages each raise their own error."""
    sandbox = TeamsSandbox()
    with pytest.raises(AuthenticationFailed, match="no valid signature"):
        hub(sandbox, sandbox.webhook_url + "x").chat().send(HELLO)
    with pytest.raises(VendorRejected) as missing:
        hub(sandbox, sandbox.webhook_url.replace("4a00d2bd", "00000000")).chat().send(HELLO)
    assert "WorkflowNotFound" == missing.value.vendor_code
    with pytest.raises(RateLimitExceeded) as excinfo:
        hub(sandbox).chat().send(ChatMessage(text="too many messages"))
    assert 11.0 == excinfo.value.vendor_retry_after
    image = ChatMessage(text="a", extra={"teams": {"body": [{"type": "Image"}]}})
    with pytest.raises(InvalidRequest):
        hub(sandbox).chat().send(image)
    assert [] == sandbox.cards


@pytest.mark.parametrize("body", [{}, [], {"type": "message", "attachments": [{}]}, {"text": "a"}])
def test_sandbox_refuses_invalid_requests(body: Any) -> None:
    """The sandbox refuses any body but a message with an Adaptive Card."""
    sandbox = TeamsSandbox()
    answer = SandboxHttpClient(sandbox).send(
        Request.post("/", json=body), sandbox.webhook_url, Timeouts()
    )

    assert 400 == answer.status
    assert [] == sandbox.cards
