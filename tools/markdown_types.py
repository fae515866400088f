"""Parses types in the Markdown pages that Swagger's generators write about models.

Each page has a table of properties, and one of words for each enumeration. The form of the types is
TypeScript's, under TypeScript's names.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Final

from tools.typescript_types import (
    AnyType,
    Declaration,
    Field,
    Fields,
    Listing,
    Literal,
    Name,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.typescript_types import Type

_TITLE: Final = re.compile(r"(?m)^#+ (?:Enum: )?(?P<name>\w+)\n")
_PROPERTY: Final = re.compile(
    r"(?m)^\*\*(?P<name>[^*]+)\*\* \| \[?\*\*(?P<type>[^*]+)\*\*.*\|(?P<notes>[^|]*)$"
)
_WORD: Final = re.compile(r'(?m)^\w+ \| "(?P<word>[^"]*)"$')
_GENERIC: Final = re.compile(r"(?P<owner>List|Map)<(?P<parts>.*)>")
_NAMES: Final = {
    "BigDecimal": "number",
    "Boolean": "boolean",
    "Date": "string",
    "Double": "number",
    "Float": "number",
    "Integer": "number",
    "LocalDate": "string",
    "Long": "number",
    "OffsetDateTime": "string",
    "String": "string",
    "UUID": "string",
}


def declarations_of_page(file: str, text: str) -> Mapping[tuple[str, ...], Declaration]:
    """Return the types on a page, by page name and type name."""
    return {
        (file, name): Declaration("type", (), type_) for name, type_ in _declared_fields(file, text)
    }


def _declared_fields(file: str, text: str) -> Iterator[tuple[str, Type]]:
    titles = list(_TITLE.finditer(text))
    ends = [*(title.start() for title in titles[1:]), len(text)]
    owner = ""
    for title, end in zip(titles, ends, strict=False):
        section = unescape(text[title.end() : end])
        words = [match["word"] for match in _WORD.finditer(section)]
        if title["name"] == "Properties":
            fields = [
                Field(match["name"], _type(match["type"], file), "[optional]" not in match["notes"])
                for match in _PROPERTY.finditer(section)
            ]
            yield owner, Fields(tuple(fields), None)
        elif words:
            yield title["name"], Union(tuple(map(Literal, words)))
        else:
            owner = title["name"]


def _type(text: str, file: str) -> Type:
    """Return the type for a Java type name."""
    generic = _GENERIC.fullmatch(text)
    if generic is None:
        return AnyType() if text == "Object" else Name(_NAMES.get(text, text), (), (file,))
    if generic["owner"] == "List":
        return Listing(_type(generic["parts"], file))
    parts = [_type(part.strip(), file) for part in generic["parts"].split(",", 1)]
    return Name("Record", tuple(parts), (file,))
