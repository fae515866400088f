"""Helpers of people directories: references, look-ups after lost responses, and kinds of phones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.people import NewPerson, Person, PhoneKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


NOT_FOUND: Final = 404
_KINDS: Final = {
    "work": PhoneKind.WORK,
    "mobile": PhoneKind.MOBILE,
    "home": PhoneKind.HOME,
}


def phone_kind(word: object) -> PhoneKind:
    """The kind of a phone number, from the word that the directory uses for it."""
    return _KINDS.get(str(word).lower(), PhoneKind.OTHER)


def id_in_directory(wire: sdk.Wire, vendor: str, ref: sdk.Ref, field: str) -> str:
    """The id in a reference, after checking that it belongs to this directory.

    Raises:
        InvalidData: the reference belongs to another account or vendor.
    """
    if (ref.vendor, ref.account) == (vendor, wire.account):
        return ref.id
    raise sdk.InvalidData(
        f"The {field} belongs to another directory.",
        field=field,
        remedy="Pass the reference of an account in the same directory.",
    )


def values_of(person: NewPerson) -> dict[str, Any]:
    """The non-empty fields of a new person, by their names in the contract."""
    names = (
        "user_name",
        "given_name",
        "family_name",
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
    fields = {name: getattr(person, name) for name in names}
    return {**{name: value for name, value in fields.items() if value}, "active": person.active}


def check_named(person: NewPerson, *names: str) -> None:
    """Refuse a person who lacks a field that the directory requires."""
    for name in names:
        if not getattr(person, name):
            raise sdk.InvalidData(
                f"The directory requires a {name}.", field=name, remedy=f"Give a {name}."
            )


def required_password(password: sdk.Secret | None, vendor: str) -> str:
    """The initial password for a person, after checking that there is one.

    Raises:
        InvalidData: the person has no password.
    """
    if password is not None:
        return password.reveal()
    raise sdk.InvalidData(
        f"{vendor} requires a password for a new account.",
        field="password",
        remedy="Pass a long random password. The person replaces it, or signs in through your"
        " identity provider.",
    )


async def created_account(
    creating: Awaitable[Person], look_up: Callable[[], Awaitable[Person | None]], person: NewPerson
) -> Person:
    """Return a new person's account; if the response was lost, look the account up by its names.

    An account with the same user name counts as the new one only if it also has your own id of the
    person, because the user name may belong to another person.

    Raises:
        OutcomeUnknown: the response was lost, and no such account is known.
    """
    try:
        return await creating
    except sdk.OutcomeUnknown as unknown_outcome:
        try:
            account = None if person.external_id is None else await look_up()
        except sdk.ConnectorError:
            account = None
        if account is None or not is_same_person(account, person):
            raise unknown_outcome from None
        return account


def is_same_person(account: Person, person: NewPerson) -> bool:
    """True if an account has a person's user name and the person's id in your own system."""
    return (
        account.user_name.casefold() == person.user_name.casefold()
        and person.external_id is not None
        and account.external_id == person.external_id
    )


def merged_entries(current: Any, entries: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """The new entries of a list; entries that exist already keep their other fields.

    Args:
        current: the list in the directory.
        entries: fields of each new entry.
        key: field that identifies an entry, ignoring case.
    """
    current_entries: list[Any] = current if sdk.is_list(current) else []
    by_key: dict[str, Mapping[str, Any]] = {
        str(entry.get(key)).casefold(): entry for entry in current_entries if sdk.is_object(entry)
    }
    return [{**by_key.get(str(entry[key]).casefold(), {}), **entry} for entry in entries]


def is_missing(error: sdk.VendorRejected) -> bool:
    """True if the directory answered that an object does not exist."""
    return error.status == NOT_FOUND
