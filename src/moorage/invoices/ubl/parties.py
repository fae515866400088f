"""The parties of a UBL document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.invoices.binding import (
    IDENTIFIER,
    Box,
    Constant,
    ElementPlace,
    Fields,
    Group,
    Leaf,
    Node,
    Special,
    element_text,
    single,
)
from moorage.invoices.ubl.elements import VAT_SCHEME, is_vat
from moorage.invoices.values import ContactPoint, Identifier, Party, PostalAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

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
            Leaf("cbc:StreetName", "line1"),
            Leaf("cbc:AdditionalStreetName", "line2"),
            Leaf("cbc:CityName", "city"),
            Leaf("cbc:PostalZone", "postal_code"),
            Leaf("cbc:CountrySubentity", "region"),
            Box("cac:AddressLine", (Leaf("cbc:Line", "line3"),)),
            Box("cac:Country", (Leaf("cbc:IdentificationCode", "country"),)),
        ),
    )


def _read_ids(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
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
    "cac:PartyTaxScheme", (Leaf("cbc:CompanyID", "vat_id"), VAT_SCHEME), only=is_vat
)
NAME: Final = Box("cac:PartyName", (Leaf("cbc:Name", "name"),))
_PARTY: Final[tuple[Node, ...]] = (
    Leaf("cbc:EndpointID", "endpoint", IDENTIFIER),
    Special(_read_ids, _write_ids),
    Box("cac:PartyName", (Leaf("cbc:Name", "trading_name"),)),
    address("cac:PostalAddress"),
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
PAYEE: Final[tuple[Node, ...]] = (
    Special(_read_ids, _write_ids),
    NAME,
    Box("cac:PartyLegalEntity", (Leaf("cbc:CompanyID", "legal_id", IDENTIFIER),)),
)
TAX_REPRESENTATIVE: Final[tuple[Node, ...]] = (NAME, address("cac:PostalAddress"), _VAT_ID)


def wrapped_party(tag: str, field: str) -> Special:
    """Return the table entry of a party inside another element, which may be empty."""
    inner = Group("cac:Party", field, Party, _PARTY)

    def reading(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        element = single(parent, tag, place)
        if element is not None:
            fields[field] = Party()
            inner.read(element, fields, place.inside(tag))

    def writing(value: Any, currency: str | None) -> Iterator[str]:
        text = "".join(inner.write(value, currency))
        if text:
            yield f"<{tag}>{text}</{tag}>"

    return Special(reading, writing)


def is_sepa(identifier: Identifier) -> bool:
    """Return whether an identifier is a SEPA creditor identifier."""
    return (identifier.scheme or "").upper() == "SEPA"


def without_sepa(party: Party | None) -> Party | None:
    """Return a party without its SEPA creditor identifiers."""
    if party is None:
        return None
    return attrs.evolve(party, ids=[item for item in party.ids if not is_sepa(item)])
