"""The parties of an invoice, with their addresses and contacts."""

from __future__ import annotations

from typing import Any

import attrs

from moorage.contracts.validators import are_all, as_tuple, is_tuple
from moorage.invoices.values.fields import (
    Identifier,
    as_identifier,
    identifier_field,
    part_field,
    text_field,
)


def _as_identifiers(value: Any) -> Any:
    values = as_tuple(value)
    if not is_tuple(values):
        return values
    return tuple(sorted(map(as_identifier, values), key=_has_scheme))


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

    line1: str | None = text_field(private=True)
    line2: str | None = text_field(private=True)
    line3: str | None = text_field(private=True)
    city: str | None = text_field(private=True)
    postal_code: str | None = text_field(private=True)
    region: str | None = text_field(private=True)
    country: str | None = text_field()


@attrs.frozen(kw_only=True)
class ContactPoint:
    """A person or department to ask about the invoice.

    Attributes:
        name: name of the person or department (BT-41).
        phone: telephone number (BT-42).
        email: email address (BT-43).
    """

    name: str | None = text_field(private=True)
    phone: str | None = text_field(private=True)
    email: str | None = text_field(private=True)


@attrs.frozen(kw_only=True)
class Party:
    """A seller, buyer, payee or tax representative.

    A payee has only a name, an identifier and a legal identifier; a tax representative has only a
    name, a VAT identifier and an address.

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

    name: str | None = text_field(private=True)
    trading_name: str | None = text_field(private=True)
    ids: tuple[Identifier, ...] = attrs.field(
        default=(), converter=_as_identifiers, validator=are_all(Identifier), repr=False
    )
    legal_id: Identifier | None = identifier_field()
    vat_id: str | None = text_field(private=True)
    tax_id: str | None = text_field(private=True)
    legal_note: str | None = text_field(private=True)
    endpoint: Identifier | None = identifier_field()
    address: PostalAddress | None = part_field(PostalAddress)
    contact: ContactPoint | None = part_field(ContactPoint, private=True)
