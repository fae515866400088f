"""People: fields of new persons and of changes, and refused arguments."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import InvalidData
from moorage.contracts.people import (
    NewPerson,
    PeopleCapability,
    PeopleQuery,
    PersonChanges,
    Phone,
    PhoneKind,
    check_fits,
)
from moorage.contracts.ref import Ref
from moorage.packing import pack, unpack

REF = Ref("scim", "main", "1")


def test_changes_survive_a_store() -> None:
    """Changes of a person, with all their fields, can be packed and read back."""
    changes = PersonChanges(
        user_name="ada",
        emails=["a@example.com"],
        phones=[Phone("1", "mobile")],
        manager="scim:main:1",
        clear=["title"],
    )

    assert changes == unpack(pack(changes))
    assert REF == changes.manager


def test_only_named_fields_have_value() -> None:
    """Only changed fields have a value: () for an emptied list, None for other emptied fields."""
    changes = PersonChanges(family_name="King", emails=[], clear=["phones", "title"])

    assert {
        "family_name": "King",
        "emails": (),
        "phones": (),
        "title": None,
    } == changes.values


def test_setting_a_manager_or_a_time_zone_needs_a_capability() -> None:
    """Setting a manager or a time zone needs a capability of its own, even to clear the value."""
    needs = {PeopleCapability.MANAGER, PeopleCapability.TIME_ZONE}

    assert needs == NewPerson(user_name="a", manager=REF, time_zone="UTC").needs
    assert needs == PersonChanges(time_zone="UTC", clear=["manager"]).needs
    assert frozenset() == NewPerson(user_name="a").needs


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"user_name": " "}, "user_name"),
        ({"given_name": ""}, "given_name"),
        ({"emails": ["ada"]}, "emails[0]"),
        ({"emails": ["a@example.com", "@example.com"]}, "emails[1]"),
        ({"emails": ["a b@example.com"]}, "emails[0]"),
        ({"emails": ["a@example.com", "A@example.com"]}, "emails"),
        ({"emails": "a@example.com"}, "emails"),
        ({"phones": ["1"]}, "phones[0]"),
        ({"manager": "Charles"}, "manager"),
        ({"active": 1}, "active"),
        ({"extra": []}, "extra"),
    ],
)
def test_wrong_people_are_refused(fields: dict[str, Any], field: str) -> None:
    """A new person with a wrong value is refused; the error contains the field's name."""
    options: dict[str, Any] = {"user_name": "ada", **fields}
    with pytest.raises(InvalidData) as excinfo:
        NewPerson(**options)

    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "fields, field",
    [
        ({}, "changes"),
        ({"title": "x", "clear": ["title"]}, "clear"),
        ({"clear": ["user_name"]}, "clear"),
        ({"clear": "title"}, "clear"),
        ({"phones": [1]}, "phones[0]"),
        ({"emails": ["x"]}, "emails[0]"),
    ],
)
def test_wrong_changes_are_refused(fields: dict[str, Any], field: str) -> None:
    """Changes without a field, or with a field twice, are refused."""
    with pytest.raises(InvalidData) as excinfo:
        PersonChanges(**fields)

    assert field == excinfo.value.field


def test_kinds_of_numbers_may_be_texts() -> None:
    """The kind of a phone number may be a str; an unknown kind is refused."""
    assert PhoneKind.HOME is Phone("1", "home").kind
    with pytest.raises(InvalidData):
        Phone("1", "fax")
    with pytest.raises(InvalidData):
        Phone(" ")


def test_external_id_is_refused_only_by_vendor_whose_maximum_length_it_exceeds() -> None:
    """An external id is refused only by a vendor whose maximum length it exceeds."""
    person = NewPerson(user_name="ada", external_id="E" * 17)
    check_fits(person, {})
    check_fits(person, {"external_id": 17})
    with pytest.raises(InvalidData, match="has 17 characters"):
        check_fits(person, {"external_id": 16})


def test_empty_queries_are_refused() -> None:
    """A query with an empty text as a filter is refused, since vendors interpret it differently."""
    with pytest.raises(InvalidData):
        PeopleQuery(email="")
