"""What the conformance kits are written with."""

import pytest

from mooring.testing.checks import name_of, require


def test_a_check_is_named_by_its_function() -> None:
    """A report shows the function's name."""
    assert "test_a_check_is_named_by_its_function" == name_of(test_a_check_is_named_by_its_function)


def test_a_broken_rule_is_a_sentence() -> None:
    """What does not hold fails with the sentence given; what holds passes."""
    require([1], "Never said.")

    with pytest.raises(AssertionError, match="Said once"):
        require([], "Said once.")
