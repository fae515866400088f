"""The SCIM server is tested with requests as Entra, Okta and moorage's own vendor send them."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import attrs
import pytest

import moorage
from moorage import AlreadyExists, ConfigurationError, InvalidData, StorageUnavailable
from moorage.contracts.people import MemberKind, NewPerson, PeopleQuery, PersonChanges, Phone
from moorage.domain.http.requests import Response
from moorage.scim import (
    AsyncMemoryScimStore,
    AsyncScimApp,
    AsyncScimServer,
    MemoryScimStore,
    ScimApp,
    ScimCondition,
    ScimKind,
    ScimResource,
    ScimServer,
    fulfils,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Request, Timeouts
    from moorage.scim import ScimAnswer, ScimMatches

TOKEN = "a-token-of-the-tests"
BASE = "https://erp.example/scim/v2"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ADA: dict[str, Any] = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "E-1815",
    "userName": "ada@example.com",
    "active": True,
    "displayName": "Ada",
    "emails": [{"primary": True, "type": "work", "value": "ada@example.com"}],
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    ENTERPRISE: {"department": "Analysis"},
}


class Driver:
    """A client that sends requests to a SCIM server with a store in memory."""

    def __init__(self, store: Any = None, *, lenient: bool = True) -> None:
        self.store = MemoryScimStore() if store is None else store
        self.server = ScimServer(self.store, tokens=[TOKEN], base_url=BASE, lenient=lenient)

    def __call__(
        self, method: str, path: str, body: Any = None, *, query: str = "", **headers: str
    ) -> ScimAnswer:
        """Send a request with the server's token, and return the response."""
        fields = {"Authorization": f"Bearer {TOKEN}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.server.answer(
            method, path, query=query, headers=list(fields.items()), body=content
        )

    def json(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request, check that it succeeds, and return the parsed body."""
        answer = self(method, path, body, **options)
        assert answer.status in {200, 201}, answer.body
        return json.loads(answer.body)

    def patch(self, path: str, *operations: dict[str, Any]) -> Any:
        """Send a PATCH, check that it succeeds, and return the resource."""
        return self.json("PATCH", path, patch_body(*operations))


def patch_body(*operations: Any) -> dict[str, Any]:
    """Return the body of a PATCH with these operations."""
    schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
    return {"schemas": schemas, "Operations": list(operations)}


class ServerClient:
    """An HTTP client that reaches only a SCIM server."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def send(self, request: Request, url: str, _: Timeouts, /) -> Response:
        """Send a request to the server."""
        path = urlsplit(url).path.removeprefix("/scim/v2")
        answer = self.driver.server.answer(
            request.method.value,
            path,
            query=urlsplit(url).query,
            headers=list(request.headers.pairs),
            body=request.body if isinstance(request.body, bytes) else b"",
        )
        return Response(answer.status, dict(answer.headers), answer.body, url=url)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Any:
        """Raise an error, because the vendor uses no streams."""
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing."""


def test_own_vendor_keeps_people_and_groups() -> None:
    """The vendor `scim` creates, changes, finds, deactivates and deletes people at the server."""
    driver = Driver()
    group = driver.json("POST", "/Groups", {"displayName": "Accounting"})
    configuration = {"vendors": {"scim": {"base_url": BASE, "credentials": TOKEN}}}
    with moorage.open(configuration, http=ServerClient(driver)) as hub:
        people = hub.people()
        charles = people.create(NewPerson(user_name="charles@example.com"))
        ada = people.create(
            NewPerson(
                user_name="ada@example.com",
                given_name="Ada",
                emails=["ada@example.com", "countess@example.com"],
                phones=[Phone("+49 30 1")],
                department="R&D",
                manager=charles.ref,
                external_id="E-1",
                time_zone="Europe/London",
            ),
            password="correct horse",
        )
        with pytest.raises(AlreadyExists):
            people.create(NewPerson(user_name="ADA@example.com"))
        people.change(
            ada.ref,
            PersonChanges(title="Countess", emails=["ada@example.com"], clear=["department"]),
            version=ada.version,
        )
        with pytest.raises(moorage.ChangedMeanwhile):
            people.change(ada.ref, PersonChanges(title="Late"), version=ada.version)
        for _ in range(2):
            people.add_member(f"scim:scim:{group['id']}", ada.ref)
        (member,) = people.members(f"scim:scim:{group['id']}").items
        people.deactivate(ada.ref)
        queries = (
            PeopleQuery(user_name="Ada@example.com"),
            PeopleQuery(external_id="E-1"),
            PeopleQuery(email="ada@example.com", external_id="E-1"),
            PeopleQuery(user_name='x" or userName pr'),
        )
        counts = [len(people.find(query).items) for query in queries]
        read = people.get(ada.ref)
        people.remove_member(f"scim:scim:{group['id']}", ada.ref)
        members = people.members(f"scim:scim:{group['id']}").items
        people.delete(charles.ref)
        people.delete(charles.ref)

    assert [1, 1, 1, 0] == counts
    assert (False, "Countess", None) == (read.active, read.title, read.department)
    assert (ada.ref, MemberKind.UNKNOWN) in [(member.ref, member.kind), (member.ref, "unknown")]
    assert () == members
    assert ("Europe/London", ("ada@example.com",)) == (read.time_zone, read.emails)
    resource = driver.store.get(ScimKind.USER, ada.ref.id)
    assert resource is not None
    assert "correct horse" == resource.content["password"]
    assert "correct horse" not in f"{resource!r}{driver('GET', '/Users').body!r}"


def test_requests_of_entra_are_understood() -> None:
    """Entra's requests work: look-ups, capitalised names, dotted paths, booleans as strings."""
    driver = Driver()
    query = urlencode({"filter": 'externalId eq "E-1815"'})
    assert 0 == driver.json("GET", "/Users", query=query)["totalResults"]
    created = driver.json("POST", "/Users", ADA)
    path = f"/Users/{created['id']}"
    assert 1 == driver.json("GET", "/Users", query=query)["totalResults"]
    changed_answer = driver.patch(
        path,
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Add", "path": 'emails[type eq "home"].value', "value": "a@home.example"},
        {"op": "Replace", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+49 1"},
        {"op": "Replace", "path": f"{ENTERPRISE}:manager", "value": "26"},
        {
            "op": "Replace",
            "value": {
                "name.givenName": "Augusta",
                f"{ENTERPRISE}:department": "R&D",
                "displayName": "Augusta",
                "title": None,
            },
        },
    )

    assert (False, "Augusta", "Augusta") == (
        changed_answer["active"],
        changed_answer["name"]["givenName"],
        changed_answer["displayName"],
    )
    assert {"department": "R&D", "manager": {"value": "26"}} == changed_answer[ENTERPRISE]
    assert "Lovelace" == changed_answer["name"]["familyName"]
    assert {"type": "home", "value": "a@home.example"} in changed_answer["emails"]
    assert [{"type": "mobile", "value": "+49 1"}] == changed_answer["phoneNumbers"]

    group = driver.json("POST", "/Groups", {"displayName": "Accounting", "externalId": "g"})
    place = f"/Groups/{group['id']}"
    driver.patch(place, {"op": "Add", "path": "members", "value": [{"value": "1"}, {"value": "2"}]})
    driver.patch(place, {"op": "Add", "path": "members", "value": [{"value": "1"}]})
    removal = {"op": "Remove", "path": "members", "value": [{"value": "1"}]}
    assert [{"value": "2"}] == driver.patch(place, removal)["members"]
    without = driver.json("GET", place, query="excludedAttributes=members")
    assert "members" not in without
    assert "Accounting" == without["displayName"]


def test_requests_of_okta_are_understood() -> None:
    """Okta's look-ups, replacements without a path, and replacements of whole groups work."""
    driver = Driver(lenient=False)
    user = driver.json("POST", "/Users", {**ADA, "password": "x1y2z3", "locale": "en-US"})
    path = f"/Users/{user['id']}"
    query = urlencode({"filter": 'userName eq "ADA@example.com"', "startIndex": 1, "count": 100})
    assert [user["id"]] == [
        item["id"] for item in driver.json("GET", "/Users", query=query)["Resources"]
    ]
    assert not driver.patch(path, {"op": "replace", "value": {"active": False}})["active"]
    replaced = driver.json("PUT", path, {"userName": "ada@example.com", "active": True})
    assert ({"userName", "active"}, True) == (
        set(replaced) - {"schemas", "id", "meta"},
        replaced["active"],
    )

    group = driver.json("POST", "/Groups", {"displayName": "Sales", "members": []})
    place = f"/Groups/{group['id']}"
    renamed = {"op": "replace", "value": {"id": group["id"], "displayName": "Sellers"}}
    assert "Sellers" == driver.patch(place, renamed)["displayName"]
    members = [{"value": user["id"], "display": "ada@example.com"}]
    driver.patch(place, {"op": "replace", "path": "members", "value": members})
    removal = {"op": "remove", "path": f'members[value eq "{user["id"]}"]'}
    assert "members" not in driver.patch(place, removal)
    assert 204 == driver("DELETE", place).status
    assert 404 == driver("DELETE", place).status


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
    "method, path, body, status, word",
    [
        ("POST", "/Users", b"{", 400, "invalidSyntax"),
        ("POST", "/Users", b"[" * 100_000, 400, "invalidSyntax"),
        ("POST", "/Users", b"[]", 400, "invalidValue"),
        ("POST", "/Users", {}, 400, "invalidValue"),
        ("POST", "/Users", {"userName": None}, 400, "invalidValue"),
        ("POST", "/Users", b" " * 1_048_577, 413, None),
        ("POST", "/Groups", {"displayName": " "}, 400, "invalidValue"),
        ("PATCH", "/Users/1", {}, 404, None),
        ("GET", "/Users/1", None, 404, None),
        ("GET", "/Users/1/2", None, 404, None),
        ("GET", "/Me", None, 404, None),
        ("GET", "", None, 404, None),
        ("PUT", "/Users", {}, 405, None),
        ("POST", "/Users/1", {}, 405, None),
        ("POST", "/Schemas", {}, 405, None),
        ("GET", "/Schemas/urn:x", None, 404, None),
        ("GET", "/Schemas/a/b", None, 404, None),
    ],
)
def test_impossible_requests_are_refused(
    method: str, path: str, body: Any, status: int, word: str | None
) -> None:
    """An impossible request is refused in SCIM's error format, with the fitting status."""
    answer = Driver()(method, path, body)
    error = json.loads(answer.body) if answer.status != 200 else {}

    assert (status, word, str(status)) == (answer.status, error.get("scimType"), error["status"])


@pytest.mark.parametrize(
    "body", [{}, [], {"Operations": []}, {"Operations": {}}, {"Operations": [{}] * 1_001}]
)
def test_impossible_bodies_of_changes_are_refused(body: Any) -> None:
    """A PATCH without operations, or with too many, is refused."""
    driver = Driver()
    user = driver.json("POST", "/Users", ADA)

    assert 400 == driver("PATCH", f"/Users/{user['id']}", body).status


def test_descriptions_say_what_server_can_do() -> None:
    """The server's descriptions list its features and each attribute that it knows."""
    driver = Driver()
    configuration = driver.json("GET", "/ServiceProviderConfig")
    types = driver.json("GET", "/ResourceTypes")
    schema = driver.json("GET", f"/Schemas/{USER}")
    names = {attribute["name"]: attribute for attribute in schema["attributes"]}

    assert (True, True, False) == tuple(
        configuration[name]["supported"] for name in ("patch", "etag", "bulk")
    )
    assert ["/Users", "/Groups"] == [item["endpoint"] for item in types["Resources"]]
    assert "User" == driver.json("GET", "/ResourceTypes/User")["name"]
    assert 3 == driver.json("GET", "/Schemas")["totalResults"]
    assert ("never", "server") == (names["password"]["returned"], names["userName"]["uniqueness"])
    assert names["emails"]["multiValued"]


@pytest.mark.parametrize(
    "text",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer \udcff", f"bearer{TOKEN}"],
)
def test_wrong_tokens_are_refused(text: str | None) -> None:
    """A request without a known token is refused before anything else, and no token is shown."""
    driver = Driver()
    headers = [] if text is None else [("Authorization", text)]
    answer = driver.server.answer("GET", "/Elsewhere", headers=headers)

    assert 401 == answer.status
    assert ("WWW-Authenticate", "Bearer") in answer.headers
    assert TOKEN not in f"{driver.server!r}{vars(driver.server)!r}{answer.body!r}"


def test_several_tokens_are_accepted() -> None:
    """While the token is being changed, the server accepts both the current and the next one."""
    server = ScimServer(MemoryScimStore(), tokens=["one", moorage.Secret("two")], base_url=BASE)
    single_token_server = ScimServer(MemoryScimStore(), tokens="one", base_url=BASE)

    for token, expected in (("one", 200), ("two", 200), ("three", 401)):
        headers = [("authorization", f"bearer {token}")]
        assert expected == server.answer("GET", "/Users", headers=headers).status
    assert (
        200
        == single_token_server.answer(
            "GET", "/Users", headers=[("Authorization", "Bearer one")]
        ).status
    )


@pytest.mark.parametrize(
    "options, path",
    [
        ({"tokens": []}, "tokens"),
        ({"tokens": [" "]}, "tokens"),
        ({"tokens": None}, "tokens"),
        ({"lenient": 1}, "lenient"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], path: str) -> None:
    """A server without a token, with a wrong URL or another wrong option is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        ScimServer(MemoryScimStore(), **dict[str, Any](tokens=[TOKEN], base_url=BASE) | options)

    assert path == excinfo.value.path
    with pytest.raises(InvalidData, match="base URL"):
        ScimServer(MemoryScimStore(), tokens=[TOKEN], base_url="erp.example")


@pytest.mark.parametrize(
    "error, status",
    [
        (AlreadyExists("Taken."), 409),
        (InvalidData("Our people need a department.", field="department"), 400),
        (StorageUnavailable("The store is away."), 503),
    ],
)
def test_refusals_of_the_application_reach_the_provider(error: Exception, status: int) -> None:
    """An error raised by the store reaches the identity provider in SCIM's error format."""

    class RefusingScimStore(MemoryScimStore):
        def create(self, kind: ScimKind, content: Mapping[str, Any], /) -> ScimResource:
            raise error

    answer = Driver(RefusingScimStore())("POST", "/Users", ADA)

    assert (status, str(status)) == (answer.status, json.loads(answer.body)["status"])


def test_unknown_times_and_attributes_are_left_out() -> None:
    """Missing times, and attributes meant for the application alone, are not in the response."""
    resource = ScimResource(id="a/b", content={"userName": "a", "salary": 1}, version="1 2")

    class SingleResource(MemoryScimStore):
        def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
            return resource

    answer = Driver(SingleResource())("GET", "/Users/a%2Fb")
    body = json.loads(answer.body)

    assert {"schemas", "id", "userName", "meta"} == set(body)
    assert {"resourceType", "location", "version"} == set(body["meta"])
    assert f"{BASE}/Users/a%2Fb" == body["meta"]["location"]
    assert 'W/"1%202"' == body["meta"]["version"]


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


def test_meta_can_be_excluded() -> None:
    """The attribute `meta` is left out if a request excludes it; `id` and `schemas` never are."""
    driver = Driver()
    place = f"/Users/{driver.json('POST', '/Users', ADA)['id']}"
    user = driver.json("GET", place, query="excludedAttributes=name,%20Meta,id,schemas")

    assert {"name", "meta"}.isdisjoint(user)
    assert {"id", "schemas", "userName"} <= {*user}


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


@pytest.mark.parametrize(
    "media_type, status",
    [
        ("application/scim+json; charset=utf-8", 201),
        ("Application/JSON", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_other_media_types_are_refused(media_type: str, status: int) -> None:
    """A body must be JSON by its media type, if the request states one."""
    assert status == Driver()("POST", "/Users", ADA, Content_Type=media_type).status


def wsgi_environ(method: str, path: str, body: bytes, **fields: str) -> dict[str, Any]:
    """Return the environment of a WSGI request."""
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "erp.example",
        "SERVER_PORT": "443",
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {TOKEN}",
        **fields,
    }


def test_wsgi_application_answers() -> None:
    """The WSGI application passes requests on, and refuses bodies that are too large or cut off."""
    app = ScimApp(Driver().server)
    statuses: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        statuses.append(status)
        assert headers[0][0] == "Content-Type"

    for environ in (
        wsgi_environ("POST", "/Users", json.dumps(ADA).encode()),
        wsgi_environ("GET", "/Users/é".encode().decode("latin-1"), b""),
        wsgi_environ("POST", "/Users", b"{}", CONTENT_LENGTH="99999999"),
        wsgi_environ("POST", "/Users", b"{}", CONTENT_LENGTH="5"),
        wsgi_environ("POST", "/Users", b"{}", CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked"),
    ):
        assert json.loads(b"".join(app(environ, start_response)))["schemas"]

    assert [
        "201 Created",
        "404 Not Found",
        "413 Request Entity Too Large",
        "400 Bad Request",
        "411 Length Required",
    ] == [status.replace("Content Too", "Request Entity Too") for status in statuses]


def test_asgi_application_answers() -> None:
    """The ASGI application passes requests on to an asynchronous server, below its mount."""
    server = AsyncScimServer(AsyncMemoryScimStore(), tokens=[TOKEN], base_url=BASE, lenient=True)
    app = AsyncScimApp(server)

    async def request(method: str, path: str, body: bytes, **fields: str) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {TOKEN}", **fields}
        scope = {
            "type": "http",
            "method": method,
            "path": f"/scim/v2{path}",
            "root_path": "/scim/v2",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        requests: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            requests.append(message)

        await app(scope, receive, send)
        content = requests[1]["body"]
        return requests[0]["status"], json.loads(content) if content else None

    async def run() -> list[int]:
        status, user = await request("POST", "/Users", json.dumps(ADA).encode())
        place = f"/Users/{user['id']}"
        change = patch_body({"op": "Replace", "path": "active", "value": "False"})
        patched = await request("PATCH", place, json.dumps(change).encode())
        answer = await request("GET", "/Users", b"")
        large_answer = await request("POST", "/Users", b"", **{"content-length": "99999999"})
        deletion = await request("DELETE", place, b"")
        assert not patched[1]["active"]
        assert 1 == answer[1]["totalResults"]
        return [status, patched[0], answer[0], large_answer[0], deletion[0]]

    async def start() -> list[Any]:
        requests: list[Any] = []

        async def receive() -> Any:
            return {"type": "lifespan"}

        async def send(message: Any) -> None:
            requests.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        return requests

    assert [201, 200, 200, 413, 204] == asyncio.run(run())
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == asyncio.run(start())


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


class NoNulStore(MemoryScimStore):
    """A store that refuses texts with NUL characters, as PostgreSQL does."""

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        """Return a resource."""
        assert "\0" not in id
        return super().get(kind, id)

    def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool:
        """Delete a resource."""
        assert "\0" not in id
        return super().delete(kind, id, version)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_id_that_no_store_can_have_does_not_exist(method: str) -> None:
    """An id with a NUL character does not exist; no store is queried for it."""
    assert 404 == Driver(NoNulStore())(method, "/Users/a%00b").status


def test_filter_for_text_that_no_store_can_have_is_refused() -> None:
    """A filter for a text with NUL, or with half of a surrogate pair, is refused."""
    for text in ("\\u0000", "\\ud800"):
        query = urlencode({"filter": f'userName eq "{text}"'})
        assert 400 == Driver()("GET", "/Users", query=query).status


def test_token_that_is_no_utf8_is_unknown() -> None:
    """A token that cannot be encoded as UTF-8 is unknown."""
    headers = [("Authorization", "Bearer \ud800")]
    assert 401 == Driver().server.answer("GET", "/Users", headers=headers).status


class PercentStore(MemoryScimStore):
    """A store whose only person has a percent sign in the id."""

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        """Return the person, or None."""
        is_known = id == "a%20b"
        return ScimResource(id=id, content={"userName": "ada"}, version="1") if is_known else None


def test_applications_decode_paths_once() -> None:
    """A path that the web server has already decoded is not decoded again."""
    statuses: list[str] = []
    app = ScimApp(Driver(PercentStore()).server)
    list(app(wsgi_environ("GET", "/Users/a%20b", b""), lambda status, _: statuses.append(status)))
    assert ["200 OK"] == statuses


class _Person:
    """A store that has one person."""

    def __init__(self, id: str) -> None:
        self._id = id

    def get(self, _: ScimKind, id: str, /) -> ScimResource | None:
        """Return the person if this is their id."""
        is_known = id == self._id
        return ScimResource(id=id, content={"userName": "ada"}, version="1") if is_known else None

    find = create = replace = delete = get


class _AsyncPerson(_Person):
    """An asynchronous store that has one person."""

    async def get(  # type: ignore[override] # the other kind of store
        self, kind: ScimKind, id: str, /
    ) -> ScimResource | None:
        """Return the person if the id is theirs."""
        return _Person.get(self, kind, id)

    find = create = replace = delete = get  # type: ignore[assignment] # the other kind of store


@pytest.mark.parametrize("id", ["EMEA/4711", "a/b/c", "/a", "a%2Fb", "urn:ietf:x/y z"])
def test_ids_with_slashes_are_found_by_their_location(id: str) -> None:
    """A resource is found by its location's URL, even if the web server decodes the path."""
    person: Any = _Person(id)
    server = ScimServer(person, tokens=[TOKEN], base_url=BASE)
    answer = server.answer(
        "GET", f"/Users/{quote(id, safe='')}", headers=[("Authorization", f"Bearer {TOKEN}")]
    )
    path = unquote(dict(answer.headers)["Location"].removeprefix(BASE))
    statuses: list[str] = []
    list(ScimApp(server)(wsgi_environ("GET", path, b""), lambda line, _: statuses.append(line)))
    async_person: Any = _AsyncPerson(id)
    app = AsyncScimApp(AsyncScimServer(async_person, tokens=[TOKEN], base_url=BASE))
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/scim/v2{path}",
        "root_path": "/scim/v2",
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        statuses.append(str(message.get("status")))

    asyncio.run(app(scope, receive, send))

    assert ["200 OK", "200"] == statuses[:2]


@pytest.mark.parametrize(
    "server, store, words",
    [
        (ScimServer, None, "no method find"),
        (AsyncScimServer, object(), "no method find"),
        (ScimServer, _AsyncPerson("a"), "find of the SCIM server's store is asynchronous"),
        (AsyncScimServer, _Person("a"), "find of the SCIM server's store is synchronous"),
    ],
)
def test_server_refuses_object_without_store_methods(server: Any, store: Any, words: str) -> None:
    """A server refuses an object without a store's methods, and a store of the wrong mode."""
    with pytest.raises(ConfigurationError, match=words) as excinfo:
        server(store, tokens=[TOKEN], base_url=BASE)

    assert "store" == excinfo.value.path


def test_members_are_added_once() -> None:
    """Members that a group already has, or that a request repeats, are added only once."""
    driver = Driver()
    path = f"/Groups/{driver.json('POST', '/Groups', {'displayName': 'g'})['id']}"
    members = [{"value": "1"}, {"value": "2"}, {"value": "1"}, {"display": "x"}, {"display": "x"}]
    operation = {"op": "add", "path": "members", "value": members}

    for _ in range(2):
        group = driver.patch(path, operation)
        assert [{"value": "1"}, {"value": "2"}, {"display": "x"}] == group["members"]


@pytest.mark.parametrize(
    "field, value",
    [
        ("method", b"GET"),
        ("path", None),
        ("query", b"count=1"),
        ("body", "{}"),
        ("body", None),
        ("headers", None),
        ("headers", 7),
        ("headers", "Authorization"),
        ("headers", b"Authorization"),
        ("headers", {"Authorization": "Bearer x"}),
        ("headers", ["ab"]),
        ("headers", [("Authorization",)]),
        ("headers", [("Authorization", "Bearer x", "more")]),
        ("headers", [(b"Authorization", b"Bearer x")]),
        ("headers", [("Authorization", None)]),
        ("headers", [7]),
    ],
)
def test_wrong_argument_types_are_refused_by_name(field: str, value: Any) -> None:
    """An invalid argument passed by the host's code raises a typed error that names it."""
    arguments: dict[str, Any] = {"method": "GET", "path": "/Users", field: value}
    with pytest.raises(InvalidData) as excinfo:
        Driver().server.answer(**arguments)

    assert field == excinfo.value.field


def test_headers_may_come_from_any_iterable() -> None:
    """A request's headers may be an iterator of two-item lists."""
    headers = iter([["Authorization", f"Bearer {TOKEN}"]])
    arguments: Any = {"headers": headers}
    assert 200 == Driver().server.answer("GET", "/Users", **arguments).status


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
