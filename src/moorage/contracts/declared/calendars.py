"""The contract of calendars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.calendars import events, recurrence
from moorage.contracts.calendars.events import (
    CalendarsCapability,
    EventChanges,
    NewEvent,
    check_address,
)
from moorage.contracts.declaration import Contract, Requirements, Target, changes, reads
from moorage.contracts.ref import Ref
from moorage.contracts.validators import as_list, check_kind, check_maybe
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.contracts.calendars.events import (
        Availability,
        CalendarEvent,
        CalendarPage,
        ChangePage,
    )

_NO_REQUIREMENTS: Final[Requirements[Any]] = Requirements()
_MAX_PERIOD: Final = timedelta(days=366 * 10)


class CalendarsContract(Contract):
    """Writes events into the calendars that the configuration chooses, and reads them."""

    kind = "calendars"
    capabilities = CalendarsCapability
    values = (events, recurrence)

    @reads(target=Target.PAGE)
    def calendars(
        self,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[CalendarPage]:
        """Get a page of the calendars that an account can see.

        Args:
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_maybe(account, str, "account")
        return Requirements(arguments={"after": _start_ref(after)})

    @changes(target=Target.REFERENCE)
    def create(
        self,
        ref: Ref | str,
        event: NewEvent,
        *,
        invite: bool = True,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[CalendarEvent]:
        """Write an event into a calendar, and invite its attendees.

        Args:
            ref: reference of the calendar.
            event: event to write.
            invite: False to send no invitations, where the vendor can do that.
            idempotency_key: identifies this event: a repeat returns the same event.
            timeout: seconds for the whole operation.
        """
        check_kind(event, NewEvent, "event")
        return Requirements(
            needs=event.needs | _invitations(invite),
            recipients=tuple(attendee.email for attendee in event.attendees),
        )

    @reads(target=Target.REFERENCE)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[CalendarEvent]:
        """Get the current state of an event.

        Args:
            ref: reference of the event.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the calendar has no such event.
        """
        return _NO_REQUIREMENTS

    @changes(target=Target.REFERENCE)
    def update(
        self,
        ref: Ref | str,
        changes: EventChanges,
        *,
        version: str | None = None,
        invite: bool = True,
        timeout: float | None = None,
    ) -> Requirements[CalendarEvent]:
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
        check_kind(changes, EventChanges, "changes")
        check_maybe(version, str, "version")
        versioned = () if version is None else (CalendarsCapability.VERSION,)
        return Requirements(
            needs=changes.needs.union(versioned, _invitations(invite)),
            recipients=tuple(attendee.email for attendee in changes.attendees or ()),
        )

    @changes(target=Target.REFERENCE)
    def cancel(
        self, ref: Ref | str, *, invite: bool = True, timeout: float | None = None
    ) -> Requirements[None]:
        """Cancel an event and delete it; an event that does not exist counts as cancelled.

        Args:
            ref: reference of the event; the reference of a series cancels all its occurrences.
            invite: False to notify no attendee, if the vendor supports that.
            timeout: seconds for the whole operation.
        """
        return Requirements(needs=_invitations(invite))

    @reads(target=Target.REFERENCE, needs=CalendarsCapability.CHANGES)
    def changes(
        self,
        ref: Ref | str,
        *,
        start: datetime,
        end: datetime,
        after: Ref | str | None = None,
        timeout: float | None = None,
    ) -> Requirements[ChangePage]:
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
        arguments = {**_times(start, end), "after": _start_ref(after)}
        return Requirements(arguments=arguments)

    @reads(target=Target.ACCOUNT, needs=CalendarsCapability.FREE_BUSY)
    def free_busy(
        self,
        emails: Sequence[str],
        *,
        start: datetime,
        end: datetime,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[tuple[Availability, ...]]:
        """Get the busy times of people and rooms, in the order of their addresses.

        Args:
            emails: email addresses.
            start: beginning of the period.
            end: end of the period.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_maybe(account, str, "account")
        addresses = tuple(as_list(emails, "emails"))
        for number, address in enumerate(addresses):
            check_address(address, f"emails[{number}]")
        return Requirements(
            arguments={"emails": addresses, **_times(start, end)},
            check_limits=lambda limits: _check_count(addresses, limits),
        )


def _start_ref(after: Ref | str | None) -> Ref | None:
    return None if after is None else Ref.parse(after, "after")


def _invitations(invite: object) -> frozenset[CalendarsCapability]:
    check_kind(invite, bool, "invite")
    return frozenset(() if invite else {CalendarsCapability.WITHOUT_INVITATIONS})


def _times(start: object, end: object) -> Mapping[str, datetime]:
    moments = {"start": _moment(start, "start"), "end": _moment(end, "end")}
    duration = moments["end"] - moments["start"]
    if not timedelta(0) < duration <= _MAX_PERIOD:
        raise InvalidData(
            "The end must be after the start, by ten years at most.",
            field="end",
            remedy="Give an end after the start, at most ten years later.",
        )
    return moments


def _moment(value: object, field: str) -> datetime:
    check_kind(value, datetime, field)
    moment: datetime = value  # type: ignore[assignment]  # checked above
    try:
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except OverflowError:
        pass
    raise InvalidData(
        f"The {field} must be a datetime with a time zone.",
        field=field,
        remedy="Give an aware datetime, such as datetime.now(UTC).",
    )


def _check_count(addresses: tuple[str, ...], limits: Mapping[str, int]) -> None:
    maximum = limits.get("addresses", len(addresses))
    if not 0 < len(addresses) <= maximum:
        raise InvalidData(
            f"{len(addresses)} addresses are given, but the vendor accepts 1 to {maximum}.",
            field="emails",
            remedy="Give at least one address, and split a longer list into several calls.",
        )
