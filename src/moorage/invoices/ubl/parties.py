"""The parties of a UBL document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.errors import InvalidData
from moorage.invoices.binding import (
    IDENTIFIER,
    NEEDED_IDENTIFIER,
    Constant,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Group,
    Node,
    SpecialElement,
    element_text,
    only_child,
)
from moorage.invoices.ubl.elements import VAT_SCHEME, is_vat
from moorage.invoices.values import ContactPoint, Identifier, Party, PostalAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.invoices.values import Invoice
    from moorage.vendor_sdk.xml_text import XmlElement

_TAX_SCHEME: Final = Constant("cac:TaxScheme", "<cbc:ID>TAX</cbc:ID>")


def _is_other_tax(element: XmlElement) -> bool:
    return not is_vat(element)


def address(tag: str) -> Group:
    """Return the table entry of a postal address."""
    return Group(
        tag,
        "address",
        PostalAddress,
        (
            FieldEntry("cbc:StreetName", "line1"),
            FieldEntry("cbc:AdditionalStreetName", "line2"),
            FieldEntry("cbc:CityName", "city"),
            FieldEntry("cbc:PostalZone", "postal_code"),
            FieldEntry("cbc:CountrySubentity", "region"),
            ElementEntry("cac:AddressLine", (FieldEntry("cbc:Line", "line3"),)),
            ElementEntry("cac:Country", (FieldEntry("cbc:IdentificationCode", "country"),)),
        ),
    )


def _read_ids(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    ids: list[Identifier] = []
    for element in parent.all("PartyIdentification"):
        id_fields: Fields = {}
        FieldEntry("cbc:ID", "id", IDENTIFIER).read(
            element, id_fields, place.inside("PartyIdentification")
        )
        if id_fields.get("id") is not None:
            ids.append(id_fields["id"])
    fields["ids"] = ids


def _write_ids(value: Any, currency: str | None) -> Iterator[str]:
    for identifier in value.ids:
        attributes, text = IDENTIFIER.write(identifier, currency)
        identifier_text = element_text("cbc:ID", text, attributes)
        yield f"<cac:PartyIdentification>{identifier_text}</cac:PartyIdentification>"


_VAT_ID: Final = ElementEntry(
    "cac:PartyTaxScheme", (FieldEntry("cbc:CompanyID", "vat_id"), VAT_SCHEME), only=is_vat
)
NAME: Final = ElementEntry("cac:PartyName", (FieldEntry("cbc:Name", "name"),))
_PARTY: Final[tuple[Node, ...]] = (
    FieldEntry("cbc:EndpointID", "endpoint", NEEDED_IDENTIFIER),
    SpecialElement(_read_ids, _write_ids),
    ElementEntry("cac:PartyName", (FieldEntry("cbc:Name", "trading_name"),)),
    address("cac:PostalAddress"),
    _VAT_ID,
    ElementEntry(
        "cac:PartyTaxScheme",
        (FieldEntry("cbc:CompanyID", "tax_id"), _TAX_SCHEME),
        only=_is_other_tax,
    ),
    ElementEntry(
        "cac:PartyLegalEntity",
        (
            FieldEntry("cbc:RegistrationName", "name"),
            FieldEntry("cbc:CompanyID", "legal_id", IDENTIFIER),
            FieldEntry("cbc:CompanyLegalForm", "legal_note"),
        ),
    ),
    Group(
        "cac:Contact",
        "contact",
        ContactPoint,
        (
            FieldEntry("cbc:Name", "name"),
            FieldEntry("cbc:Telephone", "phone"),
            FieldEntry("cbc:ElectronicMail", "email"),
        ),
    ),
)
PAYEE: Final[tuple[Node, ...]] = (
    SpecialElement(_read_ids, _write_ids),
    NAME,
    ElementEntry("cac:PartyLegalEntity", (FieldEntry("cbc:CompanyID", "legal_id", IDENTIFIER),)),
)
TAX_REPRESENTATIVE: Final[tuple[Node, ...]] = (NAME, address("cac:PostalAddress"), _VAT_ID)


def wrapped_party(tag: str, field: str) -> SpecialElement:
    """Return the table entry of a party inside a wrapper element that may be empty."""
    party_group = Group("cac:Party", field, Party, _PARTY)

    def read_element(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        element = only_child(parent, tag, place)
        if element is not None:
            fields[field] = Party()
            party_group.read(element, fields, place.inside(tag))

    def write_element(value: Any, currency: str | None) -> Iterator[str]:
        text = "".join(party_group.write(value, currency))
        if text:
            yield f"<{tag}>{text}</{tag}>"

    return SpecialElement(read_element, write_element)


def check_single_ids(invoice: Invoice) -> None:
    """Refuse several identifiers of the buyer or the payee; only a seller has several in UBL.

    Raises:
        InvalidData: the buyer or the payee has several identifiers.
    """
    for name, party in (("buyer", invoice.buyer), ("payee", invoice.payee)):
        if party is not None and len(party.ids) > 1:
            raise InvalidData(
                f"UBL can contain one identifier of the {name}, not {len(party.ids)}.",
                field=f"{name}.ids",
                remedy="Write the invoice in CII, or give one identifier.",
            )


def is_sepa(identifier: Identifier) -> bool:
    """Return whether an identifier is a SEPA creditor identifier."""
    return (identifier.scheme or "").upper() == "SEPA"


def without_sepa(party: Party | None) -> Party | None:
    """Return a party without its SEPA creditor identifiers."""
    if party is None:
        return None
    return attrs.evolve(party, ids=[item for item in party.ids if not is_sepa(item)])
