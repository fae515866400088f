"""Avro's rules for reading data of another schema, compared with fastavro."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.domain.schemas.avro_types import avro_type, hazards
from moorage.domain.schemas.evolution import Incompatibility, read_incompatibilities
from moorage.domain.schemas.schema import CompleteSchema, Schema
from tests.schemas.avro_samples import changed_schema, data, samples, schemas
from tests.support.examples import examples

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
"""An Avro schema of decimal numbers."""


def avro_schema(schema: Any, *parts: tuple[str, Any]) -> CompleteSchema:
    """Return an Avro schema with its references."""
    return CompleteSchema(
        Schema(json.dumps(schema), "avro"),
        tuple((name, Schema(json.dumps(part), "avro")) for name, part in parts),
    )


def record_schema(*fields: dict[str, Any], name: str = "Order", **more: Any) -> dict[str, Any]:
    """Return the schema of a record."""
    return {"type": "record", "name": name, "fields": list(fields), **more}


def problems(reader: Any, writer: Any) -> list[str]:
    """Return why a schema may not read another one's data, as strings."""
    return [
        str(problem) for problem in read_incompatibilities(avro_schema(reader), avro_schema(writer))
    ]


def read_with_schema(reader: Any, writer: Any, value: Any) -> Any:
    """Write a value with one schema, and read it with another."""
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(writer), value)
    stream.seek(0)
    return fastavro.schemaless_reader(
        stream, fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    )


@pytest.mark.untraced
@examples(400)
@given(st.data())
def test_every_datum_of_a_compatible_writer_is_read(drawn: st.DataObject) -> None:
    """If no incompatibility is found, fastavro can read all data of the writer's schema."""
    writer = drawn.draw(schemas())
    reader = drawn.draw(changed_schema(writer))
    assume(not problems(reader, writer))
    read_with_schema(reader, writer, drawn.draw(data(writer)))


@pytest.mark.untraced
@examples(200)
@given(st.data())
def test_some_datum_of_an_incompatible_writer_is_refused(drawn: st.DataObject) -> None:
    """If an incompatibility is found, fastavro cannot read some data of the writer's schema."""
    writer = drawn.draw(schemas(depth=2))
    reader = drawn.draw(changed_schema(writer))
    assume(problems(reader, writer))

    def is_refused(value: Any) -> bool:
        try:
            read_with_schema(reader, writer, value)
        except Exception:  # noqa: BLE001 - fastavro raises errors of many kinds
            return True
        return False

    assert any(map(is_refused, samples(writer)))


@given(schemas())
def test_schema_is_compatible_with_itself(schema: Any) -> None:
    """A schema is compatible with itself."""
    assert [] == problems(schema, schema)


@pytest.mark.parametrize(
    "reader, writer, expected",
    [
        ("int", "string", ["The reader expects int; the writer has string."]),
        ("bytes", "string", []),
        ("string", "bytes", []),
        ({"type": "array", "items": ["null", "string"]}, {"type": "array", "items": "bytes"}, []),
        ("string", DECIMAL, ["Only the writer's type is a decimal number."]),
        (DECIMAL, "string", ["Only the reader's type is a decimal number."]),
        (
            record_schema({"name": "a", "type": "int"}),
            record_schema(),
            [
                (
                    "Order.a: The reader's field has no default, and the writer does not have the"
                    " field."
                )
            ],
        ),
        (
            record_schema({"name": "b", "type": "int", "aliases": ["a"]}),
            record_schema({"name": "a", "type": "int"}),
            [],
        ),
        (
            record_schema({"name": "b", "type": "int", "aliases": ["a"]}),
            record_schema({"name": "a", "type": "int"}, {"name": "b", "type": "int"}),
            [
                (
                    "Order.b: Two fields of the writer have the name or an alias of this field of"
                    " the reader."
                )
            ],
        ),
        (
            record_schema(name="New", aliases=["shop.Order"]),
            record_schema(name="Order", namespace="shop"),
            [],
        ),
        (
            record_schema(name="New"),
            record_schema(),
            [
                (
                    "The name 'Order' of the writer is not the reader's name or one of the reader's"
                    " aliases."
                )
            ],
        ),
        (
            {"type": "enum", "name": "E", "symbols": ["A"]},
            {"type": "enum", "name": "E", "symbols": ["A", "B"]},
            ["E: The reader does not have the symbol 'B' of the writer, and has no default."],
        ),
        (
            {"type": "enum", "name": "E", "symbols": ["A"], "default": "A"},
            {"type": "enum", "name": "E", "symbols": ["A", "B"]},
            [],
        ),
        (record_schema(), record_schema({"name": "a", "type": "int"}), []),
        (
            record_schema({"name": "b", "type": "int", "default": 0, "aliases": ["c"]}),
            record_schema({"name": "a", "type": "int"}),
            [],
        ),
        ({"type": "fixed", "name": "F", "size": 1}, {"type": "fixed", "name": "F", "size": 1}, []),
        (
            {"type": "fixed", "name": "F", "size": 1},
            {"type": "fixed", "name": "F", "size": 2},
            ["F: The sizes of the fixed types differ."],
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1},
            ["The decimal numbers differ in precision or scale."],
        ),
        (
            ["null", "int"],
            "string",
            ["No branch of the reader's union can read string of the writer."],
        ),
        (["null", {"type": "array", "items": "long"}], {"type": "array", "items": "int"}, []),
    ],
)
def test_incompatibilities_are_named(reader: Any, writer: Any, expected: list[str]) -> None:
    """Each incompatibility is reported with its place and its reason."""
    assert expected == problems(reader, writer)


def test_recursive_types_are_compared_once() -> None:
    """Types that contain themselves are compared like others."""
    tree = record_schema({"name": "next", "type": ["null", "Order"]}, {"name": "a", "type": "int"})
    wider = record_schema(
        {"name": "next", "type": ["null", "Order"]}, {"name": "a", "type": "long"}
    )
    assert [] == problems(wider, tree)
    assert ["Order.a: The reader expects int; the writer has long."] == problems(tree, wider)


def test_formats_are_not_mixed() -> None:
    """Schemas of different formats are never compatible."""
    other = CompleteSchema(Schema("{}", "json"))
    expected = (Incompatibility("", "The schemas have different formats: avro and json."),)
    assert expected == read_incompatibilities(avro_schema("int"), other)


def test_references_define_names() -> None:
    """A schema uses the names that its references define, in its namespace or by full name."""
    money = record_schema({"name": "cents", "type": "long"}, name="Money", namespace="shop")
    order = record_schema({"name": "total", "type": "Money"}, namespace="shop")
    node = avro_type(avro_schema(order, ("shop.Money", money)))
    assert "shop.Money" == node.fields[0].type.name
    assert ["shop.Money", "Money"] == [node.fields[0].type.name, node.fields[0].type.short_name]


@pytest.mark.parametrize(
    "schema, problem",
    [
        (5, "not a string, a list or an object"),
        ("Unknown", "before it is defined"),
        ({"type": "array"}, "lacks 'items'"),
        ({"type": "map"}, "lacks 'values'"),
        (["int", "int"], "two branches"),
        ([["int"]], "two branches"),
        (record_schema(name="1"), "no valid name"),
        (record_schema(name="int"), "redefines a name of Avro"),
        ({"type": "record", "name": "R"}, "without a list of fields"),
        ({"type": "record", "name": "R", "fields": [5]}, "not an object"),
        (
            record_schema({"name": "a", "type": "int"}, {"name": "a", "type": "int"}),
            "two fields of this name",
        ),
        (record_schema({"name": "a", "type": "int", "aliases": 5}), "but not as a list"),
        ({"type": "enum", "name": "E", "symbols": ["A", "A"]}, "a duplicate"),
        ({"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}, "not one of its symbols"),
        ({"type": "fixed", "name": "F"}, "fixed type without a size"),
        ({"type": "fixed", "name": "F", "size": True}, "fixed type without a size"),
    ],
)
def test_wrong_schema_is_refused(schema: Any, problem: str) -> None:
    """A string that is not an Avro schema raises InvalidData with the place of the fault."""
    with pytest.raises(InvalidData, match=problem):
        avro_type(avro_schema(schema))


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_deep_schema_is_refused(depth: int) -> None:
    """A schema that is nested too deeply raises InvalidData."""
    text = '{"type":"array","items":' * depth + '"int"' + "}" * depth
    with pytest.raises(InvalidData, match="too deeply"):
        avro_type(CompleteSchema(Schema(text, "avro")))


def test_long_chain_of_types_is_refused() -> None:
    """Types that use each other in a chain of thousands raise InvalidData."""
    links = [record_schema({"name": "a", "type": f"R{n}"}, name=f"R{n + 1}") for n in range(3_000)]
    chain = [(part["name"], part) for part in (record_schema(name="R0"), *links)]
    deep = avro_schema("R3000", *chain)
    with pytest.raises(InvalidData, match="too deeply"):
        hazards(avro_type(deep))
    with pytest.raises(InvalidData, match="too deeply"):
        read_incompatibilities(deep, deep)


def test_bare_name_is_a_schema() -> None:
    """A type's name without quotation marks counts as a schema, as registries store it."""
    assert "string" == avro_type(CompleteSchema(Schema("string", "avro"))).kind


def test_recursion_and_empty_items_are_found() -> None:
    """Schemas that contain themselves, and arrays whose items take no bytes, are recognised."""
    tree = record_schema({"name": "next", "type": ["null", "Order"]})
    shared_record = record_schema(
        {"name": "a", "type": record_schema(name="P")}, {"name": "b", "type": "P"}
    )
    assert [True, False] == [
        hazards(avro_type(avro_schema(s))).is_recursive for s in (tree, shared_record)
    ]
    array_of_empty_items = {"type": "array", "items": record_schema({"name": "n", "type": "null"})}
    empty_items = {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}
    two_fields = record_schema(
        {"name": "a", "type": record_schema(name="P")}, {"name": "b", "type": "P"}
    )
    assert hazards(avro_type(avro_schema({"type": "array", "items": two_fields}))).has_empty_items
    schema = {"type": "array", "items": record_schema({"name": "n", "type": "int"})}
    problem = [
        hazards(avro_type(avro_schema(s)))
        for s in (array_of_empty_items, empty_items, schema, tree)
    ]
    assert [True, True, False, False] == [hazard.has_empty_items for hazard in problem]


def test_values_that_take_no_bytes_are_counted() -> None:
    """Values without bytes are counted through records, but not through arrays, maps or unions."""
    pair = record_schema(
        {"name": "a", "type": "null"}, {"name": "b", "type": record_schema(name="P")}
    )
    double_record = record_schema(
        {"name": "c", "type": pair}, {"name": "d", "type": "Order"}, name="Q"
    )
    usual_schema = record_schema(
        {"name": "a", "type": "int"}, {"name": "b", "type": ["null", "int"]}, name="U"
    )
    for schema, count in ((double_record, 4), (usual_schema, 1), ("int", 0)):
        assert count == hazards(avro_type(avro_schema(schema))).empty_values


@pytest.mark.parametrize("inner", [["null", "int"], {"type": "array", "items": "int"}])
def test_type_within_a_type_is_read(inner: Any) -> None:
    """Any Avro type may be written as an object with a `type` field."""
    kind = "union" if isinstance(inner, list) else "array"
    assert kind == avro_type(avro_schema({"type": inner})).kind


def test_fixed_decimals_and_errors_are_read() -> None:
    """A fixed decimal has its precision, and Avro's `error` is a record."""
    fixed = {"type": "fixed", "name": "F", "size": 8, "logicalType": "decimal", "precision": 9}
    assert (9, 0) == avro_type(avro_schema(fixed)).decimal
    assert "record" == avro_type(avro_schema({"type": "error", "name": "E", "fields": []})).kind
