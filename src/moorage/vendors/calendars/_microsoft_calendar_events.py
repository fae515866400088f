"""Conversion of Microsoft calendars and events to values of the contract, and the reverse."""

from __future__ import annotations

from datetime import UTC, date, datetime
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
    is_ambiguous,
    zone_name,
    zone_of,
)
from moorage.vendors.calendars._common import attendee_of, day_of, moment_of
from moorage.vendors.calendars._microsoft_calendar_rules import recurrence_body, rule_of
from moorage.vendors.calendars._microsoft_calendar_zones import iana_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import tzinfo

    from moorage.contracts.calendars import NewEvent
    from moorage.vendor_sdk import Answer, ConnectorError, MakeRef, Request, Response

KEY_PROPERTY: Final = "String {3f0b7f0a-8a53-4a43-9f4c-5a8e6c2d7b10} Name moorage-key"
"""The property of an event by which a lost creation is looked up."""
_KINDS: Final = {
    AttendeeKind.REQUIRED: "required",
    AttendeeKind.OPTIONAL: "optional",
    AttendeeKind.RESOURCE: "resource",
}
_WORDS: Final = {word: kind for kind, word in _KINDS.items()}
_RESPONSES: Final = {
    "none": AttendeeResponse.NONE,
    "notResponded": AttendeeResponse.NONE,
    "accepted": AttendeeResponse.ACCEPTED,
    "tentativelyAccepted": AttendeeResponse.TENTATIVE,
    "declined": AttendeeResponse.DECLINED,
    "organizer": AttendeeResponse.ORGANIZER,
}
_BUSY: Final = frozenset({"busy", "oof", "tentative"})
_EXPIRED: Final = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired"})
_GONE: Final = 410
_STATUSES: Final[Mapping[int, type[Any]]] = {
    400: sdk.InvalidRequest,
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    412: sdk.ChangedMeanwhile,
    429: sdk.RateLimitExceeded,
}


def classify(request: Request, response: Response) -> ConnectorError | None:
    """Return the error for an error response, by its code and status."""
    status = response.status
    if status < 400 or status >= 500 or status == 408:
        return None
    answer = sdk.error_answer(response)
    code = answer.text("error.code")
    kind = _STATUSES.get(status, sdk.VendorRejected)
    is_look = request.method is sdk.HttpMethod.GET
    if is_look and (status == _GONE or (code or "").lower() in _EXPIRED):
        kind = sdk.ChangesExpired
    words = sdk.masked_words(answer.text("error.message"))
    return sdk.refusal(
        kind, "Microsoft Graph", response, code, words, otherwise=code or f"HTTP {status}"
    )


def event_body(event: NewEvent, id: str) -> dict[str, Any]:
    """The body of a new event.

    Args:
        event: event to write.
        id: text by which Graph and a later look-up recognise the event.
    """
    body: dict[str, Any] = {
        "subject": event.title,
        **_times(event.start, event.end, is_series=event.recurrence is not None),
        "transactionId": id,
        "singleValueExtendedProperties": [{"id": KEY_PROPERTY, "value": id}],
    }
    if event.description is not None:
        body["body"] = _text(event.description)
    if event.location is not None:
        body["location"] = {"displayName": event.location}
    if event.attendees:
        body["attendees"] = [_attendee_body(attendee) for attendee in event.attendees]
    if event.recurrence is not None:
        rule = RecurrenceRule.parse(event.recurrence)
        body["recurrence"] = recurrence_body(rule, event.start)
    if event.online_meeting:
        body |= {"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"}
    if not event.busy:
        body["showAs"] = "free"
    if event.private:
        body["sensitivity"] = "private"
    return body


def change_body(values: Mapping[str, Any]) -> dict[str, Any]:
    """The request fields that change an event.

    Args:
        values: new value of each named field, None or empty for a field to empty.
    """
    body: dict[str, Any] = {}
    if "title" in values:
        body["subject"] = values["title"]
    if "description" in values:
        body["body"] = _text(values["description"] or "")
    if "location" in values:
        body["location"] = {"displayName": values["location"] or ""}
    if "attendees" in values:
        body["attendees"] = [_attendee_body(attendee) for attendee in values["attendees"]]
    rule = values.get("recurrence")
    if "start" in values:
        body |= _times(values["start"], values["end"], is_series=rule is not None)
    if "recurrence" in values:
        body["recurrence"] = None
        if rule is not None:
            body["recurrence"] = recurrence_body(RecurrenceRule.parse(rule), values["start"])
    return body


def _times(start: date | datetime, end: date | datetime, *, is_series: bool) -> dict[str, Any]:
    return {
        "start": time_body(start, "start", is_series=is_series),
        "end": time_body(end, "end", is_series=is_series),
        "isAllDay": not isinstance(start, datetime),
    }


def time_body(value: date | datetime, field: str, *, is_series: bool) -> dict[str, str]:
    """A time in Graph's format: a clock time without offset, and a time zone.

    A clock time that occurs twice is sent in UTC, since Graph cannot tell which one is meant.

    Raises:
        InvalidData: a series starts or ends at a clock time that occurs twice.
    """
    if not isinstance(value, datetime):
        return {"dateTime": f"{value.isoformat()}T00:00:00", "timeZone": "UTC"}
    zone = zone_name(value) or "UTC"
    if is_ambiguous(value):
        if is_series:
            raise sdk.InvalidData(
                f"The {field} occurs twice, because clocks are set back in this hour."
                " Microsoft Graph cannot tell which of the two times is meant.",
                field=field,
                remedy="Use another time of day for the series.",
            )
        value, zone = value.astimezone(UTC), "UTC"
    local_time = value.replace(tzinfo=None, fold=0)
    return {"dateTime": local_time.isoformat(timespec="seconds"), "timeZone": zone}


def _text(content: str) -> dict[str, str]:
    return {"contentType": "text", "content": content}


def _attendee_body(attendee: Attendee) -> dict[str, Any]:
    address = {"address": attendee.email}
    if attendee.name is not None:
        address["name"] = attendee.name
    return {"emailAddress": address, "type": _KINDS[attendee.kind]}


def calendar_of(ref: MakeRef, answer: Answer, response: Response) -> CalendarEntry:
    """The calendar in a list entry; Graph states no time zone."""
    id_ = sdk.required(answer.text("id"), response, "id")
    return CalendarEntry(
        ref=ref(id_),
        name=answer.text("name"),
        primary=answer.flag("isDefaultCalendar") is True,
        writable=answer.flag("canEdit"),
        raw=answer.raw,
    )


def read_event(calendar: str, ref: MakeRef, response: Response) -> CalendarEvent:
    """The event in a response about one event."""
    return event_of(calendar, ref, sdk.read_answer(response), response)


def _zone_of(answer: Answer) -> tzinfo | None:
    """The time zone of an event; None if the response names none that is known.

    Graph states tzone://Microsoft/Custom for a zone that a program has defined itself.
    """
    paths = ("originalStartTimeZone", "recurrence.range.recurrenceTimeZone", "originalEndTimeZone")
    zones = (zone_of(iana_name(answer.text(path))) for path in paths)
    return next((zone for zone in zones if zone is not None), None)


def event_of(calendar: str, ref: MakeRef, answer: Answer, response: Response) -> CalendarEvent:
    """An event in a calendar; the response states its times in UTC."""
    id_ = sdk.required(answer.text("id"), response, "id")
    series = answer.text("seriesMasterId")
    is_all_day = answer.flag("isAllDay") is True
    zone = _zone_of(answer)
    start, end = (_time_of(answer, name, is_all_day=is_all_day) for name in ("start", "end"))
    if zone is not None and isinstance(start, datetime) and isinstance(end, datetime):
        start, end = start.astimezone(zone), end.astimezone(zone)
    rule_zone = None if is_all_day else zone or UTC
    return CalendarEvent(
        ref=ref(id_, calendar=calendar),
        title=answer.text("subject"),
        start=start,
        end=end,
        status=_status_of(answer),
        description=answer.text("body.content"),
        location=answer.text("location.displayName"),
        organizer=answer.text("organizer.emailAddress.address"),
        attendees=tuple(
            attendee for item in answer.objects("attendees") for attendee in _attendees_of(item)
        ),
        recurrence=rule_of(answer.object("recurrence"), rule_zone),
        series=None if series is None else ref(series, calendar=calendar),
        meeting_url=answer.text("onlineMeeting.joinUrl"),
        version=answer.text("changeKey"),
        raw=answer.raw,
    )


def changes_of(
    calendar: str, ref: MakeRef, answer: Answer, response: Response
) -> Iterator[EventChange]:
    """The changes on a page; an occurrence takes missing fields from its series."""
    items = [item for item in answer.objects("value") if item.text("id")]
    series = {item.text("id"): item.raw for item in items if item.text("type") == "seriesMaster"}
    for item in items:
        if sdk.is_object(item.raw.get("@removed")):
            id_ = sdk.required(item.text("id"), response, "id")
            yield EventChange(ref=ref(id_, calendar=calendar), event=None)
        elif item.text("type") != "seriesMaster":
            shared = dict(series.get(item.text("seriesMasterId"), {}))
            shared.pop("recurrence", None)
            complete_item = sdk.as_answer({**shared, **item.raw})
            event = event_of(calendar, ref, complete_item, response)
            yield EventChange(ref=event.ref, event=event)


def availability_of(email: str, answer: Answer) -> Availability:
    """The busy times of one address."""
    problem = answer.text("error.responseCode") or answer.text("error.message")
    items = answer.value("scheduleItems")
    if problem is not None or not sdk.is_list(items):
        return Availability(email=email, busy=None, problem=problem or "notAnswered")
    times = (
        (moment_of(item.text("start.dateTime")), moment_of(item.text("end.dateTime")), item)
        for item in answer.objects("scheduleItems")
        if item.text("status") in _BUSY
    )
    busy = (
        BusyTime(start=start, end=end, tentative=item.text("status") == "tentative")
        for start, end, item in times
        if start and end
    )
    return Availability(email=email, busy=tuple(busy))


def _status_of(answer: Answer) -> EventStatus:
    if answer.flag("isCancelled"):
        return EventStatus.CANCELLED
    is_tentative = answer.text("showAs") == "tentative"
    return EventStatus.TENTATIVE if is_tentative else EventStatus.CONFIRMED


def _time_of(answer: Answer, name: str, *, is_all_day: bool) -> date | datetime | None:
    text = answer.text(f"{name}.dateTime")
    return day_of(text) if is_all_day else moment_of(text)


def _attendees_of(answer: Answer) -> tuple[Attendee, ...]:
    return attendee_of(
        answer.text("emailAddress.address"),
        answer.text("emailAddress.name"),
        _WORDS.get(answer.text("type") or "", AttendeeKind.OTHER),
        _RESPONSES.get(answer.text("status.response") or "", AttendeeResponse.UNKNOWN),
    )
