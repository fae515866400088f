"""Configured pipelines whose transforms decode and encode records by schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, SinkRecord
from moorage.config import read_configuration
from moorage.config.pipeline_building import build_pipeline
from moorage.domain.schemas.schema import Schema, SchemaFormat
from moorage.testing import MemorySource, SchemaRegistryServer

if TYPE_CHECKING:
    from pathlib import Path


async def _lines(schemas: dict[str, str], folder: Path, **more: Any) -> list[str]:
    """Run a pipeline that decodes Avro and writes JSON Lines, and return the lines."""
    tree = {
        "pipelines": {
            "orders": {
                "source": {"kind": "file", "path": str(folder / "none.jsonl")},
                "sink": {"kind": "files", "folder": str(folder)},
                "transforms": [
                    {"decode": "confluent"},
                    {"encode": "plain", "subject": "numbers"},
                ],
                "schemas": schemas,
            }
        },
        **more,
    }
    async with moorage.aopen(tree) as hub:
        [settings] = read_configuration(tree).pipelines
        source = MemorySource([SinkRecord(b"\0\0\0\0\1\x0e", topic="orders", offset=1)])
        await build_pipeline(settings, hub, None, source).run()
    return _texts(folder)


def _texts(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("orders*"))]


def _write(folder: Path) -> Path:
    """Write schemas into a folder, and return the folder."""
    for subject, name, text in (("old", "1@1.avsc", "int"), ("numbers", "1.json", "{}")):
        (folder / subject).mkdir(parents=True)
        (folder / subject / name).write_text(text)
    return folder


async def test_records_are_decoded_with_schemas_of_a_folder(tmp_path: Path) -> None:
    """Records are decoded and encoded with schemas from a folder."""
    schemas = _write(tmp_path / "schemas")
    assert ["7\n"] == await _lines({"folder": str(schemas)}, tmp_path)


async def test_records_are_decoded_with_schemas_of_a_registry(tmp_path: Path) -> None:
    """Records are decoded and encoded with schemas from a registry service."""
    with SchemaRegistryServer() as server:
        server.register("old", Schema("int", SchemaFormat.AVRO))
        server.register("numbers", Schema("{}", SchemaFormat.JSON))
        services = {"registry": {"base_url": server.url}}
        lines = await _lines({"service": "registry"}, tmp_path, services=services)
    assert ["7\n"] == lines


async def test_missing_folder_has_its_path(tmp_path: Path) -> None:
    """If the folder does not exist, the error has the setting's path in the configuration."""
    with pytest.raises(ConfigurationError) as excinfo:
        await _lines({"folder": str(tmp_path / "nowhere")}, tmp_path)
    assert "pipelines.orders.schemas.folder" == excinfo.value.path
