"""A local sandbox that imitates the Accounting API of QuickBooks Online.

The company 4620816365000000001 has the accounts 1 (bank), 2 (advertising) and 3 (services), the
item 10, and the tax codes 5 (20%) and 6 (exempt).
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.domain.webhooks.form_parts import form_parts
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed, words
from moorage.testing.sandboxes.accounting.base import (
    AccountingSandbox,
    cents,
    exact_decimal,
    number,
)
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


REALM: Final = "4620816365000000001"
_REF: Final = {"value!": str, "name": str}
_ADDRESS: Final = {
    **{f"Line{line}": str for line in range(1, 6)},
    **typed(str, "City CountrySubDivisionCode PostalCode Country"),
}
_NAMED: Final = {
    "DisplayName": str,
    "PrimaryEmailAddr": {"Address": str},
    "PrimaryPhone": {"FreeFormNumber": str},
    "BillAddr": _ADDRESS,
    **typed(str, "Notes Id SyncToken"),
    "sparse": bool,
}
_ITEM: Final = {"ItemRef!": _REF, "Qty": NUMBER, "UnitPrice": NUMBER, "TaxCodeRef": _REF}
_DOCUMENT_FIELDS: Final = {
    **typed(str, "DocNumber TxnDate DueDate"),
    "CurrencyRef": _REF,
    "PrivateNote": str,
    "GlobalTaxCalculation": frozenset({"TaxExcluded", "TaxInclusive", "NotApplicable"}),
    "TxnTaxDetail": {"TotalTax": NUMBER},
}
_PAYMENT_LINES: Final = [
    {
        "Amount!": NUMBER,
        "LinkedTxn!": [{"TxnId!": str, "TxnType!": frozenset({"Invoice", "Bill"})}],
    }
]
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "Customer": {**_NAMED, "PrimaryTaxIdentifier": str},
    "Vendor": {**_NAMED, "TaxIdentifier": str, "AcctNum": str},
    "Invoice": {
        **_DOCUMENT_FIELDS,
        "CustomerRef!": _REF,
        "CustomerMemo": {"value": str},
        "Line!": [
            {
                "Amount!": NUMBER,
                "Description": str,
                "DetailType!": frozenset({"SalesItemLineDetail"}),
                "SalesItemLineDetail!": _ITEM,
            }
        ],
    },
    "Bill": {
        **_DOCUMENT_FIELDS,
        "VendorRef!": _REF,
        "Line!": [
            {
                "Amount!": NUMBER,
                "Description": str,
                "DetailType!": words("AccountBasedExpenseLineDetail ItemBasedExpenseLineDetail"),
                "AccountBasedExpenseLineDetail": {"AccountRef!": _REF, "TaxCodeRef": _REF},
                "ItemBasedExpenseLineDetail": _ITEM,
            }
        ],
    },
    "Payment": {
        "CustomerRef!": _REF,
        "TotalAmt!": NUMBER,
        "TxnDate": str,
        "CurrencyRef": _REF,
        "DepositToAccountRef": _REF,
        "PaymentRefNum": str,
        "PrivateNote": str,
        "Line": _PAYMENT_LINES,
    },
    "BillPayment": {
        "VendorRef!": _REF,
        "TotalAmt!": NUMBER,
        "TxnDate": str,
        "CurrencyRef": _REF,
        "PayType!": frozenset({"Check", "CreditCard"}),
        "CheckPayment": {"BankAccountRef!": _REF},
        "DocNumber": str,
        "PrivateNote": str,
        "Line!": _PAYMENT_LINES,
    },
    "JournalEntry": {
        **typed(str, "TxnDate PrivateNote DocNumber"),
        "Line!": [
            {
                "Amount!": NUMBER,
                "Description": str,
                "DetailType!": frozenset({"JournalEntryLineDetail"}),
                "JournalEntryLineDetail!": {
                    "PostingType!": frozenset({"Debit", "Credit"}),
                    "AccountRef!": _REF,
                },
            }
        ],
    },
}
"""The fields of each record that is created or changed, and their types."""
_ACCOUNTS: Final = (
    {
        "Id": "1",
        "Name": "Checking",
        "Classification": "Asset",
        "AccountType": "Bank",
        "AcctNum": "1000",
        "CurrencyRef": {"value": "EUR"},
    },
    {"Id": "2", "Name": "Advertising", "Classification": "Expense", "AccountType": "Expense"},
    {"Id": "3", "Name": "Services", "Classification": "Revenue", "AccountType": "Income"},
)
_RATE_LIST: Final = {"TaxRateDetail": [{"TaxRateRef": {"value": "7"}}]}
_NO_RATES: Final[dict[str, Any]] = {"TaxRateDetail": []}
_LISTS: Final[dict[str, tuple[Mapping[str, Any], ...]]] = {
    "Account": tuple({**account, "Active": True} for account in _ACCOUNTS),
    "TaxCode": (
        {
            "Id": "5",
            "Name": "20% S",
            "Active": True,
            "SalesTaxRateList": _RATE_LIST,
            "PurchaseTaxRateList": _RATE_LIST,
        },
        {"Id": "6", "Name": "Exempt", "Active": True, "SalesTaxRateList": _NO_RATES},
    ),
    "TaxRate": ({"Id": "7", "Name": "20%", "RateValue": 20},),
}
_ITEMS: Final = {"10"}
_DOCUMENTS: Final = ("Invoice", "Bill")
_QUERY: Final = re.compile(
    r"select \* from (\w+)(?: where (\w+) = (?:'((?:[^'\\]|\\.)*)'|(true)))?"
    r" startposition ([0-9]+) maxresults ([0-9]+)"
)
_FILTERS: Final = {
    "DisplayName": ("DisplayName",),
    "PrimaryEmailAddr": ("PrimaryEmailAddr", "Address"),
    "Active": ("Active",),
}


class QuickBooksSandbox(AccountingSandbox):
    """A sandbox of QuickBooks Online: one company's books.

    Attributes:
        token: access token of the company.
        verifier_token: token that webhooks are signed with.
        records: the records of each kind, by id.
    """

    hosts = ("quickbooks.api.intuit.com", "sandbox-quickbooks.api.intuit.com")

    token: str = "quickbooks-sandbox-access-token"
    verifier_token: str = "quickbooks-sandbox-verifier"
    _replays: base.Replays = base.state_field(base.Replays)
    records: dict[str, dict[str, dict[str, Any]]] = base.state_field(
        lambda: {name: {} for name in FIELDS}
    )
    files: dict[str, dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        root = f"/v3/company/{REALM}"
        return {
            f"GET {root}/companyinfo/{REALM}": self._show_company,
            f"GET {root}/preferences": self._preferences,
            f"GET {root}/query": self._query,
            f"POST {root}/upload": self._upload,
            f"POST {root}/{{kind}}": self._write,
            f"GET {root}/{{kind}}/{{id}}": self._show,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response for an unknown path or company."""
        return _fault("ValidationFault", "500", "Unsupported Operation", request.path).response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token and minor version."""
        if request.bearer() != self.token:
            problem = {
                "message": "message=AuthenticationFailed; errorCode=003200; statusCode=401",
                "detail": "Token expired",
                "code": "3200",
            }
            raise base.refusal({"fault": {"error": [problem], "type": "AUTHENTICATION"}}, 401)
        if request.headers.get("accept") != "application/json":
            raise base.Refusal(Response(200, body=b"<IntuitResponse/>"))
        if dict(request.query).get("minorversion") is None and "companyinfo" not in request.path:
            raise _fault("ValidationFault", "2050", "Missing minor version", "minorversion")

    def counts(self) -> Mapping[str, int]:
        """Return the number of records of each kind."""
        valid_invoices = [
            item
            for kind in _DOCUMENTS
            for item in self.records[kind].values()
            if not item.get("PrivateNote", "").startswith("Voided")
        ]
        return {
            "contacts": len(self.records["Customer"]) + len(self.records["Vendor"]),
            "invoices": len(valid_invoices),
            "payments": len(self.records["Payment"]) + len(self.records["BillPayment"]),
            "journals": len(self.records["JournalEntry"]),
            "files": len(self.files),
        }

    def report(
        self,
        id_: str,
        *,
        url: str = "",
        kind: str = "qbo.invoice.updated.v1",
        realm: str = REALM,
    ) -> base.Notice:
        """Send the webhook for a changed record.

        Args:
            id_: id of the record.
            url: address of the application.
            kind: type of the event.
            realm: id of the company.
        """
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.uuid(),
            "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
            "type": kind,
            "datacontenttype": "application/json",
            "time": "2031-05-06T07:08:09.179Z",
            "intuitentityid": id_,
            "intuitaccountid": realm,
            "data": {},
        }
        body = encode_json([event])
        signature = base64_hmac(self.verifier_token.encode(), body)
        headers = {"Content-Type": "application/json", "intuit-signature": signature}
        return self.notify(url, body, headers)

    def touch(self, kind: str, id_: str) -> None:
        """Change a record, as another user of the company would do."""
        record = self.records[kind][id_]
        record["SyncToken"] = str(int(record["SyncToken"]) + 1)

    def _show_company(self, _: base.SandboxRequest) -> Response:
        return base.reply({"CompanyInfo": {"Id": "1", "CompanyName": "Harbour Ltd"}})

    def _preferences(self, _: base.SandboxRequest) -> Response:
        currencies = {"HomeCurrency": {"value": "EUR"}, "MultiCurrencyEnabled": True}
        return base.reply({"Preferences": {"Id": "1", "CurrencyPrefs": currencies}})

    def _query(self, request: base.SandboxRequest) -> Response:
        text = dict(request.query).get("query", "")
        match = _QUERY.fullmatch(text)
        if match is None or (match[2] or "Active") not in _FILTERS:
            raise _fault("ValidationFault", "4000", "Error parsing query", text)
        name, field, value, _, start, size = match.groups()
        matches = [*_LISTS.get(name, ()), *self.records.get(name, {}).values()]
        if field is not None and value is not None:
            expected = re.sub(r"\\(.)", r"\1", value)
            matches = [item for item in matches if _value_at(item, _FILTERS[field]) == expected]
        page = matches[int(start) - 1 :][: int(size)]
        content = {name: page, "startPosition": int(start), "maxResults": len(page)}
        return base.reply({"QueryResponse": content if page else {}, "time": "2031-05-06"})

    def _show(self, _: base.SandboxRequest, kind: str, id: str) -> Response:
        name = _name_of(kind)
        record = base.existing(self.records[name], id, _gone_refusal())
        return base.reply({name: record, "time": "2031-05-06T07:08:09.000-07:00"})

    def _write(self, request: base.SandboxRequest, kind: str) -> Response:
        key = dict(request.query).get("requestid")
        if key is None:
            return self._write_record(request, kind)
        if not 0 < len(key) <= 50:
            raise _fault("ValidationFault", "2040", "Invalid request id", "requestid")
        return self._replays.respond(key, None, lambda: self._write_record(request, kind))

    def _write_record(self, request: base.SandboxRequest, kind: str) -> Response:
        name, operation = _name_of(kind), dict(request.query).get("operation")
        body: dict[str, Any] = request.json()
        if operation is not None:
            return self._end_record(name, operation, body)
        invalid_fields = [
            f"{location}/{field}: {problem}"
            for location, field, problem in problems(FIELDS[name], body)
        ]
        if invalid_fields:
            raise _fault(
                "ValidationFault", "2010", "Request has invalid property", invalid_fields[0]
            )
        if "Id" in body:
            return self._changed(name, body)
        add = {
            "Customer": self._add_contact,
            "Vendor": self._add_contact,
            "Payment": self._add_payment,
            "BillPayment": self._add_payment,
            "JournalEntry": self._add_journal,
        }.get(name, self._add_document)
        id_ = str(self.number())
        fields = add(name, body)
        moment = {"CreateTime": "2031-05-06T07:08:09-07:00"}
        record = {
            **body,
            **fields,
            "Id": id_,
            "SyncToken": "0",
            "MetaData": {**moment, "LastUpdatedTime": "2031-05-06T07:08:09-07:00"},
        }
        self.records[name][id_] = record
        return base.reply({name: record, "time": "2031-05-06T07:08:09.000-07:00"})

    def _current_record(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        record = base.existing(self.records[name], body.get("Id", ""), _gone_refusal())
        if body.get("SyncToken") != record["SyncToken"]:
            raise _fault("ValidationFault", "5010", "Stale Object Error", "SyncToken")
        return record

    def _changed(self, name: str, body: dict[str, Any]) -> Response:
        record = self._current_record(name, body)
        if body.get("sparse") is not True:
            raise _fault("ValidationFault", "2020", "Required param missing", "sparse")
        self._check_name(body.get("DisplayName"), body["Id"])
        changes = {field: value for field, value in body.items() if field != "sparse"}
        record |= {**changes, "SyncToken": str(int(record["SyncToken"]) + 1)}
        return base.reply({name: record, "time": "2031-05-06T07:08:09.000-07:00"})

    def _end_record(self, name: str, operation: str, body: Mapping[str, Any]) -> Response:
        record = self._current_record(name, body)
        if (name, operation) == ("Bill", "delete"):
            del self.records[name][record["Id"]]
            return base.reply({name: {"Id": record["Id"], "status": "Deleted"}})
        if (name, operation) != ("Invoice", "void"):
            raise _fault("ValidationFault", "500", "Unsupported Operation", operation)
        record |= {
            "TotalAmt": 0,
            "Balance": 0,
            "PrivateNote": "Voided",
            "SyncToken": str(int(record["SyncToken"]) + 1),
        }
        return base.reply({name: record, "time": "2031-05-06T07:08:09.000-07:00"})

    def _check_name(self, name: str | None, changed_id: str | None) -> None:
        for kind in ("Customer", "Vendor"):
            for id_, record in self.records[kind].items():
                if id_ != changed_id and record["DisplayName"] == name:
                    message = "Duplicate Name Exists Error"
                    detail = "The name supplied already exists. : null"
                    raise _fault("ValidationFault", "6240", message, detail)

    def _add_contact(self, _: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._check_name(body.get("DisplayName"), None)
        return {"Active": True}

    def _add_document(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        is_sale = name == "Invoice"
        party = body["CustomerRef" if is_sale else "VendorRef"]["value"]
        if party not in self.records["Customer" if is_sale else "Vendor"]:
            raise _fault("ValidationFault", "2500", "Invalid Reference Id", "Names element")
        if len(body.get("DocNumber", "")) > 21:
            raise _fault("ValidationFault", "2050", "String length is too long", "DocNumber")
        if "DocNumber" in body and any(
            item.get("DocNumber") == body["DocNumber"] for item in self.records[name].values()
        ):
            raise _fault("ValidationFault", "6140", "Duplicate Document Number Error", "DocNumber")
        net = Decimal(0)
        for line in body["Line"]:
            detail = line.get(line["DetailType"])
            if detail is None:
                raise _fault("ValidationFault", "2020", "Required param missing", "Line")
            _check_detail(line, detail)
            net += exact_decimal(line["Amount"])
        tax = exact_decimal(body.get("TxnTaxDetail", {}).get("TotalTax", 0)) + self.rounding
        total = number(net + tax)
        return {
            "DocNumber": body.get("DocNumber", str(1000 + self.number())),
            "CurrencyRef": body.get("CurrencyRef", {"value": "EUR"}),
            "TotalAmt": total,
            "Balance": total,
        }

    def _add_payment(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        kind = "Invoice" if name == "Payment" else "Bill"
        if name == "Payment":
            account = body.get("DepositToAccountRef", {"value": "1"})
        else:
            account = body.get("CheckPayment", {}).get("BankAccountRef", {"value": ""})
        _check_account(account["value"])
        total = exact_decimal(body["TotalAmt"])
        for line in body["Line"]:
            for linked in line["LinkedTxn"]:
                document = base.existing(self.records[kind], linked["TxnId"], _gone_refusal())
                balance = exact_decimal(document["Balance"]) - exact_decimal(line["Amount"])
                if balance < 0 or exact_decimal(line["Amount"]) != total:
                    message = "Business Validation Error"
                    detail = "The amount is more than the balance of the transaction"
                    raise _fault("ValidationFault", "6000", message, detail)
                document["Balance"] = number(balance)
                document["SyncToken"] = str(int(document["SyncToken"]) + 1)
        return {}

    def _add_journal(self, _: str, body: Mapping[str, Any]) -> dict[str, Any]:
        balance = Decimal(0)
        for line in body["Line"]:
            detail = line["JournalEntryLineDetail"]
            _check_account(detail["AccountRef"]["value"])
            sign = 1 if detail["PostingType"] == "Debit" else -1
            balance += sign * exact_decimal(line["Amount"])
        if balance:
            message = "Debits and credits must balance"
            raise _fault("ValidationFault", "6000", "A business validation error", message)
        return {"DocNumber": str(self.number()), "TotalAmt": 0}

    def _upload(self, request: base.SandboxRequest) -> Response:
        parts = {part.name: part for part in form_parts(request.body)}
        metadata = json.loads(parts["file_metadata_01"].content)
        content = parts["file_content_01"]
        target = metadata["AttachableRef"][0]["EntityRef"]
        if target["value"] not in self.records[target["type"]]:
            fault = _fault("ValidationFault", "2500", "Invalid Reference Id", "EntityRef")
            problem: dict[str, Any] = fault.response.json()
            return base.reply({"AttachableResponse": [{"Fault": problem["Fault"]}]})
        id_ = str(self.number())
        self.files[id_] = {**metadata, "Id": id_, "Size": len(content.content)}
        return base.reply({"AttachableResponse": [{"Attachable": self.files[id_]}]})


def _value_at(item: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = item
    for name in path:
        value = value.get(name, {})
    return value


def _check_detail(line: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
    if "ItemRef" in detail:
        if detail["ItemRef"]["value"] not in _ITEMS:
            raise _fault("ValidationFault", "2500", "Invalid Reference Id", "ItemRef")
        expected = cents(
            exact_decimal(detail.get("Qty", 1)) * exact_decimal(detail.get("UnitPrice", 0))
        )
        if expected != exact_decimal(line["Amount"]):
            message = "Amount calculation incorrect in the request."
            raise _fault("ValidationFault", "6070", message, "Amount")
    else:
        _check_account(detail["AccountRef"]["value"])
    code = detail.get("TaxCodeRef", {"value": "5"})["value"]
    if code not in {str(item["Id"]) for item in _LISTS["TaxCode"]}:
        raise _fault("ValidationFault", "2500", "Invalid Reference Id", "TaxCodeRef")


def _check_account(id_: str) -> None:
    if id_ not in [account["Id"] for account in _ACCOUNTS]:
        raise _fault("ValidationFault", "2500", "Invalid Reference Id", "Accounts element")


def _name_of(kind: str) -> str:
    for name in FIELDS:
        if name.lower() == kind:
            return name
    raise _fault("ValidationFault", "500", "Unsupported Operation", kind)


def _gone_refusal() -> base.Refusal:
    return _fault("ValidationFault", "610", "Object Not Found", "Something was made inactive")


def _fault(kind: str, code: str, message: str, detail: str) -> base.Refusal:
    problem = {"Message": message, "Detail": f"{message} : {detail}", "code": code, "element": ""}
    fault = {"Error": [problem], "type": kind}
    return base.refusal({"Fault": fault, "time": "2031-05-06T07:08:09.000-07:00"}, 400)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with a company that every scenario can use."""
    sandbox = QuickBooksSandbox()
    return SandboxFixture(
        options={"realm_id": REALM, "credentials": sandbox.token},
        sandbox=sandbox,
        vendor_values={
            "sale": {"item": "10", "tax_rate": "5"},
            "item": {"item": "10", "tax_rate": "5"},
            "purchase": {"account": "2", "tax_rate": "5"},
            "bank": "1",
            "ledger": ("3", "2"),
        },
    )
