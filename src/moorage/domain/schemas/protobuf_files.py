"""Protobuf descriptors as values: the messages and enumerations of a schema."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Final

from moorage.domain.connectors.grpc_reflection import files_of_set, in_import_order
from moorage.domain.connectors.protobuf_wire import bytes_of, message_fields, number_of, text_field
from moorage.domain.values.frozen_values import frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.domain.schemas.schema import CompleteSchema

_TYPES: Final[tuple[str, ...]] = (
    *("", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string"),
    *("group", "message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64"),
)
_REQUIRED_LABEL: Final = 2
_REPEATED_LABEL: Final = 3
_PATH, _PACKAGE, _MESSAGES, _ENUMS, _SYNTAX, _EDITION = 1, 2, 4, 5, 12, 14


@frozen(kw_only=True)
class ProtobufField:
    """A field of a Protobuf message.

    Attributes:
        name: the field's name.
        number: the field's number.
        type: the field's type, such as "int32" or "message".
        type_name: the full name of its message or enumeration.
        is_repeated: whether it is repeated.
        is_required: whether it is required.
        oneof: the number of its `oneof`, within the message; None if the field is in no `oneof`.
    """

    name: str
    number: int
    type: str
    type_name: str
    is_repeated: bool
    is_required: bool
    oneof: int | None


@frozen
class ProtobufFiles:
    """The files of a Protobuf schema.

    Attributes:
        files: the serialized `FileDescriptorProto` of each file, by its path.
        main: the path of the schema's own file.
    """

    files: Mapping[str, bytes]
    main: str

    @classmethod
    def of(cls, complete: CompleteSchema) -> ProtobufFiles:
        """Return the files of a schema.

        Raises:
            InvalidData: the schema is not the Base64 of descriptors.
        """
        files: dict[str, bytes] = {}
        for name, part in complete.parts:
            new_files = _files(part.text)
            # An import has the path by which the registry names the reference.
            path, own_file = new_files.popitem()
            files.update(
                {
                    **new_files,
                    name: own_file if path == name else own_file + text_field(_PATH, name),
                }
            )
        new_files = _files(complete.schema.text)
        *_, main_file = new_files
        return cls({**files, **new_files}, main_file)

    @property
    def messages(self) -> dict[str, tuple[ProtobufField, ...]]:
        """The fields of all messages, by the full name of the message."""
        return {
            name: tuple(map(_field, bytes_of(message, 2)))
            for file in self.files.values()
            for name, message in _messages(file)
        }

    @property
    def enums(self) -> dict[str, tuple[frozenset[int], bool]]:
        """The numbers of each enumeration, and whether it accepts unknown numbers, by full name."""
        result: dict[str, tuple[frozenset[int], bool]] = {}
        for file in self.files.values():
            prefix = _prefix(file)
            is_open = _text(file, _SYNTAX) == "proto3"
            scopes = [(prefix, file, _ENUMS)]
            scopes += [(f"{name}.", message, 4) for name, message in _messages(file)]
            for scope, owner, number in scopes:
                for enum in bytes_of(owner, number):
                    numbers = frozenset(number_of(value, 2) for value in bytes_of(enum, 2))
                    result[f"{scope}{_text(enum, 1)}"] = numbers, is_open
        return result

    @property
    def main_messages(self) -> tuple[str, ...]:
        """The full names of the messages in the schema's own file."""
        return tuple(name for name, _ in _messages(self.files[self.main]))

    @property
    def has_editions(self) -> bool:
        """True if a file uses an edition; features of an edition change the meaning of fields."""
        return any(number_of(file, _EDITION) for file in self.files.values())

    def message_at(self, indexes: tuple[int, ...]) -> str | None:
        """Return the full name of the message at a place in the schema's file; None if absent."""
        owner, number = self.files[self.main], _MESSAGES
        name = _prefix(owner)[:-1]
        for index in indexes:
            messages = bytes_of(owner, number)
            if index >= len(messages):
                return None
            owner, number = messages[index], 3
            name = f"{name}.{_text(owner, 1)}" if name else _text(owner, 1)
        return name

    def indexes_of(self, name: str) -> tuple[int, ...] | None:
        """Return the position of a message in the schema's file; None if it is not there."""
        return dict(_message_indexes(self.files[self.main])).get(name)


def _message_indexes(file: bytes) -> Iterator[tuple[str, tuple[int, ...]]]:
    pending_messages: list[tuple[str, bytes, int, tuple[int, ...]]] = [
        (_prefix(file), file, _MESSAGES, ())
    ]
    while pending_messages:
        scope, owner, number, outer_place = pending_messages.pop()
        for index, message in enumerate(bytes_of(owner, number)):
            name, place = f"{scope}{_text(message, 1)}", (*outer_place, index)
            yield name, place
            pending_messages.append((f"{name}.", message, 3, place))


def _files(text: str) -> dict[str, bytes]:
    """Decode the files in Base64 of one descriptor or of a set, each after its imports."""
    try:
        data = b64decode(text, validate=True)
        # A FileDescriptorSet has only files, while a file has a path in the same field, and further
        # fields.
        is_file = any(number != _PATH for number, _ in message_fields(data))
        files = {_text(data, _PATH): data} if is_file else files_of_set(data)
        if "" in files:  # Registries may leave out the path.
            files = {"schema.proto": data + text_field(_PATH, "schema.proto")}
        for file in in_import_order(files):
            list(_messages(file))
    except ValueError:
        files = {}
    if files:
        return files
    raise InvalidData(
        "The Protobuf schema does not contain compiled descriptors in Base64.",
        field="schema",
        remedy="Compile the schema with protoc --include_imports --descriptor_set_out=FILE,"
        " and encode the result in Base64. moorage cannot read the text of a .proto"
        " file.",
    )


def _messages(file: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the full name and the descriptor of each message of a file."""
    pending_messages = [(_prefix(file), message) for message in bytes_of(file, _MESSAGES)]
    while pending_messages:
        scope, message = pending_messages.pop()
        name = f"{scope}{_text(message, 1)}"
        yield name, message
        pending_messages += [
            (f"{name}.", nested_message) for nested_message in bytes_of(message, 3)
        ]


def _prefix(file: bytes) -> str:
    package = _text(file, _PACKAGE)
    return f"{package}." if package else ""


def _text(message: bytes, number: int) -> str:
    return b"".join(bytes_of(message, number)[-1:]).decode()


def _field(field: bytes) -> ProtobufField:
    kind = number_of(field, 5)
    has_oneof = any(number == 9 for number, _ in message_fields(field))
    is_optional = number_of(field, 17) == 1
    return ProtobufField(
        name=_text(field, 1),
        number=number_of(field, 3),
        type=_TYPES[kind] if 0 < kind < len(_TYPES) else "",
        type_name=_text(field, 6).removeprefix("."),
        is_repeated=number_of(field, 4) == _REPEATED_LABEL,
        is_required=number_of(field, 4) == _REQUIRED_LABEL,
        oneof=number_of(field, 9) if has_oneof and not is_optional else None,
    )
