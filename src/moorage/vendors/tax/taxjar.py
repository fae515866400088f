"""TaxJar: calculations, recorded orders and refunds.

TaxJar stores no calculations: an order is recorded with the tax that was calculated before.
Amounts are numbers in major units, without a currency. The id of an order or refund is its
reference, which TaxJar accepts once. So a repeat is refused, and the earlier record is read and
compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.tax import TaxCapability
from moorage.contracts.tax_calculation import (
    JurisdictionLevel,
    JurisdictionTax,
    LineTax,
    TaxCalculation,
)
from moorage.vendors.tax._calculations import check_decimals, currency_at
from moorage.vendors.tax._taxjar_requests import (
    ORDERS,
    REFUNDS,
    create,
    order_body,
    refund_body,
    sale_body,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moorage.contracts.tax_calculation import TaxableSale, TaxRecord, TaxReversal

API_VERSION: Final = "2022-01-24"
_LIVE: Final = "https://api.taxjar.com"
_TEST: Final = "https://api.sandbox.taxjar.com"


class _Part(NamedTuple):
    """The field names of one jurisdiction's tax on a line."""

    level: JurisdictionLevel
    tax: str
    rate: str
    taxable: tuple[str, ...]
    name: str
    kind: str | None


_PARTS: Final = (
    _Part(
        JurisdictionLevel.COUNTRY,
        "country_tax_collectable",
        "country_tax_rate",
        ("country_taxable_amount",),
        "country",
        None,
    ),
    _Part(
        JurisdictionLevel.COUNTRY, "gst", "gst_tax_rate", ("gst_taxable_amount",), "country", "gst"
    ),
    _Part(JurisdictionLevel.STATE, "pst", "pst_tax_rate", ("pst_taxable_amount",), "state", "pst"),
    _Part(JurisdictionLevel.STATE, "qst", "qst_tax_rate", ("qst_taxable_amount",), "state", "qst"),
    _Part(
        JurisdictionLevel.STATE,
        "state_amount",
        "state_sales_tax_rate",
        ("state_taxable_amount",),
        "state",
        "sales_tax",
    ),
    _Part(
        JurisdictionLevel.COUNTY,
        "county_amount",
        "county_tax_rate",
        ("county_taxable_amount",),
        "county",
        "sales_tax",
    ),
    _Part(
        JurisdictionLevel.CITY,
        "city_amount",
        "city_tax_rate",
        ("city_taxable_amount",),
        "city",
        "sales_tax",
    ),
    _Part(
        JurisdictionLevel.DISTRICT,
        "special_district_amount",
        "special_tax_rate",
        ("special_district_taxable_amount", "special_taxable_amount"),
        "",
        "sales_tax",
    ),
)


def _read_refusal(response: sdk.Response) -> tuple[str | None, str | None]:
    body = sdk.error_answer(response)
    return body.text("error"), body.text("detail")


@attrs.frozen(kw_only=True)
class TaxJar(sdk.ApiVendor):
    """An account at TaxJar.

    Attributes:
        credentials: API token; by default the credential provider supplies it.
        base_url: URL of TaxJar; its test system is https://api.sandbox.taxjar.com.
    """

    name = "taxjar"
    kinds = ("tax",)
    api_version = API_VERSION
    capabilities: ClassVar[frozenset[str]] = sdk.members_of(
        TaxCapability, "calculation exemptions records reversals"
    )
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = sdk.words(
        sdk.UnknownOutcome.REPEATED, "record reverse"
    )
    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    refusals = sdk.Refusals(
        vendor="TaxJar",
        statuses=sdk.error_statuses("400 406 410 422", login="401 403"),
        read=_read_refusal,
    )
    headers: ClassVar[Mapping[str, str]] = {"x-api-version": API_VERSION}
    ping_path = "/v2/categories"

    base_url: str = _LIVE

    async def calculate(self, wire: sdk.Wire, sale: TaxableSale, /) -> TaxCalculation:
        """Get the tax of an order."""
        _check_sale(wire, sale)
        # A calculation changes nothing, so it may be repeated although it uses POST.
        request = sdk.Request.post("/v2/taxes", json=sale_body(sale)).evolve(idempotent=True)
        return read_calculation(wire, await wire.send(request), sale)

    async def record(
        self, wire: sdk.Wire, calculation: TaxCalculation, /, *, key: str
    ) -> TaxRecord:
        """Create an order with the calculated tax."""
        ship_to = calculation.sale.ship_to
        if not ship_to.postal_code or not ship_to.region:
            raise sdk.InvalidData(
                "TaxJar does not record a sale without the buyer's postal code and region.",
                field="ship_to",
                remedy="Add both to the buyer's address, and calculate the tax again.",
            )
        body = order_body(calculation)
        return await create(wire, ORDERS, body, calculation.sale.currency, key)

    async def reverse(
        self, wire: sdk.Wire, ref: sdk.Ref, reversal: TaxReversal, /, *, key: str
    ) -> TaxRecord:
        """Create a refund of an order."""
        currency = currency_at(ref, reversal)
        response = await wire.send(sdk.Request.get(ORDERS.record_path(ref.id)))
        body = refund_body(response, ref, reversal, currency)
        return await create(wire, REFUNDS, body, currency, key)


def _check_sale(wire: sdk.Wire, sale: TaxableSale) -> None:
    check_decimals("TaxJar", sale.currency)
    if abs((sale.day - wire.now().date()).days) > 1:
        raise sdk.InvalidData(
            "TaxJar calculates only with today's tax rules.",
            field="day",
            remedy="Pass today's date, or calculate the tax with another vendor.",
        )


def read_calculation(wire: sdk.Wire, response: sdk.Response, sale: TaxableSale) -> TaxCalculation:
    """The tax of a sale, from TaxJar's response.

    Raises:
        VendorFailed: a line or an amount is missing, or the amounts are not those of the sale.
    """
    answer = sdk.read_answer(response)
    body = answer.object("tax")
    if sdk.as_money(body.value("order_total_amount"), sale.currency) != sale.amount:
        raise sdk.malformed(response, "order_total_amount equal to the sale's amount")
    tax = _money(response, body, "amount_to_collect", sale.currency)
    breakdown = body.object("breakdown")
    rows = {row.text("id"): row for row in breakdown.objects("line_items")}
    if not breakdown and tax.minor:
        raise sdk.malformed(response, "breakdown")
    places = body.object("jurisdictions")
    lines: list[LineTax] = []
    for line in sale.lines:
        row = rows.get(line.id)
        if breakdown and row is None:
            raise sdk.malformed(response, "breakdown.line_items for each line of the sale")
        lines.append(_line_tax(response, line.id, line.amount, row, places))
    shipping = None
    if sale.shipping is not None:
        row = breakdown.object("shipping") or None
        shipping = _line_tax(response, "", sale.shipping, row, places)
    return TaxCalculation(
        ref=wire.ref("taxes"),
        sale=sale,
        lines=tuple(lines),
        shipping=shipping,
        tax=tax,
        raw=answer.raw,
    )


def _line_tax(
    response: sdk.Response, id_: str, net: sdk.Money, row: sdk.Answer | None, places: sdk.Answer
) -> LineTax:
    if row is None:
        return LineTax(id=id_, net=net, tax=net - net)
    return LineTax(
        id=id_,
        net=net,
        tax=_money(response, row, "tax_collectable", net.currency),
        jurisdictions=tuple(_jurisdictions(response, row, net.currency, places)),
    )


def _jurisdictions(
    response: sdk.Response, row: sdk.Answer, currency: str, places: sdk.Answer
) -> Iterator[JurisdictionTax]:
    country = places.text("country")
    for part in _PARTS:
        if not row.decimal(part.tax) and not row.decimal(part.rate):
            continue
        rate = row.decimal(part.rate)
        yield JurisdictionTax(
            name=places.text(part.name) or str(part.level),
            level=part.level,
            country=country,
            tax=_money(response, row, part.tax, currency),
            taxable=_first_money((row.value(name) for name in part.taxable), currency),
            rate=None if rate is None else rate.scaleb(2),
            kind=part.kind,
        )


def _first_money(values: Iterable[object], currency: str) -> sdk.Money | None:
    amounts = (sdk.as_money(value, currency) for value in values)
    return next((amount for amount in amounts if amount is not None), None)


def _money(response: sdk.Response, body: sdk.Answer, name: str, currency: str) -> sdk.Money:
    return sdk.required(sdk.as_money(body.value(name), currency), response, name)
