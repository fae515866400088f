"""XML that a vendor sent: names, texts, nothing that expands, and nothing from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST: Final = 20
_LARGEST: Final = 16 * 1024 * 1024


class NotXmlError(ValueError):
    """It is no XML, or none that is read here."""


class Element:
    """An element: its name, its attributes, what it says, and what is in it."""

    __slots__ = ("_said", "attributes", "children", "name")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self._said: list[str] = []

    def add(self, text: str) -> None:
        """Let it say more."""
        self._said.append(text)

    @property
    def content(self) -> str:
        """What it says itself."""
        return "".join(self._said)

    def all(self, name: str) -> Iterator[Element]:
        """The elements of this name in it."""
        return (child for child in self.children if child.name == name)

    def text(self, name: str) -> str | None:
        """What the first element of this name says; None if there is none, or it says nothing."""
        found = next(self.all(name), None)
        return None if found is None else found.content or None

    def told(self) -> dict[str, object]:
        """All of it, as values; of several elements of one name the last."""
        return {
            child.name: child.told() if child.children else child.content for child in self.children
        }


def read_xml(body: bytes) -> Element:
    """The root of a document.

    Raises:
        NotXmlError: it is none, has a DTD, or is nested or long beyond all measure.
    """
    if len(body) > _LARGEST:
        raise NotXmlError
    top = Element("", {})
    stack = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > _DEEPEST:
            raise NotXmlError
        element = Element(name.rpartition(" ")[2], attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        stack.pop()

    def say(text: str) -> None:
        stack[-1].add(text)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = say
    try:
        # Some send white space while they work, which may not come before the declaration.
        parser.Parse(body.lstrip(), True)
    except (expat.ExpatError, LookupError, ValueError):
        # Of an encoding that is not known here, or is none of XML's, Python has its own words.
        raise NotXmlError from None
    return top.children[0]


def written(name: str, text: str | int) -> str:
    """An element that says this."""
    return f"<{name}>{escape(str(text))}</{name}>"


def _refuse(*_: object) -> NoReturn:
    raise NotXmlError
