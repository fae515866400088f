"""Helpers of calendar vendors: references, times, and look-ups after lost responses."""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.calendars import Attendee, AttendeeKind, AttendeeResponse, CalendarEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


_GONE_STATUSES: Final = (404, 410)


def is_gone(error: sdk.VendorRejected) -> bool:
    """True if the vendor answered that an event does not exist or was deleted."""
    return error.status in _GONE_STATUSES


def event_identity(wire: sdk.Wire, calendar: sdk.Ref, key: str | None) -> str:
    """A text that identifies a new event; the same idempotency key gives the same text.

    Args:
        wire: supplies a new id for an event without a key.
        calendar: calendar of the event.
        key: idempotency key of the creation.
    """
    text = wire.new_id() if key is None else f"{wire.tenant or ''}\n{calendar.id}\n{key}"
    return sha256(text.encode()).hexdigest()[:40]


async def created_event(
    creating: Awaitable[CalendarEvent],
    look_up: Callable[[], Awaitable[CalendarEvent | None]],
) -> CalendarEvent:
    """The new event; if the response was lost, the event is looked up in the calendar.

    Raises:
        OutcomeUnknown: the response was lost, and the event is not in the calendar.
    """
    try:
        return await creating
    except sdk.OutcomeUnknown as unknown_outcome:
        try:
            event = await look_up()
        except sdk.ConnectorError:
            event = None
        if event is None:
            raise unknown_outcome from None
        return event


def check_kinds(attendees: tuple[Attendee, ...], vendor: str) -> None:
    """Refuse attendees of the kind `other`, which the vendor does not support.

    Raises:
        InvalidData: a kind is `other`.
    """
    for number, attendee in enumerate(attendees):
        if attendee.kind is AttendeeKind.OTHER:
            raise sdk.InvalidData(
                f"{vendor} does not support attendees of the kind 'other'.",
                field=f"attendees[{number}].kind",
                remedy="Use the kind 'required', 'optional' or 'resource'.",
            )


def calendar_of(ref: sdk.Ref) -> str:
    """The calendar id in an event's reference.

    Raises:
        InvalidData: the reference does not name an event.
    """
    calendar = ref.other("calendar")
    if calendar is not None:
        return calendar
    raise sdk.InvalidData(
        "The reference is not the reference of an event.",
        field="ref",
        remedy="Pass the `ref` of an event, not the reference of a calendar.",
    )


def attendee_of(
    email: str | None, name: str | None, kind: AttendeeKind, response: AttendeeResponse
) -> tuple[Attendee, ...]:
    """The attendee in a response; empty if there is no address."""
    if email is None or not email.strip():
        return ()
    shown_name = None if name is None or not name.strip() else name
    return (Attendee(email=email, name=shown_name, kind=kind, response=response),)


def day_of(text: str | None) -> date | None:
    """Return the date in a text such as 2026-03-01; None if the text is not a date."""
    try:
        return None if text is None else date.fromisoformat(text[:10])
    except ValueError:
        return None


def moment_of(text: str | None) -> datetime | None:
    """The time in an ISO 8601 text with any number of decimals; UTC if it has no offset."""
    if text is None:
        return None
    whole_seconds, point, decimals_and_zone = text.partition(".")
    decimals = decimals_and_zone[
        : len(decimals_and_zone) - len(decimals_and_zone.lstrip("0123456789"))
    ]
    offset = decimals_and_zone[len(decimals) :]
    try:
        moment = datetime.fromisoformat(f"{whole_seconds}{point}{decimals[:6]}{offset}")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        return None
