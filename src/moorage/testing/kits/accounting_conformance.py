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
from moorage.testing.kits._accounting_lab import (
    ACCOUNT,
    DOCUMENT,
    NAME,
    PART,
    TOTAL,
    AccountingSubject,
    Lab,
    calls_by_capability,
    creations,
)
from moorage.testing.kits._contract_lab import (
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
Open: TypeAlias = Callable[[], Lab]


async def the_chart_and_the_taxes_are_read(make: Open) -> None:
    """Accounts have an id and a class; tax rates have an id for invoice lines and an exact rate."""
    async with make() as lab:
        accounts = {item.id: item for item in await lab("accounts")}
        bank = accounts.get(lab.subject.bank)
        require(bank is not None, "The bank account is not in the chart of accounts.")
        is_asset = bank is not None and bank.account_class is AccountClass.ASSET
        require(is_asset, "The bank account is no asset.")
        raw_values = nested_values("", bank and bank.raw)
        read_classes: set[AccountClass] = set()
        for word in {value for _, value in raw_values if isinstance(value, str)}:
            lab.sandbox.fail(AlteredAnswer(partial(with_values, {word: "a-new-word"})))
            changed_accounts = await lab("accounts")
            read_classes |= {
                item.account_class for item in changed_accounts if item.id == lab.subject.bank
            }
        is_known = read_classes == {AccountClass.ASSET, AccountClass.UNKNOWN}
        require(is_known, f"With an unknown word an account is {sorted(read_classes)}.")
        classes = {accounts[name].account_class for name in lab.subject.ledger if name in accounts}
        expected_classes = {AccountClass.REVENUE, AccountClass.EXPENSE}
        require(classes == expected_classes, f"The accounts have the classes {classes}.")
        taxes = {item.id: item for item in await lab("tax_rates")}
        sale_tax = taxes.get(lab.subject.sale.get("tax_rate", ""))
        is_twenty = sale_tax is not None and sale_tax.percent == Decimal(20)
        require(is_twenty, f"The tax on sales is {sale_tax}.")
        require(sale_tax is not None and sale_tax.on_sales, "The tax on sales is not for sales.")


async def a_contact_is_found(make: Open) -> None:
    """A contact is found by its exact name or email address, and changed by its reference."""
    async with make() as lab:
        for role in ContactRole:
            contact = Contact(name=f"{NAME} {role}", email=f"ada+1@{role}.example", role=role)
            record = await lab("create_contact", contact)
            await lab("create_contact", Contact(name=f"{NAME} {role} 2", role=role))
            for query in (
                ContactQuery(name=contact.name, role=role),
                ContactQuery(email=contact.email, role=role),
            ):
                contacts = await lab("find_contacts", query)
                refs = [item.ref for item in contacts]
                require(refs == [record.ref], f"{len(refs)} contacts were found by one detail.")
            no_contacts = await lab("find_contacts", ContactQuery(name="Söhne' or '", role=role))
            require(no_contacts == (), "A contact is found by a part of its name.")
            changed_contact = attrs.evolve(contact, email=f"new@{role}.example")
            for _ in range(2):
                updated = await lab("update_contact", str(record.ref), changed_contact)
                require(updated.ref == record.ref, "A change returns a different reference.")
                require(updated.email == changed_contact.email, "A change is lost.")
        require(lab.count("contacts") == 4, "A change created a contact.")


async def an_invoice_is_written(make: Open) -> None:
    """A new invoice or bill is open with its exact total, also when looked up."""
    async with make() as lab:
        roles = {InvoiceKind.SALES: ContactRole.CUSTOMER, InvoiceKind.BILL: ContactRole.SUPPLIER}
        for kind, role in roles.items():
            contact = await lab.contact(role)
            number = "R-17" if kind is InvoiceKind.BILL else None
            record: InvoiceRecord
            record = await lab("create_invoice", contact, lab.invoice(kind, number=number))
            for item in (record, await lab("get_invoice", str(record.ref))):
                require(item.state is InvoiceState.OPEN, f"A final {kind} is {item.state}.")
                require(item.kind is kind, f"A record of the kind {kind} is read as {item.kind}.")
                require(item.total == TOTAL, f"The total is {item.total} instead of {TOTAL}.")
                require(item.due_amount == TOTAL, f"{item.due_amount} of {TOTAL} are due.")
                require(item.ref == record.ref, "A look-up gives another reference.")
            wrong_kind = next(other for other in InvoiceKind if other is not kind)
            coroutine = lab("create_invoice", contact, lab.invoice(wrong_kind))
            await lab.refused(InvalidData, coroutine, f"A {wrong_kind} of a {role}")
        require(lab.count("invoices") == 2, "Two invoices were not written once each.")


async def an_invoice_keeps_its_currency(make: Open) -> None:
    """Invoices, bills and payments keep their currency, even with large amounts in yen."""
    async with make() as lab:
        for kind in InvoiceKind:
            role = ContactRole.CUSTOMER if kind is InvoiceKind.SALES else ContactRole.SUPPLIER
            contact = await lab.contact(role)
            price, tax = Decimal(500_000_000), Decimal(100_000_000)
            usual_lines = lab.invoice(kind).lines
            lines = [attrs.evolve(usual_lines[0], quantity=Decimal(1), unit_price=price, tax=tax)]
            count = len(lab.sandbox.requests)
            invoice = lab.invoice(kind, currency="JPY", lines=lines)
            record = await lab("create_invoice", contact, invoice)
            total = Money(600_000_000, "JPY")
            require(record.total == total, f"The total is {record.total} instead of {total}.")
            payment = await lab("record_payment", record.ref, lab.payment(Money(1, "JPY")))
            require(
                payment.amount == Money(1, "JPY"),
                f"A payment of one yen is read as {payment.amount}.",
            )
            item = await lab("get_invoice", record.ref)
            due = total - Money(1, "JPY")
            require(item.due_amount == due, f"{item.due_amount} are due instead of {due}.")
            bodies = b"".join(request.body for request in lab.sandbox.requests[count:])
            require(b"EUR" not in bodies, f"A {kind} in yen was sent in euros.")


async def a_draft_stays_a_draft(make: Open) -> None:
    """A draft stays a draft until it is approved, and can be voided."""
    async with make() as lab:
        if AccountingCapability.DRAFTS not in lab.capabilities:
            return
        record = await lab.sold(final=False)
        require(record.state is InvoiceState.DRAFT, f"A draft is {record.state}.")
        require(
            (await lab("get_invoice", record.ref)).state is InvoiceState.DRAFT,
            "A draft was posted.",
        )
        voided = await lab("void_invoice", record.ref)
        require(voided.state is InvoiceState.VOID, f"A voided draft is {voided.state}.")


async def a_different_total_is_undone(make: Open) -> None:
    """If the vendor computes another total, the invoice is removed again, and an error raised."""
    async with make() as lab:
        customer = await lab.contact()
        supplier = await lab.contact(ContactRole.SUPPLIER)
        lab.subject.sandbox.rounding = _DIFFERENCE
        for key in (None, "k-1"):
            for kind, contact in ((InvoiceKind.SALES, customer), (InvoiceKind.BILL, supplier)):
                for _ in range(2):
                    coroutine = lab(
                        "create_invoice",
                        contact,
                        lab.invoice(kind),
                        idempotency_key=key and f"{key}-{kind}",
                    )
                    await lab.refused(VendorRejected, coroutine, f"A {kind} of another total")
                    require(
                        lab.count("invoices") == 0,
                        f"The {kind} document with a wrong total is still listed.",
                    )


async def an_invoice_is_voided_once(make: Open) -> None:
    """Voiding an invoice again changes nothing; an invoice with a payment cannot be voided."""
    async with make() as lab:
        record = await lab.sold()
        for _ in range(2):
            voided = await lab("void_invoice", str(record.ref))
            require(voided.state is InvoiceState.VOID, f"A voided invoice is {voided.state}.")
            require(voided.ref == record.ref, "Another invoice was voided.")
        require(lab.count("invoices") == 0, "A voided invoice is still listed.")
        customer = Contact(name="Mill Ltd")
        contact = (await lab("create_contact", customer)).ref
        paid = await lab("create_invoice", contact, lab.invoice())
        await lab("record_payment", paid.ref, lab.payment())
        coroutine = lab("void_invoice", paid.ref)
        await lab.refused(VendorRejected, coroutine, "Voiding an invoice with a payment")
        require(lab.count("invoices") == 1, "An invoice with a payment was voided.")


async def a_payment_settles_an_invoice(make: Open) -> None:
    """An invoice is open until payments cover its total; further payments are refused."""
    async with make() as lab:
        for kind in InvoiceKind:
            role = ContactRole.CUSTOMER if kind is InvoiceKind.SALES else ContactRole.SUPPLIER
            record = await lab("create_invoice", await lab.contact(role), lab.invoice(kind))
            payment = await lab("record_payment", record.ref, lab.payment())
            require(payment.amount == PART, f"A payment of {PART} became {payment.amount}.")
            require(payment.invoice == record.ref, "A payment is of another invoice.")
            item = await lab("get_invoice", record.ref)
            require(item.state is InvoiceState.OPEN, f"An invoice paid in part is {item.state}.")
            require(item.due_amount == TOTAL - PART, f"{item.due_amount} are due.")
            await lab("record_payment", str(record.ref), lab.payment(TOTAL - PART))
            item = await lab("get_invoice", record.ref)
            require(item.state is InvoiceState.PAID, f"A paid invoice is {item.state}.")
            require(item.due_amount == Money(0, "EUR"), f"{item.due_amount} are due.")
            further_payment = lab("record_payment", record.ref, lab.payment())
            await lab.refused(VendorRejected | InvalidRequest, further_payment, "Paying too much")
            dollars = lab("record_payment", record.ref, lab.payment(Money("1.00", "USD")))
            await lab.refused(InvalidData, dollars, "A payment in another currency")
        require(
            lab.count("payments") == 4, "The accounts do not contain each payment exactly once."
        )


async def a_journal_is_posted(make: Open) -> None:
    """A journal entry is posted once, and a file is attached to it."""
    async with make() as lab:
        record = await lab("post_journal", lab.journal())
        require(record.state is JournalState.POSTED, f"A journal entry is {record.state}.")
        require(lab.count("journals") == 1, "A journal entry was not posted once.")
        attachment = await lab("attach", record.ref, DOCUMENT)
        require(attachment.name == DOCUMENT.name, f"The file is named {attachment.name}.")
        require(lab.count("files") == 1, "A file was not attached once.")


async def a_key_writes_once(make: Open) -> None:
    """A repeated idempotency key returns the same record; other content is refused."""
    async with make() as lab:
        for name, (records, call, other_call) in (await creations(lab)).items():
            count_before = lab.count(records)
            first = await call(idempotency_key=f"k-{name}")
            repeat = await _repeat(call(idempotency_key=f"k-{name}"), name)
            require(repeat.ref == first.ref, f"A repeat of {name} has another reference.")
            require(
                lab.count(records) == count_before + 1, f"A key wrote more than once by {name}."
            )
            coroutine = other_call(idempotency_key=f"k-{name}")
            await lab.refused(IdempotencyConflict, coroutine, f"A key for another {name}")
            await other_call(idempotency_key=f"k-{name}-2")
            require(
                lab.count(records) == count_before + 2,
                f"A second idempotency key created no second record by {name}.",
            )


async def _repeat(doing: Any, name: str) -> Any:
    try:
        return await doing
    except ConnectorError as error:
        raise AssertionError(f"A repeat of {name} raised {error!r}.") from error


async def a_lost_answer_writes_once(make: Open) -> None:
    """If a response is lost, the record is found or unknown; no idempotency key writes twice."""
    async with make() as lab:
        for name, (records, call, _) in (await creations(lab)).items():
            count_before, skipped = lab.count(records), lab.subject.positions.get(name, 0)
            lab.sandbox.fail(*[None] * skipped, Lost())
            for _ in range(3):
                await _await_settled(call(idempotency_key=f"k-{name}"), name)
            lab.sandbox.forget_faults()
            require(lab.count(records) == count_before + 1, f"{name} wrote more or less than once.")


async def an_unreadable_answer_writes_once(make: Open) -> None:
    """An unreadable response is not a success, and its idempotency key never writes twice."""
    async with make() as lab:
        for name, (records, call, _) in (await creations(lab)).items():
            skipped = lab.subject.positions.get(name, 0)
            for number, body in enumerate(_MALFORMED):
                count_before = lab.count(records)
                lab.sandbox.fail(*[None] * skipped, AlteredAnswer(partial(with_body, body)))
                await lab.refused(
                    VendorFailed | OutcomeUnknown,
                    _call_unless_done(call, f"k-{name}-{number}", lab, records, count_before),
                    f"{name} with the answer {body!r}",
                )
                lab.sandbox.forget_faults()
                for _ in range(2):
                    await _await_settled(call(idempotency_key=f"k-{name}-{number}"), name)
                require(
                    lab.count(records) <= count_before + 1, f"{name} wrote twice after {body!r}."
                )
                if records in {"contacts", "payments"}:
                    break  # a name is unique, and an invoice takes no second payment


async def _call_unless_done(
    call: Callable[..., Any], key: str, lab: Lab, records: str, before: int
) -> Any:
    """Call an operation; if its record had to be looked up, raise OutcomeUnknown."""
    result = await call(idempotency_key=key)
    if lab.count(records) == before + 1 and result.ref.id:
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
    async with make() as lab:
        for name, (records, call, _) in (await creations(lab)).items():
            count_before, skipped = lab.count(records), lab.subject.positions.get(name, 0)
            outages = uncertain_answers(lab.subject.refusals[0][0])
            for key, outage in zip((None, f"k-{name}", None), outages, strict=True):
                lab.sandbox.fail(*[None] * skipped, outage)
                coroutine = call(idempotency_key=key)
                kinds = VendorFailed | OutcomeUnknown
                await lab.refused(kinds, coroutine, f"{name} with HTTP {outage.status}")
                lab.sandbox.forget_faults()
            require(lab.count(records) == count_before, f"{name} wrote in an outage.")
            await _await_settled(call(idempotency_key=f"k-{name}"), name)
            require(lab.count(records) <= count_before + 1, f"{name} wrote twice.")


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error with the vendor's response, and writes nothing."""
    async with make() as lab:
        for number, (refusal, kind, code) in enumerate(lab.subject.refusals):
            answer = with_an_address(refusal)
            for key in (None, f"k-{number}"):
                lab.sandbox.fail(answer)
                coroutine = lab("create_contact", Contact(name="Mill Ltd"), idempotency_key=key)
                error = await lab.refused(kind, coroutine, f"Refusal {number}")
                require_refusal(error, refusal, f"Refusal {number}", code)
        require(lab.count("contacts") == 0, "A refused contact was written.")
        missing_ref = Ref(lab.subject.vendor.name, ACCOUNT, "404404", {"type": "invoice"})
        for operation in ("get_invoice", "void_invoice"):
            unknown_call = lab(operation, missing_ref)
            await lab.refused(VendorRejected, unknown_call, f"{operation} of an unknown invoice")


async def a_pause_is_obeyed(make: Open) -> None:
    """If a vendor requests a pause, the error for its response states that pause."""
    async with make() as lab:
        answer, seconds = lab.subject.pause
        lab.sandbox.fail(answer)
        error = await lab.refused(RateLimitExceeded, lab("accounts"), "A rate limit")
        pause = error.vendor_retry_after
        require(pause == seconds, f"The vendor asks for a pause of {seconds} s, not of {pause}.")


async def an_unknown_state_is_unknown(make: Open) -> None:
    """A state word that the vendor does not document is reported as an unknown state."""
    async with make() as lab:
        if lab.subject.strange is None:
            return
        record = await lab.sold()
        lab.sandbox.fail(lab.subject.strange)
        item = await lab("get_invoice", record.ref)
        require(item.state is InvoiceState.UNKNOWN, f"An unknown state is read as {item.state}.")
        require(item.vendor_state is not None, "The result lacks the vendor's own status.")


async def further_states_are_read(make: Open) -> None:
    """Invoice states that only people or banks can cause are converted correctly."""
    async with make() as lab:
        record = await lab.sold()
        for response, state in lab.subject.states:
            lab.sandbox.fail(response)
            item = await lab("get_invoice", record.ref)
            require(
                item.state is state,
                f"An invoice whose status is {item.vendor_state} is {item.state}, not {state}.",
            )


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as lab:
        await require_unsupported(lab, calls_by_capability(lab).items())


async def another_record_is_refused(make: Open) -> None:
    """An operation on a reference to another kind of record is refused before sending."""
    async with make() as lab:
        contact = await lab.contact()
        count = len(lab.sandbox.requests)
        for name, *arguments in (
            ("get_invoice",),
            ("void_invoice",),
            ("record_payment", lab.payment()),
            ("attach", DOCUMENT),
        ):
            coroutine = lab(name, contact, *arguments)
            await lab.refused(InvalidData, coroutine, f"{name} of a contact")
        require(len(lab.sandbox.requests) == count, "A wrong reference was sent.")


async def options_arrive(make: Open) -> None:
    """An option in the vendor's format is sent; other vendors' options are ignored."""
    async with make() as lab:
        name, option = lab.subject.option
        extra = {lab.subject.vendor.name: {name: option}, "another": {"other": "1"}}
        await lab.sold(extra=extra)
        bodies = [request.body for request in lab.sandbox.requests]
        sent_values = [
            (path.rpartition(".")[2], value)
            for request in lab.sandbox.requests
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
    async with make() as lab:
        all_secrets = " and ".join(lab.subject.secrets)
        problem = {"message": all_secrets, "Message": all_secrets, "Detail": all_secrets}
        echo = {
            **problem,
            "error": {"code": 200, "data": {"name": "UserError", **problem}},
            "Fault": {"Error": [problem]},
        }
        shown_texts: list[str] = [f"{lab.hub.account(ACCOUNT)!r}"]
        for answer in (None, Response(400, body=encode_json(echo)), Lost()):
            lab.sandbox.fail(answer)
            try:
                record = await lab("create_contact", Contact(name=f"Mill {len(shown_texts)}"))
                shown_texts.append(f"{record!r}{record.ref}")
            except ConnectorError as error:
                trace = "".join(traceback.format_exception(error))
                shown_texts.append(f"{error}{error!r}{vars(error)!r}{trace}")
        await lab.require_hidden(shown_texts, lab.subject.secrets)


async def nothing_shows_personal_data(make: Open) -> None:
    """The repr of a contact, or of its record, shows neither a name nor an address."""
    async with make() as lab:
        contact = Contact(name="Discreet Ltd", email="discreet@example.com", phone="discreet")
        record = await lab("create_contact", contact)
        contacts = await lab("find_contacts", ContactQuery(name="Discreet Ltd"))
        require("iscreet" not in f"{contact!r}{record!r}{contacts!r}", "A name is shown.")


async def events_are_accepted_if_signed(make: Open) -> None:
    """A change webhook is accepted only if it is signed; its event has the record's reference."""
    async with make() as lab:
        report, secret = lab.subject.report, lab.subject.webhook_secret
        if report is None or secret is None:
            return
        record = await lab.sold()
        notice = attrs.evolve(report(record.ref.id), url=_URL)
        verifier = lab.hub.webhooks(ACCOUNT, secrets=secret)
        events: tuple[AccountingEvent, ...]
        events = lab.hub.events(ACCOUNT, verifier.verify(**notice.arguments())[0])
        require(len(events) == 1, f"A change became {len(events)} events.")
        event = events[0]
        require(event.record is BookRecord.INVOICE, f"A change of an invoice is of {event.record}.")
        item = await lab("get_invoice", event.ref)
        require(item.ref.id == record.ref.id, "An event names another invoice.")
        require(event.at is not None and event.at.tzinfo, "A change has no time.")
        strange_verifier = lab.hub.webhooks(ACCOUNT, secrets=OTHER_SECRET, replay_guard=False)
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


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Lab.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Lab.with_async_hub)
