"""The contract of accounts of people in directories."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts import people
from moorage.contracts.declaration import Contract, Requirements, Target, changes, reads
from moorage.contracts.people import (
    NewPerson,
    PeopleCapability,
    PeopleQuery,
    PersonChanges,
    check_fits,
)
from moorage.contracts.ref import Ref
from moorage.contracts.validators import check_kind, check_maybe
from moorage.domain.secrets.secret import Secret
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.people import GroupPage, MemberPage, Person, PersonPage

_NO_REQUIREMENTS: Final[Requirements[Any]] = Requirements()


class PeopleContract(Contract):
    """Keeps accounts of people in the directory that the configuration chooses, and reads them."""

    kind = "people"
    capabilities = PeopleCapability
    values = (people,)

    @reads(target=Target.PAGE)
    def find(
        self,
        query: PeopleQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[PersonPage]:
        """Get a page of the people in a directory, active or not.

        Args:
            query: filter of the list; by default everybody.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        query = PeopleQuery() if query is None else query
        check_kind(query, PeopleQuery, "query")
        check_maybe(account, str, "account")
        return Requirements(arguments={"query": query, "after": _start_ref(after)})

    @reads(target=Target.REFERENCE)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[Person]:
        """Get the current state of a person's account.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the directory has no such account.
        """
        return _NO_REQUIREMENTS

    @changes(deferrable=False)
    def create(
        self,
        person: NewPerson,
        *,
        password: Secret | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Person]:
        """Create the account of a person.

        Args:
            person: person who gets the account.
            password: first password, which the person must replace where the vendor can demand it.
                Google Workspace and Microsoft Entra require a password.
            idempotency_key: identifies this account: a repeat returns the same account.
            timeout: seconds for the whole operation.

        Raises:
            AlreadyExists: the directory has another account with this user name or address.
        """
        check_kind(person, NewPerson, "person")
        return Requirements(
            needs=person.needs,
            arguments={"password": _as_password(password)},
            check_limits=partial(check_fits, person),
        )

    @changes(target=Target.REFERENCE)
    def change(
        self,
        ref: Ref | str,
        changes: PersonChanges,
        *,
        version: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[None]:
        """Change the named fields of an account; all others stay as they are.

        Args:
            ref: reference of the account.
            changes: new values, and fields to empty.
            version: the `version` of the account that you read; if the account has another
                version by now, nothing is changed.
            timeout: seconds for the whole operation.

        Raises:
            AlreadyExists: another account has the new user name or address.
            ChangedMeanwhile: the account has another version.
        """
        check_kind(changes, PersonChanges, "changes")
        check_maybe(version, str, "version")
        needs = () if version is None else (PeopleCapability.VERSION,)
        return Requirements(
            needs=changes.needs.union(needs), check_limits=partial(check_fits, changes)
        )

    @changes(target=Target.REFERENCE)
    def deactivate(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[None]:
        """Prevent a person from signing in; the account and its data stay.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return _NO_REQUIREMENTS

    @changes(target=Target.REFERENCE)
    def reactivate(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[None]:
        """Allow a person to sign in again.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return _NO_REQUIREMENTS

    @changes(target=Target.REFERENCE)
    def delete(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[None]:
        """Delete an account with its data; an account that does not exist counts as deleted.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return _NO_REQUIREMENTS

    @reads(target=Target.PAGE, needs=PeopleCapability.GROUPS)
    def groups(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[GroupPage]:
        """Get a page of the groups of a directory.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_maybe(account, str, "account")
        return Requirements(arguments={"after": _start_ref(after)})

    @reads(target=Target.REFERENCE, needs=PeopleCapability.GROUPS)
    def members(
        self,
        ref: Ref | str,
        *,
        after: Ref | str | None = None,
        timeout: float | None = None,
    ) -> Requirements[MemberPage]:
        """Get a page of the direct members of a group.

        Args:
            ref: reference of the group.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.
        """
        return Requirements(arguments={"after": _start_ref(after)})

    @changes(target=Target.REFERENCE, needs=PeopleCapability.GROUPS)
    def add_member(
        self, ref: Ref | str, member: Ref | str, *, timeout: float | None = None
    ) -> Requirements[None]:
        """Add a person to a group; a person who is already a member stays a member.

        Args:
            ref: reference of the group.
            member: reference of the person's account, in the same directory.
            timeout: seconds for the whole operation.
        """
        return _membership(ref, member)

    @changes(target=Target.REFERENCE, needs=PeopleCapability.GROUPS)
    def remove_member(
        self, ref: Ref | str, member: Ref | str, *, timeout: float | None = None
    ) -> Requirements[None]:
        """Remove a person from a group; a person who is not a member counts as removed.

        Args:
            ref: reference of the group.
            member: reference of the person's account, in the same directory.
            timeout: seconds for the whole operation.
        """
        return _membership(ref, member)


def _start_ref(after: Ref | str | None) -> Ref | None:
    return None if after is None else Ref.parse(after, "after")


def _as_password(password: Secret | str | None) -> Secret | None:
    if password is None or isinstance(password, Secret):
        return password
    check_maybe(password, str, "password")
    if password:
        return Secret(password)
    raise InvalidData(
        "The password is empty.",
        field="password",
        remedy="Give a password, or leave the field out if the directory needs none.",
    )


def _membership(ref: Ref | str, member: Ref | str) -> Requirements[None]:
    group, person = Ref.parse(ref), Ref.parse(member, "member")
    if (group.vendor, group.account) != (person.vendor, person.account):
        raise InvalidData(
            "The group and the person are in different directories.",
            field="member",
            remedy="Give the reference of the person's account in the directory of the group.",
        )
    return Requirements(arguments={"member": person})
