"""Outbox and inbox entries, and queries of them: valid and invalid values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moorage import ConfigurationError, InvalidData, RateLimitExceeded, VendorFailed
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import (
    Entry,
    EntryPage,
    EntryQuery,
    EntryState,
    arrive,
    cancel_entry,
    finish_entry,
    give_up,
    lane_number,
    lane_of,
    lease_left,
    longest_pause,
    mark_unknown,
    pause_entry,
    postpone_entry,
    replay_entry,
    stored_error_text,
    take_entry,
    usual_wait,
)
from moorage.domain.resilience.retry import Jitter, RetryPolicy

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def entry(**changes: Any) -> InboxEntry:
    """Return an entry with only its required fields."""
    default_options: dict[str, Any] = {
        "id": "e1",
        "target": "stripe",
        "operation": "x",
        "added_at": NOW,
    }
    return InboxEntry(**{**default_options, **changes})


@pytest.mark.parametrize(
    "field, value",
    [
        ("id", ""),
        ("target", "x" * 256),
        ("tenant", 7),
        ("subject", ""),
        ("added_at", datetime(2026, 3, 1)),  # noqa: DTZ001 - what is refused
        ("due", "now"),
    ],
)
def test_unstorable_fields_are_refused(field: str, value: Any) -> None:
    """An entry with too long a name, or a time without a zone, is refused."""
    with pytest.raises(InvalidData) as excinfo:
        entry(**{field: value})
    assert field == excinfo.value.field


def test_long_names_are_stored() -> None:
    """An entry's name of the longest allowed length is stored unchanged."""
    assert "x" * 255 == entry(target="x" * 255).target


@pytest.mark.parametrize(
    "fields, result",
    [
        ({}, True),
        ({"target": "stripe"}, True),
        ({"target": "adyen"}, False),
        ({"operation": "x"}, True),
        ({"operation": "y"}, False),
        ({"since": NOW}, True),
        ({"since": LATER}, False),
        ({"until": NOW}, False),
        ({"until": LATER}, True),
    ],
)
def test_query_includes_its_start_and_excludes_its_end(
    fields: dict[str, Any], result: bool
) -> None:
    """A query of entries includes its start time and excludes its end time."""
    assert result is EntryQuery(**fields).matches(entry())


@pytest.mark.parametrize(
    "ids, result",
    [(None, True), ([], False), ("e1", True), (["e1", "e2"], True), (["e2"], False)],
)
def test_query_for_no_ids_matches_nothing(ids: Any, result: bool) -> None:
    """A query matches only the given ids; an empty list of ids matches no entry."""
    assert result is EntryQuery(ids=ids).matches(entry())


@pytest.mark.parametrize(
    "states, result",
    [
        (None, True),
        ([], False),
        ("waiting", True),
        (EntryState.WAITING, True),
        ([EntryState.WAITING, "dead"], True),
        (["dead"], False),
    ],
)
def test_query_for_no_states_matches_nothing(states: Any, result: bool) -> None:
    """A query matches only the given states; an empty list of states matches no entry."""
    assert result is EntryQuery(states=states).matches(entry())


def test_repr_hides_the_content() -> None:
    """The repr of an entry omits the content, because it may be personal data."""
    assert "INV-1" not in repr(entry(content=b"INV-1"))


def test_error_text_is_storable() -> None:
    """In an entry's error text, characters that databases cannot store are replaced."""
    assert stored_error_text(InvalidData("a\0b\ud800")).startswith("InvalidData: a?b?")


def test_any_text_can_name_a_lane() -> None:
    """A lane name with a lone surrogate is replaced by a digest of its bytes."""
    assert b"crm/\xed\xa0\x80".hex() == lane_of("crm", "\ud800", digest=bytes.hex)


@pytest.mark.parametrize("length, stored", [(251, True), (252, False)])
def test_long_lane_names_become_a_digest(length: int, stored: bool) -> None:
    """A long lane name is replaced by a digest."""
    name = "crm/" + "x" * length
    assert (name if stored else name.encode().hex()) == lane_of(
        "crm", "x" * length, digest=bytes.hex
    )


def test_lane_number_is_the_same_in_every_process() -> None:
    """Each lane has a 32-bit number, the same in every process and release."""
    numbers = [lane_number("outbox", lane) for lane in ("INV-1", "INV-2", "\ud800")]

    assert 873_120_062 == numbers[0]
    assert 4 == len({*numbers, lane_number("inbox", "INV-1")})
    assert all(0 <= number < 2**32 for number in numbers)


@pytest.mark.parametrize("after", ["", "x", "-1", "٣", "9" * 19, "9" * 5000])
def test_invalid_cursors_are_refused(after: str) -> None:
    """An entry query with a cursor that no page returned is refused."""
    with pytest.raises(InvalidData, match="is not the `next` of a page"):
        _ = EntryQuery(after=after).before
    assert 7 == EntryQuery(after="7").before
    assert 10**18 - 1 == EntryQuery(after="9" * 18).before


def test_page_size_of_zero_is_refused() -> None:
    """An entry query with a page size of zero is refused."""
    with pytest.raises(ConfigurationError, match="not an integer"):
        EntryQuery(limit=0)


def test_page_has_a_cursor_only_if_more_follows() -> None:
    """A page of entries has a `next` cursor only if there are more entries."""
    entries = [entry(number=number) for number in (3, 2, 1)]
    page = EntryPage.of(entries, 2)
    assert (entries[:2], "2") == (list(page.items), page.next)
    assert None is EntryPage.of(entries, 3).next


# --- state changes of an entry ----------------------------------------------------------


def _outcome(entry: Entry) -> tuple[EntryState, bool, str]:
    return entry.state, entry.holds, entry.error


@pytest.mark.parametrize("kind", [InboxEntry, OutboxEntry])
def test_ended_entries_have_time_error_and_hold(kind: type[Entry]) -> None:
    """An ended entry stores when and why it ended, and whether it blocks the entries behind it."""
    taken_entry = take_entry(kind(id="e1", target="x", operation="y", added_at=NOW), NOW, 60.0, 3)
    failed_entry = kind(id="e2", target="x", operation="y", added_at=NOW, error="It broke.")
    worn_entry = kind(id="e3", target="x", operation="y", added_at=NOW, attempts=3)
    ended_entries: list[Entry] = [
        finish_entry(taken_entry, LATER),
        mark_unknown(taken_entry, LATER, "Nobody knows."),
        give_up(taken_entry, LATER, "It broke."),
        cancel_entry(failed_entry, LATER),
        take_entry(worn_entry, LATER, 60.0, 3),
    ]

    assert [
        (EntryState.DONE, False, ""),
        (EntryState.UNKNOWN, True, "Nobody knows."),
        (EntryState.DEAD, kind is OutboxEntry, "It broke."),
        (EntryState.DROPPED, False, "It broke."),
        (EntryState.DEAD, kind is OutboxEntry, "Every worker that took the entry died."),
    ] == [_outcome(item) for item in ended_entries]
    assert [(LATER, None, 0)] * 5 == [
        (item.settled_at, item.due, item.turn) for item in ended_entries
    ]


@pytest.mark.parametrize("kind", [InboxEntry, OutboxEntry])
def test_every_change_raises_the_fencing_token(kind: type[Entry]) -> None:
    """Every change of an entry raises its fencing token by one."""
    waiting = kind(id="e1", target="x", operation="y", added_at=NOW, fence=6)
    changed_entries: list[Entry] = [
        take_entry(waiting, NOW, 60.0, 3),
        finish_entry(waiting, NOW),
        postpone_entry(waiting, LATER, "It broke."),
        mark_unknown(waiting, NOW, "Nobody knows."),
        give_up(waiting, NOW, "It broke."),
        cancel_entry(waiting, NOW),
        replay_entry(waiting, NOW),
    ]
    assert [7] * 7 == [item.fence for item in changed_entries]


def test_replay_resets_the_entry() -> None:
    """A replayed entry is open again, has no attempts, and blocks its lane."""
    repeated_entry = replay_entry(cancel_entry(entry(attempts=2, lane="a"), NOW), LATER)

    assert (EntryState.WAITING, True, "") == _outcome(repeated_entry)
    assert (LATER, None, 0, 2) == (
        repeated_entry.due,
        repeated_entry.settled_at,
        repeated_entry.attempts,
        repeated_entry.fence,
    )


def test_entry_lease_lasts_until_its_last_microsecond() -> None:
    """The lease of an entry lasts until its last microsecond.

    An entry without a worker has no lease.
    """
    taken_entry = take_entry(entry(due=NOW), NOW, 60.0, 3)
    lease_end = NOW + timedelta(seconds=60)
    assert timedelta(microseconds=1) == lease_left(
        taken_entry, lease_end - timedelta(microseconds=1)
    )
    assert timedelta() == lease_left(taken_entry, lease_end) == lease_left(taken_entry, LATER)
    assert (
        timedelta()
        == lease_left(entry(due=LATER), NOW)
        == lease_left(cancel_entry(taken_entry, NOW), NOW)
    )


@pytest.mark.parametrize(
    "due, expected", [(None, NOW), (NOW - timedelta(days=1), NOW), (LATER, LATER)]
)
def test_arrival_time_is_the_stores(due: datetime | None, expected: datetime) -> None:
    """An entry's arrival time is the store's time; the entry is due then or later."""
    arrived_entry = arrive(entry(added_at=LATER + timedelta(days=9), due=due), NOW)

    assert (NOW, expected) == (arrived_entry.added_at, arrived_entry.due)


@pytest.mark.parametrize("wish, expected", [(None, 40.0), (30.0, 40.0), (120.0, 120.0)])
def test_retry_after_raises_the_pause(wish: float | None, expected: float) -> None:
    """A failed entry waits for the longer of the error's pause and the policy's delay."""
    policy = RetryPolicy(max_attempts=9, base_delay=10.0, max_delay=60.0, jitter=Jitter.NONE)

    assert timedelta(seconds=expected) == pause_entry(policy, 3, wish, 0.5)


@pytest.mark.parametrize(
    "error, most, expected",
    [
        (RateLimitExceeded("no.", by_vendor=True), 60.0, 3_600.0),
        (RateLimitExceeded("no.", by_vendor=True), 7_200.0, 7_200.0),
        (RateLimitExceeded("no."), 60.0, 31 * 86_400.0),
        (VendorFailed("no."), 60.0, 3_600.0),
        (RuntimeError("no."), 60.0, 3_600.0),
    ],
)
def test_vendor_pause_of_entry_is_capped_at_hour_or_policy_maximum(
    error: Exception, most: float, expected: float
) -> None:
    """A vendor's pause of an entry is capped at an hour or the policy's maximum."""
    assert expected == longest_pause(RetryPolicy(max_retry_after=most), error)


@pytest.mark.parametrize("longest, expected", [(60.0, 3_600.0), (86_400.0, 86_400.0)])
def test_default_retry_delays_grow_to_an_hour(longest: float, expected: float) -> None:
    """By default, retry delays grow to an hour, or to the policy's maximum if that is longer."""
    assert timedelta(seconds=expected) == usual_wait(RetryPolicy(max_delay=longest))


@pytest.mark.parametrize(
    "changes, result",
    [
        ({"due": LATER + timedelta(microseconds=1), "attempts": 1}, True),
        ({"due": LATER, "attempts": 1}, False),
        ({"due": LATER + timedelta(days=1), "attempts": 0}, False),
        ({"due": LATER + timedelta(days=1), "attempts": 1, "state": "claimed"}, False),
        ({"due": None, "attempts": 1}, False),
    ],
)
def test_waits_beyond_selects_entries_that_wait_longer(
    changes: dict[str, Any], result: bool
) -> None:
    """`waits_beyond` selects only entries that were tried before and are due after a given time."""
    assert result is EntryQuery(waits_beyond=LATER).matches(entry(**changes))


def test_entry_for_later_can_be_dropped() -> None:
    """An entry that is not yet due can be dropped at once."""
    assert EntryState.DROPPED is cancel_entry(entry(due=LATER), NOW).state
