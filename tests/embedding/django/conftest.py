"""A Django project with its databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db.backends.signals import connection_created

from tests.support.django_project import MARIADB, POSTGRES, SQLITE, configure, migrate

if TYPE_CHECKING:
    from collections.abc import Generator

# Models can be imported only if a Django project is configured.
configure()


@pytest.fixture(autouse=True)
def close_connections() -> Generator[None]:
    """Close the connections of all threads, as the end of a request would."""
    links: list[Any] = []

    def remember(connection: Any, **_: object) -> None:
        connection.inc_thread_sharing()
        links.append(connection)

    connection_created.connect(remember)
    yield
    connection_created.disconnect(remember)
    for link in links:
        link.close()


@pytest.fixture(params=[SQLITE, POSTGRES, MARIADB])
def alias(request: pytest.FixtureRequest) -> str:
    """Return the name of the Django database that contains moorage's tables."""
    return migrate(str(request.param))


@pytest.fixture(params=["default", POSTGRES, MARIADB])
def host_database(request: pytest.FixtureRequest) -> str:
    """Return the alias of a database that belongs to the host."""
    return migrate(str(request.param))


@pytest.fixture
def allow_sync_in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow synchronous checks inside an event loop, which Django refuses by default."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
