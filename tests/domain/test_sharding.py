"""The choice of a shard for each stored state, and commands to a state's former shard."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from moorage.domain.idempotency.claims import (
    Claim,
    ClaimResult,
    MarkSent,
    Verdict,
    release_claim,
    store_answer,
)
from moorage.domain.idempotency.former_shard import MARK_LASTS, ExecuteOnFormerShard
from moorage.domain.state.keys import own_key, state_key
from moorage.domain.state.sharding import location_of
from moorage.domain.values.durations import DAY, SECOND
from moorage.errors import InvalidData, StateUnavailable
from tests.domain.state_store import has_remedy

OLD, NEW = ("a", "b"), ("a", "b", "c")
NOW = 1_772_366_400_000_000
KEY = own_key("key", "bank", None, "k")


def test_added_third_shard_takes_third_of_keys() -> None:
    """Adding a third shard moves a third of all keys to it, and no key between the other two."""
    keys = [own_key("key", "bank", "acme", f"INV-{number}") for number in range(3_000)]
    moves = Counter(
        (location_of([key], OLD, ()).shard, location_of([key], NEW, ()).shard) for key in keys
    )
    assert {("a", "a"), ("b", "b"), ("a", "c"), ("b", "c")} == moves.keys()
    assert all(1_350 <= moves[shard, shard] + moves[shard, "c"] <= 1_650 for shard in OLD)
    assert 900 <= moves["a", "c"] + moves["b", "c"] <= 1_100


def test_only_idempotency_keys_have_a_former_shard() -> None:
    """After a shard is added, only keys have a former shard; limits and lists have none."""
    numbers = range(60)
    limits = [state_key("limit", "bank", f"t{number}", "", "1.0s", "0") for number in numbers]
    claims = [own_key("key", "bank", None, f"k{number}") for number in numbers]
    registers = [state_key("unsettled", f"c{number}", None, "list", "0") for number in numbers]

    limit_locations = {location_of([key], NEW, OLD) for key in limits}
    assert {("a", None), ("b", None), ("c", None)} == limit_locations
    assert {("a", None), ("b", None), ("c", "a"), ("c", "b")} == {
        location_of([key], NEW, OLD) for key in claims
    }
    assert {("a", None)} == {location_of([key], NEW, OLD) for key in registers}
    assert ("a", None) == location_of([], NEW, OLD)


def test_keys_of_several_tags_are_refused() -> None:
    """A command with keys of several hash tags is refused, as they may be on different shards."""
    with pytest.raises(InvalidData, match="different hash tags") as excinfo:
        location_of([KEY, state_key("limit", "bank", None)], NEW, ())
    assert has_remedy(excinfo.value)


# --- leaving a shard -----------------------------------------------------------------


class Shard:
    """A shard as a dictionary, with a clock that the test sets."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.now = NOW

    def execute(self, command: Any) -> Any:
        """Execute a command, and return its answer."""
        states = tuple(map(self.states.get, command.keys))
        new_states, answer = command.apply(states, self.now)
        self.states.update(zip(command.keys, new_states, strict=True))
        return answer


def claim_of(key: str = KEY, owner: int = 1) -> Claim:
    """Return a claim with a lease of one second, whose caller works for ten seconds at most."""
    return Claim(
        key,
        fingerprint=b"",
        owner=owner,
        lease=SECOND,
        term=10 * SECOND,
        ttl=DAY,
        target="",
        remembered=0,
    )


def test_claim_stays_where_it_may_matter() -> None:
    """A claim stays on its shard until it is released, or its lease or response has expired."""
    for end, moves_after in (
        (None, 10 * SECOND),
        (lambda fence: release_claim(KEY, fence, ttl=DAY), 0),
        (lambda fence: store_answer(KEY, fence, "answer", ttl=DAY), DAY),
        (lambda fence: MarkSent(KEY, fence, "bank"), DAY + 10 * SECOND),
    ):
        shard = Shard()
        fencing_token = shard.execute(claim_of()).fence
        if end is not None:
            shard.execute(end(fencing_token))
        for passed in (0, 2 * SECOND, moves_after - 1):
            if 0 <= passed < moves_after:
                shard.now = NOW + passed
                assert (True, None) == shard.execute(ExecuteOnFormerShard(ReadClaim())), (
                    moves_after,
                    passed,
                )
        shard.now = NOW + moves_after
        assert (False, None) == shard.execute(ExecuteOnFormerShard(claim_of(owner=2)))


class ReadClaim:
    """A command that reads the stored claim."""

    keys = (KEY,)
    once = False
    durable = False

    def apply(self, states: Any, _: int) -> Any:
        """Leave the claim unchanged."""
        return states, None


def test_former_shard_refuses_a_moved_key() -> None:
    """A key's former shard refuses the key for as long as it remembers the move."""
    shard = Shard()
    assert (False, None) == shard.execute(ExecuteOnFormerShard(claim_of()))
    with pytest.raises(StateUnavailable, match="another layout") as excinfo:
        shard.execute(claim_of())
    assert has_remedy(excinfo.value)
    for day in range(5):
        shard.now = NOW + day * DAY
        assert (False, None) == shard.execute(ExecuteOnFormerShard(claim_of()))
    shard.now += MARK_LASTS - 1
    with pytest.raises(StateUnavailable):
        shard.execute(claim_of())


def test_key_owner_and_lock_for_changing_it_are_on_same_shard() -> None:
    """A key's owner and the lock for changing it are on the same shard."""
    turn_key = own_key("turn", "payments", None, "k")
    place = own_key("place", "payments", None, "k", "1")
    shard = Shard()
    answer = shard.execute(claim_of(turn_key))
    assert (Verdict.RUN, 0) == (answer.verdict, answer.wait)
    is_on_this_shard, placed = shard.execute(ExecuteOnFormerShard(claim_of(place)))
    assert is_on_this_shard
    assert isinstance(placed, ClaimResult)

    other_shard = Shard()
    assert (False, None) == other_shard.execute(ExecuteOnFormerShard(claim_of(place)))
    with pytest.raises(StateUnavailable):
        other_shard.execute(claim_of(turn_key))
