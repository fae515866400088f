"""Plants mistakes in a vendor, and prints those that its tests do not notice.

`python -m tools.planted mollie plivo` plants each mistake of `tools.plants` in the modules of a
vendor, one at a time and in memory, and runs the tests that reach the place: the vendor's own and
its part of those for all vendors, such as the conformance kit. `--sample 40` takes as many of each
vendor, spread over the kinds of mistakes, and `--kind` those of some kinds only.

A trial that uses `LONGEST` seconds of processor time, or hangs, shows neither that a mistake was
noticed nor that it was not: such mistakes are printed and counted apart.

mutmut, behind `make mutants`, changes the code of functions; a vendor is mostly tables, which are
read at the import, so that each mistake here takes a new process that imports the vendor anew.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import os
import pickle
import random
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from contextlib import suppress
from enum import Enum
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import frozen

from tools.plants import Plant, plants_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import CodeType

VENDORS: Final = Path("src/moorage/vendors")
FOLDERS: Final = {
    "storage": ("tests/storage", "tests/vendors"),
}
LOADED: Final = (
    "hypothesis",
    "moorage.hub.hub",
    "moorage.config",
    "moorage.testing.kits.checks",
    "moorage.testing.sandboxes.base",
)
"""What every trial needs and no mistake is planted in."""

LONGEST: Final = 120
"""Seconds of processor time that a trial may use."""

HANGING: Final = 1_200
"""Seconds after which a trial that uses no processor time is ended."""

BROKEN: Final = 99
"""How a trial ends whose tests could not be run."""


class Verdict(Enum):
    """The result of a trial of one planted mistake."""

    CAUGHT = "caught"
    SURVIVES = "survives"
    UNDECIDED = "undecided"


def verdict(exit_code: int) -> Verdict:
    """Return the verdict for this exit code of a trial; a negative one is a signal's number."""
    if exit_code in {-signal.SIGXCPU, -signal.SIGALRM}:
        return Verdict.UNDECIDED
    return Verdict.CAUGHT if exit_code else Verdict.SURVIVES


@frozen
class Vendor:
    """A vendor and the files of its module.

    Attributes:
        name: the stem of its module.
        contract: the folder that it is in.
        paths: its module and the private ones that only it imports.
    """

    name: str
    contract: str
    paths: tuple[str, ...]

    def tests(self) -> list[str]:
        """Return the test files that may be about the vendor."""
        other_vendors = [vendor for vendor in names() if vendor not in self.name]
        folders = FOLDERS.get(self.contract, ("tests/vendors",))
        return sorted(
            str(path)
            for folder in folders
            for path in Path(folder).glob("test_*.py")
            if self.name in path.stem or not any(vendor in path.stem for vendor in other_vendors)
        )


def names() -> list[str]:
    """Return the names of all vendors."""
    return sorted(path.stem for path in VENDORS.glob("*/*.py") if not path.name.startswith("_"))


def vendor_of(name: str) -> Vendor:
    """Return a vendor with its files."""
    path = next(VENDORS.glob(f"*/{name}.py"))
    paths = [path]
    for source in paths:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                modules = (node.module.rpartition(".")[2], *(part.name for part in node.names))
                for helper_path in (path.parent / f"{module}.py" for module in modules):
                    is_private = (
                        helper_path.name.startswith("_") and helper_path.name != "_common.py"
                    )
                    if is_private and helper_path.exists() and helper_path not in paths:
                        paths.append(helper_path)
    return Vendor(name, path.parent.name, tuple(map(str, paths)))


class _Planted(SourceFileLoader):
    """An import loader that uses a changed source for one module."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile the changed source, without writing a cache file."""
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, plant: Plant) -> None:
        self._path = Path(plant.path)
        self._name = ".".join(self._path.with_suffix("").parts[1:])
        self._source = plant.applied(self._path.read_text("utf-8"))

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        place = str(self._path.absolute())
        loader = _Planted(fullname, place, self._source)
        return spec_from_file_location(fullname, place, loader=loader)


class _Watch:
    """A pytest plugin that records each test's cost and the vendor's lines that it reaches."""

    def __init__(self, vendor: Vendor) -> None:
        self._files = {str(Path(path).absolute()): path for path in vendor.paths}
        self.reached: dict[tuple[str, int], list[str]] = defaultdict(list)
        self.costs: dict[str, float] = defaultdict(float)
        self.failed: list[str] = []
        self._test = ""
        self._monitoring: Any = vars(sys)["monitoring"]  # Python 3.12 and later
        self._monitoring.use_tool_id(self._monitoring.COVERAGE_ID, "planted")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Assign the lines reached from now on to this test."""
        self._test = item.nodeid
        events = self._monitoring.events
        self._monitoring.register_callback(self._monitoring.COVERAGE_ID, events.LINE, self._reach)
        self._monitoring.set_events(self._monitoring.COVERAGE_ID, events.LINE)
        self._monitoring.restart_events()

    def _reach(self, code: CodeType, line: int) -> object:
        if path := self._files.get(code.co_filename):
            tests = self.reached[path, line]
            if not tests or tests[-1] != self._test:
                tests.append(self._test)
        return self._monitoring.DISABLE

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the time that a phase of a test took."""
        self.costs[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)


class _Chosen:
    """A pytest plugin that runs only these tests, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Deselect all other tests, and sort the remaining ones."""
        items[:] = [item for item in items if item.nodeid in self._rank]
        items.sort(key=lambda item: self._rank[item.nodeid])


class _Concerned:
    """A pytest plugin that deselects tests of other vendors and the asynchronous kit runs."""

    def __init__(self, vendor: Vendor) -> None:
        self._name = vendor.name
        self._others = [name for name in names() if name not in vendor.name]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Deselect tests that do not concern the vendor."""
        items[:] = [item for item in items if self._concerns(item.nodeid)]

    def _concerns(self, test: str) -> bool:
        path, _, test_name = test.partition("::")
        words = test_name.replace("-", "_")
        if "conforms_async" in words:
            return False
        if self._name in path or self._name in words:
            return True
        return not any(vendor in words for vendor in self._others)


_ARGUMENTS: Final = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "-n0",
    "--tb=no",
    # pytest would load the modules itself to rewrite their assertions.
    "--assert=plain",
)


def _forked(work: Callable[[], int]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        signal.alarm(HANGING)
        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, resource.RLIM_INFINITY))
        os._exit(work())
    finally:
        os._exit(BROKEN)


def _measured(vendor: Vendor) -> _Watch:
    """Run the vendor's tests without a mistake, and return their costs and lines."""
    with TemporaryDirectory() as folder:
        measurements = Path(folder) / "watch"

        def work() -> int:
            signal.alarm(0)
            resource.setrlimit(
                resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
            watch = _Watch(vendor)
            arguments = [argument for argument in _ARGUMENTS if argument != "-x"]
            pytest.main([*arguments, *vendor.tests()], plugins=[watch, _Concerned(vendor)])
            measurements.write_bytes(
                pickle.dumps((dict(watch.reached), dict(watch.costs), watch.failed))
            )
            return 0

        _, status = os.waitpid(_forked(work), 0)
        if not measurements.exists():
            sys.exit(f"the tests of {vendor.name} could not be run: {status}")
        watch = object.__new__(_Watch)
        watch.reached, watch.costs, watch.failed = pickle.loads(measurements.read_bytes())  # noqa: S301 - our child's
    return watch


def _tests_for(plant: Plant, watch: _Watch) -> list[str]:
    """Return the tests that reach a line, or all tests if the line runs at import."""
    reaching_tests: Iterable[str] = watch.costs
    if plant.inside:
        tests = {
            test for line in plant.inside for test in watch.reached.get((plant.path, line), ())
        }
        near_tests = set(watch.reached.get((plant.path, plant.line), ())) or tests
        reaching_tests = near_tests
    passing_tests = [test for test in reaching_tests if test not in watch.failed]
    return sorted(passing_tests, key=watch.costs.__getitem__)


def _trial(plant: Plant, tests: list[str]) -> int:
    sys.meta_path.insert(0, _Finder(plant))
    files = sorted({test.partition("::")[0] for test in tests})
    return int(pytest.main([*_ARGUMENTS, *files], plugins=[_Chosen(tests)]))


def trials(vendor: Vendor, plants: list[Plant], workers: int) -> Iterator[tuple[Plant, Verdict]]:
    """Try each mistake, and yield it with its verdict."""
    watch = _measured(vendor)
    if watch.failed:
        print(f"  fail without a mistake, and are left out: {watch.failed}", flush=True)
    running_plants: dict[int, Plant] = {}

    def end_one() -> tuple[Plant, Verdict]:
        child, status = os.wait()
        plant = running_plants.pop(child)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        exit_code = os.waitstatus_to_exitcode(status)
        if exit_code == BROKEN:
            sys.exit(f"the tests could not be run: {plant}")
        return plant, verdict(exit_code)

    for plant in plants:
        tests = _tests_for(plant, watch)
        if not tests:
            yield plant, Verdict.SURVIVES
            continue
        if len(running_plants) == workers:
            yield end_one()
        running_plants[_forked(partial(_trial, plant, tests))] = plant
    while running_plants:
        yield end_one()


def chosen(plants: list[Plant], sample: int, seed: int) -> list[Plant]:
    """Return a sample of this many mistakes, spread evenly over the kinds."""
    kinds: dict[str, list[Plant]] = defaultdict(list)
    for plant in random.Random(seed).sample(plants, len(plants)):
        kinds[plant.kind].append(plant)
    results: list[Plant] = []
    while len(results) < sample and any(kinds.values()):
        for plants_of_kind in kinds.values():
            if plants_of_kind and len(results) < sample:
                results.append(plants_of_kind.pop())
    return results


def main() -> int:
    """Plant the mistakes, and print those that no test noticed."""
    parser = argparse.ArgumentParser(prog="python -m tools.planted", description=__doc__)
    parser.add_argument("vendors", nargs="*", default=names())
    parser.add_argument("--sample", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", help="only mistakes of this kind")
    parser.add_argument("--again", type=Path, help="only those that survived, by this output")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for name in LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    rows: list[str] = []
    for name in options.vendors:
        vendor = vendor_of(name)
        loaded_modules = [module for module in sys.modules if module.endswith(f".{name}")]
        assert not loaded_modules, f"{loaded_modules} is loaded before a mistake is planted"
        plants = [
            plant
            for path in vendor.paths
            for plant in plants_in(path, Path(path).read_text("utf-8"))
            if not options.kind or plant.kind in options.kind
        ]
        plants = chosen(plants, options.sample, options.seed)
        if options.again is not None:
            earlier_output = options.again.read_text("utf-8")
            plants = [plant for plant in plants if f"survives: {plant}\n" in earlier_output]
        start_time = time.monotonic()
        counts: Counter[Verdict] = Counter()
        kinds: Counter[str] = Counter()
        for plant, result in trials(vendor, plants, options.workers):
            counts[result] += 1
            if result is not Verdict.CAUGHT:
                print(f"  {result.value}: {plant}", flush=True)
            if result is Verdict.SURVIVES:
                kinds[plant.kind] += 1
        rows.append(
            f"| {name} | {len(plants)} | {counts[Verdict.CAUGHT]} | {counts[Verdict.UNDECIDED]} |"
            f" {dict(kinds) or ''} |"
        )
        print(f"{rows[-1]} {time.monotonic() - start_time:.0f} s", flush=True)
    print("\n| vendor | planted | caught | undecided | missed, by kind |\n|---|---:|---:|---:|---|")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
