"""Limits how many idempotency records each tenant may have in a store that tenants share.

A slot is room for one record within the bound, and is reserved before a claim makes a new record.
All reservations of a tenant are one state: the number of slots by the time at which their records
have certainly expired. So counting never reads the records, and works in every store.

Laws:

1. A slot is counted until its record has expired, and longer by at most 1/16 of the record's life.
   A record that is claimed again takes another slot, since its life begins again.
2. No reservation exceeds the bound, except a forced one: it is for an existing record, which can
   always be claimed.
3. Several slots may be reserved together, so that few claims change the state: at most 1/512 of
   the free slots, and only one near the bound.
4. The state has a bounded number of end times, however many services and lifetimes there are.
5. A slot has 4,096 bytes for the answer in its record. A larger answer takes further slots when
   it is stored, even beyond the bound, since its effect has happened. So the bound is also one of
   space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.idempotency.claims import Claim, ClaimResult, Verdict, unexpired
from moorage.domain.state.commands import (
    reading_time,
    refusing_unreadable_states,
    with_times_moved_back,
)
from moorage.domain.state.keys import own_key
from moorage.domain.state.packing import pack_values
from moorage.domain.values.named_tuples import new_tuple
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.state.commands import State, States

_STEPS: Final = 32
"""The least number of steps in a record's life, by which the ends of its slots are rounded."""

_LARGEST_SHARE: Final = 512
"""The part of the free slots that one reservation may take at most."""

_MOST_ENDS: Final = 256
"""The maximum number of different end times in a state."""

_ANSWER_BYTES: Final = 4_096
"""The bytes of a stored result that fit into one slot."""

MOST_AT_ONCE: Final = 256
"""The maximum number of slots that one caller reserves at once."""


def records_key(tenant: str) -> str:
    """Return the key of the state that counts a tenant's records."""
    return own_key("reserved", "", tenant, "records")


def rounding_step(life: int) -> int:
    """Return the microseconds to which a reservation's end is rounded, for this lifetime."""
    return 1 << max(0, (life // _STEPS).bit_length() - 1)


def rounded_life(life: int) -> int:
    """Return a record's lifetime in microseconds, rounded up so that few different values occur."""
    step = rounding_step(life)
    return -(-life // step) * step


def extra_record_count(answer: tuple[object, ...]) -> int:
    """Return how many extra records a large result counts as, within the tenant's limit.

    A value that only a store in memory can hold takes none, since its size is unknown.
    """
    try:
        size = len(pack_values(answer))
    except InvalidData:
        return 0
    return max(0, size - 1) // _ANSWER_BYTES


class Reservation(NamedTuple):
    """The store's reply to a request to reserve slots for a tenant's new records.

    Attributes:
        granted: the number of slots that the caller has now; 0 if the tenant is at its bound.
        used: the number of slots in use, including this reservation.
        lasts: microseconds within which a granted slot may be used for a claim.
        end: the time at which the slots end, as `ReturnSlots` needs it.
        wait: microseconds until the next slots end; 0 if there are none.
    """

    granted: int
    used: int
    lasts: int
    end: int
    wait: int


class Reserve:
    """The command that reserves slots for new records of one tenant.

    Args:
        tenant: the tenant.
        bound: the maximum number of its records.
        number: the number of slots that the caller would like.
        life: the longest life of a record in microseconds, from its claim on.
        forced: whether to reserve the slots beyond the bound if necessary, for an existing record.
    """

    __slots__ = ("bound", "forced", "keys", "life", "number")
    # A repeated command reserves slots twice. The unused slots expire like all others.
    once = False
    durable = True

    def __init__(
        self, tenant: str, *, bound: int, number: int, life: int, forced: bool = False
    ) -> None:
        self.keys = (records_key(tenant),)
        self.bound = bound
        self.number = number
        self.life = life
        self.forced = forced

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, Reservation]:
        """Return the state with the newly reserved slots, and the `Reservation`."""
        time, slots_by_end = _reservation_ends(states[0], now)
        record_count = sum(slots_by_end.values())
        free_slots = self.bound - record_count
        granted_slots = (
            min(self.number, max(1, free_slots // _LARGEST_SHARE)) if free_slots > 0 else 0
        )
        if self.forced:
            granted_slots = self.number
        step = rounding_step(self.life)
        end = -(-(time + step + self.life) // step) * step
        wait = min(slots_by_end) - time if slots_by_end else 0
        answer = Reservation(granted_slots, record_count + granted_slots, step, end, wait)
        if not granted_slots:
            return with_times_moved_back(_RULES, states, now), answer
        slots_by_end[end] = slots_by_end.get(end, 0) + granted_slots
        return (_state(time, slots_by_end),), answer


class ReturnSlots:
    """The command that returns reserved slots for which no record was made."""

    __slots__ = ("end", "keys", "number")
    # A repeated command would also return other callers' slots.
    once = True
    durable = True

    def __init__(self, tenant: str, *, number: int, end: int) -> None:
        self.keys = (records_key(tenant),)
        self.number = number
        self.end = end

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the state without these reserved slots, if they have not expired."""
        time, slots_by_end = _reservation_ends(states[0], now)
        if self.end not in slots_by_end:
            return states, None
        slots_by_end[self.end] = max(0, slots_by_end[self.end] - self.number)
        return (_state(time, slots_by_end),), None


class CountRecords:
    """The command that counts the slots for records that a tenant uses."""

    __slots__ = ("keys",)
    once = False
    durable = True

    def __init__(self, tenant: str) -> None:
        self.keys = (records_key(tenant),)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, int]:
        """Return the number of slots for records that are in use."""
        _, slots_by_end = _reservation_ends(states[0], now)
        return states, sum(slots_by_end.values())


class ClaimExisting(Claim):
    """A command that claims an idempotency key only if it has a record, so that none is added.

    Without a record of the key, its verdict is `ABSENT`.
    """

    __slots__ = ()

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, ClaimResult]:
        """Return the key's new state and the decision about the claim."""
        if unexpired(states[0], now) is None:
            return states, new_tuple(ClaimResult, (Verdict.ABSENT, 0, 0, None))
        return super().apply(states, now)


def for_existing_record(claim: Claim) -> ClaimExisting:
    """Return the claim as one that succeeds only if its idempotency key already has a record."""
    return ClaimExisting(
        claim.keys[0],
        fingerprint=claim.fingerprint,
        owner=claim.owner,
        lease=claim.lease,
        term=claim.term,
        ttl=claim.ttl,
        target=claim.target,
        remembered=claim.remembered,
    )


def is_nearly_full(used: int, bound: int) -> bool:
    """Return whether a tenant uses at least 80 % of the idempotency records that it may have."""
    return used * 5 >= bound * 4


def has_room_again(used: int, bound: int) -> bool:
    """Return whether a tenant uses under 70 % of its permitted records, so may be warned again."""
    return used * 10 < bound * 7


class _Reservations:
    """The rule by which the store decides which of a tenant's reservations are still valid."""

    @staticmethod
    def present(state: State | None, now: int) -> State | None:
        """Return the reservations that are valid now; None if all have expired."""
        time, slots_by_end = _reservation_ends(state, now)
        return _state(time, slots_by_end) if slots_by_end else None


_RULES: Final = (_Reservations(),)


def _reservation_ends(state: State | None, now: int) -> tuple[int, dict[int, int]]:
    """Return the current time, and the numbers of reserved slots by their expiry times."""
    if state is None:
        return now, {}
    seen_at, _, stored_ends = state
    time, time_shift = reading_time(seen_at, now)
    return time, {
        end - time_shift: number for end, number in stored_ends if end - time_shift > time
    }


def _state(time: int, ends: dict[int, int]) -> State:
    """Return reservations in the form in which the store keeps them."""
    sorted_ends = sorted(end for end, number in ends.items() if number)
    excess_count = max(0, len(sorted_ends) - _MOST_ENDS)
    if excess_count:
        # The earliest slots expire last, so that no slot expires before its record.
        merged_slots = sum(ends[end] for end in sorted_ends[: excess_count + 1])
        sorted_ends = sorted_ends[excess_count:]
        ends = {**ends, sorted_ends[0]: merged_slots}
    last_end = sorted_ends[-1] if sorted_ends else time
    return time, max(1, last_end - time), tuple((end, ends[end]) for end in sorted_ends)
