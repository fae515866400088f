"""The `unsubscribe` field of an email."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import InvalidData
from moorage.contracts.email import EmailCapability, EmailMessage
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_unsubscribe import Unsubscribe

URL = "https://shop.example/unsubscribe/4f7a"
ONE_CLICK = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


@pytest.mark.parametrize(
    "fields, headers",
    [
        ({"url": URL}, {"List-Unsubscribe": f"<{URL}>"} | ONE_CLICK),
        ({"url": URL, "one_click": False}, {"List-Unsubscribe": f"<{URL}>"}),
        (
            {"email": "Bye <bye+4f7a@shop.example>"},
            {"List-Unsubscribe": "<mailto:bye+4f7a@shop.example>"},
        ),
        (
            {"url": URL, "email": "tschüß@shop.example"},
            {"List-Unsubscribe": f"<{URL}>, <mailto:tsch%C3%BC%C3%9F@shop.example>"} | ONE_CLICK,
        ),
    ],
    ids=["one click", "page", "mail", "both"],
)
def test_url_precedes_email_address(fields: dict[str, Any], headers: dict[str, str]) -> None:
    """The URL precedes the email address in the header; only one-click URLs add another header."""
    message = EmailMessage(text="News.", headers={"X-A": "1"}, unsubscribe=Unsubscribe(**fields))

    assert {"X-A": "1"} | headers == message.all_headers
    assert {EmailCapability.CUSTOM_HEADERS, EmailCapability.UNSUBSCRIBE} == message.needs


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"url": "http://shop.example/unsubscribe"},
        {"url": "/unsubscribe"},
        {"url": "https://[shop.example"},
        {"url": "https://shop.example/a b"},
        {"url": "https://shop.example/>"},
        {"url": "https://shop.example/\r\nBcc: eve@example.com"},
        {"url": "https://shop.example/ü"},
        {"url": "https://shop.example/" + "a" * 900},
        {"url": b"https://shop.example/"},
        {"email": "shop.example"},
        {"url": URL, "one_click": 1},
    ],
    ids=ascii,
)
def test_unsubscribe_url_or_address_that_no_mail_program_could_use_is_refused(
    fields: dict[str, Any],
) -> None:
    """An unsubscribe URL or address that no mail program could use is refused."""
    with pytest.raises(InvalidData):
        Unsubscribe(**fields)


@pytest.mark.parametrize("name", ["List-Unsubscribe", "list-unsubscribe-post"])
def test_field_excludes_the_header(name: str) -> None:
    """An email or bulk email cannot have both the unsubscribe field and the header."""
    ways, headers = Unsubscribe(url=URL), {name: "x"}
    with pytest.raises(InvalidData, match="both `unsubscribe` and a header List-Unsubscribe"):
        EmailMessage(text="News.", headers=headers, unsubscribe=ways)
    first: dict[str, Any] = {"headers": headers}
    second: dict[str, Any] = {"unsubscribe": ways}
    for base, fields in [(first, second), (second, first)]:
        recipient = BulkRecipient(to="ada@example.com", **fields)
        with pytest.raises(InvalidData, match="both `unsubscribe` and a header List-Unsubscribe"):
            BulkMessage(base=EmailMessage(text="News.", **base), recipients=[recipient])


def test_recipient_unsubscribe_field_completely_replaces_bulk_field() -> None:
    """A recipient's unsubscribe field completely replaces the bulk's field."""
    page = Unsubscribe(url=f"{URL}/ada", one_click=False)
    ada = BulkRecipient(to="ada@example.com", unsubscribe=page)
    bob = BulkRecipient(to="bob@example.com")
    base = EmailMessage(text="News.", headers={"X-A": "1"}, unsubscribe=Unsubscribe(url=URL))
    bulk = BulkMessage(base=base, recipients=[ada, bob])

    assert {"X-A": "1", "List-Unsubscribe": f"<{URL}/ada>"} == bulk.own_headers(ada)
    assert {} == bulk.own_headers(bob)
    assert page == bulk.message_to(ada).unsubscribe
    assert base.unsubscribe == bulk.message_to(bob).unsubscribe


def test_bulk_needs_unsubscribe_capability_even_if_only_one_recipient_uses_field() -> None:
    """A bulk needs the unsubscribe capability even if only one recipient uses the field."""
    ada = BulkRecipient(to="ada@example.com", unsubscribe=Unsubscribe(url=URL))
    bulk = BulkMessage(base=EmailMessage(text="News."), recipients=[ada, "bob@example.com"])

    assert {EmailCapability.UNSUBSCRIBE} == bulk.needs


def test_repr_shows_no_link() -> None:
    """No repr shows an unsubscribe link, because the link identifies a recipient."""
    way = Unsubscribe(url=URL, email="bye@shop.example")

    assert "shop.example" not in repr(EmailMessage(text="News.", unsubscribe=way))
