"""Schemas as values: a text in one of three formats, and its position in a registry."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    import attrs

LONGEST_SCHEMA: Final = 4 * 1024 * 1024
"""The maximum length of a schema's text in characters."""

LARGEST_ID: Final = 2**31 - 1
_LONGEST_NAME: Final = 250

E = TypeVar("E", bound=Enum)


class SchemaFormat(Enum):
    """The language of a schema."""

    AVRO = "avro"
    JSON = "json"
    PROTOBUF = "protobuf"


def member(kind: type[E], value: object, path: str) -> E:
    """Return the member of an enumeration that has this value.

    Raises:
        ConfigurationError: there is no such member.
    """
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(
            f"{str(value)[:80]!r} is not a valid value of {path!r}.",
            path=path,
            remedy=f"Use one of {', '.join(repr(item.value) for item in kind)}.",
        ) from None


def _format(value: SchemaFormat | str) -> SchemaFormat:
    return member(SchemaFormat, value, "format")


def _is_schema_text(_: object, __: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_SCHEMA:
        raise InvalidData(
            f"The schema is not a string of 1 to {LONGEST_SCHEMA} characters.",
            field="schema",
            remedy="Pass the schema as its registry shows it. For Protobuf, pass the"
            " descriptors in Base64.",
        )


def checked_subject(value: object) -> str:
    """Return a subject, after checking that it is valid.

    Raises:
        ConfigurationError: the value is not a printable string of usual length.
    """
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable():
        return value
    raise ConfigurationError(
        f"The subject is not a printable text of 1 to {_LONGEST_NAME} characters.",
        path="subject",
        remedy="Set the name under which the registry has the schema, such as orders-value.",
    )


def checked_number(value: object, name: str) -> int:
    """Return the id or version of a schema, after checking that it is valid.

    Raises:
        ConfigurationError: the value is not a positive integer of four bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_ID:
        return value
    raise ConfigurationError(
        f"The {name} of a schema is not an integer from 1 to {LARGEST_ID}.",
        path=name,
        remedy="Use the number that the registry shows.",
    )


def _reference_subject(value: object) -> str:
    return checked_subject(value)


def _reference_version(value: object) -> int:
    return checked_number(value, "version")


@frozen
class SchemaReference:
    """A schema that another schema uses by name.

    Attributes:
        name: the name in the other schema: a full name in Avro, a URI in JSON Schema, and the path
            of an imported file in Protobuf.
        subject: the subject of the schema.
        version: the version of the schema.
    """

    name: str
    subject: str = field(converter=_reference_subject)
    version: int = field(converter=_reference_version)


def _references(values: Iterable[SchemaReference]) -> tuple[SchemaReference, ...]:
    return tuple(values)


@frozen
class Schema:
    """A schema of records.

    Attributes:
        text: the schema. In Avro and JSON Schema it is JSON. In Protobuf it is the Base64 of a
            `FileDescriptorProto`, or of a `FileDescriptorSet` whose last file is the schema's own.
        format: "avro", "json" or "protobuf".
        references: the schemas that it uses by name.
    """

    text: str = field(validator=_is_schema_text, repr=False)
    format: SchemaFormat = field(converter=_format)
    references: tuple[SchemaReference, ...] = field(default=(), converter=_references, kw_only=True)


@frozen(kw_only=True)
class SchemaVersion:
    """A version of a subject in a registry.

    Attributes:
        subject: the subject.
        version: the number of the version, from 1.
        id: the id of the schema; None if the registry gives none.
        schema: the schema.
    """

    subject: str
    version: int
    id: int | None
    schema: Schema


@frozen
class CompleteSchema:
    """A schema with all schemas that it uses, directly or not.

    Attributes:
        schema: the schema.
        parts: the names and the schemas of its references, each after those that it uses itself.
    """

    schema: Schema
    parts: tuple[tuple[str, Schema], ...] = ()
