"""The data from which pages are rendered, and the elements that several pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from moorage.dashboard.acts import ACTS
from moorage.dashboard.layout import (
    button,
    section,
)
from moorage.dashboard.markup import tag
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.dashboard.markup import Html, Node
    from moorage.dashboard.people import Person
    from moorage.dashboard.reading import Reader
    from moorage.dashboard.web import PageRequest


class Page(NamedTuple):
    """A page: its title and its sections."""

    title: str
    content: list[Node]


class PageContext(NamedTuple):
    """The data and helpers from which every page is rendered.

    Attributes:
        request: the request.
        fields: the fields of its query.
        person: the person.
        reader: reads the present state.
        four_eyes: True if a second person must confirm how a payment is closed.
    """

    request: PageRequest
    fields: Mapping[str, str]
    person: Person
    reader: Reader
    four_eyes: bool

    def get(self, name: str) -> str | None:
        """Return the value of a query field; None if it is absent."""
        return self.fields.get(name) or None

    def act(self, name: str, /, *, words: str | None = None, **fields: object) -> Html | None:
        """Return a button to the confirmation of an action; None without the person's permission.

        Args:
            name: the name of the action.
            words: the label of the button; by default the label of the action.
            fields: the fields of the action.
        """
        act = ACTS[name]
        values = {key: str(value) for key, value in fields.items() if value is not None}
        if not self.person.may(act.group(values)):
            return None
        return button(self.request, words or act.button, f"/acts/{name}", **values)

    def acts(self, *buttons: Html | None) -> Html | None:
        """Return a row of buttons, without those that are None; None if there are none."""
        visible_buttons = [item for item in buttons if item is not None]
        return tag("div", visible_buttons, class_="acts") if visible_buttons else None


def readable_section(title: str, build: Callable[[], Node]) -> Html:
    """Return a section of the page, or the reason why its data cannot be read."""
    try:
        content = build()
    except ConnectorError as error:
        content = tag("div", str(error), class_="notice bad", role="alert")
    return section(title, content)


def count_text(number: int, noun: str) -> str:
    """Return a number with a noun in singular or plural, such as "2 payments"."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def spaced_name(value: str) -> str:
    """Return a name with spaces in place of underscores."""
    return value.replace("_", " ")


def older_button(view: PageContext, after: str | None) -> Html | None:
    """Return the button to the next page of a list; None on the last page."""
    if after is None:
        return None
    fields = {**view.fields, "after": after}
    return tag("p", button(view.request, "Older", view.request.path, **fields))
