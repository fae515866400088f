"""Changes of people and groups on the SCIM server, and the versions of records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
import pytest

from moorage import AlreadyExists
from moorage.scim import MemoryScimStore, ScimKind, ScimResource
from tests.scim.scim_driver import ADA, ENTERPRISE, USER, Driver, patch_body

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    "operation, word",
    [
        ({"op": "move"}, "invalidSyntax"),
        ({"op": 7}, "invalidSyntax"),
        (7, "invalidSyntax"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "replace", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "id", "value": "other"}, "mutability"),
        ({"op": "replace", "path": f"{USER}:id", "value": "other"}, "mutability"),
        ({"op": "replace", "path": f"{USER.upper()}:meta", "value": {}}, "mutability"),
        ({"op": "replace", "path": "urn:example:custom:User:title", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "title"}, "invalidValue"),
        ({"op": "add", "path": "emails"}, "invalidValue"),
        ({"op": "replace", "path": "userName", "value": None}, "invalidValue"),
        ({"op": "replace", "value": {"groups": []}}, "mutability"),
        ({"op": "replace", "path": "surprise", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "name.surprise", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "title.part", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'name[type eq "x"]', "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "urn:x:surprise", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "e" * 3_000, "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "a b", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "emails[type pr].value", "value": "x"}, "invalidFilter"),
        ({"op": "replace", "path": "active", "value": "False"}, "invalidValue"),
        ({"op": "replace", "path": "active", "value": 1}, "invalidValue"),
        ({"op": "replace", "path": "title", "value": 7}, "invalidValue"),
        ({"op": "replace", "path": "title", "value": "x" * 5_000}, "invalidValue"),
        ({"op": "replace", "path": "title", "value": "\ud800"}, "invalidValue"),
        ({"op": "replace", "path": "title", "value": "a\x00"}, "invalidValue"),
        ({"op": "replace", "path": "name", "value": 7}, "invalidValue"),
        ({"op": "replace", "path": "emails", "value": [7]}, "invalidValue"),
        ({"op": "replace", "path": 'emails[type eq "x"].value', "value": "x"}, "noTarget"),
        ({"op": "remove", "path": "userName"}, "invalidValue"),
        ({"op": "replace", "path": "userName", "value": " "}, "invalidValue"),
        ({"op": "remove", "path": "emails", "value": [{"type": "x"}]}, "invalidValue"),
    ],
)
def test_impossible_operations_are_refused(operation: Any, word: str) -> None:
    """An invalid PATCH operation is refused with SCIM's error type, and nothing changes."""
    driver = Driver(lenient=False)
    user = driver.json("POST", "/Users", ADA)
    path = f"/Users/{user['id']}"
    first = {"op": "replace", "path": "title", "value": "Analyst"}
    answer = driver("PATCH", path, patch_body(first, operation))

    assert (400, word) == (answer.status, json.loads(answer.body)["scimType"])
    assert ["urn:ietf:params:scim:api:messages:2.0:Error"] == json.loads(answer.body)["schemas"]
    assert user == driver.json("GET", path)


@pytest.mark.parametrize(
    "operation, expected",
    [
        ({"op": "remove", "path": "title"}, {"title": None}),
        ({"op": "remove", "path": "nickName"}, {"nickName": None}),
        ({"op": "replace", "value": {"title": None}}, {"title": None}),
        ({"op": "add", "path": "emails", "value": None}, {"emails": ADA["emails"]}),
        ({"op": "add", "value": {"emails": None}}, {"emails": ADA["emails"]}),
        ({"op": "replace", "path": f"{USER}:title", "value": "B"}, {"title": "B"}),
        ({"op": "remove", "path": "emails", "value": []}, {"emails": ADA["emails"]}),
        (
            {"op": "add", "path": "emails", "value": [{"type": "home", "value": ADA["userName"]}]},
            {"emails": [*ADA["emails"], {"type": "home", "value": ADA["userName"]}]},
        ),
        ({"op": "remove", "path": "name.givenName"}, {"name": {"familyName": "Lovelace"}}),
        ({"op": "remove", "path": f"{ENTERPRISE}:department"}, {ENTERPRISE: None}),
        ({"op": "remove", "path": ENTERPRISE}, {ENTERPRISE: None}),
        ({"op": "remove", "path": 'emails[type eq "work"]'}, {"emails": None}),
        (
            {"op": "remove", "path": 'emails[type eq "work"].type'},
            {"emails": [{"primary": True, "value": "ada@example.com"}]},
        ),
        ({"op": "remove", "path": "emails.type"}, {"emails": [ADA["emails"][0] | {"type": None}]}),
        ({"op": "remove", "path": "emails", "value": "ada@example.com"}, {"emails": None}),
        (
            {"op": "replace", "path": "emails.type", "value": "home"},
            {"emails": [ADA["emails"][0] | {"type": "home"}]},
        ),
        (
            {"op": "replace", "path": 'emails[type eq "work"]', "value": {"value": "b@b.example"}},
            {"emails": [ADA["emails"][0] | {"value": "b@b.example"}]},
        ),
        ({"op": "replace", "path": "name.givenName", "value": "A"}, {"name": {"givenName": "A"}}),
        (
            {"op": "add", "path": "name", "value": {"middleName": "B"}},
            {"name": {"middleName": "B"}},
        ),
        (
            {"op": "add", "path": "name", "value": {"givenName": "B", "familyName": None, "x": 1}},
            {"name": {"givenName": "B"}},
        ),
        ({"op": "add", "path": "roles", "value": {"display": "x"}}, {"roles": [{"display": "x"}]}),
        ({"op": "add", "path": "EMAILS", "value": ADA["emails"]}, {"emails": ADA["emails"]}),
        ({"op": "add", "value": {"schemas": [USER], "locale": "de"}}, {"locale": "de"}),
        (
            {"op": "add", "path": ENTERPRISE, "value": {"division": "X"}},
            {ENTERPRISE: {"division": "X", "department": "Analysis"}},
        ),
    ],
)
def test_operations_change_what_they_name(
    operation: dict[str, Any], expected: Mapping[str, Any]
) -> None:
    """For each form of path, an operation adds, replaces or removes exactly what it selects."""
    driver = Driver()
    user = driver.json("POST", "/Users", {**ADA, "title": "Analyst"})
    changed_answer = driver.patch(f"/Users/{user['id']}", operation)

    for name, value in expected.items():
        if name == "name" and operation["op"] != "remove":
            assert value.items() <= changed_answer[name].items()
        elif name == "emails" and value and value[0].get("type", "") is None:
            assert "type" not in changed_answer[name][0]
        else:
            assert value == changed_answer.get(name)
    other_names = {"userName", "active", "externalId"}
    assert {name: user[name] for name in other_names} == {
        name: changed_answer[name] for name in other_names
    }


def test_versions_are_compared() -> None:
    """A version in a request's headers decides if a resource is sent, changed or deleted."""
    driver = Driver()
    user = driver.json("POST", "/Users", ADA)
    path, first = f"/Users/{user['id']}", user["meta"]["version"]
    unchanged = {"op": "replace", "path": "displayName", "value": "Ada"}
    change = {"op": "replace", "path": "displayName", "value": "Augusta"}

    assert 304 == driver("GET", path, If_None_Match=first).status
    assert first == driver.patch(path, unchanged)["meta"]["version"]
    assert 200 == driver("PATCH", path, patch_body(change), If_Match=first).status
    assert 200 == driver("GET", path, If_None_Match=first).status
    for method, body in (("PATCH", patch_body(unchanged)), ("PUT", ADA), ("DELETE", None)):
        assert 412 == driver(method, path, body, If_Match=first).status
    second = driver.json("GET", path)["meta"]["version"].removeprefix("W/")
    assert 204 == driver("DELETE", path, If_Match=second).status
    assert 404 == driver("DELETE", path, If_Match=second).status


class ContestedScimStore(MemoryScimStore):
    """A store in which another writer changes a resource before each change."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def _interrupt(self, kind: ScimKind, id: str) -> None:
        resource = self.get(kind, id)
        if self.times > 0 and resource is not None:
            self.times -= 1
            content = {**resource.content, "nickName": str(self.times)}
            super().replace(kind, id, content, resource.version)

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        """Change the resource as another writer, then replace it."""
        self._interrupt(kind, id)
        return super().replace(kind, id, content, version)

    def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool:
        """Change the resource as another writer, then delete it."""
        self._interrupt(kind, id)
        return super().delete(kind, id, version)


def test_changes_of_others_are_kept() -> None:
    """A change that conflicts with another writer's is retried a few times on the new version."""
    store = ContestedScimStore(2)
    driver = Driver(store)
    user = driver.json("POST", "/Users", ADA)
    path = f"/Users/{user['id']}"
    change = {"op": "replace", "path": "title", "value": "Countess"}
    changed_answer = driver.patch(path, change)

    assert ("Countess", "0") == (changed_answer["title"], changed_answer["nickName"])
    store.times = 99
    change = {"op": "replace", "path": "title", "value": "Analyst"}
    assert 503 == driver("PATCH", path, patch_body(change)).status
    version = driver.json("GET", path)["meta"]["version"]
    assert 412 == driver("DELETE", path, If_Match=version).status


@pytest.mark.parametrize(
    "body", [{}, [], {"Operations": []}, {"Operations": {}}, {"Operations": [{}] * 1_001}]
)
def test_impossible_bodies_of_changes_are_refused(body: Any) -> None:
    """A PATCH without operations, or with too many, is refused."""
    driver = Driver()
    user = driver.json("POST", "/Users", ADA)

    assert 400 == driver("PATCH", f"/Users/{user['id']}", body).status


def test_single_values_of_entra_may_be_lists() -> None:
    """Entra may send the value of a single attribute as a list of one entry."""
    driver = Driver()
    place = f"/Users/{driver.json('POST', '/Users', ADA)['id']}"
    value = [{"$ref": None, "value": "Augusta"}]
    user = driver.patch(
        place,
        {"op": "Replace", "path": "name.givenName", "value": value},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": [{"value": "7"}]},
        {"op": "Replace", "path": "active", "value": [{"value": "False"}]},
    )

    assert ("Augusta", False) == (user["name"]["givenName"], user["active"])
    assert {"value": "7"} == user[ENTERPRISE]["manager"]
    strict = Driver(driver.store, lenient=False)
    change = patch_body({"op": "replace", "path": "name.givenName", "value": value})
    assert 400 == strict("PATCH", place, change).status


def test_null_removes_a_value() -> None:
    """A change to null removes the value, with a path as without one."""
    driver = Driver(lenient=False)
    place = f"/Users/{driver.json('POST', '/Users', ADA)['id']}"
    user = driver.patch(place, {"op": "replace", "path": "displayName", "value": None})

    assert "displayName" not in user
    change = patch_body({"op": "replace", "path": "userName", "value": None})
    assert 400 == driver("PATCH", place, change).status


def test_new_primary_entry_replaces_the_last_one() -> None:
    """A list has at most one primary entry, so a new one makes the others secondary."""
    driver = Driver()
    place = f"/Users/{driver.json('POST', '/Users', ADA)['id']}"
    new = {"type": "home", "value": "home@example.com", "primary": True}
    user = driver.patch(place, {"op": "add", "path": "emails", "value": [new]})
    assert [False, True] == [entry["primary"] for entry in user["emails"]]

    change = {"op": "replace", "path": 'emails[type eq "work"].primary', "value": True}
    user = driver.patch(place, change)
    assert [True, False] == [entry["primary"] for entry in user["emails"]]


def test_two_primary_entries_are_refused() -> None:
    """A list with two primary entries is refused, and changes nothing."""
    driver = Driver()
    place = f"/Users/{driver.json('POST', '/Users', ADA)['id']}"
    primary = [{"value": f"{name}@example.com", "primary": True} for name in ("a", "b")]
    people = [{**ADA, "userName": "bob", "emails": primary}, {**ADA, "emails": primary}]
    answers = [
        driver("POST", "/Users", people[0]),
        driver("PUT", place, people[1]),
        driver("PATCH", place, patch_body({"op": "add", "path": "emails", "value": primary})),
    ]

    assert [400, 400, 400] == [answer.status for answer in answers]
    assert ADA["emails"] == driver.json("GET", place)["emails"]


def test_headers_may_name_several_versions() -> None:
    """`If-Match` and `If-None-Match` may list several versions, weak or not."""
    driver = Driver()
    created = driver("POST", "/Users", ADA)
    place = f"/Users/{json.loads(created.body)['id']}"
    version = dict(created.headers)["ETag"]
    versions = f'"other", {version.removeprefix("W/")}'

    assert 304 == driver("GET", place, If_None_Match=versions).status
    assert 304 == driver("GET", place, If_None_Match="*").status
    assert 200 == driver("GET", place, If_None_Match='"other"').status
    assert 412 == driver("DELETE", place, If_Match='"other", "more"').status
    assert 204 == driver("DELETE", place, If_Match=versions).status


def test_memory_compares_versions() -> None:
    """The in-memory store returns what was stored, and compares names and versions."""
    store = MemoryScimStore()
    content: dict[str, Any] = {"userName": "ada", "emails": []}
    resource = store.create(ScimKind.USER, content)
    content["emails"].append(7)

    assert [] == resource.content["emails"]
    assert None is store.replace(ScimKind.USER, resource.id, content, "7")
    assert None is store.replace(ScimKind.USER, "x", content, "1")
    assert not store.delete(ScimKind.USER, resource.id, "7")
    assert attrs.evolve(resource, version="2").version == "2"
    grace = store.create(ScimKind.USER, {"userName": "grace"})
    with pytest.raises(AlreadyExists):
        store.replace(ScimKind.USER, grace.id, {"userName": "ADA"}, "1")


@pytest.mark.parametrize("lenient", [False, True])
def test_patch_of_an_entry_in_an_empty_list_creates_the_entry(*, lenient: bool) -> None:
    """If a PATCH adds a field of an entry to an empty list, the entry is created."""
    driver = Driver(lenient=lenient)
    path = f"/Users/{driver.json('POST', '/Users', {'userName': 'ada'})['id']}"

    driver.patch(path, {"op": "add", "path": "roles.value", "value": "admin"})
    user = driver.patch(path, {"op": "add", "path": "roles", "value": [{"value": "clerk"}]})
    assert [{"value": "admin"}, {"value": "clerk"}] == user["roles"]
    user = driver.patch(path, {"op": "replace", "path": "roles.value", "value": "guest"})
    assert [{"value": "guest"}, {"value": "guest"}] == user["roles"]
    change = patch_body({"op": "replace", "path": "photos.value", "value": "x"})
    assert (200 if lenient else 400) == driver("PATCH", path, change).status


def test_members_are_added_once() -> None:
    """Members that a group already has, or that a request repeats, are added only once."""
    driver = Driver()
    path = f"/Groups/{driver.json('POST', '/Groups', {'displayName': 'g'})['id']}"
    members = [{"value": "1"}, {"value": "2"}, {"value": "1"}, {"display": "x"}, {"display": "x"}]
    operation = {"op": "add", "path": "members", "value": members}

    for _ in range(2):
        group = driver.patch(path, operation)
        assert [{"value": "1"}, {"value": "2"}, {"display": "x"}] == group["members"]


def test_new_group_has_each_member_once() -> None:
    """A new or replaced group lists a repeated member once, as a changed group does."""
    driver = Driver()
    content = {"displayName": "Staff", "members": [{"value": "7"}, {"value": "7"}]}
    group = driver.json("POST", "/Groups", content)
    assert [{"value": "7"}] == group["members"]
    group = driver.json("PUT", f"/Groups/{group['id']}", content)
    assert [{"value": "7"}] == group["members"]


def test_answers_to_changes_have_the_selected_attributes() -> None:
    """A creation and a change answer with the attributes that the request selects."""
    driver = Driver()
    query = urlencode({"attributes": "userName"})
    user = driver.json("POST", "/Users", ADA, query=query)
    assert ("ada@example.com", None) == (user["userName"], user.get("emails"))
    user = driver.json("PUT", f"/Users/{user['id']}", {**ADA, "title": "Dr"}, query=query)
    assert ("ada@example.com", None) == (user["userName"], user.get("title"))
