"""The result of one item of a batch."""

from __future__ import annotations

import pytest

from moorage.domain.values.result import Result, results_of


def test_a_value() -> None:
    """A batch item's result with a value is ok, and gives it."""
    result = Result(7)

    assert (True, 7, None, 7) == (result.ok, result.value, result.error, result.unwrap())


def test_nothing_is_a_value() -> None:
    """None is a valid value of a batch item's result."""
    assert Result[None]().ok
    assert Result[None]().unwrap() is None


def test_an_error() -> None:
    """A batch item's result with an error is not ok, and raises it when its value is read."""
    error = OSError("gone")
    result: Result[int] = Result(error=error)

    assert (False, None) == (result.ok, result.value)
    with pytest.raises(OSError, match="gone") as excinfo:
        result.unwrap()
    assert error is excinfo.value


def test_results_are_values() -> None:
    """Two results of batch items with the same content are equal."""
    assert Result(7) == Result(7) != Result(8)


def test_results_of_values_are_like_constructed_ones() -> None:
    """Results that are created together equal those of the constructor, and are immutable."""
    results = results_of([1, None])
    assert [Result(1), Result(None)] == results
    assert {type(result) for result in results} == {Result}
    with pytest.raises(AttributeError):
        results[0].value = 2  # type: ignore[misc]  # it is refused
