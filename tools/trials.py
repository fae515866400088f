"""Tests a vendor with one inserted mistake after another.

Most mistakes are inside functions. One run of pytest collects the tests, and forks for each
mistake: the child gives the function the bytecode of the changed source, and runs the tests that
reach it. A mistake in what a module computes when it is imported takes a process that imports the
vendor anew; the files of expected tables, which show most of these, are compared first.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import resource
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from enum import Enum
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tools.planted import Vendor
    from tools.plants import Plant

LONGEST: Final = 120
"""Seconds of processor time that a trial may use."""

HANGING: Final = 1_200
"""Seconds after which a trial that uses no processor time is ended."""

BROKEN: Final = 99
"""The result of a trial whose tests could not be run."""

RELOADED: Final = 98
"""The result of a trial whose mistake needs a new import of the vendor."""


class Verdict(Enum):
    """The result of testing one inserted mistake."""

    CAUGHT = "caught"
    SURVIVES = "survives"
    UNDECIDED = "undecided"


def verdict(exit_code: int) -> Verdict:
    """Return the verdict for a trial's exit code; a negative code is a signal."""
    if exit_code in {-signal.SIGXCPU, -signal.SIGALRM}:
        return Verdict.UNDECIDED
    return Verdict.CAUGHT if exit_code else Verdict.SURVIVES


class _ChangedSourceLoader(SourceFileLoader):
    """An import loader that uses changed source for one module."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile the changed source without writing a cache file."""
        return compile(self._source, self.path, "exec", dont_inherit=True)


class ChangedSource(MetaPathFinder):
    """Imports one module from its changed source."""

    def __init__(self, plant: Plant) -> None:
        self._path = Path(plant.path)
        self._name = ".".join(self._path.with_suffix("").parts[1:])
        self._source = plant.applied(self._path.read_text("utf-8"))

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Return how to import the changed module; None for all other modules."""
        if fullname != self._name:
            return None
        place = str(self._path.absolute())
        loader = _ChangedSourceLoader(fullname, place, self._source)
        return spec_from_file_location(fullname, place, loader=loader)


class TrialRecorder:
    """A pytest plugin that records each test's duration and the vendor lines that it reaches."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._files = {str(Path(path).absolute()): path for path in paths}
        self.reached: dict[tuple[str, int], list[str]] = defaultdict(list)
        self.costs: dict[str, float] = defaultdict(float)
        self.failed: list[str] = []
        self._test = ""
        self._monitoring: Any = vars(sys)["monitoring"]  # Python 3.12 and later

    def begin(self) -> None:
        """Register with the interpreter as a tool that measures coverage."""
        self._monitoring.use_tool_id(self._monitoring.COVERAGE_ID, "planted")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Assign the lines reached from now on to this test."""
        self._test = item.nodeid
        events = self._monitoring.events
        self._monitoring.register_callback(
            self._monitoring.COVERAGE_ID, events.LINE, self._record_line
        )
        self._monitoring.set_events(self._monitoring.COVERAGE_ID, events.LINE)
        self._monitoring.restart_events()

    def _record_line(self, code: CodeType, line: int) -> object:
        if path := self._files.get(code.co_filename):
            tests = self.reached[path, line]
            if not tests or tests[-1] != self._test:
                tests.append(self._test)
        return self._monitoring.DISABLE

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the duration of one phase of a test to the test's total."""
        self.costs[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)


class Failures:
    """A pytest plugin that ends the process at the first failure, and names the failed test."""

    def __init__(self, names: Path) -> None:
        self._names = names

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """End the process if a test failed."""
        if report.failed:
            self._names.write_text(report.nodeid, "utf-8")
            os._exit(1)


class VendorSelection:
    """A pytest plugin that deselects other vendors' tests, and the asynchronous runs of kits."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Deselect tests that do not concern the vendor."""
        items[:] = [item for item in items if self.applies_to(item.nodeid)]

    def applies_to(self, test: str) -> bool:
        """Return whether the test of this id may concern the vendor."""
        path, _, test_name = test.partition("::")
        words = test_name.replace("-", "_")
        if "conforms_async" in words:
            return False
        return self._vendor.name in path or self._vendor.is_concerned_by(words)


class _TestSelection:
    """A pytest plugin that runs only these tests in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Deselect all other tests, and sort the rest."""
        items[:] = [item for item in items if item.nodeid in self._rank]
        items.sort(key=lambda item: self._rank[item.nodeid])


ARGUMENTS: Final = (
    "-x",
    "-q",
    "-s",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "-n0",
    "--tb=no",
    # pytest would load the modules itself to rewrite their assertions.
    "--assert=plain",
)


def fork(work: Callable[[], int], *, bounded: bool = True) -> int:
    """Start a child whose exit code is the result of a function, and return the child's id."""
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, 1)
        os.dup2(null_device, 2)
        if bounded:
            signal.alarm(HANGING)
            resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, resource.RLIM_INFINITY))
        os._exit(work())
    finally:
        os._exit(BROKEN)


def run_items(items: Sequence[pytest.Item]) -> None:
    """Run collected tests in this order."""
    for item, next_item in zip_longest(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)


def tests_for(plant: Plant, recorder: TrialRecorder) -> list[str]:
    """Return the tests that reach the changed line, or all tests if it runs at import."""
    reaching_tests: Iterable[str] = recorder.costs
    if plant.inside:
        tests = {
            test for line in plant.inside for test in recorder.reached.get((plant.path, line), ())
        }
        near_tests = set(recorder.reached.get((plant.path, plant.line), ())) or tests
        reaching_tests = near_tests
    passing_tests = [test for test in reaching_tests if test not in recorder.failed]
    return sorted(passing_tests, key=recorder.costs.__getitem__)


def in_parallel(
    plants: Iterable[Plant], work_for: Callable[[Plant], Callable[[], int]], workers: int
) -> Iterator[tuple[Plant, int]]:
    """Test each mistake in a forked process, and yield the mistake with the exit code."""
    running_plants: dict[int, Plant] = {}

    def end_one() -> tuple[Plant, int]:
        child, status = os.wait()
        plant = running_plants.pop(child)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        exit_code = os.waitstatus_to_exitcode(status)
        if exit_code == BROKEN:
            sys.exit(f"the tests could not be run: {plant}")
        return plant, exit_code

    for plant in plants:
        if len(running_plants) == workers:
            yield end_one()
        running_plants[fork(work_for(plant))] = plant
    while running_plants:
        yield end_one()


def _code_objects(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of each outermost function."""
    for part in code.co_consts:
        if isinstance(part, CodeType) and not part.co_name.startswith("<"):
            if part.co_flags & _OPTIMIZED:
                yield part
            else:
                yield from _code_objects(part)


_OPTIMIZED: Final = 1
"""The flag of code that belongs to a function, not to a module or class."""


def give_bytecode(plant: Plant, functions: Sequence[FunctionType]) -> bool:
    """Give a function its changed bytecode; return False if the module must be imported again."""
    path = Path(plant.path)
    place = str(path.absolute())
    planted_code = compile(plant.applied(path.read_text("utf-8")), place, "exec", dont_inherit=True)
    codes = [code for code in _code_objects(planted_code) if code.co_firstlineno <= plant.line]
    code = max(codes, key=lambda code: code.co_firstlineno)
    matches = [
        function
        for function in functions
        if function.__code__.co_filename == place
        and function.__code__.co_firstlineno == code.co_firstlineno
        and function.__code__.co_name == code.co_name
    ]
    try:
        for function in matches:
            function.__code__ = code
    except ValueError:  # it has different variables of an enclosing scope
        return False
    return bool(matches)


class _Session:
    """A pytest plugin that collects the tests once, and forks for each mistake.

    It writes the costs and lines of the tests without a mistake, and then each mistake that needs
    no new import with the exit code of its trial.
    """

    def __init__(
        self, vendor: Vendor, plants: Sequence[Plant], workers: int, results: BinaryIO
    ) -> None:
        self._vendor = vendor
        self._plants = plants
        self._workers = workers
        self._results = results

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure the tests, and test each mistake inside of a function."""
        gc.unfreeze()
        functions = [item for item in gc.get_objects() if isinstance(item, FunctionType)]
        gc.freeze()
        items = {item.nodeid: item for item in session.items}
        catching_tests: dict[tuple[str, range], list[str]] = defaultdict(list)
        with TemporaryDirectory() as folder:
            recorder = self._measured(session, Path(folder) / "measurements")
            self._write((recorder.reached, recorder.costs, recorder.failed))

            def names_for(plant: Plant) -> Path:
                return Path(folder) / f"{Path(plant.path).stem}-{plant.first}-{plant.last}"

            def work_for(plant: Plant) -> Callable[[], int]:
                # The test that caught a mistake in a function most likely catches the next one
                # there.
                likely = catching_tests[plant.path, plant.inside]
                tests = tests_for(plant, recorder)
                tests.sort(key=lambda test: likely.index(test) if test in likely else len(likely))

                def work() -> int:
                    if not plant.inside or not give_bytecode(plant, functions):
                        return RELOADED
                    session.config.pluginmanager.register(Failures(names_for(plant)))
                    run_items([items[test] for test in tests])
                    return 0

                return work

            for plant, exit_code in in_parallel(self._plants, work_for, self._workers):
                if exit_code != RELOADED:
                    self._write((plant, exit_code))
                if names_for(plant).exists():
                    test = names_for(plant).read_text("utf-8")
                    likely = catching_tests[plant.path, plant.inside]
                    likely[:] = [test, *(name for name in likely if name != test)]
        return True

    def _write(self, result: object) -> None:
        pickle.dump(result, self._results)
        self._results.flush()

    def _measured(self, session: pytest.Session, path: Path) -> TrialRecorder:
        recorder = TrialRecorder(self._vendor.paths)

        def work() -> int:
            recorder.begin()
            session.config.pluginmanager.register(recorder)
            run_items(session.items)
            path.write_bytes(
                pickle.dumps((dict(recorder.reached), dict(recorder.costs), recorder.failed))
            )
            return 0

        os.waitpid(fork(work, bounded=False), 0)
        if not path.exists():
            sys.exit(f"the tests of {self._vendor.name} could not be run")
        recorder.reached, recorder.costs, recorder.failed = pickle.loads(path.read_bytes())  # noqa: S301 - our child's
        return recorder


def _session_output(vendor: Vendor, plants: Sequence[Plant], workers: int) -> Iterator[Any]:
    """Run a test session; yield its measurements, then each mistake with its exit code."""
    reading, writing = os.pipe()

    def work() -> int:
        with os.fdopen(writing, "wb") as results:
            session = _Session(vendor, plants, workers, results)
            pytest.main([*ARGUMENTS, *vendor.tests()], plugins=[session, VendorSelection(vendor)])
        return 0

    child = fork(work, bounded=False)
    os.close(writing)
    with os.fdopen(reading, "rb") as results, suppress(EOFError):
        while True:
            yield pickle.load(results)  # noqa: S301 - our child's
    os.waitpid(child, 0)


def differs(lines_of: Callable[[], list[str]], expected: list[str]) -> bool:
    """Return whether a vendor's tables differ from the expected, or it cannot be imported."""
    try:
        return lines_of() != expected
    except Exception:  # noqa: BLE001 - a mistake may raise anything
        return True


def _trial(plant: Plant, vendor: Vendor, tests: Sequence[str]) -> int:
    """Import a vendor with a mistake, compare its tables, and run the tests."""
    sys.meta_path.insert(0, ChangedSource(plant))
    tables = importlib.import_module("tests.vendors.vendor_tables")
    table = tables.TABLES / f"{vendor.contract}-{vendor.name}.txt"
    lines_of = partial(tables.lines_of, f"{vendor.contract}/{vendor.name}")
    if differs(lines_of, table.read_text("utf-8").splitlines()):
        return 1
    files = sorted({test.partition("::")[0] for test in tests})
    return int(pytest.main([*ARGUMENTS, *files], plugins=[_TestSelection(tests)]))


def trials(
    vendor: Vendor, plants: Sequence[Plant], workers: int
) -> Iterator[tuple[Plant, Verdict]]:
    """Test each mistake, and yield it with its verdict."""
    recorder = TrialRecorder(vendor.paths)
    tried_plants: set[Plant] = set()
    for number, result in enumerate(_session_output(vendor, plants, workers)):
        if number == 0:
            recorder.reached, recorder.costs, recorder.failed = result
            if recorder.failed:
                print(f"  fail without a mistake, and are left out: {recorder.failed}", flush=True)
        else:
            tried_plants.add(result[0])
            yield result[0], verdict(result[1])

    if not recorder.costs:
        sys.exit(f"the tests of {vendor.name} could not be run")

    def work_for(plant: Plant) -> Callable[[], int]:
        return partial(_trial, plant, vendor, tests_for(plant, recorder))

    remaining = [plant for plant in plants if plant not in tried_plants]
    for plant, exit_code in in_parallel(remaining, work_for, workers):
        yield plant, verdict(exit_code)
