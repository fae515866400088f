"""Odoo: requests, and the reading of its responses."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    Account,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    Hub,
    InvalidData,
    InvalidRequest,
    Money,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.accounting import (
    AccountClass,
    BookInvoiceLine,
    Contact,
    ContactQuery,
    ContactRole,
    InvoiceKind,
    InvoicePayment,
    InvoiceState,
    JournalState,
)
from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Request
from moorage.testing.sandboxes.accounting.odoo import DATABASE, USER, OdooSandbox
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.vendor_sdk import as_answer
from moorage.vendors.accounting._odoo_calls import classify, result_of
from moorage.vendors.accounting._odoo_records import read_account, read_entry, read_move
from moorage.vendors.accounting.odoo import Odoo
from tests.contracts import books
from tests.vendors.accounting_subjects import odoo_error, odoo_result

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = BookInvoiceLine(
    description="Bolts",
    quantity=Decimal("2.5"),
    unit_price=Decimal("39.956"),
    tax=Decimal("19.98"),
    account="2",
    tax_rate="1",
)
SALE = attrs.evolve(books.INVOICE, lines=[LINE])
PAYMENT = InvoicePayment(
    amount=Money("12.50", "EUR"), account="1", date=date(2031, 5, 7), reference="B-7"
)
INVOICE = "odoo:books:7?type=invoice"


@pytest.fixture
def sandbox() -> OdooSandbox:
    """Return a sandbox."""
    return OdooSandbox()


@pytest.fixture
def vendor(sandbox: OdooSandbox) -> Odoo:
    """Return the options of an account at the sandbox."""
    return Odoo(
        base_url="https://shop.odoo.example",
        database=DATABASE,
        user_id=USER,
        api_key=sandbox.api_key,
    )


@pytest.fixture
def hub(sandbox: OdooSandbox, vendor: Odoo) -> Iterator[Hub]:
    """Return a hub with the account."""
    accounts = [Account("books", vendor, settings={"retry": None})]
    with Hub(accounts, http=SandboxHttpClient(sandbox)) as hub:
        yield hub


def calls(sandbox: OdooSandbox) -> list[tuple[Any, ...]]:
    """Return the model, method, arguments and options of each Odoo call that the sandbox got."""
    return [tuple(item.json()["params"]["args"][3:]) for item in sandbox.requests]


def sales_invoice(hub: Hub, **options: Any) -> Any:
    """Create a sales invoice of a new customer."""
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    return hub.accounting().create_invoice(contact.ref, SALE, **options)


def test_call_has_the_account_and_the_key(hub: Hub, sandbox: OdooSandbox) -> None:
    """A call of an Odoo method contains the database, the user and the API key."""
    hub.accounting().accounts()
    fields = ["code", "name", "account_type", "currency_id"]
    options = {"fields": fields, "order": "id"}
    arguments = ["shop", 2, sandbox.api_key, "account.account", "search_read", [[]], options]
    expected_body = {
        "jsonrpc": "2.0",
        "method": "call",
        "id": 1,
        "params": {"service": "object", "method": "execute_kw", "args": arguments},
    }
    assert expected_body == sandbox.requests[-1].json()


def test_contact_is_sent_with_odoos_names(hub: Hub, sandbox: OdooSandbox) -> None:
    """A contact is sent with its details, its country's id, and its customer or supplier rank."""
    address = Address(
        line1="Quay 1",
        line2="Gate 2",
        line3="Door 3",
        city="Kiel",
        postal_code="24103",
        country="DE",
    )
    contact = Contact(
        name="Mill Ltd",
        role=ContactRole.SUPPLIER,
        number="C-1",
        email="a@b.example",
        phone="1",
        tax_number="DE136695976",
        address=address,
    )
    record = hub.accounting().create_contact(contact, idempotency_key="k-1")
    expected_values = {
        "name": "Mill Ltd",
        "ref": "C-1",
        "email": "a@b.example",
        "phone": "1",
        "vat": "DE136695976",
        "street": "Quay 1",
        "street2": "Gate 2, Door 3",
        "city": "Kiel",
        "zip": "24103",
        "country_id": 57,
        "supplier_rank": 1,
    }
    assert ("res.partner", "create", [expected_values], {}) == calls(sandbox)[1]
    assert ("C-1", True) == (record.number, record.active)
    assert Ref("odoo", "books", "101", {"type": "supplier"}) == record.ref


def test_invoice_is_sent_as_a_draft_and_posted(hub: Hub, sandbox: OdooSandbox) -> None:
    """An invoice is looked up by its key's mark, created as a draft, and posted."""
    record = sales_invoice(hub, idempotency_key="k-1")
    line = {
        "name": "Bolts",
        "quantity": 2.5,
        "price_unit": 39.956,
        "account_id": 2,
        "tax_ids": [[6, 0, [1]]],
    }
    values = {
        "move_type": "out_invoice",
        "partner_id": 101,
        "currency_id": 1,
        "invoice_date": "2031-05-06",
        "invoice_payment_term_id": False,
        "invoice_date_due": "2031-05-06",
        "invoice_line_ids": [[0, 0, line]],
    }
    sent = calls(sandbox)[3]
    mark = sent[2][0].pop("invoice_origin")
    assert ("account.move", "create", [values], {}) == sent
    assert mark.startswith("moorage-")
    assert len("moorage-") + 24 == len(mark)
    methods = [(model, method) for model, method, *_ in calls(sandbox)[4:]]
    read = ("account.move", "search_read")
    assert [read, ("account.move", "action_post"), read] == methods
    assert "INV/2031/00003" == record.number


def test_journal_entry_has_both_sides(hub: Hub, sandbox: OdooSandbox) -> None:
    """A journal entry is created as a draft with debits and credits, and posted."""
    record = hub.accounting().post_journal(books.JOURNAL)
    lines = [
        [0, 0, {"account_id": 1, "name": "Correction", "debit": 1, "credit": 0}],
        [0, 0, {"account_id": 2, "name": "Correction", "debit": 0, "credit": 1}],
    ]
    expected_values = {
        "move_type": "entry",
        "date": "2031-05-06",
        "ref": "Correction",
        "line_ids": lines,
        "invoice_origin": False,
    }
    assert ("account.move", "create", [expected_values], {}) == calls(sandbox)[0]
    assert (JournalState.POSTED, "posted") == (record.state, record.vendor_state)


def test_payment_is_made_by_the_form(hub: Hub, sandbox: OdooSandbox) -> None:
    """A payment is made through Odoo's payment form, with the journal of the bank account."""
    record = sales_invoice(hub)
    hub.accounting().record_payment(record.ref, PAYMENT)
    *_, journal, form, submission, _ = calls(sandbox)
    condition = [["default_account_id", "=", 1], ["type", "in", ["bank", "cash", "credit"]]]
    assert ("account.journal", "search_read", [condition]) == journal[:3]
    values = {
        "amount": 12.5,
        "payment_date": "2031-05-07",
        "journal_id": 7,
        "communication": "B-7",
    }
    context = {"active_model": "account.move", "active_ids": [int(record.ref.id)]}
    assert ("account.payment.register", "create", [values], {"context": context}) == form
    assert ("account.payment.register", "action_create_payments") == submission[:2]


@pytest.mark.parametrize(
    "fields, state, word",
    [
        ({"state": "draft"}, InvoiceState.DRAFT, "draft"),
        ({"state": "cancel"}, InvoiceState.VOID, "cancel"),
        ({"state": "posted", "payment_state": "not_paid"}, InvoiceState.OPEN, "not_paid"),
        ({"state": "posted", "payment_state": "partial"}, InvoiceState.OPEN, "partial"),
        ({"state": "posted", "payment_state": "blocked"}, InvoiceState.OPEN, "blocked"),
        ({"state": "posted", "payment_state": "in_payment"}, InvoiceState.PAID, "in_payment"),
        ({"state": "posted", "payment_state": "paid"}, InvoiceState.PAID, "paid"),
        ({"state": "posted", "payment_state": "reversed"}, InvoiceState.PAID, "reversed"),
        ({"state": "posted", "payment_state": "invoicing_legacy"}, InvoiceState.UNKNOWN, None),
        ({"state": "other"}, InvoiceState.UNKNOWN, "other"),
    ],
)
def test_invoice_is_read_in_full(
    hub: Hub, sandbox: OdooSandbox, fields: dict[str, Any], state: InvoiceState, word: str | None
) -> None:
    """Odoo's state and payment state give an invoice's state, and amounts are exact."""
    item = {
        "id": 7,
        "name": "BILL/7",
        "move_type": "in_invoice",
        "amount_total": 119.88,
        "amount_residual": 0.1,
        "currency_id": [1, "EUR"],
        "write_date": "2031-05-06 07:08:09",
        **fields,
    }
    sandbox.fail(odoo_result([item]))
    record = hub.accounting().get_invoice(INVOICE)
    assert Ref("odoo", "books", "7", {"type": "bill"}) == record.ref
    assert (state, InvoiceKind.BILL, "BILL/7") == (record.state, record.kind, record.number)
    assert (word or "invoicing_legacy") == record.vendor_state
    assert (Money("119.88", "EUR"), Money("0.10", "EUR")) == (record.total, record.due_amount)
    assert datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC) == record.updated_at


def test_move_of_another_type_has_no_invoice_kind(hub: Hub, sandbox: OdooSandbox) -> None:
    """An Odoo move that is not an invoice has no invoice kind, and a draft has no number."""
    item = {"id": 7, "name": "/", "move_type": "out_refund", "state": "draft"}
    sandbox.fail(odoo_result([item]))
    record = hub.accounting().get_invoice(INVOICE)
    assert (None, None, None) == (record.kind, record.number, record.total)


def test_accounts_and_taxes_are_read(hub: Hub, sandbox: OdooSandbox) -> None:
    """The first part of Odoo's account type gives the class; only percentage taxes have rates."""
    accounts = hub.accounting().accounts()
    expected_accounts = [
        ("1", "101401", AccountClass.ASSET, "EUR"),
        ("2", "400000", AccountClass.REVENUE, None),
        ("3", "600000", AccountClass.EXPENSE, None),
    ]
    read = [(item.id, item.code, item.account_class, item.currency) for item in accounts]
    assert expected_accounts == read
    taxes = [
        {"id": 8, "name": "Eco", "amount": 2.0, "amount_type": "fixed", "type_tax_use": "none"},
        {"id": 9, "amount": 7.7, "amount_type": "percent", "type_tax_use": "other"},
    ]
    sandbox.fail(odoo_result(taxes))
    first, second = hub.accounting().tax_rates()
    assert (None, False, False) == (first.percent, first.on_sales, first.on_purchases)
    assert (Decimal("7.7"), None, "9") == (second.percent, second.on_sales, second.name)


def test_lost_answers_are_looked_up_by_the_mark(hub: Hub, sandbox: OdooSandbox) -> None:
    """After a lost response, the one record that has the key's mark is returned."""
    sandbox.fail(Lost())
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"), idempotency_key="k-1")
    assert ["101"] == [contact.ref.id]
    assert (contact.number or "").startswith("moorage-")
    numbered = Contact(name="Well Ltd", number="C-1")
    sandbox.fail(Lost())
    contact = hub.accounting().create_contact(numbered, idempotency_key="k-2")
    assert "C-1" == contact.number
    sandbox.fail(Lost())
    with pytest.raises(OutcomeUnknown):
        hub.accounting().create_contact(
            Contact(name="Well Ltd", number="C-1"), idempotency_key="k-3"
        )


def test_older_contact_with_the_same_number_is_not_taken_for_a_lost_one(
    hub: Hub, sandbox: OdooSandbox
) -> None:
    """If a contact was not created, an older one with its number and name is not its result."""
    older = Contact(name="Well Ltd", number="C-1", email="old@well.example")
    hub.accounting().create_contact(older, idempotency_key="k-1")
    sandbox.fail(ConnectionFailed("The connection broke."))

    with pytest.raises(OutcomeUnknown):
        hub.accounting().create_contact(
            attrs.evolve(older, email="new@well.example"), idempotency_key="k-2"
        )


@pytest.mark.parametrize("status", [403, 429, 503])
def test_look_up_that_fails_leaves_the_record_unknown(
    hub: Hub, sandbox: OdooSandbox, status: int
) -> None:
    """If the look-up after a lost response is rejected, the outcome remains unknown."""
    sandbox.fail(Lost(), reply({"error": {"code": status, "message": "No."}}, status))
    with pytest.raises(OutcomeUnknown):
        hub.accounting().create_contact(Contact(name="Mill Ltd"), idempotency_key="k-1")


def test_lost_payment_is_looked_up_by_its_text(sandbox: OdooSandbox, vendor: Odoo) -> None:
    """A lost payment is searched by its mark, in the text field that this Odoo release uses."""
    for release, field in ((17, "ref"), (18, "memo"), (19, "memo")):
        accounts = [
            Account("books", attrs.evolve(vendor, release=release), settings={"retry": None})
        ]
        with Hub(accounts, http=SandboxHttpClient(sandbox)) as hub:
            contact = hub.accounting().create_contact(Contact(name=f"Mill {release}"))
            record = hub.accounting().create_invoice(contact.ref, SALE)
            sandbox.fail(None, None, None, Lost(), odoo_result([{"id": 500}]))
            payments = [{"id": 500, "amount": 12.5, "currency_id": [1, "EUR"], "state": "paid"}]
            sandbox.fail(odoo_result(payments))
            payment = hub.accounting().record_payment(record.ref, PAYMENT, idempotency_key="k-1")
            assert "500" == payment.ref.id
            ((name, operator, mark),) = calls(sandbox)[-2][2][0]
            assert (field, "like") == (name, operator)
            assert mark.startswith("moorage-")


def test_lost_answer_of_posting_is_looked_up(hub: Hub, sandbox: OdooSandbox) -> None:
    """If the response to posting is lost, moorage looks the invoice up and reports it posted."""
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    sandbox.fail(None, None, None, Lost())
    record = hub.accounting().create_invoice(contact.ref, SALE, idempotency_key="k-1")
    assert InvoiceState.OPEN is record.state
    sandbox.fail(None, None, None, odoo_error("odoo.exceptions.UserError", "Locked."))
    with pytest.raises(VendorRejected, match="Locked"):
        hub.accounting().create_invoice(contact.ref, SALE, idempotency_key="k-2")
    repeat = hub.accounting().create_invoice(contact.ref, SALE, idempotency_key="k-2")
    assert InvoiceState.OPEN is repeat.state
    assert 2 == sandbox.counts()["invoices"]


def test_posted_entry_is_not_posted_again(hub: Hub, sandbox: OdooSandbox) -> None:
    """Repeating a journal entry with its key returns the entry, and does not post it again."""
    first = hub.accounting().post_journal(books.JOURNAL, idempotency_key="k-1")
    repeat = hub.accounting().post_journal(books.JOURNAL, idempotency_key="k-1")
    assert first.ref == repeat.ref
    posts = [method for _, method, *_ in calls(sandbox) if method == "action_post"]
    assert ["action_post"] == posts


def test_missing_records_are_errors(hub: Hub, sandbox: OdooSandbox) -> None:
    """A missing record, an unknown currency and an unknown account raise an error."""
    with pytest.raises(VendorRejected) as excinfo:
        hub.accounting().get_invoice(INVOICE)
    assert "MissingError" == excinfo.value.vendor_code
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    with pytest.raises(InvalidData) as problem:
        hub.accounting().create_invoice(contact.ref, attrs.evolve(SALE, currency="GBP"))
    assert "currency" == problem.value.field
    record = hub.accounting().create_invoice(contact.ref, SALE)
    with pytest.raises(InvalidData) as problem:
        hub.accounting().record_payment(record.ref, attrs.evolve(PAYMENT, account="3"))
    assert "account" == problem.value.field


@pytest.mark.parametrize(
    "names, kind",
    [
        ("AccessDenied AccessError SessionExpiredException", AuthenticationFailed),
        ("UserError RedirectWarning MissingError", VendorRejected),
        ("ValidationError ValueError TypeError KeyError", InvalidRequest),
        ("SerializationFailure", VendorFailed),
    ],
)
def test_exception_of_odoo_decides_the_error(names: str, kind: type[ConnectorError]) -> None:
    """Each exception of Odoo's framework becomes an error of its class."""
    errors: list[Any] = [
        classify(Request.post("/jsonrpc"), odoo_error(f"odoo.exceptions.{name}"))
        for name in names.split()
    ]

    assert [(kind, name) for name in names.split()] == [
        (type(error), error.vendor_code) for error in errors
    ]


@pytest.mark.parametrize(
    "status, kind",
    [
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (429, RateLimitExceeded),
        (404, VendorFailed),
    ],
)
def test_status_decides_the_error_of_an_unknown_exception(
    status: int, kind: type[ConnectorError]
) -> None:
    """An error without a known exception, as from a proxy, has the class of its status."""
    answer = reply({"error": {"code": status, "message": "No."}}, status)

    assert kind is type(classify(Request.post("/jsonrpc"), answer))


@pytest.mark.parametrize(
    "group, meaning",
    [
        ("asset_current", AccountClass.ASSET),
        ("liability_payable", AccountClass.LIABILITY),
        ("equity_unaffected", AccountClass.EQUITY),
        ("income_other", AccountClass.REVENUE),
        ("expense_depreciation", AccountClass.EXPENSE),
    ],
)
def test_account_type_has_a_class(group: str, meaning: AccountClass) -> None:
    """The first word of an account's type in Odoo is its class."""
    account = read_account(as_answer({"id": 1, "name": "A", "account_type": group}))

    assert meaning is account.account_class


def test_unknown_state_or_account_type_is_unknown() -> None:
    """An unknown state or account type becomes UNKNOWN, and Odoo's own value is kept."""
    entry = read_entry(_ref, as_answer({"id": 1, "state": "frozen"}))
    account = read_account(as_answer({"id": 1, "name": "Gold", "account_type": "metal_gold"}))
    nameless_account = read_account(as_answer({"id": 1}))
    move = read_move(_ref, as_answer({"id": 1}))

    assert (JournalState.UNKNOWN, "frozen") == (entry.state, entry.vendor_state)
    assert (AccountClass.UNKNOWN, "metal_gold") == (account.account_class, account.vendor_type)
    assert ("1", None) == (nameless_account.name, nameless_account.vendor_type)
    assert (InvoiceState.UNKNOWN, None) == (move.state, move.vendor_state)


def _ref(id_: str, /, **_: str | None) -> Ref:
    return Ref("odoo", "books", id_)


@pytest.mark.parametrize(
    "body", [{"id": 1}, {"id": 2, "result": [7]}, {"result": [7]}, {"id": 1, "error": {}}]
)
def test_result_of_another_call_is_none(body: dict[str, Any]) -> None:
    """A response without a result, or with another call's id, is an error."""
    with pytest.raises(VendorFailed, match="result"):
        result_of(reply(body))


def test_error_without_exception_name_has_odoo_code_and_message() -> None:
    """An error without an exception name has Odoo's code and message."""
    error = {"code": 100, "message": "Odoo Session Expired."}
    refusal = classify(Request.post("/jsonrpc"), reply({"error": error}))

    assert isinstance(refusal, VendorFailed)
    assert "100" == refusal.vendor_code
    assert "Odoo Session Expired." in str(refusal)
    bare_error = classify(Request.post("/jsonrpc"), reply({"error": {"message": "No."}}))
    assert isinstance(bare_error, VendorFailed)
    assert None is bare_error.vendor_code


def test_contacts_are_found_by_each_detail(hub: Hub, sandbox: OdooSandbox) -> None:
    """Contacts are searched by name, address or tax number, whichever is given."""
    queries = (
        (ContactQuery(name="Mill Ltd"), ["name", "=", "Mill Ltd"]),
        (ContactQuery(email="mill@example.com"), ["email", "=", "mill@example.com"]),
        (ContactQuery(number="C-1"), ["ref", "=", "C-1"]),
    )
    for query, condition in queries:
        hub.accounting().find_contacts(query)
        assert [condition] == sandbox.requests[-1].json()["params"]["args"][5][0]


@pytest.mark.parametrize("field", ["account", "item", "tax_rate"])
def test_ids_are_whole_numbers(hub: Hub, sandbox: OdooSandbox, field: str) -> None:
    """If an id is not a whole number, the error names its field."""
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    changes: dict[str, Any] = {field: "4.5"}
    line = attrs.evolve(LINE, **changes)
    with pytest.raises(InvalidData) as excinfo:
        hub.accounting().create_invoice(contact.ref, attrs.evolve(SALE, lines=[line]))
    assert field == excinfo.value.field
    assert 0 == sandbox.counts()["invoices"]


@pytest.mark.parametrize(
    "answer",
    [odoo_result(None), odoo_result("x"), odoo_result(True), odoo_result(0)],
    ids=["null", "text", "true", "zero"],
)
def test_results_that_are_no_id_are_no_success(hub: Hub, sandbox: OdooSandbox, answer: Any) -> None:
    """A creation whose result is not an id is a failure."""
    sandbox.fail(answer)
    with pytest.raises(VendorFailed, match="id"):
        hub.accounting().create_contact(Contact(name="Mill Ltd"))
    sandbox.fail(odoo_result({"id": 7}))
    with pytest.raises(VendorFailed, match="list"):
        hub.accounting().find_contacts(ContactQuery(email="a@b.example"))


def test_unknown_exceptions_are_failures(hub: Hub, sandbox: OdooSandbox) -> None:
    """An unknown Odoo exception is a failure, not a rejection."""
    sandbox.fail(odoo_error("psycopg2.errors.SerializationFailure"))
    with pytest.raises(VendorFailed) as excinfo:
        hub.accounting().accounts()
    assert "SerializationFailure" == excinfo.value.vendor_code


def test_releases_are_known() -> None:
    """An unsupported Odoo release is refused."""
    with pytest.raises(ConfigurationError):
        Odoo(base_url="https://x.example", database="d", user_id=1, api_key="k", release=12)
