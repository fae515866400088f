"""Inserts mistakes in a vendor's module, and prints those that its tests do not notice.

`python -m tools.planted mollie plivo` plants each mistake of `tools.plants` in the modules of a
vendor, one at a time and in memory, and runs the tests that reach the place: the vendor's own and
its part of those for all vendors, such as the conformance kit. `--sample 40` takes as many of each
vendor, spread over the kinds of mistakes, and `--kind` those of some kinds only.

A trial that uses `LONGEST` seconds of processor time, or hangs, shows neither that a mistake was
noticed nor that it was not: such mistakes are printed and counted apart.

mutmut, behind `make mutants`, changes the code of functions; a vendor is mostly tables, which are
read at the import. `tools.trials` says how both are tried.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import random
import re
import sys
import time
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Final

from attrs import frozen

from tools.plants import Plant, plants_in
from tools.trials import Verdict, trials

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
"""The modules that every trial needs and that get no mistake."""


@frozen
class Vendor:
    """A vendor, with the files of its module and of the modules that only it imports.

    Attributes:
        name: the stem of its module.
        contract: the folder that it is in.
        paths: its module, and the private modules that only it imports.
    """

    name: str
    contract: str
    paths: tuple[str, ...]

    def is_concerned_by(self, text: str) -> bool:
        """Return whether a text contains this vendor's name, or no vendor's name."""
        return self.name in text or names_in(text) <= names_in(self.name)

    def tests(self) -> list[str]:
        """Return the test files that may concern the vendor."""
        folders = FOLDERS.get(self.contract, ("tests/vendors",))
        return sorted(
            str(path)
            for folder in folders
            for path in Path(folder).glob("test_*.py")
            if self.is_concerned_by(path.stem)
        )


@cache
def names() -> tuple[str, ...]:
    """Return the names of all vendors."""
    paths = VENDORS.glob("*/*.py")
    return tuple(sorted(path.stem for path in paths if not path.name.startswith("_")))


@cache
def names_in(text: str) -> frozenset[str]:
    """Return the names of vendors that a text contains as words of its own.

    The word "central" does not name Entra.
    """
    return frozenset(
        name for name in names() if re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", text)
    )


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


def chosen_plants(plants: list[Plant], sample: int, seed: int) -> list[Plant]:
    """Return a sample of this many mistakes, spread over all kinds."""
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
    """Insert the mistakes, and print the mistakes that no test noticed."""
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
        plants = chosen_plants(plants, options.sample, options.seed)
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
