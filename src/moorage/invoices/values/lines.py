"""The lines of an invoice, and allowances and charges."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import attrs

from moorage.invoices.amounts import exact_sum, exact_total, round_amount
from moorage.invoices.values.fields import (
    Identifier,
    identifier_field,
    number_field,
    part_field,
    parts_field,
    text_field,
)
from moorage.invoices.values.references import Period


@attrs.frozen(kw_only=True)
class AllowanceCharge:
    """An allowance or a charge of the invoice or of a line.

    Attributes:
        amount: the amount without VAT (BT-92, BT-99, BT-136, BT-141).
        base_amount: the amount that the percentage applies to (BT-93).
        percent: the percentage (BT-94).
        reason: the reason (BT-97).
        reason_code: a code of UNTDID 5189 for allowances, 7161 for charges (BT-98).
        vat_category: VAT category, only for an allowance or charge of the whole invoice (BT-95).
        vat_rate: VAT rate in percent, only for an allowance or charge of the whole invoice (BT-96).
    """

    amount: Decimal | None = number_field()
    base_amount: Decimal | None = number_field()
    percent: Decimal | None = number_field()
    reason: str | None = text_field()
    reason_code: str | None = text_field()
    vat_category: str | None = text_field()
    vat_rate: Decimal | None = number_field()


@attrs.frozen(kw_only=True)
class ItemClass:
    """The class of an item in a classification such as CPV.

    Attributes:
        code: the class (BT-158).
        scheme: a code of UNTDID 7143 for the classification.
        version: version of the classification.
    """

    code: str | None = text_field()
    scheme: str | None = text_field()
    version: str | None = text_field()


@attrs.frozen
class ItemProperty:
    """A property of an item, such as its size.

    Attributes:
        name: name of the property (BT-160).
        value: the property's value (BT-161).
    """

    name: str | None = text_field()
    value: str | None = text_field()


@attrs.frozen(kw_only=True)
class InvoiceLine:
    """A line of the invoice (BG-25).

    Attributes:
        id: identifier of the line (BT-126).
        note: a free text (BT-127).
        object_id: object that the line is about, such as a meter (BT-128).
        quantity: invoiced quantity (BT-129).
        unit: unit of the quantity, as a code of UN/ECE Recommendation 20 or 21, such as 'C62'
            (BT-130).
        stated_net: net amount that a received invoice states (BT-131); None to compute it.
        order_line: line of the purchase order (BT-132).
        accounting_cost: the buyer's account (BT-133).
        period: period of supply (BG-26).
        allowances: allowances of the line (BG-27).
        charges: charges of the line (BG-28).
        net_price: price of one base quantity without VAT (BT-146).
        price_discount: discount that was subtracted from the gross price (BT-147).
        gross_price: price before the discount (BT-148).
        base_quantity: quantity that the price is for; by default 1 (BT-149).
        base_unit: unit of the base quantity (BT-150); without `base_quantity`, the price is for 1.
        vat_category: a code of UNTDID 5305, such as 'S' (BT-151).
        vat_rate: VAT rate in percent (BT-152).
        name: name of the item (BT-153).
        description: description of the item (BT-154).
        seller_item_id: the seller's identifier of the item (BT-155).
        buyer_item_id: the buyer's identifier of the item (BT-156).
        standard_item_id: identifier with a scheme, such as a GTIN (BT-157).
        classes: classes of the item (BT-158).
        origin: country that the item comes from (BT-159).
        properties: properties of the item (BG-32).
    """

    id: str | None = text_field()
    note: str | None = text_field()
    object_id: Identifier | None = identifier_field()
    quantity: Decimal | None = number_field()
    unit: str | None = text_field()
    stated_net: Decimal | None = number_field()
    order_line: str | None = text_field()
    accounting_cost: str | None = text_field()
    period: Period | None = part_field(Period)
    allowances: tuple[AllowanceCharge, ...] = parts_field(AllowanceCharge)
    charges: tuple[AllowanceCharge, ...] = parts_field(AllowanceCharge)
    net_price: Decimal | None = number_field()
    price_discount: Decimal | None = number_field()
    gross_price: Decimal | None = number_field()
    base_quantity: Decimal | None = number_field()
    base_unit: str | None = text_field()
    vat_category: str | None = text_field()
    vat_rate: Decimal | None = number_field()
    name: str | None = text_field()
    description: str | None = text_field()
    seller_item_id: str | None = text_field()
    buyer_item_id: str | None = text_field()
    standard_item_id: Identifier | None = identifier_field()
    classes: tuple[ItemClass, ...] = parts_field(ItemClass)
    origin: str | None = text_field()
    properties: tuple[ItemProperty, ...] = parts_field(ItemProperty)

    @property
    def net_amount(self) -> Decimal | None:
        """Return the stated net amount, or else the computed one."""
        return self.computed_net if self.stated_net is None else self.stated_net

    @property
    def computed_net(self) -> Decimal | None:
        """Compute quantity times price plus charges minus allowances; None without a price."""
        if self.quantity is None or self.net_price is None or self.base_quantity == 0:
            return None
        gross = Fraction(self.quantity) * Fraction(self.net_price)
        if self.base_quantity is not None:
            gross /= Fraction(self.base_quantity)
        charges = exact_sum(charge.amount for charge in self.charges)
        return round_amount(gross + charges - exact_sum(item.amount for item in self.allowances))

    def with_prices(self) -> InvoiceLine:
        """Return the line; if it has only a gross price or only a discount, compute the other.

        The syntaxes require both. A missing discount is zero; a missing gross price is the net
        price plus the discount. A base quantity that is stated only by its unit is 1.
        """
        if self.base_unit is not None and self.base_quantity is None:
            return attrs.evolve(self, base_quantity=Decimal(1)).with_prices()
        if self.gross_price is not None and self.price_discount is None:
            return attrs.evolve(self, price_discount=Decimal(0))
        if self.gross_price is None and None not in {self.price_discount, self.net_price}:
            gross = exact_total(self.net_price, self.price_discount)
            return attrs.evolve(self, gross_price=gross)
        return self
