"""Stripe Tax: calculations, recorded sales and reversals.

Calculations are objects that Stripe keeps for some time; a sale is recorded from one of them. Forms
have nested names, amounts are whole numbers of minor units, and those of a reversal are negative.
Stripe remembers its response to an idempotency key for at least a day.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import MinorUnits
from moorage.contracts.tax import TaxCapability
from moorage.contracts.tax_calculation import (
    JurisdictionLevel,
    JurisdictionTax,
    LineTax,
    TaxCalculation,
    TaxRecord,
    sum_of,
)
from moorage.vendors.tax._calculations import CURRENCY, currency_at, unknown_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.contracts.address import Address
    from moorage.contracts.tax_calculation import TaxableSale, TaxReversal

API_VERSION: Final = "2025-09-30.clover"
_CALCULATIONS: Final = "/v1/tax/calculations"
_TRANSACTIONS: Final = "/v1/tax/transactions"
_KEY: Final = 255
_PAGE: Final = 100
_NOON: Final = time(12, tzinfo=UTC)
MINOR: Final = MinorUnits(
    vendor="stripe_tax",
    exponents={"ISK": 2, "MGA": 0, "UGX": 2},
    steps=dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10),
)
_LEVELS: Final = sdk.same(JurisdictionLevel, "country state county city district")
_VAT_TYPES: Final = {"GB": "gb_vat", "NO": "no_vat"}
"""Stripe's types of VAT numbers by prefix; all others are of the European Union."""
_REFUSALS: Final = sdk.Refusals(
    vendor="Stripe",
    statuses=sdk.error_statuses("400", login="401 403"),
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response's type, which is more specific than the status."""
    _, words = sdk.vendor_code_and_message(response)
    if response.status >= 500:
        # A failure that Stripe has stored under the key is returned to every repeat.
        is_final = (response.headers.get("Stripe-Should-Retry") or "").lower() == "false"
        return _final_failure(response) if is_final else None
    kind = sdk.error_answer(response).text("error.type")
    if kind == "idempotency_error" and not sdk.is_success(response.status):
        if response.status == 409:
            return sdk.IdempotencyInProgress("Stripe is still working on this request.")
        words = sdk.masked_words(words)
        return sdk.IdempotencyConflict(
            f"Stripe received this key before, with another request: {words}"
        )
    return _REFUSALS(request, response)


def _final_failure(response: sdk.Response) -> sdk.VendorFailed:
    return sdk.VendorFailed(
        f"Stripe failed (HTTP {response.status}), and will return the same response to every"
        " retry.",
        status=response.status,
        response=response,
        retryable=False,
        remedy="Look the sale up at Stripe. If nothing was recorded, repeat the operation"
        " with another key.",
    )


def _address_fields(under: str, address: Address) -> dict[str, Any]:
    parts = {
        "line1": address.line1,
        "line2": address.line2,
        "city": address.city,
        "state": address.region,
        "postal_code": address.postal_code,
        "country": address.country,
    }
    return {f"{under}[address][{name}]": value for name, value in parts.items() if value}


def sale_form(sale: TaxableSale) -> dict[str, Any]:
    """The form that calculates the tax of a sale."""
    behavior = "inclusive" if sale.inclusive else "exclusive"
    form: dict[str, Any] = {
        "currency": sale.currency.lower(),
        "tax_date": int(datetime.combine(sale.day, _NOON).timestamp()),
        "expand[0]": "line_items.data.tax_breakdown",
        "expand[1]": "shipping_cost.tax_breakdown",
        **_address_fields("customer_details", sale.ship_to),
        "customer_details[address_source]": "shipping",
    }
    if sale.ship_from is not None:
        form |= _address_fields("ship_from_details", sale.ship_from)
    if sale.vat_number is not None:
        kind = _VAT_TYPES.get(sale.vat_number.prefix, "eu_vat")
        form["customer_details[tax_ids][0][type]"] = kind
        form["customer_details[tax_ids][0][value]"] = str(sale.vat_number)
    if sale.exemption is not None or sale.reverse_charge:
        override = "reverse_charge" if sale.reverse_charge else "customer_exempt"
        form["customer_details[taxability_override]"] = override
    for number, line in enumerate(sale.lines):
        fields = {
            "amount": MINOR.to_minor(line.amount),
            "quantity": line.quantity,
            "reference": line.id,
            "tax_behavior": behavior,
            "tax_code": line.tax_code,
        }
        form |= {f"line_items[{number}][{name}]": value for name, value in fields.items()}
    if sale.shipping is not None:
        form["shipping_cost[amount]"] = MINOR.to_minor(sale.shipping)
        form["shipping_cost[tax_behavior]"] = behavior
    return sdk.merged(form, sdk.extra_for("stripe_tax", sale.extra))


def _post(path: str, form: Mapping[str, Any]) -> sdk.Request:
    return sdk.Request.post(path, form=sdk.form_pairs(form))


@attrs.frozen(kw_only=True)
class StripeTax(sdk.ApiVendor):
    """An account at Stripe with Stripe Tax.

    Attributes:
        credentials: secret key; by default the credential provider supplies it.
        connected: id of the connected account to act for, which begins with acct_.
        base_url: URL of Stripe.
    """

    name = "stripe_tax"
    kinds = ("tax",)
    api_version = API_VERSION
    capabilities: ClassVar[frozenset[str]] = sdk.members_of(
        TaxCapability,
        "calculation inclusive_prices buyer_vat_numbers exemptions reverse_charge records"
        " reversals",
    )
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": _KEY}
    modes = sdk.key_modes(live=("sk_live_", "rk_live_"), test=("sk_test_", "rk_test_"))
    idempotency = sdk.VendorKeys(
        # Keys may be removed once they are at least 24 hours old.
        memory=24 * 3_600.0,
        repeat=sdk.RepeatedKey.REPLAYED,
        documentation=("https://docs.stripe.com/api/idempotent_requests",),
        header="Idempotency-Key",
    )
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = sdk.words(
        sdk.UnknownOutcome.ASKED_AGAIN, "record reverse"
    )
    refusals = staticmethod(classify)
    ping_path = "/v1/tax/settings"

    connected: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches(
                r"acct_\w+",
                problem="The value is not the id of a connected account at Stripe.",
                remedy="Set the id that Stripe shows for the account, which begins with acct_.",
            )
        ),
    )
    base_url: str = "https://api.stripe.com"

    def settings(self) -> Mapping[str, Any]:
        """The headers with the API version and the connected account."""
        connected = {} if self.connected is None else {"Stripe-Account": self.connected}
        return {"headers": {"Stripe-Version": API_VERSION, **connected}}

    async def calculate(self, wire: sdk.Wire, sale: TaxableSale, /) -> TaxCalculation:
        """Create a calculation, and read each line's tax."""
        # A calculation changes no report, so it may be repeated although it uses POST.
        request = _post(_CALCULATIONS, sale_form(sale)).evolve(idempotent=True)
        response = await wire.send(request)
        body = sdk.read_answer(response)
        id_ = sdk.required(body.text("id"), response, "id")
        rows = list(body.objects("line_items.data"))
        query = {"limit": _PAGE, "expand[]": "data.tax_breakdown"}
        if body.flag("line_items.has_more"):
            path = f"{_CALCULATIONS}/{quote(id_, safe='')}/line_items"
            rows = await _rows(wire, path, query, rows)
        return read_calculation(wire, response, sale, id_, rows)

    async def record(
        self, wire: sdk.Wire, calculation: TaxCalculation, /, *, key: str
    ) -> TaxRecord:
        """Create a transaction of the calculation."""
        form = {
            "calculation": calculation.ref.id,
            "reference": calculation.sale.reference,
            "expand[0]": "line_items",
        }
        return await _create(wire, "create_from_calculation", form, key)

    async def reverse(
        self, wire: sdk.Wire, ref: sdk.Ref, reversal: TaxReversal, /, *, key: str
    ) -> TaxRecord:
        """Reverse a transaction."""
        currency_at(ref, reversal)
        form: dict[str, Any] = {
            "mode": "partial" if reversal.parts else "full",
            "original_transaction": ref.id,
            "reference": reversal.reference,
            "expand[0]": "line_items",
        }
        ids = await _line_ids(wire, ref) if reversal.lines else {}
        for number, (line, part) in enumerate(reversal.lines.items()):
            if line not in ids:
                raise unknown_line(line)
            fields = {
                "original_line_item": ids[line],
                "reference": f"{reversal.reference}/{line}",
                "amount": -MINOR.to_minor(part.amount),
                "amount_tax": -MINOR.to_minor(part.tax),
            }
            form |= {f"line_items[{number}][{name}]": value for name, value in fields.items()}
        if reversal.shipping is not None:
            form["shipping_cost[amount]"] = -MINOR.to_minor(reversal.shipping.amount)
            form["shipping_cost[amount_tax]"] = -MINOR.to_minor(reversal.shipping.tax)
        return await _create(wire, "create_reversal", form, key)


async def _create(wire: sdk.Wire, step: str, form: Mapping[str, Any], key: str) -> TaxRecord:
    """Create a transaction once per idempotency key, and read the tax of all its lines."""
    request = _post(f"{_TRANSACTIONS}/{step}", form)
    response: sdk.Response = await wire.send(
        request,
        key=sdk.key_for_vendor(wire, key, _KEY),
        parse=partial(_checked_transaction, form["reference"]),
    )
    body = sdk.read_answer(response)
    id_, currency = body.text("id") or "", (body.text("currency") or "").upper()
    rows = list(body.objects("line_items.data"))
    if body.flag("line_items.has_more"):
        path = f"{_TRANSACTIONS}/{quote(id_, safe='')}/line_items"
        rows = await _rows(wire, path, {"limit": _PAGE}, rows)
    taxes = [_money(response, row, "amount_tax", currency) for row in rows]
    shipping = body.object("shipping_cost")
    taxes += [_money(response, shipping, "amount_tax", currency)] if shipping else []
    original = body.text("reversal.original_transaction")
    return TaxRecord(
        ref=wire.ref(id_, **{CURRENCY: currency}),
        reference=form["reference"],
        reverses=None if original is None else wire.ref(original, **{CURRENCY: currency}),
        tax=sum_of(taxes, currency),
        recorded_at=body.time("created"),
        raw=body.raw,
    )


def _checked_transaction(reference: str, response: sdk.Response) -> sdk.Response:
    body = sdk.read_answer(response)
    sdk.required(body.text("id"), response, "id")
    if body.text("reference") != reference:
        raise sdk.malformed(response, "reference equal to the one that was sent")
    currency = (body.text("currency") or "").upper()
    if currency not in sdk.EXPONENTS:
        raise sdk.malformed(response, "currency")
    if not sdk.is_list(body.value("line_items.data")):
        raise sdk.malformed(response, "line_items.data")
    for row in body.objects("line_items.data"):
        _money(response, row, "amount_tax", currency)
    return response


async def _line_ids(wire: sdk.Wire, ref: sdk.Ref) -> dict[str, str]:
    """Stripe's ids of a transaction's lines, by the references of the lines."""
    path = f"{_TRANSACTIONS}/{quote(ref.id, safe='')}/line_items"
    rows = await _rows(wire, path, {"limit": _PAGE}, [])
    return {row.text("reference") or "": row.text("id") or "" for row in rows}


async def _rows(
    wire: sdk.Wire, path: str, query: Mapping[str, Any], rows: list[sdk.Answer]
) -> list[sdk.Answer]:
    """All entries of a list, of which the first ones were read before."""
    has_more = True
    while has_more:
        page_query = {"starting_after": rows[-1].text("id")} if rows else {}
        response = await wire.send(sdk.Request.get(path, query={**query, **page_query}))
        body = sdk.read_answer(response)
        page = list(body.objects("data"))
        has_more = sdk.required(body.flag("has_more"), response, "has_more")
        if has_more and not page:
            raise sdk.malformed(response, "data")
        rows = [*rows, *page]
    return rows


def read_calculation(
    wire: sdk.Wire,
    response: sdk.Response,
    sale: TaxableSale,
    id_: str,
    rows: list[sdk.Answer],
) -> TaxCalculation:
    """The tax of a sale, from a calculation and its lines.

    Raises:
        VendorFailed: a line or an amount is missing, or the amounts are not those of the sale.
    """
    body = sdk.read_answer(response)
    if (body.text("currency") or "").upper() != sale.currency:
        raise sdk.malformed(response, "currency equal to the sale's currency")
    rows_by_id = {row.text("reference") or "": row for row in rows}
    if rows_by_id.keys() != {line.id for line in sale.lines} or len(rows) != len(sale.lines):
        raise sdk.malformed(response, "line for each line of the sale")
    lines = [
        _line_tax(response, sale, line.id, line.amount, rows_by_id[line.id]) for line in sale.lines
    ]
    shipping = None
    if sale.shipping is not None:
        shipping = _line_tax(response, sale, "", sale.shipping, body.object("shipping_cost"))
    totals = ("tax_amount_exclusive", "tax_amount_inclusive")
    tax = sum_of((_money(response, body, name, sale.currency) for name in totals), sale.currency)
    calculation = TaxCalculation(
        ref=wire.ref(id_),
        sale=sale,
        lines=tuple(lines),
        shipping=shipping,
        tax=tax,
        expires_at=body.time("expires_at"),
        raw=body.raw,
    )
    if _money(response, body, "amount_total", sale.currency) != calculation.total:
        raise sdk.malformed(response, "amount_total equal to the sum of the sale and its tax")
    return calculation


def _line_tax(
    response: sdk.Response, sale: TaxableSale, id_: str, amount: sdk.Money, row: sdk.Answer
) -> LineTax:
    if _money(response, row, "amount", sale.currency) != amount:
        raise sdk.malformed(response, "amount equal to the line's amount")
    tax = _money(response, row, "amount_tax", sale.currency)
    return LineTax(
        id=id_,
        net=amount - tax if sale.inclusive else amount,
        tax=tax,
        jurisdictions=tuple(_jurisdictions(response, sale.currency, row)),
    )


def _jurisdictions(
    response: sdk.Response, currency: str, row: sdk.Answer
) -> Iterator[JurisdictionTax]:
    for part in row.objects("tax_breakdown"):
        name = part.text("jurisdiction.display_name") or part.text("jurisdiction.country")
        level = part.text("jurisdiction.level") or ""
        yield JurisdictionTax(
            name=sdk.required(name, response, "tax_breakdown.jurisdiction"),
            level=_LEVELS.get(level, JurisdictionLevel.UNKNOWN),
            country=part.text("jurisdiction.country"),
            tax=_money(response, part, "amount", currency),
            taxable=MINOR.read(part.value("taxable_amount"), currency),
            rate=part.decimal("tax_rate_details.percentage_decimal"),
            kind=part.text("tax_rate_details.tax_type"),
            reason=part.text("taxability_reason"),
        )


def _money(response: sdk.Response, body: sdk.Answer, name: str, currency: str) -> sdk.Money:
    return sdk.required(MINOR.read(body.value(name), currency), response, name)
