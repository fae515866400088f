"""Entries with the same `order` are delivered in order, even if the host's transactions overlap."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from moorage.testing.kits.checks import name_of
from moorage_flask.database import Database
from moorage_flask.stores import outbox_in
from moorage_flask.tables import tables
from tests.support import overlapping

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.adapters.entries.host import HostOutbox
    from tests.support.overlapping import Begin


@pytest.fixture(params=["postgresql", "mariadb_database"])
def server_url(request: pytest.FixtureRequest) -> str:
    """Yield a host's database on a server, where transactions may overlap."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("check", overlapping.CHECKS, ids=name_of)
def test_entries_of_one_group_never_overtake_each_other(
    check: Callable[[Begin, Any], None], server_url: str, isolation: str
) -> None:
    """Entries with one `order` never overtake each other, at any isolation level of the host."""
    engine = sqlalchemy.create_engine(server_url, isolation_level=isolation)
    database, host_tables = Database(server_url), tables()
    database.create(host_tables.outbox.metadata, (host_tables.outbox, host_tables.lanes))

    @contextmanager
    def begin() -> Generator[HostOutbox]:
        with Session(engine) as session, session.begin():
            yield outbox_in(database, lambda: session)

    check(begin, outbox_in(database))
    database.close()
    engine.dispose()
