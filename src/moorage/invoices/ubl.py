"""UBL 2.1: reads and writes the documents Invoice and CreditNote."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.validators import check_kind
from moorage.errors import InvalidData
from moorage.invoices.binding import (
    BASE64,
    CURRENCY_AMOUNT,
    CURRENCY_PRICE,
    DAY,
    IDENTIFIER,
    NUMBER,
    Box,
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
from moorage.invoices.codes import CREDIT_NOTE_TYPES, INVOICE_TYPES
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
    VatBreakdown,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

_COMMON: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
NAMESPACES: Final = {
    f"{_COMMON}Invoice-2": "Invoice",
    f"{_COMMON}CreditNote-2": "CreditNote",
}
"""The namespace of each document's root."""

_SUBJECT: Final = re.compile("[A-Z]{3}")
_NOTE: Final = re.compile(r"#([A-Z]{3})#(.*)", re.DOTALL)
_UNNAMED: Final = "NA"  # the text for an element that only the schema requires
_VAT_SCHEME: Final = Constant("cac:TaxScheme", "<cbc:ID>VAT</cbc:ID>")
_TAX_SCHEME: Final = Constant("cac:TaxScheme", "<cbc:ID>TAX</cbc:ID>")


def _is_vat(element: XmlElement) -> bool:
    return (text_at(element, "TaxScheme", "ID") or "").upper() == "VAT"


def _is_other_tax(element: XmlElement) -> bool:
    return not _is_vat(element)


def _is_allowance(element: XmlElement) -> bool:
    return text_at(element, "ChargeIndicator") in {"false", "0"}


def _is_charge(element: XmlElement) -> bool:
    return text_at(element, "ChargeIndicator") in {"true", "1"}


def _is_object(element: XmlElement) -> bool:
    return text_at(element, "DocumentTypeCode") == "130"


def _is_project(element: XmlElement) -> bool:
    return text_at(element, "DocumentTypeCode") == "50"


def _nothing(value: Any, currency: str | None) -> Iterator[str]:
    del value, currency
    return iter(())


def _check_indicators(parent: XmlElement, fields: Fields, place: Place) -> None:
    del fields
    for element in parent.all("AllowanceCharge"):
        if not _is_allowance(element) and not _is_charge(element):
            raise unreadable(
                place.inside("AllowanceCharge").inside("ChargeIndicator"),
                "The indicator is neither 'true' nor 'false', so the element is neither an"
                " allowance nor a charge (PEPPOL-EN16931-R043).",
            )


def _reference(tag: str, field: str) -> Box:
    """An element that holds the identifier of a document."""
    return Box(tag, (Leaf("cbc:ID", field),))


def _address(tag: str) -> Group:
    return Group(
        tag,
        "address",
        PostalAddress,
        (
            Leaf("cbc:StreetName", "line1"),
            Leaf("cbc:AdditionalStreetName", "line2"),
            Leaf("cbc:CityName", "city"),
            Leaf("cbc:PostalZone", "postal_code"),
            Leaf("cbc:CountrySubentity", "region"),
            Box("cac:AddressLine", (Leaf("cbc:Line", "line3"),)),
            Box("cac:Country", (Leaf("cbc:IdentificationCode", "country"),)),
        ),
    )


def _read_ids(parent: XmlElement, fields: Fields, place: Place) -> None:
    ids: list[Identifier] = []
    for element in parent.all("PartyIdentification"):
        inner: Fields = {}
        Leaf("cbc:ID", "id", IDENTIFIER).read(element, inner, place.inside("PartyIdentification"))
        if inner.get("id") is not None:
            ids.append(inner["id"])
    fields["ids"] = ids


def _write_ids(value: Any, currency: str | None) -> Iterator[str]:
    for identifier in value.ids:
        attributes, text = IDENTIFIER.write(identifier, currency)
        identifier_text = element_text("cbc:ID", text, attributes)
        yield f"<cac:PartyIdentification>{identifier_text}</cac:PartyIdentification>"


_VAT_ID: Final = Box(
    "cac:PartyTaxScheme", (Leaf("cbc:CompanyID", "vat_id"), _VAT_SCHEME), only=_is_vat
)
_NAME: Final = Box("cac:PartyName", (Leaf("cbc:Name", "name"),))
_PARTY: Final[tuple[Node, ...]] = (
    Leaf("cbc:EndpointID", "endpoint", IDENTIFIER),
    Special(_read_ids, _write_ids),
    Box("cac:PartyName", (Leaf("cbc:Name", "trading_name"),)),
    _address("cac:PostalAddress"),
    _VAT_ID,
    Box("cac:PartyTaxScheme", (Leaf("cbc:CompanyID", "tax_id"), _TAX_SCHEME), only=_is_other_tax),
    Box(
        "cac:PartyLegalEntity",
        (
            Leaf("cbc:RegistrationName", "name"),
            Leaf("cbc:CompanyID", "legal_id", IDENTIFIER),
            Leaf("cbc:CompanyLegalForm", "legal_note"),
        ),
    ),
    Group(
        "cac:Contact",
        "contact",
        ContactPoint,
        (
            Leaf("cbc:Name", "name"),
            Leaf("cbc:Telephone", "phone"),
            Leaf("cbc:ElectronicMail", "email"),
        ),
    ),
)
_PAYEE: Final[tuple[Node, ...]] = (
    Special(_read_ids, _write_ids),
    _NAME,
    Box("cac:PartyLegalEntity", (Leaf("cbc:CompanyID", "legal_id", IDENTIFIER),)),
)
_TAX_REPRESENTATIVE: Final[tuple[Node, ...]] = (_NAME, _address("cac:PostalAddress"), _VAT_ID)


def _read_party(tag: str, field: str) -> Special:
    """A party that is wrapped in another element, which may be empty."""
    inner = Group("cac:Party", field, Party, _PARTY)

    def reading(parent: XmlElement, fields: Fields, place: Place) -> None:
        element = single(parent, tag, place)
        if element is not None:
            fields[field] = Party()
            inner.read(element, fields, place.inside(tag))

    def writing(value: Any, currency: str | None) -> Iterator[str]:
        text = "".join(inner.write(value, currency))
        if text:
            yield f"<{tag}>{text}</{tag}>"

    return Special(reading, writing)


def _allowances(tag_nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes of allowances and of charges."""
    return (
        Special(_check_indicators, _nothing),
        *(
            Group(
                "cac:AllowanceCharge",
                field,
                AllowanceCharge,
                (Constant("cbc:ChargeIndicator", word), *_ALLOWANCE, *tag_nodes),
                many=True,
                only=only,
            )
            for field, word, only in (
                ("allowances", "false", _is_allowance),
                ("charges", "true", _is_charge),
            )
        ),
    )


_ALLOWANCE: Final[tuple[Node, ...]] = (
    Leaf("cbc:AllowanceChargeReasonCode", "reason_code"),
    Leaf("cbc:AllowanceChargeReason", "reason"),
    Leaf("cbc:MultiplierFactorNumeric", "percent", NUMBER),
    Leaf("cbc:Amount", "amount", CURRENCY_AMOUNT),
    Leaf("cbc:BaseAmount", "base_amount", CURRENCY_AMOUNT),
)
_CATEGORY: Final[tuple[Node, ...]] = (
    Leaf("cbc:ID", "vat_category"),
    Leaf("cbc:Percent", "vat_rate", NUMBER),
    _VAT_SCHEME,
)
_PERIOD: Final[tuple[Node, ...]] = (
    Leaf("cbc:StartDate", "start", DAY),
    Leaf("cbc:EndDate", "end", DAY),
)
_ITEM: Final = Box(
    "cac:Item",
    (
        Leaf("cbc:Description", "description"),
        Leaf("cbc:Name", "name"),
        _reference("cac:BuyersItemIdentification", "buyer_item_id"),
        _reference("cac:SellersItemIdentification", "seller_item_id"),
        Box("cac:StandardItemIdentification", (Leaf("cbc:ID", "standard_item_id", IDENTIFIER),)),
        Box("cac:OriginCountry", (Leaf("cbc:IdentificationCode", "origin"),)),
        Group(
            "cac:CommodityClassification",
            "classes",
            ItemClass,
            (
                Leaf(
                    "cbc:ItemClassificationCode",
                    "code",
                    attributes={"listID": "scheme", "listVersionID": "version"},
                ),
            ),
            many=True,
        ),
        Box("cac:ClassifiedTaxCategory", _CATEGORY, only=_is_vat),
        Group(
            "cac:AdditionalItemProperty",
            "properties",
            ItemProperty,
            (Leaf("cbc:Name", "name"), Leaf("cbc:Value", "value")),
            many=True,
        ),
    ),
)
_PRICE: Final = Box(
    "cac:Price",
    (
        Leaf("cbc:PriceAmount", "net_price", CURRENCY_PRICE),
        Leaf("cbc:BaseQuantity", "base_quantity", NUMBER, {"unitCode": "base_unit"}),
        Box(
            "cac:AllowanceCharge",
            (
                Constant("cbc:ChargeIndicator", "false"),
                Leaf("cbc:Amount", "price_discount", CURRENCY_PRICE),
                Leaf("cbc:BaseAmount", "gross_price", CURRENCY_PRICE),
            ),
        ),
    ),
)


def _lines(root: str) -> Group:
    quantity = "InvoicedQuantity" if root == "Invoice" else "CreditedQuantity"
    return Group(
        f"cac:{root}Line",
        "lines",
        InvoiceLine,
        (
            Leaf("cbc:ID", "id"),
            Leaf("cbc:Note", "note"),
            Leaf(f"cbc:{quantity}", "quantity", NUMBER, {"unitCode": "unit"}),
            Leaf("cbc:LineExtensionAmount", "stated_net", CURRENCY_AMOUNT),
            Leaf("cbc:AccountingCost", "accounting_cost"),
            Group("cac:InvoicePeriod", "period", Period, _PERIOD),
            Box("cac:OrderLineReference", (Leaf("cbc:LineID", "order_line"),)),
            Box(
                "cac:DocumentReference",
                (Leaf("cbc:ID", "object_id", IDENTIFIER), _OBJECT_CODE),
                only=_is_object,
            ),
            *_allowances(()),
            _ITEM,
            _PRICE,
        ),
        many=True,
    )


def _read_notes(parent: XmlElement, fields: Fields, place: Place) -> None:
    del place
    notes: list[Note] = []
    for element in parent.all("Note"):
        parts = _NOTE.fullmatch(element.content.strip())
        note = Note(parts[2], subject=parts[1]) if parts else Note(element.content)
        if note != Note():
            notes.append(note)
    fields["notes"] = notes


def _write_notes(value: Any, currency: str | None) -> Iterator[str]:
    del currency
    for note in value.notes:
        if note.subject is not None and not _SUBJECT.fullmatch(note.subject):
            raise InvalidData(
                "The subject of a note is not three capital letters, as UBL needs it.",
                field="notes",
                remedy="Give a code of UNTDID 4451, such as 'AAI'.",
            )
        prefix = "" if note.subject is None else f"#{note.subject}#"
        yield element_text("cbc:Note", prefix + (note.text or ""), {})


def _read_period(parent: XmlElement, fields: Fields, place: Place) -> None:
    element = single(parent, "InvoicePeriod", place)
    if element is None:
        return
    place = place.inside("InvoicePeriod")
    fields["tax_point_code"] = text_at(element, "DescriptionCode")
    period = read_value(Period, _PERIOD, element, place)
    if period != Period() or fields["tax_point_code"] is None:
        fields["period"] = period


def _write_period(value: Any, currency: str | None) -> Iterator[str]:
    if value.period is None and value.tax_point_code is None:
        return
    text = "" if value.period is None else write_nodes(_PERIOD, value.period, currency)
    if value.tax_point_code is not None:
        text += element_text("cbc:DescriptionCode", value.tax_point_code, {})
    yield f"<cac:InvoicePeriod>{text}</cac:InvoicePeriod>"


_ACCOUNT: Final[tuple[Node, ...]] = (
    Leaf("cbc:ID", "iban"),
    Leaf("cbc:Name", "name"),
    _reference("cac:FinancialInstitutionBranch", "bic"),
)
_PAYEE_ACCOUNT: Final = Group(
    "cac:PayeeFinancialAccount", "accounts", PayeeAccount, _ACCOUNT, many=True
)
_MEANS: Final[tuple[Node, ...]] = (
    Leaf("cbc:PaymentMeansCode", "code", attributes={"name": "text"}),
    Leaf("cbc:PaymentDueDate", "due_date", DAY),
    Leaf("cbc:PaymentID", "payment_reference"),
    Group(
        "cac:CardAccount",
        "card",
        InvoiceCard,
        (
            Leaf("cbc:PrimaryAccountNumberID", "last_digits"),
            Leaf("cbc:NetworkID", "network"),
            Leaf("cbc:HolderName", "holder"),
        ),
    ),
    _PAYEE_ACCOUNT,
    Group(
        "cac:PaymentMandate",
        "direct_debit",
        DirectDebit,
        (
            Leaf("cbc:ID", "mandate"),
            Box("cac:PayerFinancialAccount", (Leaf("cbc:ID", "account"),)),
        ),
    ),
)
_ONCE: Final = ("code", "text", "due_date", "payment_reference", "card", "direct_debit")


def _read_payment(parent: XmlElement, fields: Fields, place: Place) -> None:
    """Read one payment from several elements, one for each account."""
    payment: Fields = {"accounts": ()}
    elements = list(parent.all("PaymentMeans"))
    for number, element in enumerate(elements, 1):
        inside = place.inside(f"PaymentMeans[{number}]")
        means: Fields = {}
        for node in _MEANS:
            node.read(element, means, inside)
        payment["accounts"] += means["accounts"]
        agree(payment, means, _ONCE, inside, " (UBL-SR-44, UBL-SR-47)")
    if not elements:
        return
    due_date = payment.pop("due_date", None)
    if fields.get("due_date") is None:
        fields["due_date"] = due_date
    fields["payment_reference"] = payment.pop("payment_reference", None)
    fields["payment"] = PaymentInstructions(**payment)


def _write_payment(value: Any, currency: str | None) -> Iterator[str]:
    payment = value.payment
    due_date = value.due_date if _root_of(value) == "CreditNote" else None
    if payment is None:
        if due_date is not None or value.payment_reference is not None:
            raise InvalidData(
                "UBL carries a payment reference, and a credit note's due date, only with payment"
                " instructions.",
                field="payment",
                remedy="Give payment=PaymentInstructions(code=...).",
            )
        return
    accounts: list[tuple[PayeeAccount, ...]] = [(account,) for account in payment.accounts]
    for number, account in enumerate(accounts or [()]):
        means = SimpleNamespace(
            code=payment.code,
            text=payment.text,
            due_date=due_date,
            payment_reference=value.payment_reference,
            card=None if number else _with_network(payment.card),
            accounts=account,
            direct_debit=None if number else payment.direct_debit,
        )
        yield f"<cac:PaymentMeans>{write_nodes(_MEANS, means, currency)}</cac:PaymentMeans>"


def _with_network(card: InvoiceCard | None) -> InvoiceCard | None:
    """The card with a network, which the schema requires."""
    if card is None or card.network is not None:
        return card
    return attrs.evolve(card, network=_UNNAMED)


_TAX_AMOUNT: Final = Leaf("cbc:TaxAmount", "vat", CURRENCY_AMOUNT)
_SUBTOTALS: Final = Group(
    "cac:TaxSubtotal",
    "breakdown",
    VatBreakdown,
    (
        Leaf("cbc:TaxableAmount", "taxable", CURRENCY_AMOUNT),
        Leaf("cbc:TaxAmount", "tax", CURRENCY_AMOUNT),
        Box(
            "cac:TaxCategory",
            (
                Leaf("cbc:ID", "category"),
                Leaf("cbc:Percent", "rate", NUMBER),
                Leaf("cbc:TaxExemptionReasonCode", "reason_code"),
                Leaf("cbc:TaxExemptionReason", "reason"),
                _VAT_SCHEME,
            ),
            only=_is_vat,
        ),
    ),
    many=True,
)
_SUMS: Final[tuple[Node, ...]] = (
    Leaf("cbc:LineExtensionAmount", "lines", CURRENCY_AMOUNT),
    Leaf("cbc:TaxExclusiveAmount", "net", CURRENCY_AMOUNT),
    Leaf("cbc:TaxInclusiveAmount", "gross", CURRENCY_AMOUNT),
    Leaf("cbc:AllowanceTotalAmount", "allowances", CURRENCY_AMOUNT),
    Leaf("cbc:ChargeTotalAmount", "charges", CURRENCY_AMOUNT),
    Leaf("cbc:PrepaidAmount", "prepaid", CURRENCY_AMOUNT),
    Leaf("cbc:PayableRoundingAmount", "rounding", CURRENCY_AMOUNT),
    Leaf("cbc:PayableAmount", "due", CURRENCY_AMOUNT),
)


def _read_totals(parent: XmlElement, fields: Fields, place: Place) -> None:
    totals: Fields = {}
    _read_tax(parent, fields, totals, place)
    element = single(parent, "LegalMonetaryTotal", place)
    if element is not None:
        for node in _SUMS:
            node.read(element, totals, place.inside("LegalMonetaryTotal"))
    split_sums(totals, fields)


def _read_tax(parent: XmlElement, fields: Fields, totals: Fields, place: Place) -> None:
    """Read the total VAT in the invoice's currency, and that in the currency of VAT accounts."""
    tax_currency = fields.get("tax_currency")
    place = place.inside("TaxTotal")
    main: XmlElement | None = None
    for element in parent.all("TaxTotal"):
        amount = next(element.all("TaxAmount"), None)
        currency = None if amount is None else amount.attributes.get("currencyID")
        other = currency is not None and currency != place.currency
        if other and currency == tax_currency and "vat_in_tax_currency" not in fields:
            inner: Fields = {}
            _TAX_AMOUNT.read(element, inner, attrs.evolve(place, currency=currency))
            fields["vat_in_tax_currency"] = inner["vat"]
        elif main is None:
            main = element
        elif currency is not None and currency == place.currency == tax_currency:
            continue  # both are in one currency, which PEPPOL-EN16931-R005 reports
        else:
            raise unreadable(place, "There are several totals of VAT in one currency (BR-CO-15).")
    if main is not None:
        _TAX_AMOUNT.read(main, totals, place)
        _SUBTOTALS.read(main, totals, place)


def _write_totals(value: Any, currency: str | None) -> Iterator[str]:
    sums = joined_sums(value)
    tax = write_nodes((_TAX_AMOUNT, _SUBTOTALS), sums, currency)
    if tax:
        yield f"<cac:TaxTotal>{tax}</cac:TaxTotal>"
    if value.vat_in_tax_currency is not None:
        other = SimpleNamespace(vat=value.vat_in_tax_currency)
        tax = write_nodes((_TAX_AMOUNT,), other, value.tax_currency)
        yield f"<cac:TaxTotal>{tax}</cac:TaxTotal>"
    yield f"<cac:LegalMonetaryTotal>{write_nodes(_SUMS, sums, currency)}</cac:LegalMonetaryTotal>"


_OBJECT_CODE: Final = Constant("cbc:DocumentTypeCode", "130")
_DOCUMENT: Final[tuple[Node, ...]] = (
    Leaf("cbc:ID", "id"),
    Leaf("cbc:DocumentDescription", "description"),
    Box(
        "cac:Attachment",
        (
            Leaf(
                "cbc:EmbeddedDocumentBinaryObject",
                "content",
                BASE64,
                {"mimeCode": "media_type", "filename": "filename"},
            ),
            Box("cac:ExternalReference", (Leaf("cbc:URI", "url"),)),
        ),
    ),
)


def _document(root: str) -> tuple[Node, ...]:
    """The table of one of the two documents, in the order of its schema."""
    invoice = root == "Invoice"
    note: tuple[Node, ...] = (Special(_read_notes, _write_notes),)
    tax_point: tuple[Node, ...] = (Leaf("cbc:TaxPointDate", "tax_point_date", DAY),)
    due_date: tuple[Node, ...] = (Leaf("cbc:DueDate", "due_date", DAY),)
    type_code: tuple[Node, ...] = (Leaf(f"cbc:{root}TypeCode", "type_code"),)
    originator = _reference("cac:OriginatorDocumentReference", "tender")
    contract = _reference("cac:ContractDocumentReference", "contract")
    object_reference = Box(
        "cac:AdditionalDocumentReference",
        (Leaf("cbc:ID", "object_id", IDENTIFIER), _OBJECT_CODE),
        only=_is_object,
    )
    project: Node = (
        _reference("cac:ProjectReference", "project")
        if invoice
        else Box(
            "cac:AdditionalDocumentReference",
            (Leaf("cbc:ID", "project"), Constant("cbc:DocumentTypeCode", "50")),
            only=_is_project,
        )
    )
    documents = Group(
        "cac:AdditionalDocumentReference",
        "documents",
        SupportingDocument,
        _DOCUMENT,
        many=True,
        only=lambda element: not _is_object(element) and (invoice or not _is_project(element)),
    )
    return (
        Leaf("cbc:CustomizationID", "specification"),
        Leaf("cbc:ProfileID", "process"),
        Leaf("cbc:ID", "number"),
        Leaf("cbc:IssueDate", "issue_date", DAY),
        *(due_date + type_code + note + tax_point if invoice else tax_point + type_code + note),
        Leaf("cbc:DocumentCurrencyCode", "currency"),
        Leaf("cbc:TaxCurrencyCode", "tax_currency"),
        Leaf("cbc:AccountingCost", "accounting_cost"),
        Leaf("cbc:BuyerReference", "buyer_reference"),
        Special(_read_period, _write_period),
        Box(
            "cac:OrderReference",
            (Leaf("cbc:ID", "purchase_order"), Leaf("cbc:SalesOrderID", "sales_order")),
        ),
        Group(
            "cac:BillingReference",
            "preceding",
            PrecedingInvoice,
            (
                Box(
                    "cac:InvoiceDocumentReference",
                    (Leaf("cbc:ID", "number"), Leaf("cbc:IssueDate", "issue_date", DAY)),
                ),
            ),
            many=True,
        ),
        _reference("cac:DespatchDocumentReference", "despatch_advice"),
        _reference("cac:ReceiptDocumentReference", "receiving_advice"),
        *(
            (originator, contract, object_reference, documents, project)
            if invoice
            else (contract, object_reference, project, documents, originator)
        ),
        _read_party("cac:AccountingSupplierParty", "seller"),
        _read_party("cac:AccountingCustomerParty", "buyer"),
        Group("cac:PayeeParty", "payee", Party, _PAYEE),
        Group("cac:TaxRepresentativeParty", "tax_representative", Party, _TAX_REPRESENTATIVE),
        Group(
            "cac:Delivery",
            "delivery",
            InvoiceDelivery,
            (
                Leaf("cbc:ActualDeliveryDate", "date", DAY),
                Box(
                    "cac:DeliveryLocation",
                    (Leaf("cbc:ID", "location", IDENTIFIER), _address("cac:Address")),
                ),
                Box("cac:DeliveryParty", (_NAME,)),
            ),
        ),
        Special(_read_payment, _write_payment),
        Box("cac:PaymentTerms", (Leaf("cbc:Note", "payment_terms"),)),
        *_allowances((Box("cac:TaxCategory", _CATEGORY, only=_is_vat),)),
        Special(_read_totals, _write_totals),
        _lines(root),
    )


_DOCUMENTS: Final = {root: _document(root) for root in NAMESPACES.values()}


def _root_of(invoice: Invoice) -> str:
    return "CreditNote" if invoice.type_code in CREDIT_NOTE_TYPES else "Invoice"


def read_ubl(body: bytes) -> Invoice:
    """The invoice that a UBL document contains, as it is; `check` applies the business rules.

    Elements outside the semantic model of EN 16931 are left out.

    Raises:
        InvalidData: the document is not safe XML or not a UBL invoice, or an element is unreadable;
            the error's field names the element.
    """
    return read_ubl_root(read_root(body, "The UBL invoice"))


def read_ubl_root(root: XmlElement) -> Invoice:
    """The invoice in the root element of a UBL document."""
    if NAMESPACES.get(root.namespace) != root.name:
        raise InvalidData(
            f"The document is not a UBL invoice: its root element is {root.name[:40]!r}.",
            field=f"/{root.name}",
            remedy="Give a UBL 2.1 Invoice or CreditNote.",
        )
    place = Place(f"/{root.name}", text_at(root, "DocumentCurrencyCode"))
    _check_type(root, place)
    invoice: Invoice = read_value(Invoice, _DOCUMENTS[root.name], root, place)
    order = invoice.purchase_order
    if order == _UNNAMED and invoice.sales_order is not None:
        order = None
    sepa = [
        identifier.value
        for party in (invoice.seller, invoice.payee)
        for identifier in (() if party is None else party.ids)
        if _is_sepa(identifier)
    ]
    payment = invoice.payment
    if payment is not None and payment.card is not None and payment.card.network == _UNNAMED:
        payment = attrs.evolve(payment, card=attrs.evolve(payment.card, network=None))
    return attrs.evolve(
        invoice,
        lines=tuple(line.with_prices() for line in invoice.lines),
        payment=payment,
        purchase_order=order,
        creditor_id=sepa[0] if sepa else None,
        seller=_without_sepa(invoice.seller),
        payee=_without_sepa(invoice.payee),
    )


def _check_type(root: XmlElement, place: Place) -> None:
    code = text_at(root, f"{root.name}TypeCode")
    fitting, others = INVOICE_TYPES, CREDIT_NOTE_TYPES
    if root.name == "CreditNote":
        fitting, others = others, fitting
    if code in others and code not in fitting:
        raise unreadable(
            place.inside(f"{root.name}TypeCode"),
            f"The type code {code!r} does not belong in this document (BR-CL-01).",
        )


def _is_sepa(identifier: Identifier) -> bool:
    return (identifier.scheme or "").upper() == "SEPA"


def _without_sepa(party: Party | None) -> Party | None:
    if party is None:
        return None
    return attrs.evolve(party, ids=[item for item in party.ids if not _is_sepa(item)])


def write_ubl(invoice: Invoice, profile: Profile = EN16931) -> bytes:
    """The invoice as a UBL document; equal invoices give equal bytes.

    Missing totals are computed. The business rules are not checked; `write_invoice` does that.

    Raises:
        InvalidData: UBL cannot carry the invoice; the error names the field.
    """
    check_kind(invoice, Invoice, "invoice")
    check_kind(profile, Profile, "profile")
    invoice = invoice.completed(profile)
    root = _root_of(invoice)
    seller = invoice.seller
    if invoice.creditor_id is not None:
        seller = seller or Party()
        seller = attrs.evolve(seller, ids=(*seller.ids, Identifier(invoice.creditor_id, "SEPA")))
    order = invoice.purchase_order
    if order is None and invoice.sales_order is not None:
        order = _UNNAMED
    invoice = attrs.evolve(invoice, seller=seller, purchase_order=order)
    content = write_nodes(_DOCUMENTS[root], invoice, invoice.currency)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{root} xmlns="{_COMMON}{root}-2"'
        f' xmlns:cac="{_COMMON}CommonAggregateComponents-2"'
        f' xmlns:cbc="{_COMMON}CommonBasicComponents-2">{content}</{root}>\n'
    ).encode()
