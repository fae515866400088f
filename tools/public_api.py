"""Writes the signatures of the public API to a file, so that changes are noticed.

`python -m tools.public_api` writes `tests/public_api.txt`: a line for each export of `moorage`, and
for each public method and field of it. A test compares the file with the code, so a name that is
removed, or a parameter that is renamed, cannot pass unnoticed.
"""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import moorage
from tools.command_line import tool_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH: Final = Path(__file__).parent.parent / "tests" / "public_api.txt"


def public_api() -> Iterator[str]:
    """Yield the lines of the file of signatures, sorted by name."""
    for name in sorted({"open", *moorage.__all__}):
        yield from _lines_of(name, getattr(moorage, name))


def _lines_of(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, type):
        yield f"{name}{_signature(value)}"
        return
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    yield f"class {name}({bases})"
    if issubclass(value, Enum):
        yield from (f"{name}.{member}" for member in value.__members__)
        return
    members = _own_members(value)
    if "__init__" in members and inspect.isfunction(constructor := value.__init__):
        yield f"{name}{_without_first(_signature(constructor))}"
    for member in sorted(members):
        if not member.startswith("_"):
            yield from _member(f"{name}.{member}", members[member])


def _own_members(kind: type) -> dict[str, object]:
    """Return a class's members, including those of its base classes that are not exported."""
    members: dict[str, object] = {}
    for base in kind.__mro__[::-1]:
        is_ours = base.__module__.startswith("moorage")
        if base is kind or (is_ours and base.__name__ not in moorage.__all__):
            members.update(vars(base))
    return members


def _member(name: str, value: object) -> Iterator[str]:
    match value:
        case property():
            yield name
        case staticmethod(__func__=function):
            yield f"{name}{_signature(function)}"
        case classmethod(__func__=function):
            yield f"{name}{_without_first(_signature(function))}"
        case _ if inspect.isfunction(value):
            yield f"{name}{_without_first(_signature(value))}"
        case _ if inspect.isdatadescriptor(value):
            yield name
        case _:
            pass


def _signature(value: Any) -> str:
    """Return the names, kinds and defaults of a function's parameters, without their types."""
    if not callable(value):
        return ""
    parameters = [
        parameter.replace(
            annotation=inspect.Parameter.empty,
            default=parameter.default
            if parameter.default is inspect.Parameter.empty or _is_plain(parameter.default)
            else ...,
        )
        for parameter in inspect.signature(value).parameters.values()
    ]
    return str(inspect.Signature(parameters)).replace("=Ellipsis", "=...")


def _is_plain(default: object) -> bool:
    """Return whether a default has the same repr in all Python versions."""
    return default is None or type(default) in {bool, int, float, str}


def _without_first(signature: str) -> str:
    """Return a signature without `self` or `cls`."""
    first, _, other_parameters = signature[1:-1].partition(", ")
    other_parameters = other_parameters if first.isidentifier() else signature[1:-1]
    return f"({other_parameters.removeprefix('/, ').removeprefix('/')})"


if __name__ == "__main__":
    tool_parser("public_api", __doc__).parse_args()
    PATH.write_text("".join(f"{line}\n" for line in public_api()), "utf-8")
