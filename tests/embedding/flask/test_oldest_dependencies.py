"""The Flask extension with its oldest dependencies: SQLAlchemy 1.4, Flask 2.3, redis 4.5."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from moorage import ConfigurationError, LogQuery, Secret
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.hub.inbox import EntryQuery
from moorage.testing import state_conformance
from moorage.testing.kits.checks import name_of
from moorage_flask import worker
from moorage_flask.checks import findings
from moorage_flask.database import MODERN
from tests.embedding.flask.shop import KEYS, Shop
from tests.embedding.flask.test_webhooks import charge
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from pathlib import Path

older = pytest.mark.skipif(MODERN, reason="SQLAlchemy 2 is here: `make test-older-hosts` tests it")


def test_state_is_in_redis_and_entries_in_the_database(any_database_url: str) -> None:
    """Calls, webhooks and the log are in the host's database, and the state is in Redis."""
    custom_storage = RedisStorage(redis_url(), prefix=f"older-{uuid4().hex}:")
    with closing(
        Shop(any_database_url, volatile=True, KEYS=Secret(KEYS), STATE=custom_storage)
    ) as shop:
        shop.objects.migrate()
        payment = charge(shop)
        assert payment == charge(shop)
        assert 200 == shop.deliver()
        assert [1] == [item.done for item in worker.deliver(shop.objects)]
        shop.objects.close()

        assert [payment] == [event.ref.id for event in shop.news]
        assert 2 == shop.moorage.log.summarise(LogQuery()).count
        assert ["done"] == [
            item.state.value for item in shop.moorage.inbox.find(EntryQuery()).items
        ]


@older
@pytest.mark.parametrize("check", state_conformance.CHECKS, ids=name_of)
def test_redis_store_passes_conformance_kit_of_its_port_with_old_client(
    check: state_conformance.Check,
) -> None:
    """With the old client, the Redis store passes the conformance kit for stores."""
    with RedisStorage(redis_url(), timeout=10.0, prefix=f"older-{uuid4().hex}:") as store:
        check(lambda: store)


@older
@pytest.mark.parametrize("check", state_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_redis_conforms(check: state_conformance.AsyncCheck) -> None:
    """With the old client, the asynchronous Redis store passes the conformance kit for stores."""
    prefix = f"older-{uuid4().hex}:"
    asyncio.run(check(lambda: AsyncRedisStorage(redis_url(), timeout=10.0, prefix=prefix)))


@older
def test_database_server_cannot_hold_state_without_the_state_setting(postgresql_url: str) -> None:
    """Without the setting `STATE`, a database server cannot store the state.

    The error names the setting.
    """
    with closing(Shop(postgresql_url, STATE=None)) as shop:
        with pytest.raises(ConfigurationError, match=r"MOORAGE\.STATE: .* redis://") as excinfo:
            charge(shop)
        assert "SQLAlchemy 2" in str(excinfo.value)
        assert ["settings"] == [finding.name for finding in findings(shop.objects, {})]


@older
def test_credentials_and_tenants_need_a_file(postgresql_url: str, tmp_path: Path) -> None:
    """With SQLAlchemy 1, credentials and tenants need a separate SQLite file.

    Without the setting `ASIDE` an error names it.
    """
    with closing(Shop(postgresql_url, KEYS=Secret(KEYS))) as shop:
        assert ["credentials-in-memory"] == [finding.name for finding in findings(shop.objects, {})]
    with (
        closing(Shop(postgresql_url, KEYS=Secret(KEYS), TENANTS=True)) as shop,
        pytest.raises(ConfigurationError, match="Set ASIDE to a SQLite file"),
    ):
        charge(shop)
    separate_database = str(tmp_path / "aside.db")
    with closing(
        Shop(postgresql_url, KEYS=Secret(KEYS), TENANTS=True, ASIDE=separate_database)
    ) as shop:
        shop.objects.migrate()
        assert [] == list(findings(shop.objects, {}))
        charge(shop)
