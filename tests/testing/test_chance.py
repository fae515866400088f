"""Random numbers whose values a test sets in advance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.errors import InvalidData
from moorage.testing.fakes.randomness import ScriptedRandomness, SequentialIds

if TYPE_CHECKING:
    from moorage.ports.chance import Ids, Randomness


def test_fractions_follow_their_script() -> None:
    """A test's random fractions come in the given order, and then from the start again."""
    randomness: Randomness = ScriptedRandomness([0.0, 0.25, 0.75])

    assert [0.0, 0.25, 0.75, 0.0] == [randomness.fraction() for _ in range(4)]


def test_random_fraction_is_one_half_unless_test_sets_others() -> None:
    """The random fraction is one half unless a test sets others."""
    assert [0.5, 0.5] == [ScriptedRandomness().fraction() for _ in range(2)]


@pytest.mark.parametrize("fractions", [[], [1.0], [0.5, -0.1]])
def test_invalid_fractions_are_refused(fractions: list[float]) -> None:
    """Fractions that are not valid random numbers are refused."""
    with pytest.raises(InvalidData, match="fractions"):
        ScriptedRandomness(fractions)


def test_tokens_are_counted() -> None:
    """A test's random tokens are consecutive numbers, beginning with a chosen one."""
    randomness: Randomness = ScriptedRandomness(first_token=7)

    assert [7, 8, 9] == [randomness.token() for _ in range(3)]


def test_ids_are_counted() -> None:
    """A test's ids are counted up, and sort in the order of their creation."""
    ids: Ids = SequentialIds("call-")

    assert ["call-000001", "call-000002"] == [ids.new(), ids.new()]
