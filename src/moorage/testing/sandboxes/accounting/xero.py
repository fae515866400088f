"""A local sandbox that imitates Xero's Accounting API.

The organisation has the accounts 090 (bank), 200 (sales) and 400 (advertising), the item BOLT, and
the tax rates OUTPUT2, INPUT2 and NONE.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_list
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed
from moorage.testing.sandboxes.accounting.base import (
    AccountingSandbox,
    cents,
    exact_decimal,
    number,
    without_none,
)
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.tokens import TokenEndpoint
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


TENANT: Final = "aef86862-2015-4b6b-88bc-d89032cecc50"
SCOPE: Final = (
    "accounting.invoices accounting.payments accounting.manualjournals accounting.contacts"
    " accounting.settings.read accounting.attachments"
)
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ACCOUNT: Final = {"Code": str, "AccountID": str}
_LINE: Final = {
    "Description!": str,
    **typed(NUMBER, "Quantity UnitAmount LineAmount"),
    **typed(str, "ItemCode AccountCode AccountID TaxType"),
    "TaxAmount": NUMBER,
}
_CONTACT: Final = {
    **typed(str, "ContactID Name ContactNumber EmailAddress TaxNumber CompanyNumber"),
    "Phones": [{"PhoneType": str, "PhoneNumber": str}],
    "Addresses": [
        {
            "AddressType": frozenset({"POBOX", "STREET"}),
            **{f"AddressLine{line}": str for line in range(1, 5)},
            **typed(str, "City Region PostalCode Country"),
        }
    ],
}
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "Contacts": _CONTACT,
    "Invoices": {
        "Type!": frozenset({"ACCREC", "ACCPAY"}),
        "Contact!": {"ContactID!": str},
        "Date": str,
        "DueDate": str,
        "LineAmountTypes": frozenset({"Exclusive", "Inclusive", "NoTax"}),
        **typed(str, "InvoiceNumber Reference CurrencyCode"),
        "Status": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED"}),
        "LineItems!": [_LINE],
    },
    "Payments": {
        "Invoice!": {"InvoiceID!": str},
        "Account!": _ACCOUNT,
        "Date!": str,
        "Amount!": NUMBER,
        "Reference": str,
        "IsReconciled": bool,
    },
    "ManualJournals": {
        "Narration!": str,
        "Date": str,
        "LineAmountTypes": frozenset({"NoTax"}),
        "Status": frozenset({"DRAFT", "POSTED"}),
        "ShowOnCashBasisReports": bool,
        "JournalLines!": [
            {
                "LineAmount!": NUMBER,
                **typed(str, "AccountCode AccountID Description TaxType"),
            }
        ],
    },
}
"""The fields of each list of records, and their types."""
_ACCOUNTS: Final = (
    ("090", "Business Bank Account", "BANK", "ASSET", True),
    ("200", "Sales", "REVENUE", "REVENUE", False),
    ("400", "Advertising", "OVERHEADS", "EXPENSE", False),
)
_TAX_RATES: Final = (
    ("OUTPUT2", "20% (VAT on Income)", 20.0, True, False),
    ("INPUT2", "20% (VAT on Expenses)", 20.0, False, True),
    ("NONE", "No VAT", 0.0, True, True),
)
_ITEMS: Final = {"BOLT"}
_ENDED: Final = ("VOIDED", "DELETED")
_KEY_MEMORY: Final = 300.0


def _conflict() -> base.Refusal:
    message = "This idempotency key was used with another request."
    return base.refusal({"Type": "IdempotencyException", "Message": message}, 400)


class XeroSandbox(AccountingSandbox):
    """A sandbox of Xero: one organisation's books.

    Attributes:
        client_id, client_secret: credentials of the custom connection.
        webhook_key: key that webhooks are signed with.
        now: returns the time, in seconds since 1970, by which idempotency keys are forgotten.
        token_endpoint: the endpoint that grants tokens.
        contacts, invoices, payments, journals, files: the records, by id.
    """

    hosts = ("api.xero.com", "identity.xero.com")

    client_id: str = "XERO0SANDBOX0CLIENT"
    client_secret: str = "xero-sandbox-client-secret"
    webhook_key: str = "xero-sandbox-webhook-key"
    now: Callable[[], float] = time.time
    contacts: dict[str, dict[str, Any]] = base.state_field(dict)
    invoices: dict[str, dict[str, Any]] = base.state_field(dict)
    payments: dict[str, dict[str, Any]] = base.state_field(dict)
    journals: dict[str, dict[str, Any]] = base.state_field(dict)
    files: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.token_endpoint = TokenEndpoint(
            "/connect/token", self.client_id, self.client_secret, scope=SCOPE
        )
        self.mounts = {self.token_endpoint.path: self.token_endpoint}
        self._replays = base.Replays(
            conflict=_conflict,
            longest=128,
            invalid=lambda: _validation("The idempotency key is invalid."),
            memory=_KEY_MEMORY,
            now=self.now,
        )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        root, replay = "/api.xro/2.0", self._replays.once
        return {
            f"GET {root}/Accounts": self._list_accounts,
            f"GET {root}/TaxRates": self._list_tax_rates,
            f"GET {root}/Contacts": self._search,
            f"PUT {root}/Contacts": replay(self._add_contact),
            f"POST {root}/Contacts/{{id}}": replay(self._change_contact),
            f"PUT {root}/Invoices": replay(self._add_invoice),
            f"GET {root}/Invoices/{{id}}": self._show_invoice,
            f"POST {root}/Invoices/{{id}}": replay(self._end_invoice),
            f"PUT {root}/Payments": replay(self._add_payment),
            f"PUT {root}/ManualJournals": replay(self._add_journal),
            f"PUT {root}/Invoices/{{id}}/Attachments/{{name}}": replay(self._attach_to_invoice),
            f"PUT {root}/ManualJournals/{{id}}/Attachments/{{name}}": replay(
                self._attach_to_journal
            ),
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return Response(404, body=b"The resource you're looking for cannot be found")

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token and organisation id."""
        if not self.token_endpoint.allows(request):
            detail = "AuthenticationUnsuccessful"
            raise base.refusal({"Title": "Unauthorized", "Status": 401, "Detail": detail}, 401)
        if request.headers.get("xero-tenant-id") != TENANT:
            detail = "AuthenticationUnsuccessful"
            raise base.refusal({"Title": "Forbidden", "Status": 403, "Detail": detail}, 403)

    def counts(self) -> Mapping[str, int]:
        """Return the number of records of each kind."""
        valid_invoices = [item for item in self.invoices.values() if item["Status"] not in _ENDED]
        return {
            "contacts": len(self.contacts),
            "invoices": len(valid_invoices),
            "payments": len(self.payments),
            "journals": len(self.journals),
            "files": len(self.files),
        }

    def report(
        self,
        id_: str,
        *,
        url: str = "",
        category: str = "INVOICE",
        change: str = "UPDATE",
        tenant: str = TENANT,
    ) -> base.Notice:
        """Send the webhook for a changed record.

        Args:
            id_: id of the record.
            url: address of the application.
            category: Xero's word for the kind of the record.
            change: Xero's word for the change.
            tenant: id of the organisation.
        """
        event = {
            "resourceUrl": f"https://api.xero.com/api.xro/2.0/{category.title()}s/{id_}",
            "resourceId": id_,
            "tenantId": tenant,
            "tenantType": "ORGANISATION",
            "eventCategory": category,
            "eventType": change,
            "eventDateUtc": "2031-05-06T07:08:09.123",
        }
        return self._signed(url, [event])

    def check_intent(self, *, url: str = "") -> base.Notice:
        """Send the empty webhook by which Xero validates an application."""
        return self._signed(url, [])

    def _signed(self, url: str, events: list[dict[str, Any]]) -> base.Notice:
        content = {
            "events": events,
            "firstEventSequence": self.number(),
            "lastEventSequence": self.number(),
            "entropy": "HKILRUBFXNGWLCCGVANW",
        }
        body = encode_json(content)
        signature = base64_hmac(self.webhook_key.encode(), body)
        return self.notify(
            url, body, {"Content-Type": "application/json", "x-xero-signature": signature}
        )

    def _list_accounts(self, _: base.SandboxRequest) -> Response:
        return _answer(
            "Accounts",
            *(
                {
                    "AccountID": _account_id(code),
                    "Code": code,
                    "Name": name,
                    "Type": kind,
                    "Class": account_class,
                    "Status": "ACTIVE",
                    "EnablePaymentsToAccount": payable,
                    **({"CurrencyCode": "EUR"} if kind == "BANK" else {}),
                }
                for code, name, kind, account_class, payable in _ACCOUNTS
            ),
            {
                "AccountID": _account_id("999"),
                "Code": "999",
                "Name": "Old",
                "Type": "EXPENSE",
                "Class": "EXPENSE",
                "Status": "ARCHIVED",
            },
        )

    def _list_tax_rates(self, _: base.SandboxRequest) -> Response:
        return _answer(
            "TaxRates",
            *(
                {
                    "Name": name,
                    "TaxType": kind,
                    "Status": "ACTIVE",
                    "EffectiveRate": rate,
                    "DisplayTaxRate": rate,
                    "CanApplyToRevenue": on_sales,
                    "CanApplyToExpenses": on_purchases,
                }
                for kind, name, rate, on_sales, on_purchases in _TAX_RATES
            ),
        )

    def _search(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        term, page = query.get("searchTerm", "").casefold(), int(query.get("page", "1"))
        size = int(query.get("pageSize", "100"))
        fields = ("Name", "EmailAddress", "ContactNumber")
        matches = [
            contact
            for contact in self.contacts.values()
            if any(term in contact.get(field, "").casefold() for field in fields)
        ]
        return _answer("Contacts", *matches[(page - 1) * size : page * size])

    def _add_contact(self, request: base.SandboxRequest) -> Response:
        fields = _record(request, "Contacts")
        if not fields.get("Name"):
            raise _validation("The Contact Name cannot be empty.")
        self._check_names(fields, None)
        id_ = self.uuid()
        self.contacts[id_] = {**fields, "ContactID": id_, "ContactStatus": "ACTIVE"}
        return _answer("Contacts", {**self.contacts[id_], "HasValidationErrors": False})

    def _change_contact(self, request: base.SandboxRequest, id: str) -> Response:
        contact = base.existing(self.contacts, id, _missing_error())
        fields = _record(request, "Contacts")
        self._check_names(fields, id)
        contact |= fields
        return _answer("Contacts", contact)

    def _check_names(self, fields: Mapping[str, Any], changed_id: str | None) -> None:
        for id_, contact in self.contacts.items():
            if id_ != changed_id and contact["Name"] == fields.get("Name", ""):
                raise _validation(
                    f"The contact name {contact['Name']} is already assigned to another contact."
                )

    def _add_invoice(self, request: base.SandboxRequest) -> Response:
        fields = _record(request, "Invoices")
        base.existing(self.contacts, fields["Contact"]["ContactID"], _missing_error("contact"))
        is_sale, status = fields["Type"] == "ACCREC", fields.get("Status", "DRAFT")
        problem = base.first_problem(
            {
                "The invoice needs a due date.": status == "AUTHORISED" and "DueDate" not in fields,
                "Invoice # must be unique.": is_sale
                and "InvoiceNumber" in fields
                and any(
                    item["InvoiceNumber"] == fields["InvoiceNumber"]
                    for item in self.invoices.values()
                ),
                "One or more line items must be specified": not fields["LineItems"],
                "Invalid date": any(
                    _DAY.fullmatch(fields.get(name, "2031-01-01")) is None
                    for name in ("Date", "DueDate")
                ),
            }
        )
        if problem is not None:
            raise _validation(problem)
        lines = [_checked_line(line) for line in fields["LineItems"]]
        net = sum((exact_decimal(line["LineAmount"]) for line in lines), Decimal(0))
        tax = sum((exact_decimal(line["TaxAmount"]) for line in lines), self.rounding)
        total, id_ = net + tax, self.uuid()
        self.invoices[id_] = {
            **fields,
            "InvoiceID": id_,
            "InvoiceNumber": fields.get("InvoiceNumber", f"INV-{self.number():04d}"),
            "Status": status if total or status != "AUTHORISED" else "PAID",
            "LineItems": lines,
            "CurrencyCode": fields.get("CurrencyCode", "EUR"),
            "SubTotal": number(net),
            "TotalTax": number(tax),
            "Total": number(total),
            "AmountDue": number(total),
            "AmountPaid": 0.0,
            "Date": _microsoft(fields.get("Date", "2031-05-06")),
            "DateString": f"{fields.get('Date', '2031-05-06')}T00:00:00",
            "DueDate": _microsoft(fields.get("DueDate", "2031-05-06")),
            "UpdatedDateUTC": _now(),
            "HasErrors": False,
        }
        return _answer("Invoices", {**self.invoices[id_], "StatusAttributeString": "OK"})

    def _show_invoice(self, _: base.SandboxRequest, id: str) -> Response:
        return _answer("Invoices", base.existing(self.invoices, id, _missing_error()))

    def _end_invoice(self, request: base.SandboxRequest, id: str) -> Response:
        invoice = base.existing(self.invoices, id, _missing_error())
        item = request.json()["Invoices"][0]
        if set(item) != {"InvoiceID", "Status"} or item["InvoiceID"] != id:
            raise _validation("Only the status of an invoice can be changed here.")
        final_statuses = {"DRAFT": "DELETED", "SUBMITTED": "DELETED", "AUTHORISED": "VOIDED"}
        if final_statuses.get(invoice["Status"]) != item["Status"] or invoice["AmountPaid"]:
            raise _validation("Invoice not of valid status for modification")
        invoice |= {"Status": item["Status"], "UpdatedDateUTC": _now()}
        return _answer("Invoices", invoice)

    def _add_payment(self, request: base.SandboxRequest) -> Response:
        fields = _record(request, "Payments")
        invoice = base.existing(
            self.invoices, fields["Invoice"]["InvoiceID"], _missing_error("invoice")
        )
        code = _code_of(fields["Account"].get("Code"), fields["Account"].get("AccountID"))
        amount, due = exact_decimal(fields["Amount"]), exact_decimal(invoice["AmountDue"])
        problem = base.first_problem(
            {
                "Payments can only be made against Authorised documents": invoice["Status"]
                != "AUTHORISED",
                "Payment amount exceeds the amount outstanding on this document": amount > due,
                "Payment amount must be greater than zero": amount <= 0,
                "Account is not a bank account": code != _ACCOUNTS[0][0],
            }
        )
        if problem is not None:
            raise _validation(problem)
        invoice["AmountDue"] = number(due - amount)
        invoice["AmountPaid"] = number(exact_decimal(invoice["AmountPaid"]) + amount)
        if amount == due:
            invoice["Status"] = "PAID"
        id_ = self.uuid()
        is_sale = invoice["Type"] == "ACCREC"
        self.payments[id_] = {
            **fields,
            "PaymentID": id_,
            "Date": _microsoft(fields["Date"]),
            "Status": "AUTHORISED",
            "PaymentType": "ACCRECPAYMENT" if is_sale else "ACCPAYPAYMENT",
            "Account": {"AccountID": _account_id(code), "Code": code},
            "Invoice": {"InvoiceID": invoice["InvoiceID"], "CurrencyCode": "EUR"},
            "HasValidationErrors": False,
        }
        return _answer("Payments", self.payments[id_])

    def _add_journal(self, request: base.SandboxRequest) -> Response:
        fields = _record(request, "ManualJournals")
        for line in fields["JournalLines"]:
            _code_of(line.get("AccountCode"), line.get("AccountID"))
        balance = sum(
            (exact_decimal(line["LineAmount"]) for line in fields["JournalLines"]), Decimal(0)
        )
        if balance:
            raise _validation("The total debits must equal the total credits.")
        id_ = self.uuid()
        self.journals[id_] = {
            **fields,
            "ManualJournalID": id_,
            "Status": fields.get("Status", "DRAFT"),
            "Date": _microsoft(fields.get("Date", "2031-05-06")),
            "UpdatedDateUTC": _now(),
        }
        return _answer("ManualJournals", self.journals[id_])

    def _attach_to_invoice(self, request: base.SandboxRequest, id: str, name: str) -> Response:
        base.existing(self.invoices, id, _missing_error())
        return self._attach(request, name)

    def _attach_to_journal(self, request: base.SandboxRequest, id: str, name: str) -> Response:
        base.existing(self.journals, id, _missing_error())
        return self._attach(request, name)

    def _attach(self, request: base.SandboxRequest, name: str) -> Response:
        id_ = self.uuid()
        self.files[id_] = {
            "AttachmentID": id_,
            "FileName": name,
            "Url": f"https://api.xero.com{request.path}",
            "MimeType": request.headers.get("content-type") or "",
            "ContentLength": len(request.body),
        }
        return _answer("Attachments", self.files[id_])


def _record(request: base.SandboxRequest, name: str) -> dict[str, Any]:
    """Return the only record in a request, after checking its fields."""
    records: Any = request.json().get(name)
    if not is_list(records) or len(records) != 1:
        raise _validation(f"No {name} were found in the request.")
    shape = FIELDS[name]
    invalid_fields = [
        f"{location}/{field}: {kind}" for location, field, kind in problems(shape, records[0])
    ]
    if invalid_fields:
        raise _validation(*invalid_fields)
    return dict(records[0])


def _checked_line(line: dict[str, Any]) -> dict[str, Any]:
    quantity, price = (
        exact_decimal(line.get("Quantity", 1)),
        exact_decimal(line.get("UnitAmount", 0)),
    )
    expected = cents(quantity * price)
    amount = exact_decimal(line.get("LineAmount", expected))
    if amount != expected:
        raise _validation(
            f"The line total {amount} does not match the expected line total {expected}"
        )
    if "ItemCode" not in line or "AccountCode" in line or "AccountID" in line:
        _code_of(line.get("AccountCode"), line.get("AccountID"))
    if line.get("ItemCode", "BOLT") not in _ITEMS:
        raise _validation(f"Item code '{line['ItemCode']}' is not valid")
    rates = {kind: rate for kind, _, rate, *_ in _TAX_RATES}
    kind = line.get("TaxType", "NONE")
    if kind not in rates:
        raise _validation(f"TaxType code '{kind}' does not exist or cannot be used")
    tax = cents(amount * exact_decimal(rates[kind]) / 100)
    return {
        **line,
        "LineAmount": number(amount),
        "TaxAmount": number(exact_decimal(line.get("TaxAmount", tax))),
        "TaxType": kind,
    }


def _code_of(code: str | None, id_: str | None) -> str:
    codes = {_account_id(item[0]): item[0] for item in _ACCOUNTS}
    account_code = code if code in codes.values() else codes.get(id_ or "")
    if account_code is None:
        raise _validation(f"Account code '{code or id_}' is not a valid code for this document.")
    return account_code


def _account_id(code: str) -> str:
    return f"00000000-0000-4000-9000-{int(code):012d}"


def _answer(name: str, *records: Mapping[str, Any]) -> Response:
    content = {
        "Id": "ccece84a-075c-4fcd-9073-149d4f7a91cf",
        "Status": "OK",
        "ProviderName": "Sandbox",
        "DateTimeUTC": _now(),
        name: [without_none(record) for record in records],
    }
    limits = {"X_MinLimit_Remaining": "59", "X_DayLimit_Remaining": "4999"}
    return base.reply(content, 200, **limits)


def _validation(*messages: str) -> base.Refusal:
    content = {
        "ErrorNumber": 10,
        "Type": "ValidationException",
        "Message": "A validation exception occurred",
        "Elements": [{"ValidationErrors": [{"Message": message} for message in messages]}],
    }
    return base.refusal(content, 400)


def _missing_error(what: str = "resource") -> base.Refusal:
    if what != "resource":
        return _validation(f"The {what} was not found.")
    return base.Refusal(Response(404, body=b"The resource you're looking for cannot be found"))


def _microsoft(day: str) -> str:
    moment = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return f"/Date({int(moment.timestamp())}000+0000)/"


def _now() -> str:
    return f"/Date({int(datetime.now(UTC).timestamp() * 1_000)}+0000)/"


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an organisation that every scenario can use."""
    sandbox = XeroSandbox()
    return SandboxFixture(
        options={
            "tenant_id": TENANT,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
        },
        sandbox=sandbox,
        vendor_values={
            "sale": {"account": "200", "tax_rate": "OUTPUT2"},
            "item": {"item": "BOLT", "tax_rate": "OUTPUT2"},
            "purchase": {"account": "400", "tax_rate": "INPUT2"},
            "bank": "090",
            "ledger": ("200", "400"),
        },
    )
