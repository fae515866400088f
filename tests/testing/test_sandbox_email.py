"""Email sandboxes deliver all messages of an accepted request, and none of a refused one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from moorage.domain.http.headers import Headers
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.email.amazon_ses import AmazonSesSandbox
from moorage.testing.sandboxes.email.mailjet import MailjetSandbox
from moorage.testing.sandboxes.email.mailtrap import MailtrapSandbox
from moorage.testing.sandboxes.email.mandrill import MandrillSandbox
from moorage.testing.sandboxes.email.postal import PostalSandbox
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.testing.sandboxes.email.scaleway import ScalewaySandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.testing.sandboxes.email.sparkpost import SparkPostSandbox
from moorage.testing.sandboxes.email.unisender_go import UnisenderGoSandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response

JSON = {"Content-Type": "application/json"}


def ask(sandbox: Any, method: str, path: str, body: object = None, **query: str) -> Response:
    """Return the response to a request with a JSON body, without credentials."""
    sandbox.check_access = lambda _: None
    content = b"" if body is None else encode_json(body)
    return sandbox.answer(  # type: ignore[no-any-return]  # of any sandbox
        SandboxRequest(method, "", path, tuple(query.items()), Headers(JSON), content)
    )


def postmark_batch(*recipients: str) -> list[dict[str, Any]]:
    """Return a batch of Postmark with a message to each address."""
    return [{"From": "shop@example.com", "To": email, "TextBody": "x"} for email in recipients]


def mailtrap_batch(*recipients: str) -> dict[str, Any]:
    """Return a batch of Mailtrap with a message to each address."""
    common = {"from": {"email": "shop@example.com"}, "subject": "Hi", "text": "x"}
    return {"requests": [{**common, "to": [{"email": email}]} for email in recipients]}


def mailjet_batch(*recipients: str) -> dict[str, Any]:
    """Return a request of Mailjet with a message to each address."""
    common = {"From": {"Email": "shop@example.com"}, "TextPart": "x"}
    return {"Messages": [{**common, "To": [{"Email": email}]} for email in recipients]}


@pytest.mark.parametrize(
    "make, path, batch",
    [
        (PostmarkSandbox, "/email/batch", postmark_batch),
        (MailtrapSandbox, "/api/batch", mailtrap_batch),
        (MailjetSandbox, "/v3.1/send", mailjet_batch),
    ],
)
def test_refused_batch_delivers_no_message(
    make: Callable[[], Any], path: str, batch: Callable[..., Any]
) -> None:
    """If the rate limit refuses a batch, none of its messages is delivered."""
    sandbox = make()
    refused = ask(sandbox, "POST", path, batch("ada@example.com", "throttled@example.com"))
    assert (429, []) == (refused.status, sandbox.delivered)
    ask(sandbox, "POST", path, batch("ada@example.com", "bob@example.com"))

    assert ["ada@example.com", "bob@example.com"] == [mail.to[0] for mail in sandbox.delivered]


MANDRILL: dict[str, Any] = {"from_email": "shop@example.com", "to": [{"email": "ada@example.com"}]}
POSTAL: dict[str, Any] = {"from": "shop@example.com", "to": ["ada@example.com"], "plain_body": "x"}
SCALEWAY: dict[str, Any] = {
    "project_id": ScalewaySandbox().project_id,
    "from": {"email": "shop@example.com"},
    "to": [{"email": "ada@example.com"}],
    "subject": "Long enough",
    "text": "x",
    "html": "",
}
FILE = {"type": "text/plain", "name": "a.txt", "content": "é"}


@pytest.mark.parametrize(
    "make, path, body, stored",
    [
        (
            MandrillSandbox,
            "/api/1.0/messages/send",
            {"key": "k", "message": {**MANDRILL, "attachments": [FILE]}},
            "messages",
        ),
        (
            MandrillSandbox,
            "/api/1.0/messages/send",
            {"key": "k", "message": {**MANDRILL, "headers": {"X-A": 1}}},
            "messages",
        ),
        (
            PostalSandbox,
            "/api/v1/send/message",
            {**POSTAL, "attachments": [{"name": "a.txt", "data": "YQ=", "content_type": "a/b"}]},
            "messages",
        ),
        (
            ScalewaySandbox,
            "/transactional-email/v1alpha1/regions/fr-par/emails",
            {**SCALEWAY, "attachments": [FILE]},
            "emails",
        ),
    ],
)
def test_refused_message_is_not_stored(
    make: Callable[[], Any], path: str, body: object, stored: str
) -> None:
    """A message that is refused because of a file or a header is neither stored nor delivered."""
    sandbox = make()

    assert 400 <= ask(sandbox, "POST", path, body).status < 500
    assert ([], {}) == (sandbox.delivered, getattr(sandbox, stored))


def test_postal_sends_a_file_without_a_type() -> None:
    """Postal sends a file without a type as `application/octet-stream`."""
    sandbox = PostalSandbox()
    files = [{"name": "a", "data": "YQ=="}]
    ask(sandbox, "POST", "/api/v1/send/message", {**POSTAL, "attachments": files})

    assert "application/octet-stream" == sandbox.delivered[0].items[0].content_type


@pytest.mark.parametrize(
    "change, code",
    [
        ({"Headers": [{"Name": "X-A", "Value": 1}]}, 403),
        ({"Metadata": {"order": 7}}, 403),
        ({"Attachments": [{"Name": "a", "Content": 1, "ContentType": "a/b"}]}, 403),
        ({"Attachments": [{"Name": "a", "Content": "é", "ContentType": "a/b"}]}, 300),
    ],
)
def test_postmark_refuses_one_message_of_a_batch(change: dict[str, Any], code: int) -> None:
    """A message of a batch with an unreadable value is refused, and the other is delivered."""
    sandbox = PostmarkSandbox()
    [good, wrong] = postmark_batch("ada@example.com", "bob@example.com")
    answer = ask(sandbox, "POST", "/email/batch", [good, {**wrong, **change}]).json()

    assert [0, code] == [result["ErrorCode"] for result in answer]
    assert ["ada@example.com"] == [mail.to[0] for mail in sandbox.delivered]


SENDGRID: dict[str, Any] = {
    "personalizations": [{"to": [{"email": "ada@example.com"}]}],
    "from": {"email": "shop@example.com"},
    "subject": "Hi",
    "content": [{"type": "text/plain", "value": "x"}],
}


@pytest.mark.parametrize(
    "change, field",
    [
        ({"personalizations": {}}, "personalizations"),
        ({"personalizations": [{"to": [{"mail": "a"}]}]}, "personalizations.0.to.0.email"),
        ({"from": {"name": "Shop"}}, "from.email"),
        ({"reply_to_list": "a@example.com"}, "reply_to_list"),
        ({"subject": 7}, "subject"),
        ({"content": [{"type": "text/plain"}]}, "content.0.value"),
        ({"attachments": [{"content": "YQ=="}]}, "attachments.0.filename"),
        ({"attachments": [{"content": "é", "filename": "a"}]}, "attachments"),
        ({"categories": ["c" * 256]}, "categories"),
        ({"send_at": "tomorrow"}, "send_at"),
        (
            {"tracking_settings": {"click_tracking": {"enable": "yes"}}},
            "tracking_settings.click_tracking.enable",
        ),
        ({"template": "d-welcome"}, "template"),
    ],
)
def test_sendgrid_refuses_wrong_fields(change: dict[str, Any], field: str) -> None:
    """A message with a missing, an unknown or a wrong field is refused, and the field is named."""
    sandbox = SendGridSandbox()
    response = ask(sandbox, "POST", "/v3/mail/send", {**SENDGRID, **change})

    assert (400, field) == (response.status, response.json()["errors"][0]["field"])
    assert [] == sandbox.delivered


def test_sendgrid_sends_the_subject_of_a_personalization() -> None:
    """A subject of a personalization replaces the subject of the whole message."""
    sandbox = SendGridSandbox()
    people = [{"to": [{"email": f"{name}@example.com"}], "subject": name} for name in "ab"]
    body = {**SENDGRID, "personalizations": people}
    del body["subject"]

    assert 202 == ask(sandbox, "POST", "/v3/mail/send", body).status
    assert ["a", "b"] == [mail.subject for mail in sandbox.delivered]


@pytest.mark.parametrize("body", [{}, {"recipient_emails": "a@example.com"}, []])
def test_sendgrid_suppresses_a_list_of_addresses(body: object) -> None:
    """A request without a list of addresses suppresses none."""
    sandbox = SendGridSandbox()

    assert 400 == ask(sandbox, "POST", "/v3/asm/suppressions/global", body).status
    assert {} == sandbox.suppressions


def ses_page(sandbox: Any, cursor: str | None) -> tuple[list[str], str | None]:
    """Return the addresses on a page of Amazon SES, and the cursor of the next page."""
    query = {"PageSize": "2"} | ({"NextToken": cursor} if cursor else {})
    body = ask(sandbox, "GET", "/v2/email/suppression/addresses", **query).json()
    emails = [entry["EmailAddress"] for entry in body["SuppressedDestinationSummaries"]]
    return emails, body.get("NextToken")


def sparkpost_page(sandbox: Any, cursor: str | None) -> tuple[list[str], str | None]:
    """Return the addresses on a page of SparkPost, and the cursor of the next page."""
    query = {"per_page": "2", "cursor": cursor or "initial"}
    body = ask(sandbox, "GET", "/api/v1/suppression-list", **query).json()
    links = [link["href"] for link in body["links"] if link["rel"] == "next"]
    next_cursor = dict(parse_qsl(urlsplit(links[0]).query))["cursor"] if links else None
    return [entry["recipient"] for entry in body["results"]], next_cursor


def unisender_go_page(sandbox: Any, cursor: str | None) -> tuple[list[str], str | None]:
    """Return the addresses on a page of Unisender Go, and the cursor of the next page."""
    path = "/ru/transactional/api/v1/suppression/list.json"
    body = ask(sandbox, "POST", path, {"cursor": cursor} if cursor else {}).json()
    return [entry["email"] for entry in body["suppressions"]], body["cursor"]


@pytest.mark.parametrize(
    "make, read",
    [
        (AmazonSesSandbox, ses_page),
        (SparkPostSandbox, sparkpost_page),
        (UnisenderGoSandbox, unisender_go_page),
    ],
)
def test_cursor_skips_no_suppressed_address(
    make: Callable[[], Any], read: Callable[[Any, str | None], tuple[list[str], str | None]]
) -> None:
    """A client that removes each listed address before the next page still sees all addresses."""
    sandbox = make()
    everyone = [f"{name}@example.com" for name in "abcde"]
    sandbox.suppressions.update(dict.fromkeys(everyone, "BOUNCE"))
    listed: list[str] = []
    emails, cursor = read(sandbox, None)
    while emails:
        listed += emails
        for email in emails:
            del sandbox.suppressions[email]
        emails, cursor = read(sandbox, cursor) if cursor else ([], None)

    assert everyone == listed
