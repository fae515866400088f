"""The results of a batch: a value or an error for each of its items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from moorage.domain.values.frozen_values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
V = TypeVar("V")


@frozen
class Result(Generic[T]):
    """The value or the error of one item in a batch.

    Attributes:
        value: the value; None if the item failed.
        error: the error; None if the item succeeded.
    """

    value: T | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """True if the item succeeded."""
        return self.error is None

    def unwrap(self) -> T:
        """Return the item's value, or raise its error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only if T allows it


class _NewResult(Result[Any]):
    """A result under construction, which becomes a `Result` once its fields are set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def results_of(values: Iterable[T | Result[T]]) -> list[Result[T]]:
    """Return results of items that succeeded, in half the time of calling the constructor.

    An item that is already a `Result`, such as an error, stays unchanged.
    """
    results: list[Result[T]] = []
    new_object = object.__new__
    for value in values:
        if type(value) is Result:
            results.append(cast("Result[T]", value))
            continue
        result: Any = new_object(_NewResult)
        result.value = value
        result.error = None
        result.__class__ = Result
        results.append(result)
    return results


class Results(Sequence[Result[T]]):
    """The results of a batch, one for each of its items, in their order.

    The results of items that all succeeded may be made when the first of them is accessed.

    Args:
        results: the results.
    """

    __slots__ = "_count", "_make", "_results"

    def __init__(self, results: Iterable[Result[T]]) -> None:
        self._results: tuple[Result[T], ...] | None = tuple(results)
        self._count = len(self._results)
        self._make: Callable[[], Iterable[T]] = tuple

    @staticmethod
    def of_successes(count: int, make: Callable[[], Iterable[V]]) -> Results[V]:
        """Return the results of items that all succeeded.

        Args:
            count: the number of items.
            make: returns their values, when one of them is accessed.
        """
        results: Results[V] = Results(())
        results._results, results._count, results._make = None, count, make
        return results

    @staticmethod
    def joined(parts: Sequence[Sequence[Result[V]]]) -> Results[V]:
        """Return the results of several batches in order, without making any that can wait."""
        batches = [
            cast("Results[V]", part) if isinstance(part, Results) else Results(part)
            for part in parts
        ]
        if len(batches) == 1:
            return batches[0]
        if any(batch.is_made for batch in batches):
            return Results(chain.from_iterable(batches))
        return Results.of_successes(
            sum(map(len, batches)), lambda: chain.from_iterable(batch._make() for batch in batches)
        )

    @property
    def is_made(self) -> bool:
        """True if the results exist; False if they are made only when one of them is accessed."""
        return self._results is not None

    @property
    def errors(self) -> list[Exception]:
        """The errors of the items that failed, in order."""
        if self._results is None:
            return []
        return [result.error for result in self._results if result.error is not None]

    def raise_first_error(self) -> None:
        """Raise the error of the first item that failed; do nothing if all items succeeded."""
        for error in self.errors:
            raise error

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Result[T]]:
        return iter(self._made_results())

    @overload
    def __getitem__(self, at: int) -> Result[T]: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Result[T]]: ...

    def __getitem__(self, at: int | slice) -> Result[T] | Sequence[Result[T]]:
        return self._made_results()[at]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Results, tuple)):
            return NotImplemented
        return self._made_results() == tuple(cast("Iterable[object]", other))

    def __hash__(self) -> int:
        return hash(self._made_results())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._made_results()!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._made_results(),)

    def _made_results(self) -> tuple[Result[T], ...]:
        results = self._results
        if results is None:
            results = self._results = tuple(results_of(self._make()))
            self._make = tuple
        return results
