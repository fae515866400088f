"""SCIM: requests to servers with and without optional parts of the protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    ChangedMeanwhile,
    InvalidData,
    InvalidRequest,
    Response,
    Secret,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.people import NewPerson, PeopleQuery, PersonChanges, Phone, PhoneKind
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.people.scim import ScimSandbox
from moorage.vendors.people._scim_content import resource
from moorage.vendors.people.scim import Scim
from tests.vendors.people_subjects import scim_error

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ADA = NewPerson(user_name="ada", given_name="Ada", emails=["ada@example.com"])


def people(sandbox: ScimSandbox) -> Any:
    """Return the people operations of a hub with one SCIM server."""
    vendor = Scim(credentials=sandbox.token, base_url=sandbox.base_url)
    account = Account("main", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox)).people()


def test_change_is_a_patch_of_the_named_fields() -> None:
    """A change is one PATCH with an operation for each named field."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    person, other = (operations.create(NewPerson(user_name=name)) for name in ("ada", "grace"))
    ada, manager = person.ref, other.ref
    changes = PersonChanges(
        title="Analyst",
        family_name="King",
        department="R&D",
        manager=manager,
        clear=["time_zone"],
    )
    operations.change(ada, changes, version=person.version)

    request = sandbox.requests[-1]
    assert ("PATCH", f"/scim/v2/Users/{ada.id}") == (request.method, request.path)
    assert person.version == request.headers.get("If-Match")
    assert "application/scim+json" == request.headers.get("Content-Type")
    assert "application/scim+json" == request.headers.get("Accept")
    replace: Any = {"op": "replace"}
    assert {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            {**replace, "path": "name.familyName", "value": "King"},
            {**replace, "path": "title", "value": "Analyst"},
            {**replace, "path": f"{ENTERPRISE}:department", "value": "R&D"},
            {**replace, "path": f"{ENTERPRISE}:manager", "value": {"value": manager.id}},
            {"op": "remove", "path": "timezone"},
        ],
    } == json.loads(request.body)


def test_lists_are_read_and_their_version_is_compared() -> None:
    """Changing a list keeps other fields of its entries, and sends the version that was read."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    person = operations.create(ADA)
    sandbox.users[person.ref.id]["emails"][0]["display"] = "Ada"
    sandbox.users[person.ref.id]["phoneNumbers"] = [
        {"value": "1", "type": "fax"},
        {"value": "2", "type": "work"},
    ]
    phones = [Phone("1", PhoneKind.OTHER), Phone("2", PhoneKind.HOME)]
    changes = PersonChanges(emails=["new@example.com", "ADA@example.com"], phones=phones)
    operations.change(person.ref, changes)

    request = sandbox.requests[-1]
    assert person.version == request.headers.get("If-Match")
    assert [
        [
            {"type": "work", "value": "new@example.com", "primary": True},
            {"type": "work", "value": "ADA@example.com", "primary": False, "display": "Ada"},
        ],
        [{"value": "1", "type": "fax"}, {"value": "2", "type": "home"}],
    ] == [operation["value"] for operation in json.loads(request.body)["Operations"]]


def test_server_without_patch_gets_the_whole_account() -> None:
    """A server without PATCH gets the whole account, with the named fields changed."""
    sandbox = ScimSandbox(patch=False)
    operations = people(sandbox)
    person = operations.create(ADA)
    sandbox.users[person.ref.id]["nickName"] = "Countess"
    operations.change(person.ref, PersonChanges(department="R&D", clear=["emails", "title"]))

    request = sandbox.requests[-1]
    assert ("PUT", person.version) == (request.method, request.headers.get("If-Match"))
    body = json.loads(request.body)
    assert "Countess" == body["nickName"]
    assert {"department": "R&D"} == body[ENTERPRISE]
    assert ENTERPRISE in body["schemas"]
    assert "emails" not in body


@pytest.mark.parametrize("body", [{}, {"error": "No."}])
def test_account_is_not_replaced_by_an_empty_one(body: dict[str, str]) -> None:
    """If the account cannot be read, it is not overwritten."""
    sandbox = ScimSandbox(patch=False)
    operations = people(sandbox)
    person = operations.create(ADA)
    sandbox.fail(None, reply(body))
    with pytest.raises(VendorFailed, match="id"):
        operations.deactivate(person.ref)

    assert "GET" == sandbox.requests[-1].method


def test_type_of_a_phone_that_is_no_text() -> None:
    """If the type of a phone at the server is not a string, the phone gets the new type."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    person = operations.create(ADA)
    sandbox.users[person.ref.id]["phoneNumbers"] = [{"value": "1", "type": 7}]
    operations.change(person.ref, PersonChanges(phones=[Phone("1", PhoneKind.HOME)]))

    assert [{"value": "1", "type": "home"}] == sandbox.users[person.ref.id]["phoneNumbers"]


def test_version_is_refused_without_support_for_if_match() -> None:
    """A required version is refused for a server without ETags, because it would ignore it."""
    sandbox = ScimSandbox(versions=False)
    operations = people(sandbox)
    person = operations.create(ADA)
    assert person.version is None
    with pytest.raises(UnsupportedByVendor, match="does not compare versions"):
        operations.change(person.ref, PersonChanges(title="x"), version="1")
    operations.change(person.ref, PersonChanges(emails=["b@example.com"]))

    assert sandbox.requests[-1].headers.get("If-Match") is None
    assert ("b@example.com",) == operations.get(person.ref).emails


def test_conflict_of_a_conditional_change_is_about_the_version() -> None:
    """A 409 without a scimType counts as a version conflict if a version was sent."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    person = operations.create(ADA)
    sandbox.fail(None, scim_error(409))
    with pytest.raises(ChangedMeanwhile):
        operations.change(person.ref, PersonChanges(title="x"), version=person.version)


def test_filter_is_quoted_as_json() -> None:
    """Filter values are JSON strings, and conditions are joined by `and`."""
    sandbox = ScimSandbox()
    query = PeopleQuery(user_name='a"b\\', email="a@example.com", external_id="ü")
    people(sandbox).find(query)

    assert {
        "filter": 'userName eq "a\\"b\\\\" and emails.value eq "a@example.com"'
        ' and externalId eq "ü"',
        "startIndex": "1",
        "count": "100",
    } == dict(sandbox.requests[-1].query)


def test_persons_who_do_not_match_are_left_out_if_server_ignores_filter() -> None:
    """If a server ignores the filter, persons who do not match are left out."""
    sandbox = ScimSandbox()
    everybody = {
        "totalResults": 2,
        "Resources": [
            {"id": "1", "userName": "ada", "emails": [{"value": "ada@example.com"}]},
            {"id": "2", "userName": "grace", "externalId": "E-2"},
        ],
    }
    operations = people(sandbox)
    for query in (
        PeopleQuery(user_name="GRACE"),
        PeopleQuery(external_id="E-2"),
        PeopleQuery(user_name="grace", external_id="E-2"),
    ):
        sandbox.fail(reply(everybody))
        assert ["2"] == [person.ref.id for person in operations.find(query).items]
    sandbox.fail(reply(everybody))
    assert ["1"] == [
        person.ref.id for person in operations.find(PeopleQuery(email="Ada@example.com")).items
    ]


def test_pages_continue_by_their_index() -> None:
    """The next page begins after the last entry; the reference of another list is refused."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    sandbox.fail(reply({"totalResults": 3, "Resources": [{"id": "1", "userName": "a"}]}))
    page = operations.find()
    assert page.next is not None
    operations.find(after=page.next)

    assert "2" == dict(sandbox.requests[-1].query)["startIndex"]
    for id_ in ("x", "1" * 10, "²"):
        with pytest.raises(InvalidData):
            operations.find(after=Ref("scim", "main", id_))
    with pytest.raises(InvalidData):
        operations.members(Ref("scim", "main", "1"), after=page.next)


def test_pages_of_groups() -> None:
    """Groups are listed without their members; the next page begins after the last group."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    group = {"id": "g", "displayName": "Sailors"}
    sandbox.fail(reply({"totalResults": 2, "Resources": [group]}))
    page = operations.groups()
    sandbox.fail(reply({"totalResults": 2, "Resources": []}))
    last = operations.groups(after=page.next)

    assert {"startIndex": "2", "count": "100", "excludedAttributes": "members"} == dict(
        sandbox.requests[-1].query
    )
    assert ([("g", "Sailors")], (), None) == (
        [(item.ref.id, item.name) for item in page.items],
        last.items,
        last.next,
    )


@pytest.mark.parametrize(
    "answer, words",
    [(Response(404), "HTTP 404"), (reply({"scimType": "noTarget"}, 400), "noTarget")],
)
def test_refusal_without_message(answer: Response, words: str) -> None:
    """The error for a response without a text has the server's code or else the HTTP status."""
    sandbox = ScimSandbox()
    sandbox.fail(answer)
    with pytest.raises(VendorRejected, match=words):
        people(sandbox).get(Ref("scim", "main", "1"))


@pytest.mark.parametrize("id_", ["", "..", "a" * 3_000])
def test_account_with_a_hostile_id_is_unreadable(id_: str) -> None:
    """A listed account with an invalid id is reported as the server's failure."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    body = {"totalResults": 1, "Resources": [{"id": id_, "userName": "ada"}]}
    sandbox.fail(reply(body))

    with pytest.raises(VendorFailed):
        operations.find()


def test_schemas_of_a_replaced_account() -> None:
    """A replaced account keeps its schemas, and has the schema for departments only once."""
    current = {"schemas": ["urn:x"], "userName": "ada"}
    account = {"schemas": ["urn:x", ENTERPRISE], ENTERPRISE: {"costCenter": "7"}}

    assert ["urn:x"] == resource({"title": "T"}, current)["schemas"]
    assert ["urn:x", ENTERPRISE] == resource({"department": "D"}, current)["schemas"]
    assert {**account, ENTERPRISE: {"costCenter": "7", "department": "D"}} == resource(
        {"department": "D"}, account
    )


def test_groups_and_unknown_kinds_are_listed_as_members() -> None:
    """Groups and members of unknown kind are listed; a member without an id is left out."""
    sandbox = ScimSandbox()
    members = [{"value": "1", "type": "Group"}, {"value": "2"}, {"display": "nobody"}]
    sandbox.fail(reply({"id": "g", "members": members}))
    page = people(sandbox).members(Ref("scim", "main", "g"))

    assert [("1", "group"), ("2", "unknown")] == [(item.ref.id, item.kind) for item in page.items]


def test_only_a_missing_target_counts_as_removed() -> None:
    """A refused removal of a member is an error, unless the code is noTarget."""
    sandbox = ScimSandbox()
    group, person = Ref("scim", "main", sandbox.group), Ref("scim", "main", '1"]')
    operations = people(sandbox)
    operations.remove_member(group, person)
    assert (
        'members[value eq "1\\"]"]'
        == json.loads(sandbox.requests[-1].body)["Operations"][0]["path"]
    )
    sandbox.fail(scim_error(400, "invalidPath"))
    with pytest.raises(InvalidRequest):
        operations.remove_member(group, person)


def test_only_a_missing_account_counts_as_deleted() -> None:
    """A refused deletion is an error, unless the status is 404."""
    sandbox = ScimSandbox()
    sandbox.fail(scim_error(403), Response(405))
    operations = people(sandbox)
    for kind in (AuthenticationFailed, VendorRejected):
        with pytest.raises(kind):
            operations.delete(Ref("scim", "main", "1"))


def test_password_may_be_a_secret_and_not_empty() -> None:
    """A password may be a Secret; an empty one is refused."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    operations.create(ADA, password=Secret("long enough"))
    assert "long enough" == sandbox.accounts()[0].password
    with pytest.raises(InvalidData):
        operations.create(ADA, password="")


def test_list_without_its_resources_is_malformed() -> None:
    """A list that counts accounts but has none is an error; without any account it is empty."""
    sandbox = ScimSandbox()
    operations = people(sandbox)
    for body in ({"totalResults": 2}, {"totalResults": 2, "Resources": [1]}):
        sandbox.fail(reply(body))
        with pytest.raises(VendorFailed, match="no Resources"):
            operations.find()
    sandbox.fail(reply({"totalResults": 0}))
    assert () == operations.find().items
