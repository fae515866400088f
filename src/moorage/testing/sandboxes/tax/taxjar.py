"""A local sandbox that imitates TaxJar.

It calculates by the rates of `base`. The product tax code `99999` is exempt; codes of other forms
are unknown. Orders and refunds are stored by id, and each id is accepted once.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.tax.base import rates_at, taxes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.tax.base import SandboxTax

_EXEMPT_CODE: Final = "99999"
_NUMBER: Final = (int, float)
_PLACES: Final = {
    f"{direction}_{name}": str
    for direction in ("from", "to")
    for name in ("country", "zip", "state", "city", "street")
}
_ITEM: Final[dict[str, Any]] = {
    "id": str,
    "quantity": int,
    "product_tax_code": str,
    "unit_price": _NUMBER,
    "discount": _NUMBER,
}
_SALE: Final[dict[str, Any]] = {
    **_PLACES,
    "to_country!": str,
    "amount": _NUMBER,
    "shipping!": _NUMBER,
    "customer_id": str,
    "exemption_type": frozenset({"wholesale", "government", "marketplace", "other", "non_exempt"}),
}
_TAXES: Final = {**_SALE, "line_items": [_ITEM]}
_ORDER: Final[dict[str, Any]] = {
    **_SALE,
    **typed(str, "transaction_id! transaction_date! provider to_zip! to_state!"),
    "amount!": _NUMBER,
    "sales_tax!": _NUMBER,
    "line_items": [{**_ITEM, "product_identifier": str, "description": str, "sales_tax": _NUMBER}],
}
_REFUND: Final = {**_ORDER, "transaction_reference_id!": str}
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    406: "Not Acceptable",
    422: "Unprocessable Entity",
}
_VERSION: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_DAY: Final = re.compile(r"20[0-9]{2}[-/][0-9]{2}[-/][0-9]{2}")
_LEVELS: Final = {
    "state": ("state_taxable_amount", "state_sales_tax_rate", "state_amount"),
    "county": ("county_taxable_amount", "county_tax_rate", "county_amount"),
    "city": ("city_taxable_amount", "city_tax_rate", "city_amount"),
    "district": ("special_district_taxable_amount", "special_tax_rate", "special_district_amount"),
    "country": ("country_taxable_amount", "country_tax_rate", "country_tax_collectable"),
}


def _refusal(status: int, detail: str) -> base.Refusal:
    title = _TITLES[status]
    return base.refusal({"status": status, "error": title, "detail": detail}, status)


def _cents(value: object) -> int:
    cents = Decimal(str(value)) * 100
    if cents != cents.to_integral_value():
        raise _refusal(400, "amounts have at most two decimals")
    return int(cents)


def _major_units(cents: int) -> int | float:
    number = cents / 100
    return int(number) if number == int(number) else number


class TaxJarSandbox(base.Sandbox):
    """A sandbox of TaxJar: tax calculations, and recorded orders and refunds.

    Attributes:
        api_key: credentials that requests must have.
        orders: recorded orders, by id.
        refunds: recorded refunds, by id.
    """

    hosts = ("api.taxjar.com", "api.sandbox.taxjar.com")

    api_key: str = "9e0cd62a22f451701f29c3bde214"
    orders: dict[str, dict[str, Any]] = base.state_field(dict)
    refunds: dict[str, dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "GET /v2/categories": self._categories,
            "POST /v2/taxes": self._taxes,
            "POST /v2/transactions/orders": self._creates(self.orders, "order", _ORDER),
            "GET /v2/transactions/orders/{id}": self._shows(self.orders, "order"),
            "POST /v2/transactions/refunds": self._creates(self.refunds, "refund", _REFUND),
            "GET /v2/transactions/refunds/{id}": self._shows(self.refunds, "refund"),
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _refusal(404, f"No such route as {request.path}").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API token and version."""
        if request.bearer() != self.api_key:
            raise _refusal(401, f"Not authorized for route '{request.method} {request.path}'")
        if _VERSION.fullmatch(request.headers.get("x-api-version") or "") is None:
            raise _refusal(400, "invalid API version")

    def _categories(self, _: base.SandboxRequest) -> Response:
        category = {"product_tax_code": _EXEMPT_CODE, "name": "Other Exempt", "description": ""}
        return base.reply({"categories": [category]})

    def _taxes(self, request: base.SandboxRequest) -> Response:
        body = _checked_body(request, _TAXES)
        rates = rates_at(body["to_country"], body.get("to_state", ""))
        if body.get("exemption_type", "non_exempt") != "non_exempt":
            rates = ()
        shipping = _cents(body["shipping"])
        lines = {
            line["id"]: taxes_of(
                _line_total(line), () if line.get("product_tax_code") == _EXEMPT_CODE else rates
            )
            for line in body["line_items"]
        }
        freight = taxes_of(shipping, rates)
        tax = sum(part.tax for parts in (*lines.values(), freight) for part in parts)
        answer: dict[str, Any] = {
            "order_total_amount": body["amount"],
            "shipping": body["shipping"],
            "taxable_amount": body["amount"] if rates else 0,
            "amount_to_collect": _major_units(tax),
            "rate": float(sum((rate.percent for rate in rates), Decimal(0)) / 100),
            "has_nexus": bool(rates),
            "freight_taxable": bool(rates),
            "tax_source": "destination" if rates else None,
            "exemption_type": body.get("exemption_type"),
            "jurisdictions": {"country": body["to_country"]}
            | {
                rate.level: rate.name for rate in rates if rate.level in {"state", "county", "city"}
            },
        }
        if rates:
            answer["breakdown"] = {
                "taxable_amount": body["amount"],
                "tax_collectable": _major_units(tax),
                "combined_tax_rate": answer["rate"],
                "shipping": _taxed_line(freight, shipping, is_freight=True),
                "line_items": [
                    {"id": line["id"], **_taxed_line(lines[line["id"]], _line_total(line))}
                    for line in body["line_items"]
                ],
            }
        return base.reply({"tax": answer})

    def _creates(
        self, records: dict[str, dict[str, Any]], name: str, shape: Mapping[str, Any]
    ) -> Callable[..., Response]:
        def answer(request: base.SandboxRequest) -> Response:
            body = _checked_body(request, shape)
            id_ = body["transaction_id"]
            if _DAY.match(body["transaction_date"]) is None:
                raise _refusal(406, "transaction_date is invalid")
            if id_ in records:
                raise _refusal(422, "Provider tranx already imported for your user account")
            if name == "refund" and body["transaction_reference_id"] not in self.orders:
                raise _refusal(400, "transaction_reference_id is of no order")
            if name == "refund" and (body["amount"] > 0 or body["sales_tax"] > 0):
                raise _refusal(400, "amounts of a refund must be negative")
            lines = [
                {field: _as_text(field, value) for field, value in line.items()}
                for line in body["line_items"]
            ]
            fields = {field: _as_text(field, value) for field, value in body.items()}
            day = body["transaction_date"][:10].replace("/", "-")
            records[id_] = {
                "user_id": 10649,
                "provider": "api",
                "exemption_type": "non_exempt",
                "transaction_reference_id": None,
                **fields,
                "transaction_date": f"{day}T00:00:00.000Z",
                "line_items": lines,
            }
            return base.reply({name: records[id_]}, 201)

        return answer

    def _shows(self, records: Mapping[str, dict[str, Any]], name: str) -> Callable[..., Response]:
        def answer(_: base.SandboxRequest, id: str) -> Response:
            return base.reply(
                {name: base.existing(records, id, _refusal(404, "Resource can not be found"))}
            )

        return answer


def _as_text(name: str, value: Any) -> Any:
    is_amount = name in {"amount", "shipping", "sales_tax", "unit_price", "discount"}
    return str(float(value)) if is_amount else value


def _line_total(line: Mapping[str, Any]) -> int:
    quantity: int = line["quantity"]
    return _cents(line["unit_price"]) * quantity - _cents(line.get("discount", 0))


def _checked_body(request: base.SandboxRequest, shape: Mapping[str, Any]) -> dict[str, Any]:
    body = request.json()
    problem = next(problems(shape, body), None)
    if problem is not None or not is_object(body):
        raise _refusal(
            406, "the body is invalid" if problem is None else f"{problem[1]} is {problem[2]}"
        )
    if body["to_country"] == "US" and not (body.get("to_zip") and body.get("to_state")):
        raise _refusal(400, "to_zip is required when to_country is US")
    lines = body.get("line_items", [])
    codes = [line.get("product_tax_code", "20010") for line in lines]
    unknown_codes = [code for code in codes if re.fullmatch("[0-9]{5,}[A-Z0-9]*", code) is None]
    if unknown_codes:
        raise _refusal(400, f"line_items include invalid tax codes: {', '.join(unknown_codes)}")
    if sum(map(_line_total, lines)) + _cents(body["shipping"]) != _cents(body["amount"]):
        text = "amount must be equal to the sum of line items and shipping, excluding sales tax."
        raise _refusal(400, text)
    return body


def _taxed_line(
    parts: list[SandboxTax], taxable: int, *, is_freight: bool = False
) -> dict[str, Any]:
    rate = sum((part.rate.percent for part in parts), Decimal(0)) / 100
    fields: dict[str, Any] = {
        "taxable_amount": _major_units(taxable) if parts else 0,
        "tax_collectable": _major_units(sum(part.tax for part in parts)),
        "combined_tax_rate": float(rate),
    }
    for part in parts:
        taxable_name, rate_name, amount_name = _LEVELS[part.rate.level]
        if is_freight:
            taxable_name = taxable_name.replace("special_district", "special")
        fields |= {
            taxable_name: _major_units(part.taxable),
            rate_name: float(part.rate.percent / 100),
            amount_name: _major_units(part.tax),
        }
    return fields


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = TaxJarSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={"credentials": sandbox.api_key},
        vendor_values={"calculates": True},
    )
