"""The operations on people for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.people import PeopleContract
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.people import (
        GroupPage,
        MemberPage,
        NewPerson,
        PeopleQuery,
        Person,
        PersonChanges,
        PersonPage,
    )
    from moorage.contracts.ref import Ref
    from moorage.domain.secrets.secret import Secret
    from moorage.services.contracts.live_configuration import FindDispatcher


class PeopleFlows(Flows, PeopleContract):
    """The operations of one tenant."""


class People(Uncopyable):
    """Keeps accounts of people in the directory that the configuration chooses, and reads them."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(PeopleFlows, find_dispatcher, tenant)

    def find(
        self,
        query: PeopleQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> PersonPage:
        """Get a page of the people in a directory, active or not.

        Args:
            query: filter of the list; by default everybody.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(PeopleFlows.find, query, after=after, account=account, timeout=timeout)
        )

    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Person:
        """Get the current state of a person's account.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the directory has no such account.
        """
        return run_now(self._flows.run(PeopleFlows.get, ref, timeout=timeout))

    def create(
        self,
        person: NewPerson,
        *,
        password: Secret | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Person:
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
        return run_now(
            self._flows.run(
                PeopleFlows.create,
                person,
                password=password,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def change(
        self,
        ref: Ref | str,
        changes: PersonChanges,
        *,
        version: str | None = None,
        timeout: float | None = None,
    ) -> None:
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
        return run_now(
            self._flows.run(PeopleFlows.change, ref, changes, version=version, timeout=timeout)
        )

    def deactivate(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Prevent a person from signing in; the account and its data stay.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(PeopleFlows.deactivate, ref, timeout=timeout))

    def reactivate(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Allow a person to sign in again.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(PeopleFlows.reactivate, ref, timeout=timeout))

    def delete(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Delete an account with its data; an account that does not exist counts as deleted.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(PeopleFlows.delete, ref, timeout=timeout))

    def groups(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> GroupPage:
        """Get a page of the groups of a directory.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(PeopleFlows.groups, after=after, account=account, timeout=timeout)
        )

    def members(
        self, ref: Ref | str, *, after: Ref | str | None = None, timeout: float | None = None
    ) -> MemberPage:
        """Get a page of the direct members of a group.

        Args:
            ref: reference of the group.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(PeopleFlows.members, ref, after=after, timeout=timeout))

    def add_member(
        self, ref: Ref | str, member: Ref | str, *, timeout: float | None = None
    ) -> None:
        """Add a person to a group; a person who is already a member stays a member.

        Args:
            ref: reference of the group.
            member: reference of the person's account, in the same directory.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(PeopleFlows.add_member, ref, member, timeout=timeout))

    def remove_member(
        self, ref: Ref | str, member: Ref | str, *, timeout: float | None = None
    ) -> None:
        """Remove a person from a group; a person who is not a member counts as removed.

        Args:
            ref: reference of the group.
            member: reference of the person's account, in the same directory.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(PeopleFlows.remove_member, ref, member, timeout=timeout))


class AsyncPeople(Uncopyable):
    """The asynchronous version of `People`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(PeopleFlows, find_dispatcher, tenant)

    async def find(
        self,
        query: PeopleQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> PersonPage:
        """Get a page of the people in a directory, active or not.

        Args:
            query: filter of the list; by default everybody.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PeopleFlows.find, query, after=after, account=account, timeout=timeout
        )

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> Person:
        """Get the current state of a person's account.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the directory has no such account.
        """
        return await self._flows.run(PeopleFlows.get, ref, timeout=timeout)

    async def create(
        self,
        person: NewPerson,
        *,
        password: Secret | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Person:
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
        return await self._flows.run(
            PeopleFlows.create,
            person,
            password=password,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def change(
        self,
        ref: Ref | str,
        changes: PersonChanges,
        *,
        version: str | None = None,
        timeout: float | None = None,
    ) -> None:
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
        return await self._flows.run(
            PeopleFlows.change, ref, changes, version=version, timeout=timeout
        )

    async def deactivate(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Prevent a person from signing in; the account and its data stay.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(PeopleFlows.deactivate, ref, timeout=timeout)

    async def reactivate(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Allow a person to sign in again.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(PeopleFlows.reactivate, ref, timeout=timeout)

    async def delete(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Delete an account with its data; an account that does not exist counts as deleted.

        Args:
            ref: reference of the account.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(PeopleFlows.delete, ref, timeout=timeout)

    async def groups(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> GroupPage:
        """Get a page of the groups of a directory.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PeopleFlows.groups, after=after, account=account, timeout=timeout
        )

    async def members(
        self, ref: Ref | str, *, after: Ref | str | None = None, timeout: float | None = None
    ) -> MemberPage:
        """Get a page of the direct members of a group.

        Args:
            ref: reference of the group.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(PeopleFlows.members, ref, after=after, timeout=timeout)

    async def add_member(
        self, ref: Ref | str, member: Ref | str, *, timeout: float | None = None
    ) -> None:
        """Add a person to a group; a person who is already a member stays a member.

        Args:
            ref: reference of the group.
            member: reference of the person's account, in the same directory.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(PeopleFlows.add_member, ref, member, timeout=timeout)

    async def remove_member(
        self, ref: Ref | str, member: Ref | str, *, timeout: float | None = None
    ) -> None:
        """Remove a person from a group; a person who is not a member counts as removed.

        Args:
            ref: reference of the group.
            member: reference of the person's account, in the same directory.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(PeopleFlows.remove_member, ref, member, timeout=timeout)
