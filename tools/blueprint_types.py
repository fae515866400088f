"""Parses the types in an API Blueprint: attributes, parameters and example answers.

A heading such as `Search Suppressions [GET /v1/suppression-list]` becomes the scope
`SearchSuppressions`, whose `Parameters` are those listed below it or its subheadings, and whose
`Answer` has the fields of all examples of a success. A structure is named by its title, and is
`Attributes` without one. The form of the types is TypeScript's.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

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
    from collections.abc import Iterable, Iterator, Mapping

    from tools.typescript_types import Type

Json: TypeAlias = Any
"""Any JSON value."""

_HEADING: Final = re.compile(r"(?P<level>#+) (?P<name>[^\[]+)")
_ITEM: Final = re.compile(r"(?P<indent> *)\+ (?P<text>.*)")
_PROPERTY: Final = re.compile(
    r"`?(?P<name>[\w ]*?)`?\s*(?::\s*`[^`]*`|=\s*`?[^(`]*`?)?:?\s*"
    r"(?:\((?P<facts>[^)]*)\).*)?(?: - .*)?"
)
_STRUCTURE: Final = re.compile(r"Data Structure(?:: (?P<title>.*))?|(?P<parameters>Parameters)")
_SUCCESS: Final = re.compile(r"Response 2\d\d\b")
_NAMES: Final = {
    "boolean": "boolean",
    "datetime": "string",
    "list": "string",
    "number": "number",
    "object": "object",
    "string": "string",
}
_GROUPS: Final = frozenset({"Members", "Values"})
"""Headings below an attribute, under which the blueprint lists its allowed values."""
_INDENT: Final = 4


@attrs.frozen
class _Item:
    """A list item of a blueprint, with its text and the items nested in it."""

    text: str
    items: list[_Item] = attrs.field(factory=list)
    lines: list[str] = attrs.field(factory=list)


def declarations_of_blueprint(file: str, text: str) -> Mapping[tuple[str, ...], Declaration]:
    """Return a blueprint's types by file name, heading and type name."""
    scope = _Scope(file)
    declarations: dict[tuple[str, ...], Declaration] = {}
    for headings, items in _sections(text):
        for name, type_ in scope.declared(items):
            for heading in headings:
                place = (file, _camel_case(heading), name)
                declarations.setdefault(place, Declaration("type", (), type_))
    return declarations


def _sections(text: str) -> Iterator[tuple[list[str], list[_Item]]]:
    """Yield the headings around each section, outermost first, with the list items below them."""
    headings: dict[int, str] = {}
    root = _Item("")
    for line in text.splitlines():
        title = _HEADING.match(line)
        if title is not None:
            yield list(headings.values()), root.items
            level = len(title["level"])
            headings = {outer: name for outer, name in headings.items() if outer < level}
            headings[level], root = title["name"], _Item("")
            continue
        item = _ITEM.fullmatch(line)
        path = [root]
        depth = len(line) - len(line.lstrip()) if item is None else len(item["indent"])
        while path[-1].items and len(path) <= depth // _INDENT + (item is None):
            path.append(path[-1].items[-1])
        if item is None:
            for owner in path:
                owner.lines.append(line)
        else:
            path[-1].items.append(_Item(item["text"]))
    yield list(headings.values()), root.items


class _Scope:
    """The types that one file declares."""

    def __init__(self, file: str) -> None:
        self._file = file

    def declared(self, items: list[_Item]) -> Iterator[tuple[str, Type]]:
        """Yield the names and types declared by the items below a heading."""
        for item in items:
            structure = _STRUCTURE.fullmatch(item.text)
            if structure is not None:
                title = structure["title"] or structure["parameters"] or "Attributes"
                yield _camel_case(title), self._fields(item.items)
        answers = [
            answer
            for item in items
            if _SUCCESS.match(item.text)
            for answer in _examples("\n".join(item.lines))
        ]
        if answers:
            yield "Answer", self._inferred(answers)

    def _fields(self, items: Iterable[_Item]) -> Type:
        fields = []
        for item in items:
            match = _PROPERTY.fullmatch(item.text)
            if match is not None and match["name"]:
                facts = _facts(match)
                fields.append(Field(match["name"], self._type(facts, item), "required" in facts))
        return Fields(tuple(fields), None)

    def _type(self, facts: list[str], item: _Item) -> Type:
        """Return an attribute's type from its facts and the fields or choices nested below it."""
        kind = next((fact for fact in facts if fact in {"enum", *_NAMES}), "")
        parts = [
            part
            for child in item.items
            for part in (child.items if child.text in _GROUPS else [child])
        ]
        matches = [_PROPERTY.fullmatch(part.text) for part in parts]
        if kind == "object" and item.items:
            return self._fields(item.items)
        if kind == "enum":
            choices = [
                self._type(_facts(match), part)
                for part, match in zip(parts, matches, strict=True)
                if match is not None and not match["name"]
            ]
            words = [match["name"] for match in matches if match is not None and match["name"]]
            return Union((*choices, *map(Literal, words))) if choices or words else AnyType()
        if any(fact.startswith("array") for fact in facts):
            return Listing(AnyType())
        return Name(_NAMES[kind], (), (self._file,)) if kind else AnyType()

    def _inferred(self, values: list[Json]) -> Type:
        """Return a type inferred from examples, in which each field may be missing."""
        if all(isinstance(value, dict) for value in values):
            names = dict.fromkeys(name for value in values for name in value)
            fields = [
                Field(
                    name,
                    self._inferred([value[name] for value in values if name in value]),
                    required=False,
                )
                for name in names
            ]
            return Fields(tuple(fields), None)
        if all(isinstance(value, list) for value in values):
            items = [item for value in values for item in value]
            return Listing(self._inferred(items) if items else AnyType())
        for kind, name in ((bool, "boolean"), (str, "string"), ((int, float), "number")):
            if all(isinstance(value, kind) for value in values):
                return Name(name, (), (self._file,))
        return AnyType()


def _facts(match: re.Match[str]) -> list[str]:
    return [fact.strip().strip("`") for fact in (match["facts"] or "").split(",")]


def _examples(text: str) -> Iterator[Json]:
    """Yield the JSON object in a text, if any."""
    start = text.find("{")
    if start >= 0:
        try:
            yield json.JSONDecoder().raw_decode(text[start:])[0]
        except ValueError:
            return


def _camel_case(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"\w+", text))
