"""Calls to vendors inside the host's database transactions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from moorage import IntegrationStatus, LogQuery
from moorage.testing.kits.checks import StallMeter
from tests.embedding.flask.test_webhooks import charge

if TYPE_CHECKING:
    from tests.embedding.flask.shop import Shop

_LOCKED = 2.0
"""Seconds; whoever waits for SQLite's lock waits longer."""


@pytest.fixture
def shop_in_transaction(shop: Shop) -> Shop:
    """Yield a shop inside a database transaction that has already written."""
    shop.sessions.execute(text("CREATE TABLE invoice (id INTEGER)"))
    shop.sessions.commit()
    shop.sessions.execute(text("INSERT INTO invoice VALUES (1)"))
    return shop


def test_call_inside_a_write_transaction_waits_for_no_lock(shop_in_transaction: Shop) -> None:
    """A call inside a write transaction does not wait for a lock, and is recorded."""
    start_time = time.monotonic()
    with StallMeter() as control:
        for number in range(5):
            charge(shop_in_transaction, f"INV-{number}")
        duration = time.monotonic() - start_time
    result = shop_in_transaction.moorage.log.find(LogQuery())

    assert [IntegrationStatus.SUCCESS] * 5 == [entry.status for entry in result.items]
    assert duration - control.lost < _LOCKED
    shop_in_transaction.sessions.commit()
    assert 1 == shop_in_transaction.sessions.execute(text("SELECT count(*) FROM invoice")).scalar()


def test_webhook_is_stored_during_a_write_transaction(shop_in_transaction: Shop) -> None:
    """A webhook is stored while another request of the host writes."""
    charge(shop_in_transaction)

    assert 200 == shop_in_transaction.deliver()


def test_charge_survives_a_rollback(shop: Shop) -> None:
    """An idempotency key survives the host's rollback, so repeating the call sends no request."""
    with shop.app.app_context():
        first = charge(shop)
        shop.sessions.rollback()
        count = len(shop.sandbox.requests)

        assert first == charge(shop)
        assert count == len(shop.sandbox.requests)
        assert 2 == shop.moorage.log.summarise(LogQuery()).count
