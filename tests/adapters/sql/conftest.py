"""Fixtures for the tests of the SQL connector: databases, each with its own schema."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.sql.database_harness import CREATE, Administrator, Harness, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the connector under test: "sync" or "async"."""
    value: str = request.param
    return value


@pytest.fixture
def harnesses(mode: str) -> Generator[Callable[..., Harness]]:
    """Return a function that makes connectors to a fresh database with the test table."""
    made: list[Harness] = []
    schemas: dict[str, Administrator] = {}
    schema = f"moorage_sql_{os.getpid()}"

    def make_harness(system: str, **settings: Any) -> Harness:
        if system != "sqlite" and system not in schemas:
            schemas[system] = Administrator(system)
            if system == "postgresql":
                schemas[system].ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            else:
                schemas[system].ask(f"DROP DATABASE IF EXISTS {schema}")
            schemas[system].ask(f"CREATE SCHEMA {schema}")
        if system == "postgresql":
            settings["options"] = {
                "options": f"-c search_path={schema}",
                **settings.get("options", {}),
            }
        elif system == "mariadb":
            settings.setdefault("url", url_of(system, schema))
        harness = Harness(system, mode, **settings)
        made.append(harness)
        harness.execute(CREATE)
        return harness

    yield make_harness
    for harness in made:
        harness.close()
    for system, administrator in schemas.items():
        if system == "postgresql":
            administrator.ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        else:
            administrator.ask(f"DROP DATABASE IF EXISTS {schema}")
        administrator.close()
