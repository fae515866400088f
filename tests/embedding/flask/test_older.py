"""An application that has pinned SQLAlchemy 1.4, Flask 2.3 and redis 4.5."""

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


def test_everything_with_the_state_in_redis(any_database_url: str) -> None:
    """Calls, webhooks and the log are in the host's database, and the state is in Redis."""
    custom = RedisStorage(redis_url(), prefix=f"older-{uuid4().hex}:")
    with closing(Shop(any_database_url, volatile=True, KEYS=Secret(KEYS), STATE=custom)) as shop:
        shop.moored.migrate()
        payment = charge(shop)
        assert payment == charge(shop)
        assert 200 == shop.deliver()
        assert [1] == [item.done for item in worker.deliver(shop.moored)]
        shop.moored.close()

        assert [payment] == [event.ref.id for event in shop.news]
        assert 2 == shop.moorage.log.summarise(LogQuery()).count
        assert ["done"] == [
            item.state.value for item in shop.moorage.inbox.find(EntryQuery()).items
        ]


@older
@pytest.mark.parametrize("check", state_conformance.CHECKS, ids=name_of)
def test_redis_conforms(check: state_conformance.Check) -> None:
    """The store in Redis keeps the contract of its port with this client too."""
    with RedisStorage(redis_url(), timeout=10.0, prefix=f"older-{uuid4().hex}:") as store:
        check(lambda: store)


@older
@pytest.mark.parametrize("check", state_conformance.ASYNC_CHECKS, ids=name_of)
def test_redis_conforms_awaited(check: state_conformance.AsyncCheck) -> None:
    """The asynchronous store in Redis does so as well."""
    prefix = f"older-{uuid4().hex}:"
    asyncio.run(check(lambda: AsyncRedisStorage(redis_url(), timeout=10.0, prefix=prefix)))


@older
def test_state_needs_a_store_of_its_own(postgresql_url: str) -> None:
    """Without a STATE a server cannot keep the state, and it is said what to set."""
    with closing(Shop(postgresql_url, STATE=None)) as shop:
        with pytest.raises(ConfigurationError, match=r"MOORAGE\.STATE: .* redis://") as caught:
            charge(shop)
        assert "SQLAlchemy 2" in str(caught.value)
        assert ["settings"] == [finding.name for finding in findings(shop.moored, {})]


@older
def test_credentials_and_tenants_need_a_file(postgresql_url: str, tmp_path: Path) -> None:
    """Both go beside the file that ASIDE names; without one it is said that they need it."""
    with closing(Shop(postgresql_url, KEYS=Secret(KEYS))) as shop:
        assert ["credentials-in-memory"] == [finding.name for finding in findings(shop.moored, {})]
    with (
        closing(Shop(postgresql_url, KEYS=Secret(KEYS), TENANTS=True)) as shop,
        pytest.raises(ConfigurationError, match="Set ASIDE to a SQLite file"),
    ):
        charge(shop)
    aside = str(tmp_path / "aside.db")
    with closing(Shop(postgresql_url, KEYS=Secret(KEYS), TENANTS=True, ASIDE=aside)) as shop:
        shop.moored.migrate()
        assert [] == list(findings(shop.moored, {}))
        charge(shop)
