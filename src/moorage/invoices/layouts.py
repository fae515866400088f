"""Declares fields with the path and format of their XML element, and makes tables of them."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

import attrs

from moorage.contracts.validators import as_tuple
from moorage.invoices.binding import (
    AMOUNT,
    DAY,
    TEXT,
    Codec,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Group,
    SpecialElement,
)
from moorage.invoices.values.fields import day_field, number_field, text_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.invoices.binding import Node
    from moorage.vendor_sdk.xml_text import XmlElement

PATH: Final = "path"
PATTERN: Final = "pattern"
CODEC: Final = "codec"
PART: Final = "part"
NEEDED: Final = "needed"

ASCII: Final = "[ -~]"
LATIN: Final = "[ -~\u00a0-\u00ff]"


def text_at(path: str, pattern: str, *, needed: bool = False) -> Any:
    """Make a field for a text that matches a pattern."""
    return text_field(metadata={PATH: path, PATTERN: pattern, CODEC: TEXT, NEEDED: needed})


def short_text(path: str, most: int, *, needed: bool = False) -> Any:
    """Make a field for a text of ASCII characters."""
    return text_at(path, f"{ASCII}{{1,{most}}}", needed=needed)


def latin_text(path: str, most: int, *, needed: bool = False) -> Any:
    """Make a field for a text of Latin-1 characters."""
    return text_at(path, f"{LATIN}{{1,{most}}}", needed=needed)


def number_at(path: str, pattern: str, *, needed: bool = False, codec: Codec = AMOUNT) -> Any:
    """Make a field for a number whose text matches a pattern."""
    metadata = {PATH: path, PATTERN: pattern, CODEC: codec, NEEDED: needed}
    return number_field(metadata=metadata)


def day_at(path: str, *, needed: bool = False) -> Any:
    """Make a field for a date."""
    return day_field(metadata={PATH: path, PATTERN: "[0-9-]{10}", CODEC: DAY, NEEDED: needed})


def parts_at(path: str, kind: type) -> Any:
    """Make a field for several values of one class, each in its own XML element."""
    return attrs.field(default=(), converter=as_tuple, metadata={PATH: path, PART: kind})


def part_at(path: str, kind: type, *, needed: bool = False) -> Any:
    """Make a field for one value of a class, in its own XML element."""
    return attrs.field(default=None, metadata={PATH: path, PART: kind, NEEDED: needed})


@attrs.frozen
class LayoutFault:
    """A field with content that the schema forbids.

    Attributes:
        field: path of the field.
        element: path of the XML element.
        missing: True if the field is missing, False if its text has a wrong format.
    """

    field: str
    element: str
    missing: bool


@cache
def nodes_of(kind: type) -> tuple[Node, ...]:
    """Return the table that reads and writes values of a class."""
    return _join_entries([(field.metadata[PATH].split("/"), field) for field in attrs.fields(kind)])


def _join_entries(entries: list[tuple[list[str], attrs.Attribute[Any]]]) -> tuple[Node, ...]:
    nodes: list[Node] = []
    while entries:
        path, field = entries[0]
        if len(path) == 1:
            nodes.append(_node(path[0], field))
            del entries[0]
            continue
        inner_entries: list[tuple[list[str], attrs.Attribute[Any]]] = []
        while entries and len(entries[0][0]) > 1 and entries[0][0][0] == path[0]:
            inner_entries.append((entries[0][0][1:], entries[0][1]))
            del entries[0]
        nodes.append(ElementEntry(path[0], _join_entries(inner_entries)))
    return tuple(nodes)


def _node(tag: str, field: attrs.Attribute[Any]) -> Node:
    kind = field.metadata.get(PART)
    if not tag:
        return _element_text_node(field.name)
    if kind is None:
        return FieldEntry(tag, field.name, field.metadata[CODEC])
    return Group(tag, field.name, kind, nodes_of(kind), many=field.default == ())


def _element_text_node(name: str) -> SpecialElement:
    """Return the table entry of a field that is the text of the element itself."""

    def read_element(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        del place
        fields[name] = parent.content

    def write_element(value: Any, currency: str | None) -> Iterator[str]:
        del currency
        yield escape(getattr(value, name) or "")

    return SpecialElement(read_element, write_element)


def faults(value: Any, field: str = "", element: str = "") -> Iterator[LayoutFault]:
    """Yield the fields of a value with content that the schema forbids."""
    for attribute in attrs.fields(value.__class__):
        part = getattr(value, attribute.name)
        path = f"{field}.{attribute.name}" if field else attribute.name
        inner_path = "/".join(filter(None, (element, attribute.metadata[PATH])))
        if PART in attribute.metadata:
            yield from _faults_of_parts(part, attribute, path, inner_path)
        elif part is None:
            if attribute.metadata[NEEDED]:
                yield LayoutFault(path, inner_path, missing=True)
        elif not _matches_pattern(part, attribute):
            yield LayoutFault(path, inner_path, missing=False)


def _faults_of_parts(
    part: Any, attribute: attrs.Attribute[Any], field: str, element: str
) -> Iterator[LayoutFault]:
    if attribute.default == ():
        items: Iterable[tuple[str, Any]] = (
            (f"{field}[{number}]", item) for number, item in enumerate(part)
        )
    else:
        items = [] if part is None else [(field, part)]
        if part is None and attribute.metadata[NEEDED]:
            yield LayoutFault(field, element, missing=True)
    for path, item in items:
        yield from faults(item, path, element)


def _matches_pattern(value: Any, attribute: attrs.Attribute[Any]) -> bool:
    pattern = attribute.metadata.get(PATTERN)
    if pattern is None:
        return True
    text = attribute.metadata[CODEC].write(value, None)[1]
    return re.fullmatch(pattern, text) is not None
