"""Reads objects of PDF files, and appends objects without changing the existing bytes."""

from __future__ import annotations

import re
import zlib
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.errors import InvalidData
from moorage.invoices.pdf_objects import (
    PdfName,
    PdfNumber,
    PdfReference,
    Reader,
    damaged_error,
    write_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.invoices.pdf_objects import PdfValue

_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_INFLATED: Final = 24 * 1024 * 1024
_MOST_VALUES: Final = 100_000
_MOST_ROWS: Final = 500_000
_MOST_SECTIONS: Final = 1_000
_START_POSITION: Final = re.compile(rb"startxref\s+([0-9]{1,10})\s")
_ROW: Final = re.compile(rb"\s{0,3}([0-9]{10}) ([0-9]{5}) ([nf])")
_STREAM: Final = re.compile(rb"stream(?:\r\n|\n|\r)")
_MAX_DEPTH: Final = 10
_MOST_PREDICTED: Final = 4 * 1024 * 1024
_NO_PREDICTOR: Final = 1
_PACKED: Final = 2
_PNG: Final = 10
_UP_FILTER: Final = 2
_STREAM_SHARE: Final = 8
"""The part of a stream's bytes that counts as read, since they are copied only."""


@attrs.frozen
class PdfStream:
    """A stream of a PDF: its dictionary, and its encoded bytes."""

    fields: dict[str, Any]
    content: bytes = attrs.field(repr=False)


class PdfFile:
    """An unencrypted PDF file.

    Attributes:
        data: the file.
        trailer: dictionary of the last cross-reference section.
        start: position of the last cross-reference section in the file.
        is_table: True if the last cross-reference section is a table, False if it is a stream.
    """

    def __init__(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise InvalidData(
                f"The PDF must be bytes, not {type(data).__name__}.",
                field="pdf",
                remedy="Read the file with open(path, 'rb').",
            )
        if len(data) > _MOST_BYTES:
            raise InvalidData(
                f"The PDF has {len(data)} bytes, but moorage reads {_MOST_BYTES} at most.",
                field="pdf",
                remedy="Make the pictures in the PDF smaller.",
            )
        if b"%PDF-" not in data[:1024]:
            raise InvalidData(
                "The file is not a PDF.", field="pdf", remedy="Give the bytes of a PDF file."
            )
        self.data = data
        self._budget = [_MOST_VALUES]
        self._inflated = 0
        self._predicted = 0
        self._depth = 0
        self._rows = 0
        self._places: dict[int, tuple[int, int]] = {}
        self._generations: dict[int, int] = {}
        self._object_streams: dict[int, tuple[bytes, dict[int, int]]] = {}
        starts = list(_START_POSITION.finditer(data[-2048:] + b"\n"))
        if not starts:
            raise damaged_error("its end is missing")
        self.start = int(starts[-1][1])
        self.is_table = Reader(data, self.start).take(b"xref")
        self.trailer = self._read_sections()
        if self.trailer.get("Encrypt") is not None:
            raise InvalidData(
                "The PDF is encrypted.",
                field="pdf",
                remedy="Write the PDF without a password and without restrictions.",
            )

    @property
    def size(self) -> int:
        """The file's highest object number plus one."""
        stated_size = self.trailer.get("Size")
        size = stated_size.whole if isinstance(stated_size, PdfNumber) else None
        return max(size or 0, max(self._places, default=0) + 1)

    def resolve(self, value: PdfValue) -> PdfValue | PdfStream:
        """Return the object that a reference refers to; return any other value unchanged."""
        if not isinstance(value, PdfReference):
            return value
        place = self._places.get(value.number)
        if place is None:
            return None
        kind, position = place
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise damaged_error("its references form a cycle")
        try:
            if kind == _NO_PREDICTOR:
                return self._object_at(position, value.number)
            return self._object_in_stream(position, value.number) if kind == _PACKED else None
        finally:
            self._depth -= 1

    def fields(self, value: PdfValue) -> dict[str, Any]:
        """Return the dictionary that a value is or refers to; an empty one for other values."""
        target = self.resolve(value)
        return target if isinstance(target, dict) else {}

    def items(self, value: PdfValue) -> list[Any]:
        """Return the array that a value is or refers to; an empty list for other values."""
        target = self.resolve(value)
        return target if isinstance(target, list) else []

    def content(self, value: PdfValue) -> bytes | None:
        """Return the decoded bytes of the stream that a value refers to; None without a stream."""
        target = self.resolve(value)
        return self._decoded_data(target) if isinstance(target, PdfStream) else None

    def _read_sections(self) -> dict[str, Any]:
        trailers: list[dict[str, Any]] = []
        pending_positions, seen_values = [self.start], set[int]()
        while pending_positions:
            position = pending_positions.pop(0)
            if position in seen_values or len(seen_values) > _MOST_SECTIONS:
                raise damaged_error("its cross-reference sections form a cycle")
            seen_values.add(position)
            if not 0 <= position < len(self.data):
                raise damaged_error("a cross-reference section is outside of the file")
            reader = Reader(self.data, position, self._budget)
            trailer = self._table(reader) if reader.take(b"xref") else self._section(position)
            trailers.append(trailer)
            for name in ("XRefStm", "Prev"):
                number = trailer.get(name)
                if isinstance(number, PdfNumber) and number.whole is not None:
                    pending_positions.append(number.whole)
        return trailers[0]

    def _table(self, reader: Reader) -> dict[str, Any]:
        while not reader.take(b"trailer"):
            first_number, count = reader.number(), reader.number()
            self._count_rows(count)
            for number in range(first_number, first_number + count):
                row = _ROW.match(self.data, reader.position)
                if row is None:
                    raise damaged_error("a row of its table is unreadable")
                reader.position = row.end()
                kind = _NO_PREDICTOR if row[3] == b"n" else 0
                self._places.setdefault(number, (kind, int(row[1])))
                self._generations.setdefault(number, int(row[2]) if kind == _NO_PREDICTOR else 0)
        trailer = reader.value()
        if not isinstance(trailer, dict):
            raise damaged_error("its trailer is not a dictionary")
        return trailer

    def _count_rows(self, count: int) -> None:
        self._rows += count
        if self._rows > _MOST_ROWS:
            raise damaged_error("it has too many objects")

    def _section(self, position: int) -> dict[str, Any]:
        stream = self._object_at(position, None)
        if not isinstance(stream, PdfStream) or stream.fields.get("Type") != "XRef":
            raise damaged_error("it has no cross-reference section at the stated position")
        widths = [_whole_number(item) for item in self.items(stream.fields.get("W"))]
        if len(widths) != 3 or not 0 < sum(widths) <= 24:
            raise damaged_error("the rows of a cross-reference section have no width")
        rows = self._decoded_data(stream)
        size = _whole_number(stream.fields.get("Size"))
        spans = [_whole_number(item) for item in self.items(stream.fields.get("Index"))] or [
            0,
            size,
        ]
        row_width, at = sum(widths), 0
        for first_number, count in zip(spans[::2], spans[1::2], strict=False):
            self._count_rows(count)
            if at + count * row_width > len(rows):
                raise damaged_error("a section has too few rows")
            for number in range(first_number, first_number + count):
                parts: list[int] = []
                for width in widths:
                    parts.append(int.from_bytes(rows[at : at + width], "big"))
                    at += width
                kind = parts[0] if widths[0] else _NO_PREDICTOR
                self._places.setdefault(number, (kind, parts[1]))
                self._generations.setdefault(number, parts[2] if kind == _NO_PREDICTOR else 0)
        return stream.fields

    def _object_at(self, position: int, number: int | None) -> PdfValue | PdfStream:
        reader = Reader(self.data, min(position, len(self.data)), self._budget)
        stated_number = reader.number()
        reader.number()
        if not reader.take(b"obj") or (number is not None and stated_number != number):
            raise damaged_error(f"object {number} is not at its stated position")
        value = reader.value()
        reader.skip()
        start = _STREAM.match(self.data, reader.position)
        if start is None or not isinstance(value, dict):
            return value
        length = _whole_number(self.resolve(value.get("Length")))
        reader.position = start.end() + length
        if not reader.take(b"endstream"):
            raise damaged_error("a stream does not end at its stated length")
        reader.count_bytes(length // _STREAM_SHARE)
        return PdfStream(value, self.data[start.end() : start.end() + length])

    def _object_in_stream(self, holder: int, number: int) -> PdfValue:
        if holder not in self._object_streams:
            if self._places.get(holder, (0,))[0] != _NO_PREDICTOR:
                raise damaged_error(f"object {number} is in no stream")
            stream = self._object_at(self._places[holder][1], holder)
            if not isinstance(stream, PdfStream):
                raise damaged_error(f"object {number} is in no stream")
            content = self._decoded_data(stream)
            reader = Reader(content, 0, self._budget)
            count, first_offset = (
                _whole_number(stream.fields.get("N")),
                _whole_number(stream.fields.get("First")),
            )
            rows = [(reader.number(), first_offset + reader.number()) for _ in range(count)]
            self._object_streams[holder] = content, dict(rows)
        content, positions = self._object_streams[holder]
        position = positions.get(number)
        if position is None:
            raise damaged_error(f"object {number} is missing in its stream")
        return Reader(content, position, self._budget).value()

    def _decoded_data(self, stream: PdfStream) -> bytes:
        filters = self._resolved_list(stream.fields.get("Filter"))
        if not filters:
            return stream.content
        if filters != ["FlateDecode"]:
            raise damaged_error("a required stream is compressed in an unknown way")
        inflater = zlib.decompressobj()
        maximum = _MOST_INFLATED - self._inflated
        try:
            # With a maximum of 0, zlib would return any number of bytes.
            content = inflater.decompress(stream.content, maximum + 1)
        except zlib.error:
            raise damaged_error("a stream cannot be decompressed") from None
        if len(content) > maximum or not inflater.eof:
            raise damaged_error("a stream is too long, or its end is missing")
        self._inflated += len(content)
        options = self.fields(
            next(iter(self._resolved_list(stream.fields.get("DecodeParms"))), None)
        )
        if "Predictor" in options:
            self._predicted += len(content)
            if self._predicted > _MOST_PREDICTED:
                raise damaged_error("it has too many bytes that are compressed with a predictor")
        return _without_predictor(content, options)

    def _resolved_list(self, value: Any) -> list[Any]:
        target = self.resolve(value)
        return [] if target is None else target if isinstance(target, list) else [target]

    def appended(self, objects: Mapping[int, PdfValue | PdfStream]) -> bytes:
        """Return the file with objects appended; they replace those with the same number.

        A replaced object keeps its generation, which the references to it state.
        """
        parts = [self.data if self.data.endswith(b"\n") else self.data + b"\n"]
        position = len(parts[0])
        places: dict[int, int] = {}
        for number, value in sorted(objects.items()):
            places[number] = position
            generation = self._generations.get(number, 0)
            parts.append(b"%d %d obj\n%s\nendobj\n" % (number, generation, _object_bytes(value)))
            position += len(parts[-1])
        size = max(self.size, *(number + 1 for number in objects))
        trailer: dict[str, Any] = {
            name: self.trailer[name] for name in ("Root", "Info") if name in self.trailer
        }
        trailer |= {"Prev": PdfNumber(self.start), "ID": self._ids(objects)}
        if self.is_table:
            trailer["Size"] = PdfNumber(size)
            rows = [
                b"%d 1\n%010d %05d n \n" % (number, place, self._generations.get(number, 0))
                for number, place in places.items()
            ]
            section = b"xref\n" + b"".join(rows) + b"trailer\n" + write_value(trailer)
        else:
            places[size] = position
            section = b"%d 0 obj\n%s\nendobj" % (
                size,
                _object_bytes(_section_of(places, self._generations, size, trailer)),
            )
        return b"".join([*parts, section, b"\nstartxref\n%d\n%%%%EOF\n" % position])

    def _ids(self, objects: Mapping[int, PdfValue | PdfStream]) -> list[bytes]:
        """Return the two identifiers of the new file: the original one and a new one."""
        new_objects = b"".join(_object_bytes(value) for _, value in sorted(objects.items()))
        digest = md5(new_objects, usedforsecurity=False).digest()
        first_id = next(iter(self.items(self.trailer.get("ID"))), None)
        return [first_id if isinstance(first_id, bytes) else digest, digest]


def _section_of(
    places: Mapping[int, int], generations: Mapping[int, int], size: int, trailer: dict[str, Any]
) -> PdfStream:
    rows = b"".join(
        b"\x01" + place.to_bytes(8, "big") + generations.get(number, 0).to_bytes(2, "big")
        for number, place in places.items()
    )
    index = [PdfNumber(part) for number in places for part in (number, 1)]
    fields = {
        "Type": PdfName("XRef"),
        "Size": PdfNumber(size + 1),
        "W": [PdfNumber(1), PdfNumber(8), PdfNumber(2)],
        "Index": index,
        **trailer,
    }
    return PdfStream(fields, rows)


def _object_bytes(value: PdfValue | PdfStream) -> bytes:
    if not isinstance(value, PdfStream):
        return write_value(value)
    fields = {**value.fields, "Length": PdfNumber(len(value.content))}
    return write_value(fields) + b"\nstream\n" + value.content + b"\nendstream"


def _whole_number(value: object) -> int:
    whole_part = value.whole if isinstance(value, PdfNumber) else None
    if whole_part is None:
        raise damaged_error("a number is missing")
    return whole_part


def _without_predictor(content: bytes, options: Mapping[str, Any]) -> bytes:
    """Undo a stream's predictor, which transformed each row before compression."""
    if "Predictor" not in options or _whole_number(options["Predictor"]) == 1:
        return content
    width = _whole_number(options.get("Columns", PdfNumber(1)))
    is_usual = _whole_number(options["Predictor"]) >= _PNG and not {
        "Colors",
        "BitsPerComponent",
    } & {name for name in options if _whole_number(options[name]) not in {1, 8}}
    if not is_usual or not 0 < width <= len(content):
        raise damaged_error("a required stream is compressed in an unknown way")
    rows: list[bytes] = []
    previous_row = bytes(width)
    for start in range(0, len(content) - width, width + 1):
        previous_row = _row(content[start], content[start + 1 : start + 1 + width], previous_row)
        rows.append(previous_row)
    return b"".join(rows)


def _row(kind: int, row: bytes, previous_row: bytes) -> bytes:
    if kind == 0:
        return row
    if kind == _UP_FILTER:
        return bytes(
            (byte + upper_byte) & 0xFF for byte, upper_byte in zip(row, previous_row, strict=True)
        )
    predict = _PREDICTORS.get(kind)
    if predict is None:
        raise damaged_error("a row of a stream has an unknown predictor")
    unfiltered_row = bytearray(len(row))
    left_byte = upper_left_byte = 0
    for position, (byte, upper_byte) in enumerate(zip(row, previous_row, strict=True)):
        left_byte, upper_left_byte = (
            (byte + predict(left_byte, upper_byte, upper_left_byte)) & 0xFF,
            upper_byte,
        )
        unfiltered_row[position] = left_byte
    return bytes(unfiltered_row)


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    to_left, to_up, to_corner = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


def _left_byte(left: int, _up: int, _corner: int) -> int:
    return left


def _average(left: int, up: int, _corner: int) -> int:
    return (left + up) // 2


_PREDICTORS: Final[Mapping[int, Callable[[int, int, int], int]]] = {
    1: _left_byte,
    3: _average,
    4: _paeth,
}
"""The guesses of a byte by its neighbours, by the kind of a row."""
