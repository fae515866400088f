"""Translation of an invoice to the content of a FatturaPA file."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import attrs

from moorage.invoices.amounts import exact_total, percentage, round_to_eight_decimals, total
from moorage.invoices.fatturapa.codes import DOCUMENT_TYPES, NATURES, PAYMENT_MEANS
from moorage.invoices.fatturapa.layout import (
    Attachment,
    Cause,
    DeliveryNote,
    DetailLine,
    Discount,
    Document,
    Installment,
    ItemCode,
    PartyPlace,
    PaymentTerms,
    PensionFund,
    RelatedDocument,
    TaxPerson,
    VatSummary,
    WithheldTax,
)
from moorage.invoices.profiles import EN16931

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.invoices.fatturapa.values import FatturaPa
    from moorage.invoices.values import (
        AllowanceCharge,
        Invoice,
        InvoiceLine,
        Party,
        PostalAddress,
    )

FISCAL_CODE: Final = "0210"
"""The scheme of Italian fiscal codes, in the registers of electronic addresses."""
OFFICE: Final = "0201"
"""The scheme of the codes of Italy's public offices."""
FUND: Final = re.compile("TC[0-9]{2}")
"""The reason code of a charge that is a contribution to a pension fund."""
_MEANS: Final = re.compile("MP[0-9]{2}")
_CAUSE_LENGTH: Final = 200


def document_of(fattura: FatturaPa) -> Document:
    """Return a file's content for an invoice."""
    invoice = fattura.invoice.completed(EN16931)
    buyer = _tax_person(invoice.buyer)
    lines = (*_lines(fattura), *_extra_lines(fattura))
    funds = tuple(_funds(fattura))
    code = fattura.recipient_code or _recipient(invoice, buyer)
    return Document(
        sender_country=fattura.transmitter[:2],
        sender_code=fattura.transmitter[2:],
        progressive=fattura.progressive,
        format="FPA12" if len(code) == 6 else "FPR12",
        recipient_code=code,
        recipient_pec=fattura.recipient_pec,
        seller=_seller(fattura),
        representative=_representative(invoice.tax_representative),
        buyer=buyer,
        type=fattura.document_type or DOCUMENT_TYPES.get(invoice.type_code or "", "TD01"),
        currency=invoice.currency,
        day=invoice.issue_date,
        number=invoice.number,
        withholdings=tuple(
            WithheldTax(type=item.type, amount=item.amount, rate=item.rate, reason=item.reason)
            for item in fattura.withholdings
        ),
        stamp=None if fattura.stamp_duty is None else "SI",
        stamp_duty=fattura.stamp_duty,
        funds=funds,
        gross=None if invoice.stated_totals is None else invoice.stated_totals.gross,
        rounding=invoice.rounding,
        causes=tuple(_causes(invoice)),
        orders=tuple(_orders(invoice)),
        contracts=_related_document(invoice.contract),
        receipts=_related_document(invoice.receiving_advice),
        preceding=tuple(
            RelatedDocument(number=item.number, day=item.issue_date) for item in invoice.preceding
        ),
        delivery_notes=_delivery_notes(invoice),
        lines=lines,
        summaries=tuple(_summaries(fattura, lines, funds)),
        payments=_payments(fattura, invoice),
        attachments=tuple(_attachments(invoice)),
    )


def _recipient(invoice: Invoice, buyer: TaxPerson | None) -> str:
    endpoint = None if invoice.buyer is None else invoice.buyer.endpoint
    if endpoint is not None and endpoint.scheme == OFFICE and endpoint.value:
        return endpoint.value
    place = None if buyer is None else buyer.place
    return "0000000" if place is None or place.country == "IT" else "XXXXXXX"


def _italian_place(address: PostalAddress | None) -> PartyPlace | None:
    if address is None:
        return None
    is_foreign = address.country != "IT"
    region = address.region
    return PartyPlace(
        street=", ".join(filter(None, (address.line1, address.line2, address.line3))) or None,
        postal_code="00000" if is_foreign else address.postal_code,
        city=address.city,
        province=None if is_foreign or region is None or len(region) != 2 else region,
        country=address.country,
    )


def _tax_person(party: Party | None) -> TaxPerson | None:
    if party is None:
        return None
    vat = party.vat_id
    legal_id = party.legal_id
    return TaxPerson(
        vat_country=None if vat is None else vat[:2],
        vat_code=None if vat is None else vat[2:],
        fiscal_code=legal_id.value
        if legal_id is not None and legal_id.scheme == FISCAL_CODE
        else None,
        name=party.name,
        place=_italian_place(party.address),
    )


def _seller(fattura: FatturaPa) -> TaxPerson | None:
    party = fattura.invoice.seller
    person = _tax_person(party)
    if party is None or person is None:
        return None
    contact = party.contact
    phone = None if contact is None or contact.phone is None else contact.phone.replace(" ", "")
    return attrs.evolve(
        person,
        regime=fattura.regime,
        phone=phone,
        email=None if contact is None else contact.email,
        reference=fattura.invoice.accounting_cost,
    )


def _representative(party: Party | None) -> TaxPerson | None:
    person = _tax_person(party)
    return None if person is None else attrs.evolve(person, place=None)


def _causes(invoice: Invoice) -> Iterator[Cause]:
    for note in invoice.notes:
        text = " ".join((note.text or "").split())
        for start in range(0, len(text), _CAUSE_LENGTH):
            yield Cause(text=text[start : start + _CAUSE_LENGTH])


def _orders(invoice: Invoice) -> Iterator[RelatedDocument]:
    number = invoice.purchase_order or invoice.tender or invoice.project
    if number is not None:
        yield RelatedDocument(number=number, project=invoice.project, tender=invoice.tender)


def _related_document(number: str | None) -> tuple[RelatedDocument, ...]:
    return () if number is None else (RelatedDocument(number=number),)


def _delivery_notes(invoice: Invoice) -> tuple[DeliveryNote, ...]:
    if invoice.despatch_advice is None:
        return ()
    day = None if invoice.delivery is None else invoice.delivery.date
    return (DeliveryNote(number=invoice.despatch_advice, day=day),)


def _lines(fattura: FatturaPa) -> Iterator[DetailLine]:
    for number, line in enumerate(fattura.invoice.lines, 1):
        quantity = line.quantity
        price = _unit_price(line)
        if quantity is not None and price is not None and quantity < 0:
            quantity, price = quantity.copy_negate(), price.copy_negate()
        rate = line.vat_rate or Decimal(0)
        yield DetailLine(
            number=Decimal(number),
            codes=tuple(_item_codes(line)),
            description=_description(line),
            quantity=quantity,
            unit=line.unit,
            start=None if line.period is None else line.period.start,
            end=None if line.period is None else line.period.end,
            price=price,
            discounts=tuple(_discounts(line)),
            total=line.net_amount,
            rate=rate,
            withheld="SI" if number in fattura.withheld_lines else None,
            nature=_nature(fattura, number, line.vat_category, rate),
            reference=line.accounting_cost,
        )


def _description(line: InvoiceLine) -> str | None:
    text = ": ".join(filter(None, (line.name, line.description)))
    return " ".join(text.split()) or None


def _item_codes(line: InvoiceLine) -> Iterator[ItemCode]:
    if line.standard_item_id is not None:
        scheme = line.standard_item_id.scheme
        yield ItemCode(
            type="EAN" if scheme in {None, "0160"} else scheme, code=line.standard_item_id.value
        )
    if line.seller_item_id is not None:
        yield ItemCode(type="INTERNO", code=line.seller_item_id)


def _unit_price(line: InvoiceLine) -> Decimal | None:
    if line.net_price is None or not line.base_quantity:
        return line.net_price
    return round_to_eight_decimals(Fraction(line.net_price) / Fraction(line.base_quantity))


def _discounts(line: InvoiceLine) -> Iterator[Discount]:
    for kind, items in (("SC", line.allowances), ("MG", line.charges)):
        for item in items:
            if item.amount is not None and line.quantity:
                share = Fraction(item.amount) / abs(Fraction(line.quantity))
                yield Discount(type=kind, amount=round_to_eight_decimals(share))


def _extra_lines(fattura: FatturaPa) -> Iterator[DetailLine]:
    """Yield invoice-level allowances and charges as lines, the only form that the file has."""
    invoice = fattura.invoice
    items: list[tuple[str, AllowanceCharge]] = [("SC", item) for item in invoice.allowances]
    items += [("AC", item) for item in invoice.charges if not _is_fund(item)]
    for number, (kind, item) in enumerate(items, len(invoice.lines) + 1):
        amount = item.amount
        if amount is not None and kind == "SC":
            amount = amount.copy_negate()
        rate = item.vat_rate or Decimal(0)
        yield DetailLine(
            number=Decimal(number),
            kind=kind,
            description=item.reason or ("Sconto" if kind == "SC" else "Spese accessorie"),
            price=amount,
            total=amount,
            rate=rate,
            nature=_nature(fattura, number, item.vat_category, rate),
        )


def _is_fund(item: AllowanceCharge) -> bool:
    return item.reason_code is not None and FUND.fullmatch(item.reason_code) is not None


def _funds(fattura: FatturaPa) -> Iterator[PensionFund]:
    for item in fattura.invoice.charges:
        if _is_fund(item):
            rate = item.vat_rate or Decimal(0)
            yield PensionFund(
                type=item.reason_code,
                percent=item.percent,
                amount=item.amount,
                base=item.base_amount,
                rate=rate,
                nature=_nature(fattura, 0, item.vat_category, rate),
            )


def _nature(fattura: FatturaPa, number: int, category: str | None, rate: Decimal) -> str | None:
    nature = fattura.line_natures.get(number)
    if nature is not None or rate:
        return nature
    return fattura.natures.get(category or "") or NATURES.get(category or "")


def _summaries(
    fattura: FatturaPa, lines: Iterable[DetailLine], funds: Iterable[PensionFund]
) -> Iterator[VatSummary]:
    amounts: dict[tuple[Decimal | None, str | None], list[Decimal | None]] = {}
    for line in lines:
        amounts.setdefault((line.rate, line.nature), []).append(line.total)
    for fund in funds:
        amounts.setdefault((fund.rate, fund.nature), []).append(fund.amount)
    legal_references = {
        fattura.natures.get(item.category or "") or NATURES.get(item.category or ""): item.reason
        for item in reversed(fattura.invoice.exemptions)
    }
    for (rate, nature), values in amounts.items():
        taxable = total(values)
        yield VatSummary(
            rate=rate,
            nature=nature,
            taxable=taxable,
            tax=percentage(taxable, rate or Decimal(0)),
            due=fattura.vat_due,
            law=None if nature is None else legal_references.get(nature),
        )


def _payments(fattura: FatturaPa, invoice: Invoice) -> tuple[PaymentTerms, ...]:
    payment, totals = invoice.payment, invoice.stated_totals
    if payment is None or totals is None:
        return ()
    account = payment.accounts[0] if payment.accounts else None
    minus = [item.amount for item in fattura.withholdings]
    if fattura.vat_due == "S":
        minus.append(totals.vat)
    code = payment.code or ""
    means_code = payment.text if payment.text and _MEANS.fullmatch(payment.text) else None
    installment = Installment(
        payee=None if invoice.payee is None else invoice.payee.name,
        means=means_code or PAYMENT_MEANS.get(code),
        day=invoice.due_date,
        amount=None if totals.due is None else exact_total(totals.due, total(minus).copy_negate()),
        iban=None if account is None or account.iban is None else account.iban.replace(" ", ""),
        bic=None if account is None else account.bic,
        reference=invoice.payment_reference,
    )
    return (PaymentTerms(condition="TP02", installments=(installment,)),)


def _attachments(invoice: Invoice) -> Iterator[Attachment]:
    for item in invoice.documents:
        if item.content is not None:
            name = item.filename or item.id
            _, dot, name_extension = (name or "").rpartition(".")
            yield Attachment(
                name=name,
                format=name_extension.upper() if dot and len(name_extension) <= 10 else None,
                description=item.description,
                content=item.content,
            )
