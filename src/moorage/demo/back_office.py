"""The demo's back office: invoices, accounting, bank, shop, contracts, phones and employees."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from moorage.contracts.accounting import BookInvoice, BookInvoiceLine, Contact, InvoicePayment
from moorage.contracts.bank import ConsentRequest, Money, OpenItem, TransactionQuery, match
from moorage.contracts.calendars import Attendee, EventChanges, NewEvent
from moorage.contracts.inference import GenerationRequest
from moorage.contracts.people import NewPerson
from moorage.contracts.push import PushMessage, PushOutcome, outcome_of
from moorage.contracts.shops import Fulfilment
from moorage.contracts.signatures import SignatureDocument, SignatureRequest, Signer
from moorage.errors import ConnectorError, OutcomeUnknown
from moorage.invoices import (
    Identifier,
    Invoice,
    InvoiceDelivery,
    InvoiceLine,
    Party,
    PayeeAccount,
    PaymentInstructions,
    PostalAddress,
    VatExemption,
    outgoing_invoice,
)

if TYPE_CHECKING:
    from moorage import Hub, Ref
    from moorage.contracts.accounting import InvoiceRecord
    from moorage.contracts.bank import BankConsent, MatchResult
    from moorage.contracts.calendars import CalendarEvent
    from moorage.contracts.push import DeviceToken
    from moorage.contracts.shops import FulfilmentReceipt, ShopOrder
    from moorage.contracts.signatures import SignatureReceipt

BRANCHES: Final = (None, "acme-nl")
"""The tenants of the business, each with a directory of its own; None is the head office."""

VISIT_START: Final = datetime(2031, 4, 28, 9, tzinfo=ZoneInfo("Europe/Berlin"))
VISIT_END: Final = VISIT_START + timedelta(hours=2)

_NUMBER: Final = "INV-1042"
_DAY: Final = date(2031, 4, 22)
_DUE: Final = date(2031, 5, 6)
_PRICE: Final = Money("149.90", "EUR")
_RETURN_URL: Final = "https://erp.acme.example/back"
_LETTER_SCHEMA: Final = {
    "type": "object",
    "properties": {"kind": {"type": "string", "enum": ["invoice", "reminder", "other"]}},
    "required": ["kind"],
    "additionalProperties": False,
}
_INVOICE: Final = Invoice(
    number=_NUMBER,
    issue_date=_DAY,
    due_date=_DUE,
    type_code="380",
    currency="EUR",
    buyer_reference="PO-88",
    seller=Party(
        name="ACME",
        vat_id="DE136695976",
        endpoint=Identifier("4012345000009", "0088"),
        address=PostalAddress(city="Hamburg", postal_code="20457", country="DE"),
    ),
    buyer=Party(
        name="Hopper BV",
        vat_id="NL123456789B01",
        endpoint=Identifier("7300010000001", "0088"),
        address=PostalAddress(city="Rotterdam", postal_code="3011", country="NL"),
    ),
    delivery=InvoiceDelivery(date=_DAY),
    payment=PaymentInstructions(code="58", accounts=(PayeeAccount(iban="DE89370400440532013000"),)),
    lines=(
        InvoiceLine(
            id="1",
            name="Advice",
            quantity=Decimal(1),
            unit="C62",
            net_price=_PRICE.amount,
            vat_category="AE",
            vat_rate=Decimal(0),
        ),
    ),
    exemptions=(VatExemption(category="AE", reason="Reverse charge"),),
)


class BackOffice:
    """The back office of a small business. Its code does not depend on any vendor.

    Attributes:
        orders: the orders of the shop that were imported, by id.
        phones: the devices of the employees.
        open_accounts: the accounts of the employees by branch and user name.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.orders: dict[str, ShopOrder] = {}
        self.phones: list[DeviceToken] = []
        self.open_accounts: dict[tuple[str | None, str], Ref] = {}

    def send_invoice(self) -> str:
        """Send an invoice to the buyer's electronic address; return its status."""
        invoice = outgoing_invoice(_INVOICE)
        try:
            sent_invoice = self.hub.einvoices().send(
                invoice, idempotency_key=f"{_NUMBER}/e-invoice"
            )
        except OutcomeUnknown:
            return "perhaps sent; only the vendor knows, so nothing is sent again"
        return f"sent, and {sent_invoice.status}"

    def book_customer(self) -> Ref:
        """Add the customer to the accounting once; return the reference."""
        contact = Contact(name="Hopper BV", number="C-88")
        return self.hub.accounting().create_contact(contact, idempotency_key="C-88/contact").ref

    def book_invoice(self, customer: Ref) -> InvoiceRecord:
        """Add the invoice to the accounting once."""
        line = BookInvoiceLine(
            description="Advice", unit_price=_PRICE.amount, account="200", tax_rate="NONE"
        )
        invoice = BookInvoice(currency="EUR", date=_DAY, due=_DUE, lines=[line], number=_NUMBER)
        key = f"{_NUMBER}/books"
        return self.hub.accounting().create_invoice(customer, invoice, idempotency_key=key)

    def book_payment(self, invoice: Ref) -> InvoiceRecord:
        """Record once that the invoice is paid."""
        books = self.hub.accounting()
        payment = InvoicePayment(amount=_PRICE, account="090", date=_DUE)
        books.record_payment(invoice, payment, idempotency_key=f"{_NUMBER}/paid")
        return books.get_invoice(invoice)

    def connect_bank(self, key: str) -> BankConsent:
        """Ask the bank account's owner for consent."""
        request = ConsentRequest(return_url=_RETURN_URL, ip_address="192.0.2.7")
        return self.hub.bank().start_consent(request, idempotency_key=key)

    def match_statement(self, consent: Ref) -> MatchResult:
        """Match the bank transactions with the open invoices."""
        bank = self.hub.bank()
        account = bank.accounts(consent)[0]
        query = TransactionQuery(since=_DAY)
        page = bank.transactions(account.ref, query)
        lines = [*page.booked]
        while page.next is not None:
            page = bank.transactions(account.ref, query, after=page.next)
            lines += page.booked
        supplier = OpenItem(id="RUN-7-1", amount=Money("-20.50", "EUR"), end_to_end_id="RUN-7-1")
        customer = OpenItem(id=_NUMBER, amount=_PRICE, invoice_number=_NUMBER)
        return match([line.entry for line in lines], [customer, supplier])

    def import_order(self, order: Ref) -> str:
        """Import a new or changed order from the shop; return which of the two it was."""
        outcome = "changed" if order.id in self.orders else "imported"
        self.orders[order.id] = self.hub.shops().get_order(order)
        return outcome

    def fulfil_order(self, order: ShopOrder) -> FulfilmentReceipt:
        """Report once to the shop that the parcel was sent."""
        parcel = Fulfilment(tracking_number="1Z999AA10123456784", carrier="UPS", notify=True)
        key = f"{order.number}/parcel"
        return self.hub.shops().fulfil(order.ref, parcel, idempotency_key=key)

    def send_contract(self, version: int) -> SignatureReceipt:
        """Send a version of the contract to its signer once."""
        request = SignatureRequest(
            subject=f"Contract of Ada Lovelace, version {version}",
            documents=[SignatureDocument(name="contract.pdf", content=b"%PDF-1.7")],
            signers=[Signer(name="Ada Lovelace", email="ada@example.com")],
        )
        key = f"E-1815/contract-{version}"
        return self.hub.signatures().send(request, idempotency_key=key)

    def store_contract(self, contract: Ref) -> str:
        """Store the signed contract; return its path."""
        file = self.hub.signatures().download(contract)
        self.hub.storage().upload("contracts/E-1815.pdf", file.content)
        return "contracts/E-1815.pdf"

    def notify(self, text: str) -> list[PushOutcome]:
        """Notify all phones, and forget the tokens that are no longer valid."""
        messages = [PushMessage(to=phone, title=text) for phone in self.phones]
        outcomes = [outcome_of(result) for result in self.hub.push().send_bulk(messages)]
        pairs = zip(self.phones, outcomes, strict=True)
        self.phones = [phone for phone, outcome in pairs if outcome is not PushOutcome.GONE]
        return outcomes

    def hire(self, user_name: str) -> None:
        """Create an employee's accounts, once at each branch."""
        person = NewPerson(user_name=user_name, external_id="E-1815", display_name="Ada Lovelace")
        for branch in BRANCHES:
            account = self.hub.people(branch).create(
                person, password=token_urlsafe(12), idempotency_key="E-1815/account"
            )
            self.open_accounts[branch, user_name] = account.ref

    def close_accounts(self) -> list[str]:
        """Deactivate an employee's accounts; return the vendors where this has not worked yet."""
        for (branch, name), ref in list(self.open_accounts.items()):
            try:
                self.hub.people(branch).deactivate(ref)
            except ConnectorError:
                continue
            del self.open_accounts[branch, name]
        return [ref.vendor for ref in self.open_accounts.values()]

    def plan_visit(self) -> CalendarEvent:
        """Add a visit to the customer to the calendar once."""
        calendars = self.hub.calendars()
        calendar = next(item for item in calendars.calendars().items if item.primary)
        visit = NewEvent(
            title="Visit to Hopper BV",
            start=VISIT_START,
            end=VISIT_END,
            attendees=[Attendee("grace@example.com", "Grace")],
        )
        return calendars.create(calendar.ref, visit, idempotency_key="V-7/event")

    def sort_letter(self, number: int, text: str) -> str:
        """Return which kind of letter this is, in the opinion of a language model."""
        request = GenerationRequest(
            text,
            instructions="Say which kind of letter this is.",
            schema=_LETTER_SCHEMA,
            max_tokens=200,
        )
        answer = self.hub.inference().generate(request, idempotency_key=f"letter-{number}/kind")
        return str(answer.json()["kind"])

    def is_free(self, email: str) -> bool:
        """Return whether a person is free at the time of the visit."""
        (availability,) = self.hub.calendars().free_busy([email], start=VISIT_START, end=VISIT_END)
        return availability.busy == ()

    def postpone_visit(self, visit: CalendarEvent) -> CalendarEvent:
        """Move the visit to the next day, unless somebody else has changed it."""
        day = timedelta(days=1)
        changes = EventChanges(start=VISIT_START + day, end=VISIT_END + day)
        return self.hub.calendars().update(visit.ref, changes, version=visit.version)
