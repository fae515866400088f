"""UN/CEFACT Cross Industry Invoice D16B: reads and writes the syntax of XRechnung and ZUGFeRD."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.validators import check_kind
from moorage.errors import InvalidData
from moorage.invoices.amounts import total
from moorage.invoices.binding import (
    AMOUNT,
    BASE64,
    CURRENCY_AMOUNT,
    DAY_102,
    IDENTIFIER,
    NUMBER,
    TAX_ID,
    TEXT,
    VAT_ID,
    Box,
    Codec,
    Constant,
    Fields,
    Group,
    Leaf,
    Node,
    Place,
    Special,
    agree,
    element_text,
    joined_sums,
    read_root,
    read_value,
    single,
    split_sums,
    text_at,
    unreadable,
    write_nodes,
)
from moorage.invoices.profiles import EN16931, Profile
from moorage.invoices.values import (
    AllowanceCharge,
    ContactPoint,
    DirectDebit,
    Identifier,
    Invoice,
    InvoiceCard,
    InvoiceDelivery,
    InvoiceLine,
    ItemClass,
    ItemProperty,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

_STANDARD: Final = "urn:un:unece:uncefact:data:standard:"
NAMESPACE: Final = f"{_STANDARD}CrossIndustryInvoice:100"
"""The namespace of the root element."""

_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Za-z0-9 ]{10,40}")
_VAT_CODE: Final = Constant("ram:TypeCode", "VAT")
# The event that makes VAT due: UNTDID 2475, and the same event in UNTDID 2005 as in the model.
_EVENTS: Final = {"5": "3", "29": "35", "72": "432"}
_EVENT_CODES: Final = {code: event for event, code in _EVENTS.items()}


def _is_vat(element: XmlElement) -> bool:
    return (text_at(element, "TypeCode") or "").upper() == "VAT"


def _is_allowance(element: XmlElement) -> bool:
    return text_at(element, "ChargeIndicator", "Indicator") in {"false", "0"}


def _is_charge(element: XmlElement) -> bool:
    return text_at(element, "ChargeIndicator", "Indicator") in {"true", "1"}


def _has_type(code: str) -> Callable[[XmlElement], bool]:
    """A condition: a referenced document is of this type."""
    return lambda element: text_at(element, "TypeCode") == code


def _is_document(element: XmlElement) -> bool:
    return text_at(element, "TypeCode") not in {"50", "130"}


def _has_scheme(scheme: str) -> Callable[[XmlElement], bool]:
    """A condition: a tax registration is of this scheme."""

    def holds(element: XmlElement) -> bool:
        identifier = next(element.all("ID"), None)
        return identifier is not None and identifier.attributes.get("schemeID") == scheme

    return holds


def _nothing(value: Any, currency: str | None) -> Iterator[str]:
    del value, currency
    return iter(())


def _check_indicators(parent: XmlElement, fields: Fields, place: Place) -> None:
    del fields
    for element in parent.all("SpecifiedTradeAllowanceCharge"):
        if not _is_allowance(element) and not _is_charge(element):
            raise unreadable(
                place.inside("SpecifiedTradeAllowanceCharge").inside("ChargeIndicator"),
                "The indicator is neither 'true' nor 'false', so the element is neither an"
                " allowance nor a charge (PEPPOL-EN16931-R043).",
            )


def _reference(tag: str, field: str) -> Box:
    """An element that refers to a document by its number."""
    return Box(tag, (Leaf("ram:IssuerAssignedID", field),))


def _moment(tag: str, field: str) -> Box:
    return Box(tag, (Leaf("udt:DateTimeString", field, DAY_102),))


_ADDRESS: Final = Group(
    "ram:PostalTradeAddress",
    "address",
    PostalAddress,
    (
        Leaf("ram:PostcodeCode", "postal_code"),
        Leaf("ram:LineOne", "line1"),
        Leaf("ram:LineTwo", "line2"),
        Leaf("ram:LineThree", "line3"),
        Leaf("ram:CityName", "city"),
        Leaf("ram:CountryID", "country"),
        Leaf("ram:CountrySubDivisionName", "region"),
    ),
)


def _read_ids(parent: XmlElement, fields: Fields, place: Place) -> None:
    fields["ids"] = [
        identifier
        for tag in ("ID", "GlobalID")
        for element in parent.all(tag)
        if (identifier := IDENTIFIER.read(element, place)) is not None
    ]


def _id_texts(ids: tuple[Identifier, ...]) -> Iterator[str]:
    for identifier in ids:
        tag = "ram:ID" if identifier.scheme is None else "ram:GlobalID"
        yield element_text(tag, identifier.value or "", {"schemeID": identifier.scheme})


def _write_ids(value: Any, currency: str | None) -> Iterator[str]:
    del currency
    return _id_texts(value.ids)


def _read_location(parent: XmlElement, fields: Fields, place: Place) -> None:
    inner: Fields = {}
    _read_ids(parent, inner, place)
    fields["location"] = next(iter(inner["ids"]), None)


def _write_location(value: Any, currency: str | None) -> Iterator[str]:
    del currency
    return _id_texts(() if value.location is None else (value.location,))


def _read_department(parent: XmlElement, fields: Fields, place: Place) -> None:
    del place
    fields.setdefault("name", text_at(parent, "DepartmentName"))


def _registration(scheme: str, field: str, codec: Codec) -> Box:
    return Box(
        "ram:SpecifiedTaxRegistration", (Leaf("ram:ID", field, codec),), only=_has_scheme(scheme)
    )


_VAT_REGISTRATION: Final = _registration("VA", "vat_id", VAT_ID)
_PARTY: Final[tuple[Node, ...]] = (
    Special(_read_ids, _write_ids),
    Leaf("ram:Name", "name"),
    Leaf("ram:Description", "legal_note"),
    Box(
        "ram:SpecifiedLegalOrganization",
        (Leaf("ram:ID", "legal_id", IDENTIFIER), Leaf("ram:TradingBusinessName", "trading_name")),
    ),
    Group(
        "ram:DefinedTradeContact",
        "contact",
        ContactPoint,
        (
            Leaf("ram:PersonName", "name"),
            Special(_read_department, _nothing),
            Box("ram:TelephoneUniversalCommunication", (Leaf("ram:CompleteNumber", "phone"),)),
            Box("ram:EmailURIUniversalCommunication", (Leaf("ram:URIID", "email"),)),
        ),
    ),
    _ADDRESS,
    Box("ram:URIUniversalCommunication", (Leaf("ram:URIID", "endpoint", IDENTIFIER),)),
    _VAT_REGISTRATION,
    _registration("FC", "tax_id", TAX_ID),
)
_PAYEE: Final[tuple[Node, ...]] = (
    Special(_read_ids, _write_ids),
    Leaf("ram:Name", "name"),
    Box("ram:SpecifiedLegalOrganization", (Leaf("ram:ID", "legal_id", IDENTIFIER),)),
)
_TAX_REPRESENTATIVE: Final[tuple[Node, ...]] = (
    Leaf("ram:Name", "name"),
    _ADDRESS,
    _VAT_REGISTRATION,
)


def _allowances(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes of allowances and of charges."""
    return (
        Special(_check_indicators, _nothing),
        *(
            Group(
                "ram:SpecifiedTradeAllowanceCharge",
                field,
                AllowanceCharge,
                (
                    Constant("ram:ChargeIndicator", f"<udt:Indicator>{word}</udt:Indicator>"),
                    Leaf("ram:CalculationPercent", "percent", NUMBER),
                    Leaf("ram:BasisAmount", "base_amount", AMOUNT),
                    Leaf("ram:ActualAmount", "amount", AMOUNT),
                    Leaf("ram:ReasonCode", "reason_code"),
                    Leaf("ram:Reason", "reason"),
                    *nodes,
                ),
                many=True,
                only=only,
            )
            for field, word, only in (
                ("allowances", "false", _is_allowance),
                ("charges", "true", _is_charge),
            )
        ),
    )


_CATEGORY: Final[tuple[Node, ...]] = (
    _VAT_CODE,
    Leaf("ram:CategoryCode", "vat_category"),
    Leaf("ram:RateApplicablePercent", "vat_rate", NUMBER),
)
_PERIOD: Final = Group(
    "ram:BillingSpecifiedPeriod",
    "period",
    Period,
    (_moment("ram:StartDateTime", "start"), _moment("ram:EndDateTime", "end")),
)


def _object(field: str) -> Special:
    """The object that an invoice or a line is about."""
    tag = "AdditionalReferencedDocument"

    def reading(parent: XmlElement, fields: Fields, place: Place) -> None:
        element = single(parent, tag, place, _has_type("130"))
        if element is not None:
            identifier = Identifier(
                text_at(element, "IssuerAssignedID"), text_at(element, "ReferenceTypeCode")
            )
            fields[field] = None if identifier == Identifier() else identifier

    def writing(value: Any, currency: str | None) -> Iterator[str]:
        del currency
        identifier = getattr(value, field)
        if identifier is not None:
            texts = [
                element_text("ram:IssuerAssignedID", identifier.value or "", {}),
                element_text("ram:TypeCode", "130", {}),
            ]
            if identifier.scheme is not None:
                texts.append(element_text("ram:ReferenceTypeCode", identifier.scheme, {}))
            yield f"<ram:{tag}>{''.join(texts)}</ram:{tag}>"

    return Special(reading, writing)


def _read_gross_quantity(parent: XmlElement, fields: Fields, place: Place) -> None:
    """Read the base quantity of the gross price if the net price has none."""
    element = next(parent.all("GrossPriceProductTradePrice"), None)
    if element is not None and fields.get("base_quantity") is None:
        _BASE_QUANTITY.read(element, fields, place.inside("GrossPriceProductTradePrice"))


_BASE_QUANTITY: Final = Leaf(
    "ram:BasisQuantity", "base_quantity", NUMBER, {"unitCode": "base_unit"}
)
_PRODUCT: Final = Box(
    "ram:SpecifiedTradeProduct",
    (
        Leaf("ram:GlobalID", "standard_item_id", IDENTIFIER),
        Leaf("ram:SellerAssignedID", "seller_item_id"),
        Leaf("ram:BuyerAssignedID", "buyer_item_id"),
        Leaf("ram:Name", "name"),
        Leaf("ram:Description", "description"),
        Group(
            "ram:ApplicableProductCharacteristic",
            "properties",
            ItemProperty,
            (Leaf("ram:Description", "name"), Leaf("ram:Value", "value")),
            many=True,
        ),
        Group(
            "ram:DesignatedProductClassification",
            "classes",
            ItemClass,
            (
                Leaf(
                    "ram:ClassCode", "code", TEXT, {"listID": "scheme", "listVersionID": "version"}
                ),
            ),
            many=True,
        ),
        Box("ram:OriginTradeCountry", (Leaf("ram:ID", "origin"),)),
    ),
)
_LINE: Final[tuple[Node, ...]] = (
    Box(
        "ram:AssociatedDocumentLineDocument",
        (
            Leaf("ram:LineID", "id"),
            Box("ram:IncludedNote", (Leaf("ram:Content", "note"),)),
        ),
    ),
    _PRODUCT,
    Box(
        "ram:SpecifiedLineTradeAgreement",
        (
            Box("ram:BuyerOrderReferencedDocument", (Leaf("ram:LineID", "order_line"),)),
            Box(
                "ram:GrossPriceProductTradePrice",
                (
                    Leaf("ram:ChargeAmount", "gross_price", NUMBER),
                    Box(
                        "ram:AppliedTradeAllowanceCharge",
                        (
                            Constant("ram:ChargeIndicator", "<udt:Indicator>false</udt:Indicator>"),
                            Leaf("ram:ActualAmount", "price_discount", NUMBER),
                        ),
                    ),
                ),
            ),
            Box(
                "ram:NetPriceProductTradePrice",
                (Leaf("ram:ChargeAmount", "net_price", NUMBER), _BASE_QUANTITY),
            ),
            Special(_read_gross_quantity, _nothing),
        ),
    ),
    Box(
        "ram:SpecifiedLineTradeDelivery",
        (Leaf("ram:BilledQuantity", "quantity", NUMBER, {"unitCode": "unit"}),),
    ),
    Box(
        "ram:SpecifiedLineTradeSettlement",
        (
            Box("ram:ApplicableTradeTax", _CATEGORY, only=_is_vat),
            _PERIOD,
            *_allowances(()),
            Box(
                "ram:SpecifiedTradeSettlementLineMonetarySummation",
                (Leaf("ram:LineTotalAmount", "stated_net", AMOUNT),),
            ),
            _object("object_id"),
            Box(
                "ram:ReceivableSpecifiedTradeAccountingAccount",
                (Leaf("ram:ID", "accounting_cost"),),
            ),
        ),
    ),
)
_AGREEMENT: Final = Box(
    "ram:ApplicableHeaderTradeAgreement",
    (
        Leaf("ram:BuyerReference", "buyer_reference"),
        Group("ram:SellerTradeParty", "seller", Party, _PARTY),
        Group("ram:BuyerTradeParty", "buyer", Party, _PARTY),
        Group(
            "ram:SellerTaxRepresentativeTradeParty",
            "tax_representative",
            Party,
            _TAX_REPRESENTATIVE,
        ),
        _reference("ram:SellerOrderReferencedDocument", "sales_order"),
        _reference("ram:BuyerOrderReferencedDocument", "purchase_order"),
        _reference("ram:ContractReferencedDocument", "contract"),
        Box(
            "ram:AdditionalReferencedDocument",
            (Leaf("ram:IssuerAssignedID", "tender"), Constant("ram:TypeCode", "50")),
            only=_has_type("50"),
        ),
        _object("object_id"),
        Group(
            "ram:AdditionalReferencedDocument",
            "documents",
            SupportingDocument,
            (
                Leaf("ram:IssuerAssignedID", "id"),
                Leaf("ram:URIID", "url"),
                Constant("ram:TypeCode", "916"),
                Leaf("ram:Name", "description"),
                Leaf(
                    "ram:AttachmentBinaryObject",
                    "content",
                    BASE64,
                    {"mimeCode": "media_type", "filename": "filename"},
                ),
            ),
            many=True,
            only=_is_document,
        ),
        Box(
            "ram:SpecifiedProcuringProject",
            (Leaf("ram:ID", "project"), Constant("ram:Name", "Project reference")),
        ),
    ),
)
_SHIP_TO: Final[tuple[Node, ...]] = (
    Box(
        "ram:ShipToTradeParty",
        (Special(_read_location, _write_location), Leaf("ram:Name", "name"), _ADDRESS),
    ),
    Box("ram:ActualDeliverySupplyChainEvent", (_moment("ram:OccurrenceDateTime", "date"),)),
)


def _read_delivery(parent: XmlElement, fields: Fields, place: Place) -> None:
    delivery = read_value(InvoiceDelivery, _SHIP_TO, parent, place)
    if delivery != InvoiceDelivery():
        fields["delivery"] = delivery


def _write_delivery(value: Any, currency: str | None) -> Iterator[str]:
    if value.delivery is not None:
        yield write_nodes(_SHIP_TO, value.delivery, currency)


_DELIVERY: Final = Box(
    "ram:ApplicableHeaderTradeDelivery",
    (
        Special(_read_delivery, _write_delivery),
        _reference("ram:DespatchAdviceReferencedDocument", "despatch_advice"),
        _reference("ram:ReceivingAdviceReferencedDocument", "receiving_advice"),
    ),
    always=True,
)
_CARD: Final[tuple[Node, ...]] = (
    Leaf("ram:ID", "last_digits"),
    Leaf("ram:CardholderName", "holder"),
)
_MEANS: Final[tuple[Node, ...]] = (
    Leaf("ram:TypeCode", "code"),
    Leaf("ram:Information", "text"),
    Group("ram:ApplicableTradeSettlementFinancialCard", "card", InvoiceCard, _CARD),
    Box("ram:PayerPartyDebtorFinancialAccount", (Leaf("ram:IBANID", "debited"),)),
    Box(
        "ram:PayeePartyCreditorFinancialAccount",
        (
            Leaf("ram:IBANID", "iban"),
            Leaf("ram:AccountName", "account_name"),
            Leaf("ram:ProprietaryID", "other_account"),
        ),
    ),
    Box("ram:PayeeSpecifiedCreditorFinancialInstitution", (Leaf("ram:BICID", "bic"),)),
)
_MEANS_TAG: Final = "SpecifiedTradeSettlementPaymentMeans"


def _read_payment(parent: XmlElement, fields: Fields, place: Place) -> None:
    """Read one payment from several elements, one for each account."""
    payment: Fields = {}
    accounts: list[PayeeAccount] = []
    elements = list(parent.all(_MEANS_TAG))
    for number, element in enumerate(elements, 1):
        inside = place.inside(f"{_MEANS_TAG}[{number}]")
        means: Fields = {}
        for node in _MEANS:
            node.read(element, means, inside)
        agree(payment, means, ("code", "text", "card", "debited"), inside)
        account = PayeeAccount(
            iban=means.get("iban") or means.get("other_account"),
            name=means.get("account_name"),
            bic=means.get("bic"),
        )
        if account != PayeeAccount():
            accounts.append(account)
    terms: Fields = {}
    _TERMS.read(parent, terms, place)
    fields["payment_terms"] = terms.get("payment_terms")
    fields["due_date"] = terms.get("due_date")
    debit = DirectDebit(mandate=terms.get("mandate"), account=payment.pop("debited", None))
    debited = debit != DirectDebit()
    if elements or debited:
        fields["payment"] = PaymentInstructions(
            accounts=tuple(accounts), direct_debit=debit if debited else None, **payment
        )


def _write_means(value: Any, currency: str | None) -> Iterator[str]:
    payment = value.payment
    if payment is None:
        return
    accounts: list[PayeeAccount] = list(payment.accounts) or [PayeeAccount()]
    for number, account in enumerate(accounts):
        debit = None if number else payment.direct_debit
        iban = account.iban is not None and _IBAN.fullmatch(account.iban) is not None
        means = SimpleNamespace(
            code=payment.code,
            text=payment.text,
            card=None if number else payment.card,
            debited=None if debit is None else debit.account,
            iban=account.iban if iban else None,
            account_name=account.name,
            other_account=None if iban else account.iban,
            bic=account.bic,
        )
        yield f"<ram:{_MEANS_TAG}>{write_nodes(_MEANS, means, currency)}</ram:{_MEANS_TAG}>"


_TERMS: Final = Box(
    "ram:SpecifiedTradePaymentTerms",
    (
        Leaf("ram:Description", "payment_terms"),
        _moment("ram:DueDateDateTime", "due_date"),
        Leaf("ram:DirectDebitMandateID", "mandate"),
    ),
)


def _read_no_terms(parent: XmlElement, fields: Fields, place: Place) -> None:
    """Read nothing: the terms are read with the payment, which is written before them."""


def _write_terms(value: Any, currency: str | None) -> Iterator[str]:
    debit = None if value.payment is None else value.payment.direct_debit
    terms = SimpleNamespace(
        payment_terms=value.payment_terms,
        due_date=value.due_date,
        mandate=None if debit is None else debit.mandate,
    )
    return _TERMS.write(terms, currency)


_TAX: Final[tuple[Node, ...]] = (
    Leaf("ram:CalculatedAmount", "tax", AMOUNT),
    _VAT_CODE,
    Leaf("ram:ExemptionReason", "reason"),
    Leaf("ram:BasisAmount", "taxable", AMOUNT),
    Leaf("ram:CategoryCode", "category"),
    Leaf("ram:ExemptionReasonCode", "reason_code"),
)
_TAX_POINT: Final[tuple[Node, ...]] = (
    Box("ram:TaxPointDate", (Leaf("udt:DateString", "tax_point_date", DAY_102),)),
    Leaf("ram:DueDateTypeCode", "tax_point_code"),
)
_RATE: Final = Leaf("ram:RateApplicablePercent", "rate", NUMBER)


def _read_breakdown(parent: XmlElement, fields: Fields, place: Place) -> None:
    parts: list[VatBreakdown] = []
    points: Fields = {}
    for number, element in enumerate(parent.all("ApplicableTradeTax"), 1):
        inside = place.inside(f"ApplicableTradeTax[{number}]")
        parts.append(read_value(VatBreakdown, (*_TAX, _RATE), element, inside))
        if not _is_vat(element):
            parts[-1] = attrs.evolve(parts[-1], category=None)
        point: Fields = {}
        for node in _TAX_POINT:
            node.read(element, point, inside)
        agree(points, point, ("tax_point_date", "tax_point_code"), inside)
    fields["tax_point_date"] = points.get("tax_point_date")
    code = points.get("tax_point_code")
    fields["tax_point_code"] = code and _EVENTS.get(code.strip(), code)
    fields["breakdown"] = tuple(parts)


def _write_breakdown(value: Any, currency: str | None) -> Iterator[str]:
    point = SimpleNamespace(
        tax_point_date=value.tax_point_date,
        tax_point_code=_EVENT_CODES.get(value.tax_point_code, value.tax_point_code),
    )
    for part in value.stated_totals.breakdown:
        yield (
            f"<ram:ApplicableTradeTax>{write_nodes(_TAX, part, currency)}"
            f"{write_nodes(_TAX_POINT, point, currency)}"
            f"{write_nodes((_RATE,), part, currency)}</ram:ApplicableTradeTax>"
        )


_TAX_TOTAL: Final = Leaf("ram:TaxTotalAmount", "vat", CURRENCY_AMOUNT)


def _read_tax_totals(parent: XmlElement, fields: Fields, place: Place) -> None:
    """Read the total VAT in the invoice's currency, and that in the currency of VAT accounts."""
    place = place.inside("TaxTotalAmount")
    for element in parent.all("TaxTotalAmount"):
        currency = element.attributes.get("currencyID")
        other = currency is not None and currency != place.currency
        field = "vat_in_tax_currency" if other else "vat"
        if field in fields or (other and currency != fields["tax_currency"]):
            raise unreadable(
                place,
                "There are several totals of VAT in one currency, or one in an unused currency"
                " (BR-CO-15).",
            )
        fields[field] = CURRENCY_AMOUNT.read(
            element, attrs.evolve(place, currency=currency if other else place.currency)
        )


def _write_tax_totals(value: Any, currency: str | None) -> Iterator[str]:
    yield from _TAX_TOTAL.write(value, currency)
    if value.vat_in_tax_currency is not None:
        other = SimpleNamespace(vat=value.vat_in_tax_currency)
        yield from _TAX_TOTAL.write(other, value.tax_currency)


_SUMS: Final = Box(
    "ram:SpecifiedTradeSettlementHeaderMonetarySummation",
    (
        Leaf("ram:LineTotalAmount", "lines", AMOUNT),
        Leaf("ram:ChargeTotalAmount", "charges", AMOUNT),
        Leaf("ram:AllowanceTotalAmount", "allowances", AMOUNT),
        Leaf("ram:TaxBasisTotalAmount", "net", AMOUNT),
        Special(_read_tax_totals, _write_tax_totals),
        Leaf("ram:RoundingAmount", "rounding", AMOUNT),
        Leaf("ram:GrandTotalAmount", "gross", AMOUNT),
        Leaf("ram:TotalPrepaidAmount", "prepaid", AMOUNT),
        Leaf("ram:DuePayableAmount", "due", AMOUNT),
    ),
)


def _read_sums(parent: XmlElement, fields: Fields, place: Place) -> None:
    totals: Fields = {"tax_currency": (fields.get("tax_currency") or "").strip() or None}
    _SUMS.read(parent, totals, place)
    del totals["tax_currency"]
    fields["vat_in_tax_currency"] = totals.pop("vat_in_tax_currency", None)
    split_sums({**totals, "breakdown": fields.pop("breakdown")}, fields)


def _write_sums(value: Any, currency: str | None) -> Iterator[str]:
    sums = joined_sums(value)
    sums.tax_currency = value.tax_currency
    return _SUMS.write(sums, currency)


_SETTLEMENT: Final = Box(
    "ram:ApplicableHeaderTradeSettlement",
    (
        Leaf("ram:CreditorReferenceID", "creditor_id"),
        Leaf("ram:PaymentReference", "payment_reference"),
        Leaf("ram:TaxCurrencyCode", "tax_currency"),
        Leaf("ram:InvoiceCurrencyCode", "currency"),
        Group("ram:PayeeTradeParty", "payee", Party, _PAYEE),
        Special(_read_payment, _write_means),
        Special(_read_breakdown, _write_breakdown),
        _PERIOD,
        *_allowances((Box("ram:CategoryTradeTax", _CATEGORY, only=_is_vat),)),
        Special(_read_no_terms, _write_terms),
        Special(_read_sums, _write_sums),
        Group(
            "ram:InvoiceReferencedDocument",
            "preceding",
            PrecedingInvoice,
            (
                Leaf("ram:IssuerAssignedID", "number"),
                Box(
                    "ram:FormattedIssueDateTime",
                    (Leaf("qdt:DateTimeString", "issue_date", DAY_102),),
                ),
            ),
            many=True,
        ),
        Box("ram:ReceivableSpecifiedTradeAccountingAccount", (Leaf("ram:ID", "accounting_cost"),)),
    ),
)
_DOCUMENT: Final[tuple[Node, ...]] = (
    Box(
        "rsm:ExchangedDocumentContext",
        (
            Box(
                "ram:BusinessProcessSpecifiedDocumentContextParameter", (Leaf("ram:ID", "process"),)
            ),
            Box(
                "ram:GuidelineSpecifiedDocumentContextParameter",
                (Leaf("ram:ID", "specification"),),
            ),
        ),
    ),
    Box(
        "rsm:ExchangedDocument",
        (
            Leaf("ram:ID", "number"),
            Leaf("ram:TypeCode", "type_code"),
            _moment("ram:IssueDateTime", "issue_date"),
            Group(
                "ram:IncludedNote",
                "notes",
                Note,
                (Leaf("ram:Content", "text"), Leaf("ram:SubjectCode", "subject")),
                many=True,
            ),
        ),
    ),
    Box(
        "rsm:SupplyChainTradeTransaction",
        (
            Group("ram:IncludedSupplyChainTradeLineItem", "lines", InvoiceLine, _LINE, many=True),
            _AGREEMENT,
            _DELIVERY,
            _SETTLEMENT,
        ),
    ),
)


def read_cii(body: bytes) -> Invoice:
    """The invoice that a CII document contains, as it is; `check` applies the business rules.

    Elements outside the semantic model of EN 16931 are left out.

    Raises:
        InvalidData: the document is not safe XML or not a CII invoice, or an element is unreadable;
            the error's field names the element.
    """
    return read_cii_root(read_root(body, "The CII invoice"))


def read_cii_root(root: XmlElement) -> Invoice:
    """The invoice in the root element of a CII document."""
    if root.namespace != NAMESPACE or root.name != "CrossIndustryInvoice":
        raise InvalidData(
            f"The document is not a CII invoice: its root element is {root.name[:40]!r}.",
            field=f"/{root.name}",
            remedy="Give a UN/CEFACT CrossIndustryInvoice of D16B.",
        )
    transaction = next(root.all("SupplyChainTradeTransaction"), root)
    settlement = next(transaction.all("ApplicableHeaderTradeSettlement"), transaction)
    place = Place(f"/{root.name}", text_at(settlement, "InvoiceCurrencyCode"))
    invoice: Invoice = read_value(Invoice, _DOCUMENT, root, place)
    totals = invoice.stated_totals or Totals()
    if totals.vat is None and totals.breakdown:
        totals = attrs.evolve(totals, vat=total(part.tax for part in totals.breakdown))
    return attrs.evolve(
        invoice,
        lines=tuple(line.with_prices() for line in invoice.lines),
        notes=tuple(note for note in invoice.notes if note != Note()),
        stated_totals=totals,
    )


def write_cii(invoice: Invoice, profile: Profile = EN16931) -> bytes:
    """The invoice as a CII document; equal invoices give equal bytes.

    Missing totals are computed. The business rules are not checked; `write_invoice` does that.
    The network of a payment card is left out, because CII has no element for it.

    Raises:
        InvalidData: the invoice has several preceding invoices, of which CII carries one.
    """
    check_kind(invoice, Invoice, "invoice")
    check_kind(profile, Profile, "profile")
    invoice = invoice.completed(profile)
    if len(invoice.preceding) > 1:
        raise InvalidData(
            f"CII D16B carries one preceding invoice, not {len(invoice.preceding)}.",
            field="preceding",
            remedy="Write the invoice in UBL, or give one preceding invoice.",
        )
    content = write_nodes(_DOCUMENT, invoice, invoice.currency)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<rsm:CrossIndustryInvoice xmlns:rsm="{NAMESPACE}"'
        f' xmlns:qdt="{_STANDARD}QualifiedDataType:100"'
        f' xmlns:ram="{_STANDARD}ReusableAggregateBusinessInformationEntity:100"'
        f' xmlns:udt="{_STANDARD}UnqualifiedDataType:100">{content}'
        "</rsm:CrossIndustryInvoice>\n"
    ).encode()
