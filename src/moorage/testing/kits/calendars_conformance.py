"""Checks that every calendar vendor must pass.

Each check takes a function that makes a new `CalendarsSubject`: the vendor, its sandbox, and what
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.calendars import (
    Attendee,
    AttendeeKind,
    AttendeeResponse,
    CalendarsCapability,
    EventChanges,
    EventStatus,
)
from moorage.domain.http.requests import Response
from moorage.errors import (
    ChangedMeanwhile,
    ChangesExpired,
    ConnectionFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits._calendars_harness import (
    ACCOUNT,
    BERLIN,
    END,
    MONTH,
    START,
    TITLE,
    CalendarsSubject,
    Harness,
    calls_by_capability,
)
from moorage.testing.kits._contract_harness import (
    require_unsupported,
    require_words,
    through_async_hub,
    through_hub,
    with_an_address,
)
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from moorage.contracts.calendars import (
        CalendarEvent,
        CalendarPage,
        ChangePage,
        EventChange,
    )

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "CalendarsSubject", "Check", "Factory"]

_FIELDS: Final[dict[str, Any]] = {"description": "All shelves.", "location": "Hall 2"}
_ATTENDEES: Final = (
    Attendee("grace@example.com", "Grace"),
    Attendee("o'neill@example.com", kind=AttendeeKind.OPTIONAL),
    Attendee("room-2@example.com", kind=AttendeeKind.RESOURCE),
)
_MALFORMED: Final = (b"[]", b"null", b"{}", b"<html></html>")
_NOT_FOUND: Final = (404, 410)

Factory: TypeAlias = Callable[[], CalendarsSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def calendars_are_listed_once(make: Open) -> None:
    """Each calendar is listed once over all pages, and the default calendar is marked."""
    async with make() as harness:
        harness.sandbox.largest_page = 1
        page: CalendarPage = await harness("calendars")
        page_items = list(page.items)
        while page.next is not None:
            require(len(page_items) < 5, "The pages of a list do not end.")
            page = await harness("calendars", after=str(page.next))
            page_items += page.items
        refs = [calendar.ref for calendar in page_items]
        require(len(refs) == len(set(refs)) == 2, f"{len(refs)} calendars are listed.")
        primary = [calendar.ref for calendar in page_items if calendar.primary]
        require(primary == [harness.calendar], "No calendar is marked as the default calendar.")
        require(
            [item.writable for item in page_items] == [True, False],
            "The calendars have a wrong `writable`.",
        )


async def an_event_is_written(make: Open) -> None:
    """A new event has all its fields, and can be read by its reference."""
    async with make() as harness:
        created = await harness.write(attendees=_ATTENDEES, **_FIELDS)
        read = await harness.get(created.ref)
        for event in (created, read):
            require(event.title == TITLE, "The title is lost.")
            require((event.start, event.end) == (START, END), f"The event begins at {event.start}.")
            require(
                event.time_zone == "Europe/Berlin", f"The event's time zone is {event.time_zone}."
            )
            for name, value in _FIELDS.items():
                require(getattr(event, name) == value, f"The {name} is lost.")
            require(event.attendees == _ATTENDEES, f"{len(event.attendees)} attendees are read.")
            require(event.status is EventStatus.CONFIRMED, f"The event is {event.status}.")
            require(bool(event.raw), "The result lacks the vendor's response.")
        (stored_event,) = harness.sandbox.events()
        require(stored_event.id == created.ref.id, "The reference is not of the event.")
        require(created.ref.account == ACCOUNT, "The reference names no account.")
        require(harness.sandbox.invitations == 1, "The attendees were not invited once.")


async def whole_days_are_kept(make: Open) -> None:
    """An all-day event has dates, ends on the day after its last, and can be given times."""
    async with make() as harness:
        days: dict[str, Any] = {"start": date(2026, 3, 28), "end": date(2026, 3, 30)}
        event = await harness.write(**days)
        for read in (event, await harness.get(event.ref)):
            require(read.all_day, "Whole-day events were changed to events with times.")
            require(
                (read.start, read.end) == tuple(days.values()), f"The event begins at {read.start}."
            )
        changed_event = await harness("update", event.ref, EventChanges(start=START, end=END))
        require(
            (changed_event.start, changed_event.end) == (START, END),
            "A whole-day event was not changed to times.",
        )
        changed_event = await harness("update", event.ref, EventChanges(**days))
        require(
            changed_event.all_day and changed_event.start == days["start"],
            "An event with times was not changed to whole days.",
        )


async def times_are_exact(make: Open) -> None:
    """Event times are kept exactly, also across changes between winter and summer time."""
    async with make() as harness:
        forward = datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN)
        back = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
        for start in (forward, back, back.replace(fold=1), START.astimezone(UTC)):
            end = (start.astimezone(UTC) + timedelta(hours=1)).astimezone(start.tzinfo)
            event = await harness.write(start=start, end=end)
            read = await harness.get(event.ref)
            moments = (start.astimezone(UTC), end.astimezone(UTC))
            stored_event = harness.sandbox.events()[-1]
            require(
                (stored_event.start, stored_event.end) == moments,
                f"{start!r} is kept as {stored_event.start}.",
            )
            for value, moment in zip((read.start, read.end), moments, strict=True):
                is_same = isinstance(value, datetime) and value.astimezone(UTC) == moment
                require(is_same, f"{moment} is read as {value}.")


async def a_key_writes_once(make: Open) -> None:
    """An idempotency key creates one event, and a repeat returns this event."""
    async with make() as harness:
        events = [await harness.write(idempotency_key="k-1") for _ in range(3)]
        require(events[0] == events[1] == events[2], "A repeat returns another event.")
        require(len(harness.titles()) == 1, "A key wrote several events.")
        other_event = harness.write("Another", idempotency_key="k-1")
        await harness.refused(IdempotencyConflict, other_event, "A key for another event")
        await harness.write(idempotency_key="k-2")
        require(len(harness.titles()) == 2, "A second idempotency key created no second event.")


async def a_lost_creation_is_found(make: Open) -> None:
    """After a lost response the event is looked up; if it is missing, the outcome is unknown."""
    async with make() as harness:
        await harness.write("Another")
        harness.sandbox.fail(Lost())
        event = await harness.write(idempotency_key="k-1")
        require(event.title == TITLE, "Another event was returned for the lost response.")
        require(event.ref.id == harness.sandbox.events()[-1].id, "The lost event is not found.")
        count = len(harness.titles())
        for key in ("k-2", "k-2"):
            harness.sandbox.fail(Response(503, body=b"<html></html>"))
            await harness.refused(OutcomeUnknown, harness.write(idempotency_key=key), "An outage")
        harness.sandbox.forget_faults()
        require(len(harness.titles()) == count, "An event that may have been written was written.")


async def only_named_fields_change(make: Open) -> None:
    """A change sets the named fields and keeps all others, even those unknown to moorage."""
    async with make() as harness:
        ref = (await harness.write(attendees=_ATTENDEES[:2], **_FIELDS)).ref
        harness.sandbox.annotate(ref.id)
        harness.sandbox.answer_invitation(ref.id, _ATTENDEES[0].email)
        steps: tuple[dict[str, Any], ...] = (
            {"title": "Pickup"},
            {"description": "Two pallets.", "location": "Gate 2"},
            {"start": START + timedelta(hours=1), "end": END + timedelta(hours=1)},
            {"attendees": (_ATTENDEES[0], _ATTENDEES[2])},
        )
        event_before = await harness.get(ref)
        for step in steps:
            changed_event = await harness("update", ref, EventChanges(**step))
            _require_changed(event_before, changed_event, step)
            require(
                await harness.get(ref) == changed_event, "A change is read as a different change."
            )
            require(harness.sandbox.events()[0].annotated, f"{sorted(step)} erased other fields.")
            event_before = changed_event
        responses = [attendee.response for attendee in event_before.attendees]
        expected = [AttendeeResponse.ACCEPTED, AttendeeResponse.NONE]
        require(responses == expected, f"The attendees' answers are {responses}.")


def _require_changed(before: CalendarEvent, changed: CalendarEvent, step: dict[str, Any]) -> None:
    for name in ("title", "start", "end", "description", "location"):
        expected = step.get(name, getattr(before, name))
        require(getattr(changed, name) == expected, f"The {name} is wrong after {sorted(step)}.")
    emails = [item.email for item in step.get("attendees", before.attendees)]
    require([item.email for item in changed.attendees] == emails, "The attendees are wrong.")


async def named_fields_can_be_emptied(make: Open) -> None:
    """Fields named in `clear` are empty after a change."""
    async with make() as harness:
        ref = (await harness.write(attendees=_ATTENDEES, **_FIELDS)).ref
        names = ["description", "location", "attendees"]
        await harness("update", ref, EventChanges(clear=names))
        event = await harness.get(ref)
        kept_fields = [name for name in names if getattr(event, name)]
        require(kept_fields == [], f"{kept_fields} are not empty.")
        require(event.title == TITLE, "Another field was emptied.")


async def a_version_is_compared(make: Open) -> None:
    """A change of an outdated version of an event is refused, and changes nothing."""
    async with make() as harness:
        if CalendarsCapability.VERSION not in harness.capabilities:
            return
        first = await harness.write()
        changes = EventChanges(title="Pickup")
        second = await harness("update", first.ref, changes, version=first.version)
        require(second.version not in {None, first.version}, "The version stays the same.")
        late_update = harness(
            "update", first.ref, EventChanges(title="Late"), version=first.version
        )
        await harness.refused(ChangedMeanwhile, late_update, "A change of an older version")
        require(harness.titles() == ["Pickup"], "A change of an outdated version was accepted.")
        harness.sandbox.fail(Lost())
        lost_update = harness(
            "update", first.ref, EventChanges(title="Lost"), version=second.version
        )
        error = await harness.refused(
            ConnectionFailed, lost_update, "A change with a version whose response is lost"
        )
        require(
            error.may_have_been_processed, "A change with a lost response is reported as not made."
        )


async def recurrence_is_kept(make: Open) -> None:
    """Supported recurrence rules of events are kept; others are refused before sending."""
    async with make() as harness:
        if CalendarsCapability.RECURRENCE not in harness.capabilities:
            return
        event = await harness.write()
        for rule in harness.subject.rules:
            event = await harness.write(recurrence=rule)
            read = await harness.get(event.ref)
            require(read.recurrence == rule, f"{rule} is read as {read.recurrence}.")
        await harness("update", event.ref, EventChanges(clear=["recurrence"]))
        require(
            (await harness.get(event.ref)).recurrence is None,
            "A removed recurrence is still there.",
        )
        count = len(harness.sandbox.requests)
        for rule in harness.subject.refused_rules:
            error = await harness.refused(InvalidData, harness.write(recurrence=rule), rule)
            require(error.field == "recurrence", f"The field {error.field} is named.")
        require(len(harness.sandbox.requests) == count, "A rule that is refused was sent.")


async def an_event_is_cancelled(make: Open) -> None:
    """A cancelled event is gone, other events stay, and a repeated cancellation is not an error."""
    async with make() as harness:
        ref = (await harness.write(attendees=_ATTENDEES)).ref
        await harness.write("Another")
        for _ in range(2):
            await harness("cancel", str(ref))
            require(
                harness.titles() == ["Another"],
                f"{len(harness.titles())} events are left instead of one.",
            )
        require(harness.sandbox.invitations == 2, "The attendees were not notified exactly once.")
        await harness("cancel", harness.unknown_event)
        for operation, arguments in (
            ("get", ()),
            ("update", (EventChanges(title="Pickup"),)),
        ):
            call = harness(operation, harness.unknown_event, *arguments)
            error = await harness.refused(VendorRejected, call, f"{operation} of no event")
            require(error.status in _NOT_FOUND, f"{operation} ended with {error.status}.")


async def invitations_can_be_withheld(make: Open) -> None:
    """Attendees are not notified if the caller asks for that and the vendor supports it."""
    async with make() as harness:
        if CalendarsCapability.WITHOUT_INVITATIONS not in harness.capabilities:
            return
        ref = (await harness.write(attendees=_ATTENDEES, invite=False)).ref
        await harness("update", ref, EventChanges(title="Pickup"), invite=False)
        await harness("cancel", ref, invite=False)
        require(
            harness.sandbox.invitations == 0,
            "Attendees got a notification that was to be withheld.",
        )


async def changes_are_listed_once(make: Open) -> None:
    """The first listing contains all events over all pages; later ones contain only changes."""
    async with make() as harness:
        if CalendarsCapability.CHANGES not in harness.capabilities:
            return
        harness.sandbox.largest_page = 2
        events = [await harness.write(f"Event {number}") for number in range(3)]
        await harness.write("Later", start=date(2026, 6, 1), end=date(2026, 6, 2))
        items, next_token = await _all_changes(harness)
        refs = sorted(str(event.ref) for event in events)
        require(sorted(str(item.ref) for item in items) == refs, "The list is not complete.")
        no_changes, next_token = await _all_changes(harness, next_token)
        require(no_changes == [], f"{len(no_changes)} changes are listed although nothing changed.")
        await harness("update", events[0].ref, EventChanges(title="Pickup"))
        await harness("cancel", events[1].ref)
        await harness.write("New")
        await harness.write("Series", recurrence="FREQ=DAILY;COUNT=2")
        changes, next_token = await _all_changes(harness, str(next_token))
        titles = {item.event.title for item in changes if item.event and not item.event.series}
        require(titles == {"Pickup", "New"}, f"{len(titles)} titles are listed.")
        deleted_refs = [item.ref for item in changes if item.event is None]
        require(deleted_refs == [events[1].ref], f"{len(deleted_refs)} events are gone.")
        series = [item.event.series for item in changes if item.event and item.event.series]
        require(len(series) == 1, "An occurrence does not name its series.")
        harness.sandbox.expire()
        call = harness("changes", harness.calendar, **MONTH, after=next_token)
        await harness.refused(ChangesExpired, call, "An expired reference")
        foreign_cursor = harness(
            "changes", harness.calendar, **MONTH, after=events[0].ref.with_related(page="")
        )
        await harness.refused(InvalidData, foreign_cursor, "The reference of an event as `after`")


async def _all_changes(harness: Harness, after: object = None) -> tuple[list[EventChange], Any]:
    page: ChangePage = await harness("changes", harness.calendar, **MONTH, after=after)
    items = list(page.items)
    while page.next is not None:
        require(len(items) < 20, "The pages of a list do not end.")
        require(page.later is None, "A page with a next page is reported as the last page.")
        page = await harness("changes", harness.calendar, **MONTH, after=page.next)
        items += page.items
    require(page.later is not None, "The last page has no reference for later.")
    return items, page.later


async def busy_times_are_listed(make: Open) -> None:
    """Each address's busy times are returned; an unknown address is not reported as free."""
    async with make() as harness:
        if CalendarsCapability.FREE_BUSY not in harness.capabilities:
            return
        moments = START.astimezone(UTC), END.astimezone(UTC)
        harness.sandbox.occupy("Grace@example.com", *moments)
        past = moments[0] - timedelta(days=99), moments[1] - timedelta(days=99)
        harness.sandbox.occupy("free@example.com", *past)
        emails = ["Grace@example.com", "nobody@example.com", "free@example.com"]
        grace, unknown_person, free_person = await harness("free_busy", emails, **MONTH)
        require(
            [item.email for item in (grace, unknown_person, free_person)] == emails,
            "Addresses are mixed.",
        )
        times = [(item.start, item.end) for item in grace.busy or ()]
        require(times == [moments], f"{len(times)} busy times are returned.")
        require(free_person.busy == (), "A person without events has busy times.")
        require(
            unknown_person.busy is None and bool(unknown_person.problem),
            "An unknown address is reported as free.",
        )
        maximum = harness.subject.vendor.limits["addresses"]
        addresses = [f"n{number}@example.com" for number in range(maximum + 1)]
        for wrong_value in (addresses, []):
            call = harness("free_busy", wrong_value, **MONTH)
            await harness.refused(InvalidData, call, f"{len(wrong_value)} addresses")


async def an_online_meeting_has_a_url(make: Open) -> None:
    """An online meeting has a URL, and other events have none."""
    async with make() as harness:
        if CalendarsCapability.ONLINE_MEETING not in harness.capabilities:
            return
        event = await harness.write(online_meeting=True)
        url = (await harness.get(event.ref)).meeting_url or ""
        require(url.startswith("https://"), "The URL of the meeting is lost.")
        require(
            (await harness.write()).meeting_url is None,
            "An event has an online meeting that was not requested.",
        )


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error with the vendor's response, and is not retried."""
    async with make() as harness:
        await harness("calendars")
        for number, (refusal, kind) in enumerate(harness.subject.refusals):
            harness.sandbox.fail(with_an_address(refusal))
            count = len(harness.sandbox.requests)
            error = await harness.refused(kind, harness.write(), f"Refusal {number}")
            require(error.response is not None, "The answer is lost.")
            require_words(error, refusal, f"Refusal {number}")
            require(len(harness.sandbox.requests) == count + 1, "A refused request was repeated.")
        answer, seconds = harness.subject.pause
        harness.sandbox.fail(answer)
        error = await harness.refused(RateLimitExceeded, harness.write(), "A rate limit")
        require(error.vendor_retry_after == seconds, "The pause that the vendor asks for is lost.")
        require(harness.titles() == [], "A refused event was written.")


async def malformed_answers_are_errors(make: Open) -> None:
    """A response without required fields is an error, never an empty result."""
    async with make() as harness:
        ref = (await harness.write()).ref
        operations: dict[str, Callable[[], Any]] = {
            "get": lambda: harness("get", ref),
            "calendars": lambda: harness("calendars"),
        }
        if CalendarsCapability.CHANGES in harness.capabilities:
            operations["changes"] = lambda: harness("changes", harness.calendar, **MONTH)
        if CalendarsCapability.FREE_BUSY in harness.capabilities:
            emails = ["grace@example.com"]
            operations["free_busy"] = lambda: harness("free_busy", emails, **MONTH)
        for name, call in operations.items():
            for body in _MALFORMED:
                answer = Response(200, {"Content-Type": "application/json"}, body)
                harness.sandbox.fail(answer)
                await harness.refused(VendorFailed, call(), f"{name} with nonsense")


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness).items())


async def nothing_shows_secrets(make: Open) -> None:
    """No error, event or log entry shows a secret, a title or an attendee."""
    async with make() as harness:
        shown_texts = [f"{harness.hub.account(ACCOUNT)!r}"]
        attendees = _ATTENDEES[:1]
        for answer in (None, harness.subject.refusals[0][0], Lost()):
            harness.sandbox.fail(answer)
            try:
                shown_texts.append(repr(await harness.write(attendees=attendees)))
            except ConnectorError as error:
                shown_texts.append("".join(traceback.format_exception(error)) + repr(error))
        await harness.require_hidden(shown_texts, harness.hidden())


_ALL_CHECKS: Final = (
    calendars_are_listed_once,
    an_event_is_written,
    whole_days_are_kept,
    times_are_exact,
    a_key_writes_once,
    a_lost_creation_is_found,
    only_named_fields_change,
    named_fields_can_be_emptied,
    a_version_is_compared,
    recurrence_is_kept,
    an_event_is_cancelled,
    invitations_can_be_withheld,
    changes_are_listed_once,
    busy_times_are_listed,
    an_online_meeting_has_a_url,
    a_refusal_has_its_type,
    malformed_answers_are_errors,
    unsupported_features_are_refused,
    nothing_shows_secrets,
)

CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
