"""Writes each vendor module's constant tables as lines of text, so that they can be compared.

`python -m tests.vendors.vendor_tables` writes `tests/vendors/tables`, for a reader to compare with
the vendor's own pages after a table has changed.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, Final

import attrs

import moorage.vendors
from moorage.vendor_sdk.operations import VendorOperation
from moorage.vendor_sdk.readings import Reading

SOURCES: Final = Path(moorage.vendors.__file__).parent
TABLES: Final = Path(__file__).parent / "tables"


def vendors() -> list[str]:
    """Return each vendor's name after its contract's, such as `sms/twilio`."""
    return sorted(
        path.relative_to(SOURCES).with_suffix("").as_posix()
        for path in SOURCES.glob("*/*.py")
        if not path.name.startswith("_")
    )


def lines_of(vendor: str) -> list[str]:
    """Return all entries of a vendor's tables, as lines."""
    contract, _, name = vendor.partition("/")
    words = name.removeprefix("amazon_")
    paths = [
        path
        for path in sorted((SOURCES / contract).glob("*.py"))
        if path.stem == name or re.match(rf"_{words}(_|$)", path.stem)
    ]
    return [line for path in paths for line in _module_lines(contract, path)]


def _module_lines(contract: str, path: Path) -> Iterator[str]:
    module = importlib.import_module(f"moorage.vendors.{contract}.{path.stem}")
    tree = ast.parse(path.read_text("utf-8"))
    for name in _assigned_names(tree.body):
        yield from _lines(f"{path.stem} {name}", vars(module)[name])
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            kind = vars(module)[node.name]
            for name in _assigned_names(node.body):
                yield from _lines(f"{path.stem} {node.name}.{name}", vars(kind).get(name))
            for option in attrs.fields(kind) if attrs.has(kind) else ():
                if option.default is not attrs.NOTHING:
                    yield from _lines(f"{path.stem} {node.name}.{option.name}", option.default)
                yield from _lines(f"{path.stem} {node.name}.{option.name}", option.metadata)
                if not option.repr:
                    yield f"{path.stem} {node.name}.{option.name} is not in the repr"


def _assigned_names(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.AnnAssign) and node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _lines(path: str, value: object) -> Iterator[str]:
    """Yield a line of text for each constant in a value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _lines(f"{path} {_word(key) or repr(key)}", item)
    elif isinstance(value, AbstractSet):
        for item in sorted(filter(None, map(_word, value))):
            yield f"{path} has {item}"
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _lines(path, item)
    elif (word := _word(value)) is not None:
        yield f"{path} = {word}"
    elif isinstance(value, re.Pattern):
        yield f"{path} = /{value.pattern!r}/"
    else:
        for name, part in _named_parts(value):
            yield from _lines(f"{path}.{name}", part)


def _named_parts(value: object) -> Iterator[tuple[str, object]]:
    """Yield the name and value of each part of an object that holds constants."""
    if isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield name, cell.cell_contents
    elif isinstance(value, staticmethod):
        yield from _named_parts(value.__func__)
    elif isinstance(value, MethodType):
        yield from _named_parts(value.__self__)
    elif attrs.has(type(value)):
        kind: Any = type(value)
        for field in attrs.fields(kind):
            yield field.name, getattr(value, field.name)
    elif isinstance(value, (VendorOperation, Reading)):
        yield from vars(value).items()


def _word(value: Any) -> str | None:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, type):
        return value.__name__
    return repr(value) if isinstance(value, (str, bytes, int, float)) else None


def main() -> None:
    """Write, for each vendor, a file with the entries of its tables."""
    for vendor in vendors():
        path = TABLES / f"{vendor.replace('/', '-')}.txt"
        path.write_text("".join(f"{line}\n" for line in lines_of(vendor)), "utf-8")


if __name__ == "__main__":
    main()
