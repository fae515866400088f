"""A package with connector kinds, which tests install as if it came from PyPI."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MODULE = """
import attrs

from moorage import Secret
from moorage.ports.connector import ConnectorKind
from tests.connectors.connector_harness import AsyncRecordingConnector, RecordingConnector

journal = []


@attrs.frozen
class Settings:
    \"\"\"A diary.

    Attributes:
        pages: the number of its pages.
        lock: the word that opens it.
    \"\"\"

    pages: int = attrs.field(validator=attrs.validators.instance_of(int))
    lock: Secret | None = None


def build(kind):
    def make(name, settings, manager):
        diary = kind(name, journal, service=name)
        diary.settings, diary.manager = settings, manager
        return diary

    return make


def migrate(version, table):
    return {"pages": table["sheets"] * 2}


DIARY = ConnectorKind(
    name="diary",
    settings=Settings,
    build=build(RecordingConnector),
    build_async=build(AsyncRecordingConnector),
    version=2,
    migrate=migrate,
)
SYNC_ONLY = ConnectorKind(name="sync_only", settings=Settings, build=build(RecordingConnector))
TEXT = "no kind"


@attrs.frozen
class Greedy:
    enabled: bool = True


GREEDY = ConnectorKind(name="greedy", settings=Greedy, build=build(RecordingConnector))
"""

POINTS = """\
[moorage.connectors]
diary = our_diaries:DIARY
sync_only = our_diaries:SYNC_ONLY
text = our_diaries:TEXT
gone = our_diaries:GONE
greedy = our_diaries:GREEDY
"""


def install_diaries(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the package look installed in a folder, and return its module."""
    (folder / "our_diaries.py").write_text(MODULE)
    metadata = folder / "our_diaries-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: our-diaries\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(folder)
    return import_module("our_diaries")
