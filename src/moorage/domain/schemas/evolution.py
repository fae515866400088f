"""Evolution of schemas: the compatibility of readers and writers of different versions.

Laws:

1. A version is compatible only if no rule finds an incompatibility. A part that no rule can judge
   counts as an incompatibility, which is marked as uncertain.
2. "Backward" means that the new schema reads data of the earlier ones; "forward" means that the
   earlier ones read data of the new one; "full" means both.
3. A check that is not transitive compares only the last version.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from moorage.domain.schemas.schema import CompleteSchema, SchemaFormat, member
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence


class Compatibility(Enum):
    """The compatibility mode of a subject, which each new version must satisfy."""

    NONE = "none"
    BACKWARD = "backward"
    BACKWARD_TRANSITIVE = "backward_transitive"
    FORWARD = "forward"
    FORWARD_TRANSITIVE = "forward_transitive"
    FULL = "full"
    FULL_TRANSITIVE = "full_transitive"

    @property
    def is_transitive(self) -> bool:
        """True if new versions must be compatible with all earlier versions."""
        return self.value.endswith("_transitive")

    @property
    def reads_earlier(self) -> bool:
        """True if the new schema must read data of earlier schemas."""
        return self.value.startswith(("backward", "full"))

    @property
    def is_read_by_earlier(self) -> bool:
        """True if earlier schemas must read data of the new schema."""
        return self.value.startswith(("forward", "full"))


class Incompatibility(NamedTuple):
    """A reason why a reader may not understand data that a writer wrote.

    Attributes:
        path: the place in the schemas, such as "Order.total".
        problem: the reason, as a sentence.
        is_certain: True if there are data that the reader refuses or changes; False if the rule
            cannot judge this part of a schema.
    """

    path: str
    problem: str
    is_certain: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


def compatibility_of(value: Compatibility | str) -> Compatibility:
    """Return the compatibility mode of a name such as "backward".

    Raises:
        ConfigurationError: there is no such mode.
    """
    return member(Compatibility, value, "compatibility")


def read_incompatibilities(
    reader: CompleteSchema, writer: CompleteSchema
) -> tuple[Incompatibility, ...]:
    """Return the reasons why a reader's schema may not read data of a writer's schema.

    The result is empty if the reader accepts each valid record of the writer without losing a
    value.

    Args:
        reader: the schema that reads.
        writer: the schema with which the data were written.

    Raises:
        InvalidData: one of the schemas is not valid in its format.
    """
    if reader.schema.format is not writer.schema.format:
        formats = f"{reader.schema.format.value} and {writer.schema.format.value}"
        return (Incompatibility("", f"The schemas have different formats: {formats}."),)
    try:
        return _RULES[reader.schema.format](reader, writer)
    except RecursionError:
        pass
    raise InvalidData(
        "The schemas are nested too deeply to be compared.",
        field="schema",
        remedy="Define parts of the schema by name, and refer to the names.",
    )


def incompatibilities(
    compatibility: Compatibility | str, new: CompleteSchema, earlier: Sequence[CompleteSchema]
) -> tuple[Incompatibility, ...]:
    """Return the reasons why a new version would break a compatibility mode.

    Args:
        compatibility: the compatibility mode, such as "backward".
        new: the new schema.
        earlier: the schemas of the earlier versions, the oldest first.

    Raises:
        ConfigurationError: there is no such compatibility mode.
        InvalidData: one of the schemas is not valid in its format.
    """
    mode = compatibility_of(compatibility)
    results: dict[Incompatibility, None] = {}
    for other_schema in earlier if mode.is_transitive else earlier[-1:]:
        if mode.reads_earlier:
            results.update(dict.fromkeys(read_incompatibilities(new, other_schema)))
        if mode.is_read_by_earlier:
            results.update(dict.fromkeys(read_incompatibilities(other_schema, new)))
    return tuple(results)


def _avro(reader: CompleteSchema, writer: CompleteSchema) -> tuple[Incompatibility, ...]:
    from moorage.domain.schemas.avro_evolution import avro_incompatibilities  # noqa: PLC0415 - only one format is used

    return avro_incompatibilities(reader, writer)


def _json(reader: CompleteSchema, writer: CompleteSchema) -> tuple[Incompatibility, ...]:
    from moorage.domain.schemas.json_evolution import json_incompatibilities  # noqa: PLC0415 - only one format is used

    return json_incompatibilities(reader, writer)


def _protobuf(reader: CompleteSchema, writer: CompleteSchema) -> tuple[Incompatibility, ...]:
    from moorage.domain.schemas.protobuf_evolution import (  # noqa: PLC0415 - only one format is used
        protobuf_incompatibilities,
    )

    return protobuf_incompatibilities(reader, writer)


_RULES = {SchemaFormat.AVRO: _avro, SchemaFormat.JSON: _json, SchemaFormat.PROTOBUF: _protobuf}
