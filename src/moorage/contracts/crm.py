"""Customers in a CRM: people, companies, deals and notes, and the operations of CRM vendors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.ref import Ref
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import (
    is_a,
    is_day,
    is_filled,
    is_maybe,
    is_maybe_filled,
    is_moment,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import date

    import attrs

    from moorage.contracts.wire import Wire

KIND: Final = "crm"

PERSON: Final = "person"
COMPANY: Final = "company"
DEAL: Final = "deal"
NOTE: Final = "note"

_LIMITED_NOTE: Final = "note"


class CrmCapability(StrEnum):
    """An optional feature of a CRM."""

    MATCH_EMAIL = "match_email"
    DEAL_PEOPLE = "deal_people"


class DealState(StrEnum):
    """The state of a deal; `unknown` if the vendor does not state it."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"
    UNKNOWN = "unknown"


class CrmRecordKind(StrEnum):
    """The kind of a record that an event concerns."""

    PERSON = PERSON
    COMPANY = COMPANY
    DEAL = DEAL


class CrmChange(StrEnum):
    """A change of a record; `unknown` if moorage does not know the vendor's kind of change."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNKNOWN = "unknown"


def check_type(ref: Ref, *types: str, name: str = "ref") -> Ref:
    """Return a reference after checking that it is not of a record of another type.

    The references of a vendor whose ids have a type of their own need not name the type.

    Raises:
        InvalidData: the reference is of another type of record.
    """
    if ref.other("type") in {None, *types}:
        return ref
    names = " or ".join(types)
    raise InvalidData(
        f"The {name} is not the reference of a {names}.",
        field=name,
        remedy=f"Pass the `ref` of a {names} that this CRM returned.",
    )


def _company_ref(value: Any) -> Any:
    return None if value is None else check_type(Ref.parse(value, COMPANY), COMPANY, name=COMPANY)


def _person_ref(value: Any) -> Any:
    return None if value is None else check_type(Ref.parse(value, PERSON), PERSON, name=PERSON)


def _is_maybe_email(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_maybe_filled(_, attribute, value)
    if value is None:
        return
    local_part, _at, domain = str(value).rpartition("@")
    if not local_part or not domain or any(letter <= " " for letter in str(value)):
        raise InvalidData(
            "The email is not a valid email address.",
            field=attribute.name,
            remedy="Give an address such as ada@example.com, without a display name.",
        )


@frozen(kw_only=True)
class CrmPerson:
    """A person to create or update. Fields that are None stay as they are in the CRM.

    The vendor updates the person with this reference, and creates one if there is none. A person
    without a reference is matched by the email address.

    Attributes:
        family_name: last name.
        given_name: first name.
        reference: your own id of the person, such as a customer number.
        email: email address.
        phone: telephone number.
        title: job title.
        company: reference of the company for which the person works, in the same CRM.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    family_name: str = field(repr=False, validator=is_filled)
    given_name: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    reference: str | None = field(default=None, validator=is_maybe_filled)
    email: str | None = field(default=None, repr=False, validator=_is_maybe_email)
    phone: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    title: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    company: Ref | None = field(default=None, converter=_company_ref)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a person whom no vendor could recognise."""
        if self.reference is None and self.email is None:
            raise InvalidData(
                "A person without a reference and an email address would be created again by each"
                " call.",
                field="reference",
                remedy="Set your own id of the person as `reference`, or set the `email`.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to save this person."""
        return frozenset([CrmCapability.MATCH_EMAIL] if self.reference is None else [])


@frozen(kw_only=True)
class CrmCompany:
    """A company to create or update. Fields that are None stay as they are in the CRM.

    The vendor updates the company with this reference, and creates one if there is none.

    Attributes:
        name: name of the company.
        reference: your own id of the company, such as a customer number.
        website: address of the company's website, such as "example.com".
        phone: telephone number.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    name: str = field(repr=False, validator=is_filled)
    reference: str = field(validator=is_filled)
    website: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    phone: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )


@frozen(kw_only=True)
class Deal:
    """A deal to create or update. Fields that are None stay as they are in the CRM.

    The vendor updates the deal with this reference, and creates one if there is none.

    Attributes:
        name: name of the deal.
        reference: your own id of the deal, such as the number of an offer.
        stage: the CRM's id of the stage, as its administrator defined it.
        closes_on: day on which the deal is expected to be closed.
        amount: value of the deal.
        company: reference of the company, in the same CRM.
        person: reference of the person, in the same CRM.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    name: str = field(repr=False, validator=is_filled)
    reference: str = field(validator=is_filled)
    stage: str = field(validator=is_filled)
    closes_on: date = field(validator=is_day)
    amount: Money | None = field(default=None, validator=is_maybe(Money))
    company: Ref | None = field(default=None, converter=_company_ref)
    person: Ref | None = field(default=None, converter=_person_ref)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to save this deal."""
        return frozenset([] if self.person is None else [CrmCapability.DEAL_PEOPLE])


@frozen(kw_only=True)
class CrmNote:
    """A note on a person, a company or a deal.

    Attributes:
        text: plain text of the note.
        at: time at which the note belongs in the history of the record.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    text: str = field(repr=False, validator=is_filled)
    at: datetime = field(validator=[is_a(datetime), is_moment])
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )


def check_fits(note: CrmNote, limits: Mapping[str, int]) -> None:
    """Refuse a note that exceeds the vendor's limit.

    Args:
        note: note to add.
        limits: limits of the vendor; only "note" is read, which counts characters.
    """
    size = len(note.text)
    if size > limits.get(_LIMITED_NOTE, size):
        raise InvalidData(
            f"The note has {size} characters, but the vendor accepts at most"
            f" {limits[_LIMITED_NOTE]}.",
            field="text",
            remedy="Give a shorter text, or several notes.",
        )


def _check_single(details: Mapping[str, str | None]) -> None:
    names = " and ".join(details)
    if sum(detail is not None for detail in details.values()) > 1:
        raise InvalidData(
            f"A search must not name both {names}.",
            field=next(iter(details)),
            remedy="Set one of these fields, or none to list all records.",
        )


@frozen(kw_only=True)
class CrmPersonQuery:
    """A search for people by one exact detail; without a detail, a list of all people.

    Attributes:
        reference: your own id of the person.
        email: email address.
    """

    reference: str | None = field(default=None, validator=is_maybe_filled)
    email: str | None = field(default=None, repr=False, validator=_is_maybe_email)

    def __attrs_post_init__(self) -> None:
        """Refuse a search for two details."""
        _check_single({"reference": self.reference, "email": self.email})


@frozen(kw_only=True)
class CrmCompanyQuery:
    """A search for companies by one exact detail; without a detail, a list of all companies.

    Attributes:
        reference: your own id of the company.
        name: name of the company.
    """

    reference: str | None = field(default=None, validator=is_maybe_filled)
    name: str | None = field(default=None, repr=False, validator=is_maybe_filled)

    def __attrs_post_init__(self) -> None:
        """Refuse a search for two details."""
        _check_single({"reference": self.reference, "name": self.name})


@frozen(kw_only=True)
class CrmReceipt:
    """The confirmation that a record was saved.

    Attributes:
        ref: reference of the record.
        created: True if the call created the record, False if it updated one; None if the vendor
            does not state it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    created: bool | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class CrmPersonRecord:
    """A person in the CRM; a field is None if the CRM has no value.

    Attributes:
        ref: reference of the person.
        given_name: first name.
        family_name: last name.
        reference: your own id of the person.
        email: email address.
        phone: telephone number.
        title: job title.
        companies: references of the companies for which the person works.
        raw: the vendor's complete response.
    """

    ref: Ref
    given_name: str | None = field(default=None, repr=False)
    family_name: str | None = field(default=None, repr=False)
    reference: str | None = None
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    title: str | None = field(default=None, repr=False)
    companies: tuple[Ref, ...] = ()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class CrmPersonPage:
    """A page of a list of people.

    Attributes:
        items: people on this page; a page may be empty although another one follows.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[CrmPersonRecord, ...]
    next: Ref | None = field(default=None, repr=False)


@frozen(kw_only=True)
class CrmCompanyRecord:
    """A company in the CRM; a field is None if the CRM has no value.

    Attributes:
        ref: reference of the company.
        name: name of the company.
        reference: your own id of the company.
        website: address of the company's website.
        phone: telephone number.
        raw: the vendor's complete response.
    """

    ref: Ref
    name: str | None = field(default=None, repr=False)
    reference: str | None = None
    website: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class CrmCompanyPage:
    """A page of a list of companies.

    Attributes:
        items: companies on this page; a page may be empty although another one follows.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[CrmCompanyRecord, ...]
    next: Ref | None = field(default=None, repr=False)


@frozen(kw_only=True)
class DealRecord:
    """A deal in the CRM; a field is None if the CRM has no value.

    Attributes:
        ref: reference of the deal.
        name: name of the deal.
        reference: your own id of the deal.
        stage: the CRM's id of the stage.
        state: open, won or lost, as the stage defines it.
        closes_on: day on which the deal was or is expected to be closed.
        amount: value of the deal.
        companies: references of the companies.
        people: references of the people.
        raw: the vendor's complete response.
    """

    ref: Ref
    name: str | None = field(default=None, repr=False)
    reference: str | None = None
    stage: str | None = None
    state: DealState = DealState.UNKNOWN
    closes_on: date | None = None
    amount: Money | None = None
    companies: tuple[Ref, ...] = ()
    people: tuple[Ref, ...] = ()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class CrmEvent:
    """A change in the CRM that the vendor reports, without the content of the record.

    Attributes:
        id: unique id of the event.
        ref: reference of the record.
        record: kind of the record.
        change: change of the record.
        vendor_type: the vendor's own word for the event.
        at: time of the change, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    record: CrmRecordKind
    change: CrmChange
    vendor_type: str | None = None
    at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)


class CrmVendor(Protocol):
    """The operations of a CRM; its `capabilities` list the optional features."""

    async def save_person(
        self, wire: Wire, person: CrmPerson, /, *, key: str | None
    ) -> CrmReceipt: ...

    async def get_person(self, wire: Wire, ref: Ref, /) -> CrmPersonRecord: ...

    async def find_people(
        self, wire: Wire, query: CrmPersonQuery, after: Ref | None, /
    ) -> CrmPersonPage: ...

    async def save_company(
        self, wire: Wire, company: CrmCompany, /, *, key: str | None
    ) -> CrmReceipt: ...

    async def get_company(self, wire: Wire, ref: Ref, /) -> CrmCompanyRecord: ...

    async def find_companies(
        self, wire: Wire, query: CrmCompanyQuery, after: Ref | None, /
    ) -> CrmCompanyPage: ...

    async def save_deal(self, wire: Wire, deal: Deal, /, *, key: str | None) -> CrmReceipt: ...

    async def get_deal(self, wire: Wire, ref: Ref, /) -> DealRecord: ...

    async def move_deal(self, wire: Wire, ref: Ref, stage: str, /) -> CrmReceipt: ...

    async def add_note(
        self, wire: Wire, ref: Ref, note: CrmNote, /, *, key: str | None
    ) -> CrmReceipt: ...
