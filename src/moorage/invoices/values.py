"""Values of an electronic invoice, named after the semantic model of EN 16931.

Every field may be missing, so that an ERP can build an invoice piece by piece and a received
invoice can be looked at although it is incomplete. The business rules say what is missing. The
business term of the standard is in brackets, such as BT-1.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.validators import (
    are_all,
    as_tuple,
    check_kind,
    check_text,
    is_maybe,
    is_tuple,
)
from moorage.errors import InvalidData
from moorage.invoices.amounts import PLAIN, exact_sum, exact_total, percentage, rounded, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.invoices.profiles import Profile

_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LARGEST_EXPONENT: Final = 29


def _stripped(value: Any) -> Any:
    """A text without white space around it; None if nothing is left."""
    return (value.strip() or None) if isinstance(value, str) else value


def _is_text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    check_text(value, attribute.name)
    if isinstance(value, str) and _FORBIDDEN.search(value):
        raise InvalidData(
            f"The {attribute.name} contains a control character, which XML cannot carry.",
            field=attribute.name,
            remedy="Remove control characters from the text.",
        )


def _text(*, private: bool = False) -> Any:
    return attrs.field(default=None, converter=_stripped, validator=_is_text, repr=not private)


def _unless_blank(value: Any) -> Any:
    """A text as it is; None if it has white space only."""
    return value if not isinstance(value, str) or value.strip() else None


def _as_number(value: Any) -> Any:
    if type(value) is int or (isinstance(value, str) and PLAIN.fullmatch(value.strip())):
        return Decimal(value)
    return value


def _is_number(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if (
        not isinstance(value, Decimal)
        or not value.is_finite()
        or value.adjusted() > _LARGEST_EXPONENT
        or int(value.as_tuple().exponent) < -20
        or len(value.as_tuple().digits) > 50
    ):
        raise InvalidData(
            f"The {attribute.name} is not an exact number, or it is too large or too long.",
            field=attribute.name,
            remedy="Give a Decimal, an int, or a str such as '149.90'; a float is not exact.",
        )


def _number() -> Any:
    return attrs.field(default=None, converter=_as_number, validator=_is_number)


def _is_day(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    check_kind(value, date, attribute.name)
    if isinstance(value, datetime):
        raise InvalidData(
            f"The {attribute.name} must be a date, not a datetime.",
            field=attribute.name,
            remedy="Give datetime.date, in the time zone of the seller.",
        )


def _day() -> Any:
    return attrs.field(default=None, validator=_is_day)


def _part(kind: type, *, private: bool = False) -> Any:
    return attrs.field(default=None, validator=is_maybe(kind), repr=not private)


def _parts(kind: type, *, private: bool = False) -> Any:
    return attrs.field(default=(), converter=as_tuple, validator=are_all(kind), repr=not private)


def _as_identifier(value: Any) -> Any:
    if isinstance(value, str):
        return Identifier(value) if value.strip() else None
    return value


@attrs.frozen
class Identifier:
    """An identifier and the list that it comes from.

    Attributes:
        value: the identifier itself.
        scheme: a code of the list, such as '0088' for a GLN; None if the parties agreed on one.
    """

    value: str | None = _text(private=True)
    scheme: str | None = _text()


def _identifier() -> Any:
    return attrs.field(
        default=None, converter=_as_identifier, validator=is_maybe(Identifier), repr=False
    )


def _as_identifiers(value: Any) -> Any:
    values = as_tuple(value)
    if not is_tuple(values):
        return values
    return tuple(sorted(map(_as_identifier, values), key=_has_scheme))


def _has_scheme(value: Any) -> bool:
    return isinstance(value, Identifier) and value.scheme is not None


@attrs.frozen(kw_only=True)
class PostalAddress:
    """The address of a party or of a delivery. Its repr shows only the country.

    Attributes:
        line1, line2, line3: street and further lines (BT-35, BT-36, BT-162).
        city: city, town or village (BT-37).
        postal_code: postal code (BT-38).
        region: state, province or county (BT-39).
        country: ISO 3166 country code of two letters (BT-40).
    """

    line1: str | None = _text(private=True)
    line2: str | None = _text(private=True)
    line3: str | None = _text(private=True)
    city: str | None = _text(private=True)
    postal_code: str | None = _text(private=True)
    region: str | None = _text(private=True)
    country: str | None = _text()


@attrs.frozen(kw_only=True)
class ContactPoint:
    """A person or department to ask about the invoice.

    Attributes:
        name: name of the person or department (BT-41).
        phone: telephone number (BT-42).
        email: email address (BT-43).
    """

    name: str | None = _text(private=True)
    phone: str | None = _text(private=True)
    email: str | None = _text(private=True)


@attrs.frozen(kw_only=True)
class Party:
    """A seller, buyer, payee or tax representative.

    A payee has a name, an identifier and a legal identifier only; a tax representative has a name,
    a VAT identifier and an address.

    Attributes:
        name: registered name (BT-27, BT-44, BT-59, BT-62).
        trading_name: name that the party is called by (BT-28).
        ids: identifiers (BT-29), those without a scheme first; a buyer and a payee have at most
            one.
        legal_id: identifier in an official register (BT-30).
        vat_id: VAT identifier with its country prefix, such as 'DE123456789' (BT-31).
        tax_id: identifier at the local tax office (BT-32).
        legal_note: further legal information, such as the share capital (BT-33).
        endpoint: electronic address with its scheme, to which invoices are sent (BT-34).
        address: postal address (BG-5).
        contact: contact point (BG-6).
    """

    name: str | None = _text(private=True)
    trading_name: str | None = _text(private=True)
    ids: tuple[Identifier, ...] = attrs.field(
        default=(), converter=_as_identifiers, validator=are_all(Identifier), repr=False
    )
    legal_id: Identifier | None = _identifier()
    vat_id: str | None = _text(private=True)
    tax_id: str | None = _text(private=True)
    legal_note: str | None = _text(private=True)
    endpoint: Identifier | None = _identifier()
    address: PostalAddress | None = _part(PostalAddress)
    contact: ContactPoint | None = _part(ContactPoint, private=True)


@attrs.frozen(kw_only=True)
class Period:
    """A period of supply; both days belong to it.

    Attributes:
        start: first day (BT-73, BT-134).
        end: last day (BT-74, BT-135).
    """

    start: date | None = _day()
    end: date | None = _day()


@attrs.frozen(kw_only=True)
class InvoiceDelivery:
    """The goods' or services' delivery.

    Attributes:
        name: name of the recipient (BT-70).
        location: identifier of the place (BT-71).
        date: day of the delivery (BT-72).
        address: address of the delivery (BG-15).
    """

    name: str | None = _text(private=True)
    location: Identifier | None = _identifier()
    date: date | None = _day()
    address: PostalAddress | None = _part(PostalAddress)


@attrs.frozen
class Note:
    """A free text of the invoice.

    Attributes:
        text: the text (BT-22).
        subject: a code of UNTDID 4451 for its subject (BT-21).
    """

    text: str | None = _text()
    subject: str | None = attrs.field(
        default=None, kw_only=True, converter=_stripped, validator=_is_text
    )


@attrs.frozen(kw_only=True)
class PrecedingInvoice:
    """An earlier invoice that this one corrects or continues.

    Attributes:
        number: its number (BT-25).
        issue_date: its date (BT-26).
    """

    number: str | None = _text()
    issue_date: date | None = _day()


@attrs.frozen(kw_only=True)
class SupportingDocument:
    """A document that belongs to the invoice, embedded or at an address.

    Attributes:
        id: identifier of the document (BT-122).
        description: its description (BT-123).
        url: address of the document (BT-124).
        content: the embedded document (BT-125).
        media_type: its type, such as 'application/pdf'.
        filename: its file name.
    """

    id: str | None = _text()
    description: str | None = _text()
    url: str | None = _text()
    content: bytes | None = _part(bytes, private=True)
    media_type: str | None = _text()
    filename: str | None = _text()


@attrs.frozen(kw_only=True)
class PayeeAccount:
    """An account that a credit transfer goes to (BG-17).

    Attributes:
        iban: IBAN or another account number (BT-84).
        name: name of the account (BT-85).
        bic: BIC or another identifier of the bank (BT-86).
    """

    iban: str | None = _text(private=True)
    name: str | None = _text(private=True)
    bic: str | None = _text()


@attrs.frozen(kw_only=True)
class InvoiceCard:
    """The card that the invoice was paid with (BG-18).

    Attributes:
        last_digits: the last four to six digits of the number, and never more (BT-87).
        network: the card's network, which only UBL carries.
        holder: name of the card's holder (BT-88).
    """

    last_digits: str | None = _text(private=True)
    network: str | None = _text()
    holder: str | None = _text(private=True)


@attrs.frozen(kw_only=True)
class DirectDebit:
    """A direct debit of the buyer's account (BG-19).

    Attributes:
        mandate: reference of the mandate (BT-89).
        account: account that is debited (BT-91).
    """

    mandate: str | None = _text(private=True)
    account: str | None = _text(private=True)


@attrs.frozen(kw_only=True)
class PaymentInstructions:
    """The way that the invoice is to be paid (BG-16).

    Attributes:
        code: a code of UNTDID 4461, such as '58' for a SEPA credit transfer (BT-81).
        text: its description (BT-82).
        accounts: the accounts of a credit transfer; the buyer chooses one (BG-17).
        card: the card of a card payment (BG-18).
        direct_debit: a direct debit (BG-19).
    """

    code: str | None = _text()
    text: str | None = _text()
    accounts: tuple[PayeeAccount, ...] = _parts(PayeeAccount)
    card: InvoiceCard | None = _part(InvoiceCard)
    direct_debit: DirectDebit | None = _part(DirectDebit)


@attrs.frozen(kw_only=True)
class AllowanceCharge:
    """An allowance or a charge of the invoice or of a line.

    Attributes:
        amount: the amount without VAT (BT-92, BT-99, BT-136, BT-141).
        base_amount: the amount that the percentage is of (BT-93).
        percent: the percentage (BT-94).
        reason: the reason (BT-97).
        reason_code: a code of UNTDID 5189 for allowances, 7161 for charges (BT-98).
        vat_category: VAT category, on the invoice's level only (BT-95).
        vat_rate: VAT rate in percent, on the invoice's level only (BT-96).
    """

    amount: Decimal | None = _number()
    base_amount: Decimal | None = _number()
    percent: Decimal | None = _number()
    reason: str | None = _text()
    reason_code: str | None = _text()
    vat_category: str | None = _text()
    vat_rate: Decimal | None = _number()


@attrs.frozen(kw_only=True)
class ItemClass:
    """The class of an item in a catalogue of classes.

    Attributes:
        code: the class (BT-158).
        scheme: a code of UNTDID 7143 for the catalogue.
        version: version of the catalogue.
    """

    code: str | None = _text()
    scheme: str | None = _text()
    version: str | None = _text()


@attrs.frozen
class ItemProperty:
    """A property of an item, such as its size.

    Attributes:
        name: name of the property (BT-160).
        value: its value (BT-161).
    """

    name: str | None = _text()
    value: str | None = _text()


@attrs.frozen(kw_only=True)
class InvoiceLine:
    """A line of the invoice (BG-25).

    Attributes:
        id: identifier of the line (BT-126).
        note: a free text (BT-127).
        object_id: object that the line is about, such as a meter (BT-128).
        quantity: invoiced quantity (BT-129).
        unit: its unit as a code of UN/ECE Recommendation 20 or 21, such as 'C62' (BT-130).
        stated_net: net amount that a received invoice states (BT-131); None: it is computed.
        order_line: line of the purchase order (BT-132).
        accounting_cost: the buyer's account (BT-133).
        period: period of supply (BG-26).
        allowances: allowances of the line (BG-27).
        charges: charges of the line (BG-28).
        net_price: price of one base quantity without VAT (BT-146).
        price_discount: discount that the net price contains (BT-147).
        gross_price: price before the discount (BT-148).
        base_quantity: quantity that the price is for; None: 1 (BT-149).
        base_unit: unit of the base quantity (BT-150).
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

    id: str | None = _text()
    note: str | None = _text()
    object_id: Identifier | None = _identifier()
    quantity: Decimal | None = _number()
    unit: str | None = _text()
    stated_net: Decimal | None = _number()
    order_line: str | None = _text()
    accounting_cost: str | None = _text()
    period: Period | None = _part(Period)
    allowances: tuple[AllowanceCharge, ...] = _parts(AllowanceCharge)
    charges: tuple[AllowanceCharge, ...] = _parts(AllowanceCharge)
    net_price: Decimal | None = _number()
    price_discount: Decimal | None = _number()
    gross_price: Decimal | None = _number()
    base_quantity: Decimal | None = _number()
    base_unit: str | None = _text()
    vat_category: str | None = _text()
    vat_rate: Decimal | None = _number()
    name: str | None = _text()
    description: str | None = _text()
    seller_item_id: str | None = _text()
    buyer_item_id: str | None = _text()
    standard_item_id: Identifier | None = _identifier()
    classes: tuple[ItemClass, ...] = _parts(ItemClass)
    origin: str | None = _text()
    properties: tuple[ItemProperty, ...] = _parts(ItemProperty)

    @property
    def net_amount(self) -> Decimal | None:
        """The stated net amount, otherwise the computed one."""
        return self.computed_net if self.stated_net is None else self.stated_net

    @property
    def computed_net(self) -> Decimal | None:
        """Quantity times price, plus charges, minus allowances; None without quantity or price."""
        if self.quantity is None or self.net_price is None or self.base_quantity == 0:
            return None
        gross = Fraction(self.quantity) * Fraction(self.net_price)
        if self.base_quantity is not None:
            gross /= Fraction(self.base_quantity)
        charges = exact_sum(charge.amount for charge in self.charges)
        return rounded(gross + charges - exact_sum(item.amount for item in self.allowances))

    def with_prices(self) -> InvoiceLine:
        """The line with both gross price and discount, if it has one of them.

        The syntaxes require both. Without a discount it is zero, and without a gross price that is
        the net price plus the discount.
        """
        if self.gross_price is not None and self.price_discount is None:
            return attrs.evolve(self, price_discount=Decimal(0))
        if self.gross_price is None and None not in {self.price_discount, self.net_price}:
            gross = exact_total(self.net_price, self.price_discount)
            return attrs.evolve(self, gross_price=gross)
        return self


@attrs.frozen(kw_only=True)
class VatExemption:
    """The reason why a VAT category has no VAT.

    Attributes:
        category: VAT category, such as 'E' (BT-118).
        reason: the reason as a text (BT-120).
        reason_code: the reason as a VATEX code (BT-121).
    """

    category: str | None = _text()
    reason: str | None = _text()
    reason_code: str | None = _text()


@attrs.frozen(kw_only=True)
class VatBreakdown:
    """The VAT of one category and rate (BG-23).

    Attributes:
        taxable: amount that the VAT is of (BT-116).
        tax: amount of VAT (BT-117).
        category: a code of UNTDID 5305 (BT-118).
        rate: rate in percent (BT-119).
        reason: why there is no VAT, as a text (BT-120).
        reason_code: why there is no VAT, as a VATEX code (BT-121).
    """

    taxable: Decimal | None = _number()
    tax: Decimal | None = _number()
    category: str | None = _text()
    rate: Decimal | None = _number()
    reason: str | None = _text()
    reason_code: str | None = _text()


@attrs.frozen(kw_only=True)
class Totals:
    """The sums of an invoice (BG-22) and its VAT breakdown (BG-23).

    Attributes:
        lines: sum of the lines' net amounts (BT-106).
        allowances: sum of the invoice's allowances; None without any (BT-107).
        charges: sum of the invoice's charges; None without any (BT-108).
        net: total without VAT (BT-109).
        vat: total VAT (BT-110).
        gross: total with VAT (BT-112).
        due: amount due for payment (BT-115).
        breakdown: the VAT of each category and rate.
    """

    lines: Decimal | None = _number()
    allowances: Decimal | None = _number()
    charges: Decimal | None = _number()
    net: Decimal | None = _number()
    vat: Decimal | None = _number()
    gross: Decimal | None = _number()
    due: Decimal | None = _number()
    breakdown: tuple[VatBreakdown, ...] = _parts(VatBreakdown)


@attrs.frozen(kw_only=True)
class Invoice:
    """An invoice or credit note by EN 16931. Parties, accounts and notes are not in its repr.

    Attributes:
        number: number of the invoice (BT-1).
        issue_date: day of issue (BT-2).
        type_code: a code of UNTDID 1001, such as '380' (BT-3); '381' is a credit note.
        currency: ISO 4217 currency of all amounts (BT-5).
        tax_currency: currency of the seller's VAT accounts, if another (BT-6).
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
        object_id: object that the invoice is about, such as a meter (BT-18).
        accounting_cost: the buyer's account (BT-19).
        payment_terms: terms of payment, with their white space (BT-20).
        notes: free texts (BG-1).
        process: business process; the profile's if None (BT-23).
        specification: rules that the invoice follows; the profile's if None (BT-24).
        preceding: earlier invoices (BG-3).
        seller: the seller (BG-4).
        buyer: the buyer (BG-7).
        payee: the payee, if not the seller (BG-10).
        tax_representative: the seller's tax representative (BG-11).
        delivery: the delivery (BG-13).
        period: period of supply (BG-14).
        payment_reference: text for the payment, such as the number of the invoice (BT-83).
        creditor_id: the creditor's SEPA identifier for direct debits (BT-90).
        payment: the way to pay (BG-16).
        allowances: allowances of the whole invoice (BG-20).
        charges: charges of the whole invoice (BG-21).
        prepaid: amount that was paid already (BT-113).
        rounding: amount that rounds the amount due (BT-114).
        vat_in_tax_currency: total VAT in `tax_currency` (BT-111).
        exemptions: why VAT categories have no VAT.
        documents: supporting documents (BG-24).
        lines: lines (BG-25).
        stated_totals: totals that a received invoice states; None: they are computed.
    """

    number: str | None = _text()
    issue_date: date | None = _day()
    type_code: str | None = _text()
    currency: str | None = _text()
    tax_currency: str | None = _text()
    tax_point_date: date | None = _day()
    tax_point_code: str | None = _text()
    due_date: date | None = _day()
    buyer_reference: str | None = _text(private=True)
    project: str | None = _text()
    contract: str | None = _text()
    purchase_order: str | None = _text()
    sales_order: str | None = _text()
    receiving_advice: str | None = _text()
    despatch_advice: str | None = _text()
    tender: str | None = _text()
    object_id: Identifier | None = _identifier()
    accounting_cost: str | None = _text()
    payment_terms: str | None = attrs.field(
        default=None, converter=_unless_blank, validator=_is_text, repr=False
    )
    notes: tuple[Note, ...] = _parts(Note, private=True)
    process: str | None = _text()
    specification: str | None = _text()
    preceding: tuple[PrecedingInvoice, ...] = _parts(PrecedingInvoice)
    seller: Party | None = _part(Party, private=True)
    buyer: Party | None = _part(Party, private=True)
    payee: Party | None = _part(Party, private=True)
    tax_representative: Party | None = _part(Party, private=True)
    delivery: InvoiceDelivery | None = _part(InvoiceDelivery, private=True)
    period: Period | None = _part(Period)
    payment_reference: str | None = _text(private=True)
    creditor_id: str | None = _text(private=True)
    payment: PaymentInstructions | None = _part(PaymentInstructions, private=True)
    allowances: tuple[AllowanceCharge, ...] = _parts(AllowanceCharge)
    charges: tuple[AllowanceCharge, ...] = _parts(AllowanceCharge)
    prepaid: Decimal | None = _number()
    rounding: Decimal | None = _number()
    vat_in_tax_currency: Decimal | None = _number()
    exemptions: tuple[VatExemption, ...] = _parts(VatExemption)
    documents: tuple[SupportingDocument, ...] = _parts(SupportingDocument)
    lines: tuple[InvoiceLine, ...] = _parts(InvoiceLine)
    stated_totals: Totals | None = _part(Totals)

    @property
    def totals(self) -> Totals:
        """The totals computed from lines, allowances and charges, whatever the invoice states."""
        breakdown = tuple(self._breakdown())
        lines = total(line.net_amount for line in self.lines)
        allowances = total(item.amount for item in self.allowances)
        charges = total(item.amount for item in self.charges)
        net = rounded(exact_sum((lines, charges)) - exact_sum((allowances,)))
        vat = total(part.tax for part in breakdown)
        gross = total((net, vat))
        return Totals(
            lines=lines,
            allowances=allowances if self.allowances else None,
            charges=charges if self.charges else None,
            net=net,
            vat=vat,
            gross=gross,
            due=rounded(exact_sum((gross, self.rounding)) - exact_sum((self.prepaid,))),
            breakdown=breakdown,
        )

    def _breakdown(self) -> Iterator[VatBreakdown]:
        taxable: dict[tuple[str, Decimal | None], list[Decimal]] = {}
        reasons = {item.category: item for item in reversed(self.exemptions)}
        for line in self.lines:
            _collect(taxable, line.vat_category, line.vat_rate, line.net_amount)
        for item in self.charges:
            _collect(taxable, item.vat_category, item.vat_rate, item.amount)
        for item in self.allowances:
            amount = None if item.amount is None else item.amount.copy_negate()
            _collect(taxable, item.vat_category, item.vat_rate, amount)
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
        """The invoice with its computed totals and the profile's identifiers.

        An invoice that states its totals is returned unchanged, because it was received or
        completed already, and nothing of it may be invented.
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


def exemptions_of(breakdown: Iterable[VatBreakdown]) -> tuple[VatExemption, ...]:
    """The reasons for exemption that a VAT breakdown contains, one for each category."""
    reasons: dict[str | None, VatExemption] = {}
    for part in breakdown:
        if part.reason is not None or part.reason_code is not None:
            reasons.setdefault(
                part.category,
                VatExemption(
                    category=part.category, reason=part.reason, reason_code=part.reason_code
                ),
            )
    return tuple(reasons.values())


def _collect(
    taxable: dict[tuple[str, Decimal | None], list[Decimal]],
    category: str | None,
    rate: Decimal | None,
    amount: Decimal | None,
) -> None:
    if category is not None and amount is not None:
        taxable.setdefault((category, rate), []).append(amount)
