"""Microsoft's calendars: requests, responses, recurrence and error responses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AuthenticationFailed,
    ChangesExpired,
    ConfigurationError,
    InvalidData,
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
    RecurrenceRule,
)
from moorage.contracts.calendars.times import zone_of
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request, Response
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.calendars.microsoft_calendar import MicrosoftCalendarSandbox
from moorage.vendor_sdk import as_answer
from moorage.vendors.calendars._microsoft_calendar_events import (
    change_body,
    classify,
    event_body,
    event_of,
    time_body,
)
from moorage.vendors.calendars._microsoft_calendar_rules import recurrence_body, rule_of
from moorage.vendors.calendars._microsoft_calendar_zones import ZONES
from moorage.vendors.calendars.microsoft_calendar import MicrosoftCalendar
from tests.vendors.calendars_subjects import RULES, graph_error

if TYPE_CHECKING:
    from collections.abc import Mapping

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 2, 9, 0, tzinfo=BERLIN)
END = START + timedelta(hours=1)
MOMENTS = st.integers(631_152_000, 2_145_916_800).map(lambda at: datetime.fromtimestamp(at, UTC))
BACK = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
CALENDAR = Ref("microsoft_calendar", "calendars", "AAMkAGVmMDEzMTM4")


def vendor_at(sandbox: MicrosoftCalendarSandbox) -> MicrosoftCalendar:
    """Return an account of Microsoft's calendars at the sandbox."""
    return MicrosoftCalendar(
        user=sandbox.user,
        directory=sandbox.directory,
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
    )


def hub_at(sandbox: MicrosoftCalendarSandbox) -> Hub:
    """Return a hub with an account at the sandbox."""
    settings = {"retry": None, "circuit": None}
    account = Account("calendars", vendor_at(sandbox), settings=settings)
    return Hub([account], http=SandboxHttpClient(sandbox))


def read(**fields: Any) -> Any:
    """Return the event that is read from a response with the given fields."""

    def ref(id: str, /, **related: str | None) -> Ref:
        return Ref("microsoft_calendar", "calendars", id).with_related(**related)

    return event_of("c", ref, as_answer({"id": "1", **fields}), Response(200))


def recurrence(rule: str, start: date | datetime = START) -> dict[str, Any]:
    """Return Graph's pattern and range for a recurrence rule."""
    return recurrence_body(RecurrenceRule.parse(rule), start)


def test_event_is_in_graphs_format() -> None:
    """Each field of a new event is sent under Graph's name for it."""
    event = NewEvent(
        title="Visit",
        start=START,
        end=END,
        description="D",
        location="L",
        attendees=[Attendee("a@b.example", "A", kind=AttendeeKind.OPTIONAL)],
        recurrence="FREQ=DAILY",
        online_meeting=True,
        busy=False,
        private=True,
    )
    body = event_body(event, "k")

    assert "k" == body.pop("singleValueExtendedProperties")[0]["value"]
    assert {
        "subject": "Visit",
        "start": {"dateTime": "2026-03-02T09:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00", "timeZone": "Europe/Berlin"},
        "isAllDay": False,
        "transactionId": "k",
        "body": {"contentType": "text", "content": "D"},
        "location": {"displayName": "L"},
        "attendees": [
            {"emailAddress": {"address": "a@b.example", "name": "A"}, "type": "optional"}
        ],
        "recurrence": {
            "pattern": {"type": "daily", "interval": 1},
            "range": {
                "type": "noEnd",
                "startDate": "2026-03-02",
                "recurrenceTimeZone": "Europe/Berlin",
            },
        },
        "isOnlineMeeting": True,
        "onlineMeetingProvider": "teamsForBusiness",
        "showAs": "free",
        "sensitivity": "private",
    } == body


def test_changes_are_in_graphs_format() -> None:
    """A change sends only the named fields; a cleared field is sent as null or empty."""
    days: dict[str, Any] = {"start": date(2026, 3, 2), "end": date(2026, 3, 3)}
    changes = EventChanges(title="T", **days, attendees=[Attendee("a@b.example")])

    assert {
        "subject": "T",
        "attendees": [{"emailAddress": {"address": "a@b.example"}, "type": "required"}],
        "start": {"dateTime": "2026-03-02T00:00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2026-03-03T00:00:00", "timeZone": "UTC"},
        "isAllDay": True,
    } == change_body(changes.values)
    cleared = EventChanges(clear=["description", "location", "recurrence"])
    assert {
        "body": {"contentType": "text", "content": ""},
        "location": {"displayName": ""},
        "recurrence": None,
    } == change_body(cleared.values)
    repeated = EventChanges(start=START, end=END, recurrence="FREQ=DAILY;COUNT=2")
    assert "numbered" == change_body(repeated.values)["recurrence"]["range"]["type"]


@given(
    moment=MOMENTS,
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_each_time_is_sent_and_read_exactly(moment: datetime, zone: str) -> None:
    """Each time is sent and read exactly, also at clock changes."""
    body = time_body(moment.astimezone(ZoneInfo(zone)), "start", is_series=False)
    local = datetime.fromisoformat(body["dateTime"]).replace(tzinfo=ZoneInfo(body["timeZone"]))
    shown = {"dateTime": f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"}
    event = read(start=shown, end=shown, originalStartTimeZone=body["timeZone"])

    assert moment == event.start.astimezone(UTC)
    assert body["timeZone"] == event.time_zone


def test_series_at_an_ambiguous_time_is_refused() -> None:
    """A local time that occurs twice is sent as UTC; a series at such a time is refused."""
    assert {"dateTime": "2026-10-25T01:30:00", "timeZone": "UTC"} == time_body(
        BACK, "start", is_series=False
    )
    with pytest.raises(InvalidData, match="twice"):
        event_body(
            NewEvent(title="V", start=BACK, end=BACK + timedelta(days=1), recurrence="FREQ=DAILY"),
            "k",
        )


@pytest.mark.parametrize("rule", RULES)
def test_each_supported_recurrence_rule_is_read_back_as_it_was_sent(rule: str) -> None:
    """Each supported recurrence rule is read back as it was sent."""
    shown = as_answer(recurrence(rule))

    assert rule == rule_of(shown, BERLIN)


@pytest.mark.parametrize(
    "rule, pattern",
    [
        ("FREQ=WEEKLY", {"daysOfWeek": ["monday"], "firstDayOfWeek": "monday"}),
        ("FREQ=MONTHLY", {"dayOfMonth": 2}),
        ("FREQ=YEARLY", {"dayOfMonth": 2, "month": 3}),
        ("FREQ=YEARLY;BYMONTH=5", {"dayOfMonth": 2, "month": 5}),
    ],
)
def test_missing_parts_follow_from_the_start(rule: str, pattern: Mapping[str, Any]) -> None:
    """A recurrence rule that names no days uses the days of the first occurrence."""
    body = recurrence(rule)["pattern"]

    assert pattern == {name: body[name] for name in pattern}


def test_last_day_of_each_month_is_day_31_of_graph() -> None:
    """The last day of each month is sent as day 31, since Graph then uses a shorter month's end."""
    assert 31 == recurrence("FREQ=MONTHLY;BYMONTHDAY=-1")["pattern"]["dayOfMonth"]
    assert 29 == recurrence("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1")["pattern"]["dayOfMonth"]


@pytest.mark.parametrize(
    "rule, part",
    [
        ("FREQ=DAILY;BYDAY=MO", "BYDAY with FREQ=DAILY"),
        ("FREQ=DAILY;BYMONTHDAY=1", "BYMONTHDAY with FREQ=DAILY"),
        ("FREQ=DAILY;BYMONTH=1", "BYMONTH with FREQ=DAILY"),
        ("FREQ=WEEKLY;BYMONTH=1", "BYMONTH with FREQ=WEEKLY"),
        ("FREQ=MONTHLY;BYMONTH=1", "BYMONTH with FREQ=MONTHLY"),
        ("FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=1", "BYMONTHDAY with FREQ=MONTHLY"),
        ("FREQ=MONTHLY;BYMONTHDAY=2;BYSETPOS=1", "BYSETPOS with FREQ=MONTHLY"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,15", "several values of BYMONTHDAY"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1,2", "several values of BYSETPOS"),
        ("FREQ=YEARLY;BYMONTH=1,2", "several values of BYMONTH"),
    ],
)
def test_refused_rule_names_its_unknown_part(rule: str, part: str) -> None:
    """The refusal of a rule names the part that Graph does not have."""
    with pytest.raises(InvalidData, match=f"recurrences with {part}[.]"):
        recurrence(rule)


@pytest.mark.parametrize(
    "rule, start",
    [
        ("FREQ=MONTHLY", date(2026, 1, 31)),
        ("FREQ=MONTHLY;BYMONTHDAY=30", date(2026, 1, 30)),
        ("FREQ=YEARLY", date(2028, 2, 29)),
    ],
)
def test_day_that_graph_would_move_is_refused(rule: str, start: date) -> None:
    """A day that shorter months lack is refused, because Graph would use their last day."""
    with pytest.raises(InvalidData, match="BYMONTHDAY=-1 is the last day of each month"):
        recurrence(rule, start)


@pytest.mark.parametrize(
    "until, last_day",
    [
        ("20260310T080000Z", "2026-03-10"),
        ("20260310T075959Z", "2026-03-09"),
        ("20260309T235959Z", "2026-03-09"),
    ],
)
def test_last_day_has_an_occurrence(until: str, last_day: str) -> None:
    """A series ends on the day of its last occurrence before the rule's UNTIL."""
    assert last_day == recurrence(f"FREQ=DAILY;UNTIL={until}")["range"]["endDate"]


def test_whole_days_end_with_a_day() -> None:
    """A series of all-day events keeps its last day."""
    body = recurrence("FREQ=DAILY;UNTIL=20260310", date(2026, 3, 2))

    assert ("2026-03-10", "UTC") == (body["range"]["endDate"], body["range"]["recurrenceTimeZone"])
    assert "FREQ=DAILY;UNTIL=20260310" == rule_of(as_answer(body), None)


@pytest.mark.parametrize(
    "pattern, bounds",
    [
        ({"type": "hourly"}, {"type": "noEnd"}),
        ({"type": "weekly", "daysOfWeek": ["funday"]}, {"type": "noEnd"}),
        ({"type": "absoluteMonthly"}, {"type": "noEnd"}),
        (
            {"type": "relativeMonthly", "daysOfWeek": ["monday"], "index": "fifth"},
            {"type": "noEnd"},
        ),
        ({"type": "relativeMonthly"}, {"type": "noEnd"}),
        ({"type": "absoluteMonthly", "dayOfMonth": 99}, {"type": "noEnd"}),
        ({"type": "absoluteMonthly", "dayOfMonth": 0}, {"type": "noEnd"}),
        ({"type": "absoluteYearly", "dayOfMonth": 1, "month": 13}, {"type": "noEnd"}),
        ({"type": "absoluteYearly", "dayOfMonth": 1}, {"type": "noEnd"}),
        ({"type": "relativeYearly", "daysOfWeek": ["monday"]}, {"type": "noEnd"}),
        ({"type": "daily"}, {"type": "endDate"}),
        ({"type": "daily"}, {"type": "numbered"}),
        ({"type": "daily"}, {"type": "someday", "endDate": "2026-03-10"}),
        ({}, {}),
    ],
)
def test_recurrence_that_moorage_cannot_express_is_none(
    pattern: dict[str, Any], bounds: dict[str, Any]
) -> None:
    """A recurrence that moorage cannot express is None, not a similar rule."""
    assert None is rule_of(as_answer({"pattern": pattern, "range": bounds}), BERLIN)


def test_windows_time_zone_names_are_translated_to_iana_names() -> None:
    """Windows time zone names are translated to IANA names, and IANA names are kept."""
    assert [] == [name for name in ZONES.values() if zone_of(name) is None]
    time = {"dateTime": "2026-03-02T08:00:00.0000000", "timeZone": "UTC"}
    for name, zone in (
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Arab Standard Time", "Asia/Riyadh"),
        ("Central Standard Time (Mexico)", "America/Mexico_City"),
        ("UTC-11", "Etc/GMT+11"),
        ("Europe/Paris", "Europe/Paris"),
        ("Moon Standard Time", "UTC"),
        (None, "UTC"),
    ):
        assert zone == read(start=time, end=time, originalStartTimeZone=name).time_zone


def test_series_in_a_zone_without_a_name_has_the_zone_of_its_rule() -> None:
    """If Graph does not name an event's time zone, the time zone of its recurrence applies."""
    bounds = {
        "type": "noEnd",
        "startDate": "2026-03-02",
        "recurrenceTimeZone": "W. Europe Standard Time",
    }
    time = {"dateTime": "2026-03-02T08:00:00.0000000", "timeZone": "UTC"}
    event = read(
        start=time,
        end=time,
        recurrence={"pattern": {"type": "daily", "interval": 1}, "range": bounds},
        originalStartTimeZone="tzone://Microsoft/Custom",
    )

    assert "Europe/Berlin" == event.time_zone


def test_last_day_ends_in_utc_in_series_with_unknown_time_zone() -> None:
    """In a series with an unknown time zone, the last day ends in UTC."""
    pattern = {"type": "daily", "interval": 1}
    bounds = {"type": "endDate", "startDate": "2026-03-02", "endDate": "2026-03-05"}
    event = read(
        start={"dateTime": "2026-03-02T08:00:00.0000000", "timeZone": "UTC"},
        recurrence={"pattern": pattern, "range": bounds},
        originalStartTimeZone="Moon Standard Time",
    )

    assert "FREQ=DAILY;UNTIL=20260305T235959Z" == event.recurrence


def test_values_that_the_calendar_adds_later_are_unknown() -> None:
    """Values that Graph may add later, and malformed values, become unknown or are left out."""
    event = read(
        start={"dateTime": "soon"},
        end=7,
        attendees=[
            {
                "emailAddress": {"address": "a@b.example"},
                "type": "guest",
                "status": {"response": "maybe"},
            },
            {"emailAddress": {}},
        ],
        originalStartTimeZone="UTC",
        showAs="tentative",
    )

    assert EventStatus.TENTATIVE is event.status
    assert EventStatus.CANCELLED is read(isCancelled=True).status
    assert (None, None) == (event.start, event.end)
    (attendee,) = event.attendees
    assert (AttendeeKind.OTHER, AttendeeResponse.UNKNOWN) == (attendee.kind, attendee.response)


@pytest.mark.parametrize("answer", [Response(408), Response(500), Response(200)])
def test_other_answers_are_left_to_the_service(answer: Response) -> None:
    """A success, an outage and a timeout are judged by the status."""
    assert None is classify(Request.get("/"), answer)


@pytest.mark.parametrize("code", ["SyncStateInvalid", "SyncStateNotFound", "resyncRequired"])
def test_code_of_an_expired_reference_is_recognised(code: str) -> None:
    """An expired sync token raises `ChangesExpired`, but only when changes are listed."""
    answer = graph_error(400, code)

    assert isinstance(classify(Request.get("/"), answer), ChangesExpired)
    assert not isinstance(classify(Request.post("/"), answer), ChangesExpired)


def test_wrong_references_are_refused() -> None:
    """A calendar's reference is refused if an event's or a change list's reference is needed."""
    sandbox = MicrosoftCalendarSandbox()
    times: dict[str, Any] = {"start": START, "end": END}
    other = Attendee("a@b.example", kind=AttendeeKind.OTHER)
    with hub_at(sandbox) as hub:
        with pytest.raises(InvalidData, match="not the reference of an event"):
            hub.calendars().cancel(CALENDAR)
        with pytest.raises(InvalidData, match="not a cursor of this list"):
            hub.calendars().changes(CALENDAR, **times, after=CALENDAR)
        with pytest.raises(InvalidData, match="of the kind 'other'"):
            hub.calendars().create(CALENDAR, NewEvent(title="V", **times, attendees=[other]))

    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "path",
    [
        "/v1.0/users('{user}')/calendars('AAMkAGE=')/calendarView/delta",
        "/v1.0/users/{quoted_user}/calendars/AAMkAGE=/calendarView/delta",
        "/v1.0/users/{user}/calendars/AAMkAGE%3D/calendarView/delta",
    ],
)
def test_link_in_another_spelling_leads_to_the_next_page(path: str) -> None:
    """A link whose path Graph spells in another way is followed as Graph wrote it."""
    sandbox = MicrosoftCalendarSandbox()
    times: dict[str, Any] = {"start": START, "end": END}
    path = path.format(user=sandbox.user, quoted_user=sandbox.user.replace("@", "%40"))
    link = f"https://graph.microsoft.com{path}?$skiptoken=1"
    last = {"value": [], "@odata.deltaLink": f"https://graph.microsoft.com{path}?$deltatoken=2"}
    calendar = Ref("microsoft_calendar", "calendars", "AAMkAGE=")
    with hub_at(sandbox) as hub:
        sandbox.fail(reply({"value": [], "@odata.nextLink": link}), reply(last))
        page = hub.calendars().changes(calendar, **times)
        end = hub.calendars().changes(calendar, **times, after=page.next)

    assert end.later is not None
    assert f"{path}?$deltatoken=2" == end.later.id
    assert [("$skiptoken", "1")] == list(sandbox.requests[-1].query)


def test_answers_that_say_nothing_are_errors() -> None:
    """A link to another server, a list without links, or a missing schedule is malformed."""
    sandbox = MicrosoftCalendarSandbox()
    times: dict[str, Any] = {"start": START, "end": END}
    foreign_page = {"value": [], "@odata.nextLink": "https://evil.example/v1.0"}
    answers: tuple[dict[str, Any], ...] = (
        foreign_page,
        {"value": []},
        {"value": [], "@odata.deltaLink": 7},
    )
    with hub_at(sandbox) as hub:
        for answer in answers:
            sandbox.fail(reply(answer))
            with pytest.raises(VendorFailed):
                hub.calendars().changes(CALENDAR, **times)
        sandbox.fail(reply({}), reply({"value": []}))
        with pytest.raises(VendorFailed):
            hub.calendars().free_busy(["a@b.example"], **times)
        (availability,) = hub.calendars().free_busy(["a@b.example"], **times)

    assert (None, "notAnswered") == (availability.busy, availability.problem)


def test_tentative_times_are_marked() -> None:
    """A tentative time is marked as tentative, and a free time is left out."""
    sandbox = MicrosoftCalendarSandbox()
    time = {"dateTime": "2026-03-02T08:00:00.0000000", "timeZone": "UTC"}
    items = [{"status": word, "start": time, "end": time} for word in ("tentative", "free", "new")]
    with hub_at(sandbox) as hub:
        sandbox.fail(reply({"value": [{"scheduleId": "A@b.example", "scheduleItems": items}]}))
        (availability,) = hub.calendars().free_busy(["a@B.example"], start=START, end=END)

    assert [True] == [item.tentative for item in availability.busy or ()]


@pytest.mark.parametrize(
    "options",
    [
        {"user": "a/b"},
        {"user": ""},
        {"user": 7},
        {"user": "ada", "client_id": "1"},
        {"user": "ada", "directory": "d", "client_id": "1"},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """A user id that would change the path, and incomplete credentials, are refused."""
    with pytest.raises(ConfigurationError):
        MicrosoftCalendar(**options)


def test_account_without_a_secret_asks_the_provider() -> None:
    """An account without a client secret gets its tokens from the credential provider."""
    assert {} == MicrosoftCalendar(user="ada@example.com").clients()


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("POST", "/calendars/AAMkAGVmMDEzMTM4/events", {"subject": "x"}, 400),
        ("POST", "/calendars/AAMkAGVmMDEzMTM4/events", {"surprise": 1}, 400),
        ("POST", "/calendars/AAMkAGVmMDEzMTM4/events", {"recurrence": {"pattern": {}}}, 400),
        (
            "POST",
            "/calendars/AAMkAGVmMDEzMTM4/events",
            {
                "subject": "x",
                "isAllDay": True,
                **{
                    name: {"dateTime": "2026-03-02T09:00:00", "timeZone": "UTC"}
                    for name in ("start", "end")
                },
            },
            400,
        ),
        ("POST", "/calendars/other/events", {}, 404),
        ("POST", "/calendar/getSchedule", {}, 400),
        ("GET", "/calendars/AAMkAGVmMDEzMTM4/events", None, 400),
        ("GET", "/calendars/AAMkAGVmMDEzMTM4/calendarView/delta", None, 400),
        ("GET", "/calendars?$orderby=name", None, 400),
        ("GET", "/calendars", None, 200),
        ("GET", "/elsewhere", None, 400),
    ],
)
def test_sandbox_refuses_what_graph_refuses(method: str, path: str, body: Any, status: int) -> None:
    """The sandbox refuses wrong paths, fields and queries with Graph's status."""
    sandbox = MicrosoftCalendarSandbox()
    sandbox.tokens._good.add("t")  # noqa: SLF001 - a token without its request
    fields = {"Authorization": "Bearer t", "Prefer": 'outlook.timezone="UTC"'}
    url = f"https://graph.microsoft.com/v1.0/users/ada@example.com{path}"
    request = (
        Request.get("/", headers=fields)
        if method == "GET"
        else Request.post("/", json=body, headers=fields)
    )

    assert status == SandboxHttpClient(sandbox).send(request, url, Timeouts()).status


@pytest.mark.parametrize(
    "fields, status",
    [({"Prefer": 'outlook.timezone="UTC"'}, 401), ({"Authorization": "Bearer t"}, 400)],
)
def test_sandbox_needs_a_token_and_a_zone(fields: dict[str, str], status: int) -> None:
    """The sandbox refuses a request that has no token or does not state a time zone."""
    sandbox = MicrosoftCalendarSandbox()
    sandbox.tokens._good.add("t")  # noqa: SLF001 - a token without its request
    url = "https://graph.microsoft.com/v1.0/users/ada@example.com/calendars"
    request = Request.get("/", headers=fields)

    assert status == SandboxHttpClient(sandbox).send(request, url, Timeouts()).status


@pytest.mark.parametrize("status, kind", [(403, AuthenticationFailed), (400, VendorRejected)])
def test_refused_cancellation_is_an_error(status: int, kind: type[Exception]) -> None:
    """A refused cancellation is an error, unless the event is missing."""
    sandbox = MicrosoftCalendarSandbox()
    with hub_at(sandbox) as hub:
        hub.calendars().calendars()
        sandbox.fail(graph_error(status, "ErrorAccessDenied"))
        with pytest.raises(kind):
            hub.calendars().cancel(CALENDAR.with_related(calendar=sandbox.calendar))
