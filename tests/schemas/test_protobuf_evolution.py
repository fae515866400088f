"""Comparison of Protobuf schemas, verified by writing and reading messages with protobuf."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, timestamp_pb2
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.adapters.schemas.protobuf import ProtobufCodec
from moorage.domain.schemas.evolution import read_incompatibilities
from moorage.domain.schemas.protobuf_files import ProtobufFiles
from moorage.domain.schemas.schema import CompleteSchema, Schema
from tests.schemas.protobuf_samples import (
    add_field,
    complete_schema,
    file_of,
    order_file,
    schema_of,
)
from tests.support.examples import examples

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "sint32": st.integers(-(2**31), 2**31 - 1),
    "sint64": st.integers(-(2**63), 2**63 - 1),
    "fixed32": st.integers(0, 2**32 - 1),
    "sfixed64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=3),
    "bytes": st.binary(max_size=3),
}


def problems(reader: Any, writer: Any) -> list[str]:
    """Return the reasons why a reader's schema may lose values of the writer's schema."""
    return [
        str(result)
        for result in read_incompatibilities(complete_schema(reader), complete_schema(writer))
    ]


FIELDS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.sampled_from(sorted(VALUES))),
    unique_by=(lambda field: field[0], lambda field: field[1]),
)


@examples(400)
@given(FIELDS, FIELDS, st.data())
def test_shared_fields_have_same_values_in_reader_if_no_incompatibility_is_found(
    reader: list[tuple[str, int, str]], writer: list[tuple[str, int, str]], drawn: st.DataObject
) -> None:
    """If schemas are found compatible, the reader gets the writer's values of shared fields."""
    assume(not problems(order_file(*reader), order_file(*writer)))
    value = {name: drawn.draw(VALUES[kind]) for name, _, kind in writer}
    data = ProtobufCodec(complete_schema(order_file(*writer))).encode(value)
    result = ProtobufCodec(complete_schema(order_file(*reader))).decode(data)
    names = {number: name for name, number, _ in writer}
    for name, number, kind in reader:
        if number in names:
            expected = value[names[number]]
            is_text = kind == "bytes" and isinstance(expected, str)
            assert (expected.encode() if is_text else expected) == result[name]


@pytest.mark.parametrize(
    "reader, writer, expected",
    [
        ([("a", 1, "int64")], [("b", 1, "int32")], []),
        (
            [("a", 1, "int32")],
            [("a", 1, "int64")],
            ["shop.Order.a: The reader expects int32; the writer has int64."],
        ),
        (
            [("a", 1, "int32", {"label": "repeated"})],
            [("a", 1, "int32")],
            ["shop.Order.a: The field is repeated in only one of the schemas."],
        ),
        ([("a", 1, "int32")], [], []),
        ([], [("a", 1, "int32")], []),
    ],
)
def test_fields_are_compared_by_number(reader: Any, writer: Any, expected: list[str]) -> None:
    """Fields with the same number must match; fields in only one of the schemas are ignored."""
    assert expected == problems(order_file(*reader), order_file(*writer))


def test_required_field_must_be_written() -> None:
    """A field that the reader requires has to be required in the writer too."""
    required = order_file(("a", 1, "int32", {"label": "required"}), syntax="proto2")
    assert [] == problems(required, required)
    expected = ["shop.Order.a: The reader requires the field, but the writer does not."]
    assert expected == problems(required, order_file(("a", 1, "int32"), syntax="proto2"))


def test_two_independent_fields_of_writer_must_not_be_in_one_oneof_of_reader() -> None:
    """Two independent fields of the writer must not be in one `oneof` of the reader."""
    plain_order = order_file(("a", 1, "int32"), ("b", 2, "int32"))
    choice = order_file(
        ("a", 1, "int32", {"oneof_index": 0}), ("b", 2, "int32", {"oneof_index": 0})
    )
    choice.message_type[0].oneof_decl.add(name="either")
    expected = [
        ("shop.Order.b: The writer may set several fields, but the reader keeps only one of them.")
    ]
    assert expected == problems(choice, plain_order)
    assert [] == problems(plain_order, choice)
    assert [] == problems(choice, choice)
    optional = {"oneof_index": 0, "proto3_optional": True}
    one_field = order_file(("a", 1, "int32", optional))
    one_field.message_type[0].oneof_decl.add(name="_a")
    assert [] == problems(one_field, plain_order)


def _with_enum(syntax: str, *numbers: int, nested: bool = False) -> Any:
    file = order_file(
        ("state", 1, "enum", {"type_name": ".shop.Order.State" if nested else ".shop.State"}),
        syntax=syntax,
    )
    owner = file.message_type[0] if nested else file
    enum = owner.enum_type.add(name="State")
    for number in numbers:
        enum.value.add(name=f"S{number}", number=number)
    return file


def test_closed_enumeration_must_have_each_number() -> None:
    """A reader's closed enumeration must have all values of the writer's; an open one need not."""
    closed, wider = _with_enum("proto2", 0), _with_enum("proto2", 0, 1)
    expected = ["shop.Order.state: The reader's enumeration does not contain the number 1."]
    assert expected == problems(closed, wider)
    assert [] == problems(wider, closed)
    assert [] == problems(_with_enum("proto3", 0), _with_enum("proto3", 0, 1))
    expected = ["shop.Order.state: The writer's enumeration may contain any number."]
    assert expected == problems(closed, _with_enum("proto3", 0))
    nested = _with_enum("proto2", 0, nested=True)
    assert [] == problems(nested, nested)


def _with_line(type_name: str = ".shop.Line", **fields: str) -> Any:
    file = order_file(("line", 1, "message", {"type_name": type_name}))
    line = file.message_type.add(name="Line")
    for number, (name, kind) in enumerate(fields.items(), 1):
        add_field(line, name, number, kind)
    nested = line.nested_type.add(name="Note")
    add_field(nested, "text", 1, "string")
    add_field(line, "parent", 9, "message", type_name=".shop.Line")
    return file


def test_messages_of_fields_are_compared() -> None:
    """The message types of fields are compared too, even if a message contains itself."""
    assert [] == problems(_with_line(a="int64"), _with_line(a="int32"))
    expected = ["shop.Line.a: The reader expects int32; the writer has string."]
    assert expected == problems(_with_line(a="int32"), _with_line(a="string"))


def test_removed_message_type_is_incompatible() -> None:
    """A message type of the writer that the reader's schema lacks makes them incompatible."""
    expected = {
        f"shop.{name}: The reader or the writer does not have this message."
        for name in ("Line", "Line.Note")
    }
    result = problems(order_file(), _with_line())
    assert expected == set(result)


def test_common_messages_are_the_same() -> None:
    """Schemas may import google.protobuf's own messages without passing their descriptors."""
    file = order_file(("at", 1, "message", {"type_name": ".google.protobuf.Timestamp"}))
    file.dependency.append("google/protobuf/timestamp.proto")
    assert [] == problems(file, file)
    other = _with_line(".google.protobuf.Timestamp")
    assert [
        "google.protobuf.Timestamp: The reader or the writer does not have this message."
    ] == problems(_with_line(), other)


def test_editions_are_not_judged() -> None:
    """Files with edition features are not compared, since features change what fields mean."""
    file = order_file(syntax="editions")
    file.edition = descriptor_pb2.EDITION_2023
    [result] = read_incompatibilities(complete_schema(file), complete_schema(file))
    assert not result.is_certain


def test_message_indexes_are_converted_to_names_of_messages_and_nested_messages() -> None:
    """Message indexes are converted to names of messages and nested messages, and back."""
    files = ProtobufFiles.of(complete_schema(_with_line()))
    assert ("shop.Order", "shop.Line", "shop.Line.Note", None) == tuple(
        map(files.message_at, [(0,), (1,), (1, 0), (2,)])
    )
    assert ((1, 0), None) == (files.indexes_of("shop.Line.Note"), files.indexes_of("Line"))
    bare_file = file_of()
    bare_file.ClearField("package")
    bare_file.message_type.add(name="A").nested_type.add(name="B")
    assert "A.B" == ProtobufFiles.of(complete_schema(bare_file)).message_at((0, 0))


def test_descriptors_may_be_a_set_or_lack_their_path() -> None:
    """In a descriptor set the last file is the schema itself; a single file may lack a path."""
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    assert "shop.proto" == ProtobufFiles.of(complete_schema(stamp, order_file())).main
    file = order_file()
    file.ClearField("name")
    assert "schema.proto" == ProtobufFiles.of(complete_schema(file)).main


def test_reference_has_the_path_of_the_import() -> None:
    """A referenced file gets the path by which the schema imports it."""
    other = file_of("default")
    other.message_type.add(name="Line")
    named_file = file_of("same.proto")
    named_file.message_type.add(name="Same")
    main = order_file(("line", 1, "message", {"type_name": ".shop.Line"}))
    main.dependency.append("lines.proto")
    schema = CompleteSchema(
        schema_of(main), (("lines.proto", schema_of(other)), ("same.proto", schema_of(named_file)))
    )
    assert {"lines.proto", "same.proto", "shop.proto"} == ProtobufFiles.of(schema).files.keys()
    assert {"line": {}} == ProtobufCodec(schema).decode(b"\n\0")


@pytest.mark.parametrize(
    "text", ["syntax = 'proto3';", "AAAA", b64encode(b"\n\1a\n\2").decode(), "Cg=="]
)
def test_text_without_descriptors_is_refused(text: str) -> None:
    """A string without descriptors, such as a .proto file's text, raises InvalidData."""
    schema = CompleteSchema(Schema(text, "protobuf"))
    with pytest.raises(InvalidData, match="compiled descriptors"):
        ProtobufFiles.of(schema)
