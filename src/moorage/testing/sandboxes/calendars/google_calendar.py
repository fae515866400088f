"""A local sandbox that imitates Google Calendar."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, words
from moorage.testing.sandboxes._google import GoogleTokens, key_file
from moorage.testing.sandboxes.calendars.base import CalendarsSandbox, StoredEvent
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_HOST: Final = "www.googleapis.com"
_PATH: Final = "/calendar/v3"
_SCOPES: Final = frozenset({"https://www.googleapis.com/auth/calendar"})
_NOTE: Final = "kept by the calendar"
_NONE_TYPE: Final = type(None)
_ID: Final = re.compile(r"[a-v0-9]{5,1024}")
_TIME: Final = {
    "date": (str, _NONE_TYPE),
    "dateTime": (str, _NONE_TYPE),
    "timeZone": (str, _NONE_TYPE),
}
_SHAPE: Final[dict[str, Any]] = {
    "id": str,
    "summary": str,
    "description": (str, _NONE_TYPE),
    "location": (str, _NONE_TYPE),
    "start": _TIME,
    "end": _TIME,
    "attendees": [
        {
            "email!": str,
            "displayName": str,
            "optional": bool,
            "resource": bool,
            "responseStatus": str,
        }
    ],
    "recurrence": [str],
    "conferenceData": {
        "createRequest!": {
            "requestId!": str,
            "conferenceSolutionKey!": {"type!": words("hangoutsMeet")},
        }
    },
    "transparency": words("opaque transparent"),
    "visibility": words("default public private confidential"),
    "colorId": str,
}


class GoogleCalendarSandbox(CalendarsSandbox):
    """A sandbox of Google Calendar with one calendar of ada@example.com.

    Attributes:
        tokens: the endpoint that grants access tokens.
        items: all events by id, including cancelled ones.
        busy: busy times by address.
    """

    hosts = (_HOST,)

    calendar: str = "ada@example.com"
    email: str = "erp@sandbox.iam.gserviceaccount.com"
    items: dict[str, dict[str, Any]] = base.state_field(dict)
    _changed: dict[str, int] = base.state_field(dict)
    _oldest: int = base.state_field(int)

    def __attrs_post_init__(self) -> None:
        self.tokens = GoogleTokens(
            self.email, f"https://{_HOST}/token", lambda: datetime.now(UTC), _SCOPES
        )
        self.mounts = {"/token": self.tokens}
        self.busy: dict[str, list[tuple[datetime, datetime]]] = {self.calendar: []}

    def key_file(self) -> str:
        """Return the JSON text of the service account's key file."""
        return key_file(self.email, self.tokens.audience)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        events = f"{_PATH}/calendars/{{calendar}}/events"
        return {
            f"GET {_PATH}/users/me/calendarList": self._list_calendars,
            f"POST {_PATH}/freeBusy": self._free_busy,
            f"GET {events}": self._list_events,
            f"POST {events}": self._insert,
            f"GET {events}/{{id}}": self._get,
            f"PATCH {events}/{{id}}": self._patch,
            f"DELETE {events}/{{id}}": self._delete,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error(404, "notFound", f"There is no {request.path}.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token."""
        if not self.tokens.allows(request):
            raise _error(401, "authError", "Invalid Credentials")

    def events(self) -> Sequence[StoredEvent]:
        """Return the events in order of creation, without cancelled ones."""
        return [
            StoredEvent(
                id=item["id"],
                title=item["summary"],
                start=_instant(item["start"]),
                end=_instant(item["end"]),
                attendees=tuple(attendee["email"] for attendee in item.get("attendees", [])),
                annotated=item.get("colorId") == _NOTE,
            )
            for item in self.items.values()
            if item["status"] != "cancelled"
        ]

    def answer_invitation(self, id_: str, email: str) -> None:
        """Accept an invitation in an attendee's name."""
        for attendee in self.items[id_]["attendees"]:
            if attendee["email"] == email:
                attendee["responseStatus"] = "accepted"

    def annotate(self, id_: str) -> None:
        """Write a note into a field of an event that the contract does not cover."""
        self.items[id_]["colorId"] = _NOTE

    def occupy(self, email: str, start: datetime, end: datetime) -> None:
        """Record that a person is busy at a time."""
        self.busy.setdefault(email, []).append((start, end))

    def expire(self) -> None:
        """Invalidate all tokens with which clients list later changes."""
        self._oldest = self.number()

    def _list_calendars(self, request: base.SandboxRequest) -> Response:
        calendar = {
            "id": self.calendar,
            "summary": "Ada",
            "timeZone": "Europe/Berlin",
            "primary": True,
            "accessRole": "owner",
        }
        holiday_calendar = {**calendar, "id": "holidays", "primary": False, "accessRole": "reader"}
        body, _ = self._page(dict(request.query), lambda: [calendar, holiday_calendar])
        return base.reply(body)

    def _list_events(self, request: base.SandboxRequest, calendar: str) -> Response:
        self._check_calendar(calendar)
        query = dict(request.query)
        token = query.get("syncToken")
        if token is not None:
            if "timeMin" in query or "timeMax" in query:
                raise _error(400, "invalid", "A sync token cannot be combined with a time.")
            if int(token.removeprefix("sync-")) < self._oldest:
                raise _error(410, "fullSyncRequired", "Sync token is no longer valid.")
        body, number = self._page(query, lambda: [*map(_occurrence, self._selected(query))])
        if "nextPageToken" not in body:
            body["nextSyncToken"] = f"sync-{number}"
        return base.reply(body)

    def _selected(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return the events that changed after a token, or that are in a period."""
        if "syncToken" in query:
            since = int(query["syncToken"].removeprefix("sync-"))
            return [item for id_, item in self.items.items() if self._changed[id_] > since]
        start, end = (datetime.fromisoformat(query[name]) for name in ("timeMin", "timeMax"))
        return [
            item
            for item in self.items.values()
            if item["status"] != "cancelled"
            and _instant(item["start"]) < end
            and _instant(item["end"]) > start
        ]

    def _page(
        self, query: dict[str, str], items: Callable[[], list[dict[str, Any]]]
    ) -> tuple[dict[str, Any], int]:
        """Return a page, and the number of the last change that its list has."""
        token = query.get("pageToken")
        snapshot = self.snapshot(token and token.removeprefix("page-"), items)
        size = min(int(query.get("maxResults", "250")), self.largest_page)
        page, next_token = self.page_of(snapshot, size)
        body: dict[str, Any] = {"kind": "calendar#list", "items": page}
        if next_token is not None:
            body["nextPageToken"] = f"page-{next_token}"
        return body, snapshot.number

    def _insert(self, request: base.SandboxRequest, calendar: str) -> Response:
        self._check_calendar(calendar)
        body = request.json()
        if not {"start", "end"} <= body.keys():
            raise _error(400, "required", "Missing end time.")
        self._check(body, {})
        id_ = body.get("id") or f"google{self.number()}"
        if _ID.fullmatch(id_) is None:
            raise _error(400, "invalid", "Invalid resource id value.")
        if id_ in self.items:
            raise _error(409, "duplicate", "The requested identifier already exists.")
        for attendee in body.get("attendees", []):
            attendee.setdefault("responseStatus", "needsAction")
        item = {
            "organizer": {"email": self.calendar},
            **body,
            "id": id_,
            "status": "confirmed",
        }
        if item.pop("conferenceData", None) and dict(request.query).get("conferenceDataVersion"):
            item["hangoutLink"] = f"https://meet.google.com/{id_[:10]}"
        self.items[id_] = item
        self._record_change(request, item)
        return base.reply(_event_answer(item))

    def _get(self, _: base.SandboxRequest, calendar: str, id: str) -> Response:
        return base.reply(_event_answer(self._item(calendar, id)))

    def _patch(self, request: base.SandboxRequest, calendar: str, id: str) -> Response:
        item, body = self._item(calendar, id), request.json()
        self._check(body, item)
        version = request.headers.get("if-match")
        if version not in {None, item["etag"]}:
            raise _error(412, "conditionNotMet", "Precondition Failed")
        for attendee in body.get("attendees", []):
            attendee.setdefault("responseStatus", "needsAction")
        item |= body
        for name in ("start", "end"):
            item[name] = {key: value for key, value in item[name].items() if value is not None}
        self._record_change(request, item)
        return base.reply(_event_answer(item))

    def _delete(self, request: base.SandboxRequest, calendar: str, id: str) -> Response:
        item = self._item(calendar, id)
        if item["status"] == "cancelled":
            raise _error(410, "deleted", "Resource has been deleted")
        item["status"] = "cancelled"
        self._record_change(request, item)
        return Response(204)

    def _free_busy(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        shape = {"timeMin!": str, "timeMax!": str, "items!": [{"id!": str}]}
        if list(problems(shape, body)):
            raise _error(400, "invalid", "Invalid request.")
        start, end = (datetime.fromisoformat(body[name]) for name in ("timeMin", "timeMax"))
        calendars = {item["id"]: self._busy_times(item["id"], start, end) for item in body["items"]}
        return base.reply({"kind": "calendar#freeBusy", "calendars": calendars})

    def _busy_times(self, email: str, start: datetime, end: datetime) -> dict[str, Any]:
        if email not in self.busy:
            return {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}
        times = [times for times in self.busy[email] if times[0] < end and times[1] > start]
        return {"busy": [{"start": a.isoformat(), "end": b.isoformat()} for a, b in times]}

    def _record_change(self, request: base.SandboxRequest, item: dict[str, Any]) -> None:
        number = self._changed[item["id"]] = self.number()
        item["etag"] = f'"{number}"'
        if item.get("attendees") and dict(request.query).get("sendUpdates") == "all":
            self.invitations += 1

    def _item(self, calendar: str, id_: str) -> dict[str, Any]:
        self._check_calendar(calendar)
        return base.existing(self.items, id_, _error(404, "notFound", "Not Found"))

    def _check_calendar(self, calendar: str) -> None:
        if calendar != self.calendar:
            raise _error(404, "notFound", "Not Found")

    def _check(self, body: Any, item: Mapping[str, Any]) -> None:
        """Refuse invalid fields, and a time that cannot be read or ends before it starts."""
        invalid = list(problems(_SHAPE, body))
        for name in {"start", "end"} & body.keys():
            is_day, is_moment = body[name].get("date"), body[name].get("dateTime")
            if (is_day is None) == (is_moment is None):
                invalid.append((name, "time", "type"))
        if invalid:
            raise _error(400, "invalid", f"Invalid value: {invalid}")
        times = {**item, **body}
        try:
            start, end = (_instant(times[name]) for name in ("start", "end"))
        except (LookupError, ValueError):
            raise _error(400, "invalid", "Invalid start or end time.") from None
        if end < start:
            raise _error(400, "timeRangeEmpty", "The specified time range is empty.")


def _instant(value: dict[str, Any]) -> datetime:
    """Return the time of a start or end.

    Raises:
        ValueError: the time cannot be read, or has neither an offset nor a time zone.
        LookupError: there is no such time zone.
    """
    if value.get("dateTime") is None:
        day = date.fromisoformat(value["date"])
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    moment = datetime.fromisoformat(value["dateTime"])
    zone = value.get("timeZone")
    local_zone = None if zone is None else ZoneInfo(zone)
    if moment.tzinfo is None and local_zone is None:
        raise ValueError("Missing time zone definition.")
    return (moment if moment.tzinfo else moment.replace(tzinfo=local_zone)).astimezone(UTC)


def _event_answer(item: dict[str, Any]) -> dict[str, Any]:
    shown_event = dict(item)
    for name in ("start", "end"):
        zone = item[name].get("timeZone")
        if zone is not None:
            moment = _instant(item[name]).astimezone(ZoneInfo(zone))
            shown_event[name] = {**item[name], "dateTime": moment.isoformat()}
    return {name: value for name, value in shown_event.items() if value not in (None, [])}


def _occurrence(item: dict[str, Any]) -> dict[str, Any]:
    """Return an event or a series' first occurrence, as listed among single events."""
    shown_event = _event_answer(item)
    if shown_event.pop("recurrence", None):
        shown_event |= {"recurringEventId": item["id"], "id": f"{item['id']}_1"}
    return shown_event


def _error(status: int, reason: str, message: str) -> base.Refusal:
    entry = {"domain": "global", "reason": reason, "message": message}
    return base.refusal({"error": {"code": status, "message": message, "errors": [entry]}}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = GoogleCalendarSandbox()
    options = {"credentials": sandbox.key_file(), "user": sandbox.calendar}
    return SandboxFixture(sandbox=sandbox, options=options)
