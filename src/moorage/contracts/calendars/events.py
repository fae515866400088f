"""Calendars, events and their attendees, and free or busy times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.calendars.recurrence import RecurrenceRule, is_maybe_rule
from moorage.contracts.calendars.times import (
    check_order,
    is_event_time,
    is_maybe_event_time,
    zone_name,
)
from moorage.contracts.email_address import EmailAddress
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_tuple,
    check_text,
    is_a,
    is_filled,
    is_maybe_filled,
    is_tuple,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.ref import Ref

_CLEARABLE_FIELDS: Final = ("description", "location", "attendees", "recurrence")
_CHANGEABLE_FIELDS: Final = ("title", "start", "end", *_CLEARABLE_FIELDS)


class CalendarsCapability(StrEnum):
    """An optional feature of a vendor of calendars."""

    RECURRENCE = "recurrence"
    ONLINE_MEETING = "online_meeting"
    FREE_BUSY = "free_busy"
    CHANGES = "changes"
    VERSION = "version"
    WITHOUT_INVITATIONS = "without_invitations"


class AttendeeKind(OneOf, field="kind"):
    """The role of an attendee; `other` for a role that only the vendor has."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    RESOURCE = "resource"
    OTHER = "other"


class AttendeeResponse(StrEnum):
    """The reply of an attendee; `unknown` if moorage does not know the vendor's status."""

    NONE = "none"
    ACCEPTED = "accepted"
    TENTATIVE = "tentative"
    DECLINED = "declined"
    ORGANIZER = "organizer"
    UNKNOWN = "unknown"


class EventStatus(StrEnum):
    """The state of an event; `unknown` if moorage does not know the vendor's status."""

    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


def check_address(value: object, field: str) -> None:
    """Refuse any value except the email address of a person or a room.

    Raises:
        InvalidData: the value is not an address, or contains a name too.
    """
    check_text(value, field)
    try:
        EmailAddress(str(value))
    except InvalidData as error:
        error.field = field
        raise


@frozen
class Attendee:
    """A person or a room that is invited to an event.

    Attributes:
        email: email address.
        name: name, as others see it.
        kind: role of the attendee.
        response: reply of the attendee. It is read only, and not sent.
    """

    email: str = field(validator=is_filled, repr=False)
    name: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    kind: AttendeeKind = field(default=AttendeeKind.REQUIRED, converter=AttendeeKind)
    response: AttendeeResponse = AttendeeResponse.NONE


def _are_apart(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None:
        return
    are_all(Attendee)(_, attribute, value)
    for number, attendee in enumerate(value):
        check_address(attendee.email, f"{attribute.name}[{number}].email")
    if len({attendee.email.casefold() for attendee in value}) < len(value):
        raise InvalidData(
            f"The {attribute.name} name one email address more than once.",
            field=attribute.name,
            remedy="Name each attendee once.",
        )


def _as_maybe_tuple(value: Any) -> Any:
    return None if value is None else as_tuple(value)


@frozen(kw_only=True)
class NewEvent:
    """An event to be written into a calendar.

    Attributes:
        title: title, as attendees see it.
        start: begin: a date for whole days, otherwise a datetime with a named time zone.
        end: end, of the same kind. The end of whole days is the day after the last one.
        description: plain text about the event.
        location: name or address of a place.
        attendees: people and rooms that are invited.
        recurrence: value of an RRULE (RFC 5545), such as FREQ=WEEKLY;BYDAY=MO;COUNT=10.
        online_meeting: True to create an online meeting with the event.
        busy: False if attendees stay free at this time.
        private: True to hide the details from others who see the calendar.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    title: str = field(validator=is_filled, repr=False)
    start: date | datetime = field(validator=is_event_time)
    end: date | datetime = field(validator=is_event_time)
    description: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    location: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    attendees: tuple[Attendee, ...] = field(
        default=(), converter=as_tuple, validator=_are_apart, repr=False
    )
    recurrence: str | None = field(default=None, validator=is_maybe_rule)
    online_meeting: bool = field(default=False, validator=is_a(bool))
    busy: bool = field(default=True, validator=is_a(bool))
    private: bool = field(default=False, validator=is_a(bool))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an end before the start, and a rule that does not fit the start."""
        check_order(self.start, self.end)
        if self.recurrence is not None:
            RecurrenceRule.parse(self.recurrence).check_start(self.start)

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to create this event."""
        needs = {
            CalendarsCapability.RECURRENCE: self.recurrence is not None,
            CalendarsCapability.ONLINE_MEETING: self.online_meeting,
        }
        return frozenset(capability for capability, applies in needs.items() if applies)


def _are_clearable(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not is_tuple(value) or not all(name in _CLEARABLE_FIELDS for name in value):
        raise InvalidData(
            "`clear` names a field that does not exist or cannot be emptied.",
            field=attribute.name,
            remedy=f"Use only these names: {', '.join(_CLEARABLE_FIELDS)}.",
        )


@frozen(kw_only=True)
class EventChanges:
    """Changes of an event; fields that are not given stay unchanged in the calendar.

    Attributes:
        title, description, location, recurrence: new values, with the meaning that they have in
            `NewEvent`.
        start, end: new times; change both or neither of them.
        attendees: complete list of attendees; those who stay keep their replies.
        clear: names of fields to empty, such as ["location"].
    """

    title: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    start: date | datetime | None = field(default=None, validator=is_maybe_event_time)
    end: date | datetime | None = field(default=None, validator=is_maybe_event_time)
    description: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    location: str | None = field(default=None, validator=is_maybe_filled, repr=False)
    attendees: tuple[Attendee, ...] | None = field(
        default=None, converter=_as_maybe_tuple, validator=_are_apart, repr=False
    )
    recurrence: str | None = field(default=None, validator=is_maybe_rule)
    clear: tuple[str, ...] = field(default=(), converter=as_tuple, validator=_are_clearable)

    def __attrs_post_init__(self) -> None:
        """Refuse an empty change, `start` or `end` alone, and a field both set and cleared."""
        if (self.start is None) != (self.end is None):
            raise InvalidData(
                "The changes have only one of `start` and `end`.",
                field="end",
                remedy="Give both `start` and `end`, or neither.",
            )
        if self.start is not None and self.end is not None:
            check_order(self.start, self.end)
        if self.recurrence is not None:
            self._check_recurrence(RecurrenceRule.parse(self.recurrence))
        for name in self.clear:
            if getattr(self, name) is not None:
                raise InvalidData(
                    f"The field {name} has a new value, but is also in `clear`.",
                    field="clear",
                    remedy="Give the new value or name the field in `clear`, not both.",
                )
        if not self.values:
            raise InvalidData(
                "The changes do not change any field.",
                field="changes",
                remedy="Give at least one field a new value, or name it in `clear`.",
            )

    def _check_recurrence(self, rule: RecurrenceRule) -> None:
        if self.start is None:
            raise InvalidData(
                "The changes have a new recurrence, but no `start` and `end`.",
                field="start",
                remedy="Give `start` and `end` too, since the recurrence rule counts from them.",
            )
        rule.check_start(self.start)

    @property
    def values(self) -> Mapping[str, Any]:
        """The new value of each changed field; None or an empty tuple if the field is cleared."""
        fields = {name: getattr(self, name) for name in _CHANGEABLE_FIELDS}
        set_values = {name: value for name, value in fields.items() if value is not None}
        return {**set_values, **{name: () if name == "attendees" else None for name in self.clear}}

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to make these changes."""
        has_recurrence = "recurrence" in self.values
        return frozenset({CalendarsCapability.RECURRENCE} if has_recurrence else ())


@frozen(kw_only=True)
class CalendarEvent:
    """An event in a calendar; a field is None if the vendor has no value.

    Attributes:
        ref: reference of the event.
        title: title.
        start: beginning: a date for whole days, otherwise a moment in the event's time zone, or
            in UTC if moorage does not know the vendor's name of the zone.
        end: end, of the same kind. The end of whole days is the day after the last one.
        status: state of the event.
        description: text about the event, as the vendor has it; it may be HTML.
        location: name or address of the place.
        organizer: email address of the organizer.
        attendees: people and rooms that are invited, with their replies.
        recurrence: value of the RRULE; None for a single event, and for a series that no rule
            can express.
        series: reference of the series, if this is one of its occurrences.
        meeting_url: URL of the online meeting.
        version: version of the event, for `update`; None if the vendor compares no versions.
        raw: the vendor's complete response.
    """

    ref: Ref
    title: str | None = field(default=None, repr=False)
    start: date | datetime | None = None
    end: date | datetime | None = None
    status: EventStatus = EventStatus.UNKNOWN
    description: str | None = field(default=None, repr=False)
    location: str | None = field(default=None, repr=False)
    organizer: str | None = field(default=None, repr=False)
    attendees: tuple[Attendee, ...] = field(default=(), repr=False)
    recurrence: str | None = None
    series: Ref | None = None
    meeting_url: str | None = field(default=None, repr=False)
    version: str | None = None
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def all_day(self) -> bool:
        """True for an event of whole days."""
        return self.start is not None and not isinstance(self.start, datetime)

    @property
    def time_zone(self) -> str | None:
        """The IANA name of the event's time zone; None for whole days."""
        return zone_name(self.start) if isinstance(self.start, datetime) else None


@frozen(kw_only=True)
class CalendarEntry:
    """A calendar that the account can see.

    Attributes:
        ref: reference of the calendar.
        name: name of the calendar.
        time_zone: IANA name of its time zone, if the vendor states it.
        primary: True for the default calendar of its owner.
        writable: True if the account may write events; None if the vendor does not state it.
        raw: the vendor's complete response.
    """

    ref: Ref
    name: str | None = field(default=None, repr=False)
    time_zone: str | None = None
    primary: bool = False
    writable: bool | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class CalendarPage:
    """One page of the list of an account's calendars.

    Attributes:
        items: calendars on this page.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[CalendarEntry, ...]
    next: Ref | None = field(default=None, repr=False)


@frozen(kw_only=True)
class EventChange:
    """An event that was added, changed or removed since the changes were last read.

    Attributes:
        ref: reference of the event.
        event: the event as it is now; None if the event was deleted.
    """

    ref: Ref
    event: CalendarEvent | None


@frozen(kw_only=True)
class ChangePage:
    """A page of the changes of a calendar.

    Attributes:
        items: changes on this page; a page may be empty although another one follows.
        next: reference to pass for the next page; None after the last.
        later: reference to store, and to pass when you next read changes; only on the last page.
    """

    items: tuple[EventChange, ...]
    next: Ref | None = field(default=None, repr=False)
    later: Ref | None = field(default=None, repr=False)


@frozen(kw_only=True)
class BusyTime:
    """A time at which a person or a room is not free.

    Attributes:
        start: begin, in UTC.
        end: end, in UTC.
        tentative: True if it is not certain.
    """

    start: datetime
    end: datetime
    tentative: bool = False


@frozen(kw_only=True)
class Availability:
    """The busy times of one person or room.

    Attributes:
        email: address that was asked about.
        busy: busy times in order; None if the vendor could not determine them.
        problem: the vendor's reason, if it could not determine them.
    """

    email: str = field(repr=False)
    busy: tuple[BusyTime, ...] | None
    problem: str | None = None
