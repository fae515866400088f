"""Imports everything that an installed moorage takes from the packages installed with it.

`tools.extras` runs this file with the interpreter of a fresh environment. It prints a JSON document
with the packages that modules name, what could not be imported although its package is there,
and the modules that need a package which is not there.
"""

from __future__ import annotations

import ast
import json
import sys
from argparse import ArgumentParser
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_IMPORTED: Final = frozenset({"__main__", "templates"})
"""Names of files and folders that are run or copied, and not imported."""


def named_modules(source: str) -> Iterator[tuple[str, str]]:
    """Yield the modules that a source imports at run time, with the imported name or "".

    Imports that only the type checker reads are left out. `import_module("name")` counts.
    """
    pending_nodes: list[ast.AST] = [ast.parse(source)]
    while pending_nodes:
        node = pending_nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending_nodes += node.orelse
            continue
        pending_nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "import_module"
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value), ""


def problem_of(module: str, name: str = "") -> str:
    """Return why a module, or a name in it, cannot be imported; "" if it can."""
    try:
        imported = import_module(module)
        if name and not hasattr(imported, name):
            import_module(f"{module}.{name}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        cause: BaseException = error
        # The error message that names the extra of a missing package.
        while isinstance(cause.__cause__, ImportError):
            cause = cause.__cause__
        return f"{type(cause).__name__}: {cause}"
    return ""


def absent_package(problem: str, installed: frozenset[str]) -> str:
    """Return the package whose absence causes an import problem, or "" for another cause."""
    start, _, module_text = problem.partition(": No module named '")
    package = module_text.partition("'")[0].split(".")[0]
    return package if start == "ModuleNotFoundError" and package not in installed else ""


def modules_below(folder: Path) -> dict[str, str]:
    """Return the source of each module in a package, by module name."""
    result = {}
    for path in sorted(folder.rglob("*.py")):
        names = path.relative_to(folder.parent).with_suffix("").parts
        if NOT_IMPORTED.isdisjoint(names):
            result[".".join(names).removesuffix(".__init__")] = path.read_text("utf-8")
    return result


def report(package: str, installed: frozenset[str]) -> dict[str, object]:
    """Import a package's modules and all names they use, and return a report."""
    folder = Path(import_module(package).__file__ or "").parent
    used_packages: set[str] = set()
    problems: list[str] = []
    absent_modules: dict[str, str] = {}
    for module, source in modules_below(folder).items():
        problem = problem_of(module)
        missing_package = absent_package(problem, installed)
        if missing_package:
            absent_modules[module] = missing_package
        elif problem:
            problems.append(f"{module}: {problem}")
        for module_name, name in sorted(set(named_modules(source))):
            top = module_name.split(".")[0]
            if top in installed and top != package:
                used_packages.add(top)
                problem = problem_of(module_name, name)
                problems += [f"{module} names {name or module_name}: {problem}"] if problem else []
    return {"used": sorted(used_packages), "problems": problems, "absent": absent_modules}


if __name__ == "__main__":
    # The environment contains only this file, and none of the other tools.
    ArgumentParser(prog="python tools/extras_probe.py", description=__doc__).parse_args()
    json.dump(report("moorage", frozenset(metadata.packages_distributions())), sys.stdout)
