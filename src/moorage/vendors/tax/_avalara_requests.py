"""AvaTax transactions: fields of invoices and credit notes, and their creation once per code."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.tax_calculation import TaxExemption, TaxRecord
from moorage.vendors.tax._calculations import CURRENCY, exact_number, unknown_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address
    from moorage.contracts.tax_calculation import (
        LineTax,
        TaxableSale,
        TaxCalculation,
        TaxReversal,
    )

CREATE: Final = "/api/v2/transactions/create"
ORDER: Final = "SalesOrder"
INVOICE: Final = "SalesInvoice"
RETURN: Final = "ReturnInvoice"
INCLUSIVE: Final = "inclusive"
"""The name of the related id that states that the prices of a recorded sale contain the tax."""
SHIPPING: Final = "shipping"
"""The number of the line with the price of the shipment."""
_FREIGHT: Final = "FR020100"
"""The tax code of a delivery by a carrier."""
_LONGEST: Final = 50
_REASON: Final = "Calculated before"
_COMMITTED: Final = "Committed"
_FINAL_DOCUMENT: Final = 300
"""AvaTax's error number for a document whose code belongs to a final document."""
_USES: Final = {TaxExemption.RESALE: "G", TaxExemption.GOVERNMENT: "A", TaxExemption.OTHER: "L"}
_PLACE: Final = ("line1", "line2", "line3", "city", "region", "postalCode", "country")


def path_of(company: str, code: str) -> str:
    """The path of a transaction."""
    return f"/api/v2/companies/{quote(company, safe='')}/transactions/{quote(code, safe='')}"


def limited_code(text: str, field: str) -> str:
    """A code or line number, which AvaTax limits to 50 characters.

    Raises:
        InvalidData: the text is longer.
    """
    if len(text) > _LONGEST:
        raise sdk.InvalidData(
            f"AvaTax accepts at most {_LONGEST} characters for this field.",
            field=field,
            remedy="Pass a shorter text, such as the number of the invoice or of the line.",
        )
    return text


def _place_of(address: Address) -> dict[str, str]:
    parts = {
        "line1": address.line1,
        "line2": address.line2,
        "line3": address.line3,
        "city": address.city,
        "region": address.region,
        "postalCode": address.postal_code,
        "country": address.country,
    }
    return {name: value for name, value in parts.items() if value}


def _common_fields(company: str, sale: TaxableSale) -> dict[str, Any]:
    addresses = {"shipTo": _place_of(sale.ship_to)}
    if sale.ship_from is not None:
        addresses["shipFrom"] = _place_of(sale.ship_from)
    body: dict[str, Any] = {
        "companyCode": company,
        "customerCode": limited_code(sale.reference, "reference"),
        "date": sale.day.isoformat(),
        "currencyCode": sale.currency,
        "addresses": addresses,
    }
    if sale.exemption is not None:
        body["entityUseCode"] = _USES[sale.exemption]
    if sale.vat_number is not None:
        body["businessIdentificationNo"] = str(sale.vat_number)
    return body


def _line_fields(sale: TaxableSale) -> list[dict[str, Any]]:
    """The fields of each line: number, quantity, amount and tax code, as in the sale."""
    lines: list[dict[str, Any]] = []
    for line in sale.lines:
        if line.id == SHIPPING:
            raise sdk.InvalidData(
                f"The line id {SHIPPING!r} is reserved: moorage sends the shipping costs to"
                " AvaTax under this number.",
                field="lines",
                remedy="Use another id for the line.",
            )
        fields: dict[str, Any] = {
            "number": limited_code(line.id, "lines"),
            "quantity": line.quantity,
            "amount": exact_number(line.amount),
        }
        lines.append(fields if line.tax_code is None else {**fields, "taxCode": line.tax_code})
    if sale.shipping is not None:
        amount = exact_number(sale.shipping)
        lines.append({"number": SHIPPING, "quantity": 1, "amount": amount, "taxCode": _FREIGHT})
    return lines


def order_body(company: str, sale: TaxableSale) -> dict[str, Any]:
    """Return the fields of a request that only calculates tax and that AvaTax does not store."""
    included = {"taxIncluded": True} if sale.inclusive else {}
    body = {
        "type": ORDER,
        **_common_fields(company, sale),
        "lines": [{**line, **included} for line in _line_fields(sale)],
    }
    return sdk.merged(body, sdk.extra_for("avalara", sale.extra))


def _fixed_tax(tax: sdk.Money) -> dict[str, Any]:
    return {"type": "TaxAmount", "taxAmount": exact_number(tax), "reason": _REASON}


def invoice_body(company: str, calculation: TaxCalculation) -> dict[str, Any]:
    """A final invoice's fields: each line's net amount and calculated tax."""
    sale = calculation.sale
    parts: list[LineTax] = [*calculation.lines]
    parts += [] if calculation.shipping is None else [calculation.shipping]
    taxes = [part.tax for part in parts]
    taxes[0] += calculation.rounding
    lines = [
        {**fields, "amount": exact_number(part.net), "taxOverride": _fixed_tax(tax)}
        for fields, part, tax in zip(_line_fields(sale), parts, taxes, strict=True)
    ]
    body = {
        "type": INVOICE,
        "code": sale.reference,
        "commit": True,
        **_common_fields(company, sale),
        "lines": lines,
    }
    return sdk.merged(body, sdk.extra_for("avalara", sale.extra))


def return_body(
    company: str, response: sdk.Response, ref: sdk.Ref, reversal: TaxReversal, currency: str
) -> dict[str, Any]:
    """A final credit note's fields, with negative amounts and taxes.

    Raises:
        InvalidData: the invoice does not have a line of the reversal.
        VendorFailed: the response is not about the invoice.
    """
    invoice = sdk.read_answer(response)
    if invoice.text("code") != ref.id or invoice.text("type") != INVOICE:
        raise sdk.malformed(response, "code of the requested invoice")
    rows = {row.text("lineNumber") or "": row for row in invoice.objects("lines")}
    lines = (
        _reversed_parts(rows, ref, reversal)
        if reversal.parts
        else {
            number: (
                _money(response, row, "lineAmount", currency),
                _line_tax(response, row, currency),
            )
            for number, row in rows.items()
        }
    )
    texts = ("entityUseCode", "businessIdentificationNo")
    customer = invoice.text("customerCode") or invoice.text("customerVendorCode")
    return {
        "type": RETURN,
        "code": limited_code(reversal.reference, "reference"),
        "referenceCode": ref.id,
        "commit": True,
        "companyCode": company,
        "date": reversal.day.isoformat(),
        "currencyCode": currency,
        "customerCode": sdk.required(customer, response, "customerCode"),
        **{name: text for name in texts if (text := invoice.text(name))},
        "addresses": _places(invoice),
        "lines": [
            {
                "number": number,
                "quantity": 1,
                "amount": exact_number(-amount),
                **({"taxCode": code} if (code := rows[number].text("taxCode")) else {}),
                "taxOverride": _fixed_tax(-tax),
            }
            for number, (amount, tax) in lines.items()
        ],
    }


def _reversed_parts(
    rows: Mapping[str, sdk.Answer], ref: sdk.Ref, reversal: TaxReversal
) -> dict[str, tuple[sdk.Money, sdk.Money]]:
    """The net amount and tax of each line part to be reversed, by line number."""
    parts = dict(reversal.lines)
    if reversal.shipping is not None:
        parts[SHIPPING] = reversal.shipping
    for number in parts:
        if number not in rows:
            raise unknown_line(number)
    is_inclusive = ref.other(INCLUSIVE) is not None
    return {
        number: (part.amount - part.tax if is_inclusive else part.amount, part.tax)
        for number, part in parts.items()
    }


def _places(invoice: sdk.Answer) -> dict[str, dict[str, str]]:
    """The addresses of an invoice in the format of a request."""
    addresses = {item.text("id"): item for item in invoice.objects("addresses")}
    names = {"shipFrom": "originAddressId", "shipTo": "destinationAddressId"}
    return {
        name: {part: text for part in _PLACE if (text := address.text(part))}
        for name, id_ in names.items()
        if (address := addresses.get(invoice.text(id_))) is not None
    }


async def create(
    wire: sdk.Wire, company: str, body: Mapping[str, Any], related: Mapping[str, str], key: str
) -> TaxRecord:
    """Create a final document, only once per code.

    AvaTax refuses a code that has a final document. So the same request may be sent again: if the
    existing document is the same, it is returned.
    """
    read = partial(_read_record, wire, body, related)
    try:
        return await wire.send(sdk.Request.post(CREATE, json=body), key=key, parse=read)
    except sdk.VendorRejected as refusal:
        if not _is_taken(refusal):
            raise
        query = {"documentType": body["type"], "$include": "Lines"}
        request = sdk.Request.get(path_of(company, body["code"]), query=query)
        response = await wire.send(request)
        if not _is_same(response, body):
            raise
        return read(response)


def _is_taken(refusal: sdk.VendorRejected) -> bool:
    if refusal.response is None:
        return False
    details = sdk.error_answer(refusal.response).objects("error.details")
    return any(detail.integer("number") == _FINAL_DOCUMENT for detail in details)


def _is_same(response: sdk.Response, body: Mapping[str, Any]) -> bool:
    """True if a final document has the date, amounts and taxes that a request asks for."""
    document = sdk.read_answer(response)
    currency = body["currencyCode"]
    lines = {
        row.text("lineNumber"): (
            _money(response, row, "lineAmount", currency),
            _line_tax(response, row, currency),
        )
        for row in document.objects("lines")
    }
    expected_lines = {
        line["number"]: (
            sdk.as_money(line["amount"], currency),
            sdk.as_money(line["taxOverride"]["taxAmount"], currency),
        )
        for line in body["lines"]
    }
    names = ("type", "code", "currencyCode")
    return (
        lines == expected_lines
        and all(document.text(name) == body[name] for name in names)
        and document.text("status") == _COMMITTED
        and (document.text("date") or "")[:10] == body["date"]
        and (document.text("referenceCode") or None) == body.get("referenceCode")
    )


def _read_record(
    wire: sdk.Wire, body: Mapping[str, Any], related: Mapping[str, str], response: sdk.Response
) -> TaxRecord:
    answer = sdk.read_answer(response)
    if answer.text("code") != body["code"] or answer.text("currencyCode") != body["currencyCode"]:
        raise sdk.malformed(response, "code and currency equal to those that were sent")
    if answer.text("status") != _COMMITTED:
        raise sdk.malformed(response, f"status {_COMMITTED}")
    currency = body["currencyCode"]
    tax = _money(response, answer, "totalTax", currency)
    zero = sdk.Money(0, currency)
    taxes = (sdk.as_money(line["taxOverride"]["taxAmount"], currency) for line in body["lines"])
    if tax != sum((part for part in taxes if part is not None), zero):
        raise sdk.malformed(response, "totalTax equal to the tax that was sent")
    original = body.get("referenceCode")
    return TaxRecord(
        ref=wire.ref(body["code"], **related),
        reference=body["code"],
        reverses=None if original is None else wire.ref(original, **related),
        tax=tax,
        recorded_at=answer.time("modifiedDate"),
        raw=answer.raw,
    )


def related_ids(currency: str, *, inclusive: bool) -> dict[str, str]:
    """A record's related ids: the sale's currency, and whether prices include tax."""
    return {CURRENCY: currency, **({INCLUSIVE: "true"} if inclusive else {})}


def _line_tax(response: sdk.Response, row: sdk.Answer, currency: str) -> sdk.Money:
    return _money(response, row, "tax", currency)


def _money(response: sdk.Response, body: sdk.Answer, name: str, currency: str) -> sdk.Money:
    return sdk.required(sdk.as_money(body.value(name), currency), response, name)
