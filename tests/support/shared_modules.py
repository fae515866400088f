"""Distributes tests to pytest-xdist workers, each of which collects only some modules.

A generated list names the modules that take long. All workers collect them, and half of the
workers collect a share of the others. A worker runs the tests of its share first. The long modules
are given to idle workers, the longest first; at the end, workers divide what remains of
one. So long tests, which mostly wait, run beside short ones from the beginning.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONG_MODULES: Final = Path(__file__).parent.with_name("shared_modules.txt")

_AHEAD: Final = 3
"""The number of tests of shared modules that a worker has received and that have not ended."""

_LEAST: Final = 2
"""A worker begins a test only if it knows the next one, or that there is none."""


def is_collected(module: str, worker: int, workers: int) -> bool:
    """Return whether a worker collects a module, such as `tests/test_manager.py`."""
    return crc32(module.encode()) % _shares(workers) == worker or module in long_modules()


def collects_share(worker: int, workers: int) -> bool:
    """Return whether a worker collects modules that no other worker collects."""
    return worker < _shares(workers)


def _shares(workers: int) -> int:
    """Return how many workers share the collection of the modules that are not long."""
    return (workers + 1) // 2


@cache
def long_modules() -> dict[str, int]:
    """Return the modules that all workers collect, each with its position in the starting order."""
    modules = _LONG_MODULES.read_text(encoding="utf-8").split()
    return {module: place for place, module in enumerate(modules)}


class SharedModules:
    """A pytest-xdist scheduler whose workers may have collected different tests.

    If a worker crashes, the tests of its own share are not run: the run has failed then.

    Args:
        workers: the number of workers.
        tell_total: called with the number of tests of the run.
    """

    def __init__(self, workers: int, tell_total: Callable[[int], object]) -> None:
        self._workers = workers
        self._tell_total = tell_total
        self._collections: dict[Any, list[str]] = {}
        self._places: dict[Any, dict[str, int]] = {}
        self._sent: dict[Any, list[int]] = {}
        self._modules: deque[deque[str]] = deque()
        self._current: dict[Any, deque[str]] = {}
        self._is_scheduled = False

    @property
    def nodes(self) -> list[Any]:
        """The workers."""
        return list(self._sent)

    @property
    def collection_is_completed(self) -> bool:
        """True if all workers have collected their tests."""
        return len(self._collections) >= self._workers

    @property
    def tests_finished(self) -> bool:
        """True if no worker needs more tests."""
        return (
            self._is_scheduled
            and not self._modules
            and not any(self._current.values())
            and all(len(sent_tests) < _LEAST for sent_tests in self._sent.values())
        )

    @property
    def has_pending(self) -> bool:
        """True if some tests have not ended."""
        return any((self._modules, *self._current.values(), *self._sent.values()))

    def add_node(self, node: Any) -> None:
        """Add a worker that has started."""
        self._sent[node] = []
        self._current[node] = deque()

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Record the tests that a worker has collected."""
        self._collections[node] = list(collection)
        self._places[node] = {test: place for place, test in enumerate(collection)}

    def schedule(self) -> None:
        """Divide the tests, and send each worker its first tests."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._divide()
        for node in self.nodes:
            self._supply(node)

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Record that a test has ended, and send its worker the next tests."""
        self._sent[node].remove(item_index)
        self._supply(node)

    def mark_test_pending(self, item: str) -> None:
        """Record that a test will be repeated; only other pytest plugins request this."""
        raise AssertionError(f"{item} cannot be repeated")

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """Raise an error, because no worker is ever asked to return tests."""
        raise AssertionError(f"{node} gave back {len(indices)} tests")

    def remove_node(self, node: Any) -> str | None:
        """Remove a worker; if the worker crashed, return the test that it was running."""
        sent_tests = self._sent.pop(node)
        unfinished_tests = self._current.pop(node)
        if unfinished_tests:
            self._modules.append(unfinished_tests)
        for other in self.nodes:
            self._supply(other)
        return self._collections[node][sent_tests[0]] if sent_tests else None

    def _divide(self) -> None:
        """Send each worker the tests that only it has collected, and queue the shared modules."""
        numbers = Counter(test for tests in self._collections.values() for test in set(tests))
        self._tell_total(len(numbers))
        modules: dict[str, deque[str]] = {}
        for node, tests in self._collections.items():
            own_places: list[int] = []
            for place, test in enumerate(tests):
                if numbers[test] == 1:
                    own_places.append(place)
                elif node is self.nodes[0]:
                    modules.setdefault(test.partition("::")[0], deque()).append(test)
            self._send(node, own_places)
        places = long_modules()
        self._modules.extend(
            tests for _, tests in sorted(modules.items(), key=lambda item: places.get(item[0], 0))
        )

    def _supply(self, node: Any) -> None:
        """Send a worker its next tests, or a notice that there are none."""
        if node.shutting_down:
            return
        while len(self._sent[node]) < _AHEAD and (test := self._next(node)) is not None:
            self._send(node, [self._places[node][test]])
        if len(self._sent[node]) < _LEAST:
            node.shutdown()

    def _send(self, node: Any, places: list[int]) -> None:
        if places:
            self._sent[node] += places
            node.send_runtest_some(places)

    def _next(self, node: Any) -> str | None:
        """Take a worker's next test from its current module, a queued module, or another worker."""
        tests = self._current[node]
        if not tests:
            tests = self._modules.popleft() if self._modules else self._half()
            self._current[node] = tests
        return tests.popleft() if tests else None

    def _half(self) -> deque[str]:
        """Take half of the remaining tests of the worker that has the most."""
        longest = max(self._current.values(), key=len, default=deque[str]())
        return deque(reversed([longest.pop() for _ in range(len(longest) // 2)]))
