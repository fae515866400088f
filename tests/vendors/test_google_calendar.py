"""Google Calendar: its requests, its responses and its error responses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AlreadyExists,
    AuthenticationFailed,
    InvalidData,
    InvalidRequest,
    Timeouts,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.calendars import (
    Attendee,
    AttendeeKind,
    AttendeeResponse,
    EventChanges,
    EventStatus,
    NewEvent,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request, Response
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.calendars.google_calendar import GoogleCalendarSandbox
from moorage.vendor_sdk import as_answer
from moorage.vendors.calendars._common import day_of, moment_of
from moorage.vendors.calendars._google_calendar_events import (
    change_body,
    classify,
    event_body,
    event_of,
    time_body,
)
from moorage.vendors.calendars.google_calendar import GoogleCalendar
from tests.vendors.calendars_subjects import google_error

START = datetime(2026, 3, 2, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))
END = START + timedelta(hours=1)
MOMENTS = st.integers(631_152_000, 2_145_916_800).map(lambda at: datetime.fromtimestamp(at, UTC))
DAY = {"date": "2026-03-02"}
CALENDAR = Ref("google_calendar", "calendars", "ada@example.com")


def hub_at(sandbox: GoogleCalendarSandbox) -> Hub:
    """Return a hub with an account at the sandbox."""
    vendor = GoogleCalendar(credentials=sandbox.key_file(), user=sandbox.calendar)
    settings = {"retry": None, "circuit": None}
    account = Account("calendars", vendor, settings=settings)
    return Hub([account], http=SandboxHttpClient(sandbox))


def read(**fields: Any) -> Any:
    """Return the event that is read from a response with the given fields."""

    def ref(id: str, /, **related: str | None) -> Ref:
        return Ref("google_calendar", "calendars", id).with_related(**related)

    return event_of("c", ref, as_answer({"id": "1", **fields}), Response(200))


def test_event_is_in_googles_format() -> None:
    """Each field of a new event is sent under Google's name for it."""
    event = NewEvent(
        title="Visit",
        start=START,
        end=END,
        description="D",
        location="L",
        attendees=[
            Attendee("a@b.example", "A"),
            Attendee("r@b.example", kind=AttendeeKind.RESOURCE),
        ],
        recurrence="freq=daily;count=2",
        online_meeting=True,
        busy=False,
        private=True,
    )

    assert {
        "id": "1",
        "summary": "Visit",
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"},
        "description": "D",
        "location": "L",
        "attendees": [
            {"email": "a@b.example", "optional": False, "displayName": "A"},
            {"email": "r@b.example", "optional": False, "resource": True},
        ],
        "recurrence": ["RRULE:FREQ=DAILY;COUNT=2"],
        "conferenceData": {
            "createRequest": {
                "requestId": "1",
                "conferenceSolutionKey": {"type": "hangoutsMeet"},
            }
        },
        "transparency": "transparent",
        "visibility": "private",
    } == event_body(event, "1")


def test_changes_are_in_googles_format() -> None:
    """A change sends only the named fields; attendees keep their responses."""
    days: dict[str, Any] = {"start": date(2026, 3, 2), "end": date(2026, 3, 3)}
    changes = EventChanges(**days, attendees=[Attendee("A@b.example")], recurrence="FREQ=DAILY")
    current = {"attendees": [{"email": "a@B.example", "responseStatus": "accepted", "x": 1}, 7]}

    assert {
        "start": {"date": "2026-03-02", "dateTime": None, "timeZone": None},
        "end": {"date": "2026-03-03", "dateTime": None, "timeZone": None},
        "attendees": [
            {"email": "A@b.example", "responseStatus": "accepted", "x": 1, "optional": False}
        ],
        "recurrence": ["RRULE:FREQ=DAILY"],
    } == change_body(changes.values, current)
    assert {"recurrence": [], "description": None} == change_body(
        EventChanges(clear=["recurrence", "description"]).values, {}
    )


@given(
    moment=MOMENTS,
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_each_time_is_sent_and_read_exactly(moment: datetime, zone: str) -> None:
    """Each time is sent and read exactly, in its zone, also at clock changes."""
    local = moment.astimezone(ZoneInfo(zone))
    event = read(start=time_body(local), end=time_body(local))

    assert (local.astimezone(UTC), zone) == (event.start.astimezone(UTC), event.time_zone)


def test_values_that_the_calendar_adds_later_are_unknown() -> None:
    """Values that Google may add later, and malformed values, become unknown or are left out."""
    event = read(
        status="paused",
        start={"dateTime": "soon"},
        end={"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "No/Where"},
        attendees=[
            {"email": "a@b.example", "responseStatus": "maybe", "displayName": " "},
            {"email": " "},
            {"email": "o@b.example", "organizer": True},
            7,
        ],
        recurrence=["RRULE:FREQ=HOURLY"],
    )

    assert EventStatus.UNKNOWN is event.status
    assert (None, None, None) == (event.start, event.time_zone, event.recurrence)
    assert datetime(2026, 3, 2, 9, 0, tzinfo=UTC) == event.end
    assert [AttendeeResponse.UNKNOWN, AttendeeResponse.ORGANIZER] == [
        attendee.response for attendee in event.attendees
    ]
    assert None is event.attendees[0].name
    assert None is read(recurrence=["RRULE:FREQ=DAILY", "EXDATE:20260302"]).recurrence
    assert read(start={"date": "2026-03-02"}).all_day


def test_url_of_a_conference_is_that_of_its_video() -> None:
    """A meeting's URL is that of its video entry, or else Google's own link."""
    entries = [
        {"entryPointType": "phone", "uri": "tel:1"},
        {"entryPointType": "video", "uri": "https://v.example"},
    ]

    assert "https://v.example" == read(conferenceData={"entryPoints": entries}).meeting_url
    assert "https://m.example" == read(hangoutLink="https://m.example").meeting_url


@pytest.mark.parametrize("answer", [Response(408), Response(500), Response(200), Response(404)])
def test_other_answers_are_left_to_the_service(answer: Response) -> None:
    """Successes, outages and errors without a reason are classified by their status alone."""
    assert None is classify(Request.get("/"), answer)


@pytest.mark.parametrize(
    "error, code",
    [
        (
            {"errors": [{"reason": "timeRangeEmpty"}], "status": "INVALID_ARGUMENT"},
            "timeRangeEmpty",
        ),
        ({"errors": [{}], "status": "INVALID_ARGUMENT"}, "INVALID_ARGUMENT"),
    ],
)
def test_reason_of_a_refusal(error: dict[str, Any], code: str) -> None:
    """An error response has Google's reason as its code, or the status if no reason is given."""
    refusal = classify(Request.get("/"), reply({"error": error}, 400))

    assert isinstance(refusal, InvalidRequest)
    assert code == refusal.vendor_code


def test_next_page_and_later_changes_are_of_the_same_calendar() -> None:
    """The references of the next page and of later changes contain the calendar's id."""
    sandbox = GoogleCalendarSandbox()
    with hub_at(sandbox) as hub:
        calendar = CALENDAR.with_related()
        hub.calendars().calendars()
        sandbox.fail(
            reply({"items": [], "nextPageToken": "p2"}), reply({"items": [], "nextSyncToken": "t2"})
        )
        first, last = (hub.calendars().changes(calendar, start=START, end=END) for _ in "12")

    assert first.next is not None
    assert last.later is not None
    assert (calendar.id, "p2") == (first.next.id, first.next.other("page"))
    assert (calendar.id, "t2") == (last.later.id, last.later.other("token"))


def test_malformed_time_or_day_is_none() -> None:
    """A malformed time or day is read as None; a time may have any number of decimals."""
    for text in (None, "x", "0001-01-01T00:00+23:00"):
        assert None is moment_of(text)
    assert datetime(2026, 3, 2, 9, 0, 0, 123_456, tzinfo=UTC) == moment_of(
        "2026-03-02T09:00:00.1234567"
    )
    assert datetime(2026, 3, 2, 8, 0, tzinfo=UTC) == moment_of("2026-03-02T09:00:00.0000000+01:00")
    assert [None, None] == [day_of(None), day_of("x")]


def test_wrong_references_are_refused() -> None:
    """A calendar's reference is refused if an event's or a change list's reference is needed."""
    sandbox = GoogleCalendarSandbox()
    times: dict[str, Any] = {"start": START, "end": END}
    with hub_at(sandbox) as hub:
        with pytest.raises(InvalidData, match="not the reference of an event"):
            hub.calendars().get(CALENDAR)
        with pytest.raises(InvalidData, match="not a cursor of changes"):
            hub.calendars().changes(CALENDAR, **times, after=CALENDAR)
        other = Attendee("a@b.example", kind=AttendeeKind.OTHER)
        with pytest.raises(InvalidData, match="of the kind 'other'"):
            hub.calendars().create(CALENDAR, NewEvent(title="Visit", **times, attendees=[other]))

    assert [] == sandbox.requests


def test_answers_without_their_content_are_errors() -> None:
    """A list without a token, and busy times without calendars, are malformed responses."""
    sandbox = GoogleCalendarSandbox()
    times: dict[str, Any] = {"start": START, "end": END}
    with hub_at(sandbox) as hub:
        sandbox.fail(reply({"items": []}), reply({"calendars": []}))
        with pytest.raises(VendorFailed):
            hub.calendars().changes(CALENDAR, **times)
        with pytest.raises(VendorFailed):
            hub.calendars().free_busy(["a@b.example"], **times)
        sandbox.fail(reply({"calendars": {}}))
        assert None is hub.calendars().free_busy(["a@b.example"], **times)[0].busy


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("POST", "/events", {"summary": "x"}, 400),
        ("POST", "/events", {"start": {"date": "2026-03-02", "dateTime": "x"}, "end": {}}, 400),
        ("POST", "/events", {"surprise": 1}, 400),
        ("POST", "/events", {"id": "W", "start": DAY, "end": DAY}, 400),
        ("GET", "/events/x", None, 404),
        ("GET", "/elsewhere", None, 404),
        ("GET", "/events?syncToken=sync-1&timeMin=x", None, 400),
    ],
)
def test_sandbox_refuses_what_google_refuses(
    method: str, path: str, body: Any, status: int
) -> None:
    """The sandbox refuses wrong paths, fields and combinations with Google's status."""
    sandbox = GoogleCalendarSandbox()
    sandbox.tokens._good.add("t")  # noqa: SLF001 - a token without its request
    fields = {"Authorization": "Bearer t"}
    client = SandboxHttpClient(sandbox)
    url = f"https://www.googleapis.com/calendar/v3/calendars/ada@example.com{path}"
    request = (
        Request.get("/", headers=fields)
        if method == "GET"
        else Request.post("/", json=body, headers=fields)
    )

    assert status == client.send(request, url, Timeouts()).status


def test_sandbox_knows_ids_and_tokens() -> None:
    """The sandbox refuses a repeated event id, an unknown calendar, and a wrong token."""
    sandbox = GoogleCalendarSandbox()
    with hub_at(sandbox) as hub:
        times: dict[str, Any] = {"start": START, "end": END}
        other = Ref("google_calendar", "calendars", "other@example.com")
        with pytest.raises(VendorRejected, match="Not Found"):
            hub.calendars().create(other, NewEvent(title="Visit", **times))
        with pytest.raises(VendorRejected, match="Not Found"):
            hub.calendars().get(other.with_related(calendar="other@example.com"))
        hub.calendars().create(CALENDAR, NewEvent(title="Visit", **times), idempotency_key="k")
        id_ = sandbox.events()[0].id
        extra = {"google_calendar": {"id": id_}}
        with pytest.raises(AlreadyExists, match="already exists"):
            hub.calendars().create(CALENDAR, NewEvent(title="V", **times, extra=extra))
    sandbox.tokens.forget()
    wrong_request = Request.get("/", headers={"Authorization": "Bearer x"})
    url = "https://www.googleapis.com/calendar/v3/users/me/calendarList"
    assert 401 == SandboxHttpClient(sandbox).send(wrong_request, url, Timeouts()).status


def test_account_without_a_key_asks_the_provider() -> None:
    """An account without a key has no OAuth client, and uses the credential provider."""
    assert {} == GoogleCalendar().clients()


@pytest.mark.parametrize("status, kind", [(403, AuthenticationFailed), (400, VendorRejected)])
def test_refused_cancellation_is_an_error(status: int, kind: type[Exception]) -> None:
    """A refused cancellation is an error, unless the event is missing."""
    sandbox = GoogleCalendarSandbox()
    with hub_at(sandbox) as hub:
        hub.calendars().calendars()
        sandbox.fail(google_error(status, "forbidden"))
        with pytest.raises(kind):
            hub.calendars().cancel(CALENDAR.with_related(calendar=sandbox.calendar))


@pytest.mark.parametrize("invite, updates", [(True, "all"), (False, "none")])
def test_changes_notify_the_attendees_only_if_they_are_invited(
    *, invite: bool, updates: str
) -> None:
    """Google notifies the attendees of a new, changed or cancelled event of all or of none."""
    sandbox = GoogleCalendarSandbox()
    meeting = NewEvent(title="Launch", start=START, end=END)
    with hub_at(sandbox) as hub:
        calendar = hub.calendars().calendars().items[0].ref
        ref = hub.calendars().create(calendar, meeting, invite=invite).ref
        hub.calendars().update(ref, EventChanges(title="Lift-off"), invite=invite)
        hub.calendars().cancel(ref, invite=invite)

    assert [("POST", updates), ("PATCH", updates), ("DELETE", updates)] == [
        (request.method, dict(request.query)["sendUpdates"])
        for request in sandbox.requests
        if "sendUpdates" in dict(request.query)
    ]


def test_sandbox_refuses_impossible_questions() -> None:
    """The sandbox refuses a request for busy times without a period."""
    sandbox = GoogleCalendarSandbox()
    sandbox.tokens._good.add("t")  # noqa: SLF001 - a token without its request
    request = Request.post("/", json={}, headers={"Authorization": "Bearer t"})
    url = "https://www.googleapis.com/calendar/v3/freeBusy"

    assert 400 == SandboxHttpClient(sandbox).send(request, url, Timeouts()).status


@pytest.mark.parametrize(
    "status, reason, kind",
    [
        (403, "rateLimitExceeded", "RateLimitExceeded"),
        (403, "userRateLimitExceeded", "RateLimitExceeded"),
        (403, "quotaExceeded", "RateLimitExceeded"),
        (403, "calendarUsageLimitsExceeded", "RateLimitExceeded"),
        (429, "other", "RateLimitExceeded"),
        (403, "other", "AuthenticationFailed"),
        (401, "authError", "AuthenticationFailed"),
        (400, "invalid", "InvalidRequest"),
    ],
)
def test_refusal_has_an_error_class(status: int, reason: str, kind: str) -> None:
    """The reasons of Google's limits are rate limits, and other refusals go by their status."""
    error = {"code": status, "errors": [{"reason": reason, "message": "No."}], "message": "No."}
    answer = reply({"error": error}, status)

    assert kind == type(classify(Request.get("/calendar/v3"), answer)).__name__
