"""Google Calendar: events of a person or service account, by version 3 of the API.

An event gets its id from moorage, so a lost creation is looked up by this id. Google cannot always
recognise a second event with the same id at once, so a creation that may have been executed is not
sent again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.calendars import CalendarPage, CalendarsCapability, ChangePage
from moorage.vendors.calendars import _google_calendar_events as events
from moorage.vendors.calendars._common import (
    calendar_of,
    check_kinds,
    created_event,
    event_identity,
    is_gone,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.calendars import (
        Availability,
        CalendarEvent,
        EventChanges,
        NewEvent,
    )
    from moorage.vendor_sdk import Ref, Wire

_API: Final = "/calendar/v3"
_PAGE: Final = "250"
_NO_FIELDS: Final[Mapping[str, Any]] = {}


@attrs.frozen(kw_only=True)
class GoogleCalendar(sdk.GoogleVendor):
    """The calendars of a person at Google.

    Attributes:
        credentials: JSON key of a service account; by default the credential provider supplies a
            token.
        user: email address of the person for whom the service account acts, by domain-wide
            delegation; by default the service account acts for itself, and cannot invite anybody.
        base_url: URL of the API.
    """

    name = "google_calendar"
    kinds = ("calendars",)
    api_version = "v3"
    capabilities = frozenset(CalendarsCapability)
    limits: ClassVar[Mapping[str, int]] = {"addresses": 50}

    google_scope = "https://www.googleapis.com/auth/calendar"
    refusals = staticmethod(events.classify)

    user: str | None = None
    base_url: str = attrs.field(
        default="https://www.googleapis.com", converter=sdk.validate_base_url
    )

    def google_subject(self) -> str | None:
        """The person whose calendars are used."""
        return self.user

    async def calendars(self, wire: Wire, after: Ref | None, /) -> CalendarPage:
        """List calendars."""
        pairs = {"maxResults": _PAGE, **({} if after is None else {"pageToken": after.id})}
        response = await wire.send(sdk.Request.get(f"{_API}/users/me/calendarList", query=pairs))
        answer = sdk.read_answer(response)
        token = answer.text("nextPageToken")
        # The list has at least the calendar of the person.
        items = sdk.required_objects(answer, "items", response)
        return CalendarPage(
            items=tuple(events.calendar_of(wire.ref, item, response) for item in items),
            next=None if token is None else wire.ref(token),
        )

    async def create(
        self, wire: Wire, ref: Ref, event: NewEvent, /, *, invite: bool, key: str | None
    ) -> CalendarEvent:
        """Insert an event; if the response is lost, look the event up."""
        check_kinds(event.attendees, "Google Calendar")
        id_ = event_identity(wire, ref, key)
        extra = sdk.extra_for(self.name, event.extra)
        request = sdk.Request.post(
            _events(ref.id),
            query=_query(invite=invite),
            json=sdk.merged(events.event_body(event, id_), extra),
        )
        read = partial(events.read_event, ref.id, wire.ref)
        creating = wire.send(request, key=key, parse=read)

        async def look_up() -> CalendarEvent:
            return read(await wire.send(sdk.Request.get(_event(ref.id, id_))))

        return await created_event(creating, look_up)

    async def get(self, wire: Wire, ref: Ref, /) -> CalendarEvent:
        """Get an event."""
        calendar = calendar_of(ref)
        response = await wire.send(sdk.Request.get(_event(calendar, ref.id)))
        return events.read_event(calendar, wire.ref, response)

    async def update(
        self, wire: Wire, ref: Ref, changes: EventChanges, /, *, version: str | None, invite: bool
    ) -> CalendarEvent:
        """Change the named fields of an event; remaining attendees keep their replies."""
        check_kinds(changes.attendees or (), "Google Calendar")
        calendar, values = calendar_of(ref), changes.values
        current = _NO_FIELDS
        if values.get("attendees"):
            current = (await self.get(wire, ref)).raw
        request = sdk.Request.patch(
            _event(calendar, ref.id),
            query=_query(invite=invite),
            json=events.change_body(values, current),
            headers={} if version is None else {"If-Match": version},
        )
        read = partial(events.read_event, calendar, wire.ref)
        return await wire.send(request.evolve(idempotent=version is None), parse=read)

    async def cancel(self, wire: Wire, ref: Ref, /, *, invite: bool) -> None:
        """Delete an event."""
        path = _event(calendar_of(ref), ref.id)
        pairs = {"sendUpdates": "all" if invite else "none"}
        try:
            await wire.send(sdk.Request.delete(path, query=pairs), parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if not is_gone(refusal):
                raise

    async def changes(
        self, wire: Wire, ref: Ref, /, *, start: datetime, end: datetime, after: Ref | None
    ) -> ChangePage:
        """List the events of a period, or those changed since a token."""
        pairs = {"singleEvents": "true", "maxResults": _PAGE}
        token = None if after is None else after.other("token")
        if token is not None:
            pairs["syncToken"] = token
        else:
            pairs |= {"timeMin": start.isoformat(), "timeMax": end.isoformat()}
        if after is not None and after.other("page") is not None:
            pairs["pageToken"] = str(after.other("page"))
        elif after is not None and token is None:
            raise _cursor_error(after)
        response = await wire.send(sdk.Request.get(_events(ref.id), query=pairs))
        answer = sdk.read_answer(response)
        page, sync_token = answer.text("nextPageToken"), answer.text("nextSyncToken")
        if page is None:
            sdk.required(sync_token, response, "nextSyncToken")
        return ChangePage(
            items=tuple(
                events.change_of(ref.id, wire.ref, item, response)
                for item in answer.objects("items")
            ),
            next=None if page is None else wire.ref(ref.id, page=page, token=token),
            later=None if page is not None else wire.ref(ref.id, token=sync_token),
        )

    async def free_busy(
        self, wire: Wire, emails: tuple[str, ...], /, *, start: datetime, end: datetime
    ) -> tuple[Availability, ...]:
        """Get the busy times of calendars, by their owners' addresses."""
        body = {
            "timeMin": start.isoformat(),
            "timeMax": end.isoformat(),
            "items": [{"id": email} for email in emails],
        }
        request = sdk.Request.post(f"{_API}/freeBusy", json=body).evolve(idempotent=True)
        response = await wire.send(request)
        calendars = sdk.read_answer(response).value("calendars")
        if not sdk.is_object(calendars):
            raise sdk.malformed(response, "calendars")
        return tuple(
            events.availability_of(email, sdk.as_answer(calendars.get(email))) for email in emails
        )


def _cursor_error(after: Ref) -> sdk.InvalidData:
    return sdk.InvalidData(
        f"The reference {str(after)[:80]!r} is not a cursor of changes of a calendar.",
        field="after",
        remedy="Pass the `next` of the previous page, or the `later` of an earlier result.",
    )


def _query(*, invite: bool) -> dict[str, str]:
    return {"sendUpdates": "all" if invite else "none", "conferenceDataVersion": "1"}


def _events(calendar: str) -> str:
    return f"{_API}/calendars/{quote(calendar, safe='')}/events"


def _event(calendar: str, id_: str) -> str:
    return f"{_events(calendar)}/{quote(id_, safe='')}"
