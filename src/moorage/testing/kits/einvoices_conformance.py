"""Checks that every vendor of electronic invoices must pass.

Each check takes a function that makes a new `EinvoicesSubject`: the vendor, its sandbox, and what
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.einvoices import (
    EinvoiceCapability,
    EinvoiceEventType,
    EinvoiceStatus,
    SentInvoice,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    IdempotencyConflict,
    OutcomeUnknown,
    VendorFailed,
    WebhookRejected,
)
from moorage.testing.kits._contract_harness import (
    require_refusal,
    require_unsupported,
    through_async_hub,
    through_hub,
    uncertain_answers,
    with_an_address,
    with_body,
)
from moorage.testing.kits._einvoices_harness import (
    ACCOUNT,
    CII,
    EinvoicesSubject,
    Harness,
    calls_by_capability,
)
from moorage.testing.kits.checks import OTHER_SECRET, require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost
from moorage.testing.sandboxes.einvoices.base import RECIPIENT, STRANGER, TOKEN

if TYPE_CHECKING:
    from moorage.contracts.einvoices import (
        EinvoiceEvent,
        EinvoiceInbox,
        ReceivedInvoice,
        RecipientCheck,
    )
    from moorage.testing.sandboxes.base import Notice

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "EinvoicesSubject", "Factory"]

_JSON: Final = {"Content-Type": "application/json"}
_MALFORMED: Final = (b"", b"[]", b"null", b"<html></html>", b"{}")
_OUTAGE: Final = Response(503, body=b"<html></html>")

Factory: TypeAlias = Callable[[], EinvoicesSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def an_invoice_is_sent(make: Open) -> None:
    """An invoice is sent once and unchanged to its recipient, and gets a reference."""
    async with make() as harness:
        sent_invoice: SentInvoice = await harness("send", harness.outgoing())
        require(harness.count() == 1, "One invoice was not sent once.")
        delivery = harness.subject.sandbox.deliveries()[0]
        require(delivery.document == harness.subject.sandbox.document, "Another document was sent.")
        require(
            delivery.recipient == harness.subject.recipient,
            "The invoice was sent to another recipient.",
        )
        is_pending = harness.subject.deliver is not None
        expected = EinvoiceStatus.ACCEPTED if is_pending else EinvoiceStatus.DELIVERED
        require(sent_invoice.status is expected, f"A new invoice is {sent_invoice.status}.")
        require(
            sent_invoice.ref.vendor == harness.subject.vendor.name, "The reference names no vendor."
        )
        require(sent_invoice.ref.account == ACCOUNT, "The reference names no account.")
        require(
            Ref.parse(str(sent_invoice.ref)) == sent_invoice.ref, "A reference changes as text."
        )
        require(sent_invoice.raw, "The result lacks the vendor's response.")
        if EinvoiceCapability.CII in harness.capabilities:
            await harness("send", harness.outgoing(CII))
            require(
                harness.subject.sandbox.deliveries()[1].document == CII,
                "Another CII document was sent.",
            )


async def a_key_sends_once(make: Open) -> None:
    """An invoice is sent once per idempotency key; a repeat returns the same result."""
    async with make() as harness:
        results = [
            await harness("send", harness.outgoing(), idempotency_key="k-1") for _ in range(3)
        ]
        require(harness.count() == 1, "One idempotency key sent its invoice more than once.")
        require(results[0] == results[1] == results[2], "A repeat has another result.")
        await harness("send", harness.outgoing(), idempotency_key="k-2")
        require(harness.count() == 2, "A second idempotency key sent no second invoice.")
        other_invoice = harness(
            "send", harness.outgoing(_other_document(harness)), idempotency_key="k-1"
        )
        await harness.refused(IdempotencyConflict, other_invoice, "A key for another invoice")


async def each_request_is_sent_once(make: Open) -> None:
    """No operation repeats a request itself, whether it succeeds or fails."""
    async with make() as harness:
        await harness("send", harness.outgoing())
        expected_count = 1 + harness.subject.login_count + harness.subject.send_count
        require(
            len(harness.sandbox.requests) == expected_count,
            "An invoice took another number of requests than stated.",
        )
        for answer in (_OUTAGE, harness.subject.refusals[0][0]):
            harness.fail(answer)
            request_count = len(harness.sandbox.requests)
            try:
                await harness("send", harness.outgoing())
            except ConnectorError:
                pass
            else:
                raise AssertionError("A failed request did not raise an error.")
            sent_count = len(harness.sandbox.requests) - request_count
            require(sent_count == expected_count, "A vendor repeated a failed request by itself.")


async def pending_is_not_delivered(make: Open) -> None:
    """An invoice is reported as delivered only after the recipient's access point accepts it."""
    async with make() as harness:
        sent_invoice: SentInvoice = await harness("send", harness.outgoing())
        deliver = harness.subject.deliver
        if EinvoiceCapability.STATUS not in harness.capabilities:
            return
        if deliver is not None:
            pending: SentInvoice = await harness("get", str(sent_invoice.ref))
            is_early = pending.status is EinvoiceStatus.DELIVERED
            require(not is_early, "A pending invoice is reported as delivered.")
            deliver(sent_invoice.ref.id)
        delivered: SentInvoice = await harness("get", sent_invoice.ref)
        require(delivered.status is EinvoiceStatus.DELIVERED, "A delivery is not reported.")
        require(delivered.ref == sent_invoice.ref, "The state is of another invoice.")
        require(delivered.raw, "The result lacks the vendor's response.")


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness))


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error with the vendor's response, and sends nothing."""
    async with make() as harness:
        for number, (refusal, kind, code) in enumerate(harness.subject.refusals):
            answer = with_an_address(refusal)
            for key in (None, f"k-{number}"):
                harness.fail(answer)
                coroutine = harness("send", harness.outgoing(), idempotency_key=key)
                error = await harness.refused(kind, coroutine, f"Refusal {number}")
                require(error.service == ACCOUNT, "A refusal names no account.")
                require_refusal(error, refusal, f"Refusal {number}", code)
        require(harness.count() == 0, "A refused invoice was sent.")


async def an_uncertain_failure_is_unknown(make: Open) -> None:
    """An invoice that may have been sent has an unknown outcome, and is not sent again."""
    async with make() as harness:
        outages = uncertain_answers(harness.subject.refusals[0][0])
        for number, answer in enumerate((*outages, *harness.subject.uncertain)):
            harness.fail(answer)
            await harness.refused(
                VendorFailed, harness("send", harness.outgoing()), f"Failure {number}"
            )
            harness.fail(answer)
            for _ in range(2):
                coroutine = harness("send", harness.outgoing(), idempotency_key=f"k-{number}")
                await harness.refused(OutcomeUnknown, coroutine, f"Failure {number} under a key")
        require(harness.count() == 0, "An invoice whose outcome is unknown was sent again.")


async def a_lost_answer_is_unknown(make: Open) -> None:
    """After a lost or unreadable response, the outcome is unknown, and nothing is sent again."""
    async with make() as harness:
        faults: list[Lost | AlteredAnswer] = [Lost()]
        faults += [AlteredAnswer(partial(with_body, body)) for body in _MALFORMED]
        for number, fault in enumerate(faults):
            harness.fail(fault)
            for _ in range(2):
                coroutine = harness("send", harness.outgoing(), idempotency_key=f"k-{number}")
                await harness.refused(OutcomeUnknown, coroutine, f"Answer {number}")
            require(
                harness.count() == number + 1, "An invoice that may have been sent was sent again."
            )


async def an_unreadable_success_is_none(make: Open) -> None:
    """A success response without content is an error, not a verdict or an empty list."""
    async with make() as harness:
        for operation, arguments in harness.subject.malformed:
            for body in _MALFORMED:
                harness.fail(Response(200, _JSON, body), operation=operation)
                coroutine = harness(operation, *arguments)
                await harness.refused(VendorFailed, coroutine, f"{operation} with {body!r}")


async def a_recipient_is_looked_up(make: Open) -> None:
    """A known recipient can receive invoices; an unknown recipient is never reported as able to."""
    async with make() as harness:
        if EinvoiceCapability.LOOK_UP not in harness.capabilities:
            return
        check: RecipientCheck = await harness("check_recipient", RECIPIENT)
        require(check.can_receive is True, "A known recipient is reported as unknown.")
        require(str(check.address) == RECIPIENT, "The answer is about another recipient.")
        require(check.raw, "The result lacks the vendor's response.")
        for document_type in ("invoice", "credit_note"):
            check = await harness("check_recipient", STRANGER, document_type=document_type)
            require(not check.can_receive, "An unknown recipient is reported as able to receive.")
            require(check.document_type == document_type, "The answer is about another document.")


async def an_invoice_arrives(make: Open) -> None:
    """A received document is downloaded as its sender wrote it."""
    async with make() as harness:
        documents = (harness.subject.sandbox.document, _other_document(harness))
        ids = [harness.subject.sandbox.arrive(document) for document in documents]
        refs = [f"{harness.subject.vendor.name}:{ACCOUNT}:{id_}" for id_ in ids]
        if EinvoiceCapability.DOWNLOAD in harness.capabilities:
            for ref, document in zip(refs, documents, strict=True):
                received_invoice: ReceivedInvoice = await harness("download", ref)
                require(received_invoice.document == document, "Another document was downloaded.")
                require(
                    str(received_invoice.ref) == ref, "The received invoice has another reference."
                )
                require(received_invoice.raw, "The result lacks the vendor's response.")
        if EinvoiceCapability.INBOX not in harness.capabilities:
            return
        require(
            await _listed_ids(harness) == refs, "A document that was only downloaded is not listed."
        )
        for _ in range(2):
            await harness("mark_fetched", refs[0])
            require(
                await _listed_ids(harness) == refs[1:],
                "The list lacks a document that was not fetched.",
            )


def _other_document(harness: Harness) -> bytes:
    """Return a document with another number than the usual document."""
    return harness.subject.sandbox.document.replace(b"2041", b"2042")


async def _listed_ids(harness: Harness) -> list[str]:
    inbox: EinvoiceInbox = await harness("list_received")
    require(inbox.raw, "The result lacks the vendor's response.")
    for invoice in inbox.invoices:
        require(invoice.at is None or invoice.at.tzinfo, "A time has no zone.")
        require(invoice.document is None, "A list has a document.")
    return [str(invoice.ref) for invoice in inbox.invoices]


async def options_arrive(make: Open) -> None:
    """An option in the vendor's format is sent; other vendors' options are ignored."""
    async with make() as harness:
        name, option = harness.subject.option
        extra = {harness.subject.vendor.name: {name: option}, "another": {"other": "1"}}
        await harness("send", harness.outgoing(extra=extra))
        request = harness.sandbox.requests[-1]
        require(request.json().get(name) == option, "An option is lost.")
        require(b'"other"' not in request.body, "An extra option of another vendor was sent.")


async def secrets_are_shown_nowhere(make: Open) -> None:
    """No error, result, event or log entry shows a secret, even if the vendor repeats it."""
    async with make() as harness:
        all_secrets = " and ".join(harness.subject.secrets)
        echoes = ({"errors": {"root": [all_secrets]}}, [{"source": "a", "details": all_secrets}])
        shown_texts: list[str] = [f"{harness.hub.account(ACCOUNT)!r}{harness.outgoing()!r}"]
        for number, echo in enumerate((None, *echoes, *echoes)):
            status = 401 if number > 2 else 400
            harness.fail(None if echo is None else Response(status, _JSON, encode_json(echo)))
            try:
                sent_invoice = await harness("send", harness.outgoing())
                shown_texts.append(f"{sent_invoice!r}{sent_invoice.ref}")
            except ConnectorError as error:
                trace = "".join(traceback.format_exception(error))
                shown_texts.append(f"{error}{error!r}{vars(error)!r}{trace}{_text_of(error)}")
        await harness.require_hidden(shown_texts, harness.subject.secrets)


def _text_of(error: ConnectorError) -> str:
    response = getattr(error, "response", None)
    return "" if response is None else f"{response.text}{response.url}{response.headers.pairs}"


async def events_are_accepted_if_proven(make: Open) -> None:
    """A webhook about a received document is accepted with its secret, and names the document."""
    async with make() as harness:
        if harness.subject.vendor.webhook is None:
            return
        id_ = harness.subject.sandbox.arrive()
        event = _event(harness, harness.subject.sandbox.receive(id_))
        require(event.type is EinvoiceEventType.RECEIVED, f"The event has the type {event.type}.")
        require(event.ref.id == id_, "The event names another document.")
        require(event.status is None, "A document that arrived has a state.")
        require(event.raw, "The event lacks the vendor's own event.")
        strange_verifier = harness.hub.webhooks(ACCOUNT, secrets=OTHER_SECRET, replay_guard=False)
        try:
            strange_verifier.verify(**harness.subject.sandbox.receive(id_).arguments())
        except (WebhookRejected, AuthenticationFailed):
            return
        raise AssertionError("A webhook with a forged signature is accepted.")


async def a_state_follows_from_its_word(make: Open) -> None:
    """Each state word of the vendor is converted; an unknown word never means success."""
    async with make() as harness:
        reports, deliver = harness.subject.reports, harness.subject.deliver
        if reports is None or deliver is None:
            return
        sent_invoice: SentInvoice = await harness("send", harness.outgoing())
        for word, state in (*harness.subject.words, ("a_new_word", EinvoiceStatus.UNKNOWN)):
            event = _event(harness, reports(sent_invoice.ref.id, word))
            require(event.type is EinvoiceEventType.STATUS, f"The event has the type {event.type}.")
            require(event.status == state, f"{word} is reported as {event.status}.")
            require(event.vendor_status == word, "The result lacks the vendor's own status.")
            require(event.ref == sent_invoice.ref, "The event names another invoice.")
        event = _event(harness, deliver(sent_invoice.ref.id))
        require(event.status is EinvoiceStatus.DELIVERED, "A delivery is not reported.")


def _event(harness: Harness, notice: Notice | None) -> EinvoiceEvent:
    if notice is None:
        raise AssertionError("The vendor sent no webhook about a new state.")
    verifier = harness.hub.webhooks(ACCOUNT, secrets=TOKEN, replay_guard=False)
    verified = verifier.verify(**notice.arguments())[0]
    events: tuple[EinvoiceEvent, ...] = harness.hub.events(ACCOUNT, verified)
    require(len(events) == 1, f"A webhook became {len(events)} events.")
    return events[0]


async def a_request_is_in_the_vendors_words(make: Open) -> None:
    """Each argument is sent under the name and with the words that the vendor uses."""
    async with make() as harness:
        for operation, arguments, expected in harness.subject.requests:
            await harness(operation, *arguments)
            body = harness.sandbox.requests[-1].json()
            require(body == expected, f"{operation} was sent as {body}.")


async def an_answer_is_read_in_full(make: Open) -> None:
    """Each field of a vendor's response is parsed, and its words are converted."""
    async with make() as harness:
        for operation, arguments, answer, expected_fields in harness.subject.answers:
            harness.fail(answer, operation=operation)
            result = await harness(operation, *arguments)
            for name, expected in expected_fields.items():
                value = getattr(result, name)
                require(value == expected, f"{operation} read {value!r} as {name}.")


_ALL_CHECKS: Final = (
    an_invoice_is_sent,
    a_key_sends_once,
    each_request_is_sent_once,
    pending_is_not_delivered,
    unsupported_features_are_refused,
    a_refusal_has_its_type,
    an_uncertain_failure_is_unknown,
    a_lost_answer_is_unknown,
    an_unreadable_success_is_none,
    a_recipient_is_looked_up,
    an_invoice_arrives,
    options_arrive,
    secrets_are_shown_nowhere,
    events_are_accepted_if_proven,
    a_state_follows_from_its_word,
    a_request_is_in_the_vendors_words,
    an_answer_is_read_in_full,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
