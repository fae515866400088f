"""Google Workspace: the requests to the Directory API, and the service account."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from moorage import (
    AlreadyExists,
    AuthenticationFailed,
    ChangedMeanwhile,
    ConfigurationError,
    ConnectorError,
    CredentialRefreshFailed,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.people import NewPerson, PeopleQuery, PersonChanges, Phone, PhoneKind
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.people.google_workspace import GoogleWorkspaceSandbox
from moorage.vendors.people._google_workspace_users import classify
from moorage.vendors.people.google_workspace import GoogleWorkspace
from tests.vendors.people_subjects import google_error

ADA = NewPerson(user_name="ada@example.com", given_name="Ada", family_name="Lovelace")
USERS = "/admin/directory/v1/users"


@pytest.fixture(scope="module")
def vendor() -> GoogleWorkspace:
    """Return an account that all tests of this file share, because checking its key is slow."""
    sandbox = GoogleWorkspaceSandbox()
    return GoogleWorkspace(credentials=sandbox.key_file(), administrator=sandbox.administrator)


def people(vendor: GoogleWorkspace, sandbox: GoogleWorkspaceSandbox) -> Any:
    """Return the operations of a hub with one Workspace."""
    account = Account("main", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox)).people()


def test_person_lists_are_read_and_sent_back_to_change_one_entry_of_list(
    vendor: GoogleWorkspace,
) -> None:
    """To change one entry of a person's lists, the lists are read first and sent back whole."""
    sandbox = GoogleWorkspaceSandbox()
    operations = people(vendor, sandbox)
    ref = operations.create(ADA, password="secret-1").ref
    user = sandbox.users[ref.id]
    user["organizations"] = [{"name": "Club"}, {"title": "x", "primary": True, "costCenter": "7"}]
    user["languages"] = [
        {"languageCode": "en", "preference": "preferred"},
        {"languageCode": "de"},
        {"customLanguage": "Klingon"},
    ]
    user["phones"] = [{"value": "1", "type": "work_fax"}, {"value": "2", "type": "work"}]
    user["emails"] = [{"address": "x@example.com", "type": "custom", "customType": "club"}]
    operations.change(
        ref,
        PersonChanges(
            title="Analyst",
            language="de",
            phones=[Phone("1", PhoneKind.OTHER), Phone("2", PhoneKind.HOME)],
            emails=["ada@example.com", "x@example.com"],
            clear=["department", "external_id", "manager"],
        ),
    )

    request = sandbox.requests[-1]
    assert ("PUT", f"{USERS}/{ref.id}") == (request.method, request.path)
    assert {
        "emails": [{"address": "x@example.com", "type": "custom", "customType": "club"}],
        "phones": [{"value": "1", "type": "work_fax"}, {"value": "2", "type": "home"}],
        "organizations": [
            {"name": "Club"},
            {"title": "Analyst", "primary": True, "costCenter": "7"},
        ],
        "relations": None,
        "externalIds": None,
        "languages": [
            {"languageCode": "de", "preference": "preferred"},
            {"customLanguage": "Klingon"},
        ],
    } == json.loads(request.body)


def test_list_is_not_replaced_after_an_empty_answer(vendor: GoogleWorkspace) -> None:
    """If the person cannot be read, a change does not overwrite the person's lists."""
    sandbox = GoogleWorkspaceSandbox()
    operations = people(vendor, sandbox)
    ref = operations.create(ADA, password="secret-1").ref
    sandbox.fail(reply({}))
    with pytest.raises(VendorFailed, match="id"):
        operations.change(ref, PersonChanges(title="Analyst"))

    assert "GET" == sandbox.requests[-1].method


@pytest.mark.parametrize("body", [{}, {"kind": "admin#directory#user"}, []])
def test_change_with_an_empty_answer_is_not_done(body: object, vendor: GoogleWorkspace) -> None:
    """If the response to a change has neither a person nor a member, the call fails."""
    sandbox = GoogleWorkspaceSandbox()
    operations = people(vendor, sandbox)
    ref = operations.create(ADA, password="secret-1").ref
    group = Ref(ref.vendor, ref.account, sandbox.group)
    member = Ref(ref.vendor, ref.account, "ada@example.com")
    for change in (
        partial(operations.deactivate, ref),
        partial(operations.change, ref, PersonChanges(family_name="King")),
        partial(operations.add_member, group, member),
    ):
        sandbox.fail(reply(body))
        with pytest.raises(VendorFailed):
            change()


def test_change_without_lists_reads_nothing(vendor: GoogleWorkspace) -> None:
    """A change of names alone is a single request with only the names."""
    sandbox = GoogleWorkspaceSandbox()
    operations = people(vendor, sandbox)
    ref = operations.create(ADA, password="secret-1").ref
    count = len(sandbox.requests)
    operations.change(ref, PersonChanges(family_name="King", clear=["display_name"]))

    assert 1 == len(sandbox.requests) - count
    assert {"name": {"familyName": "King", "displayName": None}} == json.loads(
        sandbox.requests[-1].body
    )


def test_search_is_quoted(vendor: GoogleWorkspace) -> None:
    """Search values are in single quotes, and quotes inside are escaped."""
    sandbox = GoogleWorkspaceSandbox()
    people(vendor, sandbox).find(PeopleQuery(email="o'neill@example.com", external_id="a\\b"))

    assert {
        "customer": "my_customer",
        "maxResults": "100",
        "query": "email='o\\'neill@example.com' externalId='a\\\\b'",
    } == dict(sandbox.requests[-1].query)


def test_member_is_added_by_the_current_address(vendor: GoogleWorkspace) -> None:
    """A member is added by the person's current address, or by the address in the reference."""
    sandbox = GoogleWorkspaceSandbox()
    operations = people(vendor, sandbox)
    ref = operations.create(ADA, password="secret-1").ref
    sandbox.users[ref.id]["primaryEmail"] = "king@example.com"
    group = Ref("google_workspace", "main", sandbox.group)
    operations.add_member(group, ref)

    assert {"email": "king@example.com", "role": "MEMBER"} == json.loads(sandbox.requests[-1].body)
    operations.add_member(group, Ref("google_workspace", "main", "king@example.com"))
    assert [ref.id] == list(sandbox.memberships())


def test_members_without_an_id_are_left_out(vendor: GoogleWorkspace) -> None:
    """A member without an id, such as the whole domain, is left out; a group is read as a group."""
    sandbox = GoogleWorkspaceSandbox()
    members = [{"type": "CUSTOMER"}, {"id": "1", "type": "GROUP"}, {"id": "2", "type": "EXTERNAL"}]
    operations = people(vendor, sandbox)
    sandbox.fail(reply({"kind": "admin#directory#members", "members": members}))
    page = operations.members(Ref("google_workspace", "main", "g"))

    assert [("1", "group"), ("2", "unknown")] == [(item.ref.id, item.kind) for item in page.items]


@pytest.mark.parametrize(
    "status, reason, kind",
    [
        (403, "rateLimitExceeded", RateLimitExceeded),
        (403, "userRateLimitExceeded", RateLimitExceeded),
        (403, "quotaExceeded", RateLimitExceeded),
        (403, "dailyLimitExceeded", RateLimitExceeded),
        (429, "other", RateLimitExceeded),
        (403, "other", AuthenticationFailed),
        (401, "authError", AuthenticationFailed),
        (400, "invalid", InvalidRequest),
        (409, "duplicate", AlreadyExists),
        (412, "conditionNotMet", ChangedMeanwhile),
        (404, "notFound", VendorRejected),
        (408, "other", None),
        (500, "backendError", None),
    ],
)
def test_reason_or_status_of_a_refusal_decides(
    status: int, reason: str, kind: type[ConnectorError] | None
) -> None:
    """The reasons of Google's limits are rate limits; other refusals go by their status."""
    error: Any = classify(Request.get(USERS), google_error(status, reason))

    assert kind == (None if error is None else type(error))
    assert error is None or ("Refused." in str(error) and reason == error.vendor_code)


@pytest.mark.parametrize("operation", ["delete", "remove_member"])
def test_only_a_missing_object_counts_as_removed(operation: str, vendor: GoogleWorkspace) -> None:
    """A 404 means that the object is already removed; another error response raises its error."""
    sandbox = GoogleWorkspaceSandbox()
    ref = Ref("google_workspace", "main", "1")
    operations = people(vendor, sandbox)
    operations.find()
    sandbox.fail(google_error(405, "methodNotAllowed"))
    with pytest.raises(VendorRejected, match="Refused"):
        getattr(operations, operation)(*([ref] if operation == "delete" else [ref, ref]))


def test_google_requires_names_and_a_password(vendor: GoogleWorkspace) -> None:
    """A person without names or a password is refused before anything is sent."""
    sandbox = GoogleWorkspaceSandbox()
    operations = people(vendor, sandbox)
    nameless = NewPerson(user_name="ada@example.com", given_name="Ada")
    for person, password, field in ((nameless, "x", "family_name"), (ADA, None, "password")):
        with pytest.raises(InvalidData) as excinfo:
            operations.create(person, password=password)
        assert field == excinfo.value.field
    assert [] == sandbox.requests


def test_service_account_needs_its_key_and_an_administrator() -> None:
    """Malformed credentials, and a service account key without an administrator, are refused."""
    key = GoogleWorkspaceSandbox().key_file()
    with pytest.raises(ConfigurationError, match="an administrator"):
        GoogleWorkspace(credentials=key)
    broken = json.dumps({**json.loads(key), "private_key": "x"})
    for text in ("x", "[]", "{}", broken):
        with pytest.raises(ConfigurationError, match="service account"):
            GoogleWorkspace(credentials=text, administrator="admin@example.com")
    assert {} == GoogleWorkspace().clients()


def test_token_is_requested_for_the_administrator(vendor: GoogleWorkspace) -> None:
    """A token is granted only for the delegated administrator."""
    sandbox = GoogleWorkspaceSandbox()
    other = GoogleWorkspace(credentials=sandbox.key_file(), administrator="other@example.com")
    with pytest.raises(CredentialRefreshFailed):
        people(other, sandbox).find()
    people(vendor, sandbox).find()

    assert 1 == sandbox.tokens.grants
