"""The choice of the idempotency claims that a process renews next, and their grouping."""

from __future__ import annotations

from moorage.domain.entries.renewal import (
    CLAIM_LEASE,
    MOST_TOGETHER,
    HeldClaim,
    claims_due,
    split_in_half,
)
from moorage.domain.idempotency.claims import LEASE, RENEWAL

NOW = 10**12


def held_claim(key: str = "k", *, until: int = NOW) -> HeldClaim:
    """Return an idempotency claim that this process holds."""
    return HeldClaim(key, 1, ttl=1, until=until)


def test_a_claim_is_due_when_half_a_renewals_time_has_passed() -> None:
    """A claim is renewed after half of its renewal time, so short calls need no renewal."""
    fresh = held_claim("fresh", until=NOW + CLAIM_LEASE)
    older_claim = held_claim("older", until=NOW + CLAIM_LEASE - RENEWAL * 1000 // 2)
    lapsed_claim = held_claim("lapsed", until=0)
    assert [[older_claim, lapsed_claim]] == claims_due(
        [fresh, older_claim, lapsed_claim], NOW, by_tag=False
    )
    assert [] == claims_due([], NOW, by_tag=True)


def test_claim_that_was_not_due_for_renewal_in_one_round_is_due_in_next() -> None:
    """A claim that is not renewed in one round is renewed in the next round, before it ends."""
    claim = held_claim(until=NOW + CLAIM_LEASE - RENEWAL * 1000 // 2 + 1)
    rounds = [NOW + number * RENEWAL * 1000 for number in (0, 1, 2)]
    assert [[], [[claim]], [[claim]]] == [claims_due([claim], now, by_tag=False) for now in rounds]
    assert rounds[-1] < claim.until
    assert 3 * RENEWAL == LEASE


def test_many_claims_are_renewed_by_few_commands() -> None:
    """Ten thousand claims are renewed by fifty commands."""
    groups = claims_due([held_claim(str(number)) for number in range(10_000)], NOW, by_tag=False)
    assert [MOST_TOGETHER] * 50 == list(map(len, groups))


def test_each_renewal_command_has_claims_of_one_hash_tag() -> None:
    """If a store distributes keys by hash tag, each command renews the claims of one hash tag."""
    claims = [
        held_claim(f"moorage:{{{tag}}}:{number}") for number in range(3) for tag in ("a", "b")
    ]
    plain_claim = held_claim("no tag")
    groups = claims_due([*claims, plain_claim], NOW, by_tag=True)
    assert [[plain_claim], claims[::2], claims[1::2]] == groups


def test_of_two_holders_of_a_key_the_later_is_renewed() -> None:
    """If two callers of a process owned a key in succession, only the later claim is renewed."""
    earlier_claim, later_claim = held_claim(), held_claim()
    assert [[later_claim]] == claims_due([earlier_claim, later_claim], NOW, by_tag=False)


def test_group_of_claims_whose_renewal_failed_is_halved_until_failing_claim_is_found() -> None:
    """If renewing a group of claims fails, the group is halved until the failing one is found."""
    claims = [held_claim(str(number)) for number in range(5)]
    assert [claims[:2], claims[2:]] == split_in_half(claims)
    assert [claims[:1], claims[1:2]] == split_in_half(claims[:2])
    assert [] == split_in_half(claims[:1])
