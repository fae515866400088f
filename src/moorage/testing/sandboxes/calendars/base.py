"""The base of sandboxes for calendar vendors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.sandboxes.base import Sandbox, state_field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime


@attrs.frozen(kw_only=True)
class StoredEvent:
    """An event stored in the calendar.

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


@attrs.frozen
class Snapshot:
    """The entries of a list that its pages have not shown yet.

    Attributes:
        number: the number of the sandbox's last change when the list began.
        items: the entries, in their order.
    """

    number: int
    items: Sequence[dict[str, Any]]


class CalendarsSandbox(Sandbox, ABC):
    """A local sandbox that imitates a calendar vendor.

    Attributes:
        calendar: id of a calendar that exists from the start.
        largest_page: number of entries that a page has at most.
        invitations: number of notifications to attendees.
    """

    calendar: str = state_field(str)
    largest_page: int = state_field(lambda: 250)
    invitations: int = state_field(int)
    _later_pages: dict[str, Snapshot] = state_field(dict)

    def snapshot(
        self, token: str | None, items: Callable[[], Sequence[dict[str, Any]]]
    ) -> Snapshot:
        """Return the entries that a page and its later pages list.

        All pages of a list show the entries at the time of its first page, so that changes between
        two pages neither move entries nor go unnoticed by the next list of changes.

        Args:
            token: the token of a later page; None for the first page.
            items: returns all entries, for the first page.
        """
        if token is None:
            return Snapshot(self.number(), items())
        return self._later_pages[token]

    def page_of(self, snapshot: Snapshot, size: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return the first entries of a snapshot, and the token of the page after them, if any."""
        page, later_items = snapshot.items[:size], snapshot.items[size:]
        if not later_items:
            return [*page], None
        token = str(self.number())
        self._later_pages[token] = Snapshot(snapshot.number, later_items)
        return [*page], token

    @abstractmethod
    def events(self) -> Sequence[StoredEvent]:
        """Return the events in order of creation, without cancelled ones."""

    @abstractmethod
    def answer_invitation(self, id_: str, email: str) -> None:
        """Accept an invitation in an attendee's name."""

    @abstractmethod
    def annotate(self, id_: str) -> None:
        """Write a note into a field of an event that the contract does not cover."""

    @abstractmethod
    def occupy(self, email: str, start: datetime, end: datetime) -> None:
        """Record that a person is busy at a time."""

    @abstractmethod
    def expire(self) -> None:
        """Invalidate all tokens with which clients list later changes."""


__all__ = ["CalendarsSandbox", "Snapshot", "StoredEvent"]
