"""The command `moorage stream schema` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorage.domain.schemas.schema import Schema, SchemaFormat
from moorage.testing import SchemaRegistryServer
from tests.support.command import CommandEnding, command

PIPELINE = """
[pipelines.shop]
source = {kind = "file", path = "orders.jsonl"}
sink = {kind = "files", folder = "out"}
"""
REASON = "The reader expects int; the writer has long."


def write_configuration(schemas: str = "", more: str = "") -> None:
    """Write the configuration file."""
    Path("moorage.toml").write_text(f"{PIPELINE}{schemas}\n{more}", encoding="utf-8")


def check(file: str, *options: str) -> CommandEnding:
    """Check a file as the next schema version of the subject `orders-value`."""
    return command("stream", "schema", "check", "shop", "orders-value", file, *options)


@pytest.fixture(autouse=True)
def _files() -> None:
    """Write the schema files."""
    Path("int.avsc").write_text("int")
    Path("long.avsc").write_text("long")
    Path("any.json").write_text("{}")
    Path("binary.avsc").write_bytes(b"\xff")
    # A file set with one file, order.proto, which has an empty message named Order.
    Path("order.protoset").write_bytes(b'\n\x16\n\x0border.proto"\x07\n\x05Order')
    Path("schemas/orders-value").mkdir(parents=True)
    Path("schemas/orders-value/1.avsc").write_text("long")


def test_registry_of_a_service_judges() -> None:
    """If the registry accepts a schema, the exit code is 0; else 1, with the reasons printed."""
    with SchemaRegistryServer("backward") as server:
        server.register("orders-value", Schema("long", SchemaFormat.AVRO))
        write_configuration('schemas = {service = "r"}', f'[services.r]\nbase_url = "{server.url}"')
        ending = check("long.avsc", "--json")
        assert (0, {"subject": "orders-value", "compatible": True, "reasons": []}) == (
            ending.code,
            ending.result,
        )
        ending = check("int.avsc", "--json")
        assert (1, False, [REASON]) == (
            ending.code,
            ending.result["compatible"],
            ending.result["reasons"],
        )
        sent_json = json.loads(server.requests[-1].body)
    assert {"schema": "int"} == sent_json
    assert {"POST"} == {request.method for request in server.requests}


def test_folder_of_schemas_is_also_checked() -> None:
    """A folder of schemas is also checked, and the reasons for a rejection are printed."""
    write_configuration('schemas = {folder = "schemas"}')
    assert "The schema can be the next version of orders-value." in check("long.avsc").out
    ending = check("int.avsc")
    assert (1, True) == (ending.code, REASON in ending.out)
    assert "The schemas have different formats: json and avro." in check("any.json").out
    assert "The schemas have different formats: protobuf and avro." in check("order.protoset").out


@pytest.mark.parametrize(
    "file, problem",
    [
        ("order.proto", "does not have the extension of a schema format"),
        ("missing.avsc", "cannot be read: No such file or directory"),
        ("binary.avsc", "cannot be read: is not UTF-8"),
    ],
)
def test_file_that_is_no_schema(file: str, problem: str) -> None:
    """A file that cannot be read as a schema exits with 2 and prints the reason."""
    write_configuration('schemas = {folder = "schemas"}')
    ending = check(file)
    assert (2, True) == (ending.code, problem in ending.err), ending.err


def test_pipeline_without_a_schema_registry_exits_with_2() -> None:
    """A pipeline without a schema registry exits with 2."""
    write_configuration()
    ending = check("int.avsc")
    assert (2, True) == (ending.code, "has no schema registry" in ending.err)
