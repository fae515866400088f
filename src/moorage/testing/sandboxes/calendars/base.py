"""The base of sandboxes that imitate vendors of calendars."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import attrs

from moorage.testing.sandboxes.base import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@attrs.frozen(kw_only=True)
class StoredEvent:
    """An event as the calendar keeps it.

    Attributes:
        id: the vendor's id of the event.
        title: title.
        start, end: moments in UTC; of whole days, midnight in UTC.
        attendees: addresses of the attendees, in order.
        annotated: True if the notes that `annotate` wrote still exist.
    """

    id: str
    title: str
    start: datetime
    end: datetime
    attendees: tuple[str, ...] = ()
    annotated: bool = False


class CalendarsSandbox(Sandbox, ABC):
    """A local sandbox that imitates a vendor of calendars.

    Attributes:
        calendar: id of a calendar that exists from the start.
        largest_page: number of entries that a page has at most.
        invitations: number of notifications to attendees.
    """

    calendar: str
    largest_page: int = 250

    def __init__(self) -> None:
        super().__init__()
        self.invitations = 0

    @abstractmethod
    def events(self) -> Sequence[StoredEvent]:
        """Return the events in the order of their creation, without cancelled ones."""

    @abstractmethod
    def answer_invitation(self, id_: str, email: str) -> None:
        """Accept an invitation for an attendee."""

    @abstractmethod
    def annotate(self, id_: str) -> None:
        """Write a note into an event, in a field that no contract has."""

    @abstractmethod
    def occupy(self, email: str, start: datetime, end: datetime) -> None:
        """Record that a person is busy at a time."""

    @abstractmethod
    def expire(self) -> None:
        """End the validity of all references to earlier changes."""


__all__ = ["CalendarsSandbox", "StoredEvent"]
