"""Translation of the content of a FatturaPA file to an invoice."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from moorage.invoices.amounts import exact_sum, exact_total, round_amount, total
from moorage.invoices.fatturapa.codes import CATEGORIES, OTHER_PAYMENT, PAYMENT_CODES, TYPE_CODES
from moorage.invoices.fatturapa.outgoing import FISCAL_CODE, OFFICE
from moorage.invoices.fatturapa.values import FatturaPa, Withholding
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
    SupportingDocument,
    Totals,
    VatBreakdown,
)
from moorage.invoices.values.totals import exemptions_of

if TYPE_CHECKING:
    from moorage.invoices.fatturapa.layout import (
        DetailLine,
        Discount,
        Document,
        PartyPlace,
        PensionFund,
        TaxPerson,
        VatSummary,
    )

_ALLOWANCE: Final = "SC"
_CHARGE: Final = "AC"


def fattura_of(document: Document) -> FatturaPa:
    """Return the invoice in a file's content, unchecked."""
    lines = [line for line in document.lines if line.kind not in {_ALLOWANCE, _CHARGE}]
    extra_lines = [line for line in document.lines if line.kind in {_ALLOWANCE, _CHARGE}]
    natures: dict[str, str] = {}
    line_natures: dict[int, str] = {}
    for number, line in enumerate((*lines, *extra_lines), 1):
        category = _category(line.nature)
        if line.nature and natures.setdefault(category, line.nature) != line.nature:
            line_natures[number] = line.nature
    for fund in document.funds:
        if fund.nature:
            natures.setdefault(_category(fund.nature), fund.nature)
    return FatturaPa(
        invoice=_invoice(document, lines, extra_lines),
        transmitter=f"{document.sender_country or ''}{document.sender_code or ''}",
        progressive=document.progressive or "",
        recipient_code=document.recipient_code,
        recipient_pec=document.recipient_pec,
        document_type=document.type,
        regime=(document.seller and document.seller.regime) or "RF01",
        vat_due=next((item.due for item in document.summaries if item.due), None),
        natures=natures,
        line_natures=line_natures,
        withholdings=tuple(
            Withholding(type=item.type, amount=item.amount, rate=item.rate, reason=item.reason)
            for item in document.withholdings
        ),
        withheld_lines=tuple(number for number, line in enumerate(lines, 1) if line.withheld),
        stamp_duty=document.stamp_duty,
    )


def _category(nature: str | None) -> str:
    return "S" if nature is None else CATEGORIES.get(nature, "E")


def _invoice(document: Document, lines: list[DetailLine], extra: list[DetailLine]) -> Invoice:
    allowances = tuple(_allowance(line) for line in extra if line.kind == _ALLOWANCE)
    charges = tuple(_allowance(line) for line in extra if line.kind == _CHARGE)
    totals = _totals(document, lines, allowances, charges)
    order = next(iter(document.orders), None)
    related_documents = (*document.orders, *document.contracts, *document.receipts)
    note = next(iter(document.delivery_notes), None)
    gross = exact_total(totals.gross, document.rounding)
    prepaid = exact_total(gross, None if totals.due is None else totals.due.copy_negate())
    installment = next((item for part in document.payments for item in part.installments), None)
    seller = document.seller
    return Invoice(
        number=document.number,
        issue_date=document.day,
        type_code=TYPE_CODES.get(document.type or "", "380"),
        currency=document.currency,
        due_date=None if installment is None else installment.day,
        accounting_cost=None if seller is None else seller.reference,
        project=next(
            (item.project for item in related_documents if item.project is not None), None
        ),
        tender=next((item.tender for item in related_documents if item.tender is not None), None),
        purchase_order=None if order is None else order.number,
        contract=next((item.number for item in document.contracts), None),
        receiving_advice=next((item.number for item in document.receipts), None),
        despatch_advice=None if note is None else note.number,
        delivery=None if note is None else InvoiceDelivery(date=note.day),
        notes=tuple(Note(cause.text) for cause in document.causes),
        preceding=tuple(
            PrecedingInvoice(number=item.number, issue_date=item.day) for item in document.preceding
        ),
        seller=_party(seller),
        buyer=_party(document.buyer, document.recipient_code),
        payee=None
        if installment is None or installment.payee is None
        else Party(name=installment.payee),
        tax_representative=_party(document.representative),
        payment_reference=None if installment is None else installment.reference,
        payment=_payment(document),
        allowances=allowances,
        charges=(*charges, *(_fund(item) for item in document.funds)),
        prepaid=prepaid or None,
        rounding=document.rounding,
        exemptions=exemptions_of(totals.breakdown),
        documents=tuple(
            SupportingDocument(
                id=item.name,
                filename=item.name,
                description=item.description,
                content=item.content,
                media_type="application/pdf" if item.format == "PDF" else None,
            )
            for item in document.attachments
        ),
        lines=tuple(_line(line) for line in lines),
        stated_totals=totals,
    )


def _party(person: TaxPerson | None, office: str | None = None) -> Party | None:
    if person is None:
        return None
    vat_id = f"{person.vat_country or ''}{person.vat_code or ''}"
    names = " ".join(filter(None, (person.first_name, person.last_name)))
    has_contact = person.phone is not None or person.email is not None
    return Party(
        name=person.name or names,
        vat_id=vat_id,
        legal_id=None
        if person.fiscal_code is None
        else Identifier(person.fiscal_code, FISCAL_CODE),
        endpoint=Identifier(office, OFFICE) if office is not None and len(office) == 6 else None,
        address=_address(person.place),
        contact=ContactPoint(phone=person.phone, email=person.email) if has_contact else None,
    )


def _address(place: PartyPlace | None) -> PostalAddress | None:
    if place is None:
        return None
    return PostalAddress(
        line1=" ".join(filter(None, (place.street, place.house))),
        postal_code=place.postal_code,
        city=place.city,
        region=place.province,
        country=place.country,
    )


def _line(line: DetailLine) -> InvoiceLine:
    codes = {code.type: code.code for code in reversed(line.codes)}
    seller_item_id = codes.pop("INTERNO", None)
    scheme, code = next(iter(codes.items()), (None, None))
    has_period = line.start is not None or line.end is not None
    return InvoiceLine(
        id=None if line.number is None else f"{line.number:f}",
        name=line.description,
        quantity=Decimal(1) if line.quantity is None else line.quantity,
        unit=line.unit or "C62",
        period=Period(start=line.start, end=line.end) if has_period else None,
        net_price=line.price,
        allowances=_discounts(line, _ALLOWANCE),
        charges=_discounts(line, "MG"),
        stated_net=None if line.total is None else round_amount(line.total),
        vat_category=_category(line.nature),
        vat_rate=line.rate,
        standard_item_id=None
        if code is None
        else Identifier(code, "0160" if scheme == "EAN" else scheme),
        seller_item_id=seller_item_id,
        accounting_cost=line.reference,
    )


def discount_steps(line: DetailLine) -> list[tuple[Discount, Fraction]]:
    """Return a line's discounts and surcharges, each with its amount per unit.

    A percentage applies to the price after the earlier discounts.
    """
    price = Fraction(line.price or 0)
    steps: list[tuple[Discount, Fraction]] = []
    for item in line.discounts:
        amount = (
            abs(Fraction(item.amount))
            if item.amount is not None
            else price * Fraction(item.percent or 0) / 100
        )
        steps.append((item, amount))
        price += -amount if item.type == _ALLOWANCE else amount
    return steps


def _discounts(line: DetailLine, kind: str) -> tuple[AllowanceCharge, ...]:
    quantity = Fraction(1) if line.quantity is None else Fraction(line.quantity)
    return tuple(
        AllowanceCharge(
            amount=round_amount(amount * quantity),
            percent=item.percent,
            reason="Sconto" if kind == _ALLOWANCE else "Maggiorazione",
        )
        for item, amount in discount_steps(line)
        if item.type == kind
    )


def _allowance(line: DetailLine) -> AllowanceCharge:
    amount = line.total
    if amount is not None and line.kind == _ALLOWANCE:
        amount = amount.copy_negate()
    return AllowanceCharge(
        amount=amount,
        reason=line.description,
        vat_category=_category(line.nature),
        vat_rate=line.rate,
    )


def _fund(item: PensionFund) -> AllowanceCharge:
    return AllowanceCharge(
        amount=item.amount,
        base_amount=item.base,
        percent=item.percent,
        reason="Contributo cassa previdenziale",
        reason_code=item.type,
        vat_category=_category(item.nature),
        vat_rate=item.rate,
    )


def _breakdown(item: VatSummary) -> VatBreakdown:
    return VatBreakdown(
        taxable=item.taxable,
        tax=item.tax,
        category=_category(item.nature),
        rate=item.rate,
        reason=item.law,
    )


def _totals(
    document: Document,
    lines: list[DetailLine],
    allowances: tuple[AllowanceCharge, ...],
    charges: tuple[AllowanceCharge, ...],
) -> Totals:
    net = total(item.taxable for item in document.summaries)
    vat = total(item.tax for item in document.summaries)
    gross = total((net, vat)) if document.gross is None else document.gross
    added_amounts = [item.amount for item in charges] + [item.amount for item in document.funds]
    return Totals(
        lines=total(line.total for line in lines),
        allowances=total(item.amount for item in allowances) if allowances else None,
        charges=total(added_amounts) if added_amounts else None,
        net=net,
        vat=vat,
        gross=gross,
        due=_amount_due(document, gross, vat),
        breakdown=tuple(_breakdown(item) for item in document.summaries),
    )


def _amount_due(document: Document, gross: Decimal, vat: Decimal) -> Decimal:
    """Return the amount due, including the tax that the buyer pays to the state."""
    amounts = [item.amount for part in document.payments for item in part.installments]
    if not amounts:
        return exact_total(gross, document.rounding)
    amounts += [item.amount for item in document.withholdings]
    if any(item.due == "S" for item in document.summaries):
        amounts.append(vat)
    return round_amount(exact_sum(amounts))


def _payment(document: Document) -> PaymentInstructions | None:
    items = [item for part in document.payments for item in part.installments]
    if not items:
        return None
    first_payment = items[0]
    code = PAYMENT_CODES.get(first_payment.means or "", OTHER_PAYMENT)
    accounts = (
        (PayeeAccount(iban=first_payment.iban, bic=first_payment.bic),)
        if first_payment.iban or first_payment.bic
        else ()
    )
    return PaymentInstructions(
        code=code, text=first_payment.means if code == OTHER_PAYMENT else None, accounts=accounts
    )
