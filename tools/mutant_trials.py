"""Creates mutants, and tests each in a fork of a process that has collected the tests.

mutmut makes the mutants. Trying them is done here, because collecting tests anew takes longer than
the few that notice a mutant. One run without a mutant measures the duration of each test and the
lines that it reaches. The nearest tests come first: quick tests that reach the changed lines and
little else.
"""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import re
import signal
import sys
import time
from array import array
from collections import defaultdict
from contextlib import suppress
from difflib import unified_diff
from fnmatch import fnmatch
from functools import cache, partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from attrs import field, frozen
from mutmut.__main__ import create_mutants
from mutmut.configuration import config
from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.utils.file_utils import (
    change_cwd,
    copy_also_copy_files,
    copy_src_dir,
    setup_source_paths,
    walk_mutatable_files,
)
from mutmut.utils.format_utils import mangled_name_from_mutant_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from types import CodeType

MUTANTS_FOLDER = Path("mutants")

# The tool's words for the fate of a mutant.
KILLED, SURVIVED, TIMEOUT, UNTESTED, UNTRIED = (
    "killed",
    "survived",
    "timeout",
    "untested",
    "untried",
)

NEAREST_TESTS_SECONDS = 1.0
"""Seconds of tests that an explained mutant meets; what nobody explains meets all."""

HANG_SECONDS = 15.0
"""The seconds that a test may take beyond three times its duration without a mutant."""

LONGEST = 60.0
"""The seconds that a test may take before its usual duration is known."""

REPORTED = 20.0
SEEN = "seen.pickle"

_MAKER = f"mutmut {version('mutmut')}\n"

HUNK = re.compile(r"@@ -(\d+)")
LITERAL = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'""")
PLACEHOLDER = re.compile(r"\{[^{}]*\}")


@frozen
class Function:
    """A function at the time when its mutants were made."""

    name: str
    digest: str
    """A digest of the function's source, and of the rules that make the mutants."""


@frozen
class Change:
    """The change of source that a mutant makes, independent of mutmut's numbering."""

    function: str
    was: str
    becomes: str
    name: str = field(default="", eq=False)
    """mutmut's name for it, which `make mutants MUTANTS_ARGS=…` takes."""
    whole: Function = field(default=Function("", ""), eq=False)
    """The function that it is a mutant of."""
    path: str = field(default="", eq=False)
    span: range = field(default=range(0), eq=False)
    """The lines of the function as it was, in the file that has all mutants."""
    lines: tuple[int, ...] = field(default=(), eq=False)
    """The changed lines of the function."""

    def is_wording(self) -> bool:
        """Return whether the mutant changes only the wording of messages."""
        if LITERAL.sub("''", self.was) != LITERAL.sub("''", self.becomes):
            return False
        pairs = zip(LITERAL.findall(self.was), LITERAL.findall(self.becomes), strict=True)
        return all(
            original_literal == mutated_literal
            or (
                is_sentence(original_literal)
                and original_literal.casefold() == mutated_literal.replace("XX", "").casefold()
            )
            for original_literal, mutated_literal in pairs
        )

    def as_toml(self) -> str:
        """Return the mutant as a TOML entry to which a person adds an explanation."""
        return "\n".join(
            [
                f"# {self.name}",
                "[[survivor]]",
                f"function = {self.function!r}",
                f"was = '''{self.was}'''",
                f"becomes = '''{self.becomes}'''",
                'because = ""',
            ]
        )


def is_sentence(literal: str) -> bool:
    """Return whether a string has several words."""
    words = PLACEHOLDER.sub("", literal)
    return " " in words and any(letter.isalpha() for letter in words)


def function_of(name: str) -> str:
    """Return the dotted path of a function, from the mangled name that mutmut gives it."""
    module, _, function = mangled_name_from_mutant_name(name).rpartition(".")
    return f"{module}.{function.removeprefix('x_').strip('ǁ').removeprefix('xǁ')}".replace("ǁ", ".")


@cache
def spans_of(path: Path) -> MutantLineSpans:
    """Return the functions' positions in a mutated file."""
    spans = MutantLineSpans.load(path)
    assert spans is not None, f"mutmut wrote no index of {path}"
    return spans


def change_of(path: Path, name: str) -> Change:
    """Return a mutant's change of the source lines."""
    mutant = name.rpartition(".")[2]
    original_name = f"{mangled_name_from_mutant_name(mutant)}__mutmut_orig"
    spans = spans_of(path)
    original_source, mutant_source = spans.read_function_sources([original_name, mutant])
    span = spans.span_by_function_name[original_name]
    original_lines: list[str] = []
    mutant_lines: list[str] = []
    lines: list[int] = []
    place = span.start
    for line in list(
        unified_diff(
            original_source.replace(original_name, "_").split("\n"),
            mutant_source.replace(mutant, "_").split("\n"),
        )
    )[2:]:
        if line.startswith("@@"):
            hunk = HUNK.match(line)
            assert hunk is not None
            place = span.start + int(hunk[1]) - 1
            continue
        if line.startswith("+"):
            mutant_lines.append(line[1:].strip())
            continue
        if line.startswith("-"):
            original_lines.append(line[1:].strip())
            lines.append(place)
        place += 1
    return Change(
        function_of(name),
        " ".join(original_lines),
        " ".join(mutant_lines),
        name,
        Function(
            function_of(name),
            hashlib.sha256(f"{_MAKER}{original_source}".encode()).hexdigest()[:16],
        ),
        str(path),
        range(span.start, span.end + 1),
        tuple(lines),
    )


def make_mutants(workers: int) -> list[Change]:
    """Write all mutants, so that later imports use the mutated files."""
    set_mutant_under_test("mutant_generation")
    MUTANTS_FOLDER.mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    create_mutants(workers)
    changes: list[Change] = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        changes += [change_of(path, name) for name in data.exit_code_by_key]
    return changes


@frozen
class BaselineMeasurements:
    """The durations of the tests and the lines that they reach, measured without a mutant."""

    costs: list[float]
    """The seconds that each test takes."""
    reached: dict[tuple[str, int], array[int]]
    """The tests that reach a line, by file and line."""


class LineRecorder:
    """Records the lines of mutated files that a test reaches."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.reached: dict[tuple[str, int], array[int]] = defaultdict(partial(array, "H"))
        self._files = {str(Path.cwd() / path): path for path in paths}
        self._test = 0
        self._monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]  # Python 3.12 and later
        tool = self._monitoring.COVERAGE_ID
        self._monitoring.use_tool_id(tool, "mutants")
        self._monitoring.register_callback(tool, self._monitoring.events.LINE, self._record_line)
        self._monitoring.set_events(tool, self._monitoring.events.LINE)

    def begin(self, test: int) -> None:
        """Assign the lines reached from now on to this test."""
        self._test = test
        self._monitoring.restart_events()

    def _record_line(self, code: CodeType, line: int) -> object:
        if path := self._files.get(code.co_filename):
            tests = self.reached[path, line]
            if not tests or tests[-1] != self._test:
                tests.append(self._test)
        return self._monitoring.DISABLE


class Tests:
    """Finds the tests that are nearest to a changed line.

    Args:
        items: the tests.
        seen: the duration of each test, and the lines that it reaches.
    """

    def __init__(self, items: list[pytest.Item], seen: BaselineMeasurements) -> None:
        self.items = items
        self._costs = seen.costs
        breadth = [1] * len(items)
        for tests in seen.reached.values():
            for test in tests:
                breadth[test] += 1
        order = sorted(range(len(items)), key=lambda test: seen.costs[test] * breadth[test])
        self._rank = {test: rank for rank, test in enumerate(order)}
        self._reached = seen.reached
        self._near: dict[tuple[str, tuple[int, ...]], list[int]] = {}

    def _tests_reaching(self, path: str, lines: Iterable[int]) -> list[int]:
        results: set[int] = set()
        for line in lines:
            results.update(self._reached.get((path, line), ()))
        return sorted(results, key=self._rank.__getitem__)

    def tests_of(self, mutant: Change) -> list[int]:
        """Return the tests that reach a mutated function, nearest first."""
        near_tests = self._tests_reaching(mutant.path, mutant.lines)
        return list(dict.fromkeys([*near_tests, *self._tests_reaching(mutant.path, mutant.span)]))

    def nearest_tests(self, mutant: Change) -> list[int]:
        """Return the tests that reach the changed line first, or else a line above it, or any.

        They are as many as take so long, and at least one if there is any.
        """
        key = mutant.path, mutant.lines
        if key not in self._near:
            first_line = min(mutant.lines, default=mutant.span.stop)
            lines_above = reversed(range(mutant.span.start, first_line))
            places = [mutant.lines, *([line] for line in lines_above), mutant.span]
            reaching_tests = next(
                filter(None, (self._tests_reaching(mutant.path, place) for place in places)), []
            )
            chosen_tests: list[int] = []
            remaining_seconds = NEAREST_TESTS_SECONDS
            for test in reaching_tests:
                chosen_tests.append(test)
                remaining_seconds -= self._costs[test]
                if remaining_seconds < 0:
                    break
            self._near[key] = chosen_tests
        return self._near[key]

    def cost(self, tests: Iterable[int]) -> float:
        """Return the duration of these tests in seconds."""
        return sum(self._costs[test] for test in tests)


def costs_of(tests: Iterable[str], spent: Iterable[tuple[str, str, float]]) -> list[float]:
    """Return the duration of each test if it runs alone, including its module's setup.

    Args:
        tests: their names.
        spent: the seconds, by test and phase.
    """
    calls: dict[str, float] = {}
    setup_seconds: dict[tuple[str, str], float] = {}
    for test, phase, seconds in spent:
        if phase == "call":
            calls[test] = seconds
        else:
            key = test.partition("::")[0], phase
            setup_seconds[key] = max(seconds, setup_seconds.get(key, 0.0))
    return [
        calls.get(test, 0.0)  # nothing where it is skipped
        + sum(setup_seconds[test.partition("::")[0], phase] for phase in ("setup", "teardown"))
        for test in tests
    ]


class Trials:
    """A pytest plugin that tests mutants instead of running the tests once.

    Attributes:
        fates: the fate of each mutant, by name.
    """

    def __init__(
        self,
        mutants: list[Change],
        explained: set[Change],
        noticed: AbstractSet[Function],
        *,
        workers: int,
        until: float,
    ) -> None:
        self.fates = {
            mutant.name: KILLED if mutant.whole in noticed and mutant not in explained else UNTRIED
            for mutant in mutants
        }
        self._mutants = [mutant for mutant in mutants if self.fates[mutant.name] == UNTRIED]
        self._explained = explained
        self._workers = workers
        self._until = until
        self._running: dict[int, tuple[int, Callable[[str], None]]] = {}
        self._spent: list[tuple[str, str, float]] = []
        self._reported = 0.0
        self._homes = Path()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the duration of each phase of a test."""
        self._spent.append((report.nodeid, report.when or "", report.duration))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Test all mutants, nearest tests first; explained mutants only with the nearest tests."""
        items = session.items
        signal.signal(signal.SIGINT, self._stop_soon)
        _read_constants()
        gc.collect()
        gc.freeze()  # forked children share memory that they do not write to
        with TemporaryDirectory() as homes:
            self._homes = Path(homes)
            self._try_all(Tests(items, self._measured(items)))
        return True

    def _stop_soon(self, *_: object) -> None:
        self._until = 0.0

    def _measured(self, items: list[pytest.Item]) -> BaselineMeasurements:
        """Measure the tests without a mutant; check that they pass, and that broken code fails."""
        unmeasured_tests = Tests(items, BaselineMeasurements([LONGEST] * len(items), {}))
        self._begin("", range(len(items)), unmeasured_tests, _require_fate(SURVIVED))
        self._begin("fail", range(min(100, len(items))), unmeasured_tests, _require_fate(KILLED))
        self._end_all()
        measurements: BaselineMeasurements = pickle.loads((self._homes / SEEN).read_bytes())  # noqa: S301 - our child's
        return measurements

    def _try_all(self, tests: Tests) -> None:
        self._mutants.sort(key=lambda one: tests.cost(tests.nearest_tests(one)))
        for count, mutant in enumerate(self._mutants):
            if time.monotonic() > self._until:
                break
            chosen_tests = (
                tests.nearest_tests(mutant) if mutant in self._explained else tests.tests_of(mutant)
            )
            if chosen_tests:
                self._begin(mutant.name, chosen_tests, tests, partial(self._note, mutant))
            else:
                self.fates[mutant.name] = UNTESTED
            self._report(count)
        self._end_all()

    def _note(self, mutant: Change, fate: str) -> None:
        self.fates[mutant.name] = fate
        if fate == SURVIVED and mutant not in self._explained:
            print(f"nobody notices {mutant.name}", flush=True)

    def _begin(
        self, mutant: str, targets: Sequence[int], tests: Tests, done: Callable[[str], None]
    ) -> None:
        if len(self._running) == self._workers:
            self._end_one()
        slots = {slot for slot, _ in self._running.values()}
        slot = next(worker for worker in range(self._workers) if worker not in slots)
        child = os.fork()
        if not child:
            try:
                self._run(mutant, targets, tests, self._homes / str(slot))
            finally:
                os._exit(1)
        self._running[child] = (slot, done)

    def _end_one(self) -> None:
        child, status = os.wait()
        _, note_fate = self._running.pop(child)
        # Processes that its tests have left running.
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(status)
        note_fate({0: SURVIVED, -signal.SIGALRM: TIMEOUT}.get(code, KILLED))

    def _end_all(self) -> None:
        while self._running:
            self._end_one()

    def _run(self, mutant: str, targets: Sequence[int], tests: Tests, home: Path) -> None:
        """Run the tests in a child process; it exits with 0 if no test notices the mutant."""
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        home.mkdir(exist_ok=True)
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(home)
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, 1)
        os.dup2(null_device, 2)
        set_mutant_under_test(mutant)
        watch = None if mutant else LineRecorder({mutant.path for mutant in self._mutants})
        for target, next_target in pairwise([*targets, None]):
            assert target is not None
            signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS + 3 * tests.cost([target]))
            if watch is not None:
                watch.begin(target)
            item = tests.items[target]
            next_item = None if next_target is None else tests.items[next_target]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            if item.session.testsfailed:
                os._exit(1)
        if watch is not None:
            costs = costs_of((item.nodeid for item in tests.items), self._spent)
            (self._homes / SEEN).write_bytes(
                pickle.dumps(BaselineMeasurements(costs, dict(watch.reached)))
            )
        os._exit(0)

    def _report(self, count: int) -> None:
        if time.monotonic() - self._reported > REPORTED:
            self._reported = time.monotonic()
            survivor_count = sum(fate == SURVIVED for fate in self.fates.values())
            print(f"{count} of {len(self._mutants)} tried, {survivor_count} survive", flush=True)


def _read_constants() -> None:
    """Make Hypothesis collect all modules' constants once, rather than in each child."""
    from hypothesis import given, strategies  # noqa: PLC0415 - pytest rewrites it at first

    given(strategies.none())(lambda _: None)()


def _require_fate(target: str) -> Callable[[str], None]:
    def check(fate: str) -> None:
        if fate != target:
            os.write(
                2, f"without a mutant the tests must pass, and all broken fail: {fate}\n".encode()
            )
            os._exit(1)

    return check


def fates_of(
    only: list[str],
    explained: set[Change],
    noticed: AbstractSet[Function],
    *,
    workers: int,
    seconds: float,
) -> dict[Change, str]:
    """Create and test as many mutants as time allows, beginning with those that have fast tests.

    Ctrl-C ends the time.

    Args:
        only: patterns of names; all mutants if there is none.
        explained: the mutants that may survive.
        noticed: the functions whose mutants were all noticed before, except known ones.
        workers: the number of mutants that are tried concurrently.
        seconds: the time limit of all trials.
    """
    changes = make_mutants(workers)
    targets = [
        client
        for client in changes
        if not client.is_wording()
        and (not only or any(fnmatch(client.name, pattern) for pattern in only))
    ]
    trials = Trials(targets, explained, noticed, workers=workers, until=time.monotonic() + seconds)
    set_mutant_under_test("")
    with change_cwd(MUTANTS_FOLDER):
        code = pytest.main(
            [
                *("-x", "-q", "-s", "-p", "no:cacheprovider", "--rootdir=."),
                "--tb=native",  # others parse the sources, which are huge with all mutants in them
                *config().pytest_add_cli_args,
                *config().pytest_add_cli_args_test_selection,
            ],
            plugins=[trials],
        )
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        sys.exit(f"pytest could not collect the tests: {code}")
    return {target: trials.fates[target.name] for target in targets}
