"""Makes valid and unique Python names from a description's names."""

from __future__ import annotations

import builtins
import keyword
import re
from typing import Final
from unicodedata import normalize

_BOUNDARY: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9]+")
_MAX_LENGTH: Final = 60
_TAKEN_ATTRIBUTES: Final = frozenset(
    {"attrs", "bool", "bytes", "date", "datetime", "dict", "int", "self", "str"}
)
_BUILTINS: Final = frozenset(dir(builtins))
_TAKEN_ARGUMENTS: Final = frozenset(
    {
        *(
            "annotations",
            "binary_answer",
            "binary_content",
            "content",
            "form_content",
            "json_answer",
        ),
        *("json_content", "json_payload", "make_message", "make_request", "models"),
        *("multipart_content", "no_answer", "parameter", "segment", "text_answer"),
        *("text_content", "text_payload"),
    }
)
TAKEN_CLASSES: Final = frozenset(
    {
        *("AS_TEXT", "Annotated", "Any", "Decimal", "Discriminator", "Items", "Mapping", "Member"),
        *("Number", "OneOf", "OpenEnum", "Sequence", "Text", "TypeAlias", "UNSET", "UUID"),
        *("Union", "Unset", "None", "True", "False"),
    }
)
"""Names that the generated modules import."""


def words(text: str) -> list[str]:
    """Return the words of a name in ASCII."""
    plain_text = normalize("NFKD", text).encode("ascii", "ignore").decode()
    return [word for word in _NOT_ALLOWED.sub(" ", _BOUNDARY.sub(" ", plain_text)).split() if word]


def class_name(text: str) -> str:
    """Return a class name, such as `OrderLine`."""
    name = "".join(word[:1].upper() + word[1:] for word in words(text))[:_MAX_LENGTH]
    return name if name[:1].isalpha() else f"Class{name}"


def attribute_name(text: str) -> str:
    """Return an attribute name, such as `order_line`."""
    name = "_".join(words(text)).lower()[:_MAX_LENGTH].strip("_")
    name = name if name[:1].isalpha() else f"field_{name}".strip("_")
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN_ATTRIBUTES else name


def argument_name(text: str) -> str:
    """Return the name of an argument or function that hides no builtin and no import."""
    name = attribute_name(text)
    return f"{name}_" if name in _BUILTINS or name in _TAKEN_ARGUMENTS else name


def member_name(text: str) -> str:
    """Return an enumeration member's name, such as `IN_TRANSIT`."""
    name = "_".join(words(text)).upper()[:_MAX_LENGTH].strip("_")
    return name if name[:1].isalpha() and name != "MRO" else f"VALUE_{name}".strip("_")


def unique(name: str, taken: set[str]) -> str:
    """Return an unused name, with a number if needed, and mark it as used."""
    number, candidate = 2, name
    while candidate in taken:
        candidate = f"{name}{'_' if name.islower() or name.isupper() else ''}{number}"
        number += 1
    taken.add(candidate)
    return candidate
