"""The decisions of a connection pool: when to reuse, queue for, test and close connections."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moorage.domain.connectors import link_pool
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.errors import ConfigurationError, LocalFailure, PoolExhausted
from tests.domain.link_pool_harness import PoolHarness


def test_returned_connection_is_reused_by_the_next_caller() -> None:
    """A returned connection is reused by the next caller."""
    pool = PoolHarness()
    first = pool.take("a")
    pool.give("a")

    assert first == pool.take("b")
    numbers = link_pool.statistics(pool.state, pool.config)
    assert (1, 1) == (numbers.created, numbers.reused)


def test_most_recently_used_link_is_reused_first() -> None:
    """The pool reuses the most recently used connection first, so that unused ones expire."""
    pool = PoolHarness()
    _, second = pool.take("a"), pool.take("b")
    pool.give("a")
    pool.give("b")

    assert second == pool.take("c")


def test_waiting_callers_get_links_in_order_of_arrival() -> None:
    """A returned connection goes to the first caller in the pool's queue."""
    pool = PoolHarness(maximum=1)
    link = pool.take("a")
    assert [None, None] == [pool.ask("b"), pool.ask("c")]

    assert ("b",) == pool.give("a")
    assert (link, None) == (pool.link_of("b"), pool.link_of("c"))


def test_slot_of_a_broken_link_goes_to_the_first_waiting_caller() -> None:
    """The first caller in the pool's queue opens a new connection in place of a broken one."""
    pool = PoolHarness(maximum=1)
    link = pool.take("a")
    pool.ask("b")

    assert ("b",) == pool.give("a", reusable=False)
    assert [link] == pool.retired
    assert pool.link_of("b") is None
    assert pool.state.leases["b"].record is None


def test_caller_that_stopped_waiting_for_pooled_connection_is_passed_over() -> None:
    """A caller that stopped waiting for a pooled connection is passed over."""
    pool = PoolHarness(maximum=1)
    pool.take("a")
    pool.ask("b")
    pool.ask("c")

    assert () == pool.give("b")
    assert ("c",) == pool.give("a")


def test_caller_that_gets_connection_just_as_it_stops_waiting_passes_it_to_next_one() -> None:
    """A caller that gets a connection just as it stops waiting passes it to the next caller."""
    pool = PoolHarness(maximum=1)
    link = pool.take("a")
    pool.ask("b")
    pool.ask("c")
    pool.give("a")

    assert ("c",) == pool.give("b")
    assert link == pool.link_of("c")


def test_ending_a_lease_twice_changes_nothing() -> None:
    """A caller that was interrupted can return its pooled connection twice without harm."""
    pool = PoolHarness()
    pool.take("a")
    pool.give("a")
    before = pool.state
    pool.give("a")

    assert before is pool.state


def test_link_is_not_reused_after_its_lifetime() -> None:
    """An idle connection is closed after its lifetime, and the next caller opens a new one."""
    pool = PoolHarness(lifetime=100.0, idle_time=1e6)
    first = pool.take("a")
    pool.now = 99.0
    pool.give("a")
    assert first == pool.take("b")
    pool.give("b")
    pool.now = 100.0

    assert first != pool.take("c")
    assert [first] == pool.retired


def test_connection_in_use_is_closed_when_it_is_returned_after_its_lifetime() -> None:
    """A connection in use is closed when it is returned after its lifetime."""
    pool = PoolHarness(lifetime=100.0)
    link = pool.take("a")
    pool.now = 200.0
    assert [] == pool.retired
    pool.give("a")

    assert [link] == pool.retired


def test_lifetimes_differ_by_a_tenth() -> None:
    """Lifetimes of pooled connections differ by up to a tenth, so they end at different times."""
    pool = PoolHarness(lifetime=100.0)
    pool.ask("a")
    early_link = pool.open("a", draw=1.0)
    pool.now = 89.0
    pool.give("a")
    assert early_link == pool.take("b")
    pool.now = 90.0
    pool.give("b")

    assert [early_link] == pool.retired


def test_idle_links_end_down_to_the_minimum() -> None:
    """Connections that were idle for too long are closed, but the pool's minimum stays open."""
    pool = PoolHarness(minimum=1, idle_time=60.0, lifetime=1e6)
    links = [pool.take(holder) for holder in "abc"]
    for holder in "abc":
        pool.give(holder)
    pool.now = 59.9
    pool.sweep()
    assert links == pool.idle()
    pool.now = 60.0
    pool.sweep()

    assert links[2:] == pool.idle()
    assert links[:2] == pool.retired


def test_idle_links_end_while_others_are_in_use() -> None:
    """Returning a connection also closes those that have been idle for too long."""
    pool = PoolHarness(idle_time=60.0)
    idle, _ = pool.take("a"), pool.take("b")
    pool.give("a")
    pool.now = 61.0
    pool.give("b")

    assert [idle] == pool.retired


def test_lifetime_ends_links_of_the_minimum_too() -> None:
    """An expired connection is closed even if the pool then has less than its minimum."""
    pool = PoolHarness(minimum=1, lifetime=100.0)
    link = pool.take("a")
    pool.give("a")
    pool.now = 100.0
    pool.sweep()

    assert [link] == pool.retired


def test_link_is_tested_after_it_was_idle_for_a_while() -> None:
    """A pooled connection is tested only if it has been idle for a while."""
    pool = PoolHarness(validate_after=5.0)
    pool.take("a")
    pool.give("a")
    pool.now = 4.9
    pool.take("b")
    assert not pool.tested("b")
    pool.give("b")
    pool.now = 9.9
    pool.take("c")

    assert pool.tested("c")


def test_one_broken_link_makes_the_others_suspect() -> None:
    """After a connection breaks, connections that were idle at that time are tested before use."""
    pool = PoolHarness()
    pool.take("a")
    pool.take("b")
    pool.now = 1.0
    pool.give("a")
    pool.now = 2.0
    pool.give("b", reusable=False)
    pool.take("c")
    assert pool.tested("c")
    pool.now = 2.5
    pool.give("c")
    pool.take("d")

    assert not pool.tested("d")


def test_idle_connection_that_fails_its_test_is_replaced_by_another() -> None:
    """If an idle connection fails its test, the caller gets another idle one."""
    pool = PoolHarness()
    first, second = pool.take("a"), pool.take("b")
    pool.give("a")
    pool.give("b")
    assert second == pool.ask("c")

    assert first == pool.lose("c")
    assert pool.lose("c") is None
    assert [second, first] == pool.retired
    assert pool.lose("c") is None
    numbers = link_pool.statistics(pool.state, pool.config)
    assert (2, 0, 1) == (numbers.created, numbers.reused, numbers.active)


def test_pool_opens_as_many_connections_in_advance_as_its_minimum() -> None:
    """A pool opens as many connections in advance as its minimum."""
    pool = PoolHarness(minimum=2)
    assert [True, True, False] == [pool.reserve(holder) for holder in "abc"]
    pool.open("a")
    pool.give("a")

    assert not pool.reserve("c")


def test_discarded_links_are_closed_when_they_are_returned() -> None:
    """`discard` closes idle connections at once, and connections in use when they are returned."""
    pool = PoolHarness()
    idle, used_link = pool.take("a"), pool.take("b")
    pool.give("a")
    pool.discard()
    assert [idle] == pool.retired
    new_link = pool.take("c")
    pool.give("b")
    pool.give("c")

    assert [idle, used_link] == pool.retired
    assert [new_link] == pool.idle()


def test_closed_pool_wakes_waiting_callers_and_closes_connections() -> None:
    """Closing a pool wakes waiting callers, and closes connections as they are returned."""
    pool = PoolHarness(maximum=1)
    link = pool.take("a")
    pool.ask("b")
    state, decision = link_pool.close(pool.state, pool.config, 0.0)
    assert ("b",) == decision.woken
    assert {"a"} == set(state.leases)
    pool.close()
    pool.give("a")
    assert [link] == pool.retired
    assert not pool.reserve("c")

    with pytest.raises(LocalFailure, match="is closed"):
        pool.ask("c")


def test_link_for_a_lease_that_is_gone_is_closed() -> None:
    """A connection is closed if the lease for which it was opened is gone, as after a fork."""
    pool = PoolHarness()
    link = pool.open("nobody")

    assert [link] == pool.retired


def test_exhaustion_names_who_holds_connections() -> None:
    """The error of an exhausted pool lists which operations hold connections, and since when."""
    pool = PoolHarness(maximum=7, max_waiting=0)
    for number in range(7):
        pool.now = float(number)
        pool.take(number, f"orders.{number}")
    pool.now = 10.0
    with pytest.raises(PoolExhausted) as excinfo:
        pool.ask("late")

    assert (
        "All 7 connections of the pool are in use: orders.0 for 10.0 s, orders.1 for 9.0 s,"
        " orders.2 for 8.0 s, orders.3 for 7.0 s, orders.4 for 6.0 s, and 2 more."
    ) == excinfo.value.message
    assert ("orders.6", 4.0) == excinfo.value.holders[-1]
    assert 7 == len(excinfo.value.holders)


def test_exhaustion_of_a_small_pool_names_every_holder() -> None:
    """The error of a small exhausted pool names every holder."""
    pool = PoolHarness(maximum=1, max_waiting=1)
    pool.take("a", "orders.report")
    pool.ask("b")
    with pytest.raises(PoolExhausted, match=r"in use: orders\.report for 0\.0 s\."):
        pool.ask("c")


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"minimum": 3, "maximum": 2}, "minimum"),
        ({"minimum": -1}, "minimum"),
        ({"maximum": 0}, "maximum"),
        ({"max_waiting": -1}, "max_waiting"),
        ({"max_wait": 0.0}, "max_wait"),
        ({"lifetime": 0.0}, "lifetime"),
    ],
)
def test_impossible_sizes_are_refused(settings: dict[str, Any], path: str) -> None:
    """An impossible pool size is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        PoolConfig(**settings)

    assert path == excinfo.value.path


HOLDERS = st.integers(0, 6)


class PoolMachine(RuleBasedStateMachine):
    """Random decisions of a pool, with invariants checked after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PoolHarness(
            minimum=1, maximum=3, max_waiting=4, lifetime=50.0, idle_time=20.0, validate_after=5.0
        )
        self.closed = False

    @rule(holder=HOLDERS)
    def ask(self, holder: int) -> None:
        """Ask for a connection."""
        pool = self.pool
        if holder in pool.state.leases or holder in pool.arrivals:
            return
        if self.closed:
            with pytest.raises(LocalFailure):
                pool.ask(holder)
        elif len(pool.arrivals) == 4:
            with pytest.raises(PoolExhausted):
                pool.ask(holder)
        else:
            pool.ask(holder)

    @rule(holder=HOLDERS, draw=st.floats(0, 1))
    def open(self, holder: int, draw: float) -> None:
        """Open a connection for a lease without a connection."""
        lease = self.pool.state.leases.get(holder)
        if lease is not None and lease.record is None:
            self.pool.open(holder, draw)

    @rule(holder=HOLDERS, reusable=st.booleans())
    def give(self, holder: int, *, reusable: bool) -> None:
        """Return a leased connection, or stop waiting for one."""
        self.pool.give(holder, reusable=reusable)

    @rule(holder=HOLDERS)
    def lose(self, holder: int) -> None:
        """Report that an idle connection is broken."""
        self.pool.lose(holder)

    @rule(holder=HOLDERS)
    def reserve(self, holder: int) -> None:
        """Reserve a slot for one of the connections that the pool opens in advance."""
        if holder not in self.pool.state.leases and holder not in self.pool.arrivals:
            self.pool.reserve(holder)

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.pool.now += seconds

    @rule()
    def sweep(self) -> None:
        """Close idle connections whose idle time or lifetime is over."""
        self.pool.sweep()

    @rule()
    def discard_links(self) -> None:
        """Discard all connections."""
        self.pool.discard()

    @precondition(lambda self: not self.closed and self.pool.now > 100)
    @rule()
    def close(self) -> None:
        """Close the pool."""
        self.closed = True
        self.pool.close()

    @invariant()
    def idle_links_are_in_order_of_use(self) -> None:
        """The first idle connection is the least recently used one."""
        uses = [record.used for record in self.pool.state.idle]
        assert sorted(uses) == uses


TestPoolMachine = PoolMachine.TestCase
