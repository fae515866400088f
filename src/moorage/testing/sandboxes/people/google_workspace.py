"""A local sandbox that imitates the Directory API of Google Workspace."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from time import time
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes._google import key_file, pair
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.people._google_workspace_search import SearchProblemError, matches
from moorage.testing.sandboxes.people.base import PeopleSandbox, StoredAccount
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HOST: Final = "admin.googleapis.com"
"""The host, also of its tokens: several sandboxes of Google may be behind one client."""
_PATH: Final = "/admin/directory/v1"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE: Final = "https://www.googleapis.com/auth/admin.directory"
_NOTE: Final = "kept by the directory"
_NONE_TYPE: Final = type(None)
_SHAPE: Final[dict[str, Any]] = {
    "primaryEmail": str,
    "password": str,
    "changePasswordAtNextLogin": bool,
    "suspended": bool,
    "orgUnitPath": str,
    "includeInGlobalAddressList": bool,
    "name": {"givenName": str, "familyName": str, "displayName": (str, _NONE_TYPE)},
    "emails": (list, _NONE_TYPE),
    "phones": (list, _NONE_TYPE),
    "organizations": (list, _NONE_TYPE),
    "relations": (list, _NONE_TYPE),
    "externalIds": (list, _NONE_TYPE),
    "languages": (list, _NONE_TYPE),
}
_ENTRIES: Final[dict[str, dict[str, Any]]] = {
    "emails": {"address!": str, "type!": str, "primary": bool, "customType": str},
    "phones": {"value!": str, "type!": str, "primary": bool, "customType": str},
    "organizations": {
        **typed(str, "title department costCenter name type"),
        "primary": bool,
    },
    "relations": {"value!": str, "type!": str, "customType": str},
    "externalIds": {"value!": str, "type!": str, "customType": str},
    "languages": {"languageCode": str, "customLanguage": str, "preference": str},
}
_MEMBER: Final = {
    "email!": str,
    "role": frozenset({"OWNER", "MANAGER", "MEMBER"}),
}


class DirectoryTokens(TokenEndpoint):
    """Issues access tokens for assertions that a service account signed for an administrator.

    Args:
        email: name of the service account.
        administrator: address of the administrator.
    """

    def __init__(self, email: str, administrator: str) -> None:
        self.email, self.administrator = email, administrator
        self.audience = f"https://{_HOST}/token"
        super().__init__("/token", email, "")

    def _grant(self, request: base.SandboxRequest) -> Response:
        form = dict(request.form)
        if form.pop("grant_type", None) != _GRANT:
            raise base.Refusal(self.refuse("unsupported_grant_type"))
        assertion = form.pop("assertion", "")
        if form or not self._is_valid(assertion):
            raise base.Refusal(self.refuse("invalid_grant"))
        self.grants += 1
        token = f"ya29.directory-{self.grants}"
        self._good.add(token)
        return base.reply({"access_token": token, "token_type": "Bearer", "expires_in": 3_599})

    def _is_valid(self, assertion: str) -> bool:
        text, _, signature = assertion.rpartition(".")
        try:
            claims: dict[str, Any] = json.loads(_decode(text.partition(".")[2]))
            pair().public_key().verify(_decode(signature), text.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return (
            (claims["iss"], claims["aud"]) == (self.email, self.audience)
            and claims.get("sub") == self.administrator
            and set(claims["scope"].split()) == {f"{_SCOPE}.user", f"{_SCOPE}.group"}
            and claims["exp"] - claims["iat"] <= 3_600
            and claims["exp"] > time()
        )


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


class GoogleWorkspaceSandbox(PeopleSandbox):
    """A sandbox of the Directory API: one Workspace with the domain example.com.

    Attributes:
        administrator: address of the administrator whom the service account acts as.
        users: all users, by id.
        members: the members of the group.
        tokens: the token endpoint.
    """

    hosts = (_HOST,)

    administrator: str = "admin@example.com"
    email: str = "erp@sandbox.iam.gserviceaccount.com"
    users: dict[str, dict[str, Any]] = base.state_field(dict)
    group: str = "01sandboxgroup"
    members: list[dict[str, Any]] = base.state_field(list)

    def __attrs_post_init__(self) -> None:
        self.tokens = DirectoryTokens(self.email, self.administrator)
        self.mounts = {"/token": self.tokens}

    def key_file(self, token_uri: str | None = None) -> str:
        """Return the JSON text of the service account's key file.

        Args:
            token_uri: URL of the token endpoint, if it is not Google's.
        """
        if token_uri is not None:
            self.tokens.audience = token_uri
        return key_file(self.email, self.tokens.audience)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        users, groups = f"{_PATH}/users", f"{_PATH}/groups"
        return {
            f"GET {users}": self._list_users,
            f"POST {users}": self._insert,
            f"GET {users}/{{key}}": self._get_user,
            f"PUT {users}/{{key}}": self._update,
            f"DELETE {users}/{{key}}": self._delete,
            f"GET {groups}": self._list_groups,
            f"GET {groups}/{{group}}": self._get_group,
            f"GET {groups}/{{group}}/members": self._list_members,
            f"POST {groups}/{{group}}/members": self._add_member,
            f"DELETE {groups}/{{group}}/members/{{key}}": self._remove_member,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error(404, "notFound", f"There is no {request.path}.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token."""
        if not self.tokens.allows(request):
            raise _error(401, "authError", "Invalid Credentials")

    def accounts(self) -> Sequence[StoredAccount]:
        """Return the accounts in order of creation."""
        return [
            StoredAccount(
                id=user["id"],
                user_name=user["primaryEmail"],
                active=not user["suspended"],
                external_id=next(
                    (
                        item["value"]
                        for item in user.get("externalIds", [])
                        if item["type"] == "organization"
                    ),
                    None,
                ),
                emails=tuple(item["address"] for item in _emails(user)),
                password=user["password"],
                annotated=(
                    user.get("orgUnitPath") == f"/{_NOTE}"
                    and user.get("organizations", [{}])[0].get("costCenter") == _NOTE
                    and {"value": _NOTE, "type": "assistant"} in user.get("relations", [])
                    and {"value": _NOTE, "type": "account"} in user.get("externalIds", [])
                    and user.get("emails", [{}])[0].get("customType") == _NOTE
                ),
            )
            for user in self.users.values()
        ]

    def memberships(self) -> Sequence[str]:
        """Return the ids of the group's members."""
        return [member["id"] for member in self.members]

    def annotate(self, id_: str) -> None:
        """Write notes to fields outside of the contract, in an account and in its lists."""
        user = self.users[id_]
        user["orgUnitPath"] = f"/{_NOTE}"
        organizations = user.setdefault("organizations", [])
        if not organizations:
            organizations.append({"primary": True})
        organizations[0]["costCenter"] = _NOTE
        user.setdefault("relations", []).append({"value": _NOTE, "type": "assistant"})
        user.setdefault("externalIds", []).append({"value": _NOTE, "type": "account"})
        user["emails"][0]["customType"] = _NOTE

    def _list_users(self, request: base.SandboxRequest) -> Response:
        query = _checked_query(request, "customer maxResults pageToken query")
        try:
            users = [user for user in self.users.values() if matches(query.get("query"), user)]
        except SearchProblemError:
            raise _error(400, "invalid", "Invalid Input: query") from None
        return self._page(query, "users", [_user_answer(user) for user in users])

    def _list_groups(self, request: base.SandboxRequest) -> Response:
        query = _checked_query(request, "customer maxResults pageToken")
        return self._page(query, "groups", [self._group()])

    def _list_members(self, request: base.SandboxRequest, group: str) -> Response:
        self._check_group(group)
        query = dict(request.query)
        return self._page(query, "members", self.members)

    def _page(self, query: dict[str, str], name: str, items: list[dict[str, Any]]) -> Response:
        start = int(query.get("pageToken", "page-0").removeprefix("page-"))
        size = min(int(query.get("maxResults", "100")), self.largest_page)
        page = items[start : start + size]
        body: dict[str, Any] = {"kind": f"admin#directory#{name}", "etag": '"etag"'}
        if page:
            body[name] = page
        if start + size < len(items):
            body["nextPageToken"] = f"page-{start + size}"
        return base.reply(body)

    def _insert(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        self._check(body)
        name = body.get("name", {})
        required = (body.get("primaryEmail"), body.get("password"), *map(name.get, _NAMES))
        if not all(required):
            raise _error(400, "required", "A required field is missing.")
        user: dict[str, Any] = {
            "suspended": False,
            **_without_nulls(body),
            "id": str(self.number() + 10**20),
        }
        self.users[user["id"]] = user
        return base.reply(_user_answer(user))

    def _get_user(self, _: base.SandboxRequest, key: str) -> Response:
        return base.reply(_user_answer(self._user(key)))

    def _update(self, request: base.SandboxRequest, key: str) -> Response:
        user, body = self._user(key), request.json()
        self._check(body, user["id"])
        changed_name = {**user["name"], **body.get("name", {})}
        changed_user = _without_nulls({**user, **body, "name": changed_name})
        self.users[user["id"]] = changed_user
        return base.reply(_user_answer(changed_user))

    def _delete(self, _: base.SandboxRequest, key: str) -> Response:
        id_ = self._user(key)["id"]
        del self.users[id_]
        self.members = [member for member in self.members if member["id"] != id_]
        return Response(204)

    def _get_group(self, _: base.SandboxRequest, group: str) -> Response:
        self._check_group(group)
        return base.reply(self._group())

    def _add_member(self, request: base.SandboxRequest, group: str) -> Response:
        self._check_group(group)
        body = request.json()
        if list(problems(_MEMBER, body)):
            raise _error(400, "invalid", "Invalid Input: member")
        user = self._user(body["email"], "memberKey")
        if user["id"] in self.memberships():
            raise _error(409, "duplicate", "Member already exists.")
        member = {
            "kind": "admin#directory#member",
            "id": user["id"],
            "email": user["primaryEmail"],
            "role": body.get("role", "MEMBER"),
            "type": "USER",
        }
        self.members.append(member)
        return base.reply(member)

    def _remove_member(self, _: base.SandboxRequest, group: str, key: str) -> Response:
        self._check_group(group)
        remaining = [item for item in self.members if key not in {item["id"], item["email"]}]
        if len(remaining) == len(self.members):
            raise _error(404, "notFound", "Resource Not Found: memberKey")
        self.members = remaining
        return Response(204)

    def _check(self, body: Any, id_: str | None = None) -> None:
        invalid = list(problems(_SHAPE, body))
        for name, shape in _ENTRIES.items():
            invalid += problems([shape], body.get(name) or [])
        if invalid:
            raise _error(400, "invalid", f"Invalid Input: {invalid}")
        address = body.get("primaryEmail")
        if address is None:
            return
        if not address.endswith("@example.com"):
            raise _error(404, "notFound", "Domain not found.")
        if any(
            user["id"] != id_ and address.casefold() in _addresses(user)
            for user in self.users.values()
        ):
            raise _error(409, "duplicate", "Entity already exists.")

    def _user(self, key: str, name: str = "userKey") -> dict[str, Any]:
        for user in self.users.values():
            if key == user["id"] or key.casefold() == user["primaryEmail"].casefold():
                return user
        raise _error(404, "notFound", f"Resource Not Found: {name}")

    def _check_group(self, group: str) -> None:
        if group != self.group:
            raise _error(404, "notFound", "Resource Not Found: groupKey")

    def _group(self) -> dict[str, Any]:
        return {
            "kind": "admin#directory#group",
            "id": self.group,
            "etag": '"etag"',
            "email": "accounting@example.com",
            "name": "Accounting",
            "directMembersCount": str(len(self.members)),
        }


_NAMES: Final = ("givenName", "familyName")


def _emails(user: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a user's addresses, including the primary one that Google adds."""
    return [{"address": user["primaryEmail"], "primary": True}, *user.get("emails", [])]


def _addresses(user: dict[str, Any]) -> set[str]:
    return {item["address"].casefold() for item in _emails(user)}


def _user_answer(user: dict[str, Any]) -> dict[str, Any]:
    name = user["name"]
    full_name = f"{name['givenName']} {name['familyName']}"
    user_fields = {field: value for field, value in user.items() if field != "password"}
    return {
        "kind": "admin#directory#user",
        "etag": '"etag"',
        **user_fields,
        "name": {**name, "fullName": full_name},
        "emails": _emails(user),
    }


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _checked_query(request: base.SandboxRequest, names: str) -> dict[str, str]:
    query = dict(request.query)
    if set(query) - set(names.split()) or query.get("customer") != "my_customer":
        raise _error(400, "badRequest", "Bad Request")
    return query


def _error(status: int, reason: str, message: str) -> base.Refusal:
    error = {"domain": "global", "reason": reason, "message": message}
    return base.refusal({"error": {"code": status, "message": message, "errors": [error]}}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = GoogleWorkspaceSandbox()
    options = {"credentials": sandbox.key_file(), "administrator": sandbox.administrator}
    return SandboxFixture(sandbox=sandbox, options=options)
