"""Calendars: values of events, free or busy times, and the operations of such vendors.

`events` contains the values, `recurrence` the rules of series, `times` dates and local times, and
`vendor` the operations of a vendor.
"""

from __future__ import annotations

from moorage.contracts.calendars.events import (
    Attendee,
    AttendeeKind,
    AttendeeResponse,
    Availability,
    BusyTime,
    CalendarEntry,
    CalendarEvent,
    CalendarPage,
    CalendarsCapability,
    ChangePage,
    EventChange,
    EventChanges,
    EventStatus,
    NewEvent,
)
from moorage.contracts.calendars.recurrence import WEEKDAYS, RecurrenceRule
from moorage.contracts.calendars.times import is_ambiguous, zone_name, zone_of
from moorage.contracts.calendars.vendor import KIND, CalendarsVendor

__all__ = [
    "KIND",
    "WEEKDAYS",
    "Attendee",
    "AttendeeKind",
    "AttendeeResponse",
    "Availability",
    "BusyTime",
    "CalendarEntry",
    "CalendarEvent",
    "CalendarPage",
    "CalendarsCapability",
    "CalendarsVendor",
    "ChangePage",
    "EventChange",
    "EventChanges",
    "EventStatus",
    "NewEvent",
    "RecurrenceRule",
    "is_ambiguous",
    "zone_name",
    "zone_of",
]
