"""QuickBooks Online: requests, and the reading of its responses."""

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
    ConnectorError,
    Hub,
    InvalidData,
    InvalidRequest,
    Money,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
    WebhookVerifier,
)
from moorage.contracts.accounting import (
    AccountClass,
    BookChange,
    BookDocument,
    BookRecord,
    Contact,
    ContactQuery,
    ContactRole,
    InvoiceKind,
    InvoicePayment,
    InvoiceState,
    Journal,
    JournalLine,
)
from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Request, Response
from moorage.domain.service.safety import Mode
from moorage.testing.sandboxes.accounting.quickbooks import REALM, QuickBooksSandbox
from moorage.testing.sandboxes.base import AlteredAnswer, SandboxHttpClient, reply
from moorage.vendor_sdk import as_answer
from moorage.vendors.accounting._quickbooks_answers import (
    classify,
    read_account,
    read_tax_codes,
)
from moorage.vendors.accounting._quickbooks_requests import (
    contact_body,
    escaped_text,
    invoice_body,
    journal_body,
)
from moorage.vendors.accounting.quickbooks import QuickBooks
from tests.contracts import books
from tests.vendors.accounting_subjects import fault

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOMER = Ref("quickbooks", "books", "7", {"type": "customer"})
ITEM_LINE = attrs.evolve(
    books.LINE,
    account=None,
    quantity=Decimal("2.5"),
    unit_price=Decimal("39.956"),
    tax=Decimal("19.98"),
    tax_rate="5",
)
SALE = attrs.evolve(books.INVOICE, lines=[ITEM_LINE])
PAYMENT = InvoicePayment(
    amount=Money("12.50", "EUR"), account="1", date=date(2031, 5, 7), reference="B" * 30
)


@pytest.fixture
def sandbox() -> QuickBooksSandbox:
    """Return a sandbox."""
    return QuickBooksSandbox()


@pytest.fixture
def hub(sandbox: QuickBooksSandbox) -> Iterator[Hub]:
    """Return a hub with an account at the sandbox."""
    vendor = QuickBooks(realm_id=REALM, credentials=sandbox.token)
    accounts = [Account("books", vendor, settings={"retry": None})]
    with Hub(accounts, http=SandboxHttpClient(sandbox)) as hub:
        yield hub


def sales_invoice(hub: Hub) -> Any:
    """Create a sales invoice of a new customer."""
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    return hub.accounting().create_invoice(contact.ref, SALE)


def create_bill(hub: Hub) -> Any:
    """Create a bill of a new supplier."""
    supplier = Contact(name="Well Ltd", role=ContactRole.SUPPLIER)
    contact = hub.accounting().create_contact(supplier)
    line = attrs.evolve(ITEM_LINE, account="2", item=None)
    bill = attrs.evolve(SALE, kind=InvoiceKind.BILL, lines=[line])
    return hub.accounting().create_invoice(contact.ref, bill)


@pytest.mark.parametrize("missing,kind", [("CurrencyRef", "refused"), ("Balance", "failed")])
def test_paid_invoice_without_currency_is_not_voided(
    hub: Hub, sandbox: QuickBooksSandbox, missing: str, kind: str
) -> None:
    """An invoice with a payment is not voided, even if the response lacks currency or balance."""
    record = sales_invoice(hub)
    hub.accounting().record_payment(record.ref, PAYMENT)

    def without_field(response: Any) -> Any:
        body = response.json()
        del body["Invoice"][missing]
        return reply(body)

    sandbox.fail(AlteredAnswer(without_field))
    error: Any = VendorRejected if kind == "refused" else VendorFailed
    with pytest.raises(error, match="payments"):
        hub.accounting().void_invoice(record.ref)
    assert hub.accounting().get_invoice(record.ref).state is InvoiceState.OPEN


def test_contact_body_depends_on_the_role() -> None:
    """QuickBooks has different fields for a customer's and a supplier's tax number."""
    address = Address(line1="Quay 1", city="Kiel", region="SH", postal_code="24103", country="DE")
    contact = Contact(
        name="Mill Ltd", email="a@b.example", phone="1", tax_number="T", address=address
    )
    expected_body = {
        "DisplayName": "Mill Ltd",
        "PrimaryEmailAddr": {"Address": "a@b.example"},
        "PrimaryPhone": {"FreeFormNumber": "1"},
        "PrimaryTaxIdentifier": "T",
        "BillAddr": {
            "Line1": "Quay 1",
            "City": "Kiel",
            "CountrySubDivisionCode": "SH",
            "PostalCode": "24103",
            "Country": "DE",
        },
    }
    assert expected_body == contact_body(contact)
    supplier = Contact(name="Mill Ltd", role=ContactRole.SUPPLIER, tax_number="T")
    assert {"DisplayName": "Mill Ltd", "TaxIdentifier": "T"} == contact_body(supplier)


def test_invoice_body_replaces_the_tax() -> None:
    """A sales invoice is sent with items, exact amounts and the total tax."""
    line = {
        "Amount": 99.89,
        "Description": "Bolts",
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {
            "TaxCodeRef": {"value": "5"},
            "ItemRef": {"value": "10"},
            "Qty": 2.5,
            "UnitPrice": 39.956,
        },
    }
    expected_body = {
        "CustomerRef": {"value": "7"},
        "DocNumber": "RE-1",
        "TxnDate": "2031-05-06",
        "DueDate": "2031-05-06",
        "CurrencyRef": {"value": "EUR"},
        "GlobalTaxCalculation": "TaxExcluded",
        "TxnTaxDetail": {"TotalTax": 19.98},
        "Line": [line],
    }
    assert expected_body == invoice_body(CUSTOMER, attrs.evolve(SALE, number="RE-1"))


def test_invoice_body_has_the_currency_of_the_invoice() -> None:
    """An invoice in yen is sent in yen, and its lines have no decimals."""
    line = attrs.evolve(ITEM_LINE, tax=Decimal(20))
    body = invoice_body(CUSTOMER, attrs.evolve(books.INVOICE, currency="JPY", lines=[line]))

    assert ({"value": "JPY"}, 100) == (body["CurrencyRef"], body["Line"][0]["Amount"])


def test_bill_body_has_accounts_or_items() -> None:
    """A bill's line has an account or an item; tax is sent only with a tax code."""
    lines = [
        attrs.evolve(books.LINE, item=None, account="2"),
        attrs.evolve(books.LINE, account=None),
    ]
    bill = attrs.evolve(books.INVOICE, kind=InvoiceKind.BILL, lines=lines)
    body = invoice_body(CUSTOMER, bill)
    account_line, item_line = body["Line"]
    assert {"AccountRef": {"value": "2"}} == account_line["AccountBasedExpenseLineDetail"]
    expected_item = {"ItemRef": {"value": "10"}, "Qty": 1, "UnitPrice": 49.95}
    assert expected_item == item_line["ItemBasedExpenseLineDetail"]
    assert {"VendorRef", "TxnDate", "DueDate", "CurrencyRef", "Line"} == {*body}


def test_journal_body_has_posting_types() -> None:
    """Lines of a journal entry are debits or credits with positive amounts."""
    lines = [
        JournalLine(account="3", debit=Decimal("12.50"), description="Correction"),
        JournalLine(account="2", credit=Decimal("12.50")),
    ]
    expected_line = {
        "Amount": 12.5,
        "Description": "Correction",
        "DetailType": "JournalEntryLineDetail",
        "JournalEntryLineDetail": {"PostingType": "Debit", "AccountRef": {"value": "3"}},
    }
    body = journal_body(Journal(date=date(2031, 5, 6), narration="May", lines=lines))
    assert expected_line == body["Line"][0]
    assert "Credit" == body["Line"][1]["JournalEntryLineDetail"]["PostingType"]
    assert ("2031-05-06", "May") == (body["TxnDate"], body["PrivateNote"])


def test_creation_has_a_request_id(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """A creation with a key sends the key, or a long key's digest, as request id."""
    hub.accounting().create_contact(Contact(name="Mill Ltd"), idempotency_key="k-1")
    expected_query = {"requestid": "k-1", "minorversion": "75"}
    assert expected_query == dict(sandbox.requests[-1].query)
    hub.accounting().create_contact(Contact(name="Well Ltd"), idempotency_key="k" * 200)
    assert 50 == len(dict(sandbox.requests[-1].query)["requestid"])
    hub.accounting().create_contact(Contact(name="Hill Ltd"))
    assert {"minorversion": "75"} == dict(sandbox.requests[-1].query)


def test_payments_are_linked(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """A payment is sent with the invoice or bill, the contact and the account."""
    record = sales_invoice(hub)
    hub.accounting().record_payment(record.ref, PAYMENT)
    linked = {"TxnId": record.ref.id, "TxnType": "Invoice"}
    expected_payment = {
        "CustomerRef": {"value": "1"},
        "DepositToAccountRef": {"value": "1"},
        "PaymentRefNum": "B" * 21,
        "TxnDate": "2031-05-07",
        "CurrencyRef": {"value": "EUR"},
        "TotalAmt": 12.5,
        "Line": [{"Amount": 12.5, "LinkedTxn": [linked]}],
    }
    assert expected_payment == sandbox.requests[-1].json()
    record = create_bill(hub)
    hub.accounting().record_payment(record.ref, attrs.evolve(PAYMENT, reference=None))
    body = sandbox.requests[-1].json()
    assert "/v3/company/4620816365000000001/billpayment" == sandbox.requests[-1].path
    assert ("Check", {"BankAccountRef": {"value": "1"}}) == (body["PayType"], body["CheckPayment"])
    assert {"TxnId": record.ref.id, "TxnType": "Bill"} == body["Line"][0]["LinkedTxn"][0]
    assert "DocNumber" not in body


def test_texts_are_escaped_in_queries(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """Apostrophes and backslashes in a name are escaped in QuickBooks queries."""
    assert r"O\'Neil \\" == escaped_text("O'Neil \\")
    hub.accounting().find_contacts(ContactQuery(name="O'Neil"))
    query = r"select * from Customer where DisplayName = 'O\'Neil' startposition 1 maxresults 1000"
    assert query == dict(sandbox.requests[-1].query)["query"]


def test_queries_go_on_while_pages_are_full(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """After a full page the next one is queried; a row without an id is left out."""
    rows = [{"Id": str(number), "Name": "x"} for number in range(999)]
    sandbox.fail(
        reply({"QueryResponse": {"Account": [*rows, {"Name": "y"}]}}),
        reply({"QueryResponse": {}}),
    )
    assert 999 == len(hub.accounting().accounts())
    assert "startposition 1001" in dict(sandbox.requests[-1].query)["query"]
    sandbox.fail(reply({"time": "2031-05-06"}))
    with pytest.raises(Exception, match="QueryResponse"):
        hub.accounting().accounts()


def test_records_of_all_pages_are_read(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """A second page with other ids than the first page is read."""
    rows = [{"Id": str(number), "Name": "x"} for number in range(1_001)]
    sandbox.fail(
        reply({"QueryResponse": {"Account": rows[:1_000]}}),
        reply({"QueryResponse": {"Account": rows[1_000:]}}),
    )

    assert 1_001 == len(hub.accounting().accounts())


def test_pages_that_repeat_are_an_error(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """A query whose second page repeats the first page raises an error."""
    rows = [{"Id": str(number), "Name": "x"} for number in range(1_000)]
    sandbox.fail(*([reply({"QueryResponse": {"Account": rows}})] * 3))
    with pytest.raises(VendorFailed, match="new record"):
        hub.accounting().accounts()


def test_several_rates_are_no_percentage(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """A sales tax code with two rates has no percentage; a purchase code has its purchase rate."""
    two_rates = {"TaxRateDetail": [{"TaxRateRef": {"value": id_}} for id_ in ("7", "8")]}
    single_rate = {"TaxRateDetail": [{"TaxRateRef": {"value": "8"}}]}
    codes = [
        {"Id": "5", "Name": "Both", "SalesTaxRateList": two_rates},
        {"Id": "6", "PurchaseTaxRateList": single_rate, "Active": False},
        {"Name": "None"},
    ]
    rates = [{"Id": "7", "RateValue": 19}, {"Id": "8", "RateValue": 2.5}]
    sandbox.fail(
        reply({"QueryResponse": {"TaxCode": codes}}), reply({"QueryResponse": {"TaxRate": rates}})
    )
    first, second = hub.accounting().tax_rates()
    assert (None, True, None) == (first.percent, first.on_sales, first.on_purchases)
    assert (Decimal("2.5"), None, True) == (
        second.percent,
        second.on_sales,
        second.on_purchases,
    )
    assert ("6", False) == (second.name, second.active)


@pytest.mark.parametrize(
    "fields, state",
    [
        ({"TotalAmt": 10, "Balance": 10}, InvoiceState.OPEN),
        ({"TotalAmt": 10, "Balance": 0.5}, InvoiceState.OPEN),
        ({"TotalAmt": 10, "Balance": 0}, InvoiceState.PAID),
        ({"TotalAmt": 0, "Balance": 0, "PrivateNote": "Voided - x"}, InvoiceState.VOID),
        ({"TotalAmt": 10, "Balance": 10, "PrivateNote": "Voided goods"}, InvoiceState.OPEN),
        ({"TotalAmt": 10}, InvoiceState.UNKNOWN),
    ],
)
def test_invoice_is_read_in_full(
    hub: Hub, sandbox: QuickBooksSandbox, fields: dict[str, Any], state: InvoiceState
) -> None:
    """An invoice's state follows from its balance, total and note."""
    item = {
        "Id": "9",
        "SyncToken": "0",
        "DocNumber": "1042",
        "CurrencyRef": {"value": "EUR"},
        "MetaData": {"LastUpdatedTime": "2031-05-06T07:08:09-07:00"},
        **fields,
    }
    sandbox.fail(reply({"Invoice": item}))
    record = hub.accounting().get_invoice("quickbooks:books:9?type=invoice")
    assert (state, InvoiceKind.SALES, "1042") == (record.state, record.kind, record.number)
    assert Money(str(fields["TotalAmt"]), "EUR") == record.total
    assert datetime(2031, 5, 6, 14, 8, 9, tzinfo=UTC) == record.updated_at


def test_invoice_without_a_currency_is_in_the_home_currency(
    hub: Hub, sandbox: QuickBooksSandbox
) -> None:
    """A company with a single currency states none; its invoices are in its home currency."""
    item = {"Id": "9", "SyncToken": "0", "TotalAmt": 119.87, "Balance": 19.87}
    sandbox.fail(reply({"Invoice": item}), home_currency("CAD"))
    record = hub.accounting().get_invoice("quickbooks:books:9?type=invoice")
    amounts = Money("119.87", "CAD"), Money("19.87", "CAD")
    assert amounts == (record.total, record.due_amount)
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    sandbox.fail(reply({"Invoice": item}))
    assert Money("119.87", "EUR") == hub.accounting().create_invoice(contact.ref, SALE).total


def home_currency(currency: str) -> Response:
    """Return the preferences of a company with the given home currency."""
    return reply({"Preferences": {"CurrencyPrefs": {"HomeCurrency": {"value": currency}}}})


def test_payment_in_another_than_the_home_currency_is_refused(
    hub: Hub, sandbox: QuickBooksSandbox
) -> None:
    """A payment is compared with the home currency; if it is unknown, nothing is recorded."""
    record = sales_invoice(hub)
    item = {"Id": record.ref.id, "SyncToken": "0", "TotalAmt": 119.87, "Balance": 119.87}
    for preferences, error in ((home_currency("CAD"), InvalidData), (reply({}), VendorFailed)):
        sandbox.fail(reply({"Invoice": item}), preferences)
        with pytest.raises(error, match="currency"):
            hub.accounting().record_payment(record.ref, PAYMENT)
    assert 0 == sandbox.counts()["payments"]


@pytest.mark.parametrize("preferences", [home_currency("CAD"), Response(403)])
def test_created_invoice_in_another_currency_is_no_success(
    hub: Hub, sandbox: QuickBooksSandbox, preferences: Response
) -> None:
    """An invoice in euros that a company records in Canadian dollars is not reported as created."""
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    item = {"Id": "9", "SyncToken": "0", "TotalAmt": 119.87, "Balance": 119.87}
    sandbox.fail(reply({"Invoice": item}), preferences)
    with pytest.raises((OutcomeUnknown, VendorRejected)):
        hub.accounting().create_invoice(contact.ref, SALE)


def test_record_that_changed_meanwhile_is_read_again(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """If a record has changed since it was read, it is read again and the change is sent again."""
    record = sales_invoice(hub)
    sandbox.fail(None, fault("5010"))
    assert InvoiceState.VOID is hub.accounting().void_invoice(record.ref).state
    contact = hub.accounting().create_contact(Contact(name="Hill Ltd"))
    new_contact = Contact(name="Hill Ltd", email="a@b.example")
    sandbox.touch("Customer", contact.ref.id)
    assert "a@b.example" == hub.accounting().update_contact(contact.ref, new_contact).email
    sandbox.fail(None, fault("5010"), None, fault("5010"))
    with pytest.raises(VendorRejected) as excinfo:
        hub.accounting().update_contact(contact.ref, new_contact)
    assert "5010" == excinfo.value.vendor_code
    sandbox.forget_faults()
    second = hub.accounting().create_invoice(contact.ref, SALE)
    sandbox.fail(None, fault("5010"), None, fault("5010"))
    with pytest.raises(VendorRejected):
        hub.accounting().void_invoice(second.ref)
    sandbox.fail(None, fault("6000"))
    with pytest.raises(VendorRejected):
        hub.accounting().void_invoice(second.ref)


def test_bill_of_another_total_that_cannot_be_deleted_is_unknown(
    hub: Hub, sandbox: QuickBooksSandbox
) -> None:
    """If a created bill has a wrong total and cannot be deleted, the error names the bill."""
    supplier = Contact(name="Well Ltd", role=ContactRole.SUPPLIER)
    contact = hub.accounting().create_contact(supplier)
    line = attrs.evolve(ITEM_LINE, account="2", item=None)
    bill = attrs.evolve(SALE, kind=InvoiceKind.BILL, lines=[line])
    sandbox.rounding = Decimal("0.05")
    sandbox.fail(None, None, fault("6000"))
    with pytest.raises(OutcomeUnknown) as excinfo:
        hub.accounting().create_invoice(contact.ref, bill)
    assert "119.92 EUR instead of 119.87 EUR" in str(excinfo.value)
    (id_,) = sandbox.records["Bill"]
    assert f"quickbooks:books:{id_}?type=bill" in str(excinfo.value)
    sandbox.fail(None, fault("610"))
    with pytest.raises(VendorRejected) as rejection:
        hub.accounting().create_invoice(contact.ref, bill)
    assert "total_differs" == rejection.value.vendor_code


def test_file_is_uploaded_with_its_transaction(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """An uploaded file has its name, its type and the record that it belongs to."""
    record = create_bill(hub)
    attached = hub.accounting().attach(record.ref, BookDocument(name="ü.pdf", content=b"%PDF"))
    (file,) = sandbox.files.values()
    assert [{"EntityRef": {"type": "Bill", "value": record.ref.id}}] == file["AttachableRef"]
    assert ("ü.pdf", "application/pdf", 4) == (file["FileName"], file["ContentType"], file["Size"])
    assert ("ü.pdf", file["Id"]) == (attached.name, attached.ref.id)
    gone = Ref("quickbooks", "books", "999", {"type": "invoice"})
    with pytest.raises(VendorRejected) as excinfo:
        hub.accounting().attach(gone, books.DOCUMENT)
    assert "2500" == excinfo.value.vendor_code
    sandbox.fail(reply({"AttachableResponse": []}))
    with pytest.raises(Exception, match="AttachableResponse"):
        hub.accounting().attach(record.ref, books.DOCUMENT)


def test_upload_has_two_parts_with_intuits_names(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """An upload has its description as a JSON file, and the file's content, in numbered parts."""
    record = create_bill(hub)
    hub.accounting().attach(record.ref, BookDocument(name="a.pdf", content=b"%PDF"))
    [request] = [request for request in sandbox.requests if request.path.endswith("/upload")]
    headers = [
        part.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")[1:]
        for part in request.body.split(b"--")
        if b"form-data" in part
    ]

    assert [
        [
            'content-disposition: form-data; name="file_metadata_01"; filename="file.json"',
            "content-type: application/json",
        ],
        [
            'content-disposition: form-data; name="file_content_01"; filename="a.pdf"',
            "content-type: application/pdf",
        ],
    ] == headers


def test_payment_of_another_amount_is_no_success(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """A payment that is recorded with another amount than requested raises an error."""
    record = sales_invoice(hub)
    sandbox.fail(None, reply({"Payment": {"Id": "5", "TotalAmt": 1250}}))
    with pytest.raises(Exception, match="TotalAmt"):
        hub.accounting().record_payment(record.ref, PAYMENT)


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("qbo.invoice.created.v1", (BookRecord.INVOICE, BookChange.CREATED)),
        ("qbo.bill.deleted.v1", (BookRecord.BILL, BookChange.DELETED)),
        ("qbo.vendor.updated.v1", (BookRecord.CONTACT, BookChange.UPDATED)),
        ("qbo.billpayment.voided.v1", (BookRecord.PAYMENT, BookChange.VOIDED)),
        ("qbo.journalentry.created.v1", (BookRecord.JOURNAL, BookChange.CREATED)),
        ("qbo.customer.merged.v1", (BookRecord.CONTACT, BookChange.UNKNOWN)),
        ("qbo.employee.created.v1", None),
        ("qbo.invoice.created", None),
    ],
)
def test_events_are_cloud_events(
    hub: Hub, sandbox: QuickBooksSandbox, kind: str, expected: Any
) -> None:
    """A CloudEvent's type decides record and change; other types become no events."""
    verifier = WebhookVerifier("intuit", secrets=sandbox.verifier_token)
    for realm in (REALM, "1"):
        notice = sandbox.report("9", url="https://erp.example/hooks", kind=kind, realm=realm)
        book_events = hub.events("books", verifier.verify(**notice.arguments())[0])
        events = [(event.record, event.change) for event in book_events]
        assert ([expected] if expected and realm == REALM else []) == events


@pytest.mark.parametrize(
    "answer, words",
    [
        (reply({}, 404), "QuickBooks refused: HTTP 404"),
        (reply({"Fault": {"Error": [{"code": "4"}]}}, 400), "QuickBooks refused: 4"),
        (reply({"Fault": {"Error": [{"Detail": "No."}]}}, 409), "QuickBooks refused: No."),
    ],
)
def test_refusal_without_message(answer: Response, words: str) -> None:
    """The error for a response without a text has QuickBooks' code or else the HTTP status."""
    assert words in str(classify(Request.get("/"), answer))


@pytest.mark.parametrize("status, is_left", [(409, True), (400, False)])
def test_409_without_code_and_text_may_mean_that_first_request_is_still_running(
    status: int, is_left: bool
) -> None:
    """A 409 without code and text may mean that the first request is still running."""
    assert is_left is (classify(Request.post("/"), reply({}, status)) is None)
    assert None is not classify(Request.post("/"), fault("6000", status=409))


@pytest.mark.parametrize(
    "codes, kind",
    [
        ("100 110 120 3100 3200", AuthenticationFailed),
        ("3001 003001", RateLimitExceeded),
        ("5010 610 2500 6140 6190 6210 6240", VendorRejected),
        ("10000", VendorFailed),
        ("2020 6000", InvalidRequest),
    ],
)
def test_code_of_a_fault_decides(codes: str, kind: type[ConnectorError]) -> None:
    """The code of a fault decides which error it becomes, or else its type."""
    errors: list[Any] = [classify(Request.post("/"), fault(code)) for code in codes.split()]

    assert [(kind, code) for code in codes.split()] == [
        (type(error), error.vendor_code) for error in errors
    ]


@pytest.mark.parametrize(
    "type_, status, kind",
    [
        ("ValidationFault", 400, InvalidRequest),
        ("AuthenticationFault", 400, AuthenticationFailed),
        ("AUTHENTICATION", 400, AuthenticationFailed),
        ("AuthorizationFault", 400, AuthenticationFailed),
        ("AuthorizatonFault", 400, AuthenticationFailed),
        ("SystemFault", 400, VendorFailed),
        ("SERVICE", 400, VendorRejected),
        ("ValidationFault", 401, AuthenticationFailed),
        ("ValidationFault", 403, AuthenticationFailed),
        ("ValidationFault", 429, RateLimitExceeded),
    ],
)
def test_type_or_status_of_a_fault_decides(
    type_: str, status: int, kind: type[ConnectorError]
) -> None:
    """A fault with a code of no meaning becomes the error of its status, or else of its type."""
    assert kind is type(classify(Request.post("/"), fault("9999", type_, status)))


@pytest.mark.parametrize(
    "word, meaning",
    [
        ("Asset", AccountClass.ASSET),
        ("Liability", AccountClass.LIABILITY),
        ("Equity", AccountClass.EQUITY),
        ("Revenue", AccountClass.REVENUE),
        ("Expense", AccountClass.EXPENSE),
    ],
)
def test_account_has_the_class_of_its_classification(word: str, meaning: AccountClass) -> None:
    """Each classification in Intuit's description of accounts is a class of accounts."""
    account = read_account(as_answer({"Id": "7", "Name": "Rope", "Classification": word}))

    assert account is not None
    assert meaning is account.account_class


def test_timeout_is_no_refusal() -> None:
    """A timeout never becomes a rejection, even if the response's text describes a rejection."""
    assert None is classify(Request.post("/"), fault("6240", status=408))


@pytest.mark.parametrize("codes", [["2020"], ["5010", "2020"], ["5010", "5010"]])
def test_refused_change_is_tried_again_only_if_record_changed_meanwhile(
    hub: Hub, sandbox: QuickBooksSandbox, codes: list[str]
) -> None:
    """A refused change is retried once, and only if the record has changed since it was read."""
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    sandbox.requests.clear()
    sandbox.fail(*[answer for code in codes for answer in (None, fault(code))])
    with pytest.raises(VendorRejected):
        hub.accounting().update_contact(contact.ref, Contact(name="Mill & Sons"))

    assert 2 * len(codes) == len(sandbox.requests)


def test_account_has_full_name_and_class() -> None:
    """An account has its full name, or else its name or id; an unknown class is UNKNOWN."""
    names = {"FullyQualifiedName": "Sales:Rope", "Name": "Rope"}
    accounts = [
        read_account(as_answer({"Id": "7", "Classification": "Gold", **fields}))
        for fields in (names, {"Name": "Rope"}, {})
    ]

    assert ["Sales:Rope", "Rope", "7"] == [account and account.name for account in accounts]
    assert {AccountClass.UNKNOWN} == {account and account.account_class for account in accounts}


def test_tax_codes_are_all_read() -> None:
    """Each tax code has its own rate."""
    rates = [as_answer({"Id": id_, "RateValue": value}) for id_, value in (("1", 20), ("2", 7))]
    codes = [
        as_answer(
            {"Id": id_, "SalesTaxRateList": {"TaxRateDetail": [{"TaxRateRef": {"value": id_}}]}}
        )
        for id_ in ("1", "2")
    ]

    assert [Decimal(20), Decimal(7)] == [tax.percent for tax in read_tax_codes(codes, rates)]


def test_ids_are_numbers(hub: Hub, sandbox: QuickBooksSandbox) -> None:
    """A reference whose id is not a number is refused before anything is sent."""
    with pytest.raises(InvalidData):
        hub.accounting().get_invoice("quickbooks:books:a%2Fb?type=invoice")
    assert [] == sandbox.requests


def test_options_and_mode() -> None:
    """The realm id must be a number; the URL decides between live and test mode."""
    with pytest.raises(ConfigurationError):
        QuickBooks(realm_id="abc")
    vendor = QuickBooks(realm_id=REALM)
    assert Mode.LIVE is vendor.mode()
    test = attrs.evolve(vendor, base_url="https://sandbox-quickbooks.api.intuit.com")
    assert Mode.TEST is test.mode()
