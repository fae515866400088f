"""A Django project with its databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db.backends.signals import connection_created

from tests.support.django_project import MARIADB, POSTGRES, SQLITE, configure, migrated

if TYPE_CHECKING:
    from collections.abc import Generator

# Models can be imported only where there is a project.
configure()


@pytest.fixture(autouse=True)
def closed() -> Generator[None]:
    """Close the connections of all threads: no end of a request does it here."""
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
    """A database in which moorage has tables of its own."""
    return migrated(str(request.param))


@pytest.fixture(params=["default", POSTGRES, MARIADB])
def home(request: pytest.FixtureRequest) -> str:
    """A database of the host's."""
    return migrated(str(request.param))


@pytest.fixture
def plain_in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kits check what is plain in an event loop, which Django refuses elsewhere."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
