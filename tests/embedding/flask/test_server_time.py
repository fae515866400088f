"""Stored data have the time of the database server, and not of this machine."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import sqlalchemy

from moorage import IntegrationLog, IntegrationStatus, LogQuery
from moorage.adapters.state.memory import MemoryStorage
from moorage_flask import worker
from tests.embedding.flask.shop import Shop
from tests.embedding.flask.test_outbox import put_charge

LATER = datetime(2033, 5, 18, 3, 33, 20, tzinfo=UTC)


@pytest.fixture
def url_of_server_ahead(mariadb_database_url: str) -> str:
    """Yield the URL of a database server whose clock is ahead of this machine's."""
    url = sqlalchemy.engine.make_url(mariadb_database_url)
    text = f"SET timestamp = {LATER.timestamp()}, time_zone = '-05:00'"
    return url.update_query_dict({"init_command": text}).render_as_string(hide_password=False)


def test_entries_have_the_servers_time(url_of_server_ahead: str) -> None:
    """The inbox and the outbox use the server's clock."""
    with closing(Shop(url_of_server_ahead, STATE=MemoryStorage())) as shop:
        shop.objects.migrate()
        assert LATER == shop.objects.stores.inbox.now() == shop.objects.stores.outbox.now()
        assert (LATER, LATER) == attrs.astuple(put_charge(shop), filter=_is_time)
        shop.sessions.commit()
        assert 1 == len(shop.objects.stores.outbox.due(9))


def _is_time(attribute: attrs.Attribute[object], _: object) -> bool:
    return attribute.name in {"added_at", "due"}


def test_retention_uses_the_servers_clock(url_of_server_ahead: str) -> None:
    """Data that is too old by the server's clock is deleted, and nothing else."""
    with closing(Shop(url_of_server_ahead, volatile=True, STATE=MemoryStorage(), KEEP=90)) as shop:
        shop.objects.migrate()
        log = shop.objects.log
        for name, age in (("old", 91), ("young", 89)):
            log.write(
                IntegrationLog(
                    id=name,
                    service="stripe",
                    status=IntegrationStatus.SUCCESS,
                    started_at=LATER - timedelta(days=age),
                    duration=0.1,
                    attempts=1,
                )
            )
        assert 1 == worker.delete_old_entries(shop.objects)
        assert ["young"] == [entry.id for entry in log.find(LogQuery()).items]
