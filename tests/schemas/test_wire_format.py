"""The header that names a record's schema, and the rules of each compatibility level."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError, InvalidData
from moorage.domain.schemas.evolution import Compatibility, Incompatibility, incompatibilities
from moorage.domain.schemas.schema import CompleteSchema, Schema, SchemaReference
from moorage.domain.schemas.wire_format import add_frame, read_frame, with_indexes, without_indexes


@given(st.integers(1, 2**31 - 1), st.binary())
def test_payload_with_schema_header_is_split_into_same_id_and_data_again(
    id: int, data: bytes
) -> None:
    """Splitting a payload with a schema header returns the schema id and data that were put in."""
    assert (id, data) == read_frame(add_frame(id, data))


@given(st.lists(st.integers(0, 2**16), min_size=1, max_size=32), st.binary())
def test_message_indexes_are_read_back_unchanged(indexes: list[int], data: bytes) -> None:
    """The message indexes of a Protobuf header are read back unchanged."""
    assert (tuple(indexes), data) == without_indexes(with_indexes(indexes, data))


@given(st.binary(max_size=12))
def test_any_bytes_are_a_frame_or_invalid(data: bytes) -> None:
    """Any bytes are either read as a payload with a schema header, or raise InvalidData."""
    for read in (read_frame, without_indexes):
        try:
            read(data)
        except InvalidData:
            continue


def test_schema_id_in_confluent_header_is_big_endian() -> None:
    """The header's id is big-endian; message indexes are zigzag numbers, and [0] is a zero byte."""
    assert b"\0\0\0\1\2x" == add_frame(258, b"x")
    assert b"\0x" == with_indexes([0], b"x")
    assert b"\4\2\0x" == with_indexes([1, 0], b"x")
    assert b"\2\x80\1x" == with_indexes([64], b"x")


@pytest.mark.parametrize(
    "data", [b"\1", b"\x80\1" * 40, b"\x42" + b"\0" * 40, b"\2\1", b"\2\xff\xff\xff\xff\x0f", b""]
)
def test_impossible_indexes_are_refused(data: bytes) -> None:
    """Negative, endless and too many message indexes raise InvalidData."""
    with pytest.raises(InvalidData, match="message index"):
        without_indexes(BytesIO(data).read())


@pytest.mark.parametrize(
    "payload", [b"", b"\0\0\0\0", b"\1\0\0\0\1", b"\0\0\0\0\0", b"\0\xff\0\0\0x"]
)
def test_payload_without_a_header_is_refused(payload: bytes) -> None:
    """A payload without the header raises InvalidData."""
    with pytest.raises(InvalidData, match="payload of a record"):
        read_frame(payload)


def _avro(text: str) -> CompleteSchema:
    return CompleteSchema(Schema(text, "avro"))


def _holds(promise: str, new: str, *earlier: str) -> bool:
    return not incompatibilities(promise, _avro(new), [_avro(text) for text in earlier])


def test_each_compatibility_level_checks_its_direction() -> None:
    """`backward`: the new schema reads old data; `forward`: an old one reads new data."""
    assert _holds("backward", "long", "int")
    assert not _holds("backward", "int", "long")
    assert _holds("forward", "int", "long")
    assert not _holds("forward", "long", "int")
    assert not _holds("full", "long", "int")
    assert _holds("full", "string", "bytes")
    assert _holds("none", "int", "string")
    assert _holds("full_transitive", "int")


def test_only_transitive_levels_check_all_versions() -> None:
    """Only transitive compatibility levels also check versions before the last."""
    assert _holds("backward", "long", "string", "int")
    assert not _holds("backward_transitive", "long", "string", "int")
    assert not _holds("forward_transitive", "int", "string", "long")
    assert [name for name in Compatibility if name.is_transitive] == [
        Compatibility.BACKWARD_TRANSITIVE,
        Compatibility.FORWARD_TRANSITIVE,
        Compatibility.FULL_TRANSITIVE,
    ]


def test_unknown_names_are_refused() -> None:
    """The error for an unknown compatibility level or format lists the known values."""
    with pytest.raises(ConfigurationError, match="'backward'"):
        incompatibilities("always", _avro("int"), [])
    with pytest.raises(ConfigurationError, match="'avro'"):
        Schema("int", "thrift")


@pytest.mark.parametrize("text", ["", "x" * (4 * 1024 * 1024 + 1), b"int", None])
def test_text_of_a_schema_is_bounded(text: str) -> None:
    """A schema must be a string of limited length."""
    with pytest.raises(InvalidData, match="not a string of"):
        Schema(text, "avro")


@pytest.mark.parametrize(
    "subject, version",
    [("", 1), ("a\n", 1), ("a" * 251, 1), (None, 1), ("a", 0), ("a", True), ("a", 2**31)],
)
def test_reference_is_checked(subject: str, version: int) -> None:
    """A reference with an invalid subject or version is refused."""
    with pytest.raises(ConfigurationError):
        SchemaReference("a", subject, version)


def test_text_of_an_incompatibility_begins_with_its_location() -> None:
    """The text of an incompatibility begins with its location in the schema, if it has one."""
    assert ("a: b", "b") == (str(Incompatibility("a", "b")), str(Incompatibility("", "b")))
