"""The rules of Avro's specification for reading data of one schema with another.

Laws:

1. If no incompatibility is found, the reader reads each record of the writer; bytes that it reads
   as a string must be UTF-8.
2. A reader's union reads what one of its branches reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.schemas.avro_types import avro_type
from moorage.domain.schemas.evolution import Incompatibility

if TYPE_CHECKING:
    from moorage.domain.schemas.avro_types import AvroField, AvroType
    from moorage.domain.schemas.schema import CompleteSchema

_PROMOTIONS: Final = frozenset({
    ("int", "long"), ("int", "float"), ("int", "double"),
    ("long", "float"), ("long", "double"), ("float", "double"),
    ("string", "bytes"), ("bytes", "string"),
})  # fmt: skip
"""Pairs of a writer's and a reader's primitive type that differ and are compatible."""


def avro_incompatibilities(
    reader: CompleteSchema, writer: CompleteSchema
) -> tuple[Incompatibility, ...]:
    """Return why a reader's Avro schema cannot read a writer's data; empty if it can.

    Raises:
        InvalidData: one of the schemas is not an Avro schema.
    """
    resolution = _Resolution(set())
    return tuple(resolution.compare(avro_type(reader), avro_type(writer), ""))


class _Resolution:
    """Compares the types of two Avro schemas, each pair once.

    Args:
        compared_pairs: the pairs of types that were compared already or are being compared.
    """

    def __init__(self, compared_pairs: set[tuple[int, int]]) -> None:
        self._compared = compared_pairs

    def compare(self, reader: AvroType, writer: AvroType, path: str) -> list[Incompatibility]:
        """Return the reasons why the reader's type may not read what the writer's type wrote."""
        pair = id(reader), id(writer)
        if pair in self._compared:
            return []
        self._compared.add(pair)
        if writer.kind == "union":
            return [
                problems
                for branch in writer.branches
                for problems in self.compare(reader, branch, path)
            ]
        if reader.kind == "union":
            return self.union(reader, writer, path)
        if reader.kind != writer.kind:
            if (writer.kind, reader.kind) in _PROMOTIONS:
                return self.decimal(reader, writer, path)
            kinds = f"The reader expects {_title(reader)}; the writer has {_title(writer)}."
            return [Incompatibility(path, kinds)]
        if problems := self.decimal(reader, writer, path):
            return problems
        if reader.name and not _names_match(reader, writer):
            problem = (
                f"The name {writer.name!r} of the writer is not the reader's name or one"
                " of the reader's aliases."
            )
            return [Incompatibility(path, problem)]
        return self.content(reader, writer, path or writer.name)

    def union(self, reader: AvroType, writer: AvroType, path: str) -> list[Incompatibility]:
        for branch in reader.branches:
            trial = _Resolution({*self._compared})
            if not trial.compare(branch, writer, path):
                self._compared = trial._compared
                return []
        problem = f"No branch of the reader's union can read {_title(writer)} of the writer."
        return [Incompatibility(path, problem)]

    def decimal(self, reader: AvroType, writer: AvroType, path: str) -> list[Incompatibility]:
        if reader.decimal == writer.decimal:
            return []
        if reader.decimal is None or writer.decimal is None:
            side = "writer" if reader.decimal is None else "reader"
            return [Incompatibility(path, f"Only the {side}'s type is a decimal number.")]
        return [Incompatibility(path, "The decimal numbers differ in precision or scale.")]

    def content(self, reader: AvroType, writer: AvroType, path: str) -> list[Incompatibility]:
        if reader.items is not None and writer.items is not None:
            return self.compare(reader.items, writer.items, f"{path}[]")
        if reader.kind == "record":
            return self.record(reader, writer, path)
        if reader.kind == "enum" and reader.default is None:
            missing_symbols = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
            problem = "The reader does not have the symbol {!r} of the writer, and has no default."
            return [Incompatibility(path, problem.format(symbol)) for symbol in missing_symbols]
        if reader.kind == "fixed" and reader.size != writer.size:
            return [Incompatibility(path, "The sizes of the fixed types differ.")]
        return []

    def record(self, reader: AvroType, writer: AvroType, path: str) -> list[Incompatibility]:
        problems: list[Incompatibility] = []
        written_names: set[str] = set()
        for field in writer.fields:
            target = _target(reader, field)
            if target is None:
                continue
            place = f"{path}.{target.name}"
            if target.name in written_names:
                problem = (
                    "Two fields of the writer have the name or an alias of this field"
                    " of the reader."
                )
                problems.append(Incompatibility(place, problem))
            written_names.add(target.name)
            problems += self.compare(target.type, field.type, place)
        problem = "The reader's field has no default, and the writer does not have the field."
        problems += [
            Incompatibility(f"{path}.{field.name}", problem)
            for field in reader.fields
            if field.name not in written_names and not field.has_default
        ]
        return problems


def _target(reader: AvroType, field: AvroField) -> AvroField | None:
    """Return the reader's field for a writer's field; None if the reader ignores it."""
    for target in reader.fields:
        if target.name == field.name:
            return target
    for target in reversed(reader.fields):
        if field.name in target.aliases:
            return target
    return None


def _names_match(reader: AvroType, writer: AvroType) -> bool:
    return reader.short_name == writer.short_name or writer.name in reader.aliases


def _title(node: AvroType) -> str:
    return f"{node.kind} {node.name}" if node.name else node.kind
