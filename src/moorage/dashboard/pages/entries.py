"""The pages of the outbox and the inbox: counts by state, dead letters, and one entry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from moorage.dashboard.layout import (
    facts,
    link,
    moment,
    section,
    state_mark,
    table,
    text_field,
)
from moorage.dashboard.markup import tag
from moorage.dashboard.pages.view import Page, older_button, spaced_name
from moorage.dashboard.reading import (
    PAGE,
)
from moorage.domain.entries.pauses import scope_of
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.dashboard.markup import Html, Node
    from moorage.dashboard.pages.view import PageContext
    from moorage.domain.entries.queue import Entry


_KINDS: Final = {
    EntryState.DONE: "good",
    EntryState.WAITING: "warn",
    EntryState.CLAIMED: "warn",
    EntryState.DROPPED: "warn",
    EntryState.PAUSED: "warn",
    EntryState.BLOCKED: "warn",
    EntryState.PREPARED: "good",
}


def queues_page(view: PageContext) -> Page:
    """Return the page of the outbox and the inbox: their counts, and the entries in one state."""
    if not view.reader.boxes:
        return Page(
            "Queues", [section("Queues", tag("p", "This page has no outbox and no inbox to show."))]
        )
    sections: list[Node] = []
    for name in view.reader.boxes:
        counts = view.reader.counts(name)
        rows: list[list[Node]] = [
            [
                link(
                    view.request,
                    state_mark(state.value, _KINDS.get(state, "bad")),
                    "/queues",
                    box=name,
                    state=state.value,
                ),
                counts[state].text,
            ]
            for state in EntryState
        ]
        states = table(("State", "Entries"), rows)
        pause = view.acts(view.act("queue-pause", box=name))
        sections.append(section(name.capitalize(), states, _pauses(view, name), pause))
    if view.get("box"):
        sections.insert(0, queue_section(view, _state(view.fields.get("state", "waiting"))))
    return Page("Queues", sections)


def _pauses(view: PageContext, name: str) -> Html | None:
    """Return the pauses of a queue, each with a button that ends it; None if there are none."""
    current_time = view.reader.now()
    rows: list[list[Node]] = [
        [
            scope_of(pause.target, pause.tenant, pause.subject),
            moment(pause.since, current_time),
            pause.reason,
            view.acts(
                view.act(
                    "queue-resume",
                    box=name,
                    target=pause.target,
                    tenant=pause.tenant,
                    subject=pause.subject,
                )
            ),
        ]
        for pause in view.reader.pauses(name)
    ]
    return table(("Paused", "Since", "Reason", ""), rows) if rows else None


def dead_page(view: PageContext) -> Page:
    """Return the page of the dead letters of both queues, with actions on a filtered selection."""
    if not view.reader.boxes:
        return Page(
            "Dead letters", [section("Queues", tag("p", "This page has no queue to show."))]
        )
    names = [view.fields["box"]] if view.get("box") else list(view.reader.boxes)
    sections: list[Node] = []
    for name in names:
        queue_view = view._replace(fields={**view.fields, "box": name})
        sections.append(queue_section(queue_view, EntryState.DEAD))
    return Page("Dead letters", sections)


def _state(value: str) -> EntryState:
    try:
        return EntryState(value)
    except ValueError:
        raise InvalidData(
            f"There is no state {value!r}.",
            field="state",
            remedy="Choose a state that the page lists.",
        ) from None


def queue_section(view: PageContext, state: EntryState) -> Html:
    """Return the entries of one queue in one state, with a filter and the possible actions."""
    name = view.fields["box"]
    filters = {field: view.get(field) for field in ("target", "operation", "tenant")}
    query = EntryQuery(
        states={state},
        target=filters["target"],
        operation=filters["operation"],
        tenant=filters["tenant"],
        limit=PAGE,
        after=view.get("after"),
    )
    page = view.reader.entries(name, query)
    current_time = view.reader.now()
    rows: list[list[Node]] = [
        [
            link(
                view.request, f"{entry.target}: {entry.operation}", "/entry", box=name, id=entry.id
            ),
            entry.tenant,
            moment(entry.added_at, current_time),
            entry.attempts,
            entry.error,
        ]
        for entry in page.items
    ]
    keep = {"box": name, "state": state.value}
    form = tag(
        "form",
        [tag("input", type="hidden", name=key, value=value) for key, value in keep.items()],
        *(
            text_field(field, field.capitalize(), view.get(field) or "")
            for field in ("target", "operation", "tenant")
        ),
        tag("div", tag("button", "Show")),
        class_="filter",
        method="get",
        action=view.request.link(view.request.path),
    )
    batch = None
    if rows and state is EntryState.DEAD:
        end_time = (current_time + timedelta(seconds=1)).isoformat()
        batch = view.acts(
            view.act("entries-replay", box=name, until=end_time, **filters),
            view.act("entries-drop", box=name, until=end_time, **filters),
        )
    columns = ("Entry", "Tenant", "Added", "Attempts", "Error")
    listing = table(columns, rows) if rows else tag("p", "No entry matches.", class_="soft")
    title = f"{name.capitalize()}: {spaced_name(state.value)}"
    pauses = _pauses(view, name) if state is EntryState.WAITING else None
    return section(title, form, pauses, listing, batch, older_button(view, page.next))


def entry_page(view: PageContext) -> Page:
    """Return the page of one entry of a queue, without the entry's content."""
    name = view.fields.get("box", "")
    entry = view.reader.entry(name, view.fields.get("id", ""))
    current_time = view.reader.now()
    entry_fields = {"box": name, "id": entry.id}
    pause = next((pause for pause in view.reader.pauses(name) if pause.covers(entry)), None)
    content = [
        facts(
            [
                (
                    "State",
                    state_mark(spaced_name(entry.state.value), _KINDS.get(entry.state, "bad")),
                ),
                ("Explained", _ENTRY_WORDS[entry.state]),
                ("Paused", None if pause is None else pause.reason),
                ("Error", entry.error),
                ("Attempts", entry.attempts),
                ("Added", moment(entry.added_at, current_time)),
                ("Due", _time_or_nothing(entry.due, current_time)),
                ("Ended", _time_or_nothing(entry.settled_at, current_time)),
                ("Tenant", entry.tenant),
                ("Subject", entry.subject),
                ("Lane", entry.lane),
                ("After", entry.predecessors),
                ("Id", tag("code", entry.id)),
            ]
        ),
        view.acts(*_entry_acts(view, entry, entry_fields)),
    ]
    return Page(
        f"{name.capitalize()}: {entry.target}, {entry.operation}", [section("Entry", *content)]
    )


_ENTRY_WORDS: Final = {
    EntryState.WAITING: "A worker takes the entry when it is due.",
    EntryState.CLAIMED: "A worker is processing the entry now.",
    EntryState.DONE: "The entry is done.",
    EntryState.UNKNOWN: "The call of this entry may have been done. Check at the vendor whether"
    " it was done before you process the entry again.",
    EntryState.DEAD: "The entry failed for good. Nothing more happens until a person decides.",
    EntryState.DROPPED: "A person cancelled the entry.",
    EntryState.PAUSED: "This entry is a pause, not a call: it keeps workers from taking other"
    " entries.",
    EntryState.BLOCKED: "The entry waits until the calls before it are done.",
    EntryState.UNDOING: "The entry failed for good. The calls before it are undone when all of"
    " them have ended.",
    EntryState.PREPARED: "The entry can undo a call that is done. So far there is no reason to"
    " undo it.",
}


def _time_or_nothing(at: datetime | None, now: datetime) -> Node:
    return None if at is None else moment(at, now)


def _entry_acts(view: PageContext, entry: Entry, where: Mapping[str, str]) -> list[Html | None]:
    ended_states = {EntryState.DEAD, EntryState.UNKNOWN, EntryState.DROPPED, EntryState.PREPARED}
    replay = view.act("entry-replay", **where) if entry.state in ended_states else None
    droppable_states = ended_states - {EntryState.DROPPED} | {
        EntryState.WAITING,
        EntryState.BLOCKED,
    }
    drop_button = view.act("entry-drop", **where) if entry.state in droppable_states else None
    if entry.state is EntryState.PAUSED:
        return []
    box = where["box"]
    pause_target = view.act(
        "queue-pause", words=f"Pause {entry.target}", box=box, target=entry.target
    )
    pause_subject = None
    if entry.subject is not None:
        pause_subject = view.act(
            "queue-pause", words=f"Pause {entry.subject}", box=box, subject=entry.subject
        )
    return [replay, drop_button, pause_target, pause_subject]
