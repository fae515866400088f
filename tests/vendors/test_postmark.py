"""Postmark: messages, errors and statistics."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    Credentials,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_outcomes import EmailCounts, EmailStatus, StatisticsQuery
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.vendors.email.postmark import Postmark, classify, mail_body
from tests.vendors.email_hubs import hub, mail
from tests.vendors.postmark_account import postmark_hub


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the place where Postmark expects it."""
    body = mail_body(
        Postmark(message_stream="receipts"),
        mail(
            to=["Ada, Countess <ada@example.com>", "bob@example.com"],
            cc="carol@example.com",
            bcc="dan@example.com",
            reply_to=["a@example.com", "b@example.com"],
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[
                Attachment(filename="a.txt", content=b"a", content_type="text/plain"),
                Attachment(
                    filename="l.png",
                    content=b"l",
                    content_type="image/png",
                    disposition="inline",
                    content_id="logo",
                ),
            ],
            tags=["invoice"],
            metadata={"invoice": "7"},
            track_opens=False,
            track_clicks=True,
            extra={"postmark": {"Metadata": {"more": "8"}}, "sendgrid": {"x": 1}},
        ),
    )

    assert {
        "From": "Shop <shop@example.com>",
        "To": '"Ada, Countess" <ada@example.com>, bob@example.com',
        "Cc": "carol@example.com",
        "Bcc": "dan@example.com",
        "ReplyTo": "a@example.com, b@example.com",
        "Subject": "Hi",
        "TextBody": "Hello.",
        "HtmlBody": "<p>",
        "Tag": "invoice",
        "Headers": [{"Name": "X-Kunde", "Value": "=?utf-8?b?w7w=?="}],
        "Attachments": [
            {"Name": "a.txt", "Content": "YQ==", "ContentType": "text/plain"},
            {
                "Name": "l.png",
                "Content": "bA==",
                "ContentType": "image/png",
                "ContentID": "cid:logo",
            },
        ],
        "Metadata": {"invoice": "7", "more": "8"},
        "TrackOpens": False,
        "TrackLinks": "HtmlAndText",
        "MessageStream": "receipts",
    } == body


@pytest.mark.parametrize("query, links", [(None, None), (True, "HtmlAndText"), (False, "None")])
def test_by_default_click_tracking_follows_settings_of_postmark_server(
    *, query: bool | None, links: str | None
) -> None:
    """By default click tracking follows the settings of the Postmark server."""
    assert links == mail_body(Postmark(), mail(track_clicks=query)).get("TrackLinks")


@pytest.mark.parametrize(
    "id_, field, value",
    [
        ("welcome", "TemplateAlias", "welcome"),
        ("42", "TemplateId", 42),
        ("٤", "TemplateAlias", "٤"),
    ],
)
def test_template_is_named_by_its_alias_or_number(id_: str, field: str, value: object) -> None:
    """A Postmark template is sent by alias or number, with its data, even if they are empty."""
    body = mail_body(Postmark(), mail(template=TemplateRef(id_)))

    assert value == body[field]
    assert {} == body["TemplateModel"]
    assert not {"Subject", "TextBody", "HtmlBody"} & set(body)


def test_template_is_filled_in() -> None:
    """An email with a template is sent to Postmark's endpoint for templates."""
    sandbox, mail_hub = postmark_hub()
    mail_hub.email().send_transactional(mail(template=TemplateRef("welcome", {"total": [1]})))

    assert ["/email/withTemplate"] == [request.path for request in sandbox.requests]
    assert {"total": [1]} == sandbox.delivered[0].raw["TemplateModel"]


def test_unknown_template_is_refused() -> None:
    """The error for an unknown template has Postmark's code."""
    _, mail_hub = postmark_hub()
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(template=TemplateRef("none")))

    assert "1101" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"tags": ["a", "b"]}, "tags"),
        ({"metadata": {f"m{number}": "1" for number in range(11)}}, "metadata"),
    ],
)
def test_too_many_tags_are_refused(changes: dict[str, Any], field: str) -> None:
    """More than one tag, or more than ten metadata entries, are refused before sending."""
    sandbox, mail_hub = postmark_hub()
    with pytest.raises(InvalidData) as excinfo:
        mail_hub.email().send_transactional(mail(**changes))

    assert field == excinfo.value.field
    assert [] == sandbox.requests


def test_missing_sender_is_refused() -> None:
    """If neither the email nor the account has a sender, the email is refused for Postmark."""
    with pytest.raises(ConfigurationError, match="sender"):
        mail_body(Postmark(), mail(from_=None))


def test_token_comes_from_the_provider() -> None:
    """Without its own token a Postmark account uses the credential provider."""
    sandbox = PostmarkSandbox()
    provider = MemoryCredentialProvider()
    key = Credentials.api_key(sandbox.token, header="X-Postmark-Server-Token")
    provider.rotate("mail", None, key)
    hub(Postmark(), sandbox, credentials=provider).email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


def test_inactive_recipients_are_reported() -> None:
    """Postmark accepts an email to several people if at least one of them is active."""
    sandbox, mail_hub = postmark_hub()
    value = mail(to=["ada@example.com", "Refused@example.com"], cc="carol@example.com")
    receipt = mail_hub.email().send_transactional(value)

    assert [EmailStatus.QUEUED, EmailStatus.REJECTED, EmailStatus.QUEUED] == [
        recipient.status for recipient in receipt.recipients
    ]
    assert [None, "406", None] == [recipient.code for recipient in receipt.recipients]
    assert "refused@example.com" not in repr(receipt).lower()
    assert ("ada@example.com",) == sandbox.delivered[0].to


def test_delayed_message_is_accepted() -> None:
    """An email that Postmark reports as delayed, without an error code, was accepted."""
    sandbox, mail_hub = postmark_hub()
    words = "Message accepted, but delivery may be delayed."
    sandbox.fail(reply({"Message": words, "MessageID": "m-1", "To": "ada@example.com"}))
    receipt = mail_hub.email().send_transactional(mail())

    assert ("m-1", EmailStatus.QUEUED, (words,)) == (
        receipt.ref.id,
        receipt.status,
        receipt.warnings,
    )


@pytest.mark.parametrize(
    "status, body, kind, code",
    [
        (401, {"ErrorCode": 10, "Message": "no"}, AuthenticationFailed, "10"),
        (503, {"ErrorCode": 100, "Message": "no"}, VendorFailed, "100"),
        (422, {"ErrorCode": 300, "Message": "no"}, InvalidRequest, "300"),
        (200, {"ErrorCode": 300, "Message": "no"}, InvalidRequest, "300"),
        (422, {"ErrorCode": 402, "Message": "no"}, InvalidRequest, "402"),
        (422, {"ErrorCode": 403, "Message": "no"}, InvalidRequest, "403"),
        (422, {"ErrorCode": 409, "Message": "no"}, InvalidRequest, "409"),
        (422, {"ErrorCode": 410, "Message": "no"}, InvalidRequest, "410"),
        (422, {"ErrorCode": 400, "Message": "no"}, VendorRejected, "400"),
        (422, {"ErrorCode": 405, "Message": "no"}, VendorRejected, "405"),
        (422, {"ErrorCode": "411", "Message": "no"}, InvalidRequest, "411"),
        (429, {"ErrorCode": 429, "Message": "no"}, RateLimitExceeded, "429"),
        (422, {"ErrorCode": 9_999, "Message": "no"}, VendorRejected, "9999"),
    ],
)
def test_error_codes_are_classified(
    status: int, body: dict[str, Any], kind: type[Any], code: str | None
) -> None:
    """The code of a Postmark error decides its class, and is kept."""
    error: Any = classify(Request.get("/"), reply(body, status))

    assert type(error) is kind
    assert (code, status, "no") == (error.vendor_code, error.status, error.vendor_message)


@pytest.mark.parametrize(
    "response",
    [
        reply({"ErrorCode": 0, "Message": "OK"}),
        reply([{"ErrorCode": 406}]),
        Response(403, body=b"<html>"),
        reply({"ErrorCode": 701, "Message": "x"}, 500),
        reply({"ErrorCode": 701, "Message": "x"}, 429),
        reply({"ErrorCode": None}, 422),
        reply({"ErrorCode": True}, 422),
    ],
)
def test_other_errors_are_classified_by_status(response: Response) -> None:
    """A Postmark error without a code is classified by its status."""
    assert None is classify(Request.get("/"), response)


def test_postmark_daily_counts_of_five_lists_are_merged_under_contract_names() -> None:
    """Postmark's daily counts of five lists are merged under the contract's names."""
    sandbox, mail_hub = postmark_hub(message_stream="outbound")
    sandbox.days = [
        {
            "Date": "2026-03-01",
            "MessageStream": "outbound",
            "Sent": 10,
            "HardBounce": 1,
            "SoftBounce": 2,
            "Transient": 3,
            "SMTPApiError": 4,
            "SpamComplaint": 1,
            "Opens": 7,
            "Unique": 5,
            "Clicks": 6,
        },
        {"Date": "2026-03-02", "MessageStream": "outbound", "Sent": 1},
        {"Date": "2026-03-02", "MessageStream": "broadcast", "Sent": 100},
        {"Date": "2026-03-03", "MessageStream": "outbound", "Sent": 100},
    ]
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2))
    result = mail_hub.email().get_statistics(query)

    assert [date(2026, 3, 1), date(2026, 3, 2)] == [row.date for row in result.rows]
    assert (
        EmailCounts(
            requested=11,
            bounced=3,
            deferred=3,
            dropped=4,
            opened=7,
            unique_opened=5,
            clicked=6,
            unique_clicked=5,
            complained=1,
        )
        == result.totals
    )
    assert {"sends", "bounces", "spam", "opens", "clicks"} == set(result.raw)


@pytest.mark.parametrize("answer", [{}, {"Days": {}}, {"Days": [{"Sent": 1}]}, []])
def test_days_without_dates_are_malformed(answer: object) -> None:
    """Postmark statistics without dates are a malformed response."""
    sandbox, mail_hub = postmark_hub()
    sandbox.fail(reply(answer))
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 1))
    with pytest.raises(VendorFailed):
        mail_hub.email().get_statistics(query)
