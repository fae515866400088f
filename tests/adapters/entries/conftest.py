"""Fixtures: databases of each kind with inbox and outbox tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.entry_harnesses import KINDS, EntryHarness, entry_harness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", params=KINDS)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Yield a test database of each kind: SQLite, PostgreSQL and MariaDB."""
    with entry_harness(request.param, tmp_path_factory.mktemp("entries")) as value:
        yield value


@pytest.fixture(scope="module", params=KINDS[1:])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Yield a database on each kind of server, where transactions can overlap."""
    with entry_harness(request.param, tmp_path_factory.mktemp("entries")) as value:
        yield value


@pytest.fixture
def file(tmp_path: Path) -> Iterator[EntryHarness]:
    """Return a SQLite file that belongs to the application."""
    with entry_harness("sqlite", tmp_path) as value:
        yield value
