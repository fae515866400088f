"""Microsoft Entra: users and groups of a tenant by Microsoft Graph.

Version 1.0, with the client credentials of an application. Graph has no idempotency keys for users;
the user principal name is unique, so a lost creation is looked up by it and by your own id. The
manager is a separate link, which is set after the other fields.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.people import GroupPage, MemberPage, PeopleCapability, PersonPage
from moorage.vendors.people import _entra_users as users
from moorage.vendors.people._common import (
    created_account,
    id_in_directory,
    is_missing,
    required_password,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.people import NewPerson, PeopleQuery, Person, PersonChanges
    from moorage.vendor_sdk import Answer, Ref, Response, Secret, Wire

_USERS: Final = "/v1.0/users"
_GROUPS: Final = "/v1.0/groups"
_PAGE: Final = "100"
_VIEW: Final = {"$select": users.SELECT, "$expand": users.EXPAND}


@attrs.frozen(kw_only=True)
class Entra(sdk.OAuthVendor):
    """An application in a Microsoft Entra tenant.

    Attributes:
        directory: id or domain of the tenant.
        client_id: client id of the application.
        client_secret: client secret of the application; without both, the credential provider
            supplies a token.
        login_url: URL of Microsoft's authorisation server.
        base_url: URL of Microsoft Graph.
    """

    name = "entra"
    kinds = ("people",)
    api_version = "v1.0"
    capabilities = frozenset({PeopleCapability.GROUPS, PeopleCapability.MANAGER})
    limits: ClassVar[Mapping[str, int]] = {"external_id": 16}

    oauth_options = ("directory", "client_id", "client_secret")
    refusals = staticmethod(users.classify)

    directory: str | None = None
    login_url: str = "https://login.microsoftonline.com"
    base_url: str = "https://graph.microsoft.com"

    def oauth_settings(self) -> Mapping[str, Any]:
        """The token endpoint of the tenant."""
        tenant = quote(str(self.directory), safe="")
        return {
            "server": f"{self.login_url.rstrip('/')}/{tenant}/oauth2/v2.0/token",
            "authentication": sdk.ClientAuthentication.POST,
            "scope": f"{self.base_url.rstrip('/')}/.default",
        }

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage:
        """List users."""
        pairs = {**_VIEW, "$top": _PAGE}
        condition = users.filter_of(query)
        if condition is not None:
            pairs["$filter"] = condition
        answer, response = await self._page(wire, _USERS, pairs, after)
        entries = sdk.required_objects(answer, "value", response)
        items = (users.user_of(wire.ref, item, response) for item in entries)
        return PersonPage(items=tuple(items), next=self._next(wire, answer, response))

    async def get(self, wire: Wire, ref: Ref, /) -> Person:
        """Get a user."""
        return await self._user(wire, ref.id)

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person:
        """Create a user and set the manager; if the response is lost, look the user up."""
        first_password = required_password(password, "Microsoft Entra")
        manager = person.manager
        if manager is not None:
            id_in_directory(wire, self.name, manager, "manager")
        names = " ".join(filter(None, (person.given_name, person.family_name)))
        body = {
            "displayName": names or person.user_name,
            "mailNickname": users.nickname(person.user_name),
            **users.user_body(values_of(person)),
            "passwordProfile": {"password": first_password, "forceChangePasswordNextSignIn": True},
        }
        body = sdk.merged(body, sdk.extra_for(self.name, person.extra))
        request = sdk.Request.post(_USERS, json=body)
        read = partial(users.read_created, body, wire.ref)
        creating = wire.send(request, key=key, parse=read)
        account = await created_account(
            creating, lambda: self._user(wire, person.user_name), person
        )
        if manager is None:
            return account
        await self._set_manager(wire, account.ref, manager)
        return attrs.evolve(account, manager=manager)

    async def change(
        self,
        wire: Wire,
        ref: Ref,
        changes: PersonChanges,
        /,
        *,
        version: str | None,  # noqa: ARG002 - no capability of Microsoft's allows one
    ) -> None:
        """Change the named fields of a user, and then the manager."""
        values = changes.values
        manager = values.get("manager")
        if manager is not None:
            id_in_directory(wire, self.name, manager, "manager")
        body = users.user_body(values)
        if body:
            await _update(wire, ref, body)
        if "manager" in values:
            await self._set_manager(wire, ref, manager)

    async def deactivate(self, wire: Wire, ref: Ref, /) -> None:
        """Disable a user."""
        await _update(wire, ref, {"accountEnabled": False})

    async def reactivate(self, wire: Wire, ref: Ref, /) -> None:
        """Enable a user."""
        await _update(wire, ref, {"accountEnabled": True})

    async def delete(self, wire: Wire, ref: Ref, /) -> None:
        """Delete a user."""
        try:
            await wire.send(sdk.Request.delete(_path(_USERS, ref.id)), parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if not is_missing(refusal):
                raise

    async def groups(self, wire: Wire, after: Ref | None, /) -> GroupPage:
        """List groups."""
        pairs = {"$select": "id,displayName,mail", "$top": _PAGE}
        answer, response = await self._page(wire, _GROUPS, pairs, after)
        entries = sdk.required_objects(answer, "value", response)
        items = (users.group_of(wire.ref, item, response) for item in entries)
        return GroupPage(items=tuple(items), next=self._next(wire, answer, response))

    async def members(self, wire: Wire, ref: Ref, /, *, after: Ref | None) -> MemberPage:
        """List the direct members of a group."""
        path = f"{_path(_GROUPS, ref.id)}/members"
        answer, response = await self._page(wire, path, {"$select": "id", "$top": _PAGE}, after)
        entries = sdk.required_objects(answer, "value", response)
        items = (users.member_of(wire.ref, item, response) for item in entries)
        return MemberPage(items=tuple(items), next=self._next(wire, answer, response))

    async def add_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Add a member; if the person is a member already, the vendor's error is ignored."""
        link = {"@odata.id": self._link(f"/v1.0/directoryObjects/{quote(member.id, safe='')}")}
        request = sdk.Request.post(f"{_path(_GROUPS, ref.id)}/members/$ref", json=link)
        try:
            await wire.send(request.evolve(idempotent=True), parse=sdk.check_done)
        except sdk.InvalidRequest as refusal:
            if not await _is_member(wire, ref, member):
                raise refusal from None

    async def remove_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Remove a member; if there is no such member, check that the group exists."""
        link = f"{_path(_GROUPS, ref.id)}/members/{quote(member.id, safe='')}"
        # Without this ending, Graph would delete the person's account.
        try:
            await wire.send(sdk.Request.delete(f"{link}/$ref"), parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if not is_missing(refusal):
                raise
            pairs = {"$select": "id"}
            await wire.send(sdk.Request.get(_path(_GROUPS, ref.id), query=pairs))

    async def _user(self, wire: Wire, id_: str) -> Person:
        response = await wire.send(sdk.Request.get(_path(_USERS, id_), query=_VIEW))
        return users.read_user(wire.ref, response)

    async def _set_manager(self, wire: Wire, ref: Ref, manager: Ref | None) -> None:
        path = f"{_path(_USERS, ref.id)}/manager/$ref"
        if manager is not None:
            link = {"@odata.id": self._link(_path(_USERS, manager.id))}
            await wire.send(sdk.Request.put(path, json=link), parse=sdk.check_done)
            return
        try:
            await wire.send(sdk.Request.delete(path), parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if not is_missing(refusal):
                raise
            await self._user(wire, ref.id)

    async def _page(
        self, wire: Wire, path: str, pairs: Mapping[str, str], after: Ref | None
    ) -> tuple[Answer, Response]:
        request = (
            sdk.Request.get(path, query=pairs)
            if after is None
            else sdk.Request.get(users.page_path(after, path))
        )
        response = await wire.send(request)
        return sdk.read_answer(response), response

    def _next(self, wire: Wire, answer: Answer, response: Response) -> Ref | None:
        return users.next_of(wire.ref, answer, self.base_url, response)

    def _link(self, path: str) -> str:
        return sdk.join_url(self.base_url, sdk.Request.get(path))


async def _is_member(wire: Wire, group: Ref, person: Ref) -> bool:
    path = f"{_path(_USERS, person.id)}/memberOf/{quote(group.id, safe='')}"
    try:
        await wire.send(sdk.Request.get(path, query={"$select": "id"}))
    except sdk.VendorRejected:
        return False
    return True


async def _update(wire: Wire, ref: Ref, body: Mapping[str, Any]) -> None:
    request = sdk.Request.patch(_path(_USERS, ref.id), json=body)
    await wire.send(request.evolve(idempotent=True), parse=sdk.check_done)


def _path(collection: str, id_: str) -> str:
    return f"{collection}/{quote(id_, safe='')}"
