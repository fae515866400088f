"""Translation of the content of an FA(3) file to an invoice."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from moorage.invoices.amounts import exact_total, round_amount, round_to_eight_decimals, total
from moorage.invoices.ksef.outgoing import HOME, negate_amount
from moorage.invoices.ksef.rates import BY_WORD, EXEMPT, RATES
from moorage.invoices.ksef.values import KsefInvoice
from moorage.invoices.values import (
    AllowanceCharge,
    ContactPoint,
    Identifier,
    Invoice,
    InvoiceDelivery,
    InvoiceLine,
    Note,
    Party,
    PayeeAccount,
    PaymentInstructions,
    Period,
    PostalAddress,
    PrecedingInvoice,
    Totals,
    VatBreakdown,
    VatExemption,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from moorage.invoices.ksef.layout import FaDocument, FaLine, FaPerson
    from moorage.invoices.ksef.rates import VatRate

_TYPE_CODES: Final = {"KOR": "384", "KOR_ZAL": "384", "KOR_ROZ": "384", "ZAL": "386"}
_PAYMENT_CODES: Final = {"1": "10", "2": "48", "4": "20", "6": "30"}
OTHER_PAYMENT: Final = "ZZZ"
"""The code for a means of payment that only its text names."""
ADDENDS: Final = (
    *dict.fromkeys(name for rate in RATES for name in (rate.net, rate.tax) if name),
    "net_5",
    "tax_5",
    "net_margin",
)
"""The fields whose sum is the total."""
_MEANS_WORDS: Final = {"3": "Bon", "5": "Kredyt", "7": "Płatność mobilna"}


def invoice_of(document: FaDocument, created_at: datetime, system: str | None) -> KsefInvoice:
    """Return the invoice in a file's content, unchecked."""
    buyer = document.buyer
    return KsefInvoice(
        invoice=_invoice(document),
        created_at=created_at,
        system=system,
        place=document.place,
        cash_method=document.cash_method == "1",
        split_payment=document.split_payment == "1",
        exemption_law=document.exemption_law,
        exchange_rate=document.exchange_rate
        or next((line.exchange_rate for line in document.lines if line.exchange_rate), None),
        ksef_numbers={
            item.number: item.ksef_number
            for item in document.corrected
            if item.number is not None and item.ksef_number is not None
        },
        correction_reason=document.correction_reason,
        paid_on=document.paid_on,
        is_local_unit=buyer is not None and buyer.local_unit == "1",
        is_group_member=buyer is not None and buyer.group_member == "1",
    )


def _invoice(document: FaDocument) -> Invoice:
    is_period = document.start is not None or document.end is not None
    code = _TYPE_CODES.get(document.kind or "", "380")
    reason = document.exemption_law or document.exemption_directive or document.exemption_basis
    due = _amount_due(document)
    return Invoice(
        number=document.number,
        issue_date=document.day,
        type_code="389" if code == "380" and document.self_billed == "1" else code,
        currency=document.currency,
        due_date=next((item.day for item in document.terms), None),
        seller=_party(document.seller),
        buyer=_party(document.buyer),
        period=Period(start=document.start, end=document.end) if is_period else None,
        delivery=None if document.supplied is None else InvoiceDelivery(date=document.supplied),
        despatch_advice=next((item.number for item in document.delivery_notes), None),
        contract=next((item.number for item in document.contracts), None),
        purchase_order=next((item.number for item in document.orders), None),
        preceding=tuple(
            PrecedingInvoice(number=item.number, issue_date=item.day) for item in document.corrected
        ),
        notes=tuple(Note(item.text) for item in document.footers),
        payment=_payment(document),
        prepaid=exact_total(document.gross, due.copy_negate()) or None,
        exemptions=() if reason is None else (VatExemption(category="E", reason=reason),),
        lines=tuple(_line(line) for line in document.lines),
        stated_totals=_totals(document, due, reason),
    )


def _party(person: FaPerson | None) -> Party | None:
    if person is None:
        return None
    vat_id = (
        (person.nip and f"{HOME}{person.nip}")
        or (person.eu_number and f"{person.eu_country or ''}{person.eu_number}")
        or (person.other_id and f"{person.id_country or ''}{person.other_id}")
    )
    has_address = person.country is not None or person.address is not None
    contact = next(iter(person.contacts), None)
    return Party(
        name=person.name,
        vat_id=vat_id,
        address=PostalAddress(line1=person.address, city=person.city, country=person.country)
        if has_address
        else None,
        contact=None if contact is None else ContactPoint(email=contact.email, phone=contact.phone),
    )


def _net_part(amount: Decimal | None, rate: VatRate | None) -> Fraction | None:
    """Return the amount without VAT, computed from an amount that includes VAT."""
    if amount is None:
        return None
    percent = Fraction(0) if rate is None else Fraction(rate.rate)
    return Fraction(amount) * 100 / (100 + percent)


def _line(line: FaLine) -> InvoiceLine:
    """Return an invoice line; it is negative if it shows the state before a correction."""
    rate = BY_WORD.get(line.rate or "")
    net, price = line.net, line.price
    if net is None and (part := _net_part(line.gross, rate)) is not None:
        net = round_amount(part)
    if price is None and (part := _net_part(line.gross_price, rate)) is not None:
        price = round_to_eight_decimals(part)
    quantity = line.quantity
    if quantity is None and price is None:
        quantity, price = Decimal(1), net
    if line.before is not None:
        net, quantity = negate_amount(net), negate_amount(quantity)
    discount = line.discount or Decimal(0)
    if line.before is not None:
        discount = discount.copy_negate()
    return InvoiceLine(
        id=None if line.number is None else f"{line.number:f}",
        name=line.name,
        quantity=quantity,
        unit=line.unit or "C62",
        net_price=price,
        allowances=(AllowanceCharge(amount=discount, reason="Rabat"),) if discount > 0 else (),
        charges=(AllowanceCharge(amount=discount.copy_negate(), reason="Opłata dodatkowa"),)
        if discount < 0
        else (),
        stated_net=net,
        vat_category=None if rate is None else rate.category,
        vat_rate=None if rate is None else rate.rate,
        seller_item_id=line.item_id,
        standard_item_id=None if line.gtin is None else Identifier(line.gtin, "0160"),
    )


def _amount_due(document: FaDocument) -> Decimal:
    """Return the amount to pay, negative if the buyer has paid too much.

    It is stated, or follows from the charges and deductions that were made beside the invoice.
    """
    if document.due is not None:
        return document.due
    if document.overpaid is not None:
        return document.overpaid.copy_negate()
    charged = document.charged or total(item.amount for item in document.charges)
    deducted_total = document.deducted or total(item.amount for item in document.deductions)
    return exact_total(document.gross, charged, deducted_total.copy_negate())


def _totals(document: FaDocument, due: Decimal, reason: str | None) -> Totals:
    vat = total(getattr(document, name) for name in ADDENDS if name.startswith("tax"))
    net = total(getattr(document, name) for name in ADDENDS if name.startswith("net"))
    return Totals(
        lines=total(_line(line).stated_net for line in document.lines),
        net=net,
        vat=vat,
        gross=document.gross,
        due=due,
        breakdown=tuple(_breakdown(document, reason)),
    )


def _breakdown(document: FaDocument, reason: str | None) -> Iterator[VatBreakdown]:
    """Yield the VAT breakdown; a sum that covers two rates is stated at its first line's rate."""
    done_numbers: set[str] = set()
    for word in dict.fromkeys(line.rate for line in document.lines if line.rate is not None):
        rate = BY_WORD.get(word)
        if rate is None or rate.net in done_numbers:
            continue
        done_numbers.add(rate.net)
        yield VatBreakdown(
            taxable=getattr(document, rate.net),
            tax=Decimal(0) if rate.tax is None else getattr(document, rate.tax),
            category=rate.category,
            rate=rate.rate,
            reason=reason if word == EXEMPT else None,
        )


def _payment(document: FaDocument) -> PaymentInstructions | None:
    if document.means is None and document.means_text is None and not document.accounts:
        return None
    code = _PAYMENT_CODES.get(document.means or "", OTHER_PAYMENT)
    return PaymentInstructions(
        code=code,
        text=document.means_text or _MEANS_WORDS.get(document.means or ""),
        accounts=tuple(
            PayeeAccount(iban=item.number, bic=item.bic, name=item.name)
            for item in document.accounts
        ),
    )
