"""Checks a new module's name, and inserts it into templates."""

from __future__ import annotations

import ast
import keyword
import re
import sys
from typing import TYPE_CHECKING, Final

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_MAX_LENGTH: Final = 40
_TAKEN_NAMES: Final = sys.stdlib_module_names | {
    *(
        "attrs",
        "conftest",
        "django",
        "flask",
        "moorage",
        "moorage_django",
        "moorage_flask",
        "pytest",
        "tests",
    ),
}
"""Modules that a module of the same name would hide."""
_PLACEHOLDER: Final = "acme"
"""The name in the templates."""
_SPELLINGS: Final = re.compile(r"acme|Acme|ACME")
_DASHED: Final = re.compile(r"-|\.example")


def checked_name(name: str, sources: Iterable[str], vendors: Container[str] = ()) -> str:
    """Return a name after checking that it is valid for a module.

    Args:
        name: the chosen name.
        sources: the source of the generated modules, whose classes must not have that name.
        vendors: the names of existing vendors, which a new vendor would not replace.

    Raises:
        ConfigurationError: the name is not valid for a module, or is in use.
    """
    module_name = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > _MAX_LENGTH or keyword.iskeyword(module_name):
        problem = f"The name {name[:_MAX_LENGTH]!r} is not valid."
    elif module_name in _TAKEN_NAMES or _is_used(_class_name(module_name), sources):
        problem = f"The name {name!r} is taken by a module or class."
    elif module_name in vendors:
        problem = f"moorage has a vendor named {module_name!r}, which no package can replace."
    else:
        return module_name
    raise ConfigurationError(
        problem,
        path="name",
        remedy="Use lowercase letters and digits, with _ between words, such as blue_bird.",
    )


def rename_template(text: str, name: str) -> str:
    """Return a template's text or path with its placeholder replaced by a name."""
    spellings = {
        _PLACEHOLDER: name,
        "Acme": _class_name(name),
        "ACME": name.upper(),
    }

    def replacement(match: re.Match[str]) -> str:
        word = spellings[match[0]]
        # Names with dashes and host names must not contain underscores.
        return word.replace("_", "-") if _DASHED.match(text, match.end()) else word

    return _SPELLINGS.sub(replacement, text)


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _is_used(name: str, codes: Iterable[str]) -> bool:
    """Return whether a class name is invalid, names a test class, or is already used."""
    if keyword.iskeyword(name) or name.startswith("Test"):
        return True
    return name != _class_name(_PLACEHOLDER) and any(
        name in {getattr(node, "id", None), getattr(node, "name", None)}
        for code in codes
        for node in ast.walk(ast.parse(code))
    )
