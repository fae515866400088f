"""The decisions of a connection pool, as pure functions of its state.

A caller asks for a link under an operation's name, and gets a *lease*: a slot of the pool, with a
link in it or without one yet. A caller without a link opens one. All functions are pure: they take
a state and the time in seconds, and return the new state and the actions to take.

The laws of this file, for every sequence of decisions:

1. There are never more leases and idle links together than `maximum`.
2. A link is idle, or in exactly one lease, or it has been retired once and never comes back.
3. While a caller waits, no link is idle and no slot is free.
4. Waiting callers get leases in the order in which they came.
5. No link is handed out after its lifetime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.domain.connectors.pool_statistics import PoolStatistics
from moorage.domain.values.durations import count, if_given, is_count, is_seconds, plain_seconds
from moorage.domain.values.named_tuples import new_tuple
from moorage.errors import ConfigurationError, LocalFailure, PoolExhausted, PoolHolder

if TYPE_CHECKING:
    from collections.abc import Mapping

JITTER: Final = 0.1
"""The share of its lifetime by which a connection may end earlier, so that not all end together."""

_SWEEPS: Final = 10
"""The number of searches for expired connections during the maximum idle time."""

_MOST_NAMED: Final = 5
"""The maximum number of operations that the message of an exhausted pool names."""


def _is_number(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    count(value, attribute.name, least=0)


@attrs.frozen(kw_only=True)
class PoolConfig:
    """The size of a connection pool, and the lifetimes of its connections.

    Attributes:
        minimum: the number of connections that are opened with the pool, and that stay open however
            long they are idle.
        maximum: the largest number of open connections.
        max_waiting: the number of callers that may wait for a connection; unlimited by default.
        max_wait: the maximum number of seconds that a caller waits; by default until its deadline.
        lifetime: the seconds after which a connection is closed once it is idle.
        idle_time: the seconds after which an idle connection is closed.
        validate_after: the seconds after which an idle connection is tested before it is used.
        validation_timeout: the time limit of this test in seconds.
    """

    minimum: int = attrs.field(default=0, validator=_is_number)
    maximum: int = attrs.field(default=10, validator=is_count)
    max_waiting: int | None = attrs.field(default=None, validator=if_given(_is_number))
    max_wait: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(plain_seconds),
        validator=if_given(is_seconds),
    )
    lifetime: float = attrs.field(default=3600.0, converter=plain_seconds, validator=is_seconds)
    idle_time: float = attrs.field(default=600.0, converter=plain_seconds, validator=is_seconds)
    validate_after: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)
    validation_timeout: float = attrs.field(
        default=5.0, converter=plain_seconds, validator=is_seconds
    )

    def __attrs_post_init__(self) -> None:
        """Check that the minimum does not exceed the maximum."""
        if self.minimum > self.maximum:
            raise ConfigurationError(
                f"The minimum of {self.minimum} connections is greater than the maximum of"
                f" {self.maximum}.",
                path="minimum",
                remedy="Set a minimum that is not greater than the maximum.",
            )

    @property
    def sweep_every(self) -> float:
        """The seconds between two searches for expired idle connections."""
        return min(self.lifetime, self.idle_time) / _SWEEPS


class OpenLink(NamedTuple):
    """An open connection in a pool, with the times at which it ends and was last used.

    Attributes:
        link: the link itself.
        ends: the time from which it is no longer handed out.
        used: the time at which it was opened or returned last.
        generation: the generation of the pool in which it was opened.
    """

    link: Any
    ends: float
    used: float
    generation: int


class Lease(NamedTuple):
    """A slot of a connection pool that a caller has acquired.

    Attributes:
        operation: the name of the operation that uses the slot.
        since: the time at which the caller got the slot.
        record: the link in the slot; None while the caller opens a link.
    """

    operation: str
    since: float
    record: OpenLink | None


class LinkPoolState(NamedTuple):
    """The state of a connection pool.

    Attributes:
        idle: the unused links; the last one was used most recently.
        leases: the leases by their holders. The mapping is never changed.
        waiting: the waiting callers, with the names of their operations, in order of arrival.
        created, reused: the numbers of the statistics.
        suspect: the time up to which the server may have dropped idle links.
        swept: the time of the last search for idle links that have ended.
        generation: the number of times that all links were discarded.
        closed: whether the pool hands out no more links.
    """

    idle: tuple[OpenLink, ...] = ()
    leases: Mapping[object, Lease] = {}
    waiting: tuple[tuple[object, str], ...] = ()
    created: int = 0
    reused: int = 0
    suspect: float = float("-inf")
    swept: float = float("-inf")
    generation: int = 0
    closed: bool = False


class PoolDecision(NamedTuple):
    """The effects of a pool's decision: the caller's slot, callers to wake, connections to close.

    Attributes:
        lease: the lease of the caller; None if it has none.
        woken: the waiting callers that must now check whether they have a lease.
        retired: the links to close.
    """

    lease: Lease | None = None
    woken: tuple[Any, ...] = ()
    retired: tuple[Any, ...] = ()


NO_CONSEQUENCES: Final = PoolDecision()


def request_lease(
    state: LinkPoolState, config: PoolConfig, now: float, holder: object, operation: str
) -> tuple[LinkPoolState, PoolDecision]:
    """Give a caller a connection of the pool, or put it into the queue.

    Raises:
        LocalFailure: the pool is closed.
        PoolExhausted: the queue of waiting callers is full.
    """
    if state.closed:
        raise closed_error()
    retired_links: tuple[Any, ...] = ()
    if state.idle and now - state.swept >= config.sweep_every:
        state, retired_links = _sweep_idle(state, config, now)
    idle_links, leases = state.idle, state.leases
    if idle_links:
        return _lend_idle(state, now, holder, Lease(operation, now, None), retired_links)
    if len(leases) < config.maximum:
        lease = new_tuple(Lease, (operation, now, None))
        return _lease_slot(state, holder, lease), PoolDecision(lease, (), retired_links)
    if config.max_waiting is not None and len(state.waiting) >= config.max_waiting:
        raise exhaustion_error(state, config, now)
    waiting_callers = (*state.waiting, (holder, operation))
    return state._replace(waiting=waiting_callers), PoolDecision(None, (), retired_links)


def reserve(
    state: LinkPoolState, config: PoolConfig, now: float, holder: object, operation: str
) -> tuple[LinkPoolState, PoolDecision]:
    """Give the caller a slot for a new connection if the pool is below its minimum size."""
    if state.closed or len(state.leases) + len(state.idle) >= config.minimum:
        return state, NO_CONSEQUENCES
    lease = new_tuple(Lease, (operation, now, None))
    return _lease_slot(state, holder, lease), PoolDecision(lease)


def new_link(config: PoolConfig, now: float, link: Any, draw: float) -> OpenLink:
    """Return the record of a connection that was opened just now.

    Args:
        config: the configuration of the pool.
        now: the time.
        link: the link itself.
        draw: a random number from 0 to 1, for the end of its lifetime.
    """
    return OpenLink(link, now + config.lifetime * (1 - JITTER * draw), now, 0)


def fill_slot(
    state: LinkPoolState, config: PoolConfig, now: float, holder: object, record: OpenLink
) -> tuple[LinkPoolState, PoolDecision]:
    """Put a new connection into the caller's slot.

    If the caller has left, the connection must be closed.
    """
    del config, now
    lease = state.leases.get(holder)
    if lease is None:
        return state, PoolDecision(None, (), (record.link,))
    lease = lease._replace(record=record._replace(generation=state.generation))
    return _lease_slot(state, holder, lease)._replace(created=state.created + 1), PoolDecision(
        lease
    )


def needs_test(state: LinkPoolState, config: PoolConfig, now: float, record: OpenLink) -> bool:
    """Return whether a connection must be tested, because the server may have dropped it."""
    return record.used <= state.suspect or now - record.used >= config.validate_after


def replace_broken_link(
    state: LinkPoolState, config: PoolConfig, now: float, holder: object
) -> tuple[LinkPoolState, PoolDecision]:
    """Replace the caller's broken connection by an idle one, if there is any.

    Every other idle link is tested before it is used, because the server may have restarted.
    """
    del config
    lease = state.leases.get(holder)
    if lease is None or lease.record is None:
        return state, NO_CONSEQUENCES
    retired_links = (lease.record.link,)
    state = state._replace(suspect=now, reused=state.reused - 1)
    lease = lease._replace(record=None)
    if state.idle:
        return _lend_idle(state, now, holder, lease, retired_links)
    return _lease_slot(state, holder, lease), PoolDecision(lease, (), retired_links)


def give_back(
    state: LinkPoolState,
    config: PoolConfig,
    now: float,
    holder: object,
    reusable: bool,  # noqa: FBT001 - every decision takes its arguments by position
) -> tuple[LinkPoolState, PoolDecision]:
    """End a caller's use or wait; give its connection or slot to the next waiting caller.

    Does nothing if the holder has neither a link nor a slot. So a caller that was interrupted can
    end its lease again.

    Args:
        state: the state before.
        config: the configuration of the pool.
        now: the time.
        holder: the holder.
        reusable: whether its link may be used again.
    """
    lease = state.leases.get(holder)
    if lease is None:
        if state.waiting:
            waiting_callers = tuple(entry for entry in state.waiting if entry[0] is not holder)
            if len(waiting_callers) < len(state.waiting):
                return state._replace(waiting=waiting_callers), NO_CONSEQUENCES
        return state, NO_CONSEQUENCES
    leases = {**state.leases}
    del leases[holder]
    record = lease.record
    retired_links: tuple[Any, ...] = ()
    idle_links, waiting_callers, reuse_count, suspect_time = (
        state.idle,
        state.waiting,
        state.reused,
        state.suspect,
    )
    if record is not None:
        if not reusable:
            suspect_time = now
        is_current = record.generation == state.generation and not state.closed
        if reusable and is_current and record.ends > now:
            record = new_tuple(OpenLink, (record.link, record.ends, now, record.generation))
        else:
            retired_links = (record.link,)
            record = None
    woken_callers: tuple[object, ...] = ()
    if waiting_callers:
        (next_holder, operation), *other_callers = waiting_callers
        waiting_callers, woken_callers = tuple(other_callers), (next_holder,)
        leases[next_holder] = new_tuple(Lease, (operation, now, record))
        reuse_count += record is not None
    elif record is not None:
        idle_links = (*idle_links, record)
    new_state = new_tuple(
        LinkPoolState,
        (
            idle_links,
            leases,
            waiting_callers,
            state.created,
            reuse_count,
            suspect_time,
            state.swept,
            state.generation,
            state.closed,
        ),
    )
    if new_state.idle and now - new_state.swept >= config.sweep_every:
        new_state, ended_links = _sweep_idle(new_state, config, now)
        retired_links += ended_links
    return new_state, new_tuple(PoolDecision, (None, woken_callers, retired_links))


def retire_links(
    state: LinkPoolState, config: PoolConfig, now: float
) -> tuple[LinkPoolState, PoolDecision]:
    """Remove connections that were idle too long or have reached the end of their lifetime."""
    state, retired_links = _sweep_idle(state, config, now)
    return state, PoolDecision(None, (), retired_links)


def discard_links(
    state: LinkPoolState, config: PoolConfig, now: float
) -> tuple[LinkPoolState, PoolDecision]:
    """Remove all connections: idle ones now, the others when their callers return them."""
    del config, now
    retired_links = tuple(record.link for record in state.idle)
    new_state = state._replace(idle=(), generation=state.generation + 1)
    return new_state, PoolDecision(None, (), retired_links)


def close(
    state: LinkPoolState, config: PoolConfig, now: float
) -> tuple[LinkPoolState, PoolDecision]:
    """Close the pool: stop lending, and wake all waiting callers."""
    state, decision = discard_links(state, config, now)
    woken_callers = tuple(holder for holder, _ in state.waiting)
    return state._replace(waiting=(), closed=True), decision._replace(woken=woken_callers)


def statistics(state: LinkPoolState, config: PoolConfig) -> PoolStatistics:
    """Return the statistics of the pool."""
    return PoolStatistics(
        created=state.created,
        reused=state.reused,
        idle=len(state.idle),
        active=len(state.leases),
        waiting=len(state.waiting),
        maximum=config.maximum,
    )


def holders(state: LinkPoolState, now: float) -> tuple[PoolHolder, ...]:
    """Return the operations that use a connection, the longest-running first."""
    return tuple(
        PoolHolder(lease.operation, max(0.0, now - lease.since))
        for lease in sorted(state.leases.values(), key=lambda lease: lease.since)
    )


def exhaustion_error(state: LinkPoolState, config: PoolConfig, now: float) -> PoolExhausted:
    """Return the error for a caller that cannot get a connection."""
    current_holders = holders(state, now)
    named_holders = ", ".join(
        f"{holder.operation} for {holder.seconds:.1f} s" for holder in current_holders[:_MOST_NAMED]
    )
    unnamed_count = len(current_holders) - _MOST_NAMED
    suffix = f", and {unnamed_count} more" if unnamed_count > 0 else ""
    return PoolExhausted(
        f"All {config.maximum} connections of the pool are in use: {named_holders}{suffix}.",
        holders=current_holders,
    )


def closed_error() -> LocalFailure:
    """Return the error for a caller that uses a closed pool."""
    return LocalFailure(
        "The connection pool is closed.", remedy="Use the pool before you close it."
    )


def _lease_slot(state: LinkPoolState, holder: object, lease: Lease) -> LinkPoolState:
    """Return the pool's state after giving the caller this slot."""
    return state._replace(leases={**state.leases, holder: lease})


def _lend_idle(
    state: LinkPoolState, now: float, holder: object, slot: Lease, retired_links: tuple[Any, ...]
) -> tuple[LinkPoolState, PoolDecision]:
    """Lend the most recently used idle connection; close it if its lifetime is over."""
    *other_links, record = state.idle
    if record.ends > now:
        reuse_count, lease = (
            state.reused + 1,
            new_tuple(Lease, (slot.operation, slot.since, record)),
        )
    else:
        reuse_count, lease, retired_links = state.reused, slot, (*retired_links, record.link)
    new_state = new_tuple(
        LinkPoolState,
        (
            tuple(other_links),
            {**state.leases, holder: lease},
            state.waiting,
            state.created,
            reuse_count,
            state.suspect,
            state.swept,
            state.generation,
            state.closed,
        ),
    )
    return new_state, new_tuple(PoolDecision, (lease, (), retired_links))


def _sweep_idle(
    state: LinkPoolState, config: PoolConfig, now: float
) -> tuple[LinkPoolState, tuple[Any, ...]]:
    """Return the pool's state without expired idle connections, and the connections to close.

    As many links as the minimum stay, unless their lifetime is over.
    """
    living_links = [record for record in state.idle if record.ends > now]
    spare_count = len(state.leases) + len(living_links) - config.minimum
    # The first links in the list have been idle for the longest time.
    unused = sum(now - record.used >= config.idle_time for record in living_links)
    excess_count = max(0, min(spare_count, unused))
    ended_links = [record for record in state.idle if record.ends <= now]
    retired_links = tuple(record.link for record in (*ended_links, *living_links[:excess_count]))
    return state._replace(idle=tuple(living_links[excess_count:]), swept=now), retired_links
