"""Microsoft calendars: a person's Outlook events, by version 1.0 of Microsoft Graph.

Graph recognises a `transactionId`, but does not say for how long. So a creation that may have been
executed is not sent again, but looked up by a property of the event. Graph always invites the
attendees.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, unquote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.calendars import CalendarPage, CalendarsCapability, ChangePage
from moorage.vendors.calendars import _microsoft_calendar_events as events
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
    from moorage.vendor_sdk import Answer, Ref, Request, Response, Wire

_PAGE: Final = "100"
_KEY: Final = re.compile(r"\('([^'()]*)'\)")
"""A key in OData's spelling of a path."""


@attrs.frozen(kw_only=True)
class MicrosoftCalendar(sdk.OAuthVendor):
    """The calendars of a person at Microsoft.

    Attributes:
        directory: id or domain of the tenant.
        client_id: client id of the application.
        client_secret: client secret of the application; without both, the credential provider
            supplies a token.
        user: user name or id of the person.
        login_url: URL of Microsoft's authorisation server.
        base_url: URL of Microsoft Graph.
    """

    name = "microsoft_calendar"
    kinds = ("calendars",)
    api_version = "v1.0"
    capabilities = frozenset(CalendarsCapability) - {CalendarsCapability.WITHOUT_INVITATIONS}
    limits: ClassVar[Mapping[str, int]] = {"addresses": 20}

    headers: ClassVar[Mapping[str, str]] = {
        "Prefer": 'IdType="ImmutableId", outlook.timezone="UTC"',
    }
    oauth_options = ("directory", "client_id", "client_secret")
    refusals = staticmethod(events.classify)

    user: str = attrs.field(
        validator=sdk.matches(
            r"[^\s/?#]{1,200}",
            problem="The value is not a user name or the id of a person.",
            remedy="Set a user name such as ada@example.com.",
        )
    )
    directory: str | None = None
    login_url: str = "https://login.microsoftonline.com"
    base_url: str = attrs.field(
        default="https://graph.microsoft.com", converter=sdk.validate_base_url
    )

    def oauth_settings(self) -> Mapping[str, Any]:
        """The token endpoint of the tenant."""
        tenant = quote(str(self.directory), safe="")
        return {
            "server": f"{self.login_url.rstrip('/')}/{tenant}/oauth2/v2.0/token",
            "authentication": sdk.ClientAuthentication.POST,
            "scope": f"{self.base_url.rstrip('/')}/.default",
        }

    async def calendars(self, wire: Wire, after: Ref | None, /) -> CalendarPage:
        """List calendars."""
        path = f"{self._user}/calendars"
        request = sdk.Request.get(path, query={"$top": _PAGE})
        response = await wire.send(request if after is None else _page(after, path))
        answer = sdk.read_answer(response)
        items = sdk.required_objects(answer, "value", response)
        return CalendarPage(
            items=tuple(events.calendar_of(wire.ref, item, response) for item in items),
            next=self._link(wire, answer, "@odata.nextLink", response),
        )

    async def create(
        self,
        wire: Wire,
        ref: Ref,
        event: NewEvent,
        /,
        *,
        invite: bool,  # noqa: ARG002 - Graph always invites
        key: str | None,
    ) -> CalendarEvent:
        """Create an event; if the response is lost, look the event up."""
        check_kinds(event.attendees, "Microsoft Graph")
        id_ = event_identity(wire, ref, key)
        body = sdk.merged(events.event_body(event, id_), sdk.extra_for(self.name, event.extra))
        path = f"{self._user}/calendars/{quote(ref.id, safe='')}/events"
        read = partial(events.read_event, ref.id, wire.ref)
        creating = wire.send(sdk.Request.post(path, json=body), key=key, parse=read)

        async def look_up() -> CalendarEvent | None:
            condition = (
                "singleValueExtendedProperties/any(ep:"
                f" ep/id eq '{events.KEY_PROPERTY}' and ep/value eq '{id_}')"
            )
            response = await wire.send(sdk.Request.get(path, query={"$filter": condition}))
            items = sdk.read_answer(response).objects("value")
            matches = (events.event_of(ref.id, wire.ref, item, response) for item in items)
            return next(matches, None)

        return await created_event(creating, look_up)

    async def get(self, wire: Wire, ref: Ref, /) -> CalendarEvent:
        """Get an event."""
        calendar = calendar_of(ref)
        response = await wire.send(sdk.Request.get(self._event(ref.id)))
        return events.read_event(calendar, wire.ref, response)

    async def update(
        self,
        wire: Wire,
        ref: Ref,
        changes: EventChanges,
        /,
        *,
        version: str | None,
        invite: bool,  # noqa: ARG002 - Graph always tells the attendees
    ) -> CalendarEvent:
        """Change the named fields of an event."""
        check_kinds(changes.attendees or (), "Microsoft Graph")
        calendar = calendar_of(ref)
        request = sdk.Request.patch(
            self._event(ref.id),
            json=events.change_body(changes.values),
            headers={} if version is None else {"If-Match": f'W/"{version}"'},
        )
        read = partial(events.read_event, calendar, wire.ref)
        return await wire.send(request.evolve(idempotent=version is None), parse=read)

    async def cancel(
        self,
        wire: Wire,
        ref: Ref,
        /,
        *,
        invite: bool,  # noqa: ARG002 - Graph always tells the attendees
    ) -> None:
        """Delete an event; this cancels a meeting."""
        calendar_of(ref)
        try:
            await wire.send(sdk.Request.delete(self._event(ref.id)), parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if not is_gone(refusal):
                raise

    async def changes(
        self, wire: Wire, ref: Ref, /, *, start: datetime, end: datetime, after: Ref | None
    ) -> ChangePage:
        """List the events of a period, or the events that have changed since an earlier page."""
        path = f"{self._user}/calendars/{quote(ref.id, safe='')}/calendarView/delta"
        pairs = {"startDateTime": _utc(start), "endDateTime": _utc(end)}
        request = sdk.Request.get(path, query=pairs) if after is None else _page(after, path)
        response = await wire.send(request)
        answer = sdk.read_answer(response)
        next_link = self._link(wire, answer, "@odata.nextLink", response)
        delta_link = self._link(wire, answer, "@odata.deltaLink", response)
        if next_link is None:
            sdk.required(delta_link, response, "@odata.deltaLink")
        return ChangePage(
            items=tuple(events.changes_of(ref.id, wire.ref, answer, response)),
            next=next_link,
            later=None if next_link is not None else delta_link,
        )

    async def free_busy(
        self, wire: Wire, emails: tuple[str, ...], /, *, start: datetime, end: datetime
    ) -> tuple[Availability, ...]:
        """Get the busy times of people and rooms."""
        body: dict[str, Any] = {
            "schedules": list(emails),
            "startTime": {"dateTime": _utc(start), "timeZone": "UTC"},
            "endTime": {"dateTime": _utc(end), "timeZone": "UTC"},
        }
        request = sdk.Request.post(f"{self._user}/calendar/getSchedule", json=body)
        response = await wire.send(request.evolve(idempotent=True))
        answer = sdk.read_answer(response)
        if not sdk.is_list(answer.value("value")):
            raise sdk.malformed(response, "value")
        schedules = {
            (item.text("scheduleId") or "").casefold(): item for item in answer.objects("value")
        }
        return tuple(
            events.availability_of(email, schedules.get(email.casefold(), sdk.as_answer(None)))
            for email in emails
        )

    @property
    def _user(self) -> str:
        return f"/v1.0/users/{quote(self.user, safe='@')}"

    def _event(self, id_: str) -> str:
        return f"{self._user}/events/{quote(id_, safe='')}"

    def _link(self, wire: Wire, answer: Answer, name: str, response: Response) -> Ref | None:
        """The reference of a link in a response: its path and query.

        Raises:
            VendorFailed: the link leads to another server.
        """
        link = answer.raw.get(name)
        if link is None:
            return None
        base = self.base_url.rstrip("/")
        if not isinstance(link, str) or not link.startswith(f"{base}/"):
            raise sdk.malformed(response, f"{name} that is a URL at the same server")
        return wire.ref(link.removeprefix(base))


def _page(after: Ref, path: str) -> Request:
    """The request for a page; its path must be the list's path.

    Raises:
        InvalidData: the cursor belongs to another list.
    """
    page, _, query = after.id.partition("?")
    if _plain_path(page) == _plain_path(path) and query:
        return sdk.Request.get(after.id)
    raise sdk.InvalidData(
        "`after` is not a cursor of this list.",
        field="after",
        remedy="Pass the `next` or `later` of a page that this list returned.",
    )


def _plain_path(path: str) -> str:
    """A path in one spelling: Graph may write `users('ada')` for `users/ada`, and `=` for `%3D`."""
    return _KEY.sub(r"/\1", unquote(path))


def _utc(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")
