"""Converts XML to the JSON value that an API description's schema expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Callable
    from xml.etree.ElementTree import Element

Json: TypeAlias = Any
"""Any JSON value."""


def read_xml(
    text: bytes, schema: Json, whole: Callable[[Json], Json], scalar: Callable[[Json, str], Json]
) -> Json:
    """Return the value of an XML document, as its schema describes it.

    Args:
        text: the document.
        schema: the schema of its root.
        whole: resolves a schema's reference, and merges its parts.
        scalar: reads a text as a schema's type.
    """
    return _XmlReader(whole, scalar).value(schema, ET.fromstring(text))  # noqa: S314 - a text of this package's own


class _XmlReader:
    def __init__(self, whole: Callable[[Json], Json], scalar: Callable[[Json, str], Json]) -> None:
        self._whole = whole
        self._scalar = scalar

    def value(self, schema: Json, element: Element) -> Json:
        """Return the value of an XML element, as its schema describes it."""
        schema = self._whole(schema)
        if schema.get("type") == "array":
            return [self.value(schema["items"], child) for child in element]
        if "properties" in schema or schema.get("type") == "object" or len(element):
            return self._object(schema, element)
        return self._scalar(schema, element.text or "")

    def _object(self, schema: Json, element: Element) -> Json:
        properties = {
            self._tag(name, part): (name, part)
            for name, part in schema.get("properties", {}).items()
        }
        value: dict[str, Json] = {}
        for name, text in element.attrib.items():
            value[properties.get(name, (name, {}))[0]] = text
        for child in element:
            tag = child.tag.rpartition("}")[2]
            name, part = properties.get(tag, (tag, schema.get("additionalProperties") or {}))
            whole_part = self._whole(part)
            if whole_part.get("type") == "array" and not whole_part.get("xml", {}).get("wrapped"):
                value[name] = [*value.get(name, ()), self.value(whole_part["items"], child)]
            else:
                value[name] = self.value(whole_part, child)
        return value

    def _tag(self, name: str, part: Json) -> str:
        """Return a property's XML name: its items' name if nothing wraps them."""
        whole_part = self._whole(part)
        xml = whole_part.get("xml", {})
        if whole_part.get("type") == "array" and not xml.get("wrapped"):
            xml = self._whole(whole_part["items"]).get("xml", {})
        return str(xml.get("name", name))
