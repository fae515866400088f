"""Calendar values: times, recurrence rules, events and changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import moorage
from moorage import InvalidData
from moorage.contracts.calendars import (
    Attendee,
    CalendarsCapability,
    EventChanges,
    NewEvent,
    RecurrenceRule,
)
from moorage.contracts.calendars.times import is_ambiguous, time_exists, zone_name, zone_of
from moorage.contracts.routes import Account
from moorage.contracts.value_codec import pack, unpack
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.calendars.google_calendar import GoogleCalendarSandbox
from moorage.vendors.calendars.google_calendar import GoogleCalendar

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 2, 9, 0, tzinfo=BERLIN)
END = START + timedelta(hours=1)
ZONES = st.sampled_from(
    [
        *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"),
        *("Africa/Casablanca", "America/Sao_Paulo", "Pacific/Apia", "UTC"),
    ]
)
MOMENTS = st.integers(631_152_000, 2_145_916_800).map(lambda at: datetime.fromtimestamp(at, UTC))


def event(**fields: Any) -> NewEvent:
    """Return an event with these fields."""
    return NewEvent(**dict[str, Any](title="Visit", start=START, end=END) | fields)


@example(moment=datetime(1998, 10, 25, 5, tzinfo=UTC), zone="America/New_York")
@given(moment=MOMENTS, zone=ZONES)
def test_local_time_of_a_moment_exists(moment: datetime, zone: str) -> None:
    """A moment's local time exists and is accepted; it may stand for one other moment at most."""
    local = moment.astimezone(ZoneInfo(zone))

    assert time_exists(local)
    # Python treats an ambiguous time as unequal to every time in another zone.
    start = event(start=local, end=local + timedelta(days=2)).start
    assert isinstance(start, datetime)
    assert moment == start.astimezone(UTC)
    if is_ambiguous(local):
        other = local.replace(fold=1 - local.fold)
        assert moment != other.astimezone(UTC)


@given(moment=MOMENTS, zone=ZONES)
def test_stored_times_keep_their_zone(moment: datetime, zone: str) -> None:
    """A stored time is read back with the same moment and time zone."""
    local = moment.astimezone(ZoneInfo(zone))
    stored_time = unpack(pack(event(start=local, end=local + timedelta(days=2)))).start

    assert (moment, zone, local.fold) == (
        stored_time.astimezone(UTC),
        zone_name(stored_time),
        stored_time.fold,
    )


@pytest.mark.parametrize(
    "local, skipped, twice",
    [
        (datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), True, False),
        (datetime(2026, 3, 29, 3, 0, tzinfo=BERLIN), False, False),
        (datetime(2026, 10, 25, 2, 0, tzinfo=BERLIN), False, True),
        (datetime(2026, 10, 25, 2, 59, tzinfo=BERLIN, fold=1), False, True),
        (datetime(2026, 10, 25, 3, 0, tzinfo=BERLIN), False, False),
    ],
)
def test_changes_of_clocks_are_known(local: datetime, *, skipped: bool, twice: bool) -> None:
    """Local times that a clock change skips or repeats are recognised as such."""
    assert (skipped, twice) == (not time_exists(local), is_ambiguous(local))


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"title": " "}, "title"),
        ({"title": 7}, "title"),
        ({"start": "2026-03-02"}, "start"),
        ({"start": START.replace(tzinfo=None)}, "start"),
        ({"start": START.astimezone(timezone(timedelta(hours=1)))}, "start"),
        ({"start": datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)}, "start"),
        ({"start": datetime(1, 1, 1, tzinfo=BERLIN)}, "start"),
        ({"end": datetime(9999, 12, 31, 23, 59, tzinfo=BERLIN)}, "end"),
        ({"end": START}, "end"),
        ({"end": date(2026, 3, 3)}, "end"),
        ({"start": date(2026, 3, 2), "end": date(2026, 3, 2)}, "end"),
        ({"description": ""}, "description"),
        ({"location": "\ud800"}, "location"),
        ({"attendees": "ada@example.com"}, "attendees"),
        ({"attendees": [Attendee("ada")]}, "attendees[0].email"),
        ({"attendees": [Attendee("a@b.example"), Attendee("A@b.example")]}, "attendees"),
        ({"online_meeting": 1}, "online_meeting"),
        ({"busy": None}, "busy"),
        ({"private": "yes"}, "private"),
        ({"extra": []}, "extra"),
        ({"recurrence": "FREQ=DAILY;UNTIL=20260401"}, "recurrence"),
    ],
)
def test_impossible_events_are_refused(fields: dict[str, Any], field: str) -> None:
    """An event field with an impossible value is refused; the error contains the field's name."""
    with pytest.raises(InvalidData) as excinfo:
        event(**fields)

    assert field == excinfo.value.field


@pytest.mark.parametrize("email", ["", " ", 7, None, "\ud800@example.com"])
def test_attendee_needs_an_address(email: Any) -> None:
    """A new attendee without an address is refused; a vendor's attendee may have any address."""
    with pytest.raises(InvalidData):
        Attendee(email)
    assert "other" == Attendee("room 2", kind="other").kind
    with pytest.raises(InvalidData, match="Give one of"):
        Attendee("a@b.example", kind="guest")


@pytest.mark.parametrize(
    "fields, field",
    [
        ({}, "changes"),
        ({"start": START}, "end"),
        ({"end": END}, "end"),
        ({"start": END, "end": START}, "end"),
        ({"start": "9:00", "end": END}, "start"),
        ({"clear": ["title"]}, "clear"),
        ({"clear": "location"}, "clear"),
        ({"clear": [["location"]]}, "clear"),
        ({"clear": ["location"], "location": "Hall 2"}, "clear"),
        ({"recurrence": "FREQ=DAILY"}, "start"),
        ({"attendees": 7}, "attendees"),
        (
            {"recurrence": "FREQ=DAILY;UNTIL=20260401", "start": START, "end": END},
            "recurrence",
        ),
    ],
)
def test_impossible_changes_are_refused(fields: dict[str, Any], field: str) -> None:
    """A change is refused if it is empty, has only start or end, or sets and empties a field."""
    with pytest.raises(InvalidData) as excinfo:
        EventChanges(**fields)

    assert field == excinfo.value.field


def test_values_of_a_change_include_the_fields_to_clear() -> None:
    """The values of a change include the fields to clear: attendees as empty, others as None."""
    changes = EventChanges(title="Visit", clear=["attendees", "location", "recurrence"])

    assert {
        "title": "Visit",
        "attendees": (),
        "location": None,
        "recurrence": None,
    } == changes.values
    assert {CalendarsCapability.RECURRENCE} == changes.needs
    assert frozenset() == EventChanges(title="Visit").needs


@pytest.mark.parametrize(
    "text, written",
    [
        ("freq=daily", "FREQ=DAILY"),
        ("FREQ=WEEKLY;WKST=MO;INTERVAL=1;BYDAY=MO", "FREQ=WEEKLY;BYDAY=MO"),
        ("FREQ=MONTHLY;BYDAY=+2TU", "FREQ=MONTHLY;BYDAY=2TU"),
        (
            "UNTIL=20261231T225959Z;FREQ=YEARLY;BYMONTH=3,10;BYMONTHDAY=-1,31",
            "FREQ=YEARLY;UNTIL=20261231T225959Z;BYMONTHDAY=-1,31;BYMONTH=3,10",
        ),
        ("FREQ=DAILY;UNTIL=20261231", "FREQ=DAILY;UNTIL=20261231"),
        (
            "FREQ=MONTHLY;BYDAY=MO,FR;BYSETPOS=-1;COUNT=3;WKST=SU",
            "FREQ=MONTHLY;COUNT=3;BYDAY=MO,FR;BYSETPOS=-1;WKST=SU",
        ),
    ],
)
def test_recurrence_rule_is_read_with_its_parts_in_any_order(text: str, written: str) -> None:
    """A recurrence rule is read with its parts in any order, and written in one fixed order."""
    rule = RecurrenceRule.parse(text)

    assert written == rule.text
    assert rule == RecurrenceRule.parse(written)


@pytest.mark.parametrize(
    "text",
    [
        *("", "DAILY", "FREQ=HOURLY", "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;X=1", "INTERVAL=2"),
        *("FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=2;UNTIL=20261231", "FREQ=DAILY;UNTIL=20260230"),
        *("FREQ=DAILY;UNTIL=20260230T000000Z", "FREQ=DAILY;UNTIL=20261231T235959"),
        *("FREQ=WEEKLY;BYDAY=2MO", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=MONTHLY;BYDAY=0MO"),
        *("FREQ=YEARLY;BYMONTH=13", "RRULE:FREQ=DAILY", "FREQ=DAILY;" + "A" * 500),
        *("FREQ=DAILY;INTERVAL=99999", "FREQ=DAILY\r\nATTENDEE:x", "\ud800"),
    ],
)
def test_impossible_rules_are_refused(text: str) -> None:
    """A text that is not a recurrence rule is refused, and the error shows an example."""
    with pytest.raises(InvalidData) as excinfo:
        event(recurrence=text)

    assert "recurrence" == excinfo.value.field
    with pytest.raises(InvalidData):
        RecurrenceRule.parse(7)


def test_whole_days_may_end_with_a_day() -> None:
    """A recurring all-day event ends on a date that is not before its start."""
    days: dict[str, Any] = {"start": date(2026, 3, 2), "end": date(2026, 3, 3)}

    assert event(**days, recurrence="FREQ=DAILY;UNTIL=20260401").recurrence
    with pytest.raises(InvalidData, match="a date as UNTIL"):
        event(**days, recurrence="FREQ=DAILY;UNTIL=20260401T000000Z")
    with pytest.raises(InvalidData, match="UNTIL before the start"):
        event(**days, recurrence="FREQ=DAILY;UNTIL=20250401")


@pytest.mark.parametrize("name", ["Europe/Berlin", "No/Where", "../etc/passwd", "", "a\x00b", None])
def test_unknown_name_of_time_zone_is_read_as_none(name: str | None) -> None:
    """A time zone with an unknown name is read as None, whatever the name contains."""
    assert (name == "Europe/Berlin") is (zone_of(name) is not None)


def test_fixed_offset_has_no_time_zone_name() -> None:
    """UTC and named time zones have a name, and a fixed offset has none."""
    moments = (START, START.astimezone(UTC), START.astimezone(timezone(timedelta(hours=1))))

    assert ["Europe/Berlin", "UTC", None] == [zone_name(moment) for moment in moments]


@pytest.mark.parametrize(
    "options, field",
    [
        ({"start": END, "end": START}, "end"),
        ({"end": START + timedelta(days=4_000)}, "end"),
        ({"start": START.replace(tzinfo=None)}, "start"),
        ({"start": date(2026, 3, 2)}, "start"),
        ({"end": datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-1)))}, "end"),
        ({"emails": ["ada"]}, "emails[0]"),
        ({"emails": [7]}, "emails[0]"),
        ({"emails": "ada@example.com"}, "emails"),
        ({"emails": []}, "emails"),
        ({"account": 7}, "account"),
    ],
)
def test_query_for_busy_times_with_impossible_arguments_is_refused(
    options: dict[str, Any], field: str
) -> None:
    """A query for busy times with impossible arguments is refused before it is sent."""
    sandbox = GoogleCalendarSandbox()
    account = Account("calendars", GoogleCalendar(credentials=sandbox.key_file()))
    named: dict[str, Any] = {"emails": ["ada@example.com"], "start": START, "end": END} | options
    with (
        Hub([account], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(InvalidData) as excinfo,
    ):
        hub.calendars().free_busy(named.pop("emails"), **named)

    assert (field, []) == (excinfo.value.field, sandbox.requests)


def test_event_with_a_forbidden_attendee_is_held_back() -> None:
    """If an attendee is not an allowed recipient, the event is held back."""
    sandbox = GoogleCalendarSandbox()
    configuration = {
        "vendors": {"google_calendar": {"credentials": sandbox.key_file()}},
        "safety": {"recipients": ["ada@example.com"]},
    }
    changes = EventChanges(attendees=[Attendee("grace@example.com")])
    with moorage.open(configuration, http=SandboxHttpClient(sandbox)) as hub:
        calendar = hub.calendars().calendars().items[0].ref
        visit = hub.calendars().create(calendar, event(attendees=[Attendee("ada@example.com")]))
        with pytest.raises(moorage.RecipientRefused):
            hub.calendars().create(calendar, event(attendees=changes.attendees))
        with pytest.raises(moorage.RecipientRefused):
            hub.calendars().update(visit.ref, changes)

    assert 1 == len(sandbox.events())
