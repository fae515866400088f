"""The sandboxes of people directories refuse what the real vendors would refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.http.requests import Headers
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.people.entra import EntraSandbox
from moorage.testing.sandboxes.people.google_workspace import GoogleWorkspaceSandbox
from moorage.testing.sandboxes.people.scim import ScimSandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.sandboxes.people.base import PeopleSandbox

SCIM_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SCIM_ADA: dict[str, Any] = {"schemas": [SCIM_USER], "userName": "ada"}
GOOGLE_ADA: dict[str, Any] = {
    "primaryEmail": "ada@example.com",
    "password": "long-secret-1",
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
}
GRAPH_ADA: dict[str, Any] = {
    "accountEnabled": True,
    "displayName": "Ada",
    "mailNickname": "ada",
    "userPrincipalName": "ada@example.com",
    "passwordProfile": {"password": "long-secret-1"},
}


def send_request(
    sandbox: PeopleSandbox,
    line: str,
    body: Any = None,
    *,
    content_type: str = "application/json",
    token: str = "good",
    **query: str,
) -> tuple[int, Any]:
    """Return the status and body of the response to a request."""
    method, _, path = line.partition(" ")
    headers = Headers([("Content-Type", content_type), ("Authorization", f"Bearer {token}")])
    pairs = tuple((name.replace("dollar_", "$"), value) for name, value in query.items())
    content = b"" if body is None else json.dumps(body).encode()
    host = sandbox.hosts[0]
    answer = sandbox.answer(SandboxRequest(method, host, path, pairs, headers, content))
    return answer.status, json.loads(answer.body) if answer.body else None


def scim(line: str, body: Any = None, **options: Any) -> int:
    """Send a request to a SCIM server with one user, and return the response's status."""
    sandbox = ScimSandbox(token="good")
    options = {"content_type": "application/scim+json", **options}
    send_request(sandbox, "POST /scim/v2/Users", SCIM_ADA, content_type="application/scim+json")
    (user,), group = sandbox.users, sandbox.group
    line = line.replace("USER", user).replace("GROUP", group)
    return send_request(
        sandbox, f"{line.partition(' ')[0]} /scim/v2{line.partition(' ')[2]}", body, **options
    )[0]


def google(line: str, body: Any = None, **options: Any) -> int:
    """Send a request to Google's sandbox with one user, and return the response's status."""
    sandbox = GoogleWorkspaceSandbox()
    sandbox.tokens._good.add("good")  # noqa: SLF001 - one of our own
    send_request(sandbox, "POST /admin/directory/v1/users", GOOGLE_ADA)
    (user,) = sandbox.users
    method, _, path = line.replace("USER", user).replace("GROUP", sandbox.group).partition(" ")
    return send_request(sandbox, f"{method} /admin/directory/v1{path}", body, **options)[0]


def graph(line: str, body: Any = None, **options: Any) -> int:
    """Send a request to Microsoft Graph's sandbox with one user, and return the status."""
    sandbox = EntraSandbox()
    sandbox.tokens._good.add("good")  # noqa: SLF001 - one of our own
    send_request(sandbox, "POST /v1.0/users", GRAPH_ADA)
    (user,) = sandbox.users
    method, _, path = line.replace("USER", user).replace("GROUP", sandbox.group).partition(" ")
    return send_request(sandbox, f"{method} /v1.0{path}", body, **options)[0]


def patch(**operation: Any) -> dict[str, Any]:
    """Return a PATCH body with one operation."""
    return {"schemas": [PATCH_OP], "Operations": [operation]}


def email(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return another SCIM user with the given email addresses."""
    return {**SCIM_ADA, "userName": "grace", "emails": list(entries)}


ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
REFUSED: list[tuple[int, Callable[..., int], tuple[Any, ...], dict[str, Any]]] = [
    (404, scim, ("GET /Nothing",), {}),
    (401, scim, ("GET /Users",), {"token": "bad"}),
    (400, scim, ("GET /Users",), {"filter": "userName pr"}),
    (400, scim, ("GET /Users",), {"filter": 'userName eq "a" or id eq "b"'}),
    (400, scim, ("GET /Users",), {"sortBy": "id"}),
    (404, scim, ("GET /Users/none",), {}),
    (404, scim, ("GET /Groups/none",), {}),
    (415, scim, ("POST /Users", SCIM_ADA), {"content_type": "application/json"}),
    (400, scim, ("POST /Users", {"schemas": [SCIM_USER], "userName": ""}), {}),
    (400, scim, ("POST /Users", {**SCIM_ADA, "colour": "red"}), {}),
    (409, scim, ("POST /Users", {**SCIM_ADA, "userName": "ADA"}), {}),
    (400, scim, ("POST /Users", email(*({"value": v, "primary": True} for v in "ab"))), {}),
    (400, scim, ("POST /Users", {**SCIM_ADA, "userName": "b", ENTERPRISE: {"division": "x"}}), {}),
    (400, scim, ("PATCH /Users/USER", patch(op="move", path="title")), {}),
    (400, scim, ("PATCH /Users/USER", patch(op="remove", path="1")), {}),
    (400, scim, ("PATCH /Users/USER", patch(op="remove", path='emails[value eq "x"]')), {}),
    (
        400,
        scim,
        ("PATCH /Groups/GROUP", patch(op="add", path="members", value=[{"value": "x"}])),
        {},
    ),
    (404, google, ("GET /nothing",), {}),
    (401, google, ("GET /users",), {"token": "bad"}),
    (400, google, ("GET /users",), {}),
    (400, google, ("GET /users",), {"customer": "my_customer", "query": "name:x"}),
    (400, google, ("POST /users", {"primaryEmail": "b@example.com"}), {}),
    (400, google, ("POST /users", {**GOOGLE_ADA, "colour": "red"}), {}),
    (400, google, ("POST /users", {**GOOGLE_ADA, "phones": [{"value": "1"}]}), {}),
    (404, google, ("POST /users", {**GOOGLE_ADA, "primaryEmail": "ada@other.example"}), {}),
    (409, google, ("POST /users", {**GOOGLE_ADA, "primaryEmail": "ADA@example.com"}), {}),
    (400, google, ("POST /groups/GROUP/members", {"role": "MEMBER"}), {}),
    (404, google, ("POST /groups/GROUP/members", {"email": "x@example.com"}), {}),
    (404, google, ("DELETE /groups/GROUP/members/USER",), {}),
    (400, graph, ("GET /nothing",), {}),
    (401, graph, ("GET /users",), {"token": "bad"}),
    (400, graph, ("GET /users",), {"dollar_search": "x"}),
    (400, graph, ("GET /users",), {"dollar_filter": "startswith(mail,'a')"}),
    (400, graph, ("GET /users",), {"dollar_filter": "mail eq 'a' or mail eq 'b'"}),
    (400, graph, ("POST /users", {**GRAPH_ADA, "mailNickname": "a b"}), {}),
    (400, graph, ("POST /users", {**GRAPH_ADA, "colour": "red"}), {}),
    (400, graph, ("POST /users", {**GRAPH_ADA, "employeeId": "E" * 17}), {}),
    (400, graph, ("POST /users", {**GRAPH_ADA, "userPrincipalName": "ada@other.example"}), {}),
    (400, graph, ("POST /users", {**GRAPH_ADA, "userPrincipalName": "ADA@example.com"}), {}),
    (400, graph, ("POST /groups/GROUP/members/$ref", {"id": "x"}), {}),
    (400, graph, ("POST /groups/GROUP/members/$ref", {"@odata.id": "https://x/USER"}), {}),
    (404, graph, ("GET /users/USER/memberOf/GROUP",), {}),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_request_that_real_directory_refuses_gets_status_of_that_refusal(number: int) -> None:
    """A request that the real directory refuses gets the HTTP status that the directory sends."""
    status, request, arguments, options = REFUSED[number]

    assert status == request(*arguments, **options)


def test_unquoted_value_is_found() -> None:
    """Google's sandbox also finds a value without quotes in a query."""
    assert 200 == google("GET /users", customer="my_customer", query="externalId=7")
    assert 200 == scim("GET /Users", filter="active eq true")


@pytest.mark.parametrize(
    "form",
    [
        "grant_type=client_credentials",
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c",
    ],
)
def test_google_grants_tokens_for_signed_assertions_only(form: str) -> None:
    """Google's sandbox refuses a wrong grant and an unsigned assertion."""
    sandbox = GoogleWorkspaceSandbox()
    headers = Headers([("Content-Type", "application/x-www-form-urlencoded")])
    request = SandboxRequest("POST", sandbox.hosts[0], "/token", (), headers, form.encode())

    assert 400 == sandbox.tokens.answer(request).status


def test_google_sandbox_uses_token_endpoint_that_its_key_file_names() -> None:
    """Google's sandbox uses the token endpoint that its key file names."""
    key = GoogleWorkspaceSandbox().key_file("http://127.0.0.1:1/token")

    assert "http://127.0.0.1:1/token" == json.loads(key)["token_uri"]


def test_deleted_manager_is_not_shown() -> None:
    """After a manager's account is deleted, Graph shows no manager for the person."""
    sandbox: Any = EntraSandbox()
    sandbox.check_access = lambda _: None
    ids = [
        send_request(sandbox, "POST /v1.0/users", GRAPH_ADA | {"userPrincipalName": name})[1]["id"]
        for name in ("ada@example.com", "bob@example.com")
    ]
    link = {"@odata.id": f"https://{sandbox.hosts[0]}/v1.0/users/{ids[1]}"}
    person = f"/v1.0/users/{ids[0]}"
    assert 204 == send_request(sandbox, f"PUT {person}/manager/$ref", link)[0]
    send_request(sandbox, f"DELETE /v1.0/users/{ids[1]}")

    query = {"dollar_expand": "manager($select=id)", "dollar_select": "id"}
    assert (200, {"id": ids[0]}) == send_request(sandbox, f"GET {person}", **query)
