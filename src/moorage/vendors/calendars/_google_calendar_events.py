"""Conversion of Google calendars and events to values of the contract, and the reverse."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.calendars import (
    Attendee,
    AttendeeKind,
    AttendeeResponse,
    Availability,
    BusyTime,
    CalendarEntry,
    CalendarEvent,
    EventChange,
    EventStatus,
    RecurrenceRule,
    zone_name,
    zone_of,
)
from moorage.vendors.calendars._common import attendee_of, day_of, moment_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.calendars import NewEvent
    from moorage.vendor_sdk import Answer, ConnectorError, MakeRef, Request, Response

_RULE: Final = "RRULE:"
_WRITERS: Final = ("owner", "writer")
_STATUSES: Final = {
    "confirmed": EventStatus.CONFIRMED,
    "tentative": EventStatus.TENTATIVE,
    "cancelled": EventStatus.CANCELLED,
}
_RESPONSES: Final = {
    "needsAction": AttendeeResponse.NONE,
    "accepted": AttendeeResponse.ACCEPTED,
    "tentative": AttendeeResponse.TENTATIVE,
    "declined": AttendeeResponse.DECLINED,
}
_NAMES: Final = {"title": "summary", "description": "description", "location": "location"}
_GONE: Final = 410
_LIMITS: Final = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "calendarUsageLimitsExceeded"}
)
_KINDS: Final[Mapping[int, type[Any]]] = {
    400: sdk.InvalidRequest,
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    409: sdk.AlreadyExists,
    412: sdk.ChangedMeanwhile,
    429: sdk.RateLimitExceeded,
}


def classify(request: Request, response: Response) -> ConnectorError | None:
    """Return the error for an error response, by its reason and status."""
    status = response.status
    if status < 400 or status >= 500 or status == 408:
        return None
    error = sdk.error_answer(response).object("error")
    reasons = [reason for item in error.objects("errors") if (reason := item.text("reason"))]
    reason = next(iter(reasons), None) or error.text("status")
    if reason is None:
        return None
    kind = _KINDS.get(status, sdk.VendorRejected)
    if reason in _LIMITS:
        kind = sdk.RateLimitExceeded
    elif status == _GONE and request.method is sdk.HttpMethod.GET:
        kind = sdk.ChangesExpired
    words = sdk.masked_words(error.text("message"))
    return sdk.refusal(kind, "Google Calendar", response, reason, words)


def event_body(event: NewEvent, id: str) -> dict[str, Any]:
    """The body of a new event.

    Args:
        event: event to write.
        id: id of the new event.
    """
    body: dict[str, Any] = {
        "id": id,
        "summary": event.title,
        "start": time_body(event.start),
        "end": time_body(event.end),
    }
    if event.description is not None:
        body["description"] = event.description
    if event.location is not None:
        body["location"] = event.location
    if event.attendees:
        body["attendees"] = [_attendee_body(attendee) for attendee in event.attendees]
    if event.recurrence is not None:
        body["recurrence"] = [_RULE + RecurrenceRule.parse(event.recurrence).text]
    if event.online_meeting:
        body["conferenceData"] = {
            "createRequest": {
                "requestId": id,
                "conferenceSolutionKey": {"type": "hangoutsMeet"},
            }
        }
    if not event.busy:
        body["transparency"] = "transparent"
    if event.private:
        body["visibility"] = "private"
    return body


def change_body(values: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """The request fields that change an event.

    Args:
        values: new value of each named field, None or empty for a field to empty.
        current: the event as Google has it, whose attendees keep their answers.
    """
    body: dict[str, Any] = {field: values[name] for name, field in _NAMES.items() if name in values}
    for name in ("start", "end"):
        if name in values:
            empty_time = {"date": None, "dateTime": None, "timeZone": None}
            body[name] = empty_time | time_body(values[name])
    if "attendees" in values:
        existing = {
            str(item.raw.get("email")).casefold(): item.raw
            for item in sdk.as_answer(current).objects("attendees")
        }
        body["attendees"] = [
            {**existing.get(attendee.email.casefold(), {}), **_attendee_body(attendee)}
            for attendee in values["attendees"]
        ]
    if "recurrence" in values:
        rule = values["recurrence"]
        body["recurrence"] = [] if rule is None else [_RULE + RecurrenceRule.parse(rule).text]
    return body


def time_body(value: date | datetime) -> dict[str, str]:
    """A time in Google's format, with an offset to distinguish repeated clock times."""
    if not isinstance(value, datetime):
        return {"date": value.isoformat()}
    return {"dateTime": value.isoformat(timespec="seconds"), "timeZone": zone_name(value) or "UTC"}


def _attendee_body(attendee: Attendee) -> dict[str, Any]:
    body: dict[str, Any] = {
        "email": attendee.email,
        "optional": attendee.kind is AttendeeKind.OPTIONAL,
    }
    if attendee.name is not None:
        body["displayName"] = attendee.name
    if attendee.kind is AttendeeKind.RESOURCE:
        body["resource"] = True
    return body


def calendar_of(ref: MakeRef, answer: Answer, response: Response) -> CalendarEntry:
    """The calendar in a list entry."""
    id_ = sdk.required(answer.text("id"), response, "id")
    role = answer.text("accessRole")
    return CalendarEntry(
        ref=ref(id_),
        name=answer.text("summary"),
        time_zone=answer.text("timeZone"),
        primary=answer.flag("primary") is True,
        writable=None if role is None else role in _WRITERS,
        raw=answer.raw,
    )


def read_event(calendar: str, ref: MakeRef, response: Response) -> CalendarEvent:
    """The event in a response about one event."""
    return event_of(calendar, ref, sdk.read_answer(response), response)


def event_of(calendar: str, ref: MakeRef, answer: Answer, response: Response) -> CalendarEvent:
    """An event of a calendar."""
    id_ = sdk.required(answer.text("id"), response, "id")
    series = answer.text("recurringEventId")
    return CalendarEvent(
        ref=ref(id_, calendar=calendar),
        title=answer.text("summary"),
        start=_time_of(answer.object("start")),
        end=_time_of(answer.object("end")),
        status=_STATUSES.get(answer.text("status") or "", EventStatus.UNKNOWN),
        description=answer.text("description"),
        location=answer.text("location"),
        organizer=answer.text("organizer.email"),
        attendees=tuple(
            attendee for item in answer.objects("attendees") for attendee in _attendees_of(item)
        ),
        recurrence=_rule_of(answer.texts("recurrence")),
        series=None if series is None else ref(series, calendar=calendar),
        meeting_url=_meeting_url(answer),
        version=answer.text("etag"),
        raw=answer.raw,
    )


def change_of(calendar: str, ref: MakeRef, answer: Answer, response: Response) -> EventChange:
    """The change in a list entry; a cancelled event is reported as gone."""
    event = event_of(calendar, ref, answer, response)
    is_gone = event.status is EventStatus.CANCELLED
    return EventChange(ref=event.ref, event=None if is_gone else event)


def availability_of(email: str, answer: Answer) -> Availability:
    """The busy times of one address."""
    problems = [item.text("reason") or "unknown" for item in answer.objects("errors")]
    if problems or not sdk.is_list(answer.value("busy")):
        return Availability(email=email, busy=None, problem=next(iter(problems), "notAnswered"))
    times = (
        (moment_of(item.text("start")), moment_of(item.text("end")))
        for item in answer.objects("busy")
    )
    return Availability(
        email=email, busy=tuple(BusyTime(start=a, end=b) for a, b in times if a and b)
    )


def _time_of(answer: Answer) -> date | datetime | None:
    moment = moment_of(answer.text("dateTime"))
    if moment is None:
        return day_of(answer.text("date"))
    zone = zone_of(answer.text("timeZone"))
    return moment if zone is None else moment.astimezone(zone)


def _attendees_of(answer: Answer) -> tuple[Attendee, ...]:
    kind = AttendeeKind.OPTIONAL if answer.flag("optional") else AttendeeKind.REQUIRED
    response = _RESPONSES.get(answer.text("responseStatus") or "", AttendeeResponse.UNKNOWN)
    return attendee_of(
        email=answer.text("email"),
        name=answer.text("displayName"),
        kind=AttendeeKind.RESOURCE if answer.flag("resource") else kind,
        response=AttendeeResponse.ORGANIZER if answer.flag("organizer") else response,
    )


def _rule_of(lines: tuple[str, ...]) -> str | None:
    if len(lines) != 1 or not lines[0].startswith(_RULE):
        return None
    try:
        return RecurrenceRule.parse(lines[0].removeprefix(_RULE)).text
    except sdk.InvalidData:
        return None


def _meeting_url(answer: Answer) -> str | None:
    urls = (
        item.text("uri")
        for item in answer.objects("conferenceData.entryPoints")
        if item.text("entryPointType") == "video"
    )
    return next(urls, None) or answer.text("hangoutLink")
