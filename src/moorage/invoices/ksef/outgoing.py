"""Translation of an invoice to the content of an FA(3) file."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.invoices.amounts import exact_sum, round_amount, round_to_eight_decimals, total
from moorage.invoices.ksef.layout import (
    CorrectedInvoice,
    FaAccount,
    FaContact,
    FaContract,
    FaDocument,
    FaFooter,
    FaLine,
    FaOrder,
    FaPerson,
    FaReference,
    FaSettlement,
    FaTerm,
)
from moorage.invoices.ksef.rates import BY_WORD, EXEMPT, rate_of
from moorage.invoices.profiles import EN16931

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.invoices.ksef.values import KsefInvoice
    from moorage.invoices.values import AllowanceCharge, Invoice, InvoiceLine, Party

HOME: Final = "PL"
KINDS: Final = {"384": "KOR", "381": "KOR", "386": "ZAL"}
"""The kinds of invoices by the codes of UNTDID 1001; every other code is a VAT invoice."""
SELF_BILLED: Final = "389"
PAYMENT_MEANS: Final = {
    "10": "1",
    "48": "2",
    "54": "2",
    "55": "2",
    "20": "4",
    "30": "6",
    "58": "6",
}
"""Means of payment by the codes of UNTDID 4461."""
EU: Final = frozenset(
    {
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU"),
        *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PT", "RO", "SE", "SI", "SK", "XI"),
    }
)
"""The prefixes of VAT identifiers in the EU, without Poland's."""
DEDUCTION: Final = "Zapłacono"
"""The reason of the deduction of what was paid before."""


def document_of(ksef: KsefInvoice) -> FaDocument:
    """Return a file's content for an invoice; a credit note gets negative amounts."""
    invoice = ksef.invoice
    if invoice.type_code == "381":
        invoice = _negate_amounts(invoice)
    invoice = attrs.evolve(invoice, stated_totals=None).completed(EN16931)
    is_domestic = _country(invoice.buyer) == HOME
    lines = (*_lines(invoice, at_home=is_domestic), *_extra_lines(invoice, at_home=is_domestic))
    words = {line.rate for line in lines}
    is_reversed = bool(words & {"oo", "np II"})
    sums = _sums_by_rate(ksef, lines)
    gross = total(value for name, value in sums.items() if not name.startswith("tax_pln"))
    return FaDocument(
        seller=_seller(invoice.seller, in_eu="0 WDT" in words),
        buyer=_buyer(ksef, invoice.buyer),
        currency=invoice.currency,
        day=invoice.issue_date,
        place=ksef.place,
        number=invoice.number,
        delivery_notes=_references(invoice.despatch_advice),
        **_supply(invoice),
        **sums,
        gross=gross,
        exchange_rate=ksef.exchange_rate,
        cash_method=_flag(ksef.cash_method),
        self_billed=_flag(invoice.type_code == SELF_BILLED),
        reverse_charge=_flag(is_reversed),
        split_payment=_flag(ksef.split_payment),
        **_exemption(ksef, is_exempt=EXEMPT in words),
        no_vehicles="1",
        triangular="2",
        no_margin="1",
        kind=KINDS.get(invoice.type_code or "", "VAT"),
        correction_reason=ksef.correction_reason,
        corrected=tuple(_corrected_invoices(ksef, invoice)),
        lines=lines,
        **_deductions(invoice, gross),
        **_payment(ksef, invoice),
        contracts=() if invoice.contract is None else (FaContract(number=invoice.contract),),
        orders=() if invoice.purchase_order is None else (FaOrder(number=invoice.purchase_order),),
        footers=tuple(FaFooter(text=note.text) for note in invoice.notes),
    )


def _flag(value: bool) -> str:  # noqa: FBT001 - the only argument
    return "1" if value else "2"


def negate_amount(value: Decimal | None) -> Decimal | None:
    """Return the amount with the opposite sign."""
    return None if value is None else value.copy_negate()


def _negated_items(items: tuple[AllowanceCharge, ...]) -> tuple[AllowanceCharge, ...]:
    return tuple(attrs.evolve(item, amount=negate_amount(item.amount)) for item in items)


def _negate_amounts(invoice: Invoice) -> Invoice:
    """Return the invoice with negative amounts; prices stay positive."""
    return attrs.evolve(
        invoice,
        lines=tuple(
            attrs.evolve(
                line,
                quantity=negate_amount(line.quantity),
                stated_net=negate_amount(line.stated_net),
                allowances=_negated_items(line.allowances),
                charges=_negated_items(line.charges),
            )
            for line in invoice.lines
        ),
        allowances=_negated_items(invoice.allowances),
        charges=_negated_items(invoice.charges),
        prepaid=negate_amount(invoice.prepaid),
    )


def _country(party: Party | None) -> str | None:
    """Return the country of a party, from its VAT identifier or its address."""
    if party is None:
        return None
    if party.vat_id is not None:
        return party.vat_id[:2]
    return None if party.address is None else party.address.country


def _fa_person(party: Party) -> FaPerson:
    address, contact = party.address, party.contact
    lines = () if address is None else (address.line1, address.line2, address.line3)
    city = () if address is None else (address.postal_code, address.city)
    return FaPerson(
        name=party.name,
        country=None if address is None else address.country,
        address=", ".join(filter(None, lines)) or None,
        city=" ".join(filter(None, city)) or None,
        contacts=() if contact is None else (FaContact(email=contact.email, phone=contact.phone),),
    )


def _seller(party: Party | None, *, in_eu: bool) -> FaPerson | None:
    if party is None:
        return None
    vat_id = party.vat_id or ""
    return attrs.evolve(
        _fa_person(party), prefix=HOME if in_eu else None, nip=vat_id.removeprefix(HOME)
    )


def _buyer(ksef: KsefInvoice, party: Party | None) -> FaPerson | None:
    if party is None:
        return None
    person = attrs.evolve(
        _fa_person(party),
        local_unit=_flag(ksef.is_local_unit),
        group_member=_flag(ksef.is_group_member),
    )
    vat_id = party.vat_id
    if vat_id is None:
        return attrs.evolve(person, has_no_id="1")
    country, number = vat_id[:2], vat_id[2:]
    if country == HOME:
        return attrs.evolve(person, nip=number)
    if country in EU:
        return attrs.evolve(person, eu_country=country, eu_number=number)
    return attrs.evolve(person, id_country=country, other_id=number)


def _references(number: str | None) -> tuple[FaReference, ...]:
    return () if number is None else (FaReference(number=number),)


def _supply(invoice: Invoice) -> dict[str, Any]:
    if invoice.period is not None:
        return {"start": invoice.period.start, "end": invoice.period.end}
    return {"supplied": None if invoice.delivery is None else invoice.delivery.date}


def _lines(invoice: Invoice, *, at_home: bool) -> Iterator[FaLine]:
    for number, line in enumerate(invoice.lines, 1):
        rate = rate_of(line.vat_category, line.vat_rate, at_home=at_home)
        discount = exact_sum(item.amount for item in line.allowances)
        discount -= exact_sum(item.amount for item in line.charges)
        yield FaLine(
            number=Decimal(number),
            name=": ".join(filter(None, (line.name, line.description))) or None,
            item_id=line.seller_item_id,
            gtin=None if line.standard_item_id is None else line.standard_item_id.value,
            unit=line.unit,
            quantity=line.quantity,
            price=_unit_price(line),
            discount=round_amount(discount) if discount else None,
            net=line.net_amount,
            rate=None if rate is None else rate.word,
        )


def _unit_price(line: InvoiceLine) -> Decimal | None:
    if line.net_price is None or not line.base_quantity:
        return line.net_price
    return round_to_eight_decimals(Fraction(line.net_price) / Fraction(line.base_quantity))


def _extra_lines(invoice: Invoice, *, at_home: bool) -> Iterator[FaLine]:
    """Yield invoice-level allowances and charges as lines, the only form that FA(3) has."""
    items = [(negate_amount(item.amount), item, "Rabat") for item in invoice.allowances]
    items += [(item.amount, item, "Opłata dodatkowa") for item in invoice.charges]
    for number, (amount, item, default_name) in enumerate(items, len(invoice.lines) + 1):
        rate = rate_of(item.vat_category, item.vat_rate, at_home=at_home)
        yield FaLine(
            number=Decimal(number),
            name=item.reason or default_name,
            unit="C62",
            quantity=Decimal(1),
            price=amount,
            net=amount,
            rate=None if rate is None else rate.word,
        )


def _sums_by_rate(ksef: KsefInvoice, lines: tuple[FaLine, ...]) -> dict[str, Any]:
    """Return the sums for each VAT rate, and also the VAT in złoty if the currency is foreign."""
    sums: dict[str, Decimal] = {}
    for rate_code in dict.fromkeys(line.rate for line in lines if line.rate is not None):
        rate = BY_WORD[rate_code]
        net = total(line.net for line in lines if line.rate == rate_code)
        sums[rate.net] = total((sums.get(rate.net), net))
        if rate.tax is not None:
            tax = round_amount(Fraction(net) * Fraction(rate.rate) / 100)
            sums[rate.tax] = total((sums.get(rate.tax), tax))
    if ksef.exchange_rate is not None:
        for name in [name for name in sums if name.startswith("tax_")]:
            value = round_amount(Fraction(sums[name]) * Fraction(ksef.exchange_rate))
            sums[name.replace("tax_", "tax_pln_")] = value
    return sums


def _exemption(ksef: KsefInvoice, *, is_exempt: bool) -> dict[str, Any]:
    if not is_exempt:
        return {"not_exempt": "1"}
    reasons = (item.reason for item in ksef.invoice.exemptions if item.category == "E")
    return {
        "exempt": "1",
        "exemption_law": ksef.exemption_law,
        "exemption_basis": None if ksef.exemption_law else next(reasons, None),
    }


def _corrected_invoices(ksef: KsefInvoice, invoice: Invoice) -> Iterator[CorrectedInvoice]:
    if invoice.type_code not in {"381", "384"}:
        return
    for item in invoice.preceding:
        number = ksef.ksef_numbers.get(item.number or "")
        yield CorrectedInvoice(
            day=item.issue_date,
            number=item.number,
            in_ksef=None if number is None else "1",
            ksef_number=number,
            outside_ksef="1" if number is None else None,
        )


def _deductions(invoice: Invoice, gross: Decimal) -> dict[str, Any]:
    if not invoice.prepaid:
        return {}
    return {
        "deductions": (FaSettlement(amount=invoice.prepaid, reason=DEDUCTION),),
        "deducted": invoice.prepaid,
        "due": round_amount(Fraction(gross) - Fraction(invoice.prepaid)),
    }


def _payment(ksef: KsefInvoice, invoice: Invoice) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if invoice.due_date is not None:
        fields["terms"] = (FaTerm(day=invoice.due_date),)
    if ksef.paid_on is not None:
        fields |= {"paid": "1", "paid_on": ksef.paid_on}
    payment = invoice.payment
    if payment is None:
        return fields
    means = PAYMENT_MEANS.get(payment.code or "")
    if means is not None:
        fields["means"] = means
    else:
        fields |= {"other_means": "1", "means_text": payment.text or payment.code}
    fields["accounts"] = tuple(
        FaAccount(
            number=None if item.iban is None else item.iban.replace(" ", ""),
            bic=item.bic,
            name=item.name,
        )
        for item in payment.accounts
    )
    return fields
