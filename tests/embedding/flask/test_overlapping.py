"""Entries of one order are made in it, also where transactions of the host overlap."""

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
    """A database of a host, in a server that lets transactions overlap."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("check", overlapping.CHECKS, ids=name_of)
def test_order(check: Callable[[Begin, Any], None], server_url: str, isolation: str) -> None:
    """Of one order nothing overtakes, and nobody else waits, whatever the host's isolation is."""
    engine = sqlalchemy.create_engine(server_url, isolation_level=isolation)
    database, made = Database(server_url), tables()
    database.create(made.outbox.metadata, (made.outbox, made.lanes))

    @contextmanager
    def begin() -> Generator[HostOutbox]:
        with Session(engine) as session, session.begin():
            yield outbox_in(database, lambda: session)

    check(begin, outbox_in(database))
    database.close()
    engine.dispose()
