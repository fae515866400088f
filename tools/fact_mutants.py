"""Makes each fact of a vendor wrong once, and prints the facts that its tests do not notice.

`python -m tools.fact_mutants razorpay slack` tries every fact of `tools.facts` in the modules of
these vendors, or without names of all. A fact is noticed by the comparison with the vendor's
description or documents, by the conformance kit, by recorded or published answers, or by the
vendor's own tests.
The files in `tests/vendors/tables`, which are copies of the facts, are counted apart.

One run of pytest collects the tests of all vendors, and forks for each fact. The child changes the
function that has the fact, or the loaded modules in place, and runs the tests that reach it first.
Tests without a vendor's name in their ids are measured once for all vendors.
`--sample 40` takes as many facts of each vendor, `--again FILE` those that survived by an earlier
output, and `--seconds` limits the tests of a fact in a table, which no single function has; those
that name the vendor come first.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import os
import pickle
import random
import sys
import time
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType
from typing import TYPE_CHECKING, Final

import pytest
from attrs import frozen

from tools.facts import facts_in
from tools.planted import Vendor, names, vendor_of
from tools.trials import (
    ARGUMENTS,
    ChangedSource,
    Failures,
    TrialRecorder,
    VendorSelection,
    Verdict,
    differs,
    fork,
    give_bytecode,
    in_parallel,
    run_items,
    tests_for,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tools.plants import Plant

COPY_TESTS: Final = "test_vendor_tables.py"
"""The tests that compare each table with a copy of itself."""

DOCUMENT_TESTS: Final = "test_documented_words.py"
"""The tests that compare each table with documents; no function that uses a table reaches them."""

FIELD_TESTS: Final = "test_read_fields.py"
"""The tests that compare field names in functions with descriptions, without calling them."""

ONLY_COPIED: Final = 97
"""The result of a trial if only the copy of the table differs."""

ORACLES: Final = ("description", "documents", "kit", "recordings", "tests")


def oracle_of(test: str) -> str:
    """Return the name of the source that a test compares a vendor with."""
    path, _, name = test.partition("::")
    if "description" in path or "schema" in path or FIELD_TESTS in path:
        return "description"
    if DOCUMENT_TESTS in path:
        return "documents"
    if "conforms" in name:
        return "kit"
    return "recordings" if "recorded" in path or "published" in path else "tests"


@frozen
class TestRun:
    """A session of pytest that has collected its tests, and the loaded code that it can change.

    Attributes:
        session: the session.
        users: for each imported name, the importing modules and their names for the value.
        functions: all loaded functions.
        options: the options of the command.
    """

    session: pytest.Session
    users: dict[tuple[str, str], list[tuple[str, str]]]
    functions: Sequence[FunctionType]
    options: argparse.Namespace

    def measured(self, vendors: Sequence[Vendor], items: Sequence[pytest.Item]) -> TrialRecorder:
        """Measure tests with these vendors' modules imported anew, but without a change."""
        recorder = TrialRecorder([path for vendor in vendors for path in vendor.paths])
        with TemporaryDirectory() as folder:
            output = Path(folder) / "measurements"

            def work() -> int:
                recorder.begin()
                self.patch([path for vendor in vendors for path in vendor.paths])
                self.session.config.pluginmanager.register(recorder)
                run_items(items)
                measurements = dict(recorder.reached), dict(recorder.costs), recorder.failed
                output.write_bytes(pickle.dumps(measurements))
                return 0

            os.waitpid(fork(work, bounded=False), 0)
            if not output.exists():
                sys.exit(f"tests of {', '.join(vendor.name for vendor in vendors)} cannot be run")
            recorder.reached, recorder.costs, recorder.failed = pickle.loads(output.read_bytes())  # noqa: S301 - our child's
        return recorder

    def patch(self, paths: Sequence[str]) -> None:
        """Import these modules anew, and give the loaded modules the new values."""
        from tools import patched_modules  # noqa: PLC0415 - the tests are collected before it

        modules = dict.fromkeys(
            ".".join(Path(path).with_suffix("").parts[1:]) for path in paths[::-1]
        )
        new_modules = patched_modules.reimported([name for name in modules if name in sys.modules])
        patched_modules.patch_modules(new_modules, self.users)


class Tables:
    """A vendor's modules, and the functions that use the names assigned there."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._trees = {path: ast.parse(Path(path).read_text("utf-8")) for path in paths}

    def name_of(self, fact: Plant) -> str:
        """Return the name that the statement with the fact assigns; empty if it has none."""
        for statement in _statements(self._trees[fact.path]):
            if statement.lineno <= fact.line <= (statement.end_lineno or 0):
                return next(iter(_assigned(statement)), "")
        return ""

    def lines_using(self, name: str) -> list[tuple[str, int]]:
        """Return the lines of all functions that use a name, or a table that is made with it."""
        used_names = {name}
        lines: list[tuple[str, int]] = []
        for _ in range(3):
            for tree in self._trees.values():
                for statement in _statements(tree):
                    if _mentions(statement) & used_names:
                        used_names |= set(_assigned(statement))
        for path, tree in self._trees.items():
            for node in ast.walk(tree):
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    continue
                if _mentions(node) & used_names:
                    last_line = node.end_lineno or node.lineno
                    lines += [(path, line) for line in range(node.lineno, last_line + 1)]
        return lines


def _statements(tree: ast.Module) -> Iterable[ast.stmt]:
    """Yield the statements of a module, and for a class those of its body."""
    for node in tree.body:
        yield from node.body if isinstance(node, ast.ClassDef) else [node]


def _assigned(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    target = getattr(statement, "target", None)
    return [target.id] if isinstance(target, ast.Name) else []


def _mentions(node: ast.AST) -> set[str]:
    return {
        part.id if isinstance(part, ast.Name) else part.attr
        for part in ast.walk(node)
        if isinstance(part, (ast.Name, ast.Attribute))
    }


class _FactTrials:
    """A pytest plugin that collects all vendors' tests, and tests each fact in a fork."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._rows: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Make each fact of each vendor wrong once, run the tests, and print a table."""
        from tools import patched_modules  # noqa: PLC0415 - the tests are collected before it

        users = patched_modules.imports_of(("moorage.", "tests.", "tools."))
        gc.collect()
        functions = [item for item in gc.get_objects() if isinstance(item, FunctionType)]
        gc.freeze()
        run = TestRun(session, users, functions, self._options)
        vendors = [vendor_of(name) for name in self._options.vendors]
        items = {vendor.name: _items_of(vendor, session) for vendor in vendors}
        shared_tests = set.intersection(*(set(items[vendor.name]) for vendor in vendors))
        shared_items = [item for item in session.items if item.nodeid in shared_tests]
        shared_recorder = run.measured(vendors, shared_items)
        for vendor in vendors:
            specific_items = [
                item for test, item in items[vendor.name].items() if test not in shared_tests
            ]
            recorder = _joined(shared_recorder, run.measured([vendor], specific_items))
            self._rows.append(_VendorTrials(vendor, run, items[vendor.name], recorder).row())
            print(self._rows[-1], flush=True)
        print(
            "\n| vendor | facts | caught | % | tables % | description | documents | kit |"
            " recordings | tests | copy only |\n|---|" + "---:|" * 10
        )
        print("\n".join(self._rows))
        return True


def _items_of(vendor: Vendor, session: pytest.Session) -> dict[str, pytest.Item]:
    """Return the collected tests that may concern a vendor, by their ids."""
    selection, files = VendorSelection(vendor), set(vendor.tests())
    return {
        item.nodeid: item
        for item in session.items
        if item.nodeid.partition("::")[0] in files and selection.applies_to(item.nodeid)
    }


def _joined(shared: TrialRecorder, specific: TrialRecorder) -> TrialRecorder:
    """Return the measurements of the tests for all vendors and of a vendor's own tests."""
    recorder = TrialRecorder(())
    for part in (shared, specific):
        for line, tests in part.reached.items():
            recorder.reached[line] = [*recorder.reached[line], *tests]
        recorder.costs.update(part.costs)
        recorder.failed = [*recorder.failed, *part.failed]
    return recorder


class _VendorTrials:
    def __init__(
        self,
        vendor: Vendor,
        run: TestRun,
        items: dict[str, pytest.Item],
        recorder: TrialRecorder,
    ) -> None:
        self._vendor = vendor
        self._run = run
        self._options = run.options
        self._functions = [
            function
            for function in run.functions
            if function.__code__.co_filename
            in {str(Path(path).absolute()) for path in vendor.paths}
        ]
        self._tables = Tables(vendor.paths)
        self._catching: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._items = items
        self._recorder = recorder

    def row(self) -> str:
        """Try all facts, print the survivors, and return the row of a table."""
        start_time = time.monotonic()
        facts = self._facts()
        counts: Counter[Verdict] = Counter()
        oracles: Counter[str] = Counter()
        in_tables: Counter[bool] = Counter()
        copied = 0
        with TemporaryDirectory() as folder:
            self._folder = Path(folder)
            print(
                f"{self._vendor.name}: {len(facts)} facts, {len(self._items)} tests of"
                f" {sum(self._recorder.costs.values()):.1f} s",
                flush=True,
            )
            if self._recorder.failed:
                print(f"  fail without a change, and are left out: {self._recorder.failed}")
            for fact, exit_code in in_parallel(facts, self._trial_of, self._options.workers):
                result = verdict(0 if exit_code == ONLY_COPIED else exit_code)
                counts[result] += 1
                copied += exit_code == ONLY_COPIED
                if not fact.inside:
                    in_tables[result is Verdict.CAUGHT] += 1
                oracles[self._remember_oracle(fact)] += result is Verdict.CAUGHT
                if result is not Verdict.CAUGHT:
                    place = " (differs from its copy)" if exit_code == ONLY_COPIED else ""
                    print(f"  {result.value}{place}: {fact}", flush=True)
        share = 100 * counts[Verdict.CAUGHT] / max(1, len(facts))
        table_share = 100 * in_tables[True] / max(1, in_tables.total())
        by_oracle = " | ".join(str(oracles[oracle]) for oracle in ORACLES)
        return (
            f"| {self._vendor.name} | {len(facts)} | {counts[Verdict.CAUGHT]} | {share:.1f} |"
            f" {table_share:.1f} | {by_oracle} | {copied} |"
            f" {time.monotonic() - start_time:.0f} s"
        )

    def _facts(self) -> list[Plant]:
        facts = [
            fact
            for path in self._vendor.paths
            for fact in facts_in(path, Path(path).read_text("utf-8"))
            if self._is_of_vendor(fact)
        ]
        if self._options.again is not None:
            earlier_output = self._options.again.read_text("utf-8")
            edits = {line.partition(" [")[2] for line in earlier_output.splitlines()}
            facts = [fact for fact in facts if str(fact).partition(" [")[2] in edits]
        if len(facts) > self._options.sample:
            facts = random.Random(self._options.seed).sample(facts, self._options.sample)
        return facts

    def _is_of_vendor(self, fact: Plant) -> bool:
        """Return whether a fact is in a module of only this vendor, or this vendor's tests use it.

        Each vendor uses only a part of a module for several vendors.
        """
        stem, brand = Path(fact.path).stem, self._vendor.name.removeprefix("amazon_")
        if stem == self._vendor.name or stem.startswith(f"_{brand}"):
            return True
        lines = [(fact.path, line) for line in fact.inside]
        if not lines:
            lines = self._tables.lines_using(self._tables.name_of(fact))
        return any(line in self._recorder.reached for line in lines)

    def _place_of(self, fact: Plant) -> tuple[str, str]:
        return fact.path, str(fact.inside) if fact.inside else self._tables.name_of(fact)

    def _failure_file(self, fact: Plant) -> Path:
        return self._folder / f"{Path(fact.path).stem}-{fact.first}-{hash(fact.becomes)}"

    def _remember_oracle(self, fact: Plant) -> str:
        """Remember the test that caught a fact, for the next facts near it; return its oracle."""
        path = self._failure_file(fact)
        if not path.exists():
            return "tests"
        test = path.read_text("utf-8")
        catching_tests = self._catching[self._place_of(fact)]
        catching_tests[:] = [test, *(name for name in catching_tests if name != test)]
        return oracle_of(test)

    def _tests(self, fact: Plant) -> list[str]:
        recorder = self._recorder
        tests = tests_for(fact, recorder)
        if not fact.inside:
            lines = self._tables.lines_using(self._tables.name_of(fact))
            near_tests = {test for line in lines for test in recorder.reached.get(line, ())}
            near_tests |= {test for test in recorder.costs if DOCUMENT_TESTS in test}
            total = 0.0
            affordable_tests: list[str] = []
            for test in sorted(
                tests,
                key=lambda test: (
                    test not in near_tests,
                    self._vendor.name not in test,
                    recorder.costs[test],
                ),
            ):
                total += 0.0 if test in near_tests else recorder.costs[test]
                if test in near_tests or total < self._options.seconds:
                    affordable_tests.append(test)
            tests = affordable_tests
            tests.sort(key=lambda test: DOCUMENT_TESTS not in test)
        else:
            tests = [*(test for test in recorder.costs if FIELD_TESTS in test), *tests]
        catching_tests = self._catching[self._place_of(fact)]
        return sorted(
            tests,
            key=lambda test: (
                catching_tests.index(test) if test in catching_tests else len(catching_tests)
            ),
        )

    def _trial_of(self, fact: Plant) -> Callable[[], int]:
        tests = self._tests(fact)

        def work() -> int:
            if not fact.inside or not give_bytecode(fact, self._functions):
                try:
                    sys.meta_path.insert(0, ChangedSource(fact))
                    self._run.patch(self._vendor.paths)
                except Exception:  # noqa: BLE001 - a wrong fact may raise anything at the import
                    return 1
            self._run.session.config.pluginmanager.register(Failures(self._failure_file(fact)))
            run_items([self._items[test] for test in tests])
            return 0 if fact.inside or not self._differs_from_copy() else ONLY_COPIED

        return work

    def _differs_from_copy(self) -> bool:
        tables = importlib.import_module("tests.vendors.vendor_tables")
        copy = tables.TABLES / f"{self._vendor.contract}-{self._vendor.name}.txt"
        lines_of = partial(tables.lines_of, f"{self._vendor.contract}/{self._vendor.name}")
        return differs(lines_of, copy.read_text("utf-8").splitlines())


def main() -> int:
    """Make the facts wrong, and print the facts that no test noticed."""
    parser = argparse.ArgumentParser(prog="python -m tools.fact_mutants", description=__doc__)
    parser.add_argument("vendors", nargs="*", default=names())
    parser.add_argument("--sample", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--again", type=Path, help="only those that survived, by this output")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    files = {file for name in options.vendors for file in vendor_of(name).tests()}
    files = {file for file in files if Path(file).name != COPY_TESTS}
    return int(pytest.main([*ARGUMENTS, *sorted(files)], plugins=[_FactTrials(options)]))


if __name__ == "__main__":
    sys.exit(main())
