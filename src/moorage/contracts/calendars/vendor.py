"""The operations of a vendor of calendars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.calendars.events import (
        Availability,
        CalendarEvent,
        CalendarPage,
        ChangePage,
        EventChanges,
        NewEvent,
    )
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

KIND: Final = "calendars"


class CalendarsVendor(Protocol):
    """The operations of a vendor of calendars; its `capabilities` list the optional ones."""

    async def calendars(self, wire: Wire, after: Ref | None, /) -> CalendarPage: ...

    async def create(
        self, wire: Wire, ref: Ref, event: NewEvent, /, *, invite: bool, key: str | None
    ) -> CalendarEvent: ...

    async def get(self, wire: Wire, ref: Ref, /) -> CalendarEvent: ...

    async def update(
        self,
        wire: Wire,
        ref: Ref,
        changes: EventChanges,
        /,
        *,
        version: str | None,
        invite: bool,
    ) -> CalendarEvent: ...

    async def cancel(self, wire: Wire, ref: Ref, /, *, invite: bool) -> None: ...

    async def changes(
        self, wire: Wire, ref: Ref, /, *, start: datetime, end: datetime, after: Ref | None
    ) -> ChangePage: ...

    async def free_busy(
        self, wire: Wire, emails: tuple[str, ...], /, *, start: datetime, end: datetime
    ) -> tuple[Availability, ...]: ...
