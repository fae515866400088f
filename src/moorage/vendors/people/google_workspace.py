"""Google Workspace: users and groups by the Directory API of the Admin SDK.

Version 1, with the tokens of a service account that acts as an administrator. The API has no
idempotency keys; the address of a user is unique, so a lost creation is looked up by it and by your
own id. Google replaces whole lists, so moorage reads the user before it changes a part of a list.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.people import GroupPage, MemberPage, PeopleCapability, PersonPage
from moorage.vendors.people import _google_workspace_users as users
from moorage.vendors.people._common import (
    check_named,
    created_account,
    id_in_directory,
    is_missing,
    required_password,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.people import NewPerson, PeopleQuery, Person, PersonChanges
    from moorage.vendor_sdk import Ref, Secret, Wire

_API: Final = "/admin/directory/v1"
_USERS: Final = f"{_API}/users"
_GROUPS: Final = f"{_API}/groups"
_PAGE: Final = "100"
_SCOPES: Final = (
    "https://www.googleapis.com/auth/admin.directory.user"
    " https://www.googleapis.com/auth/admin.directory.group"
)
_NO_FIELDS: Final[Mapping[str, Any]] = {}


@attrs.frozen(kw_only=True)
class GoogleWorkspace(sdk.GoogleVendor):
    """The directory of a Google Workspace.

    Attributes:
        credentials: JSON key of a service account with domain-wide delegation; by default the
            credential provider supplies a token.
        administrator: email address of the administrator for whom the service account acts.
        customer: id of the Workspace; by default the administrator's.
        base_url: URL of the API.
    """

    name = "google_workspace"
    kinds = ("people",)
    api_version = "directory_v1"
    capabilities = frozenset({PeopleCapability.GROUPS, PeopleCapability.MANAGER})

    google_scope = _SCOPES
    refusals = staticmethod(users.classify)

    administrator: str | None = None
    customer: str = "my_customer"
    base_url: str = "https://admin.googleapis.com"

    def __attrs_post_init__(self) -> None:
        """Refuse a service account's key without the administrator for whom it acts."""
        if self.credentials is not None and self.administrator is None:
            raise sdk.ConfigurationError(
                "The service account needs an administrator to act for.",
                path="administrator",
                remedy="Set the email address of an administrator of the Workspace.",
            )

    def google_subject(self) -> str | None:
        """The administrator for whom the service account acts."""
        return self.administrator

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage:
        """List users."""
        pairs = self._page(after, query=users.query_of(query))
        response = await wire.send(sdk.Request.get(_USERS, query=pairs))
        answer = sdk.read_answer(response)
        entries = users.entries_of(answer, "users", response)
        items = (users.user_of(wire.ref, item, response) for item in entries)
        # Google also searches other addresses for a user name.
        wanted_name = None if query.user_name is None else query.user_name.casefold()
        return PersonPage(
            items=tuple(
                person for person in items if wanted_name in (None, person.user_name.casefold())
            ),
            next=_next_page(wire, answer),
        )

    async def get(self, wire: Wire, ref: Ref, /) -> Person:
        """Get a user."""
        return users.read_user(wire.ref, await wire.send(sdk.Request.get(_user(ref.id))))

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person:
        """Create a user; if the response is lost, look the user up."""
        check_named(person, "given_name", "family_name")
        first_password = required_password(password, "Google Workspace")
        manager = await self._manager_address(wire, person.manager)
        body = {
            **users.user_body(values_of(person), _NO_FIELDS, manager),
            "password": first_password,
            "changePasswordAtNextLogin": True,
        }
        body = sdk.merged(body, sdk.extra_for(self.name, person.extra))
        request = sdk.Request.post(_USERS, json=body)
        creating = wire.send(request, key=key, parse=partial(users.read_user, wire.ref))

        async def look_up() -> Person | None:
            response = await wire.send(sdk.Request.get(_user(person.user_name)))
            return users.read_user(wire.ref, response)

        return await created_account(creating, look_up, person)

    async def change(
        self,
        wire: Wire,
        ref: Ref,
        changes: PersonChanges,
        /,
        *,
        version: str | None,  # noqa: ARG002 - no capability of Google's allows one
    ) -> None:
        """Change the named fields of a user."""
        values = changes.values
        manager = await self._manager_address(wire, values.get("manager"))
        current: Mapping[str, Any] = _NO_FIELDS
        if users.LISTS & values.keys():
            response = await wire.send(sdk.Request.get(_user(ref.id)))
            answer = sdk.read_answer(response)
            sdk.required(answer.text("id"), response, "id")
            current = answer.raw
        await _update(wire, ref, users.user_body(values, current, manager))

    async def deactivate(self, wire: Wire, ref: Ref, /) -> None:
        """Suspend a user."""
        await _update(wire, ref, {"suspended": True})

    async def reactivate(self, wire: Wire, ref: Ref, /) -> None:
        """End the suspension of a user."""
        await _update(wire, ref, {"suspended": False})

    async def delete(self, wire: Wire, ref: Ref, /) -> None:
        """Delete a user."""
        try:
            await wire.send(sdk.Request.delete(_user(ref.id)), parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if not is_missing(refusal):
                raise

    async def groups(self, wire: Wire, after: Ref | None, /) -> GroupPage:
        """List groups."""
        response = await wire.send(sdk.Request.get(_GROUPS, query=self._page(after)))
        answer = sdk.read_answer(response)
        entries = users.entries_of(answer, "groups", response)
        items = (users.group_of(wire.ref, item, response) for item in entries)
        return GroupPage(items=tuple(items), next=_next_page(wire, answer))

    async def members(self, wire: Wire, ref: Ref, /, *, after: Ref | None) -> MemberPage:
        """List the direct members of a group."""
        pairs = {"maxResults": _PAGE, **({} if after is None else {"pageToken": after.id})}
        response = await wire.send(sdk.Request.get(f"{_group_path(ref.id)}/members", query=pairs))
        answer = sdk.read_answer(response)
        entries = users.entries_of(answer, "members", response)
        items = (users.member_of(wire.ref, item) for item in entries)
        return MemberPage(
            items=tuple(member for member in items if member is not None),
            next=_next_page(wire, answer),
        )

    async def add_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Add a member to a group by the member's current email address."""
        address = await self._address(wire, member)
        body = {"email": address, "role": "MEMBER"}
        request = sdk.Request.post(f"{_group_path(ref.id)}/members", json=body)
        try:
            await wire.send(request.evolve(idempotent=True), parse=users.check_changed)
        except sdk.AlreadyExists:
            return

    async def remove_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Remove a member; if there is no such member, check that the group exists."""
        path = f"{_group_path(ref.id)}/members/{quote(member.id, safe='')}"
        try:
            await wire.send(sdk.Request.delete(path), parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if not is_missing(refusal):
                raise
            await wire.send(sdk.Request.get(_group_path(ref.id)))

    async def _manager_address(self, wire: Wire, manager: Ref | None) -> str | None:
        if manager is None:
            return None
        id_in_directory(wire, self.name, manager, "manager")
        return await self._address(wire, manager)

    async def _address(self, wire: Wire, ref: Ref) -> str:
        """A user's current address, for requests in which Google accepts no id."""
        if "@" in ref.id:
            return ref.id
        return (await self.get(wire, ref)).user_name

    def _page(self, after: Ref | None, *, query: str | None = None) -> dict[str, str]:
        pairs = {"customer": self.customer, "maxResults": _PAGE}
        if query is not None:
            pairs["query"] = query
        return pairs if after is None else {**pairs, "pageToken": after.id}


async def _update(wire: Wire, ref: Ref, body: Mapping[str, Any]) -> None:
    await wire.send(sdk.Request.put(_user(ref.id), json=body), parse=users.check_changed)


def _next_page(wire: Wire, answer: sdk.Answer) -> Ref | None:
    token = answer.text("nextPageToken")
    return None if token is None else wire.ref(token)


def _user(id_: str) -> str:
    return f"{_USERS}/{quote(id_, safe='')}"


def _group_path(id_: str) -> str:
    return f"{_GROUPS}/{quote(id_, safe='')}"
