"""Employees' accounts in directories, their groups, and the operations of directory vendors."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.ref import Ref
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_tuple,
    is_a,
    is_filled,
    is_maybe_filled,
    is_tuple,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.wire import Wire
    from moorage.domain.secrets.secret import Secret

KIND: Final = "people"

_CLEARABLE_FIELDS: Final = (
    "display_name",
    "emails",
    "phones",
    "title",
    "department",
    "manager",
    "external_id",
    "language",
    "time_zone",
)
_LIMITED_FIELDS: Final = ("external_id",)


class PeopleCapability(StrEnum):
    """An optional feature of a directory of people."""

    GROUPS = "groups"
    MANAGER = "manager"
    TIME_ZONE = "time_zone"
    VERSION = "version"


_NEEDED_CAPABILITIES: Final = {
    "manager": PeopleCapability.MANAGER,
    "time_zone": PeopleCapability.TIME_ZONE,
}
"""The capability that each optional field of a person needs."""


class PhoneKind(OneOf, field="kind"):
    """The use of a phone number; `other` for a use that only the vendor has."""

    WORK = "work"
    MOBILE = "mobile"
    HOME = "home"
    OTHER = "other"


class MemberKind(StrEnum):
    """The kind of a group's member; `unknown` if moorage does not know the vendor's kind."""

    PERSON = "person"
    GROUP = "group"
    UNKNOWN = "unknown"


def _are_addresses(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None:
        return
    are_all(str)(_, attribute, value)
    for number, address in enumerate(value):
        local_part, _, domain = address.rpartition("@")
        if not local_part or not domain or any(letter <= " " for letter in address):
            raise InvalidData(
                f"An entry of {attribute.name} is not a valid email address.",
                field=f"{attribute.name}[{number}]",
                remedy="Give an address such as ada@example.com, without a display name.",
            )
    if len({address.casefold() for address in value}) < len(value):
        raise InvalidData(
            f"The {attribute.name} include one email address more than once.",
            field=attribute.name,
            remedy="Give each address once.",
        )


def _as_manager(value: Any) -> Any:
    return None if value is None else Ref.parse(value, "manager")


def _as_maybe_tuple(value: Any) -> Any:
    return None if value is None else as_tuple(value)


def _are_phones(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        are_all(Phone)(_, attribute, value)


@frozen
class Phone:
    """A phone number of a person.

    Attributes:
        number: the number, best in the international form, such as +49 151 12345678.
        kind: use of the number.
    """

    number: str = field(validator=is_filled, repr=False)
    kind: PhoneKind = field(default=PhoneKind.WORK, converter=PhoneKind)


@frozen(kw_only=True)
class NewPerson:
    """A person for whom an account is to be created.

    Attributes:
        user_name: name to sign in with, unique in the directory; Google Workspace and Microsoft
            Entra require an email address in one of their domains.
        given_name: first name.
        family_name: last name.
        display_name: full name, as others see it; by default the directory creates one.
        emails: email addresses, the primary one first.
        phones: phone numbers.
        title: job title.
        department: name of the department.
        manager: reference of the manager's account in the same directory.
        external_id: your own id of the person, such as the employee number. Without one,
            moorage cannot recognise the account after the response to its creation was lost.
        language: preferred language, such as "de" or "de-CH".
        time_zone: time zone, such as "Europe/Berlin".
        active: False to create an account that cannot be used for signing in yet.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    user_name: str = field(validator=is_filled, repr=False)
    given_name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    family_name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    display_name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    emails: tuple[str, ...] = field(
        default=(), converter=as_tuple, validator=[are_all(str), _are_addresses], repr=False
    )
    phones: tuple[Phone, ...] = field(
        default=(), converter=as_tuple, validator=are_all(Phone), repr=False
    )
    title: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    department: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    manager: Ref | None = field(default=None, converter=_as_manager, repr=False)
    external_id: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    language: str | None = field(default=None, validator=is_maybe_filled)
    time_zone: str | None = field(default=None, validator=is_maybe_filled)
    active: bool = field(default=True, validator=is_a(bool))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to create this account."""
        return _needed_capabilities(self)


def _are_clearable(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, str) or not is_tuple(value) or not set(value) <= set(_CLEARABLE_FIELDS):
        raise InvalidData(
            "`clear` names a field that does not exist or cannot be emptied.",
            field=attribute.name,
            remedy=f"Use only these names: {', '.join(_CLEARABLE_FIELDS)}.",
        )


@frozen(kw_only=True)
class PersonChanges:
    """Changes of an account; fields that are not given stay unchanged in the directory.

    Attributes:
        user_name, given_name, family_name, display_name, emails, phones, title, department,
            manager, external_id, language, time_zone: new values, with the meaning that they have
            in `NewPerson`. `emails` and `phones` are complete lists.
        clear: names of fields to empty, such as ["title", "manager"].
    """

    user_name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    given_name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    family_name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    display_name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    emails: tuple[str, ...] | None = field(
        default=None, converter=_as_maybe_tuple, validator=_are_addresses, repr=False
    )
    phones: tuple[Phone, ...] | None = field(
        default=None, converter=_as_maybe_tuple, validator=_are_phones, repr=False
    )
    title: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    department: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    manager: Ref | None = field(default=None, converter=_as_manager, repr=False)
    external_id: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    language: str | None = field(default=None, validator=is_maybe_filled)
    time_zone: str | None = field(default=None, validator=is_maybe_filled)
    clear: tuple[str, ...] = field(default=(), converter=as_tuple, validator=_are_clearable)

    def __attrs_post_init__(self) -> None:
        """Refuse an empty change, and a field that is both set and cleared."""
        named_fields = self.values
        for name in self.clear:
            if getattr(self, name) is not None:
                raise InvalidData(
                    f"The field {name} has a new value, but `clear` names it too.",
                    field="clear",
                    remedy="Give the new value or name the field in `clear`, not both.",
                )
        if not named_fields:
            raise InvalidData(
                "The changes do not change any field.",
                field="changes",
                remedy="Give at least one field a new value, or name it in `clear`.",
            )

    @property
    def values(self) -> Mapping[str, Any]:
        """The new value of each changed field; None or an empty tuple if the field is cleared."""
        fields = {name: getattr(self, name) for name in (*_NAMES, *_CLEARABLE_FIELDS)}
        set_values = {name: value for name, value in fields.items() if value is not None}
        cleared_values = {name: () if name in _LISTS else None for name in self.clear}
        return {**set_values, **cleared_values}

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to make these changes."""
        return frozenset(
            [capability for name, capability in _NEEDED_CAPABILITIES.items() if name in self.values]
        )


_NAMES: Final = ("user_name", "given_name", "family_name")
_LISTS: Final = frozenset({"emails", "phones"})


def _needed_capabilities(person: NewPerson) -> frozenset[str]:
    return frozenset(
        [
            capability
            for name, capability in _NEEDED_CAPABILITIES.items()
            if getattr(person, name) is not None
        ]
    )


def check_fits(person: NewPerson | PersonChanges, limits: Mapping[str, int]) -> None:
    """Refuse a person who exceeds the vendor's limits.

    Args:
        person: new account, or changes of an account.
        limits: limits of the vendor; only "external_id" is read, which counts characters.
    """
    for name in _LIMITED_FIELDS:
        size = len(getattr(person, name) or "")
        if size > limits.get(name, size):
            raise InvalidData(
                f"The {name} has {size} characters, but the vendor accepts at most {limits[name]}.",
                field=name,
                remedy="Give a shorter value.",
            )


@frozen(kw_only=True)
class PeopleQuery:
    """A filter of a list of people; a person must match all given fields.

    Attributes:
        user_name: name to sign in with.
        email: one of the email addresses.
        external_id: your own id of the person.
    """

    user_name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    email: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    external_id: str | None = field(default=None, validator=is_maybe_filled, repr=False)


@frozen(kw_only=True)
class Person:
    """The account of a person in a directory; a field is None if the directory has no value.

    Attributes:
        ref: reference of the account.
        user_name: name to sign in with.
        active: True if the person can sign in; None if the directory does not say.
        given_name: first name.
        family_name: last name.
        display_name: full name, as others see it.
        emails: email addresses, the primary one first.
        phones: phone numbers.
        title: job title.
        department: name of the department.
        manager: reference of the manager's account.
        external_id: your own id of the person.
        language: preferred language.
        time_zone: time zone.
        version: version of the account, for `change`; None if the vendor compares no versions.
        raw: the vendor's complete response.
    """

    ref: Ref
    user_name: str = field(repr=False)
    active: bool | None = None
    given_name: str | None = field(default=None, repr=False)
    family_name: str | None = field(default=None, repr=False)
    display_name: str | None = field(default=None, repr=False)
    emails: tuple[str, ...] = field(default=(), repr=False)
    phones: tuple[Phone, ...] = field(default=(), repr=False)
    title: str | None = field(default=None, repr=False)
    department: str | None = field(default=None, repr=False)
    manager: Ref | None = field(default=None, repr=False)
    external_id: str | None = field(default=None, repr=False)
    language: str | None = None
    time_zone: str | None = None
    version: str | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class PersonPage:
    """A page of a list of people.

    Attributes:
        items: people on this page; a page may be empty although another one follows.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[Person, ...]
    next: Ref | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Group:
    """A group of people in a directory.

    Attributes:
        ref: reference of the group.
        name: name that people see, if the directory has one.
        email: email address of the group, if it has one.
        raw: the vendor's complete response.
    """

    ref: Ref
    name: str | None = None
    email: str | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class GroupPage:
    """A page of a list of groups.

    Attributes:
        items: groups on this page; a page may be empty although another one follows.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[Group, ...]
    next: Ref | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Member:
    """A member of a group.

    Attributes:
        ref: reference of the person's account, or of the group that is the member.
        kind: kind of the member.
        raw: the vendor's complete response.
    """

    ref: Ref
    kind: MemberKind = MemberKind.UNKNOWN
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class MemberPage:
    """A page of the members of a group.

    Attributes:
        items: direct members on this page; a page may be empty although another one follows.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[Member, ...]
    next: Ref | None = field(default=None, repr=False)


class PeopleVendor(Protocol):
    """The operations of a directory of people; its `capabilities` list the optional ones."""

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage: ...

    async def get(self, wire: Wire, ref: Ref, /) -> Person: ...

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person: ...

    async def change(
        self, wire: Wire, ref: Ref, changes: PersonChanges, /, *, version: str | None
    ) -> None: ...

    async def deactivate(self, wire: Wire, ref: Ref, /) -> None: ...

    async def reactivate(self, wire: Wire, ref: Ref, /) -> None: ...

    async def delete(self, wire: Wire, ref: Ref, /) -> None: ...

    async def groups(self, wire: Wire, after: Ref | None, /) -> GroupPage: ...

    async def members(self, wire: Wire, ref: Ref, /, *, after: Ref | None) -> MemberPage: ...

    async def add_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None: ...

    async def remove_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None: ...
