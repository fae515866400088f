"""Test subjects of all accounting vendors for the conformance kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.accounting import InvoiceState
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.accounting_conformance import AccountingSubject
from moorage.testing.sandboxes.accounting.odoo import DATABASE, USER, OdooSandbox
from moorage.testing.sandboxes.accounting.quickbooks import REALM, QuickBooksSandbox
from moorage.testing.sandboxes.accounting.xero import TENANT, XeroSandbox
from moorage.testing.sandboxes.base import reply
from moorage.vendors.accounting.odoo import Odoo
from moorage.vendors.accounting.quickbooks import QuickBooks
from moorage.vendors.accounting.xero import Xero

if TYPE_CHECKING:
    from collections.abc import Callable


def xero_error(message: str, status: int = 400, **headers: str) -> Response:
    """Return an error response of Xero with a validation error."""
    content = {
        "ErrorNumber": 10,
        "Type": "ValidationException",
        "Message": "A validation exception occurred",
        "Elements": [{"ValidationErrors": [{"Message": message}]}],
    }
    return reply(content, status, **headers)


def fault(code: str, kind: str = "ValidationFault", status: int = 400) -> Response:
    """Return an error response of QuickBooks."""
    problem = {"Message": "This did not work.", "Detail": "Try another.", "code": code}
    return reply({"Fault": {"Error": [problem], "type": kind}, "time": "2031-05-06"}, status)


def odoo_error(name: str, message: str = "This did not work.") -> Response:
    """Return an error response of Odoo."""
    data = {"name": name, "message": message, "arguments": [message], "context": {}, "debug": ""}
    error = {"code": 200, "message": "Odoo Server Error", "data": data}
    return reply({"jsonrpc": "2.0", "id": 1, "error": error})


def odoo_result(result: Any) -> Response:
    """Return a successful response of Odoo with the given result."""
    return reply({"jsonrpc": "2.0", "id": 1, "result": result})


def xero() -> AccountingSubject:
    """Return a Xero test subject with a new sandbox."""
    sandbox = XeroSandbox()
    refused_record = {
        "Contacts": [
            {
                "ContactID": "00000000-0000-0000-0000-000000000000",
                "HasValidationErrors": True,
                "StatusAttributeString": "ERROR",
                "ValidationErrors": [{"Message": "The name is taken."}],
            }
        ]
    }
    limit = {"X_Rate_Limit_Problem": "minute", "Retry_After": "31"}
    return AccountingSubject(
        vendor=Xero(
            tenant_id=TENANT, client_id=sandbox.client_id, client_secret=sandbox.client_secret
        ),
        sandbox=sandbox,
        sale={"account": "200", "tax_rate": "OUTPUT2"},
        purchase={"account": "400", "tax_rate": "INPUT2"},
        bank="090",
        ledger=("200", "400"),
        positions={"record_payment": 1},
        refusals=(
            (xero_error("The name is taken."), InvalidRequest, "ValidationException"),
            (reply(refused_record), InvalidRequest, "ValidationException"),
            (reply({"Title": "Forbidden", "Detail": "…"}, 403), AuthenticationFailed, "Forbidden"),
            (Response(404, body=b"cannot be found"), VendorRejected, "404"),
            (Response(429, limit_headers(limit), b""), RateLimitExceeded, "minute"),
        ),
        pause=(Response(429, limit_headers(limit), b""), 31.0),
        strange=xero_invoice("PENDING"),
        states=((xero_invoice("SUBMITTED"), InvoiceState.DRAFT),),
        option=("Reference", "Order 1042"),
        secrets=(sandbox.client_secret,),
        webhook_secret=sandbox.webhook_key,
        report=sandbox.report,
    )


def xero_invoice(status: str) -> Response:
    """Return a response with an invoice in the given status."""
    return reply({"Invoices": [{"InvoiceID": "i-1", "Type": "ACCREC", "Status": status}]})


def limit_headers(fields: dict[str, str]) -> dict[str, str]:
    """Return the given fields as headers, with hyphens in place of underscores."""
    return {name.replace("_", "-"): value for name, value in fields.items()}


def quickbooks() -> AccountingSubject:
    """Return a QuickBooks test subject with a new sandbox."""
    sandbox = QuickBooksSandbox()
    expired = {
        "fault": {
            "error": [{"message": "Expired", "detail": "Token expired", "code": "3200"}],
            "type": "AUTHENTICATION",
        }
    }
    throttled = {"fault": {"error": [{"message": "ThrottleExceeded", "code": "3001"}]}}
    return AccountingSubject(
        vendor=QuickBooks(realm_id=REALM, credentials=sandbox.token),
        sandbox=sandbox,
        sale={"item": "10", "tax_rate": "5"},
        purchase={"account": "2", "tax_rate": "5"},
        bank="1",
        ledger=("3", "2"),
        positions={"record_payment": 1},
        refusals=(
            (fault("6240"), VendorRejected, "6240"),
            (fault("6240", status=200), VendorRejected, "6240"),
            (fault("610"), VendorRejected, "610"),
            (fault("2020"), InvalidRequest, "2020"),
            (fault("9999", "NewFault"), VendorRejected, "9999"),
            (fault("120", "AuthorizationFault"), AuthenticationFailed, "120"),
            (reply(expired, 401), AuthenticationFailed, "3200"),
            (reply(throttled, 429), RateLimitExceeded, "3001"),
        ),
        pause=(reply(throttled, 429), None),
        option=("PrivateNote", "Order 1042"),
        secrets=(sandbox.token,),
        webhook_secret=sandbox.verifier_token,
        report=sandbox.report,
    )


def odoo() -> AccountingSubject:
    """Return an Odoo test subject with a new sandbox."""
    sandbox = OdooSandbox()
    move = {
        "id": 7,
        "name": "INV/7",
        "move_type": "out_invoice",
        "state": "frozen",
        "payment_state": False,
        "amount_total": 1.0,
        "amount_residual": 1.0,
        "currency_id": [1, "EUR"],
        "write_date": "2031-05-06 07:08:09",
    }
    return AccountingSubject(
        vendor=Odoo(
            base_url="https://shop.odoo.example",
            database=DATABASE,
            user_id=USER,
            api_key=sandbox.api_key,
        ),
        sandbox=sandbox,
        sale={"account": "2", "tax_rate": "1"},
        purchase={"account": "3", "tax_rate": "2"},
        bank="1",
        ledger=("2", "3"),
        positions={"create_invoice": 1, "record_payment": 3},
        refusals=(
            (odoo_error("odoo.exceptions.UserError"), VendorRejected, "UserError"),
            (odoo_error("odoo.exceptions.ValidationError"), InvalidRequest, "ValidationError"),
            (odoo_error("builtins.ValueError"), InvalidRequest, "ValueError"),
            (odoo_error("odoo.exceptions.AccessDenied"), AuthenticationFailed, "AccessDenied"),
            (odoo_error("odoo.exceptions.AccessError"), AuthenticationFailed, "AccessError"),
        ),
        pause=(Response(429, {"Retry-After": "7"}, b""), 7.0),
        strange=odoo_result([move]),
        states=(
            (
                odoo_result([move | {"state": "posted", "payment_state": "reversed"}]),
                InvoiceState.PAID,
            ),
        ),
        option=("narration", "Order 1042"),
        secrets=(sandbox.api_key,),
    )


SUBJECTS: Final[tuple[Callable[[], AccountingSubject], ...]] = (xero, quickbooks, odoo)
