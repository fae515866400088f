"""The conformance kit for people directories passes correct vendors, and finds faulty ones."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import vendor_sdk as sdk
from moorage.contracts.people import PeopleQuery, PersonPage
from moorage.errors import (
    AlreadyExists,
    ConnectorError,
    InvalidRequest,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
)
from moorage.testing import name_of
from moorage.testing import people_conformance as kit
from moorage.vendors.people.entra import Entra
from moorage.vendors.people.google_workspace import GoogleWorkspace
from moorage.vendors.people.scim import Scim
from tests.vendors import people_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.people import NewPerson, Person, PersonChanges
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.service.settings import Service


def as_scim(kind: Callable[..., Scim]) -> kit.Factory:
    """Return a function that makes a test subject of SCIM with another vendor class."""

    def new_subject() -> kit.PeopleSubject:
        subject = people_subjects.scim()
        sandbox: Any = subject.sandbox
        vendor = kind(credentials=sandbox.token, base_url=sandbox.base_url)
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


def as_google(kind: Callable[..., GoogleWorkspace]) -> kit.Factory:
    """Return a function that makes a test subject of Google with another vendor class."""

    def new_subject() -> kit.PeopleSubject:
        subject = people_subjects.google_workspace()
        sandbox: Any = subject.sandbox
        vendor = kind(credentials=sandbox.key_file(), administrator=sandbox.administrator)
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


def as_entra(kind: Callable[..., Entra]) -> kit.Factory:
    """Return a function that makes a test subject of Microsoft with another vendor class."""

    def new_subject() -> kit.PeopleSubject:
        subject = people_subjects.entra()
        sandbox: Any = subject.sandbox
        vendor = kind(
            directory=sandbox.directory,
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
        )
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


@attrs.frozen(kw_only=True)
class LesserVendor(Scim):
    """A correct vendor without any optional feature."""

    capabilities = frozenset()


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_without_options_conforms(check: kit.Check) -> None:
    """A vendor without optional features passes every check."""
    check(as_scim(LesserVendor))


@attrs.frozen(kw_only=True)
class CreatesAgainVendor(GoogleWorkspace):
    """A faulty vendor that creates a second account if the first response was lost."""

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person:
        """Create the account, and create another one if the outcome of the first is unknown."""
        try:
            return await super().create(wire, person, password=password, key=key)
        except OutcomeUnknown:
            other = attrs.evolve(person, user_name=f"{wire.new_id()}@example.com")
            return await super().create(wire, other, password=password, key=None)


@attrs.frozen(kw_only=True)
class AcceptsSameNameVendor(Scim):
    """A faulty vendor that mistakes any account with the same user name for the new account."""

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person:
        """Create an account, or return any existing one with the user name."""
        try:
            return await super().create(wire, person, password=password, key=key)
        except OutcomeUnknown:
            query = PeopleQuery(user_name=person.user_name)
            page = await self.find(wire, query, None)
            if not page.items:
                raise
            return page.items[0]


@attrs.frozen(kw_only=True)
class NeverFindsAccountVendor(Scim):
    """A faulty vendor that never looks for an account whose creation response was lost."""

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage:
        """Return no person for a search by user name."""
        page = await super().find(wire, query, after)
        return PersonPage(items=()) if query.user_name else page


@attrs.frozen(kw_only=True)
class LosesPasswordVendor(Scim):
    """A faulty vendor that does not send the password."""

    async def create(
        self,
        wire: Wire,
        person: NewPerson,
        /,
        *,
        password: Secret | None,
        key: str | None,
    ) -> Person:
        """Create the account without the password."""
        return await super().create(wire, person, password=None, key=key)


@attrs.frozen(kw_only=True)
class AlwaysActiveVendor(Scim):
    """A faulty vendor that creates every account active, but reports the requested state."""

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person:
        """Create an active account."""
        active = attrs.evolve(person, active=True)
        created = await super().create(wire, active, password=password, key=key)
        return attrs.evolve(created, active=person.active)


@attrs.frozen(kw_only=True)
class UnkeyedVendor(GoogleWorkspace):
    """A faulty vendor that sends no idempotency key, and hides the conflict of a repeat."""

    async def create(
        self,
        wire: Wire,
        person: NewPerson,
        /,
        *,
        password: Secret | None,
        key: str | None,
    ) -> Person:
        """Create the account without the key."""
        try:
            return await super().create(wire, person, password=password, key=None)
        except sdk.AlreadyExists:
            return await self.get(wire, wire.ref(person.user_name))


@attrs.frozen(kw_only=True)
class ReplacesVendor(Scim):
    """A faulty vendor that replaces a whole account, and so drops unknown fields."""

    async def change(
        self, wire: Wire, ref: Ref, changes: PersonChanges, /, *, version: str | None
    ) -> None:
        """Replace the account with only the known fields."""
        person = await self.get(wire, ref)
        body = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": person.user_name,
            "name": {"givenName": person.given_name, "familyName": person.family_name},
            "emails": [{"value": email} for email in person.emails],
        }
        headers = {"Content-Type": "application/scim+json"}
        await wire.send(sdk.Request.put(f"/Users/{ref.id}", json=body, headers=headers))
        await super().change(wire, ref, changes, version=version)


@attrs.frozen(kw_only=True)
class IgnoresVersionsVendor(Scim):
    """A faulty vendor that changes an account whatever its version."""

    async def change(
        self,
        wire: Wire,
        ref: Ref,
        changes: PersonChanges,
        /,
        *,
        version: str | None,
    ) -> None:
        """Change the account whatever its version."""
        await super().change(wire, ref, changes, version=None)


@attrs.frozen(kw_only=True)
class IgnoresClearVendor(Scim):
    """A faulty vendor that ignores requests to empty a field."""

    async def change(
        self, wire: Wire, ref: Ref, changes: PersonChanges, /, *, version: str | None
    ) -> None:
        """Apply only the changes that set a value."""
        names = [name for name, value in changes.values.items() if value]
        if names:
            await super().change(wire, ref, attrs.evolve(changes, clear=()), version=version)


@attrs.frozen(kw_only=True)
class ForgetsManagerVendor(Entra):
    """A faulty vendor that ignores a change of the manager."""

    async def _set_manager(self, wire: Wire, ref: Ref, manager: Ref | None) -> None:
        pass


@attrs.frozen(kw_only=True)
class OnlyDeactivatesVendor(Scim):
    """A faulty vendor that never reactivates, and raises no error."""

    async def reactivate(self, wire: Wire, ref: Ref, /) -> None:
        """Do nothing."""


@attrs.frozen(kw_only=True)
class DeletesOnceVendor(Scim):
    """A faulty vendor that raises an error if the account is already deleted."""

    async def delete(self, wire: Wire, ref: Ref, /) -> None:
        """Delete the account, and raise the vendor's error even if it is already deleted."""
        await wire.send(sdk.Request.delete(f"/Users/{ref.id}"))


@attrs.frozen(kw_only=True)
class DeletesAlwaysVendor(Scim):
    """A faulty vendor that reports a refused deletion as done."""

    async def delete(self, wire: Wire, ref: Ref, /) -> None:
        """Delete the account, and ignore each refusal."""
        with suppress(VendorRejected):
            await super().delete(wire, ref)


@attrs.frozen(kw_only=True)
class AlwaysEmptyListVendor(Scim):
    """A faulty vendor that reads each list that it cannot parse as an empty one."""

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage:
        """Find people; an unreadable list is empty."""
        try:
            return await super().find(wire, query, after)
        except VendorFailed:
            return PersonPage(items=())


@attrs.frozen(kw_only=True)
class OnePageVendor(Scim):
    """A faulty vendor that returns only the first page of a list."""

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage:
        """Return only the first page of people."""
        return attrs.evolve(await super().find(wire, query, after), next=None)


@attrs.frozen(kw_only=True)
class UnfilteredVendor(Scim):
    """A faulty vendor that ignores the filters of a search."""

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage:
        """Return all people, ignoring the filter."""
        return await super().find(wire, PeopleQuery(user_name=query.user_name), after)


@attrs.frozen(kw_only=True)
class UnescapedVendor(Scim):
    """A faulty vendor that puts unescaped values into filters."""

    async def find(self, wire: Wire, query: PeopleQuery, after: Ref | None, /) -> PersonPage:
        """Find people with an unescaped filter."""
        if query.external_id is None:
            return await super().find(wire, query, after)
        pairs = {"filter": f'externalId eq "{query.external_id}"'}
        await wire.send(sdk.Request.get("/Users", query=pairs))
        return await super().find(wire, query, after)


@attrs.frozen(kw_only=True)
class RefusesExistingMemberVendor(GoogleWorkspace):
    """A faulty vendor that raises an error if the person is already a member."""

    async def add_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Add the member, and raise the vendor's error even if the person is already a member."""
        address = (await self.get(wire, member)).user_name
        path = f"/admin/directory/v1/groups/{ref.id}/members"
        await wire.send(sdk.Request.post(path, json={"email": address}))


@attrs.frozen(kw_only=True)
class MissingGroupIsSuccessVendor(GoogleWorkspace):
    """A faulty vendor that treats a missing group as a group without the member."""

    async def remove_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Remove the member, and ignore a missing group."""
        try:
            await super().remove_member(wire, ref, member)
        except VendorRejected:
            return


@attrs.frozen(kw_only=True)
class DeletesMembersVendor(Entra):
    """A faulty vendor that removes a member by deleting the person's account."""

    async def remove_member(self, wire: Wire, ref: Ref, member: Ref, /) -> None:
        """Delete the person's account instead of removing the person from the group."""
        await super().remove_member(wire, ref, member)
        await self.delete(wire, member)


@attrs.frozen(kw_only=True)
class ShowsPasswordVendor(Scim):
    """A faulty vendor whose results contain the request, with the password."""

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person:
        """Create the account, and return a result that shows the password."""
        created = await super().create(wire, person, password=password, key=key)
        words = "" if password is None else password.reveal()
        return attrs.evolve(created, raw={**created.raw, "password": words})


@attrs.frozen(kw_only=True)
class ClassifiesByStatusVendor(Scim):
    """A faulty vendor that classifies error responses only by status."""

    refusals = None  # type: ignore[assignment]  # every vendor may have none


@attrs.frozen(kw_only=True)
class DropsExtraVendor(Scim):
    """A faulty vendor that drops vendor-specific options."""

    async def create(
        self, wire: Wire, person: NewPerson, /, *, password: Secret | None, key: str | None
    ) -> Person:
        """Create the account without the vendor-specific options."""
        plain_person = attrs.evolve(person, extra={})
        return await super().create(wire, plain_person, password=password, key=key)


@attrs.frozen(kw_only=True)
class RateLimitIsFailureVendor(Scim):
    """A faulty vendor that reports a rate limit as a failure."""

    def services(self) -> Mapping[str, Service]:
        """Return the services, with errors classified by status alone."""

        def classify(request: sdk.Request, response: sdk.Response) -> ConnectorError | None:
            if response.status == 429:
                return sdk.VendorFailed("The server failed.", response=response)
            usual_refusals = Scim.refusals
            return None if usual_refusals is None else usual_refusals(request, response)

        services = super().services()
        return {name: attrs.evolve(item, classify=classify) for name, item in services.items()}


WRONG: list[tuple[str, kit.Factory, str]] = [
    (
        "an_account_of_others_is_not_taken",
        as_google(CreatesAgainVendor),
        "without an id was no error",
    ),
    (
        "an_account_of_others_is_not_taken",
        as_scim(AcceptsSameNameVendor),
        "without an id was no error",
    ),
    ("an_account_is_created", as_scim(LosesPasswordVendor), "password did not arrive"),
    ("an_account_may_be_inactive", as_scim(AlwaysActiveVendor), "account is active"),
    ("a_key_creates_once", as_google(UnkeyedVendor), "for another person was no error"),
    ("a_taken_name_is_refused", as_google(UnkeyedVendor), "name ada was no error"),
    ("only_named_fields_change", as_scim(ReplacesVendor), "after a change"),
    ("an_old_version_is_refused", as_scim(IgnoresVersionsVendor), "old version was no error"),
    ("named_fields_can_be_emptied", as_scim(IgnoresClearVendor), "are not empty"),
    ("a_manager_is_kept", as_entra(ForgetsManagerVendor), "is in no answer"),
    (
        "activity_can_be_repeated",
        as_scim(OnlyDeactivatesVendor),
        "After reactivate active is False",
    ),
    ("everybody_is_listed_once", as_scim(OnePageVendor), "list is not complete"),
    ("filters_find_whom_they_name", as_scim(UnfilteredVendor), "found 2 people"),
    (
        "a_missing_group_is_an_error",
        as_google(MissingGroupIsSuccessVendor),
        "without a group was no error",
    ),
    ("a_member_joins_once", as_entra(DeletesMembersVendor), "deleted an account"),
    (
        "secrets_are_shown_nowhere",
        as_scim(ShowsPasswordVendor),
        r"secret is shown \(number 1\)",
    ),
    ("a_refusal_has_its_type", as_scim(ClassifiesByStatusVendor), "has the code None"),
    ("options_arrive", as_scim(DropsExtraVendor), "option is lost"),
    ("a_pause_is_obeyed", as_scim(RateLimitIsFailureVendor), "raised VendorFailed"),
    ("a_refused_deletion_is_no_deletion", as_scim(DeletesAlwaysVendor), "was no error"),
    (
        "unreadable_answers_are_no_values",
        as_scim(AlwaysEmptyListVendor),
        "as a list was no error",
    ),
]
RAISING: list[tuple[str, kit.Factory, type[ConnectorError]]] = [
    ("a_lost_creation_is_found", as_scim(NeverFindsAccountVendor), OutcomeUnknown),
    ("an_account_is_deleted", as_scim(DeletesOnceVendor), VendorRejected),
    ("filters_find_whom_they_name", as_scim(UnescapedVendor), InvalidRequest),
    ("a_member_joins_once", as_google(RefusesExistingMemberVendor), AlreadyExists),
]
CHECKS = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """A people-directory vendor with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        CHECKS[check](wrong)


@pytest.mark.parametrize("check, wrong, error", RAISING)
def test_check_fails_for_a_needless_error(
    check: str, wrong: kit.Factory, error: type[ConnectorError]
) -> None:
    """A people-directory vendor that raises a needless error fails the check."""
    with pytest.raises(error):
        CHECKS[check](wrong)


def test_async_check_fails_for_a_faulty_vendor() -> None:
    """A faulty vendor fails the asynchronous check too."""
    check = next(check for check in kit.ASYNC_CHECKS if name_of(check) == "an_account_is_deleted")
    with pytest.raises(VendorRejected):
        asyncio.run(check(as_scim(DeletesOnceVendor)))
