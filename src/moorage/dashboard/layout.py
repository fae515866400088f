"""The common layout of pages, and the elements of which pages consist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.dashboard.markup import Html, join_nodes, tag
from moorage.dashboard.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from moorage.dashboard.markup import Node
    from moorage.dashboard.people import Person
    from moorage.dashboard.tokens import Notice
    from moorage.dashboard.web import PageRequest

NAV: Final = (
    ("/", "Now"),
    ("/unknown", "Unknown outcomes"),
    ("/dead", "Dead letters"),
    ("/queues", "Queues"),
    ("/calls", "Calls"),
    ("/levels", "Service levels"),
)

GOOD: Final = "good"
WARN: Final = "warn"
BAD: Final = "bad"

_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))

Cells: TypeAlias = "Sequence[Node]"


def document(
    request: PageRequest,
    person: Person,
    title: str,
    *content: Node,
    notice: Notice | None = None,
    name: str = "moorage",
) -> Html:
    """Return a whole HTML page in the common layout.

    Args:
        request: the request.
        person: the person who looks at it.
        title: the title of the page.
        content: the sections of the page.
        notice: the message about the previous action, if any.
        name: the name of the installation, such as "moorage in production".
    """
    links = [
        tag(
            "a",
            words,
            href=request.link(path),
            aria_current="page" if path == request.path else None,
        )
        for path, words in NAV
    ]
    person_words = f"{person.name}{'' if person.acts else ' (read only)'}"
    body = tag(
        "body",
        tag("a", "Skip to the content", class_="skip", href="#content"),
        tag(
            "header",
            tag(
                "div",
                tag("strong", name),
                tag("nav", links, aria_label="Pages"),
                tag("span", person_words, class_="who"),
                class_="bar",
            ),
        ),
        tag("main", tag("h1", title), _notice_box(notice), content, id="content"),
        tag("footer", "All times are UTC. Load the page again for the present state."),
    )
    return _whole_document(f"{title} – {name}", body)


def bare_document(title: str, *content: Node) -> Html:
    """Return a page for a person who is not logged in, such as the login page."""
    main_element = tag("main", tag("h1", title), tag("section", content), id="content")
    return _whole_document(f"{title} – moorage", tag("body", main_element))


def _whole_document(title: str, body: Html) -> Html:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    return join_nodes(Html("<!doctype html>"), tag("html", head, body, lang="en"))


def _notice_box(notice: Notice | None) -> Html | None:
    if notice is None:
        return None
    kind = GOOD if notice.good else BAD
    return tag("div", notice.text, class_=f"notice {kind}", role="status")


def section(title: str, *content: Node) -> Html:
    """Return a section with a title."""
    return tag("section", tag("h2", title), content)


def state_mark(words: str, kind: str) -> Html:
    """Return a state as a coloured word."""
    return tag("span", words, class_=f"mark {kind}")


def table(columns: Sequence[str], rows: Iterable[Cells], *, caption: str | None = None) -> Html:
    """Return a table; the first cell of a row is its title."""
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            [
                tag("td", cell, data_label=label)
                for label, cell in zip(columns[1:], row[1:], strict=True)
            ],
        )
        for row in rows
    ]
    return tag(
        "table",
        None if caption is None else tag("caption", caption),
        tag("thead", tag("tr", [tag("th", column, scope="col") for column in columns])),
        tag("tbody", body),
    )


def facts(pairs: Iterable[tuple[str, Node]]) -> Html:
    """Return a definition list of names and values, without the empty values."""
    return tag(
        "dl",
        [
            join_nodes(tag("dt", name), tag("dd", value))
            for name, value in pairs
            if value not in {None, ""}
        ],
    )


def link(request: PageRequest, words: Node, path: str, /, **fields: object) -> Html:
    """Return a link to another page."""
    return tag("a", words, href=request.link(path, **fields))


def button(request: PageRequest, words: str, path: str, /, **fields: object) -> Html:
    """Return a link that looks like a button."""
    return tag("a", words, class_="button", href=request.link(path, **fields))


def text_field(
    name: str, label: str, value: str = "", *, kind: str = "text", required: bool = False
) -> Html:
    """Return an input field in its label."""
    return tag(
        "label", label, tag("input", name=name, type=kind, value=value or None, required=required)
    )


def choice_field(name: str, label: str, options: Mapping[str, str], value: str = "") -> Html:
    """Return a selection field in its label; `options` maps values to the words that are shown."""
    items = [
        tag("option", words, value=key, selected=key == value) for key, words in options.items()
    ]
    return tag("label", label, tag("select", items, name=name))


def hidden_fields(fields: Mapping[str, str]) -> list[Html]:
    """Return form fields that are sent but not shown."""
    return [tag("input", type="hidden", name=name, value=value) for name, value in fields.items()]


def span(seconds: float) -> str:
    """Return a duration as readable text, such as "3 min"."""
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    size, unit = next(unit for unit in _UNITS if seconds >= unit[0])
    return (
        f"{seconds / size:.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.3g} {unit}"
    )


def moment(at: datetime, now: datetime) -> Html:
    """Return a time as text, with the time that has passed since then."""
    age = (now - at).total_seconds()
    words = f"{span(age)} ago" if age >= 0 else f"in {span(-age)}"
    return tag(
        "time",
        f"{at:%Y-%m-%d %H:%M:%S} ",
        tag("span", f"({words})", class_="soft"),
        datetime=at.isoformat(timespec="seconds"),
    )
