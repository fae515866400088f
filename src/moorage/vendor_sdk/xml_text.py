"""Safe parsing of XML from vendors, which refuses entities and external references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_DEPTH: Final = 20
_MAX_BYTES: Final = 16 * 1024 * 1024
_MOST_ELEMENTS: Final = 500_000
"""The elements that a document may have; each takes some 300 bytes of memory."""


class NotXmlError(ValueError):
    """Raised if a string is not XML, or uses a refused feature."""


class XmlElement:
    """An XML element: its name, namespace, attributes, text and children."""

    __slots__ = ("_texts", "attributes", "children", "name", "namespace")

    def __init__(self, name: str, attributes: dict[str, str], namespace: str = "") -> None:
        self.name = name
        self.namespace = namespace
        self.attributes = attributes
        self.children: list[XmlElement] = []
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """Append to the text of the element."""
        self._texts.append(text)

    @property
    def content(self) -> str:
        """Return the element's own text, without its children's."""
        return "".join(self._texts)

    def all(self, name: str) -> Iterator[XmlElement]:
        """Yield the children of this name."""
        return (child for child in self.children if child.name == name)

    def text(self, name: str) -> str | None:
        """Return the text of the first child with this name; None if it is missing or empty."""
        child = next(self.all(name), None)
        return None if child is None else child.content or None

    def as_dict(self) -> dict[str, object]:
        """Return the element as a dictionary by child name; the last of equal names counts."""
        return {
            child.name: child.as_dict() if child.children else child.content
            for child in self.children
        }


def read_xml(body: bytes) -> XmlElement:
    """Parse a document, and return its root element.

    Raises:
        NotXmlError: the document is malformed, has a DTD or too many elements, or is nested too
            deeply or too long.
    """
    if len(body) > _MAX_BYTES:
        raise NotXmlError
    top = XmlElement("", {})
    stack = [top]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) > _MAX_DEPTH or count > _MOST_ELEMENTS:
            raise NotXmlError
        namespace, _, local_name = name.rpartition(" ")
        element = XmlElement(local_name, attributes, namespace)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        stack.pop()

    def add_text(text: str) -> None:
        stack[-1].add(text)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add_text
    try:
        # Some vendors send white space while they work, which XML forbids before its declaration.
        parser.Parse(body.lstrip(), True)
    except (expat.ExpatError, LookupError, ValueError):
        # For an unknown or forbidden encoding, Python raises LookupError or ValueError.
        raise NotXmlError from None
    return top.children[0]


def xml_element(name: str, text: str | int) -> str:
    """Return an XML element with this string."""
    return f"<{name}>{escape(str(text))}</{name}>"


def _refuse_doctype(*_: object) -> NoReturn:
    raise NotXmlError
