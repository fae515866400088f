"""A local sandbox that imitates Avalara AvaTax.

It calculates by the rates of `base`. The tax code `NT` is not taxed, and codes of other forms than
`P0000000` are unknown. Committed documents are stored by type and code, and each type and code is
accepted once.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.tax.base import rates_at, taxes_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.tax.base import SandboxRate

_UNTAXED: Final = "NT"
_CODE: Final = re.compile("NT|[A-Z]{1,2}[0-9]{6,7}")
_NUMBER: Final = (int, float)
_PLACE: Final = typed(str, "line1 line2 line3 city region postalCode country")
_OVERRIDE: Final = {"type!": words("TaxAmount"), "taxAmount!": _NUMBER, "reason!": str}
_LINE: Final[dict[str, Any]] = {
    "number": str,
    "quantity": _NUMBER,
    "amount!": _NUMBER,
    "taxCode": str,
    "taxIncluded": bool,
    "taxOverride": _OVERRIDE,
}
_TRANSACTION: Final[dict[str, Any]] = {
    "type": words("SalesOrder SalesInvoice ReturnInvoice"),
    "code": str,
    "commit": bool,
    **typed(
        str,
        "companyCode customerCode! date! currencyCode entityUseCode businessIdentificationNo"
        " referenceCode purchaseOrderNo",
    ),
    "addresses": {"shipFrom": _PLACE, "shipTo": _PLACE},
    "lines!": [_LINE],
}
_DAY: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_LEVELS: Final = {
    "country": "Country",
    "state": "State",
    "county": "County",
    "city": "City",
    "district": "Special",
}
_TIME: Final = "2031-05-06T07:08:09.000Z"


class AvalaraSandbox(base.Sandbox):
    """A sandbox of one company in an Avalara AvaTax account.

    Attributes:
        account: number of the account that requests must have.
        license_key: license key that requests must have.
        company: code of the company.
        documents: the committed documents, by type and code, such as "SalesInvoice INV-1".
    """

    hosts = ("rest.avatax.com", "sandbox-rest.avatax.com")

    account: str = "2000123456"
    license_key: str = "1A2B3C4D5E6F7A8B"
    company: str = "HARBOUR"
    documents: dict[str, dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "GET /api/v2/utilities/ping": self._ping,
            "POST /api/v2/transactions/create": self._create,
            "GET /api/v2/companies/{company}/transactions/{code}": self._show,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's account and license key."""
        if request.basic() != (self.account, self.license_key):
            raise _refusal(401, "AuthenticationException", 30, "Authentication failed.")

    def _ping(self, _: base.SandboxRequest) -> Response:
        return base.reply(
            {
                "version": "26.9.0",
                "authenticated": True,
                "authenticationType": "AccountIdLicenseKey",
            }
        )

    def _create(self, request: base.SandboxRequest) -> Response:
        body = self._checked(request)
        place = body.get("addresses", {}).get("shipTo", {})
        rates = rates_at(place.get("country", ""), place.get("region", ""))
        if body.get("entityUseCode"):
            rates = ()
        lines = [_taxed_line(line, rates, place.get("country", "")) for line in body["lines"]]
        type_, code = body.get("type", "SalesOrder"), body.get("code") or f"{self.number()}"
        is_final = body.get("commit", False) and type_ != "SalesOrder"
        document = {
            "id": self.number(),
            "code": code,
            "companyId": 7,
            "date": body["date"],
            "status": "Committed" if is_final else "Temporary",
            "type": type_,
            "currencyCode": body.get("currencyCode", "USD"),
            "customerCode": body["customerCode"],
            "entityUseCode": body.get("entityUseCode", ""),
            "businessIdentificationNo": body.get("businessIdentificationNo", ""),
            "referenceCode": body.get("referenceCode", ""),
            "totalAmount": _total(lines, "lineAmount"),
            "totalTax": _total(lines, "tax"),
            "totalTaxable": _total(lines, "taxableAmount"),
            "modifiedDate": _TIME,
            "originAddressId": 1,
            "destinationAddressId": 2,
            "lines": lines,
            "addresses": [
                {"id": id_, **body.get("addresses", {}).get(name, {})}
                for id_, name in ((1, "shipFrom"), (2, "shipTo"))
                if name in body.get("addresses", {})
            ],
        }
        if is_final:
            if f"{type_} {code}" in self.documents:
                raise _refusal(400, "GetTaxError", 300, "DocStatus is invalid for this operation.")
            self.documents[f"{type_} {code}"] = document
        return base.reply(document, 201)

    def _show(self, request: base.SandboxRequest, *, company: str, code: str) -> Response:
        query = dict(request.query)
        missing_error = _refusal(404, "EntityNotFoundError", 4, "Transaction not found.")
        if company != self.company:
            raise missing_error
        type_ = query.get("documentType", "SalesInvoice")
        document = base.existing(self.documents, f"{type_} {code}", missing_error)
        parts = {"Lines": "lines", "Addresses": "addresses"}
        left_out = {parts[name] for name in parts.keys() - {*query.get("$include", "").split(",")}}
        return base.reply({name: value for name, value in document.items() if name not in left_out})

    def _checked(self, request: base.SandboxRequest) -> dict[str, Any]:
        body = request.json()
        problem = next(problems(_TRANSACTION, body), None)
        if problem is not None or not is_object(body):
            text = (
                "The body is not an object." if problem is None else f"{problem[1]} is {problem[2]}"
            )
            raise _refusal(400, "ModelStateInvalid", 70, text)
        if body.get("companyCode", self.company) != self.company:
            raise _refusal(400, "CompanyNotFoundError", 300_001, "The company does not exist.")
        if _DAY.fullmatch(body["date"]) is None:
            raise _refusal(
                400, "DateFormatError", 26, "The date does not have the form YYYY-MM-DD."
            )
        for line in body["lines"]:
            if _CODE.fullmatch(line.get("taxCode", "P0000000")) is None:
                raise _refusal(400, "InvalidTaxCode", 5, f"{line['taxCode']} is unknown.")
            if (line["amount"] > 0) == (body.get("type") == "ReturnInvoice") and line["amount"]:
                raise _refusal(400, "InvalidAmount", 6, "An amount has the wrong sign.")
        place = body.get("addresses", {}).get("shipTo", {})
        if place.get("country") == "US" and not (place.get("region") and place.get("postalCode")):
            raise _refusal(400, "GetTaxError", 301, "The address is incomplete.")
        return body


def _cents(value: object) -> int:
    return int(Decimal(str(value)) * 100)


def _major_units(cents: int) -> int | float:
    number = cents / 100
    return int(number) if number == int(number) else number


def _total(lines: list[dict[str, Any]], name: str) -> int | float:
    return _major_units(sum(_cents(line[name]) for line in lines))


def _taxed_line(
    line: Mapping[str, Any], rates: tuple[SandboxRate, ...], country: str
) -> dict[str, Any]:
    """Return a line with the tax of each jurisdiction, or with the tax stated in the line."""
    cents = _cents(line["amount"])
    is_inclusive = line.get("taxIncluded", False)
    rates = () if line.get("taxCode") == _UNTAXED else rates
    parts = taxes_of(cents, rates, inclusive=is_inclusive)
    tax = sum(part.tax for part in parts)
    net = cents - tax if is_inclusive else cents
    if "taxOverride" in line:
        tax = _cents(line["taxOverride"]["taxAmount"])
    details = [
        {
            "country": country,
            "jurisName": part.rate.name,
            "jurisdictionType": _LEVELS[part.rate.level],
            "rate": float(part.rate.percent / 100),
            "tax": _major_units(part.tax),
            "taxableAmount": _major_units(part.taxable),
            "taxType": "Sales" if part.rate.level != "country" else "Output",
            "taxName": f"{part.rate.name} TAX",
        }
        for part in ([] if "taxOverride" in line else parts)
    ]
    return {
        "lineNumber": line.get("number", "1"),
        "quantity": line.get("quantity", 1),
        "lineAmount": _major_units(net),
        "tax": _major_units(tax),
        "taxableAmount": _major_units(net if parts else 0),
        "taxCode": line.get("taxCode", "P0000000"),
        "taxIncluded": is_inclusive,
        "details": details,
    }


def _refusal(status: int, code: str, number: int, text: str) -> base.Refusal:
    detail = {"code": code, "number": number, "message": text, "severity": "Error"}
    error = {"code": code, "message": text, "target": "Unknown", "details": [detail]}
    return base.refusal({"error": error}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = AvalaraSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "account": sandbox.account,
            "company": sandbox.company,
            "credentials": sandbox.license_key,
        },
        vendor_values={"calculates": True},
    )
