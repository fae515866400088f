"""A vendor's modules, with the line numbers of the strings in them.

The field names and words of an API that a vendor uses are string literals in its modules: in
tables, readings and bodies. So the literals show which parts of the API are used, and where.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from moorage.contracts.vendor import Vendor

_SEPARATORS: Final = re.compile(r"[.\[\]\s]+")
_PROSE_TEXT: Final = re.compile(r"[A-Z].*\s.*[.?!]|.*\w[,.;:!?]\s.*", re.DOTALL)


@attrs.frozen(order=True)
class Line:
    """A line of a vendor's module, with its number.

    Attributes:
        path: the file.
        number: the line, from 1.
    """

    path: str
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


@attrs.frozen(eq=False)
class SourceModule:
    """A module of a vendor.

    Attributes:
        name: the name of the module.
        path: the path of the file.
        tree: the syntax tree.
        text: the source text.
    """

    name: str
    path: str
    tree: ast.Module = attrs.field(repr=False)
    text: str = attrs.field(repr=False)


def modules_of(vendor: type[Vendor]) -> tuple[SourceModule, ...]:
    """Return a vendor's own module, and the modules that it imports from the same package."""
    own_name = vendor.__module__
    package = own_name.rpartition(".")[0] or own_name
    names = [own_name]
    modules: list[SourceModule] = []
    for name in names:
        module = sys.modules.get(name)
        source = None if module is None else _source(module)
        if module is None or source is None:
            continue
        tree = ast.parse(source)
        modules.append(SourceModule(name, str(inspect.getsourcefile(module)), tree, source))
        for imported_module in _imported_modules(tree, package):
            if imported_module not in names:
                names.append(imported_module)
    return tuple(modules)


def _source(module: ModuleType) -> str | None:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return None


def _imported_modules(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            for name in (base, *(f"{base}.{part.name}" for part in node.names)):
                if name.startswith(f"{package}.") and name in sys.modules:
                    yield name


def shown_path(path: str) -> str:
    """Return a file's path, beginning with its top-level package."""
    folder = Path(path).parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return Path(path).relative_to(folder).as_posix()


def texts_of(modules: tuple[SourceModule, ...]) -> Mapping[str, Line]:
    """Return the names and words in a vendor's modules, each with the line where it first occurs.

    A dotted path, a name with brackets and a text of several words are included as a whole and in
    parts. Docstrings and sentences are left out.
    """
    lines: dict[str, Line] = {}
    for module in modules:
        path = shown_path(module.path)
        for text, number in _texts(module.tree):
            if not _PROSE_TEXT.fullmatch(text):
                for part in (text, *_SEPARATORS.split(text)):
                    if part:
                        lines.setdefault(part, Line(path, number))
    return lines


def _texts(tree: ast.Module) -> Iterator[tuple[str, int]]:
    skipped_ids: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped_ids.add(id(node.value))
        elif isinstance(node, ast.Raise):
            skipped_ids.update(id(part) for part in ast.walk(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in skipped_ids:
                yield node.value, node.lineno
        elif isinstance(node, ast.Call):
            is_dict = isinstance(node.func, ast.Name) and node.func.id == "dict"
            for keyword in node.keywords if is_dict else ():
                if keyword.arg is not None:
                    yield keyword.arg, keyword.value.lineno
