"""The parties of a CII document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.invoices.binding import (
    IDENTIFIER,
    NEEDED_IDENTIFIER,
    TAX_ID,
    VAT_ID,
    Codec,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Group,
    Node,
    SpecialElement,
    element_text,
    text_at,
    write_nothing,
)
from moorage.invoices.values import ContactPoint, Identifier, PostalAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.vendor_sdk.xml_text import XmlElement


def _has_scheme(scheme: str) -> Callable[[XmlElement], bool]:
    """Return a function that tests if a tax registration has this scheme."""

    def is_met(element: XmlElement) -> bool:
        identifier = next(element.all("ID"), None)
        return identifier is not None and identifier.attributes.get("schemeID") == scheme

    return is_met


ADDRESS: Final = Group(
    "ram:PostalTradeAddress",
    "address",
    PostalAddress,
    (
        FieldEntry("ram:PostcodeCode", "postal_code"),
        FieldEntry("ram:LineOne", "line1"),
        FieldEntry("ram:LineTwo", "line2"),
        FieldEntry("ram:LineThree", "line3"),
        FieldEntry("ram:CityName", "city"),
        FieldEntry("ram:CountryID", "country"),
        FieldEntry("ram:CountrySubDivisionName", "region"),
    ),
)


def read_ids(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    """Read the identifiers of a party or place, with and without a scheme."""
    fields["ids"] = [
        identifier
        for tag in ("ID", "GlobalID")
        for element in parent.all(tag)
        if (identifier := IDENTIFIER.read(element, place)) is not None
    ]


def id_texts(ids: tuple[Identifier, ...]) -> Iterator[str]:
    """Yield the XML elements of identifiers, with and without a scheme."""
    for identifier in ids:
        tag = "ram:ID" if identifier.scheme is None else "ram:GlobalID"
        yield element_text(tag, identifier.value or "", {"schemeID": identifier.scheme})


def _write_ids(value: Any, currency: str | None) -> Iterator[str]:
    del currency
    return id_texts(value.ids)


def _read_department(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    del place
    fields.setdefault("name", text_at(parent, "DepartmentName"))


def _registration(scheme: str, field: str, codec: Codec) -> ElementEntry:
    return ElementEntry(
        "ram:SpecifiedTaxRegistration",
        (FieldEntry("ram:ID", field, codec),),
        only=_has_scheme(scheme),
    )


_VAT_REGISTRATION: Final = _registration("VA", "vat_id", VAT_ID)
PARTY: Final[tuple[Node, ...]] = (
    SpecialElement(read_ids, _write_ids),
    FieldEntry("ram:Name", "name"),
    FieldEntry("ram:Description", "legal_note"),
    ElementEntry(
        "ram:SpecifiedLegalOrganization",
        (
            FieldEntry("ram:ID", "legal_id", IDENTIFIER),
            FieldEntry("ram:TradingBusinessName", "trading_name"),
        ),
    ),
    Group(
        "ram:DefinedTradeContact",
        "contact",
        ContactPoint,
        (
            FieldEntry("ram:PersonName", "name"),
            SpecialElement(_read_department, write_nothing),
            ElementEntry(
                "ram:TelephoneUniversalCommunication", (FieldEntry("ram:CompleteNumber", "phone"),)
            ),
            ElementEntry("ram:EmailURIUniversalCommunication", (FieldEntry("ram:URIID", "email"),)),
        ),
    ),
    ADDRESS,
    ElementEntry(
        "ram:URIUniversalCommunication",
        (FieldEntry("ram:URIID", "endpoint", NEEDED_IDENTIFIER, missing=Identifier()),),
    ),
    _VAT_REGISTRATION,
    _registration("FC", "tax_id", TAX_ID),
)
PAYEE: Final[tuple[Node, ...]] = (
    SpecialElement(read_ids, _write_ids),
    FieldEntry("ram:Name", "name"),
    ElementEntry("ram:SpecifiedLegalOrganization", (FieldEntry("ram:ID", "legal_id", IDENTIFIER),)),
)
TAX_REPRESENTATIVE: Final[tuple[Node, ...]] = (
    FieldEntry("ram:Name", "name"),
    ADDRESS,
    _VAT_REGISTRATION,
)
