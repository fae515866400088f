"""The conformance kit for calendar vendors finds faulty vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.calendars import ChangePage, NewEvent
from moorage.errors import ConnectorError
from moorage.testing import calendars_conformance as kit
from moorage.vendors.calendars.google_calendar import GoogleCalendar
from tests.vendors import calendars_subjects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.calendars import Availability, CalendarEvent, EventChanges
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.service.settings import Service


class _KeylessVendor(GoogleCalendar):
    """A faulty vendor that loses the idempotency key."""

    async def create(
        self, wire: Wire, ref: Ref, event: NewEvent, /, *, invite: bool, key: str | None
    ) -> CalendarEvent:
        return await super().create(wire, ref, event, invite=invite, key=None)


class _DropsTimeZoneVendor(GoogleCalendar):
    """A faulty vendor that sends times without their zones."""

    async def create(
        self, wire: Wire, ref: Ref, event: NewEvent, /, *, invite: bool, key: str | None
    ) -> CalendarEvent:
        if isinstance(event.start, datetime) and isinstance(event.end, datetime):
            start, end = (moment.astimezone(UTC) for moment in (event.start, event.end))
            event = attrs.evolve(event, start=start, end=end)
        return await super().create(wire, ref, event, invite=invite, key=key)


class _NeverFoldsLinesVendor(GoogleCalendar):
    """A faulty vendor that always uses the first of two ambiguous local times."""

    async def create(
        self, wire: Wire, ref: Ref, event: NewEvent, /, *, invite: bool, key: str | None
    ) -> CalendarEvent:
        if isinstance(event.start, datetime):
            event = attrs.evolve(event, start=event.start.replace(fold=0))
        return await super().create(wire, ref, event, invite=invite, key=key)


class _AlwaysInvitesVendor(GoogleCalendar):
    """A faulty vendor that always sends invitations."""

    async def create(
        self, wire: Wire, ref: Ref, event: NewEvent, /, *, invite: bool, key: str | None
    ) -> CalendarEvent:
        return await super().create(wire, ref, event, invite=True, key=key)


class _IgnoresVersionsVendor(GoogleCalendar):
    """A faulty vendor that does not compare versions."""

    async def update(
        self, wire: Wire, ref: Ref, changes: EventChanges, /, *, version: str | None, invite: bool
    ) -> CalendarEvent:
        return await super().update(wire, ref, changes, version=None, invite=invite)


class _RestartsChangesVendor(GoogleCalendar):
    """A faulty vendor that starts the list of changes from the beginning each time."""

    async def changes(
        self, wire: Wire, ref: Ref, /, *, start: datetime, end: datetime, after: Ref | None
    ) -> ChangePage:
        return await super().changes(wire, ref, start=start, end=end, after=None)


class _UnknownPersonIsFreeVendor(GoogleCalendar):
    """A faulty vendor that reports an unknown person as free."""

    async def free_busy(
        self, wire: Wire, emails: tuple[str, ...], /, *, start: datetime, end: datetime
    ) -> tuple[Availability, ...]:
        answers = await super().free_busy(wire, emails, start=start, end=end)
        return tuple(attrs.evolve(answer, busy=answer.busy or ()) for answer in answers)


class _CancellingNeverFailsVendor(GoogleCalendar):
    """A faulty vendor whose cancelling never raises an error."""

    async def cancel(self, wire: Wire, ref: Ref, /, *, invite: bool) -> None:
        return


class _OneErrorClassVendor(GoogleCalendar):
    """A faulty vendor that raises the same error for all error responses."""

    def services(self) -> Mapping[str, Service]:
        services = super().services()
        return {name: attrs.evolve(service, classify=None) for name, service in services.items()}


class _UnreadableIsEmptyVendor(GoogleCalendar):
    """A faulty vendor that reads an unreadable response as an empty list."""

    async def changes(
        self, wire: Wire, ref: Ref, /, *, start: datetime, end: datetime, after: Ref | None
    ) -> ChangePage:
        try:
            return await super().changes(wire, ref, start=start, end=end, after=after)
        except ConnectorError:
            return ChangePage(items=(), later=ref)


@pytest.mark.untraced
@pytest.mark.parametrize(
    "faulty, finder",
    [
        (_KeylessVendor, "a_key_writes_once"),
        (_DropsTimeZoneVendor, "an_event_is_written"),
        (_NeverFoldsLinesVendor, "times_are_exact"),
        (_AlwaysInvitesVendor, "invitations_can_be_withheld"),
        (_IgnoresVersionsVendor, "a_version_is_compared"),
        (_RestartsChangesVendor, "changes_are_listed_once"),
        (_UnknownPersonIsFreeVendor, "busy_times_are_listed"),
        (_CancellingNeverFailsVendor, "an_event_is_cancelled"),
        (_OneErrorClassVendor, "a_refusal_has_its_type"),
        (_UnreadableIsEmptyVendor, "malformed_answers_are_errors"),
    ],
)
def test_a_faulty_vendor_is_found(faulty: type[GoogleCalendar], finder: str) -> None:
    """Each faulty vendor fails the check for its fault."""

    def subject() -> kit.CalendarsSubject:
        subject = calendars_subjects.google_calendar()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=faulty(credentials=sandbox.key_file()))

    check = next(check for check in kit.CHECKS if check.__name__ == finder)
    with pytest.raises(AssertionError):
        check(subject)


def test_checks_of_missing_capabilities_pass() -> None:
    """A vendor without optional features passes the checks for these features."""

    class _PlainCalendar(GoogleCalendar):
        capabilities = frozenset()

    def subject() -> kit.CalendarsSubject:
        subject = calendars_subjects.google_calendar()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=_PlainCalendar(credentials=sandbox.key_file()))

    optional = (
        *("a_version_is_compared", "recurrence_is_kept", "invitations_can_be_withheld"),
        *("changes_are_listed_once", "busy_times_are_listed", "an_online_meeting_has_a_url"),
        *("malformed_answers_are_errors", "unsupported_features_are_refused"),
    )
    for check in kit.CHECKS:
        if check.__name__ in optional:
            check(subject)
