"""The value types of the email contract."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from moorage import InvalidData, Ref
from moorage.contracts.email import (
    Attachment,
    EmailCapability,
    EmailMessage,
    TemplateRef,
    check_addressed,
    check_fits,
)
from moorage.contracts.email_address import EmailAddress, as_addresses
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient, as_recipient, fill_placeholders
from moorage.contracts.email_outcomes import (
    EmailCounts,
    EmailEvent,
    EmailStatistics,
    EmailStatus,
    Granularity,
    StatisticsQuery,
    StatisticsRow,
)
from moorage.contracts.email_unsubscribe import Unsubscribe


def _message_of(values: dict[str, Any]) -> EmailMessage:
    """Return a message built from plain values, such as file names."""
    if "attachments" in values:
        values["attachments"] = [Attachment(filename=values["attachments"], content=b"")]
    if "template" in values:
        values["template"] = TemplateRef(values["template"])
    return EmailMessage(text="Hello.", **values)


BREAKS = ["\r\n", "\n", "\r", "\0", "\x0b", "\x85", "\u2028", "\ud800"]


@pytest.mark.parametrize(
    "text, email, name",
    [
        ("ada@example.com", "ada@example.com", None),
        (" ada@example.com ", "ada@example.com", None),
        ("Ada <ada@example.com>", "ada@example.com", "Ada"),
        ('"Lovelace, Ada" <ada@example.com>', "ada@example.com", "Lovelace, Ada"),
        ("<ada@example.com>", "ada@example.com", None),
        ("Zoë <zoë@münchen.example>", "zoë@münchen.example", "Zoë"),
        ("root@localhost", "root@localhost", None),
        ("o'neil+tag@a-b.example", "o'neil+tag@a-b.example", None),
    ],
)
def test_address_is_parsed(text: str, email: str, name: str | None) -> None:
    """An email address is parsed with or without a display name."""
    assert EmailAddress(email, name) == EmailAddress.parse(text)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "a b@example.com",
        "a@b@c",
        "a..b@example.com",
        ".a@example.com",
        "a@-b.example",
        "a@b..example",
        "a@[127.0.0.1]",
        "<a@example.com>",
        "a" * 65 + "@example.com",
        "a@" + "b" * 253,
        "a@" + "ü" * 64 + ".example",
        "a@b\uff20example.com",
        "a@b\uff0cexample.com",
        "a@b\uff1eexample.com",
    ],
)
def test_invalid_addresses_are_refused(email: str) -> None:
    """An invalid e-mail address is refused."""
    with pytest.raises(InvalidData):
        EmailAddress(email)


@pytest.mark.parametrize("part", BREAKS, ids=ascii)
@pytest.mark.parametrize(
    "where",
    [
        {"to": "ada@example.com{}Bcc: eve@example.com"},
        {"to": "Ada{}Bcc: eve@example.com <ada@example.com>"},
        {"to": EmailAddress("ada@example.com"), "subject": "Hi{}Bcc: eve@example.com"},
        {"headers": {"X-A": "b{}Bcc: eve@example.com"}},
        {"headers": {"X-A{}Bcc": "eve@example.com"}},
        {"tags": ["a{}b"]},
        {"metadata": {"a{}": "b"}},
        {"metadata": {"a": "b{}"}},
        {"attachments": "a{}.pdf"},
        {"template": "d{}"},
    ],
    ids=["address", "name", "subject", "value", "header", "tag", "key", "word", "file", "template"],
)
def test_header_injection_is_refused(where: dict[str, Any], part: str) -> None:
    """Line breaks and similar characters are refused in all fields that become headers."""

    def inject_header(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{}", part)
        if isinstance(value, list):
            return [inject_header(item) for item in value]
        if isinstance(value, dict):
            return {inject_header(name): inject_header(field) for name, field in value.items()}
        return value

    fields = {name: inject_header(value) for name, value in where.items()}

    with pytest.raises(InvalidData):
        _message_of(fields)


@pytest.mark.parametrize(
    "name", ["To", "bcc", "Subject", "From", "Content-Type", "Message-ID", "a b", "", "ä", "a:b"]
)
def test_headers_with_a_field_are_refused(name: str) -> None:
    """A header that has its own field in a message, such as `Subject`, is refused."""
    with pytest.raises(InvalidData, match="header"):
        EmailMessage(text="Hello.", headers={name: "x"})


def test_duplicate_headers_are_refused() -> None:
    """Two headers of one email whose names differ only in case are refused."""
    with pytest.raises(InvalidData):
        EmailMessage(text="Hello.", headers={"X-A": "1", "x-a": "2"})


@pytest.mark.parametrize(
    "fields",
    [
        {"filename": ""},
        {"filename": "../a.pdf"},
        {"filename": "a\\b.pdf"},
        {"content": "text"},
        {"content_type": "pdf"},
        {"disposition": "inline"},
        {"content_id": "logo"},
        {"disposition": "inline", "content_id": "a b"},
        {"disposition": "inline", "content_id": "<logo>"},
    ],
)
def test_invalid_attachments_are_refused(fields: dict[str, Any]) -> None:
    """An attachment needs a plain name, bytes, a type, and a content id if it is inline."""
    default_options: dict[str, Any] = {"filename": "a.pdf", "content": b"x"}
    with pytest.raises(InvalidData):
        Attachment(**{**default_options, **fields})


def _logo() -> Attachment:
    return Attachment(
        filename="logo.png",
        content=b"png",
        content_type="image/png",
        disposition="inline",
        content_id="logo",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"text": None},
        {"send_at": datetime(2030, 1, 1)},  # noqa: DTZ001 - that is what is wrong
        {"to": ["a@example.com"], "cc": ["A@example.com"]},
        {"attachments": [_logo(), _logo()]},
        {"text": "\ud800"},
        {"html": b"bytes"},
    ],
    ids=["nothing", "time", "twice", "images", "surrogate", "bytes"],
)
def test_invalid_messages_are_refused(fields: dict[str, Any]) -> None:
    """An email needs content, valid recipients, and a time zone if it is scheduled."""
    default_options: dict[str, Any] = {"text": "Hello."}
    with pytest.raises(InvalidData):
        EmailMessage(**{**default_options, **fields})


def test_needed_capabilities_of_a_message() -> None:
    """The capabilities that an email needs follow from its fields."""
    plain_message = EmailMessage(to="a@example.com", text="Hello.")
    rich = EmailMessage(
        to="zoë@example.com",
        envelope_sender="b@example.com",
        attachments=[_logo()],
        headers={"X-A": "1"},
        unsubscribe=Unsubscribe(url="https://shop.example/bye"),
        template=TemplateRef("d"),
        tags=["a"],
        metadata={"a": "b"},
        send_at=datetime(2030, 1, 1, tzinfo=UTC),
        track_opens=False,
        track_clicks=True,
    )

    assert frozenset() == plain_message.needs
    other_capabilities = {
        EmailCapability.AMP_HTML,
        EmailCapability.VALIDATE_ADDRESS,
        EmailCapability.STATISTICS,
        EmailCapability.RECEIVED,
        EmailCapability.CANCEL,
        EmailCapability.LOOK_UP,
        EmailCapability.SUPPRESSIONS,
        EmailCapability.ADD_SUPPRESSION,
    }
    assert frozenset(EmailCapability) - other_capabilities == rich.needs
    amp_message = EmailMessage(to="a@example.com", text="Hello.", amp_html="<html ⚡4email>")
    assert {EmailCapability.AMP_HTML} == amp_message.needs


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"attachments": [_logo()]}, "must also have a text or HTML"),
        ({"text": "Hello.", "template": TemplateRef("d")}, "a template and AMP content"),
    ],
    ids=["alone", "template"],
)
def test_amp_content_needs_a_text_beside_it(fields: dict[str, Any], words: str) -> None:
    """AMP content is refused without a text or HTML, and beside a vendor's template."""
    with pytest.raises(InvalidData, match=words):
        EmailMessage(amp_html="<html ⚡4email>", **fields)
    assert frozenset() == EmailMessage(text="Hello.", amp_html="").needs


def test_amp_content_counts_towards_the_size() -> None:
    """AMP content counts towards the size of an email."""
    assert 8 == EmailMessage(text="Hello.", amp_html="ab").size


def test_email_above_a_limit_of_the_vendor_is_refused() -> None:
    """An email above a vendor's limits, or without recipients, is refused."""
    file = Attachment(filename="a", content=b"x" * 30)
    message = EmailMessage(to=["a@example.com", "b@example.com"], attachments=[file])

    assert 40 == message.size
    check_fits(message, 2, {})
    check_fits(message, 2, {"recipients": 2, "message_bytes": 40})
    with pytest.raises(InvalidData, match="2 recipients"):
        check_fits(message, 2, {"recipients": 1})
    with pytest.raises(InvalidData, match="40 bytes"):
        check_fits(message, 2, {"message_bytes": 39})
    with pytest.raises(InvalidData, match="must have a recipient"):
        check_addressed(EmailMessage(cc="a@example.com", text="Hello."))


def test_international_domains_are_encoded() -> None:
    """An international domain in an email address is sent in its ASCII form."""
    address = EmailAddress("ada@münchen.example")

    assert "ada@xn--mnchen-3ya.example" == address.wire
    assert not address.wide
    assert (address,) == as_addresses(address)
    assert (address,) == as_addresses("ada@münchen.example")


@pytest.mark.parametrize(
    "domain, encoded",
    [
        ("faß.de", "xn--fa-hia.de"),
        ("FAẞ.de", "xn--fa-hia.de"),
        ("βόλος.com", "xn--nxasmm1c.com"),
        ("mail。straße.münchen.example", "mail.xn--strae-oqa.xn--mnchen-3ya.example"),
    ],
)
def test_sharp_s_and_final_sigma_keep_their_domain(domain: str, encoded: str) -> None:
    """A domain with ß or ς differs from the domain with ss or σ, and keeps its letters."""
    assert f"ada@{encoded}" == EmailAddress(f"ada@{domain}").wire


@pytest.mark.parametrize("domain", ["a\u200cb.example", "ß" * 60 + ".de"])
def test_domain_without_ascii_form_is_refused(domain: str) -> None:
    """A domain with an invisible joiner, or with a label that is too long, is refused."""
    with pytest.raises(InvalidData, match="not a valid email address"):
        EmailAddress(f"ada@{domain}")


def test_repr_of_a_message() -> None:
    """The repr of an email shows no addresses, text or files."""
    message = EmailMessage(
        from_="shop@example.com", to="Ada <ada@example.com>", subject="Invoice", text="secret"
    )

    assert "Ada" not in repr((message, message.to))
    assert "Invoice" not in repr(message)
    assert "secret" not in repr(message)
    assert "ada" not in repr(BulkRecipient(to="ada@example.com", data={"a": "ada"}))


@pytest.mark.parametrize(
    "fields",
    [
        {"base": EmailMessage(to="a@example.com", text="x"), "recipients": []},
        {"base": EmailMessage(text="{{name}}"), "recipients": ["a@example.com"]},
        {"base": EmailMessage(text="x", amp_html="{{name}}"), "recipients": ["a@example.com"]},
        {
            "base": EmailMessage(text="x"),
            "recipients": [BulkRecipient(to="a@example.com", data={"a": 1.5})],
        },
    ],
    ids=["addressed", "missing", "missing-amp", "float"],
)
def test_invalid_bulks_are_refused(fields: dict[str, Any]) -> None:
    """A bulk email needs one list of recipients, with the data for all placeholders."""
    with pytest.raises(InvalidData):
        BulkMessage(**fields)


def test_email_addresses_with_equal_domains_are_equal() -> None:
    """Email addresses are equal if their domains are the same in Unicode or ASCII form."""
    with pytest.raises(InvalidData, match="more than once"):
        EmailMessage(text="x", to=["ada@münchen.example", "ada@xn--mnchen-3ya.example"])


def test_recipient_has_an_address_once() -> None:
    """A bulk recipient without an address, or with an address listed twice, is refused."""
    with pytest.raises(InvalidData):
        BulkRecipient(to=())
    with pytest.raises(InvalidData):
        BulkRecipient(to="a@example.com", cc="a@example.com")


def test_bulk_is_split_into_chunks_of_the_allowed_size() -> None:
    """A bulk is split into chunks of the allowed size, and a recipient is never split."""
    many_recipients = [
        BulkRecipient(to=f"a{n}@example.com", cc=f"c{n}@example.com") for n in range(3)
    ]
    bulk = BulkMessage(base=EmailMessage(text="x"), recipients=[*many_recipients, "d@example.com"])

    assert [1, 1, 2] == [len(chunk.recipients) for chunk in bulk.chunks(3)]
    assert [1, 1, 1, 1] == [len(chunk.recipients) for chunk in bulk.chunks(1)]
    assert (bulk,) == bulk.chunks(7)
    assert () == BulkMessage(base=EmailMessage(text="x"), recipients=[]).chunks(5)


def test_needed_capabilities_of_a_bulk() -> None:
    """A bulk needs all capabilities that any of its recipients needs."""
    base = EmailMessage(text="x", tags=["news"])
    custom_recipient = BulkRecipient(to="a@example.com", metadata={"a": "b"}, headers={"X-A": "b"})
    bulk = BulkMessage(base=base, recipients=["b@example.com", custom_recipient])

    targets = {
        EmailCapability.TAGS,
        EmailCapability.METADATA,
        EmailCapability.CUSTOM_HEADERS,
    }
    assert targets == bulk.needs
    assert custom_recipient is as_recipient(custom_recipient)


def test_placeholders_are_filled_once() -> None:
    """Values that were filled into a template are not searched for placeholders."""
    assert "a {{b}} {{ c" == fill_placeholders("a {{ a }} {{ c", {"a": "{{b}}", "b": "no"})


def test_message_to_one_recipient() -> None:
    """A bulk recipient's email has the recipient's own data, headers and metadata."""
    base = EmailMessage(
        subject="{{n}}", html="<b>{{n}}</b>", amp_html="<i>{{n}}</i>", headers={"X-A": "1"}
    )
    custom_recipient = BulkRecipient(to="a@example.com", data={"n": "<7>"}, headers={"X-B": "2"})
    result = BulkMessage(base=base, recipients=[custom_recipient]).message_to(custom_recipient)

    assert ("<7>", None, "<b>&lt;7&gt;</b>") == (result.subject, result.text, result.html)
    assert "<i>&lt;7&gt;</i>" == result.amp_html
    assert {"X-A": "1", "X-B": "2"} == result.headers
    assert custom_recipient.to == result.to


def test_placeholders_of_vendor_templates_are_unknown() -> None:
    """A bulk that uses a template stored at the vendor has no known placeholders."""
    base = EmailMessage(template=TemplateRef("d"), subject="{{x}}")
    bulk = BulkMessage(base=base, recipients=[BulkRecipient(to="a@example.com", data={"l": [1]})])

    assert frozenset() == bulk.places


def test_email_status_that_may_still_change_is_not_final() -> None:
    """An email status that may still change is not final."""
    assert not EmailStatus.QUEUED.final
    assert not EmailStatus.UNKNOWN.final
    assert EmailStatus.BOUNCED.final


@pytest.mark.parametrize(
    "granularity, days",
    [
        ("day", [date(2026, 1, 30), date(2026, 2, 1), date(2026, 2, 2)]),
        ("week", [date(2026, 1, 26), date(2026, 2, 2)]),
        ("month", [date(2026, 1, 1), date(2026, 2, 1)]),
    ],
)
def test_daily_counts_are_added_up(granularity: str, days: list[date]) -> None:
    """Daily counts add up to weeks and months, and a missing count stays None."""
    query = StatisticsQuery(
        start=date(2026, 1, 30),
        end=date(2026, 2, 2),
        granularity=Granularity(granularity),
    )
    daily_counts = [
        (date(2026, 2, 2), EmailCounts(delivered=4, opened=1)),
        (date(2026, 2, 1), EmailCounts(delivered=2)),
        (date(2026, 1, 30), EmailCounts(delivered=1)),
    ]
    result = EmailStatistics.of(query, daily_counts, None)

    assert days == [row.date for row in result.rows]
    assert EmailCounts(delivered=7, opened=1) == result.totals
    assert StatisticsRow(days[-1], EmailCounts(delivered=4, opened=1)) == result.rows[-1] or (
        granularity == "month"
    )


def test_details_that_email_event_does_not_have_are_empty() -> None:
    """Details that an email event does not have are empty."""
    event = EmailEvent(id=None, ref=Ref("v", "a", "1"), status=EmailStatus.UNKNOWN, email="a@b.c")

    assert {} == event.metadata
    assert "a@b.c" not in repr(event)


def test_statistics_with_reversed_days_are_refused() -> None:
    """Statistics from a day that is later than the last day are refused."""
    with pytest.raises(InvalidData):
        StatisticsQuery(start=date(2026, 1, 2), end=date(2026, 1, 1))
