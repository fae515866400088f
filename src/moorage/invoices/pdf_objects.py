"""Reads and writes the objects of PDF files (ISO 32000-1, clause 7.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeAlias, cast

import attrs

from moorage.errors import InvalidData

_MAX_DEPTH: Final = 40
_LONGEST_NUMBER: Final = 12
_MOST_VALUES: Final = 100_000
_BYTES_OF_A_VALUE: Final = 256
"""Bytes of a text or of white space that count as another value."""
_WHITE: Final = rb"\x00\t\n\x0c\r "
_SPACE_AND_COMMENTS: Final = re.compile(rb"(?:[" + _WHITE + rb"]+|%[^\r\n]*)*+")
_NUMBER: Final = re.compile(rb"[+-]?(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})")
_NAME: Final = re.compile(rb"[^" + _WHITE + rb"()<>\[\]{}/%]{0,1000}")
_REFERENCE: Final = re.compile(
    rb"([0-9]{1,10})[" + _WHITE + rb"]+([0-9]{1,5})[" + _WHITE + rb"]+R(?![A-Za-z0-9])"
)
_HEX: Final = re.compile(rb"<([0-9A-Fa-f" + _WHITE + rb"]*+)>")
_TEXT_PART: Final = re.compile(rb"[^()\\]*+")
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|\r\n|.)", re.DOTALL)
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_KEYWORDS: Final = ((b"true", True), (b"false", False), (b"null", None))
_NAME_CODE: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_PLAIN_NAME: Final = re.compile(r"[!-\"$-'*-.0-;=?-Z\\^-z|~]")


class PdfName(str):
    """A PDF name, such as Type, without its slash."""

    __slots__ = ()


class PdfNumber(str):
    """A PDF number, in the notation that the file uses."""

    __slots__ = ()

    @property
    def whole(self) -> int | None:
        """Return the number if it is whole and not negative; otherwise None."""
        return int(self) if self.isdecimal() and len(self) <= _LONGEST_NUMBER else None


@attrs.frozen
class PdfReference:
    """A reference to an indirect object."""

    number: int
    generation: int = 0


PdfValue: TypeAlias = (
    "bool | PdfName | PdfNumber | PdfReference | bytes | list[Any] | dict[str, Any] | None"
)
"""A value: texts are bytes, dictionaries have names without their slashes."""


def damaged_error(problem: str) -> InvalidData:
    """Return the error for a PDF that cannot be read."""
    return InvalidData(
        f"The PDF is damaged: {problem}.",
        field="pdf",
        remedy="Write the PDF again, or repair it with a PDF program, and try again.",
    )


def _give_up(problem: str) -> NoReturn:
    raise damaged_error(problem)


class Reader:
    """Reads one PDF value after another from a file, up to a maximum number of values.

    Attributes:
        data: the file.
        position: position of the next byte.
    """

    def __init__(self, data: bytes, position: int = 0, budget: list[int] | None = None) -> None:
        self.data = data
        self.position = position
        self._budget = [_MOST_VALUES] if budget is None else budget

    def skip(self) -> None:
        """Skip white space and comments."""
        start = self.position
        self.position = _match_end(_SPACE_AND_COMMENTS, self.data, start)
        self.count_bytes(self.position - start)

    def count_bytes(self, count: int) -> None:
        """Add to the limited number of bytes read, because texts may be read repeatedly."""
        self._budget[0] -= count // _BYTES_OF_A_VALUE
        self._check_budget()

    def take(self, token: bytes) -> bool:
        """Skip a token if it comes next; return whether it was skipped."""
        self.skip()
        is_next = self.data.startswith(token, self.position)
        self.position += len(token) if is_next else 0
        return is_next

    def number(self) -> int:
        """Read a whole number that is not negative."""
        value = self.value()
        whole_part = value.whole if isinstance(value, PdfNumber) else None
        return _give_up("a number is missing") if whole_part is None else whole_part

    def value(self, depth: int = 0) -> PdfValue:
        """Read the next PDF value from the file."""
        self._count(depth)
        self.skip()
        data, position = self.data, self.position
        if data.startswith(b"<<", position):
            return self._dictionary(depth)
        first_byte = data[position : position + 1]
        if first_byte == b"[":
            return self._array(depth)
        if first_byte == b"(":
            return self._text()
        if first_byte == b"/":
            return self._name()
        return self._simple_value()

    def _count(self, depth: int = 0) -> None:
        self._budget[0] -= 1
        self._check_budget(depth)

    def _check_budget(self, depth: int = 0) -> None:
        if depth > _MAX_DEPTH or self._budget[0] < 0:
            _give_up("it has too many values, or they are nested too deeply")

    def _dictionary(self, depth: int) -> dict[str, Any]:
        self.position += 2
        fields: dict[str, Any] = {}
        while not self.take(b">>"):
            name = self.value(depth + 1)
            if not isinstance(name, PdfName):
                _give_up("a dictionary is not closed")
            fields[str(name)] = self.value(depth + 1)
        return fields

    def _array(self, depth: int) -> list[Any]:
        self.position += 1
        items: list[Any] = []
        while not self.take(b"]"):
            items.append(self.value(depth + 1))
        return items

    def _name(self) -> PdfName:
        start = self.position + 1
        self.position = _match_end(_NAME, self.data, start)
        token_bytes = self.data[start : self.position]
        decoded_name = _NAME_CODE.sub(lambda code: bytes([int(code[1], 16)]), token_bytes)
        return PdfName(decoded_name.decode("latin-1"))

    def _text(self) -> bytes:
        start = self.position + 1
        position, level = start, 1
        while level:
            self._count()
            position = _match_end(_TEXT_PART, self.data, position)
            first_byte = self.data[position : position + 1]
            if not first_byte:
                _give_up("a text is not closed")
            level += {b"(": 1, b")": -1}.get(first_byte, 0)
            position += 2 if first_byte == b"\\" else 1
        self.position = position
        self.count_bytes(position - start)
        return _ESCAPE.sub(_unescape, self.data[start : position - 1])

    def _simple_value(self) -> PdfValue:
        data, position = self.data, self.position
        reference = _REFERENCE.match(data, position)
        if reference is not None:
            self.position = reference.end()
            return PdfReference(int(reference[1]), int(reference[2]))
        number = _NUMBER.match(data, position)
        if number is not None:
            self.position = number.end()
            return PdfNumber(number[0].decode())
        digits = _HEX.match(data, position)
        if digits is not None:
            self.position = digits.end()
            self.count_bytes(digits.end() - position)
            text = b"".join(digits[1].replace(b"\x00", b" ").split())
            return bytes.fromhex((text + b"0" * (len(text) % 2)).decode())
        for word, value in _KEYWORDS:
            if data.startswith(word, position):
                self.position += len(word)
                return value
        return _give_up(f"there is no value at byte {position}")


def _match_end(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    """Match a pattern at a position, and return the position where the match ends."""
    return cast("re.Match[bytes]", pattern.match(data, position)).end()


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code[:1].isdigit() and code[:1] < b"8":
        return bytes([int(code, 8) & 0xFF])
    if code in {b"\r\n", b"\r", b"\n"}:
        return b""
    return _ESCAPED.get(code, code)


def write_value(value: PdfValue) -> bytes:
    """Return the bytes by which a PDF file represents a value."""
    if value is None or isinstance(value, bool):
        return {None: b"null", True: b"true", False: b"false"}[value]
    if isinstance(value, PdfName):
        return _written_name(value)
    if isinstance(value, PdfNumber):
        return value.encode()
    if isinstance(value, PdfReference):
        return f"{value.number} {value.generation} R".encode()
    if isinstance(value, bytes):
        return b"<" + value.hex().upper().encode() + b">"
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value).items()
        pairs = [_written_name(name) + b" " + write_value(item) for name, item in fields]
        return b"<< " + b" ".join(pairs) + b" >>"
    return b"[" + b" ".join(map(write_value, value)) + b"]"


def _written_name(name: str) -> bytes:
    return b"/" + b"".join(
        letter.encode() if _PLAIN_NAME.fullmatch(letter) else f"#{ord(letter):02X}".encode()
        for letter in name
    )


def text_of(value: object) -> str | None:
    """Decode a PDF text string, in UTF-16 or a single-byte encoding; None for any other value."""
    if not isinstance(value, bytes):
        return None
    if value.startswith(b"\xfe\xff"):
        return value[2:].decode("utf-16-be", errors="replace")
    if value.startswith(b"\xef\xbb\xbf"):
        return value[3:].decode(errors="replace")
    return value.decode("latin-1")
