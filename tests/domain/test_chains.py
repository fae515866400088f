"""The rules of chains: waiting for other entries, and undoing them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moorage import FromAnswer, InvalidData, Undo
from moorage.domain.entries.chains import (
    MOST_PREDECESSORS,
    ancestor_ids,
    joined_ids,
    predecessor_ids,
    unblocked_entry,
    undo_changes,
    undo_id,
)
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import EntryState, finish_entry, give_up, replay_entry, take_entry

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def entry(id: str, state: str = "done", after: str | None = None, **changes: Any) -> OutboxEntry:
    """Return an entry with this state and these predecessors."""
    fields: dict[str, Any] = {
        "id": id,
        "state": EntryState(state),
        "target": "shop",
        "operation": "call",
        "added_at": NOW,
        "predecessors": after,
    }
    return OutboxEntry(**{**fields, **changes})


def by_id(*entries: OutboxEntry) -> dict[str, OutboxEntry]:
    """Return these entries as a table by id."""
    return {item.id: item for item in entries}


# --- predecessors ------------------------------------------------------------------------


def test_predecessors_are_stored_once_and_in_order() -> None:
    """A call's predecessors may be entries or ids, and a repeated predecessor counts once."""
    first = entry("a")
    assert "a,b" == joined_ids([first, "b", "a"])
    assert None is joined_ids([])
    assert ("a", "b") == predecessor_ids(entry("c", after="a,b"))
    assert () == predecessor_ids(first)


@pytest.mark.parametrize(
    "after", ["abc", entry("a"), [""], [7], ["x" * 65], ["a,b"], ["ä"], ["a\n"], [None]]
)
def test_invalid_predecessors_are_refused(after: Any) -> None:
    """A predecessor must be an entry or the id of an entry; other values are refused."""
    with pytest.raises(InvalidData) as excinfo:
        joined_ids(after)
    assert excinfo.value.remedy


def test_a_call_waits_for_sixteen_others_at_most() -> None:
    """A call may have at most sixteen predecessors, since a store keeps no more."""
    names = [f"{number:064}" for number in range(MOST_PREDECESSORS + 1)]
    stored_ids = joined_ids(names[:-1])
    assert stored_ids is not None
    assert len(predecessor_ids(entry("c", after=stored_ids))) == MOST_PREDECESSORS
    with pytest.raises(InvalidData, match="at most 16"):
        joined_ids(names)


# --- waiting ----------------------------------------------------------------------------


def test_blocked_entry_is_due_once_its_predecessors_are_done() -> None:
    """A blocked entry becomes due once its predecessors are done, with a higher fencing token."""
    blocked = entry("c", "blocked", "a,b")
    assert None is unblocked_entry(blocked, by_id(entry("a"), entry("b", "waiting")), NOW)
    released = unblocked_entry(blocked, by_id(entry("a"), entry("b")), NOW)
    assert released is not None
    assert ("waiting", NOW, 1) == (released.state, released.due, released.fence)
    assert "a,b" == released.predecessors


@pytest.mark.parametrize("state", ["waiting", "claimed", "unknown", "blocked"])
def test_entry_stays_blocked_while_predecessor_may_still_be_done(state: str) -> None:
    """An entry is blocked while a predecessor is pending, or has an unknown outcome."""
    assert None is unblocked_entry(
        entry("b", "blocked", "a"), by_id(entry("a", state)), NOW + 24 * HOUR
    )


@pytest.mark.parametrize(
    "state, words",
    [
        ("dead", "failed permanently"),
        ("undoing", "failed permanently"),
        ("dropped", "was cancelled"),
    ],
)
def test_entry_ends_if_its_predecessor_can_never_be_done(state: str, words: str) -> None:
    """If a predecessor can never be done, the entry after it ends.

    The error names the predecessor.
    """
    given_up = unblocked_entry(entry("b", "blocked", "a"), by_id(entry("a", state)), NOW)
    assert given_up is not None
    assert (EntryState.UNDOING, f"The earlier call a {words}.") == (
        given_up.state,
        given_up.error,
    )


def test_entry_waits_an_hour_for_a_missing_predecessor() -> None:
    """An entry waits an hour for a missing predecessor, which may still be committed."""
    blocked = entry("b", "blocked", "a")
    assert None is unblocked_entry(blocked, {}, NOW + HOUR - timedelta(microseconds=1))
    given_up = unblocked_entry(blocked, {}, NOW + HOUR)
    assert given_up is not None
    assert "The store does not have the earlier call a." == given_up.error


@pytest.mark.parametrize("state", ["prepared", "dropped"])
def test_an_unused_undo_does_not_stop_a_successor(state: str) -> None:
    """A call counts as done if its undo is only prepared, or was cancelled by an operator."""
    chain = by_id(entry("a"), entry("a-undo", state))
    released = unblocked_entry(entry("b", "blocked", "a"), chain, NOW)
    assert released is not None
    assert EntryState.WAITING is released.state


@pytest.mark.parametrize("state", ["waiting", "claimed", "done", "dead", "unknown", "blocked"])
def test_an_undone_predecessor_counts_as_failed(state: str) -> None:
    """A call whose undo was released is treated as undone, and the call after it is dropped."""
    chain = by_id(entry("a"), entry("a-undo", state))
    given_up = unblocked_entry(entry("b", "blocked", "a"), chain, NOW)
    assert given_up is not None
    assert "undone" in given_up.error


# --- undoing ----------------------------------------------------------------------------


def test_failed_entry_with_predecessors_becomes_undoing() -> None:
    """An entry with predecessors becomes `undoing` if it fails or if its workers died."""
    unchained, chained = entry("a", "claimed"), entry("b", "claimed", "a", attempts=3)
    assert EntryState.DEAD is give_up(unchained, NOW, "refused").state
    failed = give_up(chained, NOW, "refused")
    assert (EntryState.UNDOING, True, None) == (failed.state, failed.holds, failed.due)
    assert EntryState.UNDOING is take_entry(chained, NOW, 1.0, 3).state
    assert EntryState.DONE is finish_entry(chained, NOW).state


def test_undos_are_released_newest_first() -> None:
    """The undo of the last call is due at once; each earlier undo waits for the later undo."""
    failed = entry("d", "undoing", "c", number=9, error="refused", fence=4)
    chain = by_id(
        failed,
        entry("a", number=1),
        entry("b", after="a", number=2),
        entry("c", after="b", number=3),
        entry("a-undo", "prepared", number=5),
        entry("b-undo", "prepared", number=6),
        entry("c-undo", "prepared", number=7),
    )
    changes = undo_changes(failed, chain, NOW)
    assert changes is not None
    assert [
        ("c-undo", "waiting", None, NOW),
        ("b-undo", "blocked", "c-undo", None),
        ("a-undo", "blocked", "b-undo", None),
        ("d", "dead", "c", None),
    ] == [(item.id, item.state.value, item.predecessors, item.due) for item in changes]
    assert 5 == changes[-1].fence
    assert "refused" == changes[-1].error


def test_undos_that_were_released_before_are_left_alone() -> None:
    """If a process crashes while releasing undos, the others are still released in order."""
    failed = entry("c", "undoing", "b", number=9)
    chain = by_id(
        failed,
        entry("a", number=1),
        entry("b", after="a", number=2),
        entry("a-undo", "prepared", number=5),
        entry("b-undo", "done", number=6),
    )
    changes = undo_changes(failed, chain, NOW)
    assert changes is not None
    assert [("a-undo", "blocked", "b-undo"), ("c", "dead", "b")] == [
        (item.id, item.state.value, item.predecessors) for item in changes
    ]


def test_a_cancelled_undo_is_skipped() -> None:
    """An undo that an operator cancelled is not released, and nothing waits for it."""
    failed = entry("c", "undoing", "b", number=9)
    chain = by_id(
        failed,
        entry("a", number=1),
        entry("b", after="a", number=2),
        entry("a-undo", "prepared", number=5),
        entry("b-undo", "dropped", number=6),
    )
    changes = undo_changes(failed, chain, NOW)
    assert changes is not None
    assert [("a-undo", "waiting"), ("c", "dead")] == [
        (item.id, item.state.value) for item in changes
    ]


@pytest.mark.parametrize("state", ["waiting", "claimed", "unknown", "blocked", "undoing"])
def test_nothing_is_undone_while_a_call_before_is_open(state: str) -> None:
    """Undoing waits for each call of the chain that is still running or has an unknown outcome."""
    failed = entry("c", "undoing", "a,b")
    chain = by_id(failed, entry("a"), entry("b", state), entry("a-undo", "prepared"))
    assert None is undo_changes(failed, chain, NOW)


def test_cancelled_call_of_a_chain_undoes_nothing() -> None:
    """If an operator cancelled a call of the chain, nothing is undone.

    The error states this.
    """
    failed = entry("c", "undoing", "b", error="refused")
    chain = by_id(failed, entry("a"), entry("b", "dropped", "a"), entry("a-undo", "prepared"))
    changes = undo_changes(failed, chain, NOW)
    assert changes is not None
    assert ["c"] == [item.id for item in changes]
    assert "refused Nothing was undone" in changes[0].error


def test_failed_call_with_a_stored_undo_is_undone() -> None:
    """A call with a stored undo was done, so it is undone even if its state is a failure."""
    failed = entry("b", "undoing", "a", number=2)
    chain = by_id(failed, entry("a", "dead"), entry("b-undo", "prepared", number=3))
    changes = undo_changes(failed, chain, NOW)
    assert changes is not None
    assert ["b-undo", "b"] == [item.id for item in changes]


def test_ancestors_are_found_once_even_in_a_circle() -> None:
    """Each predecessor of a call is found once, even if the ids form a cycle."""
    chain = by_id(entry("a", after="c"), entry("b", after="a"), entry("c", after="b,x"))
    assert {"a", "b", "x"} == set(ancestor_ids(chain["c"], chain))


def test_replayed_entry_waits_for_its_predecessors_again() -> None:
    """A replayed entry waits for its predecessors again; an undo that is replayed is released."""
    replayed = replay_entry(entry("b", "dead", "a"), NOW)
    assert (EntryState.BLOCKED, None) == (replayed.state, replayed.due)
    released = replay_entry(entry("a-undo", "prepared"), NOW)
    assert (EntryState.WAITING, NOW) == (released.state, released.due)
    assert "a-undo" == undo_id("a")


# --- the call that undoes ---------------------------------------------------------------


def test_parts_of_the_answer_are_filled_in() -> None:
    """An undo's arguments may refer to attributes or items of the call's answer."""
    answer = {"order": entry("a")}
    undo = Undo("shop", "call", [FromAnswer("order.id"), 5], {"reason": FromAnswer("order")})
    assert (("a", 5), {"reason": answer["order"]}) == undo.arguments_of(answer)


@pytest.mark.parametrize("path", ["order.number.x", "nothing"])
def test_a_missing_part_of_the_answer_is_an_error(path: str) -> None:
    """If the response lacks a part that an undo needs, the error contains a remedy."""
    with pytest.raises(InvalidData, match="has no") as excinfo:
        Undo("shop", "call", [FromAnswer(path)]).arguments_of({"order": entry("a")})
    assert "by hand" in excinfo.value.remedy


@pytest.mark.parametrize(
    "make",
    [
        lambda: FromAnswer(""),
        lambda: FromAnswer(7),  # type: ignore[arg-type]  # the wrong type under test
        lambda: Undo("", "refund"),
        lambda: Undo("payments", None),  # type: ignore[arg-type]  # the wrong type under test
        lambda: Undo("payments", "refund", "abc"),
        lambda: Undo("payments", "refund", 7),  # type: ignore[arg-type]  # the wrong type under test
        lambda: Undo("payments", "refund", [], [1]),  # type: ignore[arg-type]  # the wrong type under test
    ],
)
def test_an_invalid_undo_is_refused(make: Any) -> None:
    """An undo with arguments of a wrong type is refused when it is created."""
    with pytest.raises(InvalidData) as excinfo:
        make()
    assert excinfo.value.remedy
