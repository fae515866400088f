"""Random numbers and ids from the operating system."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
import ulid

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.randomness import SystemRandomness, UlidIds
from tests.adapters.forked import run_in_forked_child

if TYPE_CHECKING:
    from moorage.ports.chance import Ids, Randomness


def test_fractions_fill_their_interval() -> None:
    """Random fractions are at least 0, below 1, and spread over the interval."""
    randomness: Randomness = SystemRandomness()
    fractions = [randomness.fraction() for _ in range(1_000)]

    assert all(0 <= fraction < 1 for fraction in fractions)
    assert set(range(10)) == {int(fraction * 10) for fraction in fractions}


def test_tokens_are_numbers_that_differ() -> None:
    """Random tokens are distinct numbers from 1 to 2^52."""
    randomness: Randomness = SystemRandomness()
    tokens = {randomness.token() for _ in range(1_000)}

    assert 1_000 == len(tokens)
    assert all(1 <= token <= 2**52 for token in tokens)
    assert max(tokens) > 2**51


def test_two_random_generators_produce_different_values() -> None:
    """Two random number generators in one process produce different values."""
    assert SystemRandomness().fraction() != SystemRandomness().fraction()


def test_fork_reseeds_the_generator() -> None:
    """In a forked child, a random generator does not continue its parent's sequence."""
    randomness, twin = SystemRandomness(Random(1)), Random(1)
    first_fraction = randomness.fraction()

    restart_in_child()

    assert twin.random() == first_fraction
    assert twin.random() != randomness.fraction()


def test_forked_child_draws_other_random_numbers() -> None:
    """After a fork, parent and child produce different random fractions and tokens."""
    randomness = SystemRandomness()

    fraction, token = run_in_forked_child(lambda: (randomness.fraction(), randomness.token()))

    assert fraction != randomness.fraction()
    assert token != randomness.token()


def test_an_id_is_a_ulid_of_now() -> None:
    """An id is a ULID that contains the time of its creation."""
    ids: Ids = UlidIds()
    time = ulid.ULID.from_str(ids.new()).datetime

    assert abs(time - datetime.now(UTC)) < timedelta(seconds=5)


def test_ids_differ_and_sort_by_time() -> None:
    """Ids are unique, and ids of different milliseconds sort by time."""
    ids = UlidIds()
    made_ids = [ids.new() for _ in range(2_000)]

    assert 2_000 == len(set(made_ids))
    assert [name[:10] for name in made_ids] == sorted(name[:10] for name in made_ids)


@pytest.mark.parametrize("_", range(20))
def test_forked_child_makes_other_ids(_: int) -> None:
    """After a fork, parent and child generate different ids, even in the same millisecond."""
    ids = UlidIds()
    ids.new()

    assert run_in_forked_child(lambda: ids.new()[10:]) != ids.new()[10:]
