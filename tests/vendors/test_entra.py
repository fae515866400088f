"""Microsoft Entra: the requests to Microsoft Graph."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage import (
    ConfigurationError,
    InvalidData,
    InvalidRequest,
    Response,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.people import NewPerson, PeopleQuery, PersonChanges, Phone, PhoneKind
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.people.entra import EntraSandbox
from moorage.vendors.people._entra_users import nickname, read_created
from moorage.vendors.people.entra import Entra
from tests.vendors.people_subjects import graph_error

ADA = NewPerson(user_name="ada@example.com", given_name="Ada", family_name="Lovelace")
FIELDS = (
    "id,userPrincipalName,givenName,surname,displayName,jobTitle,department,employeeId,"
    "preferredLanguage,accountEnabled,mail,otherMails,businessPhones,mobilePhone"
)


def people(sandbox: EntraSandbox, **options: Any) -> Any:
    """Return the operations of a hub with one tenant."""
    vendor = Entra(
        directory=sandbox.directory,
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        **options,
    )
    account = Account("main", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox)).people()


def ref(id_: str) -> Ref:
    """Return a reference of an object in the tenant."""
    return Ref("entra", "main", id_)


def test_list_requests_fields_that_moorage_reads() -> None:
    """A list requests only fields that moorage reads, and quotes in its filter are escaped."""
    sandbox = EntraSandbox()
    query = PeopleQuery(user_name="o'n@example.com", email="x'y", external_id="7")
    people(sandbox).find(query)

    assert {
        "$select": FIELDS,
        "$expand": "manager($select=id)",
        "$top": "100",
        "$filter": "userPrincipalName eq 'o''n@example.com' and (mail eq 'x''y' or"
        " otherMails/any(address:address eq 'x''y')) and employeeId eq '7'",
    } == dict(sandbox.requests[-1].query)


def test_person_manager_is_set_by_separate_link() -> None:
    """A person's manager is set by a separate link, also if nothing else changes."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    charles = operations.create(
        NewPerson(user_name="charles@example.com"), password="long-secret-1"
    ).ref
    ada = operations.create(ADA, password="long-secret-1").ref
    count = len(sandbox.requests)
    operations.change(ada, PersonChanges(manager=charles))

    assert 1 == len(sandbox.requests) - count
    request = sandbox.requests[-1]
    assert ("PUT", f"/v1.0/users/{ada.id}/manager/$ref") == (request.method, request.path)
    assert {"@odata.id": f"https://graph.microsoft.com/v1.0/users/{charles.id}"} == json.loads(
        request.body
    )
    sandbox.fail(graph_error(405, "x"))
    with pytest.raises(VendorRejected, match="Refused"):
        operations.change(ada, PersonChanges(clear=["manager"]))


def test_member_is_removed_by_its_link() -> None:
    """A member is removed by its `/$ref` path, because Graph would else delete the account."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    ada = operations.create(ADA, password="long-secret-1").ref
    operations.add_member(ref(sandbox.group), ada)
    assert {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{ada.id}"} == (
        json.loads(sandbox.requests[-1].body)
    )
    operations.remove_member(ref(sandbox.group), ada)

    path = f"/v1.0/groups/{sandbox.group}/members/{ada.id}/$ref"
    assert ("DELETE", path) == (sandbox.requests[-1].method, sandbox.requests[-1].path)


def test_members_have_their_kinds() -> None:
    """A member's type decides whether it is a person, a group, or of unknown kind."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    operations.find()
    types = ("#microsoft.graph.user", "#microsoft.graph.group", "#microsoft.graph.device", None)
    sandbox.fail(reply({"value": [{"id": "1", "@odata.type": word} for word in types]}))
    page = operations.members(ref("g"))

    assert ["person", "group", "unknown", "unknown"] == [item.kind for item in page.items]
    assert {"$select": "id", "$top": "100"} == dict(sandbox.requests[-1].query)


def test_group_must_exist_if_no_member_changes() -> None:
    """If adding or removing a member changes nothing, moorage checks that the group exists."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    operations.remove_member(ref(sandbox.group), ref("00000000-0000-4000-8000-0000000fffff"))
    assert {"$select": "id"} == dict(sandbox.requests[-1].query)
    ada = operations.create(ADA, password="long-secret-1").ref
    operations.add_member(ref(sandbox.group), ada)
    operations.add_member(ref(sandbox.group), ada)
    assert {"$select": "id"} == dict(sandbox.requests[-1].query)


def test_created_person_has_the_fields_of_the_request() -> None:
    """Fields of a created person that the response lacks are taken from the request."""
    body = {"userPrincipalName": "a@x", "mobilePhone": "2", "jobTitle": "Analyst", "mail": "m@x"}
    person = read_created(body, _ref, reply({"id": "1", "mail": "other@x"}))

    assert ("a@x", "Analyst", ("other@x",)) == (person.user_name, person.title, person.emails)
    assert (Phone("2", PhoneKind.MOBILE),) == person.phones


def _ref(id_: str, /, **_: str | None) -> Ref:
    return ref(id_)


@pytest.mark.parametrize(
    "answer, words",
    [(Response(404), "HTTP 404"), (reply({"error": {"code": "Gone"}}, 404), "Gone")],
)
def test_refusal_without_message(answer: Response, words: str) -> None:
    """If an error response has no text, the error has Graph's code or else the HTTP status."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    operations.find()
    sandbox.fail(answer)
    with pytest.raises(VendorRejected, match=words):
        operations.get(ref("1"))


def test_refused_member_is_no_member() -> None:
    """A refused removal stays an error, even if the person is not a member of the group."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    ada = operations.create(ADA, password="long-secret-1").ref
    sandbox.fail(graph_error(400, "Request_BadRequest"))
    with pytest.raises(InvalidRequest, match="Refused"):
        operations.add_member(ref(sandbox.group), ada)


@pytest.mark.parametrize("operation", ["delete", "remove_member"])
def test_only_a_missing_object_counts_as_removed(operation: str) -> None:
    """A 404 means that the object is already removed; another error response raises its error."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    operations.find()
    sandbox.fail(graph_error(405, "x"))
    with pytest.raises(VendorRejected, match="Refused"):
        getattr(operations, operation)(*([ref("1")] * (1 if operation == "delete" else 2)))


@pytest.mark.parametrize("link", ["https://evil.example/v1.0/users?$skiptoken=1", 7])
def test_link_to_another_server_is_not_followed(link: object) -> None:
    """A response whose next-page link goes to another server is malformed."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    operations.find()
    sandbox.fail(reply({"value": [], "@odata.nextLink": link}))
    with pytest.raises(VendorFailed):
        operations.find()


@pytest.mark.parametrize(
    "id_", ["//evil.example/v1.0/users?a=b", "/v1.0/users", "/v1.0/groups?a=b", "1"]
)
def test_reference_of_another_page_is_refused(id_: str) -> None:
    """A page reference is accepted only for the list that it came from."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    with pytest.raises(InvalidData) as excinfo:
        operations.find(after=ref(id_))
    assert ("after", []) == (excinfo.value.field, sandbox.requests)


@pytest.mark.parametrize(
    "phones",
    [
        [Phone("1"), Phone("2")],
        [Phone("1", PhoneKind.MOBILE), Phone("2", PhoneKind.MOBILE)],
        [Phone("1", PhoneKind.HOME)],
    ],
)
def test_numbers_that_entra_has_no_field_for_are_refused(phones: list[Phone]) -> None:
    """More than one work and one mobile number are refused, since Entra stores no more."""
    sandbox = EntraSandbox()
    with pytest.raises(InvalidData) as excinfo:
        people(sandbox).create(
            NewPerson(user_name="a@example.com", phones=phones), password="long-secret-1"
        )
    assert "phones" == excinfo.value.field
    assert [] == sandbox.requests


def test_clearing_emails_and_phones_sends_null_or_an_empty_list() -> None:
    """Clearing emails and phones sends null for single values and an empty list for lists."""
    sandbox = EntraSandbox()
    operations = people(sandbox)
    ada = operations.create(ADA, password="long-secret-1").ref
    operations.change(ada, PersonChanges(clear=["emails", "phones"]))

    assert {"mail": None, "otherMails": [], "businessPhones": [], "mobilePhone": None} == (
        json.loads(sandbox.requests[-1].body)
    )


@pytest.mark.parametrize(
    "user_name, expected",
    [("ada@example.com", "ada"), ("a(d)a,ü@x", "ada"), ("(@x", "user"), ("a" * 70, "a" * 64)],
)
def test_nickname_has_only_allowed_characters(user_name: str, expected: str) -> None:
    """The nickname is the user name's part before the @, without forbidden characters."""
    assert expected == nickname(user_name)


def test_person_without_names_is_shown_by_the_user_name() -> None:
    """A person without names gets the user name as display name, because Graph requires one."""
    sandbox = EntraSandbox()
    person = people(sandbox).create(NewPerson(user_name="a@example.com"), password="long-secret-1")

    assert "a@example.com" == person.display_name


@pytest.mark.parametrize("missing", ["directory", "client_id", "client_secret"])
def test_credentials_are_complete_or_absent(missing: str) -> None:
    """Incomplete credentials are refused; without any, the credential provider is used."""
    options: dict[str, Any] = {"directory": "a", "client_id": "b", "client_secret": "c"}
    value = options.pop(missing)
    first_missing = "client_id" if missing == "directory" else "directory"
    for parts, name in ((options, missing), ({missing: value}, first_missing)):
        with pytest.raises(ConfigurationError, match=f"{name} is missing") as excinfo:
            Entra(**parts)
        assert name == excinfo.value.path
    assert {} == Entra().clients()
