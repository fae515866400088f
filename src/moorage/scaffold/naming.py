"""A name in all its spellings."""

from __future__ import annotations

import ast
import keyword
import re
import sys
from typing import TYPE_CHECKING, Final

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_LONGEST: Final = 40
_TAKEN: Final = sys.stdlib_module_names | {
    *("attrs", "django", "flask", "moorage", "moorage_django", "moorage_flask", "pytest", "tests"),
}
"""Modules that one of this name would stand before."""
_OWN: Final = "acme"
"""What the templates call it."""
_SPELLINGS: Final = re.compile(r"acme|Acme|ACME")
_DASHED: Final = re.compile(r"-|\.example")


def checked_name(name: str, codes: Iterable[str]) -> str:
    """The name as a module has it.

    Args:
        name: what it is to be called.
        codes: the modules that it is to stand in, which may have classes of that name.

    Raises:
        ConfigurationError: no module could be called so.
    """
    spelt = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(spelt):
        problem = f"{name[:_LONGEST]!r} is no name for it."
    elif spelt in _TAKEN or _is_used(_class_name(spelt), codes):
        problem = f"{name!r} is the name of something else."
    else:
        return spelt
    raise ConfigurationError(
        problem,
        path="name",
        remedy="Use small letters and digits, with _ between words, such as blue_bird.",
    )


def renamed(text: str, name: str) -> str:
    """A template's text, or its path, for this name."""
    spellings = {
        _OWN: name,
        "Acme": _class_name(name),
        "ACME": name.upper(),
    }

    def spelt(found: re.Match[str]) -> str:
        word = spellings[found[0]]
        # What has a dash or is a host can have no underscore.
        return word.replace("_", "-") if _DASHED.match(text, found.end()) else word

    return _SPELLINGS.sub(spelt, text)


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _is_used(name: str, codes: Iterable[str]) -> bool:
    """Whether a class of this name would be none, or taken for a test, or for another class."""
    if keyword.iskeyword(name) or name.startswith("Test"):
        return True
    return name != _class_name(_OWN) and any(
        name in {getattr(node, "id", None), getattr(node, "name", None)}
        for code in codes
        for node in ast.walk(ast.parse(code))
    )
