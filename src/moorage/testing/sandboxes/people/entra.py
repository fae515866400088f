"""A local sandbox that imitates the users and groups of Microsoft Graph."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.people.base import PeopleSandbox, StoredAccount
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LOGIN: Final = "login.microsoftonline.com"
_GRAPH: Final = "graph.microsoft.com"
_DIRECTORY: Final = "00000000-0000-4000-8000-00000000d1c7"
_CLIENT_ID: Final = "00000000-0000-4000-8000-00000000a991"
_NONE_TYPE: Final = type(None)
_TEXT: Final = (str, _NONE_TYPE)
_SHAPE: Final[dict[str, Any]] = {
    "accountEnabled": bool,
    **typed(str, "displayName mailNickname userPrincipalName"),
    "passwordProfile": {"password!": str, "forceChangePasswordNextSignIn": bool},
    "usageLocation": str,
    "mail": _TEXT,
    "otherMails": [str],
    "businessPhones": [str],
    **typed(
        _TEXT,
        "givenName surname jobTitle department employeeId preferredLanguage mobilePhone"
        " officeLocation",
    ),
}
_REQUIRED: Final = (
    "accountEnabled",
    "displayName",
    "mailNickname",
    "userPrincipalName",
    "passwordProfile",
)
_DEFAULT: Final = (
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
)
"""The fields that responses contain without $select."""
_LINK: Final = {"@odata.id!": str}
_NICKNAME: Final = re.compile(r"[!#-'*+\-./0-9=?A-Z^_`a-z{|}~]{1,64}")
_VALUE: Final = r"'((?:[^']|'')*)'"
_CONDITION: Final = re.compile(
    rf"(?:(?P<name>\w+) eq {_VALUE}|\(mail eq {_VALUE} or otherMails/any\((\w+):\4 eq {_VALUE}\)\))"
)
_NOTE: Final = "kept by the directory"


class EntraSandbox(PeopleSandbox):
    """A sandbox of Microsoft Graph: one tenant with the domain example.com.

    Attributes:
        client_secret: client secret of the application.
        users: all users, by id.
        managers: id of each user's manager, by the user's id.
        tokens: the token endpoint.
    """

    hosts = (_GRAPH, _LOGIN)
    directory = _DIRECTORY
    client_id = _CLIENT_ID

    client_secret: str = "for-the-entra-sandbox-only"
    users: dict[str, dict[str, Any]] = base.state_field(dict)
    managers: dict[str, str] = base.state_field(dict)
    members: list[str] = base.state_field(list)

    def __attrs_post_init__(self) -> None:
        path = f"/{_DIRECTORY}/oauth2/v2.0/token"
        scope = f"https://{_GRAPH}/.default"
        self.tokens = TokenEndpoint(path, _CLIENT_ID, self.client_secret, posted=True, scope=scope)
        self.mounts = {path: self.tokens}
        self.group = self.uuid()

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        users, groups = "/v1.0/users", "/v1.0/groups"
        return {
            f"GET {users}": self._list_users,
            f"POST {users}": self._create,
            f"GET {users}/{{key}}": self._get_user,
            f"PATCH {users}/{{key}}": self._update,
            f"DELETE {users}/{{key}}": self._delete,
            f"PUT {users}/{{key}}/manager/$ref": self._set_manager,
            f"DELETE {users}/{{key}}/manager/$ref": self._remove_manager,
            f"GET {users}/{{key}}/memberOf/{{group}}": self._membership,
            f"GET {groups}": self._list_groups,
            f"GET {groups}/{{group}}": self._get_group,
            f"GET {groups}/{{group}}/members": self._list_members,
            f"POST {groups}/{{group}}/members/$ref": self._add_member,
            f"DELETE {groups}/{{group}}/members/{{key}}/$ref": self._remove_member,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error(400, "BadRequest", f"There is no {request.path}.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token."""
        if not self.tokens.allows(request):
            raise _error(401, "InvalidAuthenticationToken", "Access token is invalid.")

    def accounts(self) -> Sequence[StoredAccount]:
        """Return the accounts in order of creation."""
        return [
            StoredAccount(
                id=user["id"],
                user_name=user["userPrincipalName"],
                active=user["accountEnabled"],
                external_id=user.get("employeeId"),
                emails=tuple(filter(None, (user.get("mail"), *user.get("otherMails", [])))),
                password=user["passwordProfile"]["password"],
                annotated=user.get("officeLocation") == _NOTE,
            )
            for user in self.users.values()
        ]

    def memberships(self) -> Sequence[str]:
        """Return the ids of the group's members."""
        return list(self.members)

    def annotate(self, id_: str) -> None:
        """Write a note to a field that is not in the contract; Graph's lists only have texts."""
        self.users[id_]["officeLocation"] = _NOTE

    def _list_users(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        users = list(self.users.values())
        if "$filter" in query:
            users = [user for user in users if _fulfils(user, query["$filter"])]
        return self._page(request, [self._user_fields(user, query) for user in users])

    def _list_groups(self, request: base.SandboxRequest) -> Response:
        return self._page(request, [self._group()])

    def _list_members(self, request: base.SandboxRequest, group: str) -> Response:
        self._check_group(group)
        items = [{"@odata.type": "#microsoft.graph.user", "id": id_} for id_ in self.members]
        return self._page(request, items)

    def _page(self, request: base.SandboxRequest, items: list[dict[str, Any]]) -> Response:
        query = dict(request.query)
        if set(query) - {"$select", "$expand", "$top", "$filter", "$skiptoken"}:
            raise _error(400, "Request_UnsupportedQuery", "A query option is not supported.")
        start = int(query.get("$skiptoken", "0"))
        size = min(int(query.get("$top", "100")), self.largest_page)
        body: dict[str, Any] = {"value": items[start : start + size]}
        if start + size < len(items):
            next_query = urlencode({**query, "$skiptoken": str(start + size)})
            scheme = "https" if request.host == _GRAPH else "http"
            body["@odata.nextLink"] = f"{scheme}://{request.host}{request.path}?{next_query}"
        return base.reply(body)

    def _create(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        self._check(body)
        missing_fields = [name for name in _REQUIRED if body.get(name) is None]
        if missing_fields or _NICKNAME.fullmatch(body["mailNickname"]) is None:
            raise _error(400, "Request_BadRequest", f"Required: {missing_fields}.")
        user = {**body, "id": self.uuid()}
        self.users[user["id"]] = user
        return base.reply(self._user_fields(user, {}), 201)

    def _get_user(self, request: base.SandboxRequest, key: str) -> Response:
        return base.reply(self._user_fields(self._user(key), dict(request.query)))

    def _update(self, request: base.SandboxRequest, key: str) -> Response:
        user, body = self._user(key), request.json()
        self._check(body, user["id"])
        user |= body
        return Response(204)

    def _delete(self, _: base.SandboxRequest, key: str) -> Response:
        id_ = self._user(key)["id"]
        del self.users[id_]
        self.managers = {
            person: manager
            for person, manager in self.managers.items()
            if id_ not in {person, manager}
        }
        self.members = [member for member in self.members if member != id_]
        return Response(204)

    def _set_manager(self, request: base.SandboxRequest, key: str) -> Response:
        self.managers[self._user(key)["id"]] = self._linked_id(request, "users")
        return Response(204)

    def _remove_manager(self, _: base.SandboxRequest, key: str) -> Response:
        if self.managers.pop(self._user(key)["id"], None) is None:
            raise _missing_error("manager")
        return Response(204)

    def _membership(self, _: base.SandboxRequest, key: str, group: str) -> Response:
        self._check_group(group)
        if self._user(key)["id"] not in self.members:
            raise _missing_error(group)
        return base.reply(self._group())

    def _get_group(self, _: base.SandboxRequest, group: str) -> Response:
        self._check_group(group)
        return base.reply(self._group())

    def _add_member(self, request: base.SandboxRequest, group: str) -> Response:
        self._check_group(group)
        id_ = self._linked_id(request, "directoryObjects")
        if id_ in self.members:
            message = "One or more added object references already exist for: 'members'."
            raise _error(400, "Request_BadRequest", message)
        self.members.append(id_)
        return Response(204)

    def _remove_member(self, _: base.SandboxRequest, group: str, key: str) -> Response:
        self._check_group(group)
        if key not in self.members:
            raise _missing_error(key)
        self.members.remove(key)
        return Response(204)

    def _linked_id(self, request: base.SandboxRequest, collection: str) -> str:
        body = request.json()
        if list(problems(_LINK, body)):
            raise _error(400, "Request_BadRequest", "A link is invalid.")
        base_url, _, id_ = body["@odata.id"].rpartition("/")
        if not base_url.endswith(f"{request.host}/v1.0/{collection}"):
            raise _error(400, "Request_BadRequest", "A link leads to another host.")
        found_id: str = self._user(id_)["id"]
        return found_id

    def _check(self, body: Any, id_: str | None = None) -> None:
        if list(problems(_SHAPE, body)):
            raise _error(400, "Request_BadRequest", "A property has an invalid value.")
        if len(body.get("employeeId") or "") > 16 or len(body.get("businessPhones", [])) > 1:
            raise _error(400, "Request_BadRequest", "A property is too long.")
        name = body.get("userPrincipalName")
        if name is None:
            return
        if not name.endswith("@example.com"):
            raise _error(400, "Request_BadRequest", "The domain is not verified.")
        if any(
            user["id"] != id_ and user["userPrincipalName"].casefold() == name.casefold()
            for user in self.users.values()
        ):
            message = "Another object with the same value for userPrincipalName already exists."
            details = [
                {"code": "ObjectConflict", "target": "userPrincipalName", "message": message}
            ]
            raise _error(400, "Request_BadRequest", message, details)

    def _user_fields(self, user: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        names = query["$select"].split(",") if "$select" in query else _DEFAULT
        user_fields = {name: user.get(name) for name in names}
        for name in {"businessPhones", "otherMails"} & user_fields.keys():
            user_fields[name] = user_fields[name] or []
        if query.get("$expand") == "manager($select=id)" and user["id"] in self.managers:
            user_fields["manager"] = {
                "@odata.type": "#microsoft.graph.user",
                "id": self.managers[user["id"]],
            }
        return user_fields

    def _user(self, key: str) -> dict[str, Any]:
        for user in self.users.values():
            if key == user["id"] or key.casefold() == user["userPrincipalName"].casefold():
                return user
        raise _missing_error(key)

    def _check_group(self, group: str) -> None:
        if group != self.group:
            raise _missing_error(group)

    def _group(self) -> dict[str, Any]:
        return {"id": self.group, "displayName": "Accounting", "mail": "accounting@example.com"}


def _fulfils(user: dict[str, Any], text: str) -> bool:
    position = 0
    fulfilled = True
    while True:
        match = _CONDITION.match(text, position)
        if match is None or match[3] != match[5]:
            raise _error(400, "Request_UnsupportedQuery", "The filter is invalid.")
        if match["name"] is not None:
            value, values = match[2], [user.get(match["name"])]
        else:
            value, values = match[3], [user.get("mail"), *user.get("otherMails", [])]
        folded_value = value.replace("''", "'").casefold()
        fulfilled = fulfilled and folded_value in [(item or "").casefold() for item in values]
        position = match.end()
        if position == len(text):
            return fulfilled
        if not text.startswith(" and ", position):
            raise _error(400, "Request_UnsupportedQuery", "The filter is invalid.")
        position += len(" and ")


def _missing_error(key: str) -> base.Refusal:
    message = f"Resource '{key}' does not exist or one of its queried references is not present."
    return _error(404, "Request_ResourceNotFound", message)


def _error(
    status: int, code: str, message: str, details: list[dict[str, str]] | None = None
) -> base.Refusal:
    error: dict[str, Any] = {"code": code, "message": message, "innerError": {}}
    if details is not None:
        error["details"] = details
    return base.refusal({"error": error}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = EntraSandbox()
    options = {
        "directory": sandbox.directory,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
    }
    return SandboxFixture(sandbox=sandbox, options=options)
