"""Example calls to calendar vendors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from moorage.contracts.calendars import (
    Attendee,
    CalendarsCapability,
    EventChanges,
    NewEvent,
)
from moorage.contracts.ref import Ref

if TYPE_CHECKING:
    from moorage.contracts.calendars import (
        CalendarEvent,
        CalendarPage,
        ChangePage,
    )
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

_BERLIN: Final = ZoneInfo("Europe/Berlin")
START: Final = datetime(2026, 3, 2, 9, 0, tzinfo=_BERLIN)
END: Final = START + timedelta(hours=1)
DAY: Final = {
    "start": datetime(2026, 3, 2, tzinfo=UTC),
    "end": datetime(2026, 3, 3, tzinfo=UTC),
}


def _calendar(vendor: ScenarioVendor) -> Ref:
    sandbox: Any = vendor.fixture.sandbox
    return Ref(vendor.name, vendor.name, sandbox.calendar)


async def write_event(
    vendor: ScenarioVendor, *, invite: bool = True, **fields: Any
) -> CalendarEvent:
    """Create an event with these fields in the calendar."""
    event_fields: dict[str, Any] = {"title": "Delivery", "start": START, "end": END, **fields}
    event = NewEvent(**event_fields)
    result: CalendarEvent = await vendor("create", _calendar(vendor), event, invite=invite)
    return result


async def list_calendars(vendor: ScenarioVendor) -> Any:
    """List the calendars."""
    page: CalendarPage = await vendor("calendars")
    return [calendar.ref for calendar in page.items]


async def create_event(vendor: ScenarioVendor) -> Any:
    """Create an event."""
    return (await write_event(vendor)).title == "Delivery"


async def read_event(vendor: ScenarioVendor) -> Any:
    """Read an event."""
    event: CalendarEvent = await vendor("get", (await write_event(vendor)).ref)
    return event.start == START


async def update_event(vendor: ScenarioVendor) -> Any:
    """Change the place of an event."""
    ref = (await write_event(vendor)).ref
    event: CalendarEvent = await vendor("update", ref, EventChanges(location="Gate 2"))
    return event.location == "Gate 2"


async def cancel_event(vendor: ScenarioVendor) -> Any:
    """Cancel an event."""
    sandbox: Any = vendor.fixture.sandbox
    await vendor("cancel", (await write_event(vendor)).ref)
    return sandbox.events() == []


async def create_series(vendor: ScenarioVendor) -> Any:
    """Create a series of events."""
    return (await write_event(vendor, recurrence="FREQ=WEEKLY;BYDAY=MO;COUNT=4")).recurrence


async def create_meeting(vendor: ScenarioVendor) -> Any:
    """Create an event with an online meeting."""
    return (await write_event(vendor, online_meeting=True)).meeting_url


async def change_version(vendor: ScenarioVendor) -> Any:
    """Change an event only if it still has a given version."""
    changes = EventChanges(title="Pickup")
    if not vendor.is_supported:
        ref = Ref(vendor.name, vendor.name, "1", {"calendar": "1"})
        return await vendor("update", ref, changes, version="1")
    event = await write_event(vendor)
    return (await vendor("update", event.ref, changes, version=event.version)).title == "Pickup"


async def list_day(vendor: ScenarioVendor) -> Any:
    """List the events of a day."""
    if vendor.is_supported:
        await write_event(vendor)
    page: ChangePage = await vendor("changes", _calendar(vendor), **DAY)
    return page.items and page.later


async def ask_busy_times(vendor: ScenarioVendor) -> Any:
    """Request a person's busy times."""
    sandbox: Any = vendor.fixture.sandbox
    sandbox.occupy("grace@example.com", START.astimezone(UTC), END.astimezone(UTC))
    (availability,) = await vendor("free_busy", ["grace@example.com"], **DAY)
    return availability.busy


async def quiet(vendor: ScenarioVendor) -> Any:
    """Create an event without inviting its attendee."""
    sandbox: Any = vendor.fixture.sandbox
    await write_event(vendor, invite=False, attendees=[Attendee("grace@example.com")])
    return sandbox.invitations == 0


BASIC: Final[dict[str, Scenario]] = {
    "calendars": list_calendars,
    "create": create_event,
    "get": read_event,
    "update": update_event,
    "cancel": cancel_event,
}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    CalendarsCapability.RECURRENCE: create_series,
    CalendarsCapability.ONLINE_MEETING: create_meeting,
    CalendarsCapability.FREE_BUSY: ask_busy_times,
    CalendarsCapability.CHANGES: list_day,
    CalendarsCapability.VERSION: change_version,
    CalendarsCapability.WITHOUT_INVITATIONS: quiet,
}
