"""The distribution of tests to test workers that have collected different modules."""

from __future__ import annotations

from collections import Counter, deque
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from tests.support.shared_modules import (
    SharedModules,
    collects_share,
    is_collected,
    long_modules,
)

SHARED = [f"tests/test_long_{module}.py::test_{n}" for module in range(5) for n in range(9)]


class Worker:
    """A fake test worker that runs a test only once it has the next test or the end signal."""

    def __init__(self, number: int) -> None:
        self.tests = [f"tests/test_{number}.py::test_{n}" for n in range(7 * number)]
        self.tests += Random(number).sample(SHARED, len(SHARED))
        self.received = deque[int]()
        self.run: list[str] = []
        self.shutting_down = False

    def send_runtest_some(self, places: list[int]) -> None:
        """Receive the tests to run."""
        assert not self.shutting_down
        self.received += places

    def shutdown(self) -> None:
        """Receive the notice that no more tests follow."""
        self.shutting_down = True

    def step(self, scheduler: SharedModules) -> bool:
        """Run a test, and return whether there was one to run."""
        if len(self.received) < 2 - self.shutting_down:
            return False
        place = self.received.popleft()
        self.run.append(self.tests[place])
        scheduler.mark_test_complete(self, place)
        return True


def started_scheduler(number: int) -> tuple[SharedModules, list[Worker], list[int]]:
    """Return a scheduler whose workers have collected their tests."""
    totals: list[int] = []
    scheduler = SharedModules(number, totals.append)
    workers = [Worker(n) for n in range(number)]
    for worker in workers:
        scheduler.add_node(worker)
    for worker in workers:
        assert not scheduler.collection_is_completed
        scheduler.add_node_collection(worker, worker.tests)
    assert scheduler.collection_is_completed
    scheduler.schedule()
    return scheduler, workers, totals


def run_all(scheduler: SharedModules, workers: list[Worker], random: Random) -> None:
    """Run the tests of all workers, each worker at its own pace."""
    for worker in random.choices(workers, k=999):
        worker.step(scheduler)
    while any(worker.step(scheduler) for worker in workers):
        pass


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("seed", range(20))
def test_each_test_runs_once(number: int, seed: int) -> None:
    """All tests run once, whatever the workers' pace, and then all workers end."""
    scheduler, workers, totals = started_scheduler(number)
    expected = {test for worker in workers for test in worker.tests}
    assert [len(expected)] == totals
    assert scheduler.has_pending

    run_all(scheduler, workers, Random(seed))

    assert Counter(expected) == Counter(test for worker in workers for test in worker.run)
    assert scheduler.tests_finished
    assert not scheduler.has_pending
    assert all(worker.shutting_down for worker in workers)


def test_idle_workers_take_the_tests_of_others() -> None:
    """A worker without tests takes whole modules of other workers, and finally half of a module."""
    scheduler, (first, second), _ = started_scheduler(2)
    while first.step(scheduler):
        pass
    assert first.shutting_down
    assert len(second.run) + len(second.received) < 7 + 5
    run_all(scheduler, [first, second], Random(1))
    assert scheduler.tests_finished


def test_module_stays_together() -> None:
    """A worker finishes the module that it has begun, so that its fixtures stay in use."""
    scheduler, (first, _), _ = started_scheduler(2)
    while first.step(scheduler):
        pass

    modules = [module for module, _ in groupby(test.partition("::")[0] for test in first.run)]
    assert len(modules) == len(set(modules)) == 5


def test_tests_of_a_crashed_worker_are_run_by_others() -> None:
    """The test that a worker crashed in is reported, and other workers run its other tests."""
    scheduler, (first, second, third), _ = started_scheduler(3)
    while len(second.received) > 1 and "long" not in second.tests[second.received[1]]:
        second.step(scheduler)
    second.step(scheduler)
    assert scheduler.remove_node(second) == second.tests[second.received[0]]
    run_all(scheduler, [first, third], Random(1))

    run_tests = {*first.run, *second.run, *third.run}
    lost_tests = {second.tests[place] for place in second.received}
    assert {*SHARED} == run_tests.intersection(SHARED) | lost_tests
    assert len(lost_tests) <= 4


def test_each_module_is_collected() -> None:
    """Each module is collected by one worker of the first half, but long modules by all workers."""
    for module in ("tests/test_manager.py", "tests/test_graph.py", "tests/test_flow.py"):
        collecting = [worker for worker in range(5) if is_collected(module, worker, 5)]
        assert len(collecting) == 1
        assert collects_share(collecting[0], 5)
    assert [worker for worker in range(5) if collects_share(worker, 5)] == [0, 1, 2]
    assert all(is_collected("tests/test_pages.py", worker, 5) for worker in range(5))


def test_shared_modules_exist() -> None:
    """Each module in the list of shared modules exists."""
    assert [] == [module for module in long_modules() if not Path(module).is_file()]


def test_longest_module_begins_first() -> None:
    """The shared modules begin in the order of their list."""
    longest, *_, shortest = long_modules()
    scheduler = SharedModules(2, lambda _: None)
    workers = [Worker(0), Worker(0)]
    for worker in workers:
        worker.tests = [f"{module}::test_{n}" for module in (shortest, longest) for n in range(9)]
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, worker.tests)
    scheduler.schedule()

    first, second = (worker.tests[worker.received[0]] for worker in workers)
    assert first.startswith(longest)
    assert second.startswith(shortest)
