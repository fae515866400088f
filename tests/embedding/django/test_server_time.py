"""Stored data have the time of the database server, and not of this machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connections

from moorage_django.entries import OrmInbox
from moorage_django.models import State
from moorage_django.state import OrmStorage
from tests.support.django_project import MARIADB, migrate

if TYPE_CHECKING:
    from collections.abc import Generator

LATER = datetime(2033, 5, 18, 3, 33, 20, tzinfo=UTC)


@pytest.fixture(params=["+00:00", "-05:00"])
def server(request: pytest.FixtureRequest) -> Generator[str]:
    """Yield a database server whose clock and time zone differ from this machine's."""
    alias = migrate(MARIADB)
    with connections[alias].cursor() as cursor:
        cursor.execute("SET timestamp = %s", [LATER.timestamp()])
        cursor.execute("SET time_zone = %s", [request.param])
    yield alias
    connections[alias].close()


def test_entries_have_the_servers_time(server: str) -> None:
    """The inbox and the outbox use the server's clock."""
    assert LATER == OrmInbox(server).now()


@pytest.mark.parametrize("ago, gone", [(timedelta(hours=2), 1), (timedelta(0), 0)])
def test_states_expire_by_the_servers_clock(server: str, ago: timedelta, gone: int) -> None:
    """States that have expired by the server's clock are deleted, and no others."""
    rows = State.objects.using(server)
    rows.all().delete()
    expires = int((LATER - ago).timestamp()) * 1_000_000
    rows.create(id="x", key="x", expires=expires)

    assert gone == OrmStorage(server).housekeep()
