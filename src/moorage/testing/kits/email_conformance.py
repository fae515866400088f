"""Checks that every email vendor must pass.

`moorage scaffold vendor NAME --contract email` writes a vendor, and a test that runs all
checks.

`CHECKS` are for the vendor behind a `Hub`. `ASYNC_CHECKS` are for it behind an `AsyncHub`, and
awaited. Each takes a function that makes an `EmailHarness`: a hub with one account of the vendor at
a sandbox, and functions that control the sandbox. The sandbox must accept messages to all
addresses at example.com except refused@example.com, throttled@example.com and outage@example.com.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.email import Attachment, EmailCapability, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus, StatisticsQuery, Verdict
from moorage.contracts.email_unsubscribe import Unsubscribe
from moorage.contracts.ref import Ref
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits._contract_harness import with_values
from moorage.testing.kits._email_harness import (
    EmailHarness,
    Factory,
    message,
    raised_error_of,
    sent_text,
)
from moorage.testing.kits._email_requests import REQUESTS
from moorage.testing.kits.checks import AsyncView, require, sync_check
from moorage.testing.sandboxes.base import AlteredAnswer

if TYPE_CHECKING:
    from moorage.testing.sandboxes.email.mailbox import DeliveredEmail


__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "EmailHarness", "Factory"]

Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]

PICTURE: Final = bytes(range(256)) * 9
LETTER: Final = b"%PDF-1.7\r\n\x00" + bytes(reversed(range(256))) * 41
IMAGE: Final = Attachment(
    filename="logo.png",
    content=PICTURE,
    content_type="image/png",
    disposition="inline",
    content_id="logo",
)


@attrs.frozen
class _AsyncHub:
    """A test adapter of a synchronous hub, whose operations become coroutines."""

    hub: Any

    def account(self, name: str) -> Any:
        """Return an account of the hub."""
        return self.hub.account(name)

    def email(self) -> AsyncView:
        """Return the hub's email operations as coroutines."""
        return AsyncView(self.hub.email())


async def a_message_arrives(factory: Factory) -> None:
    """A message arrives unchanged at all its recipients."""
    harness = factory()
    mail = message(
        html="<p>Dear Ada</p>",
        cc="cc@example.com",
        bcc="bcc@example.com",
        reply_to="answers@example.com",
        headers={"X-Invoice": "7", "X-Kunde": "Grüße"},
    )
    receipt = await harness.hub.email().send_transactional(mail)
    require(len(harness.delivered) == 1, f"{len(harness.delivered)} messages arrived.")
    delivered = harness.delivered[0]
    require(delivered.sender == "shop@example.com", "The message has another sender.")
    require(
        delivered.sender_name == "Zoë's Shop", f"The sender's name is {delivered.sender_name!r}."
    )
    recipients = (delivered.to, delivered.cc, delivered.bcc)
    expected = (("ada@example.com",), ("cc@example.com",), ("bcc@example.com",))
    require(recipients == expected, f"The message reached {recipients}.")
    require(delivered.subject == mail.subject, f"The subject is {delivered.subject!r}.")
    require((delivered.text or "").strip() == mail.text, f"The text is {delivered.text!r}.")
    require((delivered.html or "").strip() == mail.html, f"The HTML is {delivered.html!r}.")
    headers = {name.lower(): value for name, value in delivered.headers.items()}
    require(headers.get("x-invoice") == "7", "A header is missing.")
    require(headers.get("x-kunde") == "Grüße", f"A header says {headers.get('x-kunde')!r}.")
    require(b"bcc@example.com" not in _headers_of(delivered), "A blind copy is not blind.")
    require(Ref.parse(str(receipt.ref)) == receipt.ref, "The reference cannot be read again.")
    require(receipt.ref.account == "mail", "The reference is of another account.")
    require(receipt.status is EmailStatus.QUEUED, f"The receipt is {receipt.status} already.")
    emails = [outcome.email for outcome in receipt.recipients]
    require(
        emails == [address.email for address in mail.everybody],
        "The receipt does not list every recipient.",
    )


def _headers_of(delivered: DeliveredEmail) -> bytes:
    return delivered.raw.partition(b"\r\n\r\n")[0] if isinstance(delivered.raw, bytes) else b""


async def tags_and_metadata_arrive(factory: Factory) -> None:
    """A tag and a metadata field with the same name both arrive, if supported."""
    harness = factory()
    capabilities = harness.vendor.capabilities
    words: dict[str, Any] = {}
    if EmailCapability.METADATA in capabilities:
        words["metadata"] = {"invoice": "n2041"}
    await harness.hub.email().send_transactional(message(**words))
    if EmailCapability.TAGS in capabilities:
        await harness.hub.email().send_transactional(message(**words, tags=("invoice",)))
    first_text, last_text = (
        sent_text(delivered) for delivered in (harness.delivered[0], harness.delivered[-1])
    )
    if "metadata" in words:
        is_arrived = all(
            word in text for text in (first_text, last_text) for word in ("invoice", "n2041")
        )
        require(is_arrived, "Metadata is lost.")
    if EmailCapability.TAGS in capabilities:
        # The subject also contains the word, with a capital letter.
        require(
            last_text.count("invoice") > first_text.count("invoice"),
            "A tag is lost when the message has metadata.",
        )


async def a_long_subject_arrives(factory: Factory) -> None:
    """A subject that takes several lines of a header arrives as it was written."""
    harness = factory()
    subject = " ".join(["Grüße"] * 20)
    await harness.hub.email().send_transactional(message(subject=subject))
    require(
        harness.delivered[0].subject == subject, f"The subject is {harness.delivered[0].subject!r}."
    )


async def tracking_options_arrive(factory: Factory) -> None:
    """The vendor is told whether to track opens and clicks, if supported."""
    for capability in (EmailCapability.TRACK_OPENS, EmailCapability.TRACK_CLICKS):
        texts: list[str] = []
        for value in (True, False):
            harness = factory()
            if capability in harness.vendor.capabilities:
                mail = message(html="<p>Hello.</p>", **{capability.value: value})
                await harness.hub.email().send_transactional(mail, idempotency_key="k-1")
                texts.append(sent_text(harness.delivered[0]))
        require(len(set(texts)) == len(texts), f"The value of {capability} is lost.")


async def each_bulk_recipient_has_own_metadata(factory: Factory) -> None:
    """Metadata of a bulk recipient arrive with this recipient's message, if supported."""
    harness = factory()
    if EmailCapability.METADATA not in harness.vendor.capabilities:
        return
    recipients = [
        BulkRecipient(to=f"person{number}@example.com", metadata={"invoice": f"n{number}x"})
        for number in range(3)
    ]
    await harness.hub.email().send_bulk(BulkMessage(base=message(to=()), recipients=recipients))
    texts = {delivered.to[0]: sent_text(delivered) for delivered in harness.delivered}
    for number, recipient in enumerate(recipients):
        is_arrived = f"n{number}x" in texts[recipient.to[0].email]
        require(is_arrived, "Metadata of a recipient of a bulk are lost.")


async def files_and_images_arrive(factory: Factory) -> None:
    """Files, and inline images if supported, arrive byte for byte."""
    harness = factory()
    has_images = EmailCapability.INLINE_IMAGES in harness.vendor.capabilities
    mail = message(
        html='<img src="cid:logo">',
        attachments=(
            Attachment(filename="Rechnung é.pdf", content=LETTER, content_type="application/pdf"),
            *((IMAGE,) if has_images else ()),
        ),
    )
    await harness.hub.email().send_transactional(mail)
    # Some vendors keep only the name by which the HTML refers to an image.
    items = {item.content_id or item.filename: item for item in harness.delivered[0].items}
    for file in mail.attachments:
        item = items.get(file.content_id or file.filename)
        require(item is not None, f"{file.filename!r} did not arrive.")
        require(item is not None and item.content == file.content, "A file was changed.")
        is_same = item is not None and item.content_type == file.content_type
        require(is_same, f"{file.filename!r} is of another type.")
    if has_images:
        require(items["logo"].disposition == "inline", "The image is not inline.")
    empty = Attachment(filename="empty.txt", content=b"", content_type="text/plain")
    send_empty = harness.hub.email().send_transactional(message(attachments=(empty,)))
    raised_error = await raised_error_of(send_empty)
    if isinstance(raised_error, InvalidData):
        # Some vendors accept no empty file.
        return
    require(raised_error is None, f"An empty file ended with {raised_error!r}.")
    contents = [item.content for item in harness.delivered[-1].items]
    require(contents == [b""], "An empty file did not arrive.")


async def a_file_alone_is_a_message(factory: Factory) -> None:
    """A message may consist of attachments only."""
    harness = factory()
    file = Attachment(filename="a.pdf", content=b"\x00")
    await harness.hub.email().send_transactional(message(text=None, attachments=(file,)))
    require(harness.delivered[0].items[0].content == b"\x00", "The file did not arrive.")


async def a_key_is_used_once(factory: Factory) -> None:
    """Repeating an idempotency key returns the same receipt; another message is refused."""
    harness = factory()
    first_receipt = await harness.hub.email().send_transactional(message(), idempotency_key="INV-7")
    repeated_receipt = await harness.hub.email().send_transactional(
        message(), idempotency_key="INV-7"
    )
    require(first_receipt == repeated_receipt, "A repeat got another receipt.")
    require(len(harness.delivered) == 1, "A repeat was sent again.")
    send_other = partial(harness.hub.email().send_transactional, message(subject="Another"))
    raised_error = await raised_error_of(send_other(idempotency_key="INV-7"))
    require(isinstance(raised_error, IdempotencyConflict), f"The call raised {raised_error!r}.")
    await harness.hub.email().send_transactional(message(), idempotency_key="INV-8")
    require(len(harness.delivered) == 2, "Another idempotency key was treated as the same key.")


async def a_lost_answer_is_unknown(factory: Factory) -> None:
    """If a response is lost, the message is never sent twice: it is unknown or repeated safely."""
    harness = factory()
    mail = message(to=harness.lose())
    send = partial(harness.hub.email().send_transactional, mail, idempotency_key="INV-7")
    if harness.vendor.services()[""].idempotency_header is not None:
        require(await send() == await send(), "A repeat got another receipt.")
    else:
        for _ in range(2):
            raised_error = await raised_error_of(send())
            require(isinstance(raised_error, OutcomeUnknown), f"The call raised {raised_error!r}.")
    require(len(harness.delivered) == 1, f"The message was sent {len(harness.delivered)} times.")


_FIELDS_BY_CAPABILITY: Final[dict[EmailCapability, dict[str, Any]]] = {
    EmailCapability.INLINE_IMAGES: {"attachments": (IMAGE,)},
    EmailCapability.AMP_HTML: {"amp_html": "<!doctype html><html ⚡4email></html>"},
    EmailCapability.ENVELOPE_SENDER: {"envelope_sender": "bounces@example.com"},
    EmailCapability.INTERNATIONAL: {"to": "zoë@example.com"},
    EmailCapability.TEMPLATES: {"template": TemplateRef("welcome")},
    EmailCapability.METADATA: {"metadata": {"invoice": "7"}},
    EmailCapability.TAGS: {"tags": ("invoice",)},
    EmailCapability.SCHEDULED: {"send_at": datetime(2030, 1, 1, tzinfo=UTC)},
    EmailCapability.TRACK_OPENS: {"track_opens": True},
    EmailCapability.TRACK_CLICKS: {"track_clicks": False},
    EmailCapability.CUSTOM_HEADERS: {"headers": {"X-Invoice": "7"}},
    EmailCapability.UNSUBSCRIBE: {
        "unsubscribe": Unsubscribe(url="https://shop.example/unsubscribe/4f7a")
    },
}


async def unsupported_features_are_refused(factory: Factory) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    harness = factory()
    missing_capabilities = sorted(frozenset(EmailCapability) - harness.vendor.capabilities)
    for capability in missing_capabilities:
        email = harness.hub.email()
        if capability is EmailCapability.VALIDATE_ADDRESS:
            call = email.validate_address("ada@example.com")
        elif capability is EmailCapability.RECEIVED:
            call = email.get_received(Ref(harness.vendor.name, "mail", "1"))
        elif capability is EmailCapability.LOOK_UP:
            call = email.get(Ref(harness.vendor.name, "mail", "1"))
        elif capability is EmailCapability.CANCEL:
            call = email.cancel(Ref(harness.vendor.name, "mail", "1"))
        elif capability is EmailCapability.SUPPRESSIONS:
            call = email.suppressions()
        elif capability is EmailCapability.ADD_SUPPRESSION:
            call = email.add_suppression("ada@example.com")
        elif capability is EmailCapability.STATISTICS:
            today = datetime.now(UTC).date()
            call = email.get_statistics(StatisticsQuery(start=today, end=today))
        else:
            call = email.send_transactional(message(**_FIELDS_BY_CAPABILITY[capability]))
        raised_error = await raised_error_of(call)
        is_refused = (
            isinstance(raised_error, UnsupportedByVendor)
            and capability in raised_error.capabilities
        )
        require(is_refused, f"{capability} ended with {raised_error!r}.")
        able_vendors = getattr(raised_error, "supported_by", ())
        require(
            harness.vendor.name not in able_vendors,
            f"The error lists the vendor itself as one that supports {capability}.",
        )
    require(not harness.delivered, "A refused message was sent nevertheless.")


async def failures_have_their_types(factory: Factory) -> None:
    """Each failure raises the same error class for every vendor, with the vendor's code."""
    harness = factory()
    kinds: dict[str, tuple[type[ConnectorError], ...]] = {
        "throttled": (RateLimitExceeded,),
        "outage": (VendorFailed, ConnectionFailed),
        "refused": (VendorRejected,),
    }
    for failure, kind in kinds.items():
        mail = message(to=f"{failure}@example.com")
        raised_error = await raised_error_of(harness.hub.email().send_transactional(mail))
        require(isinstance(raised_error, kind), f"{failure} ended with {raised_error!r}.")
        code = getattr(raised_error, "vendor_code", None)
        require(code == harness.codes[failure], f"{failure} has the code {code!r}.")
    raised_error = await raised_error_of(harness.stranger.email().send_transactional(message()))
    require(
        isinstance(raised_error, AuthenticationFailed),
        f"Wrong credentials raised {raised_error!r}.",
    )
    code = getattr(raised_error, "vendor_code", None)
    require(
        code == harness.codes["auth"], f"The result for a code of another recipient is {code!r}."
    )
    require(not harness.delivered, "A message that failed was delivered.")


async def an_unreadable_success_is_an_error(factory: Factory) -> None:
    """A successful response without content raises a vendor error, and is not retried."""
    harness = factory()
    if harness.malform is None:
        return
    harness.malform()
    raised_error = await raised_error_of(harness.hub.email().send_transactional(message()))
    is_failed = isinstance(raised_error, VendorFailed) and not raised_error.retryable
    require(is_failed, f"The call raised {raised_error!r}.")


async def an_unknown_verdict_is_unknown(factory: Factory) -> None:
    """If the vendor's verdict on an address is unknown to moorage, it is reported as unknown."""
    harness = factory()
    if (
        EmailCapability.VALIDATE_ADDRESS not in harness.vendor.capabilities
        or harness.sandbox is None
    ):
        return
    email = harness.hub.email()
    word = (await email.validate_address("ada@example.com")).vendor_verdict
    harness.sandbox.fail(AlteredAnswer(partial(with_values, {word: "a-new-word"})))
    check = await email.validate_address("ada@example.com")
    require(check.vendor_verdict == "a-new-word", f"The verdict is {check.vendor_verdict!r}.")
    require(check.verdict is Verdict.UNKNOWN, f"An unknown verdict is {check.verdict}.")


def _example_recipients(count: int) -> tuple[BulkRecipient, ...]:
    return tuple(
        BulkRecipient(to=f"person{number}@example.com", data={"name": f"<{number}>"})
        for number in range(count)
    )


def _bulk(count: int) -> BulkMessage:
    base = message(
        to=(), subject="For {{name}}", text="Dear {{ name }}, {{#x}}", html="<b>{{name}}</b>"
    )
    return BulkMessage(base=base, recipients=_example_recipients(count))


async def each_bulk_recipient_has_own_texts(factory: Factory) -> None:
    """Each bulk recipient gets a separate text, escaped in HTML, and sees no other recipient."""
    harness = factory()
    results = await harness.hub.email().send_bulk(_bulk(3))
    require(all(result.ok for result in results), f"The results are {results!r}.")
    delivered = sorted(harness.delivered, key=lambda mail: mail.to)
    require(
        [mail.to for mail in delivered] == [(f"person{n}@example.com",) for n in range(3)],
        "To others.",
    )
    for number, mail in enumerate(delivered):
        require(mail.subject == f"For <{number}>", f"A subject is {mail.subject!r}.")
        text = (mail.text or "").strip()
        require(text == f"Dear <{number}>, {{{{#x}}}}", f"A text is {text!r}.")
        html = (mail.html or "").strip()
        require(html == f"<b>&lt;{number}&gt;</b>", f"HTML is {html!r}.")


async def a_large_bulk_goes_in_chunks(factory: Factory) -> None:
    """Each recipient of a large bulk gets one message, and the results stay in order."""
    harness = factory()
    results = await harness.hub.email().send_bulk(_bulk(harness.many), idempotency_key="news")
    require(len(results) == harness.many, f"{len(results)} results were returned.")
    for number, result in enumerate(results):
        receipt: EmailReceipt = result.unwrap()
        emails = [outcome.email for outcome in receipt.recipients]
        require(emails == [f"person{number}@example.com"], "The results are in another order.")
    require(
        len({outcome.to for outcome in harness.delivered}) == harness.many,
        "Some recipients did not get the message.",
    )
    require(
        len(harness.delivered) == harness.many, "Some recipients got the message more than once."
    )


async def a_repeated_bulk_sends_missing_chunks(factory: Factory) -> None:
    """A failed chunk of a bulk does not affect other chunks.

    A repeat sends only the missing chunks.
    """
    harness = factory()
    count = harness.vendor.limits["batch"] + 1
    harness.refuse()
    send = partial(harness.hub.email().send_bulk, _bulk(count), idempotency_key="news", at_once=1)
    first_results = await send()
    failed_results = [result for result in first_results if not result.ok]
    require(
        0 < len(failed_results) <= harness.vendor.limits["batch"], f"{len(failed_results)} failed."
    )
    is_limited = all(isinstance(result.error, RateLimitExceeded) for result in failed_results)
    require(is_limited, f"The recipients failed with {failed_results[0].error!r}.")
    require(
        len(harness.delivered) == count - len(failed_results),
        "Messages to other recipients were lost with the failed chunk.",
    )
    second_results = await send()
    require(all(result.ok for result in second_results), "A repeat failed.")
    require(len(harness.delivered) == count, f"{len(harness.delivered)} of {count} arrived.")
    require(
        len({mail.to for mail in harness.delivered}) == count, "A recipient got the message twice."
    )
    is_same = all(
        b.value == a.value for a, b in zip(first_results, second_results, strict=True) if a.ok
    )
    require(is_same, "A repeat returned another result than the first call.")


async def nothing_personal_is_shown(factory: Factory) -> None:
    """No repr or error shows an address, a message text or a secret."""
    harness = factory()
    mail = message(metadata={}, html="<p>confidential</p>")
    receipt = await harness.hub.email().send_transactional(mail)
    refused_error = await raised_error_of(
        harness.hub.email().send_transactional(
            message(to="refused@example.com", text="confidential")
        )
    )
    representations = " ".join(
        map(repr, (mail, receipt, _bulk(2), harness.hub.account("mail"), refused_error))
    )
    for word in ("ada@", "refused@", "person0", "confidential", "Invoice", "Zoë", harness.secret):
        require(word not in representations, f"{word!r} is shown: {representations}")


ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    a_message_arrives,
    tags_and_metadata_arrive,
    a_long_subject_arrives,
    tracking_options_arrive,
    each_bulk_recipient_has_own_metadata,
    files_and_images_arrive,
    a_file_alone_is_a_message,
    a_key_is_used_once,
    a_lost_answer_is_unknown,
    unsupported_features_are_refused,
    failures_have_their_types,
    an_unreadable_success_is_an_error,
    an_unknown_verdict_is_unknown,
    each_bulk_recipient_has_own_texts,
    a_large_bulk_goes_in_chunks,
    a_repeated_bulk_sends_missing_chunks,
    nothing_personal_is_shown,
    *REQUESTS,
)


def _view(factory: Factory) -> EmailHarness:
    """Return a test environment of synchronous hubs whose operations are called as coroutines."""
    harness = factory()
    return attrs.evolve(harness, hub=_AsyncHub(harness.hub), stranger=_AsyncHub(harness.stranger))


CHECKS: Final[tuple[Check, ...]] = tuple(sync_check(check, _view) for check in ASYNC_CHECKS)
