"""Checks that every accounting vendor must pass.

The most important ones are about repeats and totals: a key writes once even if requests or
responses are lost, and an invoice whose total the vendor calculates differently does not stay in
the books.

Each check takes a function that makes a new `AccountingSubject`: the vendor, its sandbox, and what
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.accounting import (
    AccountClass,
    AccountingCapability,
    BookRecord,
    Contact,
    ContactQuery,
    ContactRole,
    InvoiceKind,
    InvoiceRecord,
    InvoiceState,
    JournalState,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.domain.values.money import Money
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.testing.kits._accounting_harness import (
    ACCOUNT,
    DOCUMENT,
    NAME,
    PART,
    TOTAL,
    AccountingSubject,
    Harness,
    calls_by_capability,
    creations,
)
from moorage.testing.kits._contract_harness import (
    require_refusal,
    require_unsupported,
    through_async_hub,
    through_hub,
    uncertain_answers,
    with_an_address,
    with_body,
    with_values,
)
from moorage.testing.kits._sent_requests import nested_values
from moorage.testing.kits.checks import OTHER_SECRET, require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

if TYPE_CHECKING:
    from moorage.contracts.accounting import AccountingEvent

__all__ = ["ASYNC_CHECKS", "CHECKS", "AccountingSubject", "AsyncCheck", "Check", "Factory"]

_URL: Final = "https://erp.example/hooks/books"
_MALFORMED: Final = (b"", b"[]", b"null", b"<html></html>", b"{}")
_DIFFERENCE: Final = Decimal("0.05")

Factory: TypeAlias = Callable[[], AccountingSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def the_chart_and_the_taxes_are_read(make: Open) -> None:
    """Accounts have an id and a class; tax rates have an id for invoice lines and an exact rate."""
    async with make() as harness:
        accounts = {item.id: item for item in await harness("accounts")}
        bank = accounts.get(harness.subject.bank)
        require(bank is not None, "The bank account is not in the chart of accounts.")
        is_asset = bank is not None and bank.account_class is AccountClass.ASSET
        require(is_asset, "The bank account is not an asset.")
        raw_values = nested_values("", bank and bank.raw)
        read_classes: set[AccountClass] = set()
        for word in {value for _, value in raw_values if isinstance(value, str)}:
            harness.sandbox.fail(AlteredAnswer(partial(with_values, {word: "a-new-word"})))
            changed_accounts = await harness("accounts")
            read_classes |= {
                item.account_class for item in changed_accounts if item.id == harness.subject.bank
            }
        is_known = read_classes == {AccountClass.ASSET, AccountClass.UNKNOWN}
        require(is_known, f"With an unknown type, an account is {sorted(read_classes)}.")
        classes = {
            accounts[name].account_class for name in harness.subject.ledger if name in accounts
        }
        expected_classes = {AccountClass.REVENUE, AccountClass.EXPENSE}
        require(classes == expected_classes, f"The accounts have the classes {classes}.")
        taxes = {item.id: item for item in await harness("tax_rates")}
        sale_tax = taxes.get(harness.subject.sale.get("tax_rate", ""))
        is_twenty = sale_tax is not None and sale_tax.percent == Decimal(20)
        require(is_twenty, f"The tax on sales is {sale_tax}.")
        require(sale_tax is not None and sale_tax.on_sales, "The tax on sales is not for sales.")


async def a_contact_is_found(make: Open) -> None:
    """A contact is found by its exact name or email address, and changed by its reference."""
    async with make() as harness:
        for role in ContactRole:
            contact = Contact(name=f"{NAME} {role}", email=f"ada+1@{role}.example", role=role)
            record = await harness("create_contact", contact)
            await harness("create_contact", Contact(name=f"{NAME} {role} 2", role=role))
            for query in (
                ContactQuery(name=contact.name, role=role),
                ContactQuery(email=contact.email, role=role),
            ):
                contacts = await harness("find_contacts", query)
                refs = [item.ref for item in contacts]
                require(refs == [record.ref], f"{len(refs)} contacts were found by one detail.")
            no_contacts = await harness(
                "find_contacts", ContactQuery(name="Söhne' or '", role=role)
            )
            require(no_contacts == (), "A contact is found by a part of its name.")
            changed_contact = attrs.evolve(contact, email=f"new@{role}.example")
            for _ in range(2):
                updated = await harness("update_contact", str(record.ref), changed_contact)
                require(updated.ref == record.ref, "A change returns a different reference.")
                require(updated.email == changed_contact.email, "A change is lost.")
        require(harness.count("contacts") == 4, "A change created a contact.")


async def an_invoice_is_written(make: Open) -> None:
    """A new invoice or bill is open with its exact total, also when looked up."""
    async with make() as harness:
        roles = {InvoiceKind.SALES: ContactRole.CUSTOMER, InvoiceKind.BILL: ContactRole.SUPPLIER}
        for kind, role in roles.items():
            contact = await harness.contact(role)
            number = "R-17" if kind is InvoiceKind.BILL else None
            record: InvoiceRecord
            record = await harness("create_invoice", contact, harness.invoice(kind, number=number))
            for item in (record, await harness("get_invoice", str(record.ref))):
                require(item.state is InvoiceState.OPEN, f"A final {kind} is {item.state}.")
                require(item.kind is kind, f"A record of the kind {kind} is read as {item.kind}.")
                require(item.total == TOTAL, f"The total is {item.total} instead of {TOTAL}.")
                require(item.due_amount == TOTAL, f"{item.due_amount} of {TOTAL} are due.")
                require(item.ref == record.ref, "A look-up gives another reference.")
            wrong_kind = next(other for other in InvoiceKind if other is not kind)
            coroutine = harness("create_invoice", contact, harness.invoice(wrong_kind))
            await harness.refused(InvalidData, coroutine, f"A {wrong_kind} of a {role}")
        require(harness.count("invoices") == 2, "Two invoices were not written once each.")


async def an_invoice_keeps_its_currency(make: Open) -> None:
    """Invoices, bills and payments keep their currency, even with large amounts in yen."""
    async with make() as harness:
        for kind in InvoiceKind:
            role = ContactRole.CUSTOMER if kind is InvoiceKind.SALES else ContactRole.SUPPLIER
            contact = await harness.contact(role)
            price, tax = Decimal(500_000_000), Decimal(100_000_000)
            usual_lines = harness.invoice(kind).lines
            lines = [attrs.evolve(usual_lines[0], quantity=Decimal(1), unit_price=price, tax=tax)]
            count = len(harness.sandbox.requests)
            invoice = harness.invoice(kind, currency="JPY", lines=lines)
            record = await harness("create_invoice", contact, invoice)
            total = Money(600_000_000, "JPY")
            require(record.total == total, f"The total is {record.total} instead of {total}.")
            payment = await harness("record_payment", record.ref, harness.payment(Money(1, "JPY")))
            require(
                payment.amount == Money(1, "JPY"),
                f"A payment of one yen is read as {payment.amount}.",
            )
            item = await harness("get_invoice", record.ref)
            due = total - Money(1, "JPY")
            require(item.due_amount == due, f"{item.due_amount} are due instead of {due}.")
            bodies = b"".join(request.body for request in harness.sandbox.requests[count:])
            require(b"EUR" not in bodies, f"A {kind} in yen was sent in euros.")


async def a_draft_stays_a_draft(make: Open) -> None:
    """A draft stays a draft until it is approved, and can be voided."""
    async with make() as harness:
        if AccountingCapability.DRAFTS not in harness.capabilities:
            return
        record = await harness.sold(final=False)
        require(record.state is InvoiceState.DRAFT, f"A draft is {record.state}.")
        require(
            (await harness("get_invoice", record.ref)).state is InvoiceState.DRAFT,
            "A draft was posted.",
        )
        voided = await harness("void_invoice", record.ref)
        require(voided.state is InvoiceState.VOID, f"A voided draft is {voided.state}.")


async def a_different_total_is_undone(make: Open) -> None:
    """If the vendor computes another total, the invoice is removed again, and an error raised."""
    async with make() as harness:
        customer = await harness.contact()
        supplier = await harness.contact(ContactRole.SUPPLIER)
        harness.subject.sandbox.rounding = _DIFFERENCE
        for key in (None, "k-1"):
            for kind, contact in ((InvoiceKind.SALES, customer), (InvoiceKind.BILL, supplier)):
                for _ in range(2):
                    coroutine = harness(
                        "create_invoice",
                        contact,
                        harness.invoice(kind),
                        idempotency_key=key and f"{key}-{kind}",
                    )
                    await harness.refused(VendorRejected, coroutine, f"A {kind} of another total")
                    require(
                        harness.count("invoices") == 0,
                        f"The {kind} document with a wrong total is still listed.",
                    )


async def an_invoice_is_voided_once(make: Open) -> None:
    """Voiding an invoice again changes nothing; an invoice with a payment cannot be voided."""
    async with make() as harness:
        record = await harness.sold()
        for _ in range(2):
            voided = await harness("void_invoice", str(record.ref))
            require(voided.state is InvoiceState.VOID, f"A voided invoice is {voided.state}.")
            require(voided.ref == record.ref, "Another invoice was voided.")
        require(harness.count("invoices") == 0, "A voided invoice is still listed.")
        customer = Contact(name="Mill Ltd")
        contact = (await harness("create_contact", customer)).ref
        paid = await harness("create_invoice", contact, harness.invoice())
        await harness("record_payment", paid.ref, harness.payment())
        coroutine = harness("void_invoice", paid.ref)
        await harness.refused(VendorRejected, coroutine, "Voiding an invoice with a payment")
        require(harness.count("invoices") == 1, "An invoice with a payment was voided.")


async def a_payment_settles_an_invoice(make: Open) -> None:
    """An invoice is open until payments cover its total; further payments are refused."""
    async with make() as harness:
        for kind in InvoiceKind:
            role = ContactRole.CUSTOMER if kind is InvoiceKind.SALES else ContactRole.SUPPLIER
            record = await harness(
                "create_invoice", await harness.contact(role), harness.invoice(kind)
            )
            payment = await harness("record_payment", record.ref, harness.payment())
            require(payment.amount == PART, f"A payment of {PART} became {payment.amount}.")
            require(payment.invoice == record.ref, "A payment is of another invoice.")
            item = await harness("get_invoice", record.ref)
            require(item.state is InvoiceState.OPEN, f"An invoice paid in part is {item.state}.")
            require(item.due_amount == TOTAL - PART, f"{item.due_amount} are due.")
            await harness("record_payment", str(record.ref), harness.payment(TOTAL - PART))
            item = await harness("get_invoice", record.ref)
            require(item.state is InvoiceState.PAID, f"A paid invoice is {item.state}.")
            require(item.due_amount == Money(0, "EUR"), f"{item.due_amount} are due.")
            further_payment = harness("record_payment", record.ref, harness.payment())
            await harness.refused(
                VendorRejected | InvalidRequest, further_payment, "Paying too much"
            )
            dollars = harness("record_payment", record.ref, harness.payment(Money("1.00", "USD")))
            await harness.refused(InvalidData, dollars, "A payment in another currency")
        require(
            harness.count("payments") == 4, "The accounts do not contain each payment exactly once."
        )


async def a_journal_is_posted(make: Open) -> None:
    """A journal entry is posted once, and a file is attached to it."""
    async with make() as harness:
        record = await harness("post_journal", harness.journal())
        require(record.state is JournalState.POSTED, f"A journal entry is {record.state}.")
        require(harness.count("journals") == 1, "A journal entry was not posted once.")
        attachment = await harness("attach", record.ref, DOCUMENT)
        require(attachment.name == DOCUMENT.name, f"The file is named {attachment.name}.")
        require(harness.count("files") == 1, "A file was not attached once.")


async def a_key_writes_once(make: Open) -> None:
    """A repeated idempotency key returns the same record; other content is refused."""
    async with make() as harness:
        for name, (records, call, other_call) in (await creations(harness)).items():
            count_before = harness.count(records)
            first = await call(idempotency_key=f"k-{name}")
            repeat = await _repeat(call(idempotency_key=f"k-{name}"), name)
            require(repeat.ref == first.ref, f"A repeat of {name} has another reference.")
            require(
                harness.count(records) == count_before + 1, f"A key wrote more than once by {name}."
            )
            coroutine = other_call(idempotency_key=f"k-{name}")
            await harness.refused(IdempotencyConflict, coroutine, f"A key for another {name}")
            await other_call(idempotency_key=f"k-{name}-2")
            require(
                harness.count(records) == count_before + 2,
                f"A second idempotency key created no second record by {name}.",
            )


async def _repeat(doing: Any, name: str) -> Any:
    try:
        return await doing
    except ConnectorError as error:
        raise AssertionError(f"A repeat of {name} raised {error!r}.") from error


async def a_lost_answer_writes_once(make: Open) -> None:
    """If a response is lost, the record is found or unknown; no idempotency key writes twice."""
    async with make() as harness:
        for name, (records, call, _) in (await creations(harness)).items():
            count_before, skipped = harness.count(records), harness.subject.positions.get(name, 0)
            harness.sandbox.fail(*[None] * skipped, Lost())
            for _ in range(3):
                await _await_settled(call(idempotency_key=f"k-{name}"), name)
            harness.sandbox.forget_faults()
            require(
                harness.count(records) == count_before + 1, f"{name} wrote more or less than once."
            )


async def an_unreadable_answer_writes_once(make: Open) -> None:
    """An unreadable response is not a success, and its idempotency key never writes twice."""
    async with make() as harness:
        for name, (records, call, _) in (await creations(harness)).items():
            skipped = harness.subject.positions.get(name, 0)
            for number, body in enumerate(_MALFORMED):
                count_before = harness.count(records)
                harness.sandbox.fail(*[None] * skipped, AlteredAnswer(partial(with_body, body)))
                await harness.refused(
                    VendorFailed | OutcomeUnknown,
                    _call_unless_done(call, f"k-{name}-{number}", harness, records, count_before),
                    f"{name} with the answer {body!r}",
                )
                harness.sandbox.forget_faults()
                for _ in range(2):
                    await _await_settled(call(idempotency_key=f"k-{name}-{number}"), name)
                require(
                    harness.count(records) <= count_before + 1,
                    f"{name} wrote twice after {body!r}.",
                )
                if records in {"contacts", "payments"}:
                    break  # a name is unique, and an invoice takes no second payment


async def _call_unless_done(
    call: Callable[..., Any], key: str, harness: Harness, records: str, before: int
) -> Any:
    """Call an operation; if its record had to be looked up, raise OutcomeUnknown."""
    result = await call(idempotency_key=key)
    if harness.count(records) == before + 1 and result.ref.id:
        raise OutcomeUnknown("The record was looked up.")
    return result


async def _await_settled(doing: Any, name: str) -> None:
    """Await an operation, which must succeed or have an unknown outcome."""
    try:
        await doing
    except (OutcomeUnknown, ConnectionFailed):
        return
    except ConnectorError as error:
        raise AssertionError(f"A repeat of {name} raised {error!r}.") from error


async def an_outage_is_no_success(make: Open) -> None:
    """A call during an outage raises an error; its repeat with the key writes at most once."""
    async with make() as harness:
        for name, (records, call, _) in (await creations(harness)).items():
            count_before, skipped = harness.count(records), harness.subject.positions.get(name, 0)
            outages = uncertain_answers(harness.subject.refusals[0][0])
            for key, outage in zip((None, f"k-{name}", None), outages, strict=True):
                harness.sandbox.fail(*[None] * skipped, outage)
                coroutine = call(idempotency_key=key)
                kinds = VendorFailed | OutcomeUnknown
                await harness.refused(kinds, coroutine, f"{name} with HTTP {outage.status}")
                harness.sandbox.forget_faults()
            require(harness.count(records) == count_before, f"{name} wrote in an outage.")
            await _await_settled(call(idempotency_key=f"k-{name}"), name)
            require(harness.count(records) <= count_before + 1, f"{name} wrote twice.")


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error with the vendor's response, and writes nothing."""
    async with make() as harness:
        for number, (refusal, kind, code) in enumerate(harness.subject.refusals):
            answer = with_an_address(refusal)
            for key in (None, f"k-{number}"):
                harness.sandbox.fail(answer)
                coroutine = harness("create_contact", Contact(name="Mill Ltd"), idempotency_key=key)
                error = await harness.refused(kind, coroutine, f"Refusal {number}")
                require_refusal(error, refusal, f"Refusal {number}", code)
        require(harness.count("contacts") == 0, "A refused contact was written.")
        missing_ref = Ref(harness.subject.vendor.name, ACCOUNT, "404404", {"type": "invoice"})
        for operation in ("get_invoice", "void_invoice"):
            unknown_call = harness(operation, missing_ref)
            await harness.refused(
                VendorRejected, unknown_call, f"{operation} of an unknown invoice"
            )


async def a_pause_is_obeyed(make: Open) -> None:
    """If a vendor requests a pause, the error for its response states that pause."""
    async with make() as harness:
        answer, seconds = harness.subject.pause
        harness.sandbox.fail(answer)
        error = await harness.refused(RateLimitExceeded, harness("accounts"), "A rate limit")
        pause = error.vendor_retry_after
        require(pause == seconds, f"The vendor asks for a pause of {seconds} s, not of {pause}.")


async def an_unknown_state_is_unknown(make: Open) -> None:
    """A state word that the vendor does not document is reported as an unknown state."""
    async with make() as harness:
        if harness.subject.strange is None:
            return
        record = await harness.sold()
        harness.sandbox.fail(harness.subject.strange)
        item = await harness("get_invoice", record.ref)
        require(item.state is InvoiceState.UNKNOWN, f"An unknown state is read as {item.state}.")
        require(item.vendor_state is not None, "The result lacks the vendor's own status.")


async def further_states_are_read(make: Open) -> None:
    """Invoice states that only people or banks can cause are converted correctly."""
    async with make() as harness:
        record = await harness.sold()
        for response, state in harness.subject.states:
            harness.sandbox.fail(response)
            item = await harness("get_invoice", record.ref)
            require(
                item.state is state,
                f"An invoice whose status is {item.vendor_state} is {item.state}, not {state}.",
            )


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness).items())


async def another_record_is_refused(make: Open) -> None:
    """An operation on a reference to another kind of record is refused before sending."""
    async with make() as harness:
        contact = await harness.contact()
        count = len(harness.sandbox.requests)
        for name, *arguments in (
            ("get_invoice",),
            ("void_invoice",),
            ("record_payment", harness.payment()),
            ("attach", DOCUMENT),
        ):
            coroutine = harness(name, contact, *arguments)
            await harness.refused(InvalidData, coroutine, f"{name} of a contact")
        require(len(harness.sandbox.requests) == count, "A wrong reference was sent.")


async def options_arrive(make: Open) -> None:
    """An option in the vendor's format is sent; other vendors' options are ignored."""
    async with make() as harness:
        name, option = harness.subject.option
        extra = {harness.subject.vendor.name: {name: option}, "another": {"other": "1"}}
        await harness.sold(extra=extra)
        bodies = [request.body for request in harness.sandbox.requests]
        sent_values = [
            (path.rpartition(".")[2], value)
            for request in harness.sandbox.requests
            if request.body
            for path, value in nested_values("", request.json())
        ]
        require((name, option) in sent_values, "An option is lost.")
        require(
            not any(b'"other"' in body for body in bodies),
            "An extra option of another vendor was sent.",
        )


async def secrets_are_shown_nowhere(make: Open) -> None:
    """No error, record or log entry shows a secret, even if the vendor repeats it."""
    async with make() as harness:
        all_secrets = " and ".join(harness.subject.secrets)
        problem = {"message": all_secrets, "Message": all_secrets, "Detail": all_secrets}
        echo = {
            **problem,
            "error": {"code": 200, "data": {"name": "UserError", **problem}},
            "Fault": {"Error": [problem]},
        }
        shown_texts: list[str] = [f"{harness.hub.account(ACCOUNT)!r}"]
        for answer in (None, Response(400, body=encode_json(echo)), Lost()):
            harness.sandbox.fail(answer)
            try:
                record = await harness("create_contact", Contact(name=f"Mill {len(shown_texts)}"))
                shown_texts.append(f"{record!r}{record.ref}")
            except ConnectorError as error:
                trace = "".join(traceback.format_exception(error))
                shown_texts.append(f"{error}{error!r}{vars(error)!r}{trace}")
        await harness.require_hidden(shown_texts, harness.subject.secrets)


async def nothing_shows_personal_data(make: Open) -> None:
    """The repr of a contact, or of its record, shows neither a name nor an address."""
    async with make() as harness:
        contact = Contact(name="Discreet Ltd", email="discreet@example.com", phone="discreet")
        record = await harness("create_contact", contact)
        contacts = await harness("find_contacts", ContactQuery(name="Discreet Ltd"))
        require("iscreet" not in f"{contact!r}{record!r}{contacts!r}", "A name is shown.")


async def events_are_accepted_if_signed(make: Open) -> None:
    """A change webhook is accepted only if it is signed; its event has the record's reference."""
    async with make() as harness:
        report, secret = harness.subject.report, harness.subject.webhook_secret
        if report is None or secret is None:
            return
        record = await harness.sold()
        notice = attrs.evolve(report(record.ref.id), url=_URL)
        verifier = harness.hub.webhooks(ACCOUNT, secrets=secret)
        events: tuple[AccountingEvent, ...]
        events = harness.hub.events(ACCOUNT, verifier.verify(**notice.arguments())[0])
        require(len(events) == 1, f"A change became {len(events)} events.")
        event = events[0]
        require(event.record is BookRecord.INVOICE, f"A change of an invoice is of {event.record}.")
        item = await harness("get_invoice", event.ref)
        require(item.ref.id == record.ref.id, "An event names another invoice.")
        require(event.at is not None and event.at.tzinfo, "A change has no time.")
        strange_verifier = harness.hub.webhooks(ACCOUNT, secrets=OTHER_SECRET, replay_guard=False)
        try:
            strange_verifier.verify(**notice.arguments())
        except (WebhookRejected, AuthenticationFailed):
            return
        raise AssertionError("A webhook with a forged signature is accepted.")


_ALL_CHECKS: Final = (
    the_chart_and_the_taxes_are_read,
    a_contact_is_found,
    an_invoice_is_written,
    an_invoice_keeps_its_currency,
    a_draft_stays_a_draft,
    a_different_total_is_undone,
    an_invoice_is_voided_once,
    a_payment_settles_an_invoice,
    a_journal_is_posted,
    a_key_writes_once,
    a_lost_answer_writes_once,
    an_unreadable_answer_writes_once,
    an_outage_is_no_success,
    a_refusal_has_its_type,
    a_pause_is_obeyed,
    an_unknown_state_is_unknown,
    further_states_are_read,
    unsupported_features_are_refused,
    another_record_is_refused,
    options_arrive,
    secrets_are_shown_nowhere,
    nothing_shows_personal_data,
    events_are_accepted_if_signed,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
