"""The sandboxes of accounting vendors refuse what the real vendors refuse."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import Account, AuthenticationFailed, CredentialRefreshFailed, Hub
from moorage.contracts.accounting import Contact, ContactRole
from moorage.domain.http.requests import Headers
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes.accounting.odoo import OdooSandbox
from moorage.testing.sandboxes.accounting.quickbooks import REALM, QuickBooksSandbox
from moorage.testing.sandboxes.accounting.xero import TENANT, XeroSandbox
from moorage.testing.sandboxes.base import SandboxHttpClient, SandboxRequest
from moorage.vendors.accounting.odoo import Odoo
from moorage.vendors.accounting.quickbooks import QuickBooks
from moorage.vendors.accounting.xero import Xero

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
LINE = {"Description": "x", "Quantity": 1, "UnitAmount": 5, "AccountCode": "200"}
SALE = {"Type": "ACCREC", "Contact": {"ContactID": "c-1"}, "LineItems": [LINE]}
DAYS = {"Date": "2031-05-06", "DueDate": "2031-05-06"}


def send_request(
    sandbox: Any, method: str, path: str, body: object = None, *, query: Any = (), **headers: str
) -> Any:
    """Send a request to a sandbox, and return the response."""
    content = b"" if body is None else encode_json(body)
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    return sandbox.answer(
        SandboxRequest(method, "x", path, tuple(query), Headers({**JSON, **fields}), content)
    )


def to_xero(sandbox: XeroSandbox, method: str, path: str, body: object = None, **more: str) -> Any:
    """Send a request with a token to Xero's sandbox."""
    form = (
        b"grant_type=client_credentials&scope=accounting.invoices+accounting.payments"
        b"+accounting.manualjournals+accounting.contacts+accounting.settings.read"
        b"+accounting.attachments"
    )
    basic = "WEVSTzBTQU5EQk9YMENMSUVOVDp4ZXJvLXNhbmRib3gtY2xpZW50LXNlY3JldA=="
    kind = "application/x-www-form-urlencoded"
    headers = Headers({"Content-Type": kind, "Authorization": f"Basic {basic}"})
    request = SandboxRequest("POST", "x", "/connect/token", (), headers, form)
    token = sandbox.token_endpoint.answer(request).json()["access_token"]
    fields = {"Authorization": f"Bearer {token}", "Xero_Tenant_Id": TENANT, **more}
    return send_request(sandbox, method, f"/api.xro/2.0{path}", body, **fields)


@pytest.fixture
def xero() -> XeroSandbox:
    """Return a Xero sandbox with a contact and an invoice."""
    sandbox = XeroSandbox()
    sandbox.contacts["c-1"] = {"ContactID": "c-1", "Name": "Mill Ltd"}
    return sandbox


@pytest.mark.parametrize(
    "path, record, message",
    [
        ("/Contacts", {"Name": ""}, "cannot be empty"),
        ("/Contacts", {"Name": "Mill Ltd"}, "already assigned"),
        ("/Contacts", {"Nome": "x"}, "Nome"),
        ("/Invoices", {**SALE, "Status": "AUTHORISED"}, "due date"),
        ("/Invoices", {**SALE, "LineItems": []}, "One or more line items"),
        ("/Invoices", {**SALE, "Date": "6.5.2031"}, "Invalid date"),
        ("/Invoices", {**SALE, "Contact": {"ContactID": "c-9"}}, "contact was not found"),
        ("/Invoices", {**SALE, "LineItems": [{**LINE, "LineAmount": 6}]}, "line total 6"),
        ("/Invoices", {**SALE, "LineItems": [{**LINE, "AccountCode": "1"}]}, "code '1'"),
        ("/Invoices", {**SALE, "LineItems": [{**LINE, "ItemCode": "NUT"}]}, "Item code 'NUT'"),
        ("/Invoices", {**SALE, "LineItems": [{**LINE, "TaxType": "T"}]}, "TaxType code 'T'"),
        (
            "/ManualJournals",
            {"Narration": "x", "JournalLines": [{"LineAmount": 1, "AccountCode": "200"}]},
            "total debits",
        ),
    ],
)
def test_xero_refuses_bad_records(xero: XeroSandbox, path: str, record: Any, message: str) -> None:
    """Xero's sandbox refuses bad records with an explanation."""
    response = to_xero(xero, "PUT", path, {path[1:]: [record]})
    assert 400 == response.status
    assert message in response.text


def test_xero_refuses_bad_requests(xero: XeroSandbox) -> None:
    """Xero's sandbox checks tokens, organisations, keys, paths and the states of records."""
    sale = {**SALE, **DAYS, "InvoiceNumber": "1", "Status": "AUTHORISED"}
    created = to_xero(xero, "PUT", "/Invoices", {"Invoices": [sale]})
    id_ = created.json()["Invoices"][0]["InvoiceID"]
    repeated = to_xero(xero, "PUT", "/Invoices", {"Invoices": [sale]})
    payment = {
        "Invoice": {"InvoiceID": id_},
        "Account": {"Code": "200"},
        "Date": "2031-05-06",
        "Amount": 1,
    }
    voided_answer = {"Invoices": [{"InvoiceID": id_, "Status": "DELETED"}]}
    renamed = {"Invoices": [{"InvoiceID": id_, "Reference": "x"}]}
    other = {"Invoices": [{**sale, "InvoiceNumber": "2"}]}
    first_key = to_xero(xero, "PUT", "/Invoices", other, Idempotency_Key="k")
    assert 200 == first_key.status
    assert "must be unique" in repeated.text
    assert (
        "another request"
        in to_xero(xero, "PUT", "/Invoices", {"Invoices": []}, Idempotency_Key="k").text
    )
    long_key = to_xero(xero, "PUT", "/Invoices", other, Idempotency_Key="k" * 129)
    assert "key is invalid" in long_key.text
    assert "No Payments" in to_xero(xero, "PUT", "/Payments", {}).text
    paid = to_xero(xero, "PUT", "/Payments", {"Payments": [payment]})
    assert "not a bank account" in paid.text
    assert "valid status" in to_xero(xero, "POST", f"/Invoices/{id_}", voided_answer).text
    assert "Only the status" in to_xero(xero, "POST", f"/Invoices/{id_}", renamed).text
    assert 404 == to_xero(xero, "GET", "/Invoices/i-9").status
    assert 404 == to_xero(xero, "GET", "/Bills").status
    assert 401 == send_request(xero, "GET", "/api.xro/2.0/Accounts").status
    assert 403 == to_xero(xero, "GET", "/Accounts", Xero_Tenant_Id="other").status


BILL: dict[str, Any] = {
    "VendorRef": {"value": "1"},
    "Line": [
        {
            "Amount": 5,
            "DetailType": "AccountBasedExpenseLineDetail",
            "AccountBasedExpenseLineDetail": {"AccountRef": {"value": "2"}},
        }
    ],
}
ITEM = {"ItemRef": {"value": "10"}, "Qty": 1, "UnitPrice": 5}


def bill_with(**line: Any) -> dict[str, Any]:
    """Return a bill whose line has some fields changed."""
    return {**BILL, "Line": [{**BILL["Line"][0], **line}]}


def item_bill(amount: int = 5, **item: Any) -> dict[str, Any]:
    """Return a bill with an item line."""
    return bill_with(
        Amount=amount,
        DetailType="ItemBasedExpenseLineDetail",
        ItemBasedExpenseLineDetail={**ITEM, **item},
    )


def to_quickbooks(
    sandbox: QuickBooksSandbox, method: str, path: str, body: object = None, **query: str
) -> Any:
    """Send a request with the token to QuickBooks' sandbox."""
    pairs = {"minorversion": "75", **query}.items()
    authorization = f"Bearer {sandbox.token}"
    return send_request(
        sandbox,
        method,
        f"/v3/company/{REALM}{path}",
        body,
        query=pairs,
        Authorization=authorization,
    )


@pytest.fixture
def quickbooks() -> QuickBooksSandbox:
    """Return a QuickBooks sandbox with a supplier."""
    sandbox = QuickBooksSandbox()
    to_quickbooks(sandbox, "POST", "/vendor", {"DisplayName": "Well Ltd"})
    return sandbox


@pytest.mark.parametrize(
    "path, body, code",
    [
        ("/bill", {"VendorRef": {"value": "1"}}, "2010"),
        ("/bill", {**BILL, "VendorRef": {"value": "9"}}, "2500"),
        ("/bill", {**BILL, "DocNumber": "1" * 22}, "2050"),
        ("/bill", bill_with(DetailType="ItemBasedExpenseLineDetail"), "2020"),
        ("/bill", item_bill(ItemRef={"value": "9"}), "2500"),
        ("/bill", item_bill(amount=6), "6070"),
        ("/bill", item_bill(TaxCodeRef={"value": "9"}), "2500"),
        (
            "/bill",
            bill_with(AccountBasedExpenseLineDetail={"AccountRef": {"value": "9"}}),
            "2500",
        ),
        ("/vendor", {"Id": "1", "SyncToken": "0", "DisplayName": "x"}, "2020"),
        ("/vendor", {"Id": "9", "SyncToken": "0", "sparse": True}, "610"),
        ("/estimate", {}, "500"),
        (
            "/journalentry",
            {
                "Line": [
                    {
                        "Amount": 5,
                        "DetailType": "JournalEntryLineDetail",
                        "JournalEntryLineDetail": {
                            "PostingType": "Debit",
                            "AccountRef": {"value": "2"},
                        },
                    }
                ]
            },
            "6000",
        ),
    ],
)
def test_quickbooks_refuses_bad_records(
    quickbooks: QuickBooksSandbox, path: str, body: Any, code: str
) -> None:
    """QuickBooks' sandbox refuses bad records with an error code."""
    response = to_quickbooks(quickbooks, "POST", path, body)
    assert 400 == response.status
    assert code == response.json()["Fault"]["Error"][0]["code"]


def test_quickbooks_refuses_bad_requests(quickbooks: QuickBooksSandbox) -> None:
    """QuickBooks' sandbox checks document numbers, operations, queries, versions and ids."""
    numbered = {**BILL, "DocNumber": "7"}
    assert 200 == to_quickbooks(quickbooks, "POST", "/bill", numbered).status
    assert "6140" in to_quickbooks(quickbooks, "POST", "/bill", numbered).text
    long_id = to_quickbooks(quickbooks, "POST", "/bill", BILL, requestid="k" * 51)
    assert "2040" in long_id.text
    version = {"Id": "1", "SyncToken": "0"}
    operation = to_quickbooks(quickbooks, "POST", "/vendor", version, operation="void")
    assert "Unsupported Operation" in operation.text
    assert "4000" in to_quickbooks(quickbooks, "GET", "/query", query="drop table").text
    assert "CompanyInfo" in to_quickbooks(quickbooks, "GET", f"/companyinfo/{REALM}").text
    root = f"/v3/company/{REALM}"
    token = f"Bearer {quickbooks.token}"
    assert "2050" in send_request(quickbooks, "GET", f"{root}/bill/1", Authorization=token).text
    xml = send_request(quickbooks, "GET", f"{root}/bill/1", Authorization=token, Accept="*/*")
    assert b"<IntuitResponse/>" == xml.body
    assert 401 == send_request(quickbooks, "GET", f"{root}/bill/1").status
    other = send_request(quickbooks, "GET", "/v3/company/1/bill/1/x", Authorization=token)
    assert "Unsupported Operation" in other.text


def to_odoo(sandbox: OdooSandbox, model: str, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of Odoo's sandbox, and return the exception's name."""
    values = ["shop", 2, sandbox.api_key, model, method, list(arguments), options]
    params = {"service": "object", "method": "execute_kw", "args": values}
    body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
    answer = send_request(sandbox, "POST", "/jsonrpc", body).json()
    return answer["error"]["data"]["name"].rpartition(".")[2] if "error" in answer else None


def test_odoo_refuses_bad_calls() -> None:
    """Odoo's sandbox checks models, methods, fields, lines and the states of records."""
    odoo = OdooSandbox()
    entry: dict[str, Any] = {"move_type": "entry", "line_ids": []}
    side = {"account_id": 1, "debit": 5, "credit": 0}
    assert "KeyError" == to_odoo(odoo, "sale.order", "create", {})
    assert "AttributeError" == to_odoo(odoo, "account.move", "explode")
    assert "ValueError" == to_odoo(odoo, "account.move", "create", {"colour": 1})
    assert "ValueError" == to_odoo(odoo, "account.move", "create", {"ref": 1})
    assert "ValidationError" == to_odoo(odoo, "res.partner", "create", {"email": "x"})
    unbalanced = {**entry, "line_ids": [[0, 0, side]]}
    assert "UserError" == to_odoo(odoo, "account.move", "create", unbalanced)
    assert "ValueError" == to_odoo(
        odoo, "account.move", "create", {**entry, "line_ids": [[1, 0, side]]}
    )
    assert to_odoo(odoo, "account.move", "create", entry) is None
    (id_,) = odoo.records["account.move"]
    for method in ("action_post", "button_draft", "button_cancel"):
        assert to_odoo(odoo, "account.move", method, [id_]) is None
    for method in ("action_post", "button_cancel"):
        assert "UserError" == to_odoo(odoo, "account.move", method, [id_])
    assert to_odoo(odoo, "account.move", "button_draft", [id_]) is None
    assert "UserError" == to_odoo(odoo, "account.move", "button_draft", [id_])
    context = {"active_model": "account.move", "active_ids": [id_]}
    form = "account.payment.register"
    assert "UserError" == to_odoo(odoo, form, "create", {"amount": 1}, context=context)
    assert to_odoo(odoo, "account.move", "action_post", [id_]) is None
    assert "UserError" == to_odoo(odoo, form, "create", {"amount": 1}, context=context)
    assert "UserError" == to_odoo(odoo, "account.move", "unlink", [id_])
    assert "MissingError" == to_odoo(odoo, "account.move", "unlink", [7])
    options = {"fields": [], "order": "name"}
    assert "ValueError" == to_odoo(odoo, "account.move", "search_read", [], **options)
    answer = send_request(odoo, "POST", "/jsonrpc", {"jsonrpc": "1.0", "id": 1})
    assert "execute_kw" in answer.text


def test_wrong_secrets_are_refused() -> None:
    """Each sandbox refuses a wrong secret as its vendor does."""
    odoo, quickbooks, xero = OdooSandbox(), QuickBooksSandbox(), XeroSandbox()
    accounts = [
        Account(
            "odoo",
            Odoo(
                base_url="https://shop.odoo.example",
                database="shop",
                user_id=2,
                api_key="another key",
            ),
        ),
        Account("quickbooks", QuickBooks(realm_id=REALM, credentials="another token")),
        Account(
            "xero", Xero(tenant_id=TENANT, client_id=xero.client_id, client_secret="another one")
        ),
    ]
    supplier = Contact(name="Well Ltd", role=ContactRole.SUPPLIER)
    for account in accounts:
        client = SandboxHttpClient(odoo, quickbooks, xero)
        with (
            Hub([account], http=client) as hub,
            pytest.raises((AuthenticationFailed, CredentialRefreshFailed)),
        ):
            hub.accounting().create_contact(supplier)
    assert {0} == {odoo.counts()["contacts"], xero.counts()["contacts"]}
