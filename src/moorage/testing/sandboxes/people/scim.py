"""A local sandbox that imitates a SCIM server (RFC 7643 and RFC 7644)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_list
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.people._scim_language import (
    SyntaxProblemError,
    conditions,
    holds,
    path_of,
)
from moorage.testing.sandboxes.people.base import PeopleSandbox, StoredAccount, as_dict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
_GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
_ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_MESSAGE: Final = "urn:ietf:params:scim:api:messages:2.0:"
_TYPE: Final = "application/scim+json"
_ENTRY: Final = {
    "value!": str,
    "type": str,
    "primary": bool,
    "display": str,
    "$ref": str,
}
_SHAPE: Final[dict[str, Any]] = {
    "schemas!": [frozenset({_USER, _ENTERPRISE})],
    "id": str,
    "meta": dict,
    "externalId": str,
    "userName!": str,
    "name": typed(str, "formatted familyName givenName middleName honorificPrefix honorificSuffix"),
    **typed(
        str,
        "displayName nickName profileUrl title userType preferredLanguage locale timezone",
    ),
    "active": bool,
    "password": str,
    "emails": [_ENTRY],
    "phoneNumbers": [_ENTRY],
    "addresses": [dict],
    "groups": [_ENTRY],
    _ENTERPRISE: {
        **typed(str, "employeeNumber costCenter organization division department"),
        "manager": {"value": str, "$ref": str, "displayName": str},
    },
}
_OPERATION: Final = {
    "op!": frozenset({"add", "remove", "replace"}),
    "path": str,
}
_PATCH: Final = {
    "schemas!": [frozenset({f"{_MESSAGE}PatchOp"})],
    "Operations!": [_OPERATION],
}
_NOTE: Final = "kept by the directory"


class ScimSandbox(PeopleSandbox):
    """A sandbox of a SCIM server.

    Attributes:
        token: bearer token of the client.
        patch: False for a server that cannot change parts of a resource.
        versions: False for a server that does not compare versions.
        users: the resources of all users, by id.
        group_resources: the resources of all groups, by id.
    """

    hosts = ("directory.example",)
    path = "/scim/v2"

    token: str = "for-the-scim-sandbox-only"
    patch: bool = True
    versions: bool = True
    users: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.group = self.uuid()
        self.group_resources: dict[str, dict[str, Any]] = {
            self.group: {
                "schemas": [_GROUP],
                "id": self.group,
                "displayName": "Accounting",
                "members": [],
            }
        }

    @property
    def base_url(self) -> str:
        """The URL of the server."""
        return f"https://{self.hosts[0]}{self.path}"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        users, groups = f"{self.path}/Users", f"{self.path}/Groups"
        return {
            f"GET {self.path}/ServiceProviderConfig": self._configuration,
            f"GET {users}": self._list_users,
            f"POST {users}": self._create,
            f"GET {users}/{{id}}": self._get_user,
            f"PUT {users}/{{id}}": self._replace,
            f"PATCH {users}/{{id}}": self._patch_user,
            f"DELETE {users}/{{id}}": self._delete,
            f"GET {groups}": self._list_groups,
            f"GET {groups}/{{id}}": self._get_group,
            f"PATCH {groups}/{{id}}": self._patch_group,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error(404, f"There is no {request.path}.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token."""
        if request.bearer() != self.token:
            raise _error(401, "Authorization failure.")

    def accounts(self) -> Sequence[StoredAccount]:
        """Return the accounts in order of creation."""
        return [
            StoredAccount(
                id=user["id"],
                user_name=user["userName"],
                active=user.get("active", True),
                external_id=user.get("externalId"),
                emails=tuple(item["value"] for item in user.get("emails", [])),
                password=user.get("password"),
                annotated=(
                    user.get("nickName") == _NOTE
                    and user["name"].get("middleName") == _NOTE
                    and user.get("emails", [{}])[0].get("display") == _NOTE
                    and as_dict(user.get(_ENTERPRISE)).get("costCenter") == _NOTE
                ),
            )
            for user in self.users.values()
        ]

    def memberships(self) -> Sequence[str]:
        """Return the ids of the group's members."""
        return [member["value"] for member in self.group_resources[self.group]["members"]]

    def annotate(self, id_: str) -> None:
        """Write notes to fields outside of the contract, in an account and in its lists."""
        user = self.users[id_]
        user["nickName"] = _NOTE
        user.setdefault("name", {})["middleName"] = _NOTE
        user["emails"][0]["display"] = _NOTE
        user.setdefault(_ENTERPRISE, {})["costCenter"] = _NOTE
        self._set_meta(user)

    def _configuration(self, _: base.SandboxRequest) -> Response:
        return _reply(
            {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
                "patch": {"supported": self.patch},
                "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
                "filter": {"supported": True, "maxResults": self.largest_page},
                "changePassword": {"supported": False},
                "sort": {"supported": False},
                "etag": {"supported": self.versions},
                "authenticationSchemes": [
                    {"type": "oauthbearertoken", "name": "Bearer", "description": "A token."}
                ],
            }
        )

    def _list_users(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        users = list(self.users.values())
        if "filter" in query:
            try:
                pairs = conditions(query["filter"])
            except (SyntaxProblemError, ValueError):
                raise _error(400, "The filter is invalid.", "invalidFilter") from None
            users = [user for user in users if holds(user, pairs)]
        return self._page(query, users)

    def _list_groups(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        excluded = query.pop("excludedAttributes", "").split(",")
        groups = [
            {name: value for name, value in group.items() if name not in excluded}
            for group in self.group_resources.values()
        ]
        return self._page(query, groups)

    def _page(self, query: dict[str, str], resources: list[dict[str, Any]]) -> Response:
        if set(query) - {"filter", "startIndex", "count"}:
            raise _error(400, f"A parameter of {sorted(query)} is unknown.", "invalidValue")
        start = max(1, int(query.get("startIndex", "1")))
        count = max(0, min(int(query.get("count", "100")), self.largest_page))
        page = resources[start - 1 : start - 1 + count]
        return _reply(
            {
                "schemas": [f"{_MESSAGE}ListResponse"],
                "totalResults": len(resources),
                "itemsPerPage": len(page),
                "startIndex": start,
                "Resources": [_resource_answer(resource) for resource in page],
            }
        )

    def _create(self, request: base.SandboxRequest) -> Response:
        body = _body(request)
        self._check(body)
        user: dict[str, Any] = {"active": True, **body, "id": self.uuid()}
        self._set_meta(user)
        self.users[user["id"]] = user
        return self._answer(user, 201)

    def _get_user(self, _: base.SandboxRequest, id: str) -> Response:
        return self._answer(self._user(id))

    def _replace(self, request: base.SandboxRequest, id: str) -> Response:
        user, body = self._user(id), _body(request)
        self._check_version(request, user)
        self._check(body, id)
        replaced = {"password": user.get("password"), **body, "id": id}
        self._set_meta(replaced)
        self.users[id] = replaced
        return self._answer(replaced)

    def _patch_user(self, request: base.SandboxRequest, id: str) -> Response:
        user = self._user(id)
        if not self.patch:
            raise _error(501, "PATCH is not implemented.")
        self._check_version(request, user)
        changed_user = self._patched(user, request)
        self._check(changed_user, id)
        self._set_meta(changed_user)
        self.users[id] = changed_user
        return Response(204, {"ETag": changed_user["meta"]["version"]} if self.versions else {})

    def _delete(self, _: base.SandboxRequest, id: str) -> Response:
        del self.users[self._user(id)["id"]]
        for group in self.group_resources.values():
            group["members"] = [item for item in group["members"] if item["value"] != id]
        return Response(204)

    def _get_group(self, _: base.SandboxRequest, id: str) -> Response:
        return _reply(self._group(id))

    def _patch_group(self, request: base.SandboxRequest, id: str) -> Response:
        group = self._group(id)
        changed_group = self._patched(group, request)
        for member in changed_group.setdefault("members", []):
            user_id = member.get("value")
            if user_id not in self.users:
                raise _error(400, "A member does not exist.", "invalidValue")
            member.setdefault("type", "User")
        values = [member["value"] for member in changed_group["members"]]
        changed_group["members"] = [
            member
            for number, member in enumerate(changed_group["members"])
            if values.index(member["value"]) == number
        ]
        self.group_resources[id] = changed_group
        return Response(204)

    def _patched(self, resource: dict[str, Any], request: base.SandboxRequest) -> dict[str, Any]:
        body = _body(request)
        operations = [
            {name: value for name, value in as_dict(operation).items() if name != "value"}
            for operation in body.get("Operations", ())
        ]
        invalid = list(problems(_PATCH, {**body, "Operations": operations}))
        if invalid:
            raise _error(400, f"The operations of the request are {invalid}.", "invalidSyntax")
        changed_resource = copy.deepcopy(resource)
        for operation in body["Operations"]:
            try:
                _apply(changed_resource, operation)
            except SyntaxProblemError:
                raise _error(400, "A path is invalid.", "invalidPath") from None
        return changed_resource

    def _check(self, body: dict[str, Any], id_: str | None = None) -> None:
        attributes = {name: value for name, value in body.items() if value is not None}
        invalid = list(problems(_SHAPE, attributes))
        if invalid or not body["userName"]:
            raise _error(400, f"The resource is {invalid}.", "invalidValue")
        primaries = [item for item in body.get("emails", []) if item.get("primary")]
        if len(primaries) > 1:
            raise _error(400, "Only one address can be primary.", "invalidValue")
        if (_ENTERPRISE in body) is not (_ENTERPRISE in body["schemas"]) and body.get(_ENTERPRISE):
            raise _error(400, "The schemas are incomplete.", "invalidSyntax")
        name = body["userName"].casefold()
        if any(
            user["userName"].casefold() == name and user["id"] != id_
            for user in self.users.values()
        ):
            raise _error(409, "The userName is in use.", "uniqueness")

    def _check_version(self, request: base.SandboxRequest, user: dict[str, Any]) -> None:
        version = request.headers.get("if-match")
        if self.versions and version not in (None, user["meta"]["version"]):
            raise _error(412, "The version in If-Match is not the current version.")

    def _set_meta(self, user: dict[str, Any]) -> None:
        meta = {"resourceType": "User", "location": f"{self.base_url}/Users/{user['id']}"}
        if self.versions:
            meta["version"] = f'W/"{self.number()}"'
        user["meta"] = meta

    def _answer(self, user: dict[str, Any], status: int = 200) -> Response:
        headers = {"ETag": user["meta"]["version"]} if self.versions else {}
        return _reply(_resource_answer(user), status, **headers)

    def _user(self, id_: str) -> dict[str, Any]:
        return base.existing(self.users, id_, _error(404, "Resource not found."))

    def _group(self, id_: str) -> dict[str, Any]:
        return base.existing(self.group_resources, id_, _error(404, "Resource not found."))


def _apply(resource: dict[str, Any], operation: dict[str, Any]) -> None:
    kind, value = operation["op"], operation.get("value")
    match = path_of(operation.get("path", ""))
    target = resource
    if match["urn"]:
        if match["urn"] not in resource["schemas"]:
            resource["schemas"].append(match["urn"])
        target = resource.setdefault(match["urn"], {})
    name = match["name"]
    if match["sub"]:
        target, name = target.setdefault(name, {}), match["sub"]
    if match["filter"]:
        pairs = conditions(match["filter"])
        entries = target.get(name, [])
        remaining_entries = [entry for entry in entries if not holds(entry, pairs)]
        if kind != "remove" or len(remaining_entries) == len(entries):
            raise _error(400, "The filter of the path matches nothing.", "noTarget")
        target[name] = remaining_entries
    elif kind == "remove":
        target.pop(name, None)
    elif kind == "add" and is_list(value):
        target[name] = [*target.get(name, []), *value]
    else:
        target[name] = value


def _body(request: base.SandboxRequest) -> dict[str, Any]:
    if (request.headers.get("content-type") or "").partition(";")[0] != _TYPE:
        raise _error(415, "The body is not SCIM.")
    body = request.json()
    return body if body == as_dict(body) else {}


def _resource_answer(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource in the server's format, without the password."""
    return {name: value for name, value in resource.items() if name != "password"}


def _reply(value: object, status: int = 200, **headers: str) -> Response:
    return Response(status, {"Content-Type": _TYPE, **headers}, encode_json(value))


def _error(status: int, detail: str, scim_type: str | None = None) -> base.Refusal:
    body = {"schemas": [f"{_MESSAGE}Error"], "status": str(status), "detail": detail}
    if scim_type is not None:
        body["scimType"] = scim_type
    return base.Refusal(_reply(body, status))


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = ScimSandbox()
    return SandboxFixture(
        sandbox=sandbox, options={"credentials": sandbox.token, "base_url": sandbox.base_url}
    )
