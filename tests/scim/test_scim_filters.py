"""Filters, pages and selected attributes of the SCIM server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from moorage.scim import MemoryScimStore, ScimCondition, ScimKind, fulfils
from tests.scim.scim_driver import ADA, ENTERPRISE, USER, Driver, patch_body

if TYPE_CHECKING:
    from moorage.scim import ScimMatches


@pytest.mark.parametrize(
    "text, count",
    [
        ('userName eq "ada@example.com"', 1),
        ('USERNAME EQ "Ada@Example.com"', 1),
        ('externalId eq "e-1815"', 0),
        ('emails.value eq "ADA@example.com"', 1),
        ('emails eq "ada@example.com"', 1),
        ('emails.value eq "nobody@example.com"', 0),
        ('emails[type eq "work"].value eq "ada@example.com"', 1),
        ("active eq true", 1),
        ("active eq FALSE", 0),
        ('active eq "true"', 0),
        (f'{ENTERPRISE}:department eq "analysis"', 1),
        ('id eq "1"', 0),
        ('userName eq "ada@example.com" and externalId eq "E-1815"', 1),
        ('userName eq "ada@example.com" and externalId eq "E-2"', 0),
        ('title eq "\\" or userName pr"', 0),
    ],
)
def test_filter_finds_exactly_people_who_fulfil_all_its_conditions(text: str, count: int) -> None:
    """A filter finds exactly the people who fulfil all its conditions."""
    driver = Driver()
    driver.json("POST", "/Users", ADA)
    driver.json("POST", "/Users", {"userName": "grace@example.com"})

    page = driver.json("GET", "/Users", query=urlencode({"filter": text}))
    assert count == page["totalResults"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "userName", "userName pr", 'userName co "a"', 'userName eq "a" or id eq "b"'),
        *('userName eq "a" and', 'userName eq "a', "userName eq 7", 'userName eq "\\x"'),
        *('(userName eq "a")', 'userName eq "a" x', f'userName eq "{"a" * 3_000}"'),
        *('password eq "a"', 'userName eq "a" and PASSWORD eq "a"'),
    ],
)
def test_other_filters_are_refused(text: str) -> None:
    """A filter of another form, or for a password, is refused, and never matches everybody."""
    query = urlencode({"filter": text}) if text else "filter=%20"
    answer = Driver()("GET", "/Users", query=query)

    assert (400, "invalidFilter") == (answer.status, json.loads(answer.body)["scimType"])


def test_pages_have_everybody_once() -> None:
    """The pages of a list contain each person once, and each page states the total count."""
    driver = Driver()
    for number in range(5):
        driver.json("POST", "/Users", {"userName": f"n{number}"})
    pages = [
        driver.json("GET", "/Users", query=f"startIndex={start}&count=2") for start in (1, 3, 5, 7)
    ]

    assert [f"n{number}" for number in range(5)] == [
        item["userName"] for page in pages for item in page["Resources"]
    ]
    assert [(5, 1, 2), (5, 3, 2), (5, 5, 1), (5, 7, 0)] == [
        (page["totalResults"], page["startIndex"], page["itemsPerPage"]) for page in pages
    ]
    assert 0 == driver.json("GET", "/Users", query="startIndex=-3&count=-1")["itemsPerPage"]
    assert ["userName"] == [
        name
        for name in driver.json("GET", "/Users", query="attributes=userName")["Resources"][0]
        if name not in {"schemas", "id", "meta"}
    ]
    for query in ("count=x", "startIndex=99999999999"):
        assert 400 == driver("GET", "/Users", query=query).status


def test_conditions_are_values_for_stores() -> None:
    """A store gets a filter as conditions with paths, and may evaluate them with `fulfils`."""
    filters: list[tuple[ScimCondition, ...]] = []

    class RecordingScimStore(MemoryScimStore):
        def find(
            self, kind: ScimKind, conditions: tuple[ScimCondition, ...], start: int, count: int, /
        ) -> ScimMatches:
            filters.append(conditions)
            return super().find(kind, conditions, start, count)

    Driver(RecordingScimStore()).json(
        "GET", "/Users", query=urlencode({"filter": 'emails[type eq "work"].value eq "a"'})
    )

    assert [
        (
            ScimCondition(
                path=("emails", "value"),
                value="a",
                same_entry=(ScimCondition(path=("type",), value="work"),),
            ),
        )
    ] == filters
    assert fulfils({"emails": [{"type": "work", "value": "A"}]}, filters[0])
    assert not fulfils({"emails": "a"}, filters[0])


@pytest.mark.parametrize(
    "text",
    [
        'emails[type eq "work"].value eq "a@example.com"',
        'emails[type eq "work" and value eq "A@example.com"]',
        'emails[value eq "a@example.com" and type eq "work"]',
        'active eq true and emails[type eq "work"].value eq "a@example.com"',
    ],
)
def test_conditions_on_one_entry_are_met_by_the_same_entry(text: str) -> None:
    """A filter on an entry's type and value matches only if one entry fulfils both conditions."""
    driver = Driver()
    home = {"type": "home", "value": "a@example.com"}
    work = {"type": "work", "value": "b@example.com"}
    driver.json("POST", "/Users", {"userName": "a", "active": True, "emails": [home, work]})
    query = urlencode({"filter": text})
    assert 0 == driver.json("GET", "/Users", query=query)["totalResults"]

    other = {"type": "work", "value": "a@example.com"}
    driver.json("POST", "/Users", {"userName": "b", "active": True, "emails": [other]})
    assert ["b"] == [
        user["userName"] for user in driver.json("GET", "/Users", query=query)["Resources"]
    ]


@pytest.mark.parametrize(
    "parameter, value, expected",
    [
        ("attributes", "name.givenName", {"name": {"givenName": "Ada"}}),
        ("attributes", f"{USER}:userName", {"userName": "ada@example.com"}),
        ("attributes", f"{ENTERPRISE}:department", {ENTERPRISE: {"department": "Analysis"}}),
        ("attributes", "emails.value", {"emails": [{"value": "ada@example.com"}]}),
        ("attributes", "nothing", {}),
    ],
)
def test_attributes_may_be_parts_and_have_the_name_of_their_schema(
    parameter: str, value: str, expected: dict[str, Any]
) -> None:
    """A request may ask for parts of attributes, and name attributes with their schema."""
    driver = Driver()
    place = f"/Users/{driver.json('POST', '/Users', ADA)['id']}"
    user = driver.json("GET", place, query=urlencode({parameter: value}))

    assert expected == {
        name: part for name, part in user.items() if name not in {"schemas", "id", "meta"}
    }


def test_excluded_parts_leave_the_other_parts() -> None:
    """A request that excludes a part of an attribute gets its other parts."""
    driver = Driver()
    place = f"/Users/{driver.json('POST', '/Users', ADA)['id']}"
    query = urlencode({"excludedAttributes": f"emails.type, name, {USER}:userName"})
    user = driver.json("GET", place, query=query)

    assert [{"primary": True, "value": "ada@example.com"}] == user["emails"]
    assert not {"name", "userName"} & set(user)
    assert "displayName" in user


def test_meta_can_be_excluded() -> None:
    """The attribute `meta` is left out if a request excludes it; `id` and `schemas` never are."""
    driver = Driver()
    place = f"/Users/{driver.json('POST', '/Users', ADA)['id']}"
    user = driver.json("GET", place, query="excludedAttributes=name,%20Meta,id,schemas")

    assert {"name", "meta"}.isdisjoint(user)
    assert {"id", "schemas", "userName"} <= {*user}


def test_conditions_have_the_types_of_their_attributes() -> None:
    """Entra's text "True" matches a primary entry; values of a wrong type are refused."""
    driver = Driver()
    path = f"/Users/{driver.json('POST', '/Users', {'userName': 'ada'})['id']}"
    operation = {"op": "add", "path": 'roles[primary eq "True"].value', "value": "admin"}

    assert [{"primary": True, "value": "admin"}] == driver.patch(path, operation)["roles"]
    assert [{"primary": True, "value": "admin"}] == driver.patch(path, operation)["roles"]
    for condition in ("type eq true", 'type eq "\\ud800"', 'type eq "\\u0000"'):
        change = {"op": "add", "path": f"emails[{condition}].value", "value": "a@example.com"}
        assert 400 == driver("PATCH", path, patch_body(change)).status
    assert "emails" not in driver.json("GET", path)


def test_filter_for_text_that_no_store_can_have_is_refused() -> None:
    """A filter for a text with NUL, or with half of a surrogate pair, is refused."""
    for text in ("\\u0000", "\\ud800"):
        query = urlencode({"filter": f'userName eq "{text}"'})
        assert 400 == Driver()("GET", "/Users", query=query).status


def test_email_addresses_are_compared_without_regard_to_case() -> None:
    """A path of a change selects the same email addresses as a filter, and the schema agrees."""
    driver = Driver(lenient=False)
    user = driver.json("POST", "/Users", ADA)
    path = 'emails[value eq "ADA@example.com"].display'
    changed_user = driver.patch(
        f"/Users/{user['id']}", {"op": "replace", "path": path, "value": "Ada"}
    )
    assert "Ada" == changed_user["emails"][0]["display"]
    text = 'emails[value eq "ADA@example.com" and type eq "work"].display eq "Ada"'
    page = driver.json("GET", "/Users", query=urlencode({"filter": text}))
    assert 1 == page["totalResults"]
    schema = driver.json("GET", f"/Schemas/{USER}")
    parts = {
        attribute["name"]: {part["name"]: part for part in attribute.get("subAttributes", ())}
        for attribute in schema["attributes"]
    }
    assert parts["emails"]["value"]["caseExact"] is False
    assert parts["roles"]["value"]["caseExact"] is True


@pytest.mark.parametrize("text", ["shoeSize eq 7", 'shoeSize eq "7"', 'urn:x:name eq "7"', ""])
def test_filter_without_an_attribute_is_an_invalid_filter(text: str) -> None:
    """A filter without an attribute, such as an empty one, is refused as an invalid filter."""
    driver = Driver()
    driver.json("POST", "/Users", ADA)
    answer = driver("GET", "/Users", query=urlencode({"filter": text}))
    assert (400, "invalidFilter") == (answer.status, json.loads(answer.body)["scimType"])
