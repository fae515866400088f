"""Xero: requests, and the reading of its responses."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    Account,
    ConfigurationError,
    Hub,
    InvalidRequest,
    Money,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
    WebhookVerifier,
)
from moorage.contracts.accounting import (
    AccountClass,
    BookChange,
    BookRecord,
    Contact,
    ContactQuery,
    InvoiceKind,
    InvoicePayment,
    InvoiceState,
    Journal,
    JournalLine,
    JournalState,
)
from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.accounting.xero import TENANT, XeroSandbox
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.vendor_sdk import as_answer
from moorage.vendors.accounting._xero_answers import classify, first_of, moment, read_account
from moorage.vendors.accounting.xero import Xero, contact_body, invoice_body, journal_body
from tests.contracts import books

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOMER = Ref("xero", "books", "c-1", {"type": "customer"})
UUID = "5690f1e8-1d02-4893-90c2-ee1a69eff942"


@pytest.fixture
def sandbox() -> XeroSandbox:
    """Return a sandbox."""
    return XeroSandbox()


@pytest.fixture
def hub(sandbox: XeroSandbox) -> Iterator[Hub]:
    """Return a hub with an account at the sandbox."""
    vendor = Xero(
        tenant_id=TENANT, client_id=sandbox.client_id, client_secret=sandbox.client_secret
    )
    accounts = [Account("books", vendor, settings={"retry": None})]
    with Hub(accounts, http=SandboxHttpClient(sandbox)) as hub:
        yield hub


def sales_invoice(hub: Hub) -> Any:
    """Create a sales invoice of a new customer."""
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"))
    line = attrs.evolve(books.LINE, item=None)
    return hub.accounting().create_invoice(contact.ref, attrs.evolve(books.INVOICE, lines=[line]))


def test_token_is_requested_with_granular_scopes(hub: Hub, sandbox: XeroSandbox) -> None:
    """A token request names a scope for each kind of record, and none that covers all kinds."""
    hub.accounting().accounts()
    (request,) = sandbox.token_endpoint.requests
    scope = dict(request.form)["scope"]

    assert scope.split() == [
        "accounting.invoices",
        "accounting.payments",
        "accounting.manualjournals",
        "accounting.contacts",
        "accounting.settings.read",
        "accounting.attachments",
    ]


def test_contact_body_has_the_given_details() -> None:
    """A contact is sent with Xero's field names, and without fields that are not given."""
    address = Address(
        line1="Quay 1", line3="Gate 2", city="Kiel", postal_code="24103", country="de"
    )
    contact = Contact(
        name="Mill Ltd",
        number="C-1",
        email="a@b.example",
        phone="+49 431 1",
        tax_number="DE136695976",
        address=address,
    )
    expected_body = {
        "Name": "Mill Ltd",
        "ContactNumber": "C-1",
        "EmailAddress": "a@b.example",
        "TaxNumber": "DE136695976",
        "Phones": [{"PhoneType": "DEFAULT", "PhoneNumber": "+49 431 1"}],
        "Addresses": [
            {
                "AddressType": "POBOX",
                "AddressLine1": "Quay 1",
                "AddressLine2": "Gate 2",
                "City": "Kiel",
                "PostalCode": "24103",
                "Country": "DE",
            }
        ],
    }
    assert expected_body == contact_body(contact)
    assert {"Name": "Mill Ltd"} == contact_body(Contact(name="Mill Ltd"))


def test_invoice_body_has_exact_amounts() -> None:
    """A bill has exact decimals and the tax type for bills; accounts are sent by code or id."""
    line = attrs.evolve(
        books.LINE,
        quantity=Decimal("2.5"),
        unit_price=Decimal("39.956"),
        tax=Decimal("19.98"),
        tax_rate="INPUT2",
        item=None,
    )
    second = attrs.evolve(line, account=UUID, item="BOLT", tax_rate=None, tax=Decimal(0))
    bill = attrs.evolve(
        books.INVOICE, kind=InvoiceKind.BILL, lines=[line, second], number="R-17", final=False
    )
    first_line = {
        "Description": "Bolts",
        "Quantity": 2.5,
        "UnitAmount": 39.956,
        "LineAmount": 99.89,
        "AccountCode": "200",
        "TaxType": "INPUT2",
        "TaxAmount": 19.98,
    }
    second_line = {
        "Description": "Bolts",
        "Quantity": 2.5,
        "UnitAmount": 39.956,
        "LineAmount": 99.89,
        "ItemCode": "BOLT",
        "AccountID": UUID,
        "TaxAmount": 0,
    }
    expected_body = {
        "Type": "ACCPAY",
        "Contact": {"ContactID": "c-1"},
        "Date": "2031-05-06",
        "DueDate": "2031-05-06",
        "LineAmountTypes": "Exclusive",
        "InvoiceNumber": "R-17",
        "CurrencyCode": "EUR",
        "Status": "DRAFT",
        "LineItems": [first_line, second_line],
    }
    assert expected_body == invoice_body(CUSTOMER, bill)
    sale = invoice_body(CUSTOMER, books.INVOICE)
    assert ("ACCREC", "AUTHORISED") == (sale["Type"], sale["Status"])


def test_journal_body_has_signs() -> None:
    """Debits are positive and credits negative in a manual journal."""
    lines = [
        JournalLine(account="200", debit=Decimal("12.50"), description="Correction"),
        JournalLine(account=UUID, credit=Decimal("12.50")),
    ]
    expected_lines = [
        {"LineAmount": 12.5, "Description": "Correction", "AccountCode": "200"},
        {"LineAmount": -12.5, "AccountID": UUID},
    ]
    body = journal_body(Journal(date=date(2031, 5, 6), narration="May", lines=lines))
    assert expected_lines == body.pop("JournalLines")
    expected_body = {
        "Narration": "May",
        "Date": "2031-05-06",
        "LineAmountTypes": "NoTax",
        "Status": "POSTED",
    }
    assert expected_body == body


def test_requests_name_the_organisation_and_the_key(hub: Hub, sandbox: XeroSandbox) -> None:
    """A creation is a PUT with the key, the organisation's id and four decimals for prices."""
    contact = hub.accounting().create_contact(Contact(name="Mill Ltd"), idempotency_key="k" * 200)
    request = sandbox.requests[-1]
    assert ("PUT", "/api.xro/2.0/Contacts") == (request.method, request.path)
    assert (("summarizeErrors", "true"),) == request.query
    assert TENANT == request.headers.get("xero-tenant-id")
    assert 64 == len(request.headers.get("idempotency-key") or "")
    line = attrs.evolve(books.LINE, item=None)
    invoice = attrs.evolve(books.INVOICE, lines=[line])
    hub.accounting().create_invoice(contact.ref, invoice, idempotency_key="k-1")
    request = sandbox.requests[-1]
    assert {"summarizeErrors": "true", "unitdp": "4"} == dict(request.query)
    assert "k-1" == request.headers.get("idempotency-key")


def test_payment_names_its_invoice(hub: Hub, sandbox: XeroSandbox) -> None:
    """A payment is sent with the id of the invoice, the account, the day and the amount."""
    record = sales_invoice(hub)
    payment = InvoicePayment(
        amount=Money("12.50", "EUR"), account="090", date=date(2031, 5, 7), reference="B-7"
    )
    hub.accounting().record_payment(record.ref, payment)
    expected_payment = {
        "Invoice": {"InvoiceID": record.ref.id},
        "Account": {"Code": "090"},
        "Date": "2031-05-07",
        "Amount": 12.5,
        "Reference": "B-7",
    }
    assert {"Payments": [expected_payment]} == sandbox.requests[-1].json()


@pytest.mark.parametrize(
    "word, state",
    [
        ("DRAFT", InvoiceState.DRAFT),
        ("SUBMITTED", InvoiceState.DRAFT),
        ("AUTHORISED", InvoiceState.OPEN),
        ("PAID", InvoiceState.PAID),
        ("VOIDED", InvoiceState.VOID),
        ("DELETED", InvoiceState.VOID),
        ("PENDING", InvoiceState.UNKNOWN),
    ],
)
def test_invoice_is_read_in_full(
    hub: Hub, sandbox: XeroSandbox, word: str, state: InvoiceState
) -> None:
    """Each field of a Xero invoice is read, and its status translated."""
    content = {
        "InvoiceID": "i-7",
        "Type": "ACCPAY",
        "Status": word,
        "InvoiceNumber": "R-17",
        "CurrencyCode": "EUR",
        "Total": 119.88,
        "AmountDue": 69.88,
        "UpdatedDateUTC": "/Date(1552327126164+0000)/",
    }
    sandbox.fail(reply({"Invoices": [content]}))
    record = hub.accounting().get_invoice("xero:books:i-7?type=invoice")
    assert Ref("xero", "books", "i-7", {"type": "bill"}) == record.ref
    assert (InvoiceKind.BILL, state, word) == (record.kind, record.state, record.vendor_state)
    assert (Money("119.88", "EUR"), Money("69.88", "EUR")) == (record.total, record.due_amount)
    assert datetime(2019, 3, 11, 17, 58, 46, 164_000, UTC) == record.updated_at
    assert "R-17" == record.number


def test_dates_of_other_forms_are_unknown() -> None:
    """A time that is not in Xero's date format, or out of range, is None."""
    epoch = moment("/Date(0)/")
    assert epoch == datetime(1970, 1, 1, tzinfo=UTC)
    assert epoch is not None
    assert UTC == epoch.tzinfo
    assert [None] * 3 == [moment(None), moment("2031-05-06"), moment(f"/Date({'9' * 15})/")]


def test_lost_answer_of_a_void_is_looked_up(hub: Hub, sandbox: XeroSandbox) -> None:
    """If Xero refuses to void an invoice because it is already void, the void succeeds."""
    record = sales_invoice(hub)
    sandbox.fail(None, Lost())
    with pytest.raises(Exception, match="lost"):
        hub.accounting().void_invoice(record.ref)
    sandbox.invoices[record.ref.id]["Status"] = "AUTHORISED"
    sandbox.fail(None, reply({"Type": "ValidationException", "Message": "No."}, 400))
    with pytest.raises(VendorRejected):
        hub.accounting().void_invoice(record.ref)
    shown = {"Invoices": [{**sandbox.invoices[record.ref.id]}]}
    sandbox.invoices[record.ref.id]["Status"] = "VOIDED"
    sandbox.fail(reply(shown))
    assert InvoiceState.VOID is hub.accounting().void_invoice(record.ref).state


def test_contacts_are_searched_page_by_page(hub: Hub, sandbox: XeroSandbox) -> None:
    """A search reads the next page after each full page, and keeps only exact matches."""
    for number in range(101):
        id_ = f"c-{number:03d}"
        sandbox.contacts[id_] = {
            "ContactID": id_,
            "Name": f"Mill {number}",
            "ContactNumber": f"N-{number}",
            "ContactStatus": "ARCHIVED",
        }
    contacts = hub.accounting().find_contacts(ContactQuery(number="N-1"))
    assert [("c-001", False)] == [(item.ref.id, item.active) for item in contacts]
    sandbox.requests.clear()
    hub.accounting().find_contacts(ContactQuery(name="Mill"))
    assert [{"searchTerm": "Mill", "page": page, "pageSize": "100"} for page in ("1", "2")] == [
        dict(item.query) for item in sandbox.requests
    ]


def test_total_that_cannot_be_compared_is_uncertain(hub: Hub, sandbox: XeroSandbox) -> None:
    """If Xero's response has no total to compare, the invoice's outcome is unknown."""
    record = sales_invoice(hub)
    answer = {**sandbox.invoices[record.ref.id]}
    del answer["Total"]
    contact = hub.accounting().create_contact(Contact(name="Well Ltd"))
    sandbox.fail(reply({"Invoices": [answer]}))
    line = attrs.evolve(books.LINE, item=None)
    with pytest.raises(OutcomeUnknown, match="no total"):
        hub.accounting().create_invoice(contact.ref, attrs.evolve(books.INVOICE, lines=[line]))


def test_pages_that_repeat_are_an_error(hub: Hub, sandbox: XeroSandbox) -> None:
    """A search whose second page repeats the first page raises an error."""
    rows = [{"ContactID": f"c-{number}", "Name": "Mill"} for number in range(100)]
    sandbox.fail(*([reply({"Contacts": rows})] * 3))
    with pytest.raises(VendorFailed, match="new record"):
        hub.accounting().find_contacts(ContactQuery(name="Mill"))


def test_empty_answer_has_no_first_record() -> None:
    """If one record is expected, an empty list is a malformed response."""
    response = reply({"Contacts": [{"ContactID": "c-1"}, {"ContactID": "c-2"}]})

    assert "c-1" == first_of(response, "Contacts").text("ContactID")
    with pytest.raises(VendorFailed, match="Contacts"):
        first_of(reply({"Contacts": []}), "Contacts")


def test_bad_answers_are_no_records(hub: Hub, sandbox: XeroSandbox) -> None:
    """A response without its list, or with a payment of another amount, raises an error."""
    record = sales_invoice(hub)
    for answer in (reply({"Accounts": None}), reply({"Accounts": {}})):
        sandbox.fail(answer)
        with pytest.raises(Exception, match="Accounts"):
            hub.accounting().accounts()
    sandbox.fail(None, reply({"Payments": [{"PaymentID": "p-1", "Amount": 5}]}))
    with pytest.raises(Exception, match="Amount"):
        hub.accounting().record_payment(record.ref, attrs.evolve(books.PAYMENT, account="090"))


@pytest.mark.parametrize(
    "status, is_listed", [("ACTIVE", True), (None, True), ("ARCHIVED", False), ("DELETED", False)]
)
def test_archived_accounts_are_left_out(status: str | None, is_listed: bool) -> None:
    """Inactive accounts are left out; an account without a status is listed."""
    account = read_account(as_answer({"Code": "200", "Name": "Sales", "Status": status}))

    assert is_listed is (account is not None)
    assert account is None or ("Sales", AccountClass.UNKNOWN) == (
        account.name,
        account.account_class,
    )


@pytest.mark.parametrize(
    "fields",
    [{"StatusAttributeString": "ERROR"}, {"HasErrors": True}, {"HasValidationErrors": True}],
)
@pytest.mark.parametrize("name", ["Invoices", "Contacts", "Payments", "ManualJournals"])
def test_record_with_errors_is_refused(name: str, fields: dict[str, Any]) -> None:
    """If Xero's success contains errors about the record, an error with all of them is raised."""
    problems = [{"Message": "No date."}, {"Message": "No name."}]
    answer = reply({name: [{**fields, "ValidationErrors": problems}]})
    refusal = classify(Request.post("/Contacts"), answer)

    assert isinstance(refusal, InvalidRequest)
    assert "Xero refused: No date. No name." in str(refusal)


@pytest.mark.parametrize(
    "body, words",
    [
        (
            {
                "Message": "A validation exception occurred",
                "Elements": [
                    {"ValidationErrors": [{"Message": "No date."}, {"Message": "No name."}]},
                    {"ValidationErrors": [{"Message": "No tax."}]},
                ],
            },
            "No date. No name. No tax.",
        ),
        ({"Message": "Not so.", "Detail": "No."}, "Not so."),
        ({"Title": "Bad", "Detail": "Not at all."}, "Not at all."),
        ({"Title": "Bad"}, "Bad"),
    ],
)
def test_refusal_text_has_all_problems_of_all_records(body: dict[str, Any], words: str) -> None:
    """An error lists all problems of all records, or else has Xero's message or title."""
    assert f"Xero refused: {words}" in str(classify(Request.get("/Contacts"), reply(body, 400)))


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "InvalidRequest"),
        (401, "AuthenticationFailed"),
        (403, "AuthenticationFailed"),
        (404, "VendorRejected"),
        (429, "RateLimitExceeded"),
        (408, "NoneType"),
        (500, "NoneType"),
    ],
)
def test_status_of_a_refusal_has_an_error_class(status: int, kind: str) -> None:
    """A rejection's class follows from its status; a timeout or failure of Xero is no rejection."""
    answer = reply({"Title": "No"}, status)

    assert kind == type(classify(Request.get("/Contacts"), answer)).__name__


@pytest.mark.parametrize(
    "word, account_class",
    [
        ("ASSET", AccountClass.ASSET),
        ("LIABILITY", AccountClass.LIABILITY),
        ("EQUITY", AccountClass.EQUITY),
        ("REVENUE", AccountClass.REVENUE),
        ("EXPENSE", AccountClass.EXPENSE),
        ("OTHER", AccountClass.UNKNOWN),
    ],
)
def test_class_of_an_account(word: str, account_class: AccountClass) -> None:
    """Each class of accounts in Xero's description becomes a class of the contract."""
    account = read_account(as_answer({"Code": "200", "Class": word}))

    assert account is not None
    assert account.account_class is account_class


@pytest.mark.parametrize(
    "word, active", [("ACTIVE", True), ("ARCHIVED", False), ("GDPRREQUEST", False), ("NEW", None)]
)
def test_status_of_a_contact(
    hub: Hub, sandbox: XeroSandbox, word: str, active: bool | None
) -> None:
    """A contact is active or inactive by its status; an unknown status leaves this open."""
    contact = {"ContactID": "c", "Name": "Mill Ltd", "ContactStatus": word}
    sandbox.fail(reply({"Contacts": [contact]}))

    assert hub.accounting().create_contact(Contact(name="Mill Ltd")).active is active


@pytest.mark.parametrize(
    "word, state",
    [
        ("DRAFT", JournalState.DRAFT),
        ("POSTED", JournalState.POSTED),
        ("VOIDED", JournalState.VOID),
        ("DELETED", JournalState.VOID),
    ],
)
def test_status_of_a_journal(
    hub: Hub, sandbox: XeroSandbox, word: str, state: JournalState
) -> None:
    """Each status of a manual journal in Xero's description has its state."""
    sandbox.fail(reply({"ManualJournals": [{"ManualJournalID": "j", "Status": word}]}))
    line = JournalLine(account="200", debit=Decimal(1))
    lines = [line, JournalLine(account="400", credit=Decimal(1))]
    journal = Journal(date=date(2031, 5, 6), narration="Correction", lines=lines)

    assert hub.accounting().post_journal(journal).state is state


def test_unknown_state_of_a_journal(hub: Hub, sandbox: XeroSandbox) -> None:
    """An unknown journal state is UNKNOWN, and a response without a list raises an error."""
    sandbox.fail(reply({"ManualJournals": [{"ManualJournalID": "j", "Status": "FROZEN"}]}))
    line = JournalLine(account="200", debit=Decimal(1))
    lines = [line, JournalLine(account="400", credit=Decimal(1))]
    journal = Journal(date=date(2031, 5, 6), narration="Correction", lines=lines)
    record = hub.accounting().post_journal(journal)

    assert (JournalState.UNKNOWN, "FROZEN") == (record.state, record.vendor_state)
    for call in (hub.accounting().accounts, hub.accounting().tax_rates):
        sandbox.fail(reply({"Accounts": {}, "TaxRates": {}}))
        with pytest.raises(VendorFailed):
            call()
    assert "200" == next(item.code for item in hub.accounting().accounts() if item.id == "200")


def test_rows_without_an_id_are_left_out(hub: Hub, sandbox: XeroSandbox) -> None:
    """Accounts and taxes without an id are left out; an account without a code uses its id."""
    sandbox.fail(reply({"Accounts": [{"Name": "x"}, {"AccountID": UUID, "Status": "ACTIVE"}]}))
    accounts = hub.accounting().accounts()
    assert [(UUID, UUID, None)] == [(item.id, item.name, item.code) for item in accounts]
    sandbox.fail(reply({"TaxRates": [{"Name": "x"}, {"TaxType": "T"}]}))
    taxes = hub.accounting().tax_rates()
    assert [("T", "T", False)] == [(item.id, item.name, item.active) for item in taxes]


def test_changes_of_invoices_and_contacts_give_events(hub: Hub, sandbox: XeroSandbox) -> None:
    """Changes of invoices and contacts give events; changes of other records do not."""

    def events(**options: str) -> Any:
        verifier = WebhookVerifier("xero", secrets=sandbox.webhook_key)
        notice = sandbox.report("i-7", url="https://erp.example/hooks", **options)
        return hub.events("books", verifier.verify(**notice.arguments())[0])

    (event,) = events(category="CONTACT", change="CREATE")
    assert (BookRecord.CONTACT, BookChange.CREATED) == (event.record, event.change)
    assert Ref("xero", "books", "i-7", {"type": "customer"}) == event.ref
    assert "CONTACT.CREATE" == event.vendor_type
    assert datetime(2031, 5, 6, 7, 8, 9, 123_000, UTC) == event.at
    assert BookChange.UNKNOWN is events(change="ARCHIVE")[0].change
    assert () == events(category="SUBSCRIPTION")
    assert () == events(tenant=UUID)


def test_intent_to_receive_is_verified_without_events(sandbox: XeroSandbox) -> None:
    """Xero's signed test request is accepted, and gives no events."""
    verifier = WebhookVerifier("xero", secrets=sandbox.webhook_key)
    notice = sandbox.check_intent(url="https://erp.example/hooks")
    assert [] == [*verifier.verify(**notice.arguments())]
    forged = attrs.evolve(notice, body=notice.body + b" ")
    with pytest.raises(Exception, match="signature"):
        verifier.verify(**forged.arguments())


def test_refusal_that_is_not_json_has_its_status_as_code(hub: Hub, sandbox: XeroSandbox) -> None:
    """The error for a response that is not JSON has the HTTP status as its code."""
    sandbox.fail(Response(418, body=b"<html></html>"))
    with pytest.raises(VendorRejected) as excinfo:
        hub.accounting().accounts()
    assert "418" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "options",
    [
        {"tenant_id": "7"},
        {"tenant_id": TENANT, "client_id": "x"},
        {"tenant_id": TENANT, "client_secret": "x"},
    ],
)
def test_incomplete_options_are_refused(options: dict[str, str]) -> None:
    """An account without an organisation id, or with a client id but no secret, is refused."""
    with pytest.raises(ConfigurationError):
        Xero(**options)


def test_without_a_client_the_provider_supplies_the_token() -> None:
    """Without a client id, an account gets its token from the credential provider."""
    assert {} == Xero(tenant_id=TENANT).clients()
