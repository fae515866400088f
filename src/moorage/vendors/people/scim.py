"""SCIM 2.0: accounts and groups at any server with this protocol (RFC 7643, RFC 7644).

SCIM has no idempotency keys. User names are unique, so a lost creation is looked up by its user
name and your own id. Before a change, moorage reads the server's configuration: if the server
cannot change parts of an account, the whole account is read, changed and replaced; versions are
compared if the server supports that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.people import (
    GroupPage,
    MemberPage,
    PeopleCapability,
    PeopleQuery,
    PersonPage,
)
from moorage.vendors.people import _scim_answers as answers
from moorage.vendors.people._common import (
    created_account,
    id_in_directory,
    is_missing,
    is_same_person,
    values_of,
)
from moorage.vendors.people._scim_content import (
    LISTS,
    filter_of,
    operations_of,
    patch_body,
    quoted,
    resource,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.people import NewPerson, Person, PersonChanges
    from moorage.vendor_sdk import Ref, Secret, Wire

_TYPE: Final = "application/scim+json"
_CONTENT: Final = {"Content-Type": _TYPE}
_PAGE: Final = 100
_NO_TARGET: Final = "noTarget"
_EMPTY: Final[Mapping[str, Any]] = {}


@attrs.frozen(kw_only=True)
class Scim(sdk.ApiVendor):
    """A SCIM server.

    Attributes:
        credentials: bearer token; by default the credential provider supplies `Credentials`.
        base_url: URL of the server, up to the part before /Users.
    """

    name = "scim"
    kinds = ("people",)
    api_version = "2.0"
    capabilities = frozenset(PeopleCapability)

    refusals = staticmethod(answers.classify)
    headers: ClassVar[Mapping[str, str]] = {"Accept": _TYPE}
    ping_path = "/Users"
    ping_query: ClassVar[Mapping[str, Any]] = {"startIndex": "1", "count": "1"}

    base_url: str

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage:
        """List people; moorage applies the filter again if the server ignores it."""
        start = _start(after)
        pairs = {"filter": filter_of(query), "startIndex": str(start), "count": str(_PAGE)}
        response = await wire.send(sdk.Request.get("/Users", query=_without_none(pairs)))
        resources, next_index = answers.next_start(response, start)
        people = (answers.person_of(wire.ref, item, response, listed=True) for item in resources)
        return PersonPage(
            items=tuple(person for person in people if _matches(person, query)),
            next=None if next_index is None else wire.ref(str(next_index)),
        )

    async def get(self, wire: Wire, ref: Ref, /) -> Person:
        """Get an account."""
        return answers.read_person(wire.ref, await wire.send(sdk.Request.get(_user(ref))))

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person:
        """Create an account; if the response is lost, look the account up."""
        values = values_of(person)
        self._check_manager(wire, values)
        body = resource(values, _EMPTY)
        if password is not None:
            body["password"] = password.reveal()
        body = sdk.merged(body, sdk.extra_for(self.name, person.extra))
        request = sdk.Request.post("/Users", json=body, headers=_CONTENT)
        creating = wire.send(request, key=key, parse=partial(answers.read_person, wire.ref))

        async def look_up() -> Person | None:
            page = await self.find(wire, PeopleQuery(user_name=person.user_name), None)
            return next(
                (account for account in page.items if is_same_person(account, person)), None
            )

        return await created_account(creating, look_up, person)

    async def change(
        self, wire: Wire, ref: Ref, changes: PersonChanges, /, *, version: str | None
    ) -> None:
        """Change the named fields of an account."""
        self._check_manager(wire, changes.values)
        await self._change(wire, ref, changes.values, version)

    async def deactivate(self, wire: Wire, ref: Ref, /) -> None:
        """Make an account inactive."""
        await self._change(wire, ref, {"active": False})

    async def reactivate(self, wire: Wire, ref: Ref, /) -> None:
        """Make an account active again."""
        await self._change(wire, ref, {"active": True})

    async def delete(self, wire: Wire, ref: Ref, /) -> None:
        """Delete an account."""
        try:
            await wire.send(sdk.Request.delete(_user(ref)), parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if not is_missing(refusal):
                raise

    async def groups(self, wire: Wire, after: Ref | None, /) -> GroupPage:
        """List groups without their members."""
        start = _start(after)
        pairs = {
            "startIndex": str(start),
            "count": str(_PAGE),
            "excludedAttributes": "members",
        }
        response = await wire.send(sdk.Request.get("/Groups", query=pairs))
        resources, next_index = answers.next_start(response, start)
        return GroupPage(
            items=tuple(answers.group_of(wire.ref, item, response) for item in resources),
            next=None if next_index is None else wire.ref(str(next_index)),
        )

    async def members(self, wire: Wire, ref: Ref, /, *, after: Ref | None) -> MemberPage:
        """List a group's members, which SCIM returns on a single page."""
        if after is not None:
            raise sdk.InvalidData(
                "SCIM returns all members of a group on the first page, so there is no next page.",
                field="after",
                remedy="Leave it out.",
            )
        response = await wire.send(sdk.Request.get(_group_path(ref)))
        return MemberPage(items=answers.read_members(wire.ref, response))

    async def add_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Add a member; adding an existing member again has no effect."""
        members = [{"value": member.id}]
        await _patch_group(wire, ref, {"op": "add", "path": "members", "value": members})

    async def remove_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Remove a member."""
        path = f"members[value eq {quoted(member.id)}]"
        try:
            await _patch_group(wire, ref, {"op": "remove", "path": path})
        except sdk.InvalidRequest as refusal:
            if refusal.vendor_code != _NO_TARGET:
                raise

    async def _change(
        self, wire: Wire, ref: Ref, values: Mapping[str, Any], version: str | None = None
    ) -> None:
        support = answers.read_support(await wire.send(sdk.Request.get("/ServiceProviderConfig")))
        if version is not None and not support.versions:
            raise sdk.UnsupportedByVendor(
                "This SCIM server does not compare versions, so the change could overwrite"
                " another change.",
                remedy="Leave the version out, or use a server that compares versions.",
            )
        current: Mapping[str, Any] = _EMPTY
        if not support.patch or LISTS & values.keys():
            response = await wire.send(sdk.Request.get(_user(ref)))
            answer = sdk.read_answer(response)
            sdk.required(answer.text("id"), response, "id")
            current = answer.raw
            if support.versions:
                version = version or answers.version_of(answer, response)
        headers = _CONTENT if version is None else {**_CONTENT, "If-Match": version}
        if support.patch:
            body = patch_body(operations_of(values, current))
            request = sdk.Request.patch(_user(ref), json=body, headers=headers)
        else:
            body = resource(values, current)
            request = sdk.Request.put(_user(ref), json=body, headers=headers)
        # After a change, a repeat of it would find another version.
        await wire.send(request.evolve(idempotent=version is None), parse=sdk.check_done)

    def _check_manager(self, wire: Wire, values: Mapping[str, Any]) -> None:
        if (manager := values.get("manager")) is not None:
            id_in_directory(wire, self.name, manager, "manager")


async def _patch_group(wire: Wire, ref: Ref, operation: Mapping[str, Any]) -> None:
    request = sdk.Request.patch(_group_path(ref), json=patch_body([operation]), headers=_CONTENT)
    await wire.send(request.evolve(idempotent=True), parse=sdk.check_done)


def _user(ref: Ref) -> str:
    return f"/Users/{quote(ref.id, safe='')}"


def _group_path(ref: Ref) -> str:
    return f"/Groups/{quote(ref.id, safe='')}"


def _start(after: Ref | None) -> int:
    if after is None:
        return 1
    if after.id.isascii() and after.id.isdigit() and len(after.id) < 10:
        return int(after.id)
    raise sdk.InvalidData(
        "`after` is not the `next` of a page.",
        field="after",
        remedy="Pass the `next` of the previous page.",
    )


def _without_none(pairs: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in pairs.items() if value is not None}


def _matches(person: Person, query: PeopleQuery) -> bool:
    name, email = query.user_name, query.email
    addresses = {address.casefold() for address in person.emails}
    return (
        (name is None or name.casefold() == person.user_name.casefold())
        and (email is None or email.casefold() in addresses)
        and query.external_id in (None, person.external_id)
    )
