"""The operations on calendars for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.calendars import CalendarsContract
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.contracts.calendars.events import (
        Availability,
        CalendarEvent,
        CalendarPage,
        ChangePage,
        EventChanges,
        NewEvent,
    )
    from moorage.contracts.ref import Ref
    from moorage.services.contracts.live_configuration import FindDispatcher


class CalendarsFlows(Flows, CalendarsContract):
    """The operations of one tenant."""


class Calendars(Uncopyable):
    """Writes events into the calendars that the configuration chooses, and reads them."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(CalendarsFlows, find_dispatcher, tenant)

    def calendars(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> CalendarPage:
        """Get a page of the calendars that an account can see.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(CalendarsFlows.calendars, after=after, account=account, timeout=timeout)
        )

    def create(
        self,
        ref: Ref | str,
        event: NewEvent,
        *,
        invite: bool = True,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CalendarEvent:
        """Write an event into a calendar, and invite its attendees.

        Args:
            ref: reference of the calendar.
            event: event to write.
            invite: False to send no invitations, where the vendor can do that.
            idempotency_key: identifies this event: a repeat returns the same event.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                CalendarsFlows.create,
                ref,
                event,
                invite=invite,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def get(self, ref: Ref | str, *, timeout: float | None = None) -> CalendarEvent:
        """Get the current state of an event.

        Args:
            ref: reference of the event.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the calendar has no such event.
        """
        return run_now(self._flows.run(CalendarsFlows.get, ref, timeout=timeout))

    def update(
        self,
        ref: Ref | str,
        changes: EventChanges,
        *,
        version: str | None = None,
        invite: bool = True,
        timeout: float | None = None,
    ) -> CalendarEvent:
        """Change the named fields of an event; all others stay as they are.

        Args:
            ref: reference of the event; the reference of a series changes all its occurrences.
            changes: new values, and fields to empty.
            version: the `version` of the event that you read; if the event has another version
                by now, nothing is changed.
            invite: False to notify no attendee, if the vendor supports that.
            timeout: seconds for the whole operation.

        Raises:
            ChangedMeanwhile: the event has another version.
        """
        return run_now(
            self._flows.run(
                CalendarsFlows.update, ref, changes, version=version, invite=invite, timeout=timeout
            )
        )

    def cancel(self, ref: Ref | str, *, invite: bool = True, timeout: float | None = None) -> None:
        """Cancel an event and delete it; an event that does not exist counts as cancelled.

        Args:
            ref: reference of the event; the reference of a series cancels all its occurrences.
            invite: False to notify no attendee, if the vendor supports that.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(CalendarsFlows.cancel, ref, invite=invite, timeout=timeout))

    def changes(
        self,
        ref: Ref | str,
        *,
        start: datetime,
        end: datetime,
        after: Ref | str | None = None,
        timeout: float | None = None,
    ) -> ChangePage:
        """Get a page of the events in a period, or of the changes since an earlier call.

        Events of a series are listed as single occurrences.

        Args:
            ref: reference of the calendar.
            start: beginning of the period; pass the same value with each `after`.
            end: end of the period.
            after: the `next` of the previous page, or the `later` of an earlier call; by
                default all events are listed.
            timeout: seconds for the whole operation.

        Raises:
            ChangesExpired: the vendor no longer knows the earlier call; read without `after`.
        """
        return run_now(
            self._flows.run(
                CalendarsFlows.changes, ref, start=start, end=end, after=after, timeout=timeout
            )
        )

    def free_busy(
        self,
        emails: Sequence[str],
        *,
        start: datetime,
        end: datetime,
        account: str | None = None,
        timeout: float | None = None,
    ) -> tuple[Availability, ...]:
        """Get the busy times of people and rooms, in the order of their addresses.

        Args:
            emails: email addresses.
            start: beginning of the period.
            end: end of the period.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                CalendarsFlows.free_busy,
                emails,
                start=start,
                end=end,
                account=account,
                timeout=timeout,
            )
        )


class AsyncCalendars(Uncopyable):
    """The asynchronous version of `Calendars`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(CalendarsFlows, find_dispatcher, tenant)

    async def calendars(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> CalendarPage:
        """Get a page of the calendars that an account can see.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            CalendarsFlows.calendars, after=after, account=account, timeout=timeout
        )

    async def create(
        self,
        ref: Ref | str,
        event: NewEvent,
        *,
        invite: bool = True,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CalendarEvent:
        """Write an event into a calendar, and invite its attendees.

        Args:
            ref: reference of the calendar.
            event: event to write.
            invite: False to send no invitations, where the vendor can do that.
            idempotency_key: identifies this event: a repeat returns the same event.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            CalendarsFlows.create,
            ref,
            event,
            invite=invite,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> CalendarEvent:
        """Get the current state of an event.

        Args:
            ref: reference of the event.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the calendar has no such event.
        """
        return await self._flows.run(CalendarsFlows.get, ref, timeout=timeout)

    async def update(
        self,
        ref: Ref | str,
        changes: EventChanges,
        *,
        version: str | None = None,
        invite: bool = True,
        timeout: float | None = None,
    ) -> CalendarEvent:
        """Change the named fields of an event; all others stay as they are.

        Args:
            ref: reference of the event; the reference of a series changes all its occurrences.
            changes: new values, and fields to empty.
            version: the `version` of the event that you read; if the event has another version
                by now, nothing is changed.
            invite: False to notify no attendee, if the vendor supports that.
            timeout: seconds for the whole operation.

        Raises:
            ChangedMeanwhile: the event has another version.
        """
        return await self._flows.run(
            CalendarsFlows.update, ref, changes, version=version, invite=invite, timeout=timeout
        )

    async def cancel(
        self, ref: Ref | str, *, invite: bool = True, timeout: float | None = None
    ) -> None:
        """Cancel an event and delete it; an event that does not exist counts as cancelled.

        Args:
            ref: reference of the event; the reference of a series cancels all its occurrences.
            invite: False to notify no attendee, if the vendor supports that.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(CalendarsFlows.cancel, ref, invite=invite, timeout=timeout)

    async def changes(
        self,
        ref: Ref | str,
        *,
        start: datetime,
        end: datetime,
        after: Ref | str | None = None,
        timeout: float | None = None,
    ) -> ChangePage:
        """Get a page of the events in a period, or of the changes since an earlier call.

        Events of a series are listed as single occurrences.

        Args:
            ref: reference of the calendar.
            start: beginning of the period; pass the same value with each `after`.
            end: end of the period.
            after: the `next` of the previous page, or the `later` of an earlier call; by
                default all events are listed.
            timeout: seconds for the whole operation.

        Raises:
            ChangesExpired: the vendor no longer knows the earlier call; read without `after`.
        """
        return await self._flows.run(
            CalendarsFlows.changes, ref, start=start, end=end, after=after, timeout=timeout
        )

    async def free_busy(
        self,
        emails: Sequence[str],
        *,
        start: datetime,
        end: datetime,
        account: str | None = None,
        timeout: float | None = None,
    ) -> tuple[Availability, ...]:
        """Get the busy times of people and rooms, in the order of their addresses.

        Args:
            emails: email addresses.
            start: beginning of the period.
            end: end of the period.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            CalendarsFlows.free_busy, emails, start=start, end=end, account=account, timeout=timeout
        )
