"""The comparison of Protobuf schemas: whether a reader keeps each value of a writer.

Law: if no incompatibility is found, each field of both schemas has the same value in the reader as
in the writer. A field of only one schema is left out, or has its default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.schemas.evolution import Incompatibility
from moorage.domain.schemas.protobuf_files import ProtobufFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.schemas.protobuf_files import ProtobufField
    from moorage.domain.schemas.schema import CompleteSchema

_COMPATIBLE_TYPES: Final = frozenset({
    ("bool", "int32"), ("bool", "int64"), ("bool", "uint32"), ("bool", "uint64"),
    ("int32", "int64"), ("uint32", "int64"), ("uint32", "uint64"), ("enum", "int32"),
    ("enum", "int64"), ("sint32", "sint64"), ("string", "bytes"),
})  # fmt: skip
"""Pairs of a writer's and a reader's type that differ on paper, and keep each value."""


def protobuf_incompatibilities(
    reader: CompleteSchema, writer: CompleteSchema
) -> tuple[Incompatibility, ...]:
    """Return the reasons why a Protobuf schema may lose values that another one wrote.

    Raises:
        InvalidData: one of the schemas has no compiled descriptors.
    """
    comparison = _Comparison(ProtobufFiles.of(reader), ProtobufFiles.of(writer))
    return tuple(comparison.incompatibilities())


class _Comparison:
    """Compares the messages of two schemas by their names.

    Args:
        reader: the files of the reader.
        writer: the files of the writer.
    """

    def __init__(self, reader: ProtobufFiles, writer: ProtobufFiles) -> None:
        self._reader = reader
        self._writer = writer
        self._reader_messages = reader.messages
        self._writer_messages = writer.messages
        self._reader_enums = reader.enums
        self._writer_enums = writer.enums

    def incompatibilities(self) -> Iterator[Incompatibility]:
        """Yield the reasons why the reader may lose values of the writer."""
        if self._reader.has_editions or self._writer.has_editions:
            yield Incompatibility(
                "", "The check does not support files with an edition.", is_certain=False
            )
            return
        pending_pairs = [(name, name) for name in self._writer.main_messages]
        compared_pairs: set[tuple[str, str]] = set()
        while pending_pairs:
            pair = pending_pairs.pop()
            if pair[0] == pair[1] and pair[0].startswith("google.protobuf."):
                continue
            reader = self._reader_messages.get(pair[0])
            writer = self._writer_messages.get(pair[1])
            if reader is None or writer is None:
                missing_name = pair[0] if reader is None else pair[1]
                yield Incompatibility(
                    missing_name, "The reader or the writer does not have this message."
                )
            elif pair not in compared_pairs:
                compared_pairs.add(pair)
                for field, writer_field in _shared_fields(reader, writer):
                    yield from self._field(field, writer_field, f"{pair[0]}.{field.name}")
                    if field.type == writer_field.type == "message":
                        pending_pairs.append((field.type_name, writer_field.type_name))
                yield from _presence_problems(reader, writer, pair[0])

    def _field(
        self, field: ProtobufField, written: ProtobufField, path: str
    ) -> Iterator[Incompatibility]:
        if field.is_repeated != written.is_repeated:
            yield Incompatibility(path, "The field is repeated in only one of the schemas.")
        if field.type == written.type == "enum":
            yield from self._enum(field, written, path)
        elif field.type != written.type and (written.type, field.type) not in _COMPATIBLE_TYPES:
            problem = f"The reader expects {field.type}; the writer has {written.type}."
            yield Incompatibility(path, problem)

    def _enum(
        self, field: ProtobufField, written: ProtobufField, path: str
    ) -> Iterator[Incompatibility]:
        numbers, is_open = self._reader_enums.get(field.type_name, (frozenset[int](), False))
        written_numbers, takes_others = self._writer_enums.get(
            written.type_name, (frozenset[int](), True)
        )
        if is_open:
            return
        if takes_others:
            yield Incompatibility(path, "The writer's enumeration may contain any number.")
        for number in sorted(written_numbers - numbers):
            yield Incompatibility(
                path, f"The reader's enumeration does not contain the number {number}."
            )


def _shared_fields(
    reader: tuple[ProtobufField, ...], writer: tuple[ProtobufField, ...]
) -> list[tuple[ProtobufField, ProtobufField]]:
    """Return the fields with the same number in both messages."""
    fields = {field.number: field for field in reader}
    return [(fields[field.number], field) for field in writer if field.number in fields]


def _presence_problems(
    reader: tuple[ProtobufField, ...], writer: tuple[ProtobufField, ...], path: str
) -> Iterator[Incompatibility]:
    """Yield the required fields that may be absent, and the fields that may overwrite others."""
    required = {field.number for field in writer if field.is_required}
    for field in reader:
        if field.is_required and field.number not in required:
            problem = "The reader requires the field, but the writer does not."
            yield Incompatibility(f"{path}.{field.name}", problem)
    groups: dict[int, list[ProtobufField]] = {}
    for field, writer_field in _shared_fields(reader, writer):
        if field.oneof is not None:
            groups.setdefault(field.oneof, []).append(writer_field)
    for fields in groups.values():
        if len(fields) > 1 and (len({f.oneof for f in fields}) > 1 or fields[0].oneof is None):
            problem = "The writer may set several fields, but the reader keeps only one of them."
            yield Incompatibility(f"{path}.{fields[-1].name}", problem)
