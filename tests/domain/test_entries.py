"""Work that is written down: what an entry and a question about entries may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moorage import ConfigurationError, InvalidData, RateLimitExceeded, VendorFailed
from moorage.domain.entries import (
    Entry,
    EntryPage,
    EntryQuery,
    EntryState,
    arrive,
    doubt,
    drop,
    finish,
    give_up,
    lane_number,
    lane_of,
    lease_left,
    longest_pause,
    pause,
    postpone,
    replay,
    take,
    told,
    usual_wait,
)
from moorage.domain.inbox import InboxEntry
from moorage.domain.outbox import OutboxEntry
from moorage.domain.retry import Jitter, RetryPolicy

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def entry(**changes: Any) -> InboxEntry:
    """An entry with nothing that it need not have."""
    usual: dict[str, Any] = {"id": "e1", "target": "stripe", "operation": "x", "added_at": NOW}
    return InboxEntry(**{**usual, **changes})


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
def test_what_no_store_could_keep_is_refused(field: str, value: Any) -> None:
    """Names have a length, and times a zone."""
    with pytest.raises(InvalidData) as caught:
        entry(**{field: value})
    assert field == caught.value.field


def test_a_name_may_be_long() -> None:
    """What a column has room for is kept."""
    assert "x" * 255 == entry(target="x" * 255).target


@pytest.mark.parametrize(
    "asked, found",
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
def test_what_is_asked_for(asked: dict[str, Any], found: bool) -> None:
    """What was added at the beginning of a time is of it, what at its end is not."""
    assert found is EntryQuery(**asked).matches(entry())


def test_content_is_not_shown() -> None:
    """What is kept may be personal, and is in no repr."""
    assert "INV-1" not in repr(entry(content=b"INV-1"))


def test_what_is_kept_of_an_error_a_database_can_keep() -> None:
    """A vendor's words may hold what no database takes."""
    assert told(InvalidData("a\0b\ud800")).startswith("InvalidData: a?b?")


def test_a_name_that_no_database_keeps_is_a_lane() -> None:
    """Half a character has a lane of its own, whose name is a digest of all its bytes."""
    assert b"crm/\xed\xa0\x80".hex() == lane_of("crm", "\ud800", digest=bytes.hex)


@pytest.mark.parametrize("length, kept", [(251, True), (252, False)])
def test_a_long_name_is_a_lane(length: int, kept: bool) -> None:
    """A lane is named as long as a store has room for that, and after that by a digest."""
    name = "crm/" + "x" * length
    assert (name if kept else name.encode().hex()) == lane_of("crm", "x" * length, digest=bytes.hex)


def test_a_lane_has_a_number() -> None:
    """Each lane of each store has a number of 32 bits, in every process and release the same."""
    numbers = [lane_number("outbox", lane) for lane in ("INV-1", "INV-2", "\ud800")]

    assert 873_120_062 == numbers[0]
    assert 4 == len({*numbers, lane_number("inbox", "INV-1")})
    assert all(0 <= number < 2**32 for number in numbers)


@pytest.mark.parametrize("after", ["", "x", "-1", "٣", "9" * 19, "9" * 5000])
def test_a_page_is_one_of_ours(after: str) -> None:
    """A cursor that no page gave is refused."""
    with pytest.raises(InvalidData, match="is not the `next` of a page"):
        _ = EntryQuery(after=after).before
    assert 7 == EntryQuery(after="7").before
    assert 10**18 - 1 == EntryQuery(after="9" * 18).before


def test_a_page_has_an_entry() -> None:
    """A page without room is refused."""
    with pytest.raises(ConfigurationError, match="not an integer"):
        EntryQuery(limit=0)


def test_pages_say_what_follows() -> None:
    """A page of what is there leads on only if there is more."""
    entries = [entry(number=number) for number in (3, 2, 1)]
    page = EntryPage.of(entries, 2)
    assert (entries[:2], "2") == (list(page.items), page.next)
    assert None is EntryPage.of(entries, 3).next


# --- what becomes of an entry -----------------------------------------------------------


def _told(entry: Entry) -> tuple[EntryState, bool, str]:
    return entry.state, entry.holds, entry.error


@pytest.mark.parametrize("kind", [InboxEntry, OutboxEntry])
def test_every_end_has_its_time(kind: type[Entry]) -> None:
    """An end says when it was, what it ended with, and whether later work has to wait."""
    taken = take(kind(id="e1", target="x", operation="y", added_at=NOW), NOW, 60.0, 3)
    failed = kind(id="e2", target="x", operation="y", added_at=NOW, error="It broke.")
    worn = kind(id="e3", target="x", operation="y", added_at=NOW, attempts=3)
    ended: list[Entry] = [
        finish(taken, LATER),
        doubt(taken, LATER, "Nobody knows."),
        give_up(taken, LATER, "It broke."),
        drop(failed, LATER),
        take(worn, LATER, 60.0, 3),
    ]

    assert [
        (EntryState.DONE, False, ""),
        (EntryState.UNKNOWN, True, "Nobody knows."),
        (EntryState.DEAD, kind is OutboxEntry, "It broke."),
        (EntryState.DROPPED, False, "It broke."),
        (EntryState.DEAD, kind is OutboxEntry, "Each worker that took it died."),
    ] == [_told(one) for one in ended]
    assert [(LATER, None, 0)] * 5 == [(one.settled_at, one.due, one.turn) for one in ended]


@pytest.mark.parametrize("kind", [InboxEntry, OutboxEntry])
def test_every_change_raises_the_fence(kind: type[Entry]) -> None:
    """So that it can be told from the one before it, by one."""
    waiting = kind(id="e1", target="x", operation="y", added_at=NOW, fence=6)
    changed: list[Entry] = [
        take(waiting, NOW, 60.0, 3),
        finish(waiting, NOW),
        postpone(waiting, LATER, "It broke."),
        doubt(waiting, NOW, "Nobody knows."),
        give_up(waiting, NOW, "It broke."),
        drop(waiting, NOW),
        replay(waiting, NOW),
    ]
    assert [7] * 7 == [one.fence for one in changed]


def test_a_replay_begins_from_the_start() -> None:
    """What is to be done again has not ended, and holds later work back as at first."""
    again = replay(drop(entry(attempts=2, lane="a"), NOW), LATER)

    assert (EntryState.WAITING, True, "") == _told(again)
    assert (LATER, None, 0, 2) == (again.due, again.settled_at, again.attempts, again.fence)


def test_who_is_at_work_has_its_lease() -> None:
    """A lease is over at the end of its last microsecond; what nobody has has none."""
    taken = take(entry(due=NOW), NOW, 60.0, 3)
    over = NOW + timedelta(seconds=60)
    assert timedelta(microseconds=1) == lease_left(taken, over - timedelta(microseconds=1))
    assert timedelta() == lease_left(taken, over) == lease_left(taken, LATER)
    assert timedelta() == lease_left(entry(due=LATER), NOW) == lease_left(drop(taken, NOW), NOW)


@pytest.mark.parametrize(
    "due, expected", [(None, NOW), (NOW - timedelta(days=1), NOW), (LATER, LATER)]
)
def test_an_entry_comes_when_the_store_says(due: datetime | None, expected: datetime) -> None:
    """What a store writes down came at the store's time, and is due then or later."""
    came = arrive(entry(added_at=LATER + timedelta(days=9), due=due), NOW)

    assert (NOW, expected) == (came.added_at, came.due)


@pytest.mark.parametrize("wish, expected", [(None, 40.0), (30.0, 40.0), (120.0, 120.0)])
def test_a_wish_is_kept_to(wish: float | None, expected: float) -> None:
    """An entry waits for as long as it was told, and no shorter than the policy says."""
    policy = RetryPolicy(max_attempts=9, base_delay=10.0, max_delay=60.0, jitter=Jitter.NONE)

    assert timedelta(seconds=expected) == pause(policy, 3, wish, 0.5)


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
def test_what_an_error_may_ask_for(error: Exception, most: float, expected: float) -> None:
    """A vendor's pause is capped at an hour or the policy's, our own quota's at a month."""
    assert expected == longest_pause(RetryPolicy(max_retry_after=most), error)


@pytest.mark.parametrize("longest, expected", [(60.0, 3_600.0), (86_400.0, 86_400.0)])
def test_a_usual_wait(longest: float, expected: float) -> None:
    """What waits no longer than an hour, or than the policy's own delays, is nothing unusual."""
    assert timedelta(seconds=expected) == usual_wait(RetryPolicy(max_delay=longest))


@pytest.mark.parametrize(
    "changes, found",
    [
        ({"due": LATER + timedelta(microseconds=1), "attempts": 1}, True),
        ({"due": LATER, "attempts": 1}, False),
        ({"due": LATER + timedelta(days=1), "attempts": 0}, False),
        ({"due": LATER + timedelta(days=1), "attempts": 1, "state": "claimed"}, False),
        ({"due": None, "attempts": 1}, False),
    ],
)
def test_what_waits_beyond_a_time(changes: dict[str, Any], found: bool) -> None:
    """What was tried and waits for longer is found; what is only for later was not tried."""
    assert found is EntryQuery(waits_beyond=LATER).matches(entry(**changes))


def test_what_is_not_due_is_decided_on() -> None:
    """Nobody is at work on what is for later, so that it can be called off at once."""
    assert EntryState.DROPPED is drop(entry(due=LATER), NOW).state
