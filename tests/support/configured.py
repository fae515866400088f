"""Configuration files for commands under test, and unique names for shared stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.support.servers import mariadb_url, postgres_url, redis_url

if TYPE_CHECKING:
    from collections.abc import Callable

STORES: dict[str, Callable[[], str]] = {
    "sqlite": lambda: "sqlite:///state.db",
    "redis": redis_url,
    "postgresql": postgres_url,
    "mariadb": mariadb_url,
}
"""By kind: where a store is that several processes share."""

VAULTS: dict[str, Callable[[], str]] = {
    "sqlite": lambda: "sqlite:///credentials.db",
    "postgresql": postgres_url,
    "mariadb": mariadb_url,
}
"""By kind: where a store of credentials is."""


def unique(name: str) -> str:
    """Return a name that no other test uses in a shared store."""
    return f"{name}-{uuid4().hex[:10]}"


def configure(text: str) -> None:
    """Write the configuration file that commands find in the current folder."""
    Path("moorage.toml").write_text(text)
