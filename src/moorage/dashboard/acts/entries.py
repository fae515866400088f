"""The actions on entries of the outbox and the inbox, one at a time or in batches."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.dashboard.acts.action_kinds import Act
from moorage.dashboard.people import Group
from moorage.dashboard.reading import OUTBOX
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.dashboard.acts.action_kinds import ActContext

BATCH: Final = 500
"""Entries that one confirmation changes at most."""

_PAGE: Final = 100


def _change_entry(verb: str, words: str) -> Callable[[ActContext], str]:
    def perform_act(context: ActContext) -> str:
        change = getattr(context.reader.box(context.required_value("box")), verb)
        entry = change(
            context.required_value("id"), actor=context.person.name, reason=context.reason
        )
        return f"The entry {entry.id} ({entry.target}: {entry.operation}) {words}."

    return perform_act


def _explain_entry(words: str) -> Callable[[ActContext], str]:
    def explain(context: ActContext) -> str:
        entry = context.reader.entry(context.required_value("box"), context.required_value("id"))
        doubt_note = (
            " The outcome of this entry is unknown: its call may have been done. First check"
            " at the vendor whether it was done."
            if entry.state is EntryState.UNKNOWN
            else ""
        )
        return f"The entry {entry.id} ({entry.target}: {entry.operation}) {words}.{doubt_note}"

    return explain


def dead_letters(values: Mapping[str, str], until: datetime | None) -> EntryQuery:
    """Return the query for dead entries added before a time.

    Raises:
        InvalidData: a value of the filter is invalid.
    """
    return EntryQuery(
        states={EntryState.DEAD},
        target=values.get("target"),
        operation=values.get("operation"),
        tenant=values.get("tenant"),
        until=until,
        limit=_PAGE,
    )


def _end_of_filter(context: ActContext) -> datetime:
    try:
        end_time = datetime.fromisoformat(context.required_value("until"))
    except ValueError:
        end_time = None
    if end_time is None or end_time.tzinfo is None:
        raise InvalidData(
            "The time in the filter is not a time with a time zone.",
            field="until",
            remedy="Go back to the page and press the button there again.",
        )
    return end_time


def _change_entries(verb: str, words: str) -> Callable[[ActContext], str]:
    def perform_act(context: ActContext) -> str:
        box, query = (
            context.reader.box(context.required_value("box")),
            dead_letters(context.values, _end_of_filter(context)),
        )
        ids: list[str] = []
        has_more = False
        while len(ids) < BATCH:
            page = box.find(query)
            ids += [entry.id for entry in page.items]
            has_more = page.next is not None
            if not has_more:
                break
            query = attrs.evolve(query, after=page.next)
        changed_count, problems = 0, list[str]()
        for id in ids[:BATCH]:
            try:
                getattr(box, verb)(id, actor=context.person.name, reason=context.reason)
            except ConnectorError as error:
                problems.append(str(error))
            else:
                changed_count += 1
        if problems and not changed_count:
            raise InvalidData(
                f"None of {len(problems)} entries was changed. The first problem: {problems[0]}",
                field="entries",
                remedy="Look at the entries, then try again.",
            )
        next_batch_hint = (
            " More entries match the filter: confirm again to change the next batch."
            if has_more
            else ""
        )
        failure_words = (
            f" Entries that could not be changed: {len(problems)}. The first problem: {problems[0]}"
            if problems
            else ""
        )
        return f"{_entries(changed_count)} {words}.{failure_words}{next_batch_hint}"

    return perform_act


def _explain_entries(words: str) -> Callable[[ActContext], str]:
    def explain(context: ActContext) -> str:
        name = context.required_value("box")
        count = context.reader.count(name, dead_letters(context.values, _end_of_filter(context)))
        filters = ", ".join(
            f"{field} {context.values[field]}"
            for field in ("target", "operation", "tenant")
            if field in context.values
        )
        number = f"{count.text} dead {'entry' if count.text == '1' else 'entries'}"
        at_most = f" At most {BATCH} entries are changed at a time." if count.more else ""
        return f"{number} of the {name}{f' with {filters}' if filters else ''} {words}.{at_most}"

    return explain


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def permission_for_box(values: Mapping[str, str]) -> Group:
    """Return the permission for actions on a queue's entries."""
    return Group.OUTBOX if values.get("box") == OUTBOX else Group.INBOX


_ENTRY: Final[dict[str, Any]] = {
    "group": permission_for_box,
    "fields": ("box", "id"),
    "back": ("/entry", ("box", "id")),
}
_ENTRIES: Final[dict[str, Any]] = {
    "group": permission_for_box,
    "fields": ("box", "target", "operation", "tenant", "until"),
    "back": ("/dead", ("box", "target", "operation", "tenant")),
}

ENTRY_ACTS: Final = (
    Act(
        **_ENTRY,
        name="entry-replay",
        title="Process this entry again?",
        button="Process again",
        explain=_explain_entry("will be processed again, with a full set of attempts"),
        perform=_change_entry("replay", "is due again"),
    ),
    Act(
        **_ENTRY,
        name="entry-drop",
        title="Drop it?",
        button="Drop",
        needs_reason=True,
        explain=_explain_entry("will be cancelled and not tried again"),
        perform=_change_entry("drop", "is dropped"),
    ),
    Act(
        **_ENTRIES,
        name="entries-replay",
        title="Process all these entries again?",
        button="Process all again",
        explain=_explain_entries("will be processed again, with a full set of attempts"),
        perform=_change_entries("replay", "due again"),
    ),
    Act(
        **_ENTRIES,
        name="entries-drop",
        title="Drop all these entries?",
        button="Drop all",
        needs_reason=True,
        explain=_explain_entries("will be cancelled and not tried again"),
        perform=_change_entries("drop", "dropped"),
    ),
)
