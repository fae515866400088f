"""The decisions of a pool: who gets which link, who waits, and which link ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moorage.domain.connectors import link_pool
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.errors import ConfigurationError, LocalFailure, PoolExhausted
from tests.domain.link_pool_world import PoolWorld


def test_returned_link_is_reused() -> None:
    """The next caller gets the link that was returned, and no second one is opened."""
    pool = PoolWorld()
    first = pool.take("a")
    pool.give("a")

    assert first == pool.take("b")
    numbers = link_pool.statistics(pool.state, pool.config)
    assert (1, 1) == (numbers.created, numbers.reused)


def test_most_recently_used_link_is_reused_first() -> None:
    """The link that was used last is reused first, so that unneeded links stay idle and end."""
    pool = PoolWorld()
    _, second = pool.take("a"), pool.take("b")
    pool.give("a")
    pool.give("b")

    assert second == pool.take("c")


def test_waiting_callers_get_links_in_order_of_arrival() -> None:
    """A returned link goes to the first caller in the queue."""
    pool = PoolWorld(maximum=1)
    link = pool.take("a")
    assert [None, None] == [pool.ask("b"), pool.ask("c")]

    assert ("b",) == pool.give("a")
    assert (link, None) == (pool.link_of("b"), pool.link_of("c"))


def test_slot_of_a_broken_link_goes_to_the_first_waiting_caller() -> None:
    """The first caller in the queue opens a new link in place of a broken one."""
    pool = PoolWorld(maximum=1)
    link = pool.take("a")
    pool.ask("b")

    assert ("b",) == pool.give("a", reusable=False)
    assert [link] == pool.retired
    assert pool.link_of("b") is None
    assert pool.state.leases["b"].record is None


def test_caller_that_gives_up_leaves_the_queue() -> None:
    """A caller whose time is over is passed over."""
    pool = PoolWorld(maximum=1)
    pool.take("a")
    pool.ask("b")
    pool.ask("c")

    assert () == pool.give("b")
    assert ("c",) == pool.give("a")


def test_caller_that_gives_up_passes_on_what_it_got_meanwhile() -> None:
    """A caller that got a link just when its time was over passes it to the next."""
    pool = PoolWorld(maximum=1)
    link = pool.take("a")
    pool.ask("b")
    pool.ask("c")
    pool.give("a")

    assert ("c",) == pool.give("b")
    assert link == pool.link_of("c")


def test_ending_a_lease_twice_changes_nothing() -> None:
    """A caller that was interrupted can end its lease again."""
    pool = PoolWorld()
    pool.take("a")
    pool.give("a")
    before = pool.state
    pool.give("a")

    assert before is pool.state


def test_link_is_not_reused_after_its_lifetime() -> None:
    """An idle link whose lifetime is over is closed, and its caller opens another."""
    pool = PoolWorld(lifetime=100.0, idle_time=1e6)
    first = pool.take("a")
    pool.now = 99.0
    pool.give("a")
    assert first == pool.take("b")
    pool.give("b")
    pool.now = 100.0

    assert first != pool.take("c")
    assert [first] == pool.retired


def test_link_in_use_ends_when_it_is_returned_after_its_lifetime() -> None:
    """A link is closed after its lifetime, and never while somebody uses it."""
    pool = PoolWorld(lifetime=100.0)
    link = pool.take("a")
    pool.now = 200.0
    assert [] == pool.retired
    pool.give("a")

    assert [link] == pool.retired


def test_lifetimes_differ_by_a_tenth() -> None:
    """Links that were opened together do not all end together."""
    pool = PoolWorld(lifetime=100.0)
    pool.ask("a")
    early = pool.open("a", draw=1.0)
    pool.now = 89.0
    pool.give("a")
    assert early == pool.take("b")
    pool.now = 90.0
    pool.give("b")

    assert [early] == pool.retired


def test_idle_links_end_down_to_the_minimum() -> None:
    """Links that were idle for too long are closed, except for the minimum."""
    pool = PoolWorld(minimum=1, idle_time=60.0, lifetime=1e6)
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
    """Returning a link also closes links that have been idle for too long."""
    pool = PoolWorld(idle_time=60.0)
    idle, _ = pool.take("a"), pool.take("b")
    pool.give("a")
    pool.now = 61.0
    pool.give("b")

    assert [idle] == pool.retired


def test_lifetime_ends_links_of_the_minimum_too() -> None:
    """The minimum protects links from being closed for idleness alone."""
    pool = PoolWorld(minimum=1, lifetime=100.0)
    link = pool.take("a")
    pool.give("a")
    pool.now = 100.0
    pool.sweep()

    assert [link] == pool.retired


def test_link_is_tested_after_it_was_idle_for_a_while() -> None:
    """A link that was used a moment ago is not tested."""
    pool = PoolWorld(validate_after=5.0)
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
    """After a restart of the server, links that were idle at the time are tested."""
    pool = PoolWorld()
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


def test_link_that_failed_its_test_is_replaced_by_another_idle_one() -> None:
    """The caller keeps its lease, and the statistics count only the link that it uses."""
    pool = PoolWorld()
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


def test_minimum_is_reserved_before_anybody_asks() -> None:
    """As many links are opened in advance as the minimum says."""
    pool = PoolWorld(minimum=2)
    assert [True, True, False] == [pool.reserve(holder) for holder in "abc"]
    pool.open("a")
    pool.give("a")

    assert not pool.reserve("c")


def test_discarded_links_are_closed_when_they_are_returned() -> None:
    """All links of the time before are closed, and those opened since stay."""
    pool = PoolWorld()
    idle, used = pool.take("a"), pool.take("b")
    pool.give("a")
    pool.discard()
    assert [idle] == pool.retired
    new = pool.take("c")
    pool.give("b")
    pool.give("c")

    assert [idle, used] == pool.retired
    assert [new] == pool.idle()


def test_closed_pool_lends_nothing() -> None:
    """Closing wakes those who wait, and what is in use is closed when it is returned."""
    pool = PoolWorld(maximum=1)
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
    """A link that was opened too late, for example after a fork, is closed."""
    pool = PoolWorld()
    link = pool.open("nobody")

    assert [link] == pool.retired


def test_exhaustion_names_who_holds_connections() -> None:
    """The error lists the operations that hold connections, and for how long."""
    pool = PoolWorld(maximum=7, max_waiting=0)
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
    """A message with few holders names all of them, and nothing more."""
    pool = PoolWorld(maximum=1, max_waiting=1)
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
    """A configuration error names the setting."""
    with pytest.raises(ConfigurationError) as excinfo:
        PoolConfig(**settings)

    assert path == excinfo.value.path


HOLDERS = st.integers(0, 6)


class PoolMachine(RuleBasedStateMachine):
    """Draws sequences of decisions; the world checks the laws after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PoolWorld(
            minimum=1, maximum=3, max_waiting=4, lifetime=50.0, idle_time=20.0, validate_after=5.0
        )
        self.closed = False

    @rule(holder=HOLDERS)
    def ask(self, holder: int) -> None:
        """Ask for a link."""
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
        """Open a link for a lease that has none."""
        lease = self.pool.state.leases.get(holder)
        if lease is not None and lease.record is None:
            self.pool.open(holder, draw)

    @rule(holder=HOLDERS, reusable=st.booleans())
    def give(self, holder: int, *, reusable: bool) -> None:
        """End a lease, or stop waiting."""
        self.pool.give(holder, reusable=reusable)

    @rule(holder=HOLDERS)
    def lose(self, holder: int) -> None:
        """Find that an idle link is broken."""
        self.pool.lose(holder)

    @rule(holder=HOLDERS)
    def reserve(self, holder: int) -> None:
        """Take a slot for the minimum."""
        if holder not in self.pool.state.leases and holder not in self.pool.arrivals:
            self.pool.reserve(holder)

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds: float) -> None:
        """Move the clock on."""
        self.pool.now += seconds

    @rule()
    def sweep(self) -> None:
        """Look for idle links that have ended."""
        self.pool.sweep()

    @rule()
    def discard(self) -> None:
        """Discard all links."""
        self.pool.discard()

    @precondition(lambda self: not self.closed and self.pool.now > 100)
    @rule()
    def close(self) -> None:
        """Close the pool."""
        self.closed = True
        self.pool.close()

    @invariant()
    def idle_links_are_in_order_of_use(self) -> None:
        """The link that was used least recently is the first."""
        uses = [record.used for record in self.pool.state.idle]
        assert sorted(uses) == uses


TestPoolMachine = PoolMachine.TestCase
