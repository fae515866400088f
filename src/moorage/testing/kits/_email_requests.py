"""Checks of the requests to email vendors, and of the messages that arrive."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from email import message_from_bytes
from email.policy import default
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email import Attachment, EmailCapability, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailStatus, StatisticsQuery
from moorage.contracts.email_unsubscribe import Unsubscribe
from moorage.errors import InvalidData, VendorRejected
from moorage.testing.kits._email_harness import (
    EmailHarness,
    Factory,
    message,
    raised_error_of,
    sent_text,
)
from moorage.testing.kits._sent_requests import (
    moment_of,
    nested_values,
    require_no_repeats,
    with_added_words,
)
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AlteredAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.contracts.email_outcomes import EmailReceipt
    from moorage.contracts.email_suppressions import Suppression, SuppressionPage
    from moorage.contracts.ref import Ref
    from moorage.domain.values.result import Result
    from moorage.testing.sandboxes.email.mailbox import DeliveredEmail

_SHORT: Final = "k"
_LONG: Final = "a-key-of-an-invoice-" * 12
_REFUSED_ADDRESS: Final = "refused@example.com"
_ZONE: Final = timezone(timedelta(hours=-7))
_AMP: Final = (
    '<!doctype html><html ⚡4email data-css-strict><head><meta charset="utf-8"></head>'
    "<body>Dear {{name}}, <b>it is due.</b></body></html>"
)
_TEXT: Final = 'Dear "Ada",\n.\n.hidden\n100 % of {it} & <more>: ' + "grüße " * 200


async def each_request_is_sent_once(factory: Factory) -> None:
    """Check that no operation repeats a request itself, because the hub decides on retries."""
    harness = factory()
    if harness.sandbox is None:
        return
    email, days = harness.hub.email(), (date(2026, 1, 1), date(2026, 1, 31))
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "message": partial(email.send_transactional, message()),
        "message under a key": partial(
            email.send_transactional, message(), idempotency_key="INV-1"
        ),
        "bulk": partial(email.send_bulk, _bulk()),
        "bulk with a file": partial(email.send_bulk, _bulk(attachments=(_file(),))),
        "bulk under a key": partial(email.send_bulk, _bulk(), idempotency_key="news"),
        "refused message": lambda: raised_error_of(
            email.send_transactional(message(to=_REFUSED_ADDRESS))
        ),
    }
    if EmailCapability.VALIDATE_ADDRESS in harness.vendor.capabilities:
        calls["validation"] = partial(email.validate_address, "ada@example.com")
    if EmailCapability.STATISTICS in harness.vendor.capabilities:
        query = StatisticsQuery(start=days[0], end=days[1])
        calls["look at statistics"] = partial(email.get_statistics, query)
    for name, call in calls.items():
        request_count = len(harness.sandbox.requests)
        await call()
        require_no_repeats(name, harness.sandbox.requests[request_count:])


async def each_message_carries_its_key(factory: Factory) -> None:
    """Check that each message has its own idempotency key, which is the same in every process.

    Each request of a bulk has a key of its own. A key that is too long is replaced by one that the
    vendor accepts, and keys with the same beginning stay different.
    """
    first_keys, second_keys = await _sent_keys(factory()), await _sent_keys(factory())
    require(first_keys == second_keys, "Another process sends other keys for the same messages.")
    require(len(set(first_keys)) == len(first_keys), "Two messages were sent under one key.")


async def _sent_keys(harness: EmailHarness) -> list[str]:
    """Send messages, and return the idempotency keys in their requests, sorted."""
    header = harness.vendor.services()[""].idempotency_header
    if harness.sandbox is None or header is None:
        return []
    longest_key = harness.vendor.limits.get("idempotency_key", 255)
    email, batch, message_count = harness.hub.email(), harness.vendor.limits["batch"], 0
    for key in (_SHORT, f"{_LONG}-1", f"{_LONG}-2"):
        await email.send_transactional(message(), idempotency_key=key)
        message_count += 1
        bulk_keys = (f"{key}-bulk", f"{key}-files")
        bulks = (_bulk(2 * batch), _bulk(attachments=(_file(),)))
        for bulk_key, bulk in zip(bulk_keys, bulks, strict=True):
            await email.send_bulk(bulk, idempotency_key=bulk_key, at_once=1)
            message_count += len(bulk.recipients)
    require(len(harness.delivered) == message_count, "Two messages were sent under one key.")
    keys = [request.headers.get(header) for request in harness.sandbox.requests]
    sent_keys = [key for key in keys if key is not None]
    require(len(sent_keys) == len(keys), "A message was sent without its idempotency key.")
    is_short = all(len(key) <= longest_key for key in sent_keys)
    require(is_short, f"A key is longer than {longest_key} characters.")
    return sorted(sent_keys)


async def each_recipient_is_addressed(factory: Factory) -> None:
    """Check that recipients, copies and reply addresses are sent with their names."""
    harness = factory()
    mail = message(
        to=(f'"{harness.odd_name}" <ada@example.com>', "second@example.com"),
        cc=("third@example.com", "Grace <fourth@example.com>"),
        bcc=("fifth@example.com", "sixth@example.com"),
        reply_to=("Answers <answers@example.com>",),
    )
    await harness.hub.email().send_transactional(mail)
    (delivered,) = harness.delivered
    for field in ("to", "cc", "bcc"):
        expected = tuple(address.email for address in getattr(mail, field))
        emails = getattr(delivered, field)
        require(emails == expected, f"The message went to {emails} as {field}.")
    replies = _reply_addresses(delivered)
    require("answers@example.com" in replies, "The address for replies is lost.")
    for name in (harness.odd_name, "Grace", "Answers"):
        require(name in sent_text(delivered), f"The name {name!r} is lost.")
    await harness.hub.email().send_transactional(message())
    require(
        not _reply_addresses(harness.delivered[1]),
        "A message without reply addresses has reply addresses.",
    )


def _reply_addresses(delivered: DeliveredEmail) -> str:
    """Return all reply addresses of a message with their names, as the vendor received them."""
    if isinstance(delivered.raw, bytes):
        headers = message_from_bytes(delivered.raw, policy=default)
        return str(headers["Reply-To"] or "")
    words = [
        str(value)
        for path, value in nested_values("", delivered.raw)
        if "replyto" in "".join(filter(str.isalpha, path.lower()))
    ]
    return " ".join(words)


async def each_text_is_sent_as_written(factory: Factory) -> None:
    """Check that text and HTML are sent unchanged, and neither is derived from the other."""
    harness = factory()
    await harness.hub.email().send_transactional(message(subject='100 % "new" & <b>', text=_TEXT))
    await harness.hub.email().send_transactional(message(text=None, html=f"<p>{_TEXT}</p>"))
    written_message, drawn = harness.delivered
    require(
        written_message.subject == '100 % "new" & <b>',
        f"The subject is {written_message.subject!r}.",
    )
    require(
        _lines(written_message.text) == _lines(_TEXT), "The text is not sent as it was written."
    )
    require(not written_message.html, "HTML was sent that the message does not have.")
    is_same = _lines(drawn.html) == _lines(f"<p>{_TEXT}</p>")
    require(is_same, "The HTML is not sent as it was written.")
    require(not (drawn.text or "").strip(), "A text part was sent that the message does not have.")


async def amp_content_arrives(factory: Factory) -> None:
    """Check that AMP content is sent beside text and HTML, and filled in for each recipient."""
    harness = factory()
    if EmailCapability.AMP_HTML not in harness.vendor.capabilities:
        return
    email, html = harness.hub.email(), "<p>Dear Ada, it is due.</p>"
    text = message().text
    variants: tuple[dict[str, Any], ...] = (
        {"html": html},
        {},
        {"text": None, "html": html},
        {"attachments": (_file(),)},
    )
    for changes in variants:
        await email.send_transactional(message(**changes, amp_html=_AMP))
        mail = harness.delivered[-1]
        require(_lines(mail.amp_html) == _lines(_AMP), "The AMP content is not sent as written.")
        require(_lines(mail.html) == _lines(changes.get("html")), "The HTML beside it is changed.")
        is_same = _lines(mail.text) == _lines(changes.get("text", text))
        require(is_same, "The text beside the AMP content is changed.")
        is_complete = [item.content for item in mail.items] == [
            file.content for file in changes.get("attachments", ())
        ]
        require(is_complete, "A file beside AMP content is lost.")
    await email.send_transactional(message())
    require(
        not harness.delivered[-1].amp_html, "AMP content was sent that the message does not have."
    )
    message_count = len(harness.delivered)
    for amp_html in (_AMP, _AMP.replace("{{name}}", "all")):
        recipients = [
            BulkRecipient(to=f"person{number}@example.com", data={"name": f"<{number}>"})
            for number in range(2)
        ]
        bulk = BulkMessage(base=message(to=(), amp_html=amp_html), recipients=recipients)
        results = await email.send_bulk(bulk)
        require(all(result.ok for result in results), f"The results are {results!r}.")
        delivered = sorted(harness.delivered[message_count:], key=lambda mail: mail.to)
        message_count = len(harness.delivered)
        expected = [amp_html.replace("{{name}}", f"&lt;{number}&gt;") for number in range(2)]
        is_filled = [_lines(mail.amp_html) for mail in delivered] == [
            _lines(text) for text in expected
        ]
        require(is_filled, "The AMP content of a bulk is not that of its recipient.")


async def template_data_arrive(factory: Factory) -> None:
    """Check that a template's values are sent, and each bulk recipient gets those of its own.

    A vendor may refuse a value that is not a text before it sends anything.
    """
    harness = factory()
    if EmailCapability.TEMPLATES not in harness.vendor.capabilities:
        return
    email, bare = harness.hub.email(), {"subject": "", "text": None}
    flat, nested = {"name": "q17x", "price": "p35x"}, {"lines": [{"article": "t8x"}]}
    template = TemplateRef(harness.template, flat | nested)
    error = await raised_error_of(email.send_transactional(message(**bare, template=template)))
    words: tuple[str, ...] = ("q17x", "price", "p35x", "lines", "article", "t8x")
    if error is not None:
        require(isinstance(error, InvalidData), f"A message with a template ended with {error!r}.")
        template, words = TemplateRef(harness.template, flat), words[:3]
        await email.send_transactional(message(**bare, template=template))
    (mail,) = harness.delivered
    require(harness.template in sent_text(mail), "The template is not sent.")
    for word in words:
        require(word in sent_text(mail), f"A value of the template is lost: {word}.")
    recipients = [
        BulkRecipient(to=f"person{number}@example.com", data={"name": f"r{number}x"})
        for number in range(3)
    ]
    bulk = BulkMessage(base=message(to=(), **bare, template=template), recipients=recipients)
    results = await email.send_bulk(bulk)
    require(all(result.ok for result in results), f"The results are {results!r}.")
    texts = {mail.to[0]: sent_text(mail) for mail in harness.delivered[1:]}
    for number, recipient in enumerate(recipients):
        text = texts[recipient.to[0].email]
        require(f"r{number}x" in text, "A value of a recipient of a bulk is lost.")
        require("p35x" in text, "A value that all recipients of a bulk share is lost.")


def _lines(text: str | None) -> list[str]:
    return [line.rstrip() for line in (text or "").strip().splitlines()]


async def a_time_of_sending_arrives(factory: Factory) -> None:
    """Check that a scheduled message is sent on time in any time zone, and not before its time."""
    harness = factory()
    if EmailCapability.SCHEDULED not in harness.vendor.capabilities:
        return
    moment = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    for send_time in (moment, moment.astimezone(_ZONE), moment + timedelta(milliseconds=400)):
        await harness.hub.email().send_transactional(message(send_at=send_time))
        moments = [
            parsed
            for _, value in nested_values("", harness.delivered[-1].raw)
            if (parsed := moment_of(value)) is not None
        ]
        delays = [scheduled - send_time for scheduled in moments]
        is_on_time = len(delays) == 1 and timedelta() <= delays[0] < timedelta(seconds=1)
        require(is_on_time, f"The message is scheduled for {moments}, not for {send_time}.")


async def a_scheduled_message_can_be_cancelled(factory: Factory) -> None:
    """Check that a scheduled message can be cancelled, but not a sent one."""
    harness = factory()
    if EmailCapability.CANCEL not in harness.vendor.capabilities:
        return
    email = harness.hub.email()
    send_time = datetime.now(UTC) + timedelta(hours=3)
    scheduled: EmailReceipt = await email.send_transactional(message(send_at=send_time))
    canceled: EmailReceipt = await email.cancel(scheduled.ref)
    require(canceled.ref == scheduled.ref, "The receipt is of another message.")
    require(canceled.status is EmailStatus.CANCELED, f"The cancelled message is {canceled.status}.")
    receipt: EmailReceipt = await email.send_transactional(message())
    error = await raised_error_of(email.cancel(receipt.ref))
    require(isinstance(error, VendorRejected), f"A message that was sent ended with {error!r}.")


async def a_message_can_be_looked_up(factory: Factory) -> None:
    """Check that a message can be looked up by its reference, with its recipients."""
    harness = factory()
    if EmailCapability.LOOK_UP not in harness.vendor.capabilities:
        return
    receipt: EmailReceipt = await harness.hub.email().send_transactional(message())
    looked_up: EmailReceipt = await harness.hub.email().get(str(receipt.ref))
    require(looked_up.ref == receipt.ref, "The receipt is of another message.")
    require(looked_up.status is not EmailStatus.UNKNOWN, "A message has no known status.")
    require(bool(looked_up.vendor_status), "The result lacks the vendor's own status.")
    emails = [outcome.email for outcome in looked_up.recipients]
    require(emails == ["ada@example.com"], "The recipients are different.")
    require("ada@" not in repr(looked_up), "A receipt shows an address.")


async def each_bulk_recipient_has_own_copies(factory: Factory) -> None:
    """Check that copies, headers and files in a bulk message reach the right recipient."""
    harness = factory()
    recipients = [
        BulkRecipient(
            to=f"person{number}@example.com",
            cc=f"copy{number}@example.com",
            bcc=f"blind{number}@example.com",
            headers={"X-Number": str(number)},
        )
        for number in range(3)
    ]
    base = message(to=(), headers={"X-All": "yes"}, reply_to="answers@example.com")
    results = await harness.hub.email().send_bulk(BulkMessage(base=base, recipients=recipients))
    require(all(result.ok for result in results), f"The results are {results!r}.")
    delivered = sorted(harness.delivered, key=lambda mail: mail.to)
    require(len(delivered) == len(recipients), f"{len(delivered)} messages arrived.")
    for number, mail in enumerate(delivered):
        copies = (mail.to, mail.cc, mail.bcc)
        expected = tuple((f"{word}{number}@example.com",) for word in ("person", "copy", "blind"))
        require(copies == expected, f"A message of a bulk went to {copies}.")
        headers = {name.lower(): value for name, value in mail.headers.items()}
        own_header, all_header = headers.get("x-number"), headers.get("x-all")
        require(own_header == str(number), f"The header of number {number} is {own_header!r}.")
        require(all_header == "yes", "A header of the whole bulk is lost.")
        require("answers@example.com" in _reply_addresses(mail), "Replies of a bulk are lost.")
    await harness.hub.email().send_bulk(_bulk(attachments=(_file(),)))
    for mail in harness.delivered[len(recipients) :]:
        contents = [item.content for item in mail.items]
        require(contents == [_file().content], "A file of a bulk is lost.")


async def each_recipient_can_unsubscribe(factory: Factory) -> None:
    """Check that each message has its own headers for one-click unsubscription."""
    harness = factory()
    if EmailCapability.UNSUBSCRIBE not in harness.vendor.capabilities:
        return
    pages = [f"https://shop.example/unsubscribe/{number}" for number in range(3)]
    recipients = [
        BulkRecipient(to=f"person{number}@example.com", unsubscribe=Unsubscribe(url=url))
        for number, url in enumerate(pages)
    ]
    base = message(to=(), headers={"X-All": "yes"}, unsubscribe=Unsubscribe(url=pages[0]))
    results = await harness.hub.email().send_bulk(BulkMessage(base=base, recipients=recipients))
    require(all(result.ok for result in results), f"The results are {results!r}.")
    await harness.hub.email().send_transactional(message(unsubscribe=Unsubscribe(url=pages[0])))
    delivered = [*sorted(harness.delivered[:-1], key=lambda mail: mail.to), harness.delivered[-1]]
    for mail, url in zip(delivered, [*pages, pages[0]], strict=True):
        headers = {name.lower(): value for name, value in mail.headers.items()}
        link = headers.get("list-unsubscribe")
        require(link == f"<{url}>", f"A message has the link {link!r} to unsubscribe.")
        click = headers.get("list-unsubscribe-post")
        require(
            click == "List-Unsubscribe=One-Click",
            "A message has no link to unsubscribe with one click.",
        )


async def a_refused_recipient_is_reported(factory: Factory) -> None:
    """Check that a bulk message's results report a refused recipient as refused."""
    harness = factory()
    recipients = ["first@example.com", _REFUSED_ADDRESS, "last@example.com"]
    bulk = BulkMessage(base=message(to=()), recipients=recipients)
    results: list[Result[EmailReceipt]] = await harness.hub.email().send_bulk(bulk)
    told_emails = {email for email, result in zip(recipients, results, strict=True) if result.ok}
    delivered_emails = {email for mail in harness.delivered for email in mail.to}
    require(_REFUSED_ADDRESS not in told_emails, "A refused recipient is reported as sent to.")
    require(
        told_emails == delivered_emails,
        f"The results report {told_emails} as sent, but {delivered_emails} were sent.",
    )
    refusal = results[1].error
    require(isinstance(refusal, VendorRejected), f"The refusal became {refusal!r}.")


async def suppressions_are_kept(factory: Factory) -> None:
    """Check that a suppressed address stays listed until removed; a repeated removal is allowed."""
    harness = factory()
    if not {EmailCapability.SUPPRESSIONS, EmailCapability.ADD_SUPPRESSION} <= (
        harness.vendor.capabilities
    ):
        return
    email = harness.hub.email()
    for address in ("first@example.com", "second@example.com", "first@example.com"):
        await email.add_suppression(address)
    both_emails = ["first@example.com", "second@example.com"]
    require(
        await _suppressed_addresses(harness) == both_emails,
        "A suppressed address is not listed once.",
    )
    for _ in range(2):
        await email.remove_suppression("first@example.com", account="mail")
    require(
        await _suppressed_addresses(harness) == both_emails[1:],
        "A removed address is still suppressed.",
    )


async def _suppressed_addresses(harness: EmailHarness) -> list[str]:
    """Check that no repr shows a suppressed address, and return all suppressed addresses."""
    entries: list[Suppression] = []
    page_ref: Ref | None = None
    while True:
        page: SuppressionPage = await harness.hub.email().suppressions(
            after=page_ref, account="mail"
        )
        require("first@" not in repr(page), "A page of suppressions shows an address.")
        entries += page.items
        if page.next is None:
            return sorted(entry.email for entry in entries)
        page_ref = page.next


async def no_error_shows_a_secret(factory: Factory) -> None:
    """Check that errors hide credentials and addresses, even if the vendor repeats them."""
    harness = factory()
    if harness.sandbox is None:
        return
    harness.sandbox.fail(
        AlteredAnswer(partial(with_added_words, f" {harness.secret} ada@example.com"))
    )
    error = await raised_error_of(
        harness.hub.email().send_transactional(message(to=_REFUSED_ADDRESS))
    )
    shown_text = f"{error}{error!r}{getattr(error, 'vendor_message', '')}"
    require(isinstance(error, VendorRejected), f"The call raised {error!r}.")
    for word in (harness.secret, "ada@example.com"):
        require(word not in shown_text, "An error shows a secret that the vendor repeated.")


def _file() -> Attachment:
    return Attachment(filename="terms.txt", content=b"Terms.", content_type="text/plain")


def _bulk(count: int = 3, **fields: Any) -> BulkMessage:
    recipients = [f"person{number}@example.com" for number in range(count)]
    return BulkMessage(base=message(to=(), **fields), recipients=recipients)


REQUESTS: Final = (
    each_request_is_sent_once,
    each_message_carries_its_key,
    each_recipient_is_addressed,
    each_text_is_sent_as_written,
    amp_content_arrives,
    template_data_arrive,
    a_time_of_sending_arrives,
    a_scheduled_message_can_be_cancelled,
    a_message_can_be_looked_up,
    each_bulk_recipient_has_own_copies,
    each_recipient_can_unsubscribe,
    a_refused_recipient_is_reported,
    suppressions_are_kept,
    no_error_shows_a_secret,
)
