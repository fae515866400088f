"""The invoice, and the computation of its totals."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import attrs

from moorage.invoices.amounts import exact_sum, percentage, round_amount, total
from moorage.invoices.values.fields import (
    Identifier,
    day_field,
    identifier_field,
    number_field,
    part_field,
    parts_field,
    text_field,
)
from moorage.invoices.values.lines import AllowanceCharge, InvoiceLine
from moorage.invoices.values.parties import Party
from moorage.invoices.values.payment import PaymentInstructions
from moorage.invoices.values.references import (
    InvoiceDelivery,
    Note,
    Period,
    PrecedingInvoice,
    SupportingDocument,
)
from moorage.invoices.values.totals import Totals, VatBreakdown, VatExemption, exemptions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from moorage.invoices.profiles import Profile


@attrs.frozen(kw_only=True)
class Invoice:
    """An invoice or credit note by EN 16931. Parties, accounts and notes are not in its repr.

    Attributes:
        number: number of the invoice (BT-1).
        issue_date: day of issue (BT-2).
        type_code: a code of UNTDID 1001, such as '380' (BT-3); '381' is a credit note.
        currency: ISO 4217 currency of all amounts (BT-5).
        tax_currency: currency of the seller's VAT accounting, if different (BT-6).
        tax_point_date: day when VAT becomes due (BT-7).
        tax_point_code: event that makes VAT due, as a code of UNTDID 2005 (BT-8).
        due_date: day when payment is due (BT-9).
        buyer_reference: the buyer's reference, in Germany the Leitweg-ID (BT-10).
        project: reference of a project (BT-11).
        contract: reference of a contract (BT-12).
        purchase_order: the buyer's order (BT-13).
        sales_order: the seller's order (BT-14).
        receiving_advice: reference of a receiving advice (BT-15).
        despatch_advice: reference of a despatch advice (BT-16).
        tender: reference of a tender or lot (BT-17).
        object_id: identifier of the object that the invoice is about, such as a meter (BT-18).
        accounting_cost: the buyer's account (BT-19).
        payment_terms: terms of payment, with their white space (BT-20).
        notes: free texts (BG-1).
        process: business process; by default the profile's (BT-23).
        specification: identifier of the rules that the invoice follows; by default the profile's
            (BT-24).
        preceding: earlier invoices (BG-3).
        seller: the seller (BG-4).
        buyer: the buyer (BG-7).
        payee: the payee, if it is not the seller (BG-10).
        tax_representative: the seller's tax representative (BG-11).
        delivery: the delivery (BG-13).
        period: period of supply (BG-14).
        payment_reference: text for the payment, such as the number of the invoice (BT-83).
        creditor_id: the creditor's SEPA identifier for direct debits (BT-90).
        payment: the way to pay (BG-16).
        allowances: allowances of the whole invoice (BG-20).
        charges: charges of the whole invoice (BG-21).
        prepaid: amount that was paid already (BT-113).
        rounding: amount that is added to round the amount due (BT-114).
        vat_in_tax_currency: total VAT in `tax_currency` (BT-111).
        exemptions: the reasons for which VAT categories have no VAT.
        documents: supporting documents (BG-24).
        lines: lines (BG-25).
        stated_totals: totals that a received invoice states; None to compute them.
    """

    number: str | None = text_field()
    issue_date: date | None = day_field()
    type_code: str | None = text_field()
    currency: str | None = text_field()
    tax_currency: str | None = text_field()
    tax_point_date: date | None = day_field()
    tax_point_code: str | None = text_field()
    due_date: date | None = day_field()
    buyer_reference: str | None = text_field(private=True)
    project: str | None = text_field()
    contract: str | None = text_field()
    purchase_order: str | None = text_field()
    sales_order: str | None = text_field()
    receiving_advice: str | None = text_field()
    despatch_advice: str | None = text_field()
    tender: str | None = text_field()
    object_id: Identifier | None = identifier_field()
    accounting_cost: str | None = text_field()
    payment_terms: str | None = text_field(private=True, strip=False)
    notes: tuple[Note, ...] = parts_field(Note, private=True)
    process: str | None = text_field()
    specification: str | None = text_field()
    preceding: tuple[PrecedingInvoice, ...] = parts_field(PrecedingInvoice)
    seller: Party | None = part_field(Party, private=True)
    buyer: Party | None = part_field(Party, private=True)
    payee: Party | None = part_field(Party, private=True)
    tax_representative: Party | None = part_field(Party, private=True)
    delivery: InvoiceDelivery | None = part_field(InvoiceDelivery, private=True)
    period: Period | None = part_field(Period)
    payment_reference: str | None = text_field(private=True)
    creditor_id: str | None = text_field(private=True)
    payment: PaymentInstructions | None = part_field(PaymentInstructions, private=True)
    allowances: tuple[AllowanceCharge, ...] = parts_field(AllowanceCharge)
    charges: tuple[AllowanceCharge, ...] = parts_field(AllowanceCharge)
    prepaid: Decimal | None = number_field()
    rounding: Decimal | None = number_field()
    vat_in_tax_currency: Decimal | None = number_field()
    exemptions: tuple[VatExemption, ...] = parts_field(VatExemption)
    documents: tuple[SupportingDocument, ...] = parts_field(SupportingDocument)
    lines: tuple[InvoiceLine, ...] = parts_field(InvoiceLine)
    stated_totals: Totals | None = part_field(Totals)

    @property
    def totals(self) -> Totals:
        """Compute the totals from lines, allowances and charges, ignoring stated totals."""
        breakdown = tuple(self._breakdown())
        lines = total(line.net_amount for line in self.lines)
        allowances = total(item.amount for item in self.allowances)
        charges = total(item.amount for item in self.charges)
        net = round_amount(exact_sum((lines, charges)) - exact_sum((allowances,)))
        vat = total(part.tax for part in breakdown)
        gross = total((net, vat))
        return Totals(
            lines=lines,
            allowances=allowances if self.allowances else None,
            charges=charges if self.charges else None,
            net=net,
            vat=vat,
            gross=gross,
            due=round_amount(exact_sum((gross, self.rounding)) - exact_sum((self.prepaid,))),
            breakdown=breakdown,
        )

    def _breakdown(self) -> Iterator[VatBreakdown]:
        taxable: dict[tuple[str, Decimal | None], list[Decimal]] = {}
        reasons = {item.category: item for item in reversed(self.exemptions)}
        for line in self.lines:
            _collect_amount(taxable, line.vat_category, line.vat_rate, line.net_amount)
        for item in self.charges:
            _collect_amount(taxable, item.vat_category, item.vat_rate, item.amount)
        for item in self.allowances:
            amount = None if item.amount is None else item.amount.copy_negate()
            _collect_amount(taxable, item.vat_category, item.vat_rate, amount)
        for (category, rate), amounts in taxable.items():
            base = total(amounts)
            exemption = reasons.get(category, VatExemption())
            yield VatBreakdown(
                taxable=base,
                tax=percentage(base, rate or Decimal(0)),
                category=category,
                rate=rate,
                reason=exemption.reason,
                reason_code=exemption.reason_code,
            )

    def completed(self, profile: Profile) -> Invoice:
        """Return the invoice with computed totals and the profile's identifiers.

        An invoice that states its totals was received or completed already, and is returned
        unchanged.
        """
        if self.stated_totals is not None:
            return self
        totals = self.totals
        return attrs.evolve(
            self,
            specification=self.specification or profile.specification,
            process=self.process or profile.process,
            lines=tuple(
                attrs.evolve(line.with_prices(), stated_net=line.net_amount) for line in self.lines
            ),
            exemptions=exemptions_of(totals.breakdown),
            stated_totals=totals,
        )


def _collect_amount(
    taxable: dict[tuple[str, Decimal | None], list[Decimal]],
    category: str | None,
    rate: Decimal | None,
    amount: Decimal | None,
) -> None:
    if category is not None and amount is not None:
        taxable.setdefault((category, rate), []).append(amount)
