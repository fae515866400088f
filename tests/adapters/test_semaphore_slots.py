"""Slots and the waiting queue of a bulkhead."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
)

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.concurrency.semaphore_slots import (
    INSIDE,
    OUTSIDE,
    WAITING,
    SlotHolders,
    Waiter,
)
from tests.adapters.raising_locks import FragileLock, Interruption

# The syntax nodes allowed in a locked block: none that calls, loops or makes a container.
HARMLESS = (
    *(ast.If, ast.IfExp, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.Pass),
    *(ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.expr_context),
    *(ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.BinOp, ast.operator),
)


def sections() -> Iterator[list[ast.stmt]]:
    """Yield the statements of each section of SlotHolders that runs while its lock is held."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(SlotHolders)))
    for node in ast.walk(tree):
        if isinstance(node, ast.With):
            assert "self._section" == ast.unparse(node.items[0].context_expr)
            yield node.body
        elif isinstance(node, ast.Try) and "section.release()" in map(ast.unparse, node.finalbody):
            yield node.body


def test_a_section_makes_no_call() -> None:
    """The locked sections of SlotHolders call no function, so no other code runs inside them."""
    section_nodes = [part for section in sections() for step in section for part in ast.walk(step)]

    assert 4 == len(list(sections()))
    assert [] == [ast.unparse(part) for part in section_nodes if not isinstance(part, HARMLESS)]


@dataclass
class BulkheadModel:
    """A slow but obviously correct model of a bulkhead's slots and queue."""

    places: int = 0
    inside: list[Waiter] = field(default_factory=list)
    line: list[Waiter] = field(default_factory=list)

    def admit_waiting(self) -> None:
        """Admit the callers that have waited longest while slots are free."""
        while self.line and len(self.inside) < self.places:
            self.inside.append(self.line.pop(0))


class BulkheadMachine(RuleBasedStateMachine):
    """Random arrivals, waits and departures at a bulkhead, compared with the simple model."""

    callers: Bundle[Waiter] = Bundle("callers")
    names = st.sampled_from(["a", "b"])
    counts = st.integers(1, 4)

    def __init__(self) -> None:
        super().__init__()
        self.places = SlotHolders()
        self.rooms = {"a": BulkheadModel(), "b": BulkheadModel()}
        self.woken: list[Waiter] = []

    @rule(target=callers, name=names, places=counts, queue=st.integers(0, 4))
    def arrive(self, name: str, places: int, queue: int) -> Waiter:
        """Simulate a caller's arrival: take a slot, join the queue, or leave."""
        room = self.rooms[name]
        waiter = Waiter(name, object(), lambda: self.woken.append(waiter))
        self.places.join(waiter, places, queue)
        self.check_admissions()
        room.places = places
        room.admit_waiting()
        if not room.line and len(room.inside) < places:
            room.inside.append(waiter)
        elif len(room.line) < queue:
            room.line.append(waiter)
        return waiter

    @rule(target=callers, name=names, places=counts)
    def enter_without_waiting(self, name: str, places: int) -> Waiter:
        """Simulate a caller that takes a free slot at once, or leaves if no slot is free."""
        room = self.rooms[name]
        waiter = Waiter(name, object(), list)
        is_free = not room.line and len(room.inside) < places

        assert is_free == self.places.enter(name, waiter.held[1], places)
        if is_free:
            waiter.state = INSIDE
            room.inside.append(waiter)
        return waiter

    @rule(waiter=callers)
    def leave_bulkhead(self, waiter: Waiter) -> None:
        """Return the caller's slot, if the caller has one, as if the caller had ended."""
        name, holder = waiter.held
        self.places.release(name, holder)
        if waiter in self.rooms[name].inside:
            self.rooms[name].inside.remove(waiter)
            waiter.state = OUTSIDE
        self.check_admissions()
        self.rooms[name].admit_waiting()

    @rule(waiter=callers)
    def give_up(self, waiter: Waiter) -> None:
        """Simulate a caller that leaves the queue, or returns a slot that it was just granted."""
        room = self.rooms[waiter.held[0]]
        self.places.leave(waiter)
        for group in (room.inside, room.line):
            if waiter in group:
                group.remove(waiter)
        self.check_admissions()
        room.admit_waiting()

    def check_admissions(self) -> None:
        """Make each admitted caller check if more callers can be admitted."""
        while self.woken:
            self.places.settle(self.woken.pop().held[0])

    @invariant()
    def compare_with_model(self) -> None:
        """Check that the same callers have slots and wait in the queue as in the model."""
        for name, room in self.rooms.items():
            assert {WAITING} >= {waiter.state for waiter in room.line}
            assert {INSIDE} >= {waiter.state for waiter in room.inside}
            assert bool(room.inside) == (name in self.places.names())


TestSemaphoreSlots = BulkheadMachine.TestCase


def test_interrupted_entry_occupies_no_slot() -> None:
    """A caller that is interrupted while it enters a bulkhead occupies no slot."""
    lock = FragileLock()
    places = SlotHolders(lambda: lock)

    lock.releases = 1
    with pytest.raises(Interruption):
        places.enter("a", object(), 1)

    assert set() == places.names()


def test_interrupted_refusal_frees_no_slot() -> None:
    """If a caller is interrupted while it is refused, no other caller's slot becomes free."""
    lock = FragileLock()
    places = SlotHolders(lambda: lock)
    places.enter("a", object(), 1)

    lock.releases = 1
    with pytest.raises(Interruption):
        places.enter("a", object(), 1)

    assert {"a"} == places.names()


def test_interrupted_exit_wakes_the_next_caller() -> None:
    """The next waiting caller is woken even if the leaving one is interrupted."""
    lock, woken_waiters, holder = FragileLock(), list[str](), object()
    places = SlotHolders(lambda: lock)
    places.enter("a", holder, 1)
    waiter = Waiter("a", object(), lambda: woken_waiters.append("next"))
    places.join(waiter, 1, 1)

    lock.releases = 1
    with pytest.raises(Interruption):
        places.release("a", holder)
    places.release("a", holder)

    assert (["next"], INSIDE) == (woken_waiters, waiter.state)


def test_holder_that_enters_bulkhead_twice_takes_one_slot() -> None:
    """A holder that enters a bulkhead twice takes one slot, and releases one."""
    places, holder = SlotHolders(), object()

    assert [True, True] == [places.enter("a", holder, 1) for _ in range(2)]
    assert not places.enter("a", object(), 1)

    places.settle("a", holder)
    assert set() == places.names()


def test_forked_child_starts_empty() -> None:
    """In a forked child a bulkhead has free slots and an empty queue."""
    places = SlotHolders()
    places.enter("a", object(), 1)
    places.join(Waiter("a", object(), list), 1, 1)

    restart_in_child()

    assert set() == places.names()
    assert places.enter("a", object(), 1)


def test_idle_names_take_no_memory() -> None:
    """Ten thousand bulkhead names that were each used once take no memory."""
    places = SlotHolders()
    for number in range(10_000):
        holder = object()
        places.enter(f"service {number}", holder, 1)
        places.settle(f"service {number}", holder)

    assert set() == places.names()


def test_holder_object_is_kept_alive() -> None:
    """The semaphore keeps a reference to each holder, so that no other object gets its id."""
    places = SlotHolders()
    entered_flags = [places.enter("a", object(), 3) for _ in range(4)]

    assert [True, True, True, False] == entered_flags
