"""A local sandbox that imitates Stripe Tax.

It calculates by the rates of `base`. The product tax code `txcd_00000000` is exempt; `txcd_unknown`
is unknown. Buyers must be in a place of that table; sellers may be anywhere.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.tax.base import rates_at, taxes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response

_VERSION: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?")
_EXEMPT_CODE: Final = "txcd_00000000"
_USUAL_CODE: Final = "txcd_10000000"
_SHIPPING_CODE: Final = "txcd_92010001"
_PAGE: Final = 10
_STEPS: Final = dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 10) | {"isk": 100, "ugx": 100}
_TWO_DAYS: Final = 48 * 3_600
_EXPIRY: Final = 90 * 24 * 3_600
_ADDRESS: Final = r"\[address\]\[(line1|line2|city|state|postal_code|country)\]"
_CALCULATE: Final = re.compile(
    r"currency|tax_date|expand\[\d+\]|customer_details\[address_source\]"
    rf"|customer_details{_ADDRESS}|ship_from_details{_ADDRESS}"
    r"|customer_details\[taxability_override\]|customer_details\[tax_ids\]\[\d+\]\[(type|value)\]"
    r"|line_items\[\d+\]\[(amount|quantity|reference|tax_behavior|tax_code|product)\]"
    r"|shipping_cost\[(amount|tax_behavior|tax_code|shipping_rate)\]"
)
_RECORD: Final = re.compile(r"calculation|reference|expand\[\d+\]|metadata\[\w+\]")
_REVERSE: Final = re.compile(
    r"mode|original_transaction|reference|flat_amount|expand\[\d+\]|metadata\[\w+\]"
    r"|line_items\[\d+\]\[(amount|amount_tax|original_line_item|quantity|reference)\]"
    r"|shipping_cost\[(amount|amount_tax)\]"
)
_LIST: Final = re.compile(r"limit|starting_after|ending_before|expand\[\d*\]")
_VAT_TYPES: Final = frozenset({"eu_vat", "gb_vat", "no_vat"})


def _error(status: int, text: str, kind: str = "invalid_request_error", **more: str) -> Response:
    return base.reply({"error": {"type": kind, "message": text, **more}}, status)


def _refusal(text: str, status: int = 400, **more: str) -> base.Refusal:
    return base.Refusal(_error(status, text, **more))


def _conflict() -> base.Refusal:
    text = "Keys for idempotent requests can only be used with the same parameters."
    return base.Refusal(_error(400, text, "idempotency_error"))


def _fields(pairs: tuple[tuple[str, str], ...], names: re.Pattern[str]) -> dict[str, str]:
    for name, text in pairs:
        if names.fullmatch(name) is None:
            raise _refusal(f"Received unknown parameter: {name}", code="parameter_unknown")
        if text == "":
            raise _refusal("You passed an empty string.", code="parameter_invalid_empty")
    return dict(pairs)


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    if re.fullmatch(r"-?[0-9]{1,26}", text) is None:
        raise _refusal(f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    return int(text)


def _rows(fields: Mapping[str, str]) -> list[str]:
    names = (re.match(r"line_items\[(\d+)\]", name) for name in fields)
    numbers = sorted({int(match[1]) for match in names if match})
    if numbers != list(range(len(numbers))):
        raise _refusal("Invalid array", param="line_items")
    return [f"line_items[{number}]" for number in numbers]


def _shown_row(row: dict[str, Any], *, expanded: bool) -> dict[str, Any]:
    return (
        row if expanded else {name: value for name, value in row.items() if name != "tax_breakdown"}
    )


_KEY_MEMORY: Final = 86_400.0


class StripeTaxSandbox(base.Sandbox):
    """A sandbox of Stripe Tax: calculations, transactions and reversals.

    Attributes:
        api_key: credentials that requests must have.
        now: returns the time, in seconds since 1970.
        calculations: all calculations, by id.
        transactions: all transactions and reversals, by id.
    """

    hosts = ("api.stripe.com",)

    api_key: str = "sk_test_sandbox"
    now: Callable[[], float] = time.time
    calculations: dict[str, dict[str, Any]] = base.state_field(dict)
    transactions: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self._replays = base.Replays(
            _conflict,
            headers={"Idempotent-Replayed": "true"},
            refusals=_is_late,
            memory=_KEY_MEMORY,
            now=self.now,
        )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "GET /v1/tax/settings": self._settings,
            "POST /v1/tax/calculations": self._executed_once(self._calculate),
            "GET /v1/tax/calculations/{id}/line_items": self._lines(self.calculations),
            "POST /v1/tax/transactions/create_from_calculation": self._executed_once(self._record),
            "POST /v1/tax/transactions/create_reversal": self._executed_once(self._reverse),
            "GET /v1/tax/transactions/{id}/line_items": self._lines(self.transactions),
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error(404, f"Unrecognized request URL ({request.path})")

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key and version of a request."""
        if request.bearer() != self.api_key:
            raise _refusal("Invalid API Key provided.", 401)
        if _VERSION.fullmatch(request.headers.get("stripe-version") or "") is None:
            raise _refusal("Invalid Stripe API version.")

    def _executed_once(
        self, handle: Callable[[base.SandboxRequest], Response]
    ) -> Callable[..., Response]:
        def answer(request: base.SandboxRequest) -> Response:
            key = request.headers.get("idempotency-key")
            if key is None:
                return handle(request)
            content = (request.path, request.body)
            return self._replays.respond(key, content, lambda: handle(request))

        return answer

    def _settings(self, _: base.SandboxRequest) -> Response:
        return base.reply(
            {
                "object": "tax.settings",
                "defaults": {"tax_behavior": None, "tax_code": _USUAL_CODE},
                "head_office": None,
                "livemode": False,
                "status": "active",
                "status_details": {"active": {}},
            }
        )

    def _lines(self, objects: Mapping[str, dict[str, Any]]) -> Callable[..., Response]:
        def answer(request: base.SandboxRequest, id: str) -> Response:
            fields = _fields(request.query, _LIST)
            rows = base.existing(objects, id, _refusal(f"No such object: '{id}'", 404))["rows"]
            start = 0
            if "starting_after" in fields:
                ids = [row["id"] for row in rows]
                start = ids.index(fields["starting_after"]) + 1
            limit = _number(fields, "limit") if "limit" in fields else _PAGE
            is_expanded = "data.tax_breakdown" in fields.values()
            return base.reply(_page(rows, request.path, start, limit, expanded=is_expanded))

        return answer

    def _calculate(self, request: base.SandboxRequest) -> Response:
        fields = _fields(request.form, _CALCULATE)
        currency, day = fields.get("currency", ""), _number(fields, "tax_date")
        rates = self._rates(fields)
        problem = base.first_problem(
            {
                "Invalid currency.": re.fullmatch("[a-z]{3}", currency) is None,
                "The tax_date is too far from now.": abs(day - self.now()) > _TWO_DAYS,
                "Missing required param: line_items.": not _rows(fields),
                "We could not determine the customer's location.": rates is None,
            }
        )
        if problem is not None:
            raise _refusal(problem)
        step = _STEPS.get(currency, 1)
        rows = [self._row(fields, index, rates or (), step) for index in _rows(fields)]
        if len({row["reference"] for row in rows}) < len(rows):
            raise _refusal("Line item references must be unique.")
        shipping = None
        if "shipping_cost[amount]" in fields:
            shipping = _taxed_line(fields, "shipping_cost", rates or (), step, _SHIPPING_CODE)
        parts = [*rows, *([] if shipping is None else [shipping])]
        taxes = {
            behavior: sum(part["amount_tax"] for part in parts if part["tax_behavior"] == behavior)
            for behavior in ("exclusive", "inclusive")
        }
        id_ = f"taxcalc_{self.number():08d}"
        calculation: dict[str, Any] = {
            "id": id_,
            "object": "tax.calculation",
            "amount_total": sum(part["amount"] for part in parts) + taxes["exclusive"],
            "currency": currency,
            "customer": None,
            "customer_details": _customer(fields),
            "expires_at": int(self.now()) + _EXPIRY,
            "livemode": False,
            "tax_amount_exclusive": taxes["exclusive"],
            "tax_amount_inclusive": taxes["inclusive"],
            "tax_breakdown": [],
            "tax_date": day,
        }
        expanded = set(fields.values())
        self.calculations[id_] = {**calculation, "rows": rows, "shipping": shipping}
        path = f"/v1/tax/calculations/{id_}/line_items"
        is_expanded = "line_items.data.tax_breakdown" in expanded
        lines = {"line_items": _page(rows, path, 0, _PAGE, expanded=is_expanded)}
        is_expanded = "shipping_cost.tax_breakdown" in expanded
        cost = None if shipping is None else _shown_row(shipping, expanded=is_expanded)
        return base.reply({**calculation, **lines, "shipping_cost": cost})

    def _rates(self, fields: Mapping[str, str]) -> tuple[Any, ...] | None:
        place = "customer_details[address]"
        country, state = fields.get(f"{place}[country]", ""), fields.get(f"{place}[state]", "")
        if not country or (country == "US" and f"{place}[postal_code]" not in fields):
            return None
        if fields.get("customer_details[tax_ids][0][type]", "eu_vat") not in _VAT_TYPES:
            raise _refusal("Invalid tax id type.", param="customer_details[tax_ids]")
        override = fields.get("customer_details[taxability_override]", "none")
        return rates_at(country, state) if override == "none" else ()

    def _row(
        self, fields: Mapping[str, str], at: str, rates: tuple[Any, ...], step: int
    ) -> dict[str, Any]:
        code = fields.get(f"{at}[tax_code]", _USUAL_CODE)
        if re.fullmatch("txcd_[0-9]{8}", code) is None:
            raise _refusal(f"No such tax code: '{code}'", code="resource_missing")
        taxed = _taxed_line(fields, at, () if code == _EXEMPT_CODE else rates, step, code)
        return {
            "id": f"tax_li_{self.number():08d}",
            "object": "tax.calculation_line_item",
            "livemode": False,
            "product": None,
            "quantity": _number(fields, f"{at}[quantity]"),
            "reference": fields.get(f"{at}[reference]"),
            **taxed,
        }

    def _record(self, request: base.SandboxRequest) -> Response:
        fields = _fields(request.form, _RECORD)
        id_ = fields.get("calculation", "")
        missing_error = _refusal(f"No such calculation: '{id_}'", 404, code="resource_missing")
        calculation = base.existing(self.calculations, id_, missing_error)
        if calculation["expires_at"] < self.now():
            raise _refusal("The calculation has expired.")
        rows: list[dict[str, Any]] = [
            {
                **{name: value for name, value in row.items() if name != "tax_breakdown"},
                "object": "tax.transaction_line_item",
                "metadata": {},
                "reversal": None,
                "type": "transaction",
            }
            for row in calculation["rows"]
        ]
        cost = calculation["shipping"]
        shipping = None if cost is None else _shown_row(cost, expanded=False)
        return self._transaction(fields, calculation, rows, shipping, None)

    def _reverse(self, request: base.SandboxRequest) -> Response:
        fields = _fields(request.form, _REVERSE)
        id_ = fields.get("original_transaction", "")
        missing_error = _refusal(f"No such transaction: '{id_}'", 404, code="resource_missing")
        original = base.existing(self.transactions, id_, missing_error)
        originals = {row["id"]: row for row in original["rows"]}
        shipping = None
        if fields.get("mode") == "full":
            if self._reversed(id_):
                raise _refusal("The transaction was reversed already.")
            parts = [
                (row, -row["amount"], -row["amount_tax"], row["reference"])
                for row in originals.values()
            ]
            if original["shipping_cost"] is not None:
                cost = original["shipping_cost"]
                shipping = {**cost, "amount": -cost["amount"], "amount_tax": -cost["amount_tax"]}
        elif fields.get("mode") == "partial":
            parts = [self._reversed_part(fields, index, originals) for index in _rows(fields)]
            if "shipping_cost[amount]" in fields:
                amounts = (
                    _number(fields, f"shipping_cost[{name}]") for name in ("amount", "amount_tax")
                )
                amount, tax = amounts
                if original["shipping_cost"] is None or amount > 0 or tax > 0:
                    raise _refusal("Invalid shipping_cost.")
                shipping = {**original["shipping_cost"], "amount": amount, "amount_tax": tax}
        else:
            raise _refusal("Invalid mode.")
        rows = [
            {
                **row,
                "id": f"tax_li_{self.number():08d}",
                "amount": amount,
                "amount_tax": tax,
                "reference": reference,
                "reversal": {"original_line_item": row["id"]},
                "type": "reversal",
            }
            for row, amount, tax, reference in parts
        ]
        return self._transaction(fields, original, rows, shipping, id_)

    def _reversed(self, id_: str) -> list[dict[str, Any]]:
        return [
            item
            for item in self.transactions.values()
            if item["reversal"] and item["reversal"]["original_transaction"] == id_
        ]

    def _reversed_part(
        self, fields: Mapping[str, str], at: str, originals: Mapping[str, dict[str, Any]]
    ) -> tuple[dict[str, Any], int, int, str]:
        id_ = fields.get(f"{at}[original_line_item]", "")
        row = base.existing(originals, id_, _refusal(f"No such line item: '{id_}'"))
        amount, tax = _number(fields, f"{at}[amount]"), _number(fields, f"{at}[amount_tax]")
        reversals = [item["rows"] for item in self.transactions.values() if item["reversal"]]
        reversed_amount = sum(
            item["amount"]
            for rows in reversals
            for item in rows
            if item["reversal"]["original_line_item"] == id_
        )
        if amount > 0 or tax > 0 or row["amount"] + reversed_amount + amount < 0:
            raise _refusal("The amount to reverse is out of range.")
        return row, amount, tax, fields.get(f"{at}[reference]", "")

    def _transaction(
        self,
        fields: Mapping[str, str],
        source: Mapping[str, Any],
        rows: list[dict[str, Any]],
        shipping: dict[str, Any] | None,
        original: str | None,
    ) -> Response:
        reference = fields.get("reference")
        if reference is None:
            raise _refusal("Missing required param: reference.")
        if any(item["reference"] == reference for item in self.transactions.values()):
            raise _refusal(f"A transaction with the reference '{reference}' exists already.")
        id_ = f"tax_{self.number():08d}"
        transaction: dict[str, Any] = {
            "id": id_,
            "object": "tax.transaction",
            "created": int(self.now()),
            "currency": source["currency"],
            "customer": None,
            "customer_details": source["customer_details"],
            "livemode": False,
            "metadata": {},
            "reference": reference,
            "reversal": None if original is None else {"original_transaction": original},
            "shipping_cost": shipping,
            "tax_date": source["tax_date"],
            "type": "transaction" if original is None else "reversal",
        }
        self.transactions[id_] = {**transaction, "rows": rows}
        path = f"/v1/tax/transactions/{id_}/line_items"
        lines = _page(rows, path, 0, _PAGE, expanded=True)
        return base.reply({**transaction, "line_items": lines})


def _is_late(response: Response) -> bool:
    """Return whether Stripe stores and replays an error response: only for a status above 499."""
    return response.status >= 500


def _customer(fields: Mapping[str, str]) -> dict[str, Any]:
    names = ("line1", "line2", "city", "state", "postal_code", "country")
    address = {name: fields.get(f"customer_details[address][{name}]") for name in names}
    return {
        "address": address,
        "address_source": "shipping",
        "ip_address": None,
        "tax_ids": [],
        "taxability_override": fields.get("customer_details[taxability_override]", "none"),
    }


def _taxed_line(
    fields: Mapping[str, str], at: str, rates: tuple[Any, ...], step: int, code: str
) -> dict[str, Any]:
    amount, behavior = (
        _number(fields, f"{at}[amount]"),
        fields.get(f"{at}[tax_behavior]", "exclusive"),
    )
    if amount < 0 or amount % step or behavior not in {"exclusive", "inclusive"}:
        raise _refusal("Invalid amount.", param=f"{at}[amount]")
    taxes = taxes_of(amount, rates, inclusive=behavior == "inclusive", step=step)
    country = fields_country(fields)
    return {
        "amount": amount,
        "amount_tax": sum(part.tax for part in taxes),
        "tax_behavior": behavior,
        "tax_code": code,
        "tax_breakdown": [
            {
                "amount": part.tax,
                "jurisdiction": {
                    "country": country,
                    "display_name": part.rate.name,
                    "level": part.rate.level,
                    "state": fields.get("customer_details[address][state]"),
                },
                "sourcing": "destination",
                "tax_rate_details": {
                    "display_name": "Sales tax" if country == "US" else "VAT",
                    "percentage_decimal": str(part.rate.percent),
                    "tax_type": "sales_tax" if country == "US" else "vat",
                },
                "taxability_reason": "standard_rated",
                "taxable_amount": part.taxable,
            }
            for part in taxes
        ],
    }


def fields_country(fields: Mapping[str, str]) -> str:
    """Return the customer's country in a request."""
    return fields["customer_details[address][country]"]


def _page(
    rows: list[dict[str, Any]], path: str, start: int, limit: int, *, expanded: bool
) -> dict[str, Any]:
    page = rows[start : start + limit]
    return {
        "object": "list",
        "data": [_shown_row(row, expanded=expanded) for row in page],
        "has_more": len(rows) > start + limit,
        "url": path,
    }


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = StripeTaxSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={"credentials": sandbox.api_key},
        vendor_values={"calculates": True},
    )
