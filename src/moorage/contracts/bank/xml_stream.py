"""Incremental reading of ISO 20022 files.

A part of the file, such as an entry, becomes its value as soon as it ends, and its elements are
forgotten. A DTD is refused, so no entity can expand and nothing is loaded from elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias
from xml.parsers import expat

from moorage.contracts.bank.sources import pieces
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moorage.contracts.bank.sources import BankFile

_MAX_DEPTH: Final = 40
_MOST_ELEMENTS: Final = 50_000
_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:"
_AMOUNT: Final = re.compile(r"\+?(?:[0-9]{1,18}(?:\.[0-9]{0,17})?|\.[0-9]{1,17})")
_DAY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_COUNT: Final = re.compile(r"[0-9]{1,18}")
_REMEDY: Final = "Ask the bank for the file again; compare its size with the original."

Reader: TypeAlias = "Callable[[Node], object]"
"""The function that makes a value of an element."""


class Node:
    """An XML element: its name, line, attributes, text, children, and the value read from it."""

    __slots__ = ("attributes", "children", "line", "name", "texts", "value")

    def __init__(self, name: str, line: int, attributes: dict[str, str] | None) -> None:
        self.name = name
        self.line = line
        self.attributes = attributes
        self.children: list[Node] | None = None
        self.texts: list[str] | None = None
        self.value: Any = None

    def all(self, name: str) -> Iterator[Node]:
        """The child elements with this name."""
        return (child for child in self.children or () if child.name == name)

    def node(self, path: str) -> Node | None:
        """The first element at a path such as `Acct/Id/IBAN`."""
        node: Node | None = self
        for name in path.split("/"):
            if node is None:
                return None
            node = next(node.all(name), None)
        return node

    def text(self, *paths: str) -> str | None:
        """The text of the first of these paths that has any, without white space at its ends."""
        for path in paths:
            node = self.node(path)
            if node is not None and node.texts:
                text = "".join(node.texts).strip()
                if text:
                    return text
        return None

    def needed(self, path: str) -> Node:
        """The element at a path; a file without this element is refused."""
        node = self.node(path)
        if node is None:
            self.wrong(path, "is missing")
        return node

    def needed_text(self, path: str) -> str:
        """The text at a path; a file without this text is refused."""
        text = self.text(path)
        if text is None:
            self.wrong(path, "is missing or empty")
        return text

    def amount(self, path: str) -> Money | None:
        """The amount without a sign at a path; None if there is none."""
        node = self.node(path)
        if node is None:
            return None
        text = "".join(node.texts or ()).strip()
        if not _AMOUNT.fullmatch(text):
            self.wrong(path, "is not an amount")
        try:
            return Money(Decimal(text), (node.attributes or {}).get("Ccy", ""))
        except InvalidData:
            self.wrong(path, "is not an amount in a currency of ISO 4217")

    def sum(self, path: str) -> Decimal:
        """The number at a path, such as a control sum."""
        text = self.needed_text(path)
        if not _AMOUNT.fullmatch(text):
            self.wrong(path, "is not a decimal number")
        return Decimal(text)

    def day(self, *paths: str) -> date | None:
        """The date at the first of these paths that has a date or a time; None without one."""
        for path in paths:
            text = self.text(path)
            if text is None:
                continue
            match = _DAY.fullmatch(text)
            try:
                return date.fromisoformat(match[1]) if match else _time(text).date()
            except ValueError:
                self.wrong(path, "is not a date")
        return None

    def time(self, path: str) -> datetime | None:
        """The time at a path; None if there is none."""
        text = self.text(path)
        try:
            return None if text is None else _time(text)
        except ValueError:
            self.wrong(path, "is not a date and time")

    def count(self, path: str) -> int | None:
        """The whole number at a path; None if there is none."""
        text = self.text(path)
        if text is None:
            return None
        if not _COUNT.fullmatch(text):
            self.wrong(path, "is not a whole number")
        return int(text)

    def flag(self, path: str) -> bool:
        """True if the text at a path is 'true' or '1'; False for any other text, or none."""
        text = self.text(path)
        if text not in {None, "true", "false", "1", "0"}:
            self.wrong(path, "is neither true nor false")
        return text in {"true", "1"}

    def wrong(self, path: str, fault: str, remedy: str = _REMEDY) -> NoReturn:
        """Raise an error that names this element of the file as invalid."""
        node = self.node(path) or self
        raise InvalidData(
            f"The element {path} near line {node.line} {fault}.", field=path, remedy=remedy
        ) from None


def _time(text: str) -> datetime:
    if "T" not in text:
        raise ValueError
    return datetime.fromisoformat(text)


def read_iso_20022(
    source: BankFile, messages: frozenset[str], readers: Mapping[str, Reader], largest: int
) -> tuple[str, Node]:
    """Read a file; return its message type, such as `camt.053.001.08`, and its root element.

    An element whose name is in `readers` keeps the value that its reader returns, and no children.

    Raises:
        InvalidData: the file is malformed, truncated, too large, or another message; the field is
            the path of the element.
    """
    reading = _ParserHandlers(messages, readers)
    try:
        for number, piece in enumerate(pieces(source, largest)):
            # White space must not precede the XML declaration, but some transfers add it.
            reading.parser.Parse(piece if number else piece.lstrip(b" \t\r\n"), False)
        reading.parser.Parse(b"", True)
    except expat.ExpatError as error:
        reading.refuse(
            f"The file is not well-formed XML: it is damaged or cut off at line {error.lineno}."
        )
    except (LookupError, ValueError):
        # The types of Python's errors for an encoding that is unknown or that XML does not allow.
        reading.refuse("The file names an encoding that moorage cannot read.")
    del reading.parser  # its handlers are methods, so that each keeps the other alive
    return reading.message, reading.top.needed("Document")


class _ParserHandlers:
    """The handlers of the XML parser, with the stack of open elements."""

    def __init__(self, messages: frozenset[str], readers: Mapping[str, Reader]) -> None:
        self.top = Node("", 0, None)
        self.message = ""
        self._space = ""
        self._messages = messages
        self._readers = readers
        self._stack = [self.top]
        self._counts: list[Counter[str]] = [Counter()]
        self._elements = 0
        self._starts = [0]
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse_dtd
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def place(self) -> str:
        """The path of the innermost open element, with the positions of repeated elements."""
        steps: list[str] = []
        for node, counts in zip(self._stack[1:], self._counts, strict=False):
            number = counts[node.name]
            steps.append(node.name if number == 1 else f"{node.name}[{number}]")
        return "/".join(steps)

    def refuse(self, message: str, remedy: str = _REMEDY) -> NoReturn:
        raise InvalidData(message, field=self.place() or "source", remedy=remedy) from None

    def _refuse_dtd(self, *_: object) -> NoReturn:
        self.refuse("The file has a document type definition (DTD), which moorage does not read.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._stack) > _MAX_DEPTH:
            self.refuse("The elements of the file are nested too deeply.")
        namespace, _, local_name = name.rpartition(" ")
        if len(self._stack) == 1:
            self._check_message(namespace, local_name)
            self._space = namespace
        elif namespace != self._space:
            # Supplementary data of other standards may use the same element names.
            local_name = f"{namespace} {local_name}"
        node = Node(local_name, self.parser.CurrentLineNumber, attributes or None)
        parent = self._stack[-1]
        if parent.children is None:
            parent.children = []
        parent.children.append(node)
        self._counts[-1][local_name] += 1
        self._stack.append(node)
        self._counts.append(Counter())
        self._starts.append(self._elements)
        self._elements += 1
        if self._elements > _MOST_ELEMENTS:
            self.refuse("A part of the file has too many elements.")

    def _check_message(self, space: str, name: str) -> None:
        message = space.removeprefix(_NAMESPACE)
        if name != "Document" or message not in self._messages:
            self.refuse(
                "The file is another kind of message, or a version that moorage does not read.",
                f"Give a message from {min(self._messages)} to {max(self._messages)}.",
            )
        self.message = message

    def _end(self, _: str) -> None:
        node = self._stack[-1]
        reader = self._readers.get(node.name)
        if reader is not None:
            try:
                node.value = reader(node)
            except InvalidData as error:
                error.field = f"{self.place()}/{error.field}"
                raise
            # The elements of the part that was just read no longer count.
            self._elements = self._starts[-1]
            node.children = node.texts = node.attributes = None
        self._stack.pop()
        self._counts.pop()
        self._starts.pop()

    def _text(self, text: str) -> None:
        node = self._stack[-1]
        # White space between child elements is not part of an element's text.
        if node.children is None:
            if node.texts is None:
                node.texts = []
            node.texts.append(text)
