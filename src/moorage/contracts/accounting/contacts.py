"""Customers and suppliers in the books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moorage.contracts.accounting.vendor import AccountingCapability
from moorage.contracts.address import Address
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import OneOf, is_a, is_filled, is_maybe, is_maybe_filled
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref


class ContactRole(OneOf, field="role"):
    """The role of a contact in the books: customer or supplier."""

    CUSTOMER = "customer"
    SUPPLIER = "supplier"


@frozen(kw_only=True)
class Contact:
    """A customer or supplier. Its repr hides personal data.

    Attributes:
        name: name of the person or business, under which the books list it.
        role: customer or supplier.
        number: your own number of the contact, such as a customer number.
        email: email address.
        phone: telephone number.
        tax_number: VAT or tax number.
        address: postal address; only lines, city, region, postal code and country are used.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    name: str = field(repr=False, validator=is_filled)
    role: ContactRole = field(default=ContactRole.CUSTOMER, converter=ContactRole)
    number: str | None = field(default=None, validator=is_maybe_filled)
    email: str | None = field(default=None, repr=False, validator=is_maybe(str))
    phone: str | None = field(default=None, repr=False, validator=is_maybe(str))
    tax_number: str | None = field(default=None, repr=False, validator=is_maybe(str))
    address: Address | None = field(default=None, repr=False, validator=is_maybe(Address))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this contact."""
        return frozenset([AccountingCapability.CONTACT_NUMBERS] if self.number else [])


@frozen(kw_only=True)
class ContactQuery:
    """A search for contacts with one exact detail, such as a name or an email address.

    Attributes:
        role: customers or suppliers; some vendors do not distinguish them.
        name: name of the contact.
        email: email address.
        number: your own number of the contact.
    """

    role: ContactRole = field(default=ContactRole.CUSTOMER, converter=ContactRole)
    name: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    email: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    number: str | None = field(default=None, validator=is_maybe_filled)

    def __attrs_post_init__(self) -> None:
        """Refuse a search that does not name exactly one detail."""
        if sum(detail is not None for detail in (self.name, self.email, self.number)) != 1:
            raise InvalidData(
                "A contact search must name exactly one of name, email and number.",
                field="name",
                remedy="Set one of these three fields, and leave out the other two.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this search."""
        return frozenset([AccountingCapability.CONTACT_NUMBERS] if self.number else [])


@frozen(kw_only=True)
class ContactRecord:
    """A contact in the books.

    Attributes:
        ref: reference of the contact.
        name: name of the contact.
        number: your own number of the contact, if the vendor keeps one.
        email: email address, if known.
        active: False if the contact is archived; None if the vendor does not state it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    name: str | None = field(default=None, repr=False)
    number: str | None = None
    email: str | None = field(default=None, repr=False)
    active: bool | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
