"""Avalara AvaTax: calculations, recorded invoices and credit notes.

A transaction of the type SalesOrder is calculated and not stored. A sale is recorded as a
committed SalesInvoice, whose lines have the net amounts and the taxes that were calculated, and a
reversal as a ReturnInvoice with negative amounts. AvaTax accepts the code of a committed
transaction once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.tax import TaxCapability
from moorage.contracts.tax_calculation import (
    JurisdictionLevel,
    JurisdictionTax,
    LineTax,
    TaxCalculation,
)
from moorage.vendors.tax._avalara_requests import (
    CREATE,
    INCLUSIVE,
    INVOICE,
    ORDER,
    SHIPPING,
    create,
    invoice_body,
    order_body,
    path_of,
    related_ids,
    return_body,
)
from moorage.vendors.tax._calculations import check_decimals, currency_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.contracts.tax_calculation import TaxableSale, TaxRecord, TaxReversal

_LIVE: Final = "https://rest.avatax.com"
_TEST: Final = "https://sandbox-rest.avatax.com"
_LEVELS: Final = {
    "Country": JurisdictionLevel.COUNTRY,
    "State": JurisdictionLevel.STATE,
    "County": JurisdictionLevel.COUNTY,
    "City": JurisdictionLevel.CITY,
    "Special": JurisdictionLevel.DISTRICT,
    "CNT": JurisdictionLevel.COUNTRY,
    "STA": JurisdictionLevel.STATE,
    "CTY": JurisdictionLevel.COUNTY,
    "CIT": JurisdictionLevel.CITY,
    "STJ": JurisdictionLevel.DISTRICT,
}
"""Levels by the words of `jurisdictionType`, and of `jurisType`, which older responses have alone.
"""


def _read_refusal(response: sdk.Response) -> tuple[str | None, str | None]:
    """Return an error response's code, and the text of its last, most specific detail."""
    error = sdk.error_answer(response).object("error")
    words = error.text("message")
    for detail in error.objects("details"):
        texts = (detail.text("message"), detail.text("description"))
        words = " ".join(filter(None, texts)) or words
    return error.text("code"), words


@attrs.frozen(kw_only=True)
class Avalara(sdk.ApiVendor):
    """A company in an account at Avalara AvaTax.

    Attributes:
        account: number of the account.
        company: code of the company.
        credentials: license key; by default the credential provider supplies it.
        base_url: URL of AvaTax; its test system is https://sandbox-rest.avatax.com.
    """

    name = "avalara"
    kinds = ("tax",)
    api_version = "v2"
    auth: ClassVar[Any] = sdk.basic("account")
    capabilities: ClassVar[frozenset[str]] = sdk.members_of(
        TaxCapability, "calculation inclusive_prices buyer_vat_numbers exemptions records reversals"
    )
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = sdk.words(
        sdk.UnknownOutcome.REPEATED, "record reverse"
    )
    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    refusals = sdk.Refusals(
        vendor="Avalara",
        statuses=sdk.error_statuses("400 409 422", login="401 403"),
        read=_read_refusal,
    )
    headers: ClassVar[Mapping[str, str]] = {"X-Avalara-Client": "moorage"}
    ping_path = "/api/v2/utilities/ping"

    account: str = attrs.field(
        validator=sdk.matches(
            "[0-9]{1,20}",
            problem="The value is not an account number.",
            remedy="Set the number that Avalara shows for the account.",
        )
    )
    company: str = attrs.field(
        validator=sdk.matches(
            r"\S(.{0,23}\S)?",
            problem="The value is not a company code.",
            remedy="Set the code that Avalara shows for the company, such as DEFAULT.",
        )
    )
    base_url: str = _LIVE

    async def calculate(self, wire: sdk.Wire, sale: TaxableSale, /) -> TaxCalculation:
        """Calculate the tax of an order."""
        check_decimals("AvaTax", sale.currency)
        # A calculation changes nothing, so it may be repeated although it uses POST.
        request = sdk.Request.post(CREATE, json=order_body(self.company, sale))
        return read_calculation(wire, await wire.send(request.evolve(idempotent=True)), sale)

    async def record(
        self, wire: sdk.Wire, calculation: TaxCalculation, /, *, key: str
    ) -> TaxRecord:
        """Create a committed invoice with the calculated taxes."""
        sale = calculation.sale
        related = related_ids(sale.currency, inclusive=sale.inclusive)
        body = invoice_body(self.company, calculation)
        return await create(wire, self.company, body, related, key)

    async def reverse(
        self, wire: sdk.Wire, ref: sdk.Ref, reversal: TaxReversal, /, *, key: str
    ) -> TaxRecord:
        """Create a committed credit note for an invoice."""
        currency = currency_at(ref, reversal)
        query = {"documentType": INVOICE, "$include": "Lines,Addresses"}
        response = await wire.send(sdk.Request.get(path_of(self.company, ref.id), query=query))
        body = return_body(self.company, response, ref, reversal, currency)
        related = related_ids(currency, inclusive=ref.other(INCLUSIVE) is not None)
        return await create(wire, self.company, body, related, key)


def read_calculation(wire: sdk.Wire, response: sdk.Response, sale: TaxableSale) -> TaxCalculation:
    """The tax of a sale, from AvaTax's response.

    Raises:
        VendorFailed: a line or an amount is missing, or the amounts are not those of the sale.
    """
    body = sdk.read_answer(response)
    if body.text("currencyCode") != sale.currency:
        raise sdk.malformed(response, "currency equal to the sale's currency")
    rows = {row.text("lineNumber") or "": row for row in body.objects("lines")}
    numbers = {line.id for line in sale.lines} | ({SHIPPING} if sale.shipping else set[str]())
    if rows.keys() != numbers:
        raise sdk.malformed(response, "line for each line of the sale")
    return TaxCalculation(
        ref=wire.ref(ORDER),
        sale=sale,
        lines=tuple(
            _line_tax(response, sale, line.id, line.amount, rows[line.id]) for line in sale.lines
        ),
        shipping=None
        if sale.shipping is None
        else _line_tax(response, sale, "", sale.shipping, rows[SHIPPING]),
        tax=_money(response, body, "totalTax", sale.currency),
        raw=body.raw,
    )


def _line_tax(
    response: sdk.Response, sale: TaxableSale, id_: str, amount: sdk.Money, row: sdk.Answer
) -> LineTax:
    tax = _money(response, row, "tax", sale.currency)
    net = amount - tax if sale.inclusive else amount
    # AvaTax takes the tax out of the amount of a line whose price contains it.
    if _money(response, row, "lineAmount", sale.currency) not in {amount, net}:
        raise sdk.malformed(response, "lineAmount equal to the line's amount")
    return LineTax(
        id=id_,
        net=net,
        tax=tax,
        jurisdictions=tuple(_jurisdictions(response, row, sale.currency)),
    )


def _jurisdictions(
    response: sdk.Response, row: sdk.Answer, currency: str
) -> Iterator[JurisdictionTax]:
    for part in row.objects("details"):
        rate = part.decimal("rate")
        name = part.text("jurisName") or part.text("region") or part.text("country")
        level = part.text("jurisdictionType") or part.text("jurisType") or ""
        yield JurisdictionTax(
            name=sdk.required(name, response, "details.jurisName"),
            level=_LEVELS.get(level, JurisdictionLevel.UNKNOWN),
            country=part.text("country"),
            tax=_money(response, part, "tax", currency),
            taxable=sdk.as_money(part.value("taxableAmount"), currency),
            rate=None if rate is None else rate.scaleb(2),
            kind=part.text("taxType"),
            reason=part.text("taxName"),
        )


def _money(response: sdk.Response, body: sdk.Answer, name: str, currency: str) -> sdk.Money:
    return sdk.required(sdk.as_money(body.value(name), currency), response, name)
