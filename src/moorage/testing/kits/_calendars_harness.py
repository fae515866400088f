"""A test environment for a calendar vendor: the vendor, its sandbox and a hub."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import attrs

from moorage.contracts.calendars import (
    Attendee,
    CalendarsCapability,
    EventChanges,
    NewEvent,
)
from moorage.contracts.ref import Ref
from moorage.testing.kits._recorded_harness import RecordedHarness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.contracts.calendars import CalendarEvent
    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.calendars.base import CalendarsSandbox

ACCOUNT: Final = "calendars"
BERLIN: Final = ZoneInfo("Europe/Berlin")
START: Final = datetime(2026, 3, 2, 9, 0, tzinfo=BERLIN)
END: Final = START + timedelta(hours=1)
MONTH: Final = {
    "start": datetime(2026, 3, 1, tzinfo=UTC),
    "end": datetime(2026, 4, 1, tzinfo=UTC),
}
TITLE: Final = "Stocktaking with Ada"


@attrs.frozen(kw_only=True)
class CalendarsSubject:
    """A calendar vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox, which shows the events in the calendar.
        refusals: error responses to a creation, each with the error that it must raise.
        pause: a response by which the vendor asks for a pause, and the seconds of the pause.
        rules: recurrence rules that the vendor supports, as they are read back.
        refused_rules: recurrence rules that the vendor does not support.
        secrets: texts that no repr, error, event or log entry may contain, such as a token.
    """

    vendor: Vendor
    sandbox: CalendarsSandbox
    refusals: tuple[tuple[Response, type[ConnectorError]], ...]
    pause: tuple[Response, float]
    rules: tuple[str, ...]
    refused_rules: tuple[str, ...] = ()
    secrets: tuple[str, ...] = attrs.field(repr=False)


class Harness(RecordedHarness[CalendarsSubject]):
    """A calendar vendor under test, with its hub, integration log and observer."""

    contract = "calendars"
    account_name = ACCOUNT
    sandbox: CalendarsSandbox

    @property
    def calendar(self) -> Ref:
        """The reference of the calendar that exists at the start."""
        return Ref(self.subject.vendor.name, ACCOUNT, self.sandbox.calendar)

    @property
    def unknown_event(self) -> Ref:
        """The reference of an event that does not exist."""
        return self.calendar.with_related(calendar=self.sandbox.calendar)

    async def write(
        self,
        title: str = TITLE,
        *,
        idempotency_key: str | None = None,
        invite: bool = True,
        **fields: Any,
    ) -> CalendarEvent:
        """Create an event with these properties in the calendar."""
        values: dict[str, Any] = {"title": title, "start": START, "end": END}
        event: CalendarEvent = await self(
            "create",
            self.calendar,
            NewEvent(**values | fields),
            invite=invite,
            idempotency_key=idempotency_key,
        )
        return event

    async def get(self, ref: Ref) -> CalendarEvent:
        """Return the current state of an event."""
        event: CalendarEvent = await self("get", ref)
        return event

    def titles(self) -> list[str]:
        """Return the titles of all events in the calendar."""
        return [event.title for event in self.sandbox.events()]

    def hidden(self) -> tuple[str, ...]:
        """Return texts that must stay hidden: secrets, the title and an attendee."""
        return (*self.subject.secrets, TITLE, "grace@example.com")


def calls_by_capability(
    harness: Harness,
) -> Mapping[CalendarsCapability, Callable[[], Awaitable[Any]]]:
    """Return, for each capability, a call that requires it."""
    changes = EventChanges(title="Pickup")
    attendees = [Attendee("grace@example.com")]
    return {
        CalendarsCapability.RECURRENCE: lambda: harness.write(recurrence="FREQ=DAILY;COUNT=2"),
        CalendarsCapability.ONLINE_MEETING: lambda: harness.write(online_meeting=True),
        CalendarsCapability.VERSION: lambda: harness(
            "update", harness.unknown_event, changes, version="1"
        ),
        CalendarsCapability.CHANGES: lambda: harness("changes", harness.calendar, **MONTH),
        CalendarsCapability.FREE_BUSY: lambda: harness("free_busy", ["grace@example.com"], **MONTH),
        CalendarsCapability.WITHOUT_INVITATIONS: lambda: harness.write(
            invite=False, attendees=attendees
        ),
    }
