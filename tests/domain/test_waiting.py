"""The queue for a rate limit: if a caller leaves, the callers behind move up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.resilience.waiting import SHORT, CallerQueue
from tests.support.examples import examples

SLOT = 10 * SHORT

acts = st.lists(
    st.tuples(st.sampled_from(["join", "join", "leave", "pass", "pass"]), st.integers(0, 60)),
    max_size=80,
)


def slot_time_of(line: CallerQueue, number: int) -> int:
    """Return the time of the slot that a caller has in the queue."""
    return line.turns[line.numbers.index(number)][0]


def line_of(*due_times: int, asleep: bool = True) -> CallerQueue:
    """Return a queue of sleeping callers with the numbers 1, 2 and so on."""
    line = CallerQueue()
    for number, due_at in enumerate(due_times, 1):
        line = line.joined((due_at, number, ()))
    for number in range(1, len(due_times) + 1) if asleep else ():
        line, _, _ = line.with_wait(number, 0)
    return line


@examples(300)
@given(acts)
def test_each_waiting_caller_is_admitted_in_a_slot_of_its_own(walk: list[tuple[str, int]]) -> None:
    """Each waiting caller is admitted by its promised time, in a slot that only it uses."""
    line, now, number = CallerQueue(), 0, 0
    promised_times: dict[int, int] = {}
    wakes: dict[int, tuple[int, bool]] = {}
    free_slots: set[int] = set()
    lost_slots: list[int] = []

    def wake_all(until: int) -> None:
        nonlocal line
        while due_wakes := [
            (wake_time, caller) for caller, (wake_time, _) in wakes.items() if wake_time <= until
        ]:
            wake_time, each = min(due_wakes)
            if wakes[each][1]:
                line, turn = line.without_admitted(each)
                assert turn[0] == wake_time <= promised_times[each]
                lost_slots.append(wake_time)
                del wakes[each]
            else:
                line, nap, is_last = line.with_wait(each, wake_time)
                wakes[each] = wake_time + nap, is_last

    for action, amount in walk:
        if action == "join":
            number += 1
            due_at = min(free_slots, default=max([now, *(turn[0] for turn in line.turns)]) + SLOT)
            free_slots.discard(due_at)
            promised_times[number] = due_at
            line, nap, last = line.joined((due_at, number, ())).with_wait(number, now)
            wakes[number] = now + nap, last
        elif action == "leave" and line.numbers:
            leaver = line.numbers[amount % len(line.numbers)]
            previous_counts = {number: slot_time_of(line, number) for number in line.numbers}
            line, turn = line.without_caller(leaver)
            del wakes[leaver]
            free_slots.add(turn[0])
            assert [item for item in previous_counts if item != leaver] == list(line.numbers)
            assert all(
                slot_time_of(line, number) <= previous_counts[number] for number in line.numbers
            )
        elif action == "pass":
            wake_all(now + amount * SHORT)
            now += amount * SHORT
            free_slots = {due_at for due_at in free_slots if due_at > now}
    wake_all(now + 100 * SLOT * len(promised_times))

    assert not line.numbers
    assert len(set(lost_slots)) == len(lost_slots)


def test_callers_behind_a_leaving_caller_move_up_by_one_slot() -> None:
    """If a waiting caller leaves the queue, all callers behind it move up by one slot."""
    line, returned_turn = line_of(SLOT, 2 * SLOT, 3 * SLOT, 4 * SLOT).without_caller(2)
    assert (1, 3, 4) == line.numbers
    assert [SLOT, 2 * SLOT, 3 * SLOT] == [returned_turn[0] for returned_turn in line.turns]
    assert 4 * SLOT == returned_turn[0]


def test_waiting_caller_that_sleeps_past_freed_slot_keeps_its_own() -> None:
    """If a caller sleeps past a freed slot, it and all callers behind it keep their slots."""
    line, returned_turn = line_of(SLOT, 2 * SLOT, 3 * SLOT, asleep=False).without_caller(1)
    assert (2, 3) == line.numbers
    assert [2 * SLOT, 3 * SLOT] == [returned_turn[0] for returned_turn in line.turns]
    assert SLOT == returned_turn[0]


def test_first_waiting_caller_sleeps_once() -> None:
    """The first caller in the queue sleeps once; the others also wake to check for a freed slot.

    No caller wakes up for less than a hundredth of a second.
    """
    line = line_of(SLOT, 2 * SLOT, 2 * SLOT + SHORT - 1, 13 * SLOT)
    assert (SLOT, True) == line.with_wait(1, 0)[1:]
    assert (2 * SLOT // 6, False) == line.with_wait(2, 0)[1:]
    assert (SLOT // 4, False) == line.with_wait(2, SLOT // 2)[1:]
    assert (SHORT, False) == line.with_wait(2, SLOT - SHORT)[1:]
    assert (SLOT, True) == line.with_wait(2, SLOT)[1:]
    assert (0, True) == line.with_wait(2, 3 * SLOT)[1:]
    assert (SHORT, True) == line.with_wait(3, 2 * SLOT - 1)[1:]
    assert (2 * SLOT + SHORT - 1, False) == line.with_wait(4, 0)[1:]
