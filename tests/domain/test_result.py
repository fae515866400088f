"""The results of a batch: a value or an error for each of its items."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from moorage.domain.values.result import Result, Results, results_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def test_batch_item_result_with_value_is_ok() -> None:
    """A batch item's result with a value is ok, and returns the value."""
    result = Result(7)

    assert (True, 7, None, 7) == (result.ok, result.value, result.error, result.unwrap())


def test_none_is_a_valid_result() -> None:
    """None is a valid value of a batch item's result."""
    assert Result[None]().ok
    assert Result[None]().unwrap() is None


def test_batch_item_result_with_error_is_not_ok() -> None:
    """A batch item's result with an error is not ok, and raises it when its value is read."""
    error = OSError("gone")
    result: Result[int] = Result(error=error)

    assert (False, None) == (result.ok, result.value)
    with pytest.raises(OSError, match="gone") as excinfo:
        result.unwrap()
    assert error is excinfo.value


def test_results_with_the_same_content_are_equal() -> None:
    """Two results of batch items with the same content are equal."""
    assert Result(7) == Result(7) != Result(8)


def test_results_that_are_created_together_equal_those_of_constructor() -> None:
    """Results that are created as a group equal results created one by one, and are immutable."""
    results = results_of([1, None])
    assert [Result(1), Result(None)] == results
    assert {type(result) for result in results} == {Result}
    with pytest.raises(AttributeError):
        results[0].value = 2  # type: ignore[misc]  # it is refused


class Values:
    """A function that makes a batch's values, and counts its calls."""

    def __init__(self, *values: int) -> None:
        self.made = 0
        self._values = values

    def __call__(self) -> Iterable[int]:
        """Count this call, and return the values."""
        self.made += 1
        return self._values


def test_number_and_errors_of_successful_items_are_known_without_making_their_results() -> None:
    """The number and errors of successful items are available without creating their results."""
    values = Values(1, 2, 3)
    results = Results.of_successes(3, values)

    results.raise_first_error()
    assert (3, [], False, 0) == (len(results), results.errors, results.is_made, values.made)
    assert Result(2) == results[1]
    assert [Result(1), Result(2), Result(3)] == list(results)
    assert (Result(1), Result(2)) == results[:2]
    assert (True, 1) == (results.is_made, values.made)


def test_the_first_error_of_results_is_raised() -> None:
    """Results with errors list them in order, and raise the first of them."""
    first, second = OSError("first"), OSError("second")
    results = Results([Result(1), Result(error=first), Result(error=second)])

    assert [first, second] == results.errors
    with pytest.raises(OSError, match="first"):
        results.raise_first_error()


def test_joined_results_stay_late_if_all_parts_are_late() -> None:
    """Joining lazy results of several batches preserves their order, and computes none of them."""
    first, second = Values(1), Values(2, 3)
    parts = [Results.of_successes(1, first), Results.of_successes(2, second)]
    results = Results.joined(parts)

    assert (3, 0, 0) == (len(results), first.made, second.made)
    assert [1, 2, 3] == [result.unwrap() for result in results]
    assert parts[0] is Results.joined(parts[:1])
    assert (Result(7),) == Results.joined([[Result(7)]])
    error = OSError("gone")
    mixed = Results.joined([Results.of_successes(1, Values(5)), [Result(error=error)]])
    assert (Result(5), Result(error=error)) == mixed
    assert () == Results.joined([])


def test_results_compare_like_a_tuple() -> None:
    """Lazy results are equal to, and hash like, a tuple of the same content."""
    results, others = Results.of_successes(1, Values(1)), Results([Result(1)])

    assert results == others == (Result(1),) != Results([Result(2)])
    assert hash(others) == hash(results) == hash((Result(1),))
    assert results != [Result(1)]
    assert "Results((Result(value=1, error=None),))" == repr(results)


def test_pickled_lazy_results_contain_their_values() -> None:
    """A pickle of lazy results contains their values, but not the function that computes them."""
    values = Values(1)

    pickled = pickle.dumps(Results.of_successes(1, values))
    assert (Result(1),) == pickle.loads(pickled)  # noqa: S301 - made above
    assert 1 == values.made
