"""Codecs of Avro, JSON Schema and Protobuf: decoding, encoding and errors."""

from __future__ import annotations

import json
import math
import sys
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError, InvalidData
from moorage.adapters.schemas.codecs import codec_of
from moorage.adapters.schemas.protobuf import ProtobufCodec
from moorage.domain.schemas.schema import CompleteSchema, Schema
from tests.adapters.grpc.shop_definitions import files
from tests.schemas.protobuf_samples import (
    add_field,
    complete_schema,
    file_of,
    order_file,
    schema_of,
)


def codec(schema: Any, kind: str, *parts: tuple[str, Any], **options: Any) -> Any:
    """Return the codec for a schema that is written in JSON."""
    references = tuple((name, Schema(json.dumps(part), kind)) for name, part in parts)
    return codec_of(CompleteSchema(Schema(json.dumps(schema), kind), references), **options)


ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {
            "name": "total",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        },
    ],
}
TREE = {"type": "record", "name": "Tree", "fields": [{"name": "next", "type": ["null", "Tree"]}]}


class TestAvro:
    """Tests of the Avro codec with fastavro."""

    def test_value_is_decoded_unchanged(self) -> None:
        """An encoded value is decoded unchanged, and missing fields get their defaults."""
        avro = codec(ORDER, "avro")
        data = avro.encode({"id": 7, "total": Decimal("1.50")})
        assert {"id": 7, "note": None, "total": Decimal("1.50")} == avro.decode(data)

    def test_strings_and_bytes_are_read_as_each_other(self) -> None:
        """Data of Avro strings are read as bytes in UTF-8, and such bytes as strings."""
        text, data = "Grüße", "Grüße".encode()
        for kind, value, other_kind, expected in (
            ("string", text, "bytes", data),
            ("bytes", data, "string", text),
        ):
            encoded = codec(kind, "avro").encode(value)
            reader = CompleteSchema(Schema(f'["null", "{other_kind}"]', "avro"))
            assert expected == codec(kind, "avro", reader=reader).decode(encoded)

    def test_values_follow_the_reader(self) -> None:
        """With a reader schema, decoded values have that schema's fields and defaults."""
        writer = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]}
        reader = CompleteSchema(
            Schema(
                json.dumps(
                    {
                        **writer,
                        "fields": [
                            {"name": "number", "aliases": ["id"], "type": "long"},
                            {"name": "state", "type": "string", "default": "new"},
                        ],
                    }
                ),
                "avro",
            )
        )
        data = codec(writer, "avro").encode({"id": 7})
        result = codec(writer, "avro", reader=reader).decode(data)
        assert {"number": 7, "state": "new"} == result

    @given(st.binary(max_size=40))
    def test_any_bytes_are_data_or_invalid(self, data: bytes) -> None:
        """Any bytes are decoded to a value, or raise InvalidData."""
        for avro in (_AVRO, _TREE):
            try:
                avro.decode(data)
            except InvalidData:
                continue

    @pytest.mark.parametrize(
        "value",
        [
            {"id": 2**63, "total": Decimal(1)},
            {"id": True, "total": Decimal(1)},
            {"id": 1, "total": Decimal("NaN")},
            {"id": 1, "total": Decimal("1.555")},
            {"id": 1, "total": Decimal(1), "more": 1},
            {"id": 1},
            {},
            None,
            5,
            object(),
        ],
    )
    def test_value_that_does_not_fit_is_refused(self, value: Any) -> None:
        """A value of another type, range or set of fields raises InvalidData."""
        with pytest.raises(InvalidData, match="does not match the Avro schema"):
            _AVRO.encode(value)

    def test_refusal_names_the_field_and_no_value(self) -> None:
        """An error about a value contains the field's name, and does not repeat the value."""
        with pytest.raises(InvalidData, match=r"Order\.id") as excinfo:
            _AVRO.encode({"id": "secret", "total": Decimal(1)})
        assert "secret" not in str(excinfo.value)

    def test_integers_keep_their_range(self) -> None:
        """A number that needs more than four bytes is refused as an Avro int."""
        with pytest.raises(InvalidData):
            codec("int", "avro").encode(2**31)

    def test_left_over_bytes_are_refused(self) -> None:
        """Bytes after the value raise InvalidData."""
        with pytest.raises(InvalidData, match="longer than the schema allows"):
            codec("int", "avro").decode(b"\2\2")

    def test_deep_data_of_a_recursive_schema_are_refused(self) -> None:
        """Data nested thousands of levels deep raise InvalidData, and do not crash the process."""
        with pytest.raises(InvalidData, match="RecursionError"):
            _TREE.decode(b"\2" * 100_000 + b"\0")
        value: Any = {"next": None}
        assert value == _TREE.decode(_TREE.encode(value))
        for _ in range(100_000):
            value = {"next": value}
        with pytest.raises(InvalidData):
            _TREE.encode(value)

    def test_array_of_items_without_bytes_is_refused(self) -> None:
        """A schema whose arrays could have any number of items without bytes is refused."""
        with pytest.raises(InvalidData, match="items without data"):
            codec({"type": "array", "items": "null"}, "avro")

    def test_record_that_grows_from_nothing_is_refused(self) -> None:
        """A schema whose records double their empty fields 26 times is refused, not decoded."""
        grown: Any = {"type": "record", "name": "R0", "fields": []}
        for number in range(26):
            fields = [{"name": "a", "type": grown}, {"name": "b", "type": f"R{number}"}]
            grown = {"type": "record", "name": f"R{number + 1}", "fields": fields}
        with pytest.raises(InvalidData, match=r"more than 1,000 values without data"):
            codec(grown, "avro")

    def test_references_and_bare_names(self) -> None:
        """A schema uses the types of its references, and a bare name is a schema."""
        money = {"type": "record", "name": "shop.Money", "fields": [{"name": "c", "type": "int"}]}
        assert {"c": 1} == codec("shop.Money", "avro", ("shop.Money", money)).decode(b"\2")
        holder = {"type": "record", "name": "H", "fields": [{"name": "m", "type": "shop.Money"}]}
        union = codec(["null", "shop.Money", holder], "avro", ("shop.Money", money))
        assert [None, {"c": 1}, {"m": {"c": 1}}] == [
            union.decode(data) for data in (b"\0", b"\2\2", b"\4\2")
        ]
        bare_codec = codec_of(CompleteSchema(Schema("string", "avro")))
        assert "a" == bare_codec.decode(b"\2a")

    def test_default_of_another_type_is_refused(self) -> None:
        """A schema that fastavro refuses raises InvalidData too."""
        wrong_field = {"name": "a", "type": "int", "default": "x"}
        with pytest.raises(InvalidData, match="does not accept the Avro schema"):
            codec({"type": "record", "name": "R", "fields": [wrong_field]}, "avro")


_AVRO = codec(ORDER, "avro")
_TREE = codec(TREE, "avro")
_JSON = codec(
    {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "tags": {"items": {"maxLength": 3}}},
        "required": ["id"],
    },
    "json",
)


class TestJsonSchema:
    """Tests of the JSON Schema codec with jsonschema-rs."""

    def test_value_is_decoded_unchanged(self) -> None:
        """A valid value is encoded and decoded unchanged."""
        assert {"id": 7, "é": [1.5]} == _JSON.decode(_JSON.encode({"id": 7, "é": [1.5]}))

    @pytest.mark.parametrize(
        "data, problem",
        [
            (b'{"id":"secret"}', r"'type' of its JSON Schema at \['id'\]"),
            (b"{}", "'required' of"),
            (b'{"id":1,"tags":["long"]}', r"'maxLength' of its JSON Schema at \['tags'\]\[0\]"),
            (b'{"id":NaN}', "not JSON"),
            (b"{", "not JSON"),
            (b"[" * 200_000, "not JSON"),
            (b"\xff", "not JSON"),
        ],
    )
    def test_invalid_payload_is_refused(self, data: bytes, problem: str) -> None:
        """A payload that is not valid JSON for the schema raises InvalidData without its text."""
        with pytest.raises(InvalidData, match=problem) as excinfo:
            _JSON.decode(data)
        assert "payload" == excinfo.value.field
        assert "secret" not in str(excinfo.value)

    @pytest.mark.parametrize(
        "value", [{"id": 1, 5: 1}, {"id": 1.5}, {"id": math.nan}, {"id": Decimal(1)}, object()]
    )
    def test_invalid_value_is_refused(self, value: Any) -> None:
        """A value that is not valid, or no JSON, raises InvalidData."""
        with pytest.raises(InvalidData):
            _JSON.encode(value)

    def test_false_refuses_everything(self) -> None:
        """The error for the schema `false` names no rule, since that schema has none."""
        with pytest.raises(InvalidData, match="rule 'false'"):
            codec(False, "json").decode(b"1")

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "nothing"},
            {"pattern": "("},
            {"$ref": "http://127.0.0.1:9/x"},
            {"$ref": "file:///etc/hostname"},
            {"$ref": "#/nowhere"},
        ],
    )
    def test_unusable_schema_is_refused(self, schema: Any) -> None:
        """An invalid schema, or one with an unresolved reference, is refused without a look-up."""
        with pytest.raises(InvalidData, match="cannot be used"):
            codec(schema, "json")

    def test_registered_references_are_used(self) -> None:
        """A reference to a schema that the registry returned is followed."""
        money = ("https://example.com/money.json", {"type": "integer"})
        result = codec({"items": {"$ref": money[0]}}, "json", money)
        assert [1] == result.decode(b"[1]")
        with pytest.raises(InvalidData):
            result.decode(b'["a"]')

    @pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
    def test_schema_with_countless_rules_is_refused(self, keyword: str) -> None:
        """A schema whose rules double with each part is refused before any record is checked."""
        parts: dict[str, Any] = {"0": {"type": "string"}}
        for number in range(26):
            part = {"$ref": f"#/$defs/{number}"}
            parts[str(number + 1)] = {keyword: [part, part]}
        with pytest.raises(InvalidData, match=r"more than 10,000 rules"):
            codec({"$ref": "#/$defs/26", "$defs": parts}, "json")

    def test_pattern_takes_linear_time(self) -> None:
        """A pattern that makes other engines backtrack for ever is checked at once."""
        result = codec({"pattern": "^(a+)+$"}, "json")
        with pytest.raises(InvalidData, match="'pattern'"):
            result.decode(json.dumps("a" * 50_000 + "!").encode())


class TestProtobuf:
    """Tests of the Protobuf codec with descriptors."""

    def test_value_is_decoded_unchanged(self) -> None:
        """Numbers, bytes, enum members, maps, lists and nested messages are read back unchanged."""
        types = files()[1]
        types.message_type[0].field.add(name="raw", number=8, type=12, label=1)
        types.message_type[0].field.add(name="ratio", number=9, type=1, label=3)
        result = ProtobufCodec(CompleteSchema(schema_of(types)))
        value = {
            "order_id": 2**60,
            "notes": ["a"],
            "due": "2026-01-31T12:00:00Z",
            "state": "NEW",
            "prices": {"EUR": 1.5},
            "raw": b"\xff",
            "ratio": [math.inf, -math.inf],
        }
        assert value == result.decode(result.encode(value))
        assert math.isnan(result.decode(result.encode({"ratio": [math.nan]}))["ratio"][0])
        assert 5 == result.decode(b"\x20\5")["state"]

    def test_unset_proto3_field_is_decoded_as_its_default(self) -> None:
        """An unset proto3 field is decoded as its default, and an unset message is left out."""
        result = ProtobufCodec(CompleteSchema(schema_of(files()[1]))).decode(b"")
        assert {"order_id": 0, "notes": [], "state": "NEW", "prices": {}} == result

    def test_frame_names_the_message(self) -> None:
        """A schema header selects the message type to read; the codec's own type is written."""
        file = order_file(("line", 1, "message", {"type_name": ".shop.Line"}))
        add_field(file.message_type.add(name="Line"), "a", 1, "int32")
        schema = complete_schema(file)
        line = ProtobufCodec(schema, None, "shop.Line")
        framed = line.encode_framed({"a": 7})
        assert b"\2\2\x08\7" == framed
        assert {"a": 7} == ProtobufCodec(schema).decode_framed(framed)
        assert {"line": {"a": 7}} == ProtobufCodec(schema).decode(b"\n\2\x08\7")
        with pytest.raises(InvalidData, match="contains a message type"):
            line.decode_framed(b"\2\x10")

    @pytest.mark.parametrize("value", [{"order_id": "x"}, {"other": 1}, {"notes": 5}, 5, None, []])
    def test_value_that_does_not_fit_is_refused(self, value: Any) -> None:
        """A value with other fields or types raises InvalidData."""
        result = ProtobufCodec(CompleteSchema(schema_of(files()[1])))
        with pytest.raises(InvalidData, match=r"does not match the message type shop\.Order"):
            result.encode(value)

    @given(st.binary(max_size=30))
    def test_any_bytes_are_a_message_or_invalid(self, data: bytes) -> None:
        """Any bytes are decoded to fields, or raise InvalidData."""
        for read in (_PROTOBUF.decode, _PROTOBUF.decode_framed):
            try:
                read(data)
            except InvalidData:
                continue

    def test_missing_required_field_is_refused(self) -> None:
        """A message without a required field raises InvalidData, in decoding and in encoding."""
        file = order_file(("a", 1, "int32", {"label": "required"}), syntax="proto2")
        result = ProtobufCodec(complete_schema(file))
        for action in (lambda: result.decode(b""), lambda: result.encode({})):
            with pytest.raises(InvalidData):
                action()

    def test_unknown_message_is_refused(self) -> None:
        """A message type that the schema lacks raises InvalidData, which lists the known types."""
        with pytest.raises(InvalidData, match=r"Use one of: shop\.Order"):
            ProtobufCodec(complete_schema(order_file()), None, "shop.Nothing")
        with pytest.raises(InvalidData, match="no message"):
            ProtobufCodec(complete_schema(file_of()))

    def test_missing_import_is_refused(self) -> None:
        """A schema with a missing import, or whose files contradict each other, is refused."""
        with pytest.raises(InvalidData, match="is missing"):
            ProtobufCodec(complete_schema(order_file(dependency=["other.proto"])))
        file = descriptor_pb2.FileDescriptorProto(name="a.proto")
        file.message_type.add(name="A")
        file.message_type.add(name="A")
        with pytest.raises(InvalidData, match="contradict"):
            ProtobufCodec(complete_schema(file))


_PROTOBUF = ProtobufCodec(CompleteSchema(schema_of(files()[1])))


@pytest.mark.parametrize(
    "kind, module, extra",
    [
        ("avro", "avro", "avro"),
        ("json", "json_schema", "jsonschema"),
        ("protobuf", "protobuf", "protobuf"),
    ],
)
def test_missing_library_is_named(
    kind: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library of a schema format, the error states which extra to install."""
    monkeypatch.setitem(sys.modules, f"moorage.adapters.schemas.{module}", None)
    with pytest.raises(ConfigurationError, match="not installed") as excinfo:
        codec("int", kind)
    assert f"'.[{extra}]'" in excinfo.value.remedy
