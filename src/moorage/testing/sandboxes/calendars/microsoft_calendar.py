"""A local sandbox that imitates the calendars of Microsoft Graph."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, words
from moorage.testing.sandboxes.calendars.base import CalendarsSandbox, StoredEvent
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_LOGIN: Final = "login.microsoftonline.com"
_GRAPH: Final = "graph.microsoft.com"
_DIRECTORY: Final = "00000000-0000-4000-8000-00000000d1c7"
_CLIENT_ID: Final = "00000000-0000-4000-8000-00000000a991"
_NOTE: Final = "kept by the calendar"
_DAYS: Final = words("monday tuesday wednesday thursday friday saturday sunday")
_TIME: Final = {"dateTime!": str, "timeZone!": str}
_RECURRENCE: Final[dict[str, Any]] = {
    "pattern!": {
        "type!": words(
            "daily weekly absoluteMonthly relativeMonthly absoluteYearly relativeYearly"
        ),
        "interval!": int,
        "daysOfWeek": [_DAYS],
        "firstDayOfWeek": _DAYS,
        "dayOfMonth": int,
        "month": int,
        "index": words("first second third fourth last"),
    },
    "range!": {
        "type!": words("endDate noEnd numbered"),
        "startDate!": str,
        "endDate": str,
        "numberOfOccurrences": int,
        "recurrenceTimeZone": str,
    },
}
_SHAPE: Final[dict[str, Any]] = {
    "subject": str,
    "body": {"contentType!": words("text html"), "content!": str},
    "start": _TIME,
    "end": _TIME,
    "isAllDay": bool,
    "location": {"displayName!": str},
    "attendees": [
        {
            "emailAddress!": {"address!": str, "name": str},
            "type!": words("required optional resource"),
        }
    ],
    "isOnlineMeeting": bool,
    "onlineMeetingProvider": words("teamsForBusiness"),
    "showAs": words("free tentative busy oof workingElsewhere unknown"),
    "sensitivity": words("normal personal private confidential"),
    "transactionId": str,
    "singleValueExtendedProperties": [{"id!": str, "value!": str}],
    "categories": [str],
}
_FILTER: Final = re.compile(
    r"singleValueExtendedProperties/any\(ep: ep/id eq '([^']+)' and ep/value eq '([^']+)'\)"
)


class MicrosoftCalendarSandbox(CalendarsSandbox):
    """A sandbox of Microsoft Graph with one calendar of ada@example.com.

    Attributes:
        client_secret: client secret of the application.
        tokens: the token endpoint.
        items: all events by id.
        busy: busy times by address.
    """

    hosts = (_GRAPH, _LOGIN)
    directory = _DIRECTORY
    client_id = _CLIENT_ID

    client_secret: str = "for-the-calendar-sandbox-only"
    user: str = "ada@example.com"
    calendar: str = "AAMkAGVmMDEzMTM4"
    items: dict[str, dict[str, Any]] = base.state_field(dict)
    _changed: dict[str, int] = base.state_field(dict)
    _oldest: int = base.state_field(int)

    def __attrs_post_init__(self) -> None:
        path = f"/{_DIRECTORY}/oauth2/v2.0/token"
        scope = f"https://{_GRAPH}/.default"
        self.tokens = TokenEndpoint(path, _CLIENT_ID, self.client_secret, posted=True, scope=scope)
        self.mounts = {path: self.tokens}
        self.busy: dict[str, list[tuple[datetime, datetime]]] = {self.user: []}

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        user = "/v1.0/users/ada@example.com"
        calendar = f"{user}/calendars/{{calendar}}"
        return {
            f"GET {user}/calendars": self._list_calendars,
            f"POST {user}/calendar/getSchedule": self._schedule,
            f"GET {calendar}/calendarView/delta": self._delta,
            f"GET {calendar}/events": self._search,
            f"POST {calendar}/events": self._create,
            f"GET {user}/events/{{id}}": self._get,
            f"PATCH {user}/events/{{id}}": self._update,
            f"DELETE {user}/events/{{id}}": self._delete,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error(400, "BadRequest", f"There is no {request.path}.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the token, and that the request wants times in UTC."""
        if not self.tokens.allows(request):
            raise _error(401, "InvalidAuthenticationToken", "Access token is invalid.")
        if 'outlook.timezone="UTC"' not in (request.headers.get("prefer") or ""):
            raise _error(400, "BadRequest", "The request does not ask for a time zone.")

    def events(self) -> Sequence[StoredEvent]:
        """Return the events in order of creation, without cancelled ones."""
        return [
            StoredEvent(
                id=item["id"],
                title=item["subject"],
                start=_instant(item["start"]),
                end=_instant(item["end"]),
                attendees=tuple(
                    attendee["emailAddress"]["address"] for attendee in item.get("attendees", [])
                ),
                annotated=item.get("categories") == [_NOTE],
            )
            for item in self.items.values()
        ]

    def answer_invitation(self, id_: str, email: str) -> None:
        """Accept an invitation in an attendee's name."""
        for attendee in self.items[id_]["attendees"]:
            if attendee["emailAddress"]["address"] == email:
                attendee["status"] = {"response": "accepted"}

    def annotate(self, id_: str) -> None:
        """Write a note into a field of an event that the contract does not cover."""
        self.items[id_]["categories"] = [_NOTE]

    def occupy(self, email: str, start: datetime, end: datetime) -> None:
        """Record that a person is busy at a time."""
        self.busy.setdefault(email, []).append((start, end))

    def expire(self) -> None:
        """Invalidate all tokens with which clients list later changes."""
        self._oldest = self.number()

    def _list_calendars(self, request: base.SandboxRequest) -> Response:
        calendar = {
            "id": self.calendar,
            "name": "Calendar",
            "isDefaultCalendar": True,
            "canEdit": True,
        }
        holiday_calendar = {
            **calendar,
            "id": "holidays",
            "isDefaultCalendar": False,
            "canEdit": False,
        }
        names = {"$top", "$skiptoken"}
        body, _ = self._page(request, lambda: [calendar, holiday_calendar], names)
        return base.reply(body)

    def _delta(self, request: base.SandboxRequest, calendar: str) -> Response:
        self._check_calendar(calendar)
        query = dict(request.query)
        token = query.get("$deltatoken")
        if token is not None:
            if int(token) < self._oldest:
                raise _error(410, "SyncStateNotFound", "The sync state is not found.")
        elif "$skiptoken" not in query and not {"startDateTime", "endDateTime"} <= query.keys():
            raise _error(400, "ErrorInvalidParameter", "The start or end of the period is missing.")
        names = {"$deltatoken", "$skiptoken", "startDateTime", "endDateTime"}
        body, number = self._page(request, lambda: self._selected(query), names)
        if "@odata.nextLink" not in body:
            body["@odata.deltaLink"] = _link(request, {"$deltatoken": str(number)})
        return base.reply(body)

    def _selected(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return the entries that changed after a token, or that are in a period."""
        token = query.get("$deltatoken")
        if token is not None:
            ids = [id_ for id_, number in self._changed.items() if number > int(token)]
        else:
            start, end = (
                datetime.fromisoformat(query[name]).replace(tzinfo=UTC)
                for name in ("startDateTime", "endDateTime")
            )
            ids = [
                id_
                for id_, item in self.items.items()
                if _instant(item["start"]) < end and _instant(item["end"]) > start
            ]
        return [entry for id_ in ids for entry in self._occurrence(id_)]

    def _occurrence(self, id_: str) -> list[dict[str, Any]]:
        """Return an event as a calendar view shows it: a series as its first occurrence."""
        if id_ not in self.items:
            return [{"@removed": {"reason": "deleted"}, "id": id_}]
        item = self._event_fields(self.items[id_])
        if item.get("recurrence") is None:
            return [{**item, "type": "singleInstance"}]
        first = {name: item[name] for name in ("start", "end")}
        occurrence = {**first, "id": f"{id_}.1", "seriesMasterId": id_, "type": "occurrence"}
        return [{**item, "type": "seriesMaster"}, occurrence]

    def _page(
        self,
        request: base.SandboxRequest,
        items: Callable[[], list[dict[str, Any]]],
        names: set[str],
    ) -> tuple[dict[str, Any], int]:
        """Return a page, and the number of the last change that its list has."""
        query = dict(request.query)
        if set(query) - names:
            raise _error(400, "ErrorInvalidParameter", "A query option is not supported.")
        snapshot = self.snapshot(query.get("$skiptoken"), items)
        size = min(int(query.get("$top", "100")), self.largest_page)
        page, next_token = self.page_of(snapshot, size)
        body: dict[str, Any] = {"value": page}
        if next_token is not None:
            body["@odata.nextLink"] = _link(request, {**query, "$skiptoken": next_token})
        return body, snapshot.number

    def _search(self, request: base.SandboxRequest, calendar: str) -> Response:
        self._check_calendar(calendar)
        match = _FILTER.fullmatch(dict(request.query).get("$filter", ""))
        if match is None:
            raise _error(400, "ErrorInvalidParameter", "The filter is not supported.")
        searched_property = {"id": match[1], "value": match[2]}
        matches = [
            self._event_fields(item)
            for item in self.items.values()
            if searched_property in item.get("singleValueExtendedProperties", [])
        ]
        return base.reply({"value": matches})

    def _create(self, request: base.SandboxRequest, calendar: str) -> Response:
        self._check_calendar(calendar)
        body = request.json()
        if not {"subject", "start", "end"} <= body.keys():
            raise _error(400, "ErrorInvalidRequest", "A required property is missing.")
        self._check(body, {})
        item = {**body, "id": f"AAMkAG{self.number():08d}="}
        if item.get("isOnlineMeeting"):
            url = f"https://teams.microsoft.com/l/meetup-join/{item['id']}"
            item["onlineMeeting"] = {"joinUrl": url}
        item["organizer"] = {"emailAddress": {"address": self.user}}
        self.items[item["id"]] = item
        self._record_change(item)
        return base.reply(self._event_fields(item), 201)

    def _get(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._event_fields(self._item(id)))

    def _update(self, request: base.SandboxRequest, id: str) -> Response:
        item, body = self._item(id), request.json()
        self._check(body, item)
        version = request.headers.get("if-match")
        if version not in {None, f'W/"{item["changeKey"]}"'}:
            raise _error(412, "ErrorIrresolvableConflict", "The change key is not the current one.")
        answers = {
            attendee["emailAddress"]["address"]: attendee.get("status")
            for attendee in item.get("attendees", [])
        }
        for attendee in body.get("attendees", []):
            status = answers.get(attendee["emailAddress"]["address"])
            if status is not None:
                attendee["status"] = status
        item |= body
        self._record_change(item)
        return base.reply(self._event_fields(item))

    def _delete(self, _: base.SandboxRequest, id: str) -> Response:
        item = self._item(id)
        self._record_change(item)
        del self.items[id]
        return Response(204)

    def _schedule(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        shape = {"schedules!": [str], "startTime!": _TIME, "endTime!": _TIME}
        if list(problems(shape, body)):
            raise _error(400, "ErrorInvalidRequest", "The request is invalid.")
        start, end = _instant(body["startTime"]), _instant(body["endTime"])
        value = [self._busy_times(email, start, end) for email in body["schedules"]]
        return base.reply({"value": value})

    def _busy_times(self, email: str, start: datetime, end: datetime) -> dict[str, Any]:
        if email not in self.busy:
            error = {"message": "Not found.", "responseCode": "ErrorMailRecipientNotFound"}
            return {"scheduleId": email, "error": error}
        items = [
            {"status": "busy", "start": _date_time(times[0]), "end": _date_time(times[1])}
            for times in self.busy[email]
            if times[0] < end and times[1] > start
        ]
        working = {"status": "workingElsewhere", "start": _date_time(start), "end": _date_time(end)}
        return {"scheduleId": email, "scheduleItems": [*items, working]}

    def _record_change(self, item: dict[str, Any]) -> None:
        number = self._changed[item["id"]] = self.number()
        item["changeKey"] = f"key{number}"
        if item.get("attendees"):
            self.invitations += 1

    def _item(self, id_: str) -> dict[str, Any]:
        missing_error = _error(404, "ErrorItemNotFound", "The object was not found in the store.")
        return base.existing(self.items, id_, missing_error)

    def _check_calendar(self, calendar: str) -> None:
        if calendar != self.calendar:
            raise _error(404, "ErrorItemNotFound", "The object was not found in the store.")

    def _check(self, body: Any, item: Mapping[str, Any]) -> None:
        """Refuse invalid properties, and a time that cannot be read or ends before it starts."""
        other_fields = {name: value for name, value in body.items() if name != "recurrence"}
        invalid = list(problems(_SHAPE, other_fields))
        if body.get("recurrence") is not None:
            invalid += problems(_RECURRENCE, body["recurrence"])
        if body.get("isAllDay"):
            times = (body[name]["dateTime"] for name in ("start", "end"))
            invalid += [("#", "time", "type") for time in times if not time.endswith("T00:00:00")]
        if invalid:
            raise _error(400, "ErrorInvalidRequest", f"A property is invalid: {invalid}")
        changed = {**item, **body}
        try:
            start, end = (_instant(changed[name]) for name in ("start", "end"))
        except (LookupError, ValueError):
            raise _error(400, "ErrorInvalidRequest", "A time or time zone is invalid.") from None
        if end < start:
            code = "ErrorCalendarEndDateIsEarlierThanStartDate"
            raise _error(400, code, "The end is before the start.")

    def _event_fields(self, item: dict[str, Any]) -> dict[str, Any]:
        answer = {
            **item,
            "start": _date_time(_instant(item["start"])),
            "end": _date_time(_instant(item["end"])),
            "originalStartTimeZone": item["start"]["timeZone"],
            "@odata.etag": f'W/"{item["changeKey"]}"',
        }
        answer["attendees"] = [
            {"status": {"response": "none"}, **attendee} for attendee in item.get("attendees", [])
        ]
        answer.pop("singleValueExtendedProperties", None)
        return answer


def _instant(value: dict[str, str]) -> datetime:
    local = datetime.fromisoformat(value["dateTime"][:19])
    return local.replace(tzinfo=ZoneInfo(value["timeZone"])).astimezone(UTC)


def _date_time(moment: datetime) -> dict[str, str]:
    local = moment.replace(tzinfo=None)
    return {"dateTime": f"{local.isoformat(timespec='seconds')}.0000000", "timeZone": "UTC"}


def _link(request: base.SandboxRequest, query: dict[str, str]) -> str:
    scheme = "https" if request.host == _GRAPH else "http"
    return f"{scheme}://{request.host}{request.path}?{urlencode(query)}"


def _error(status: int, code: str, message: str) -> base.Refusal:
    return base.refusal({"error": {"code": code, "message": message, "innerError": {}}}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MicrosoftCalendarSandbox()
    options = {
        "directory": sandbox.directory,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "user": sandbox.user,
    }
    return SandboxFixture(sandbox=sandbox, options=options)
