"""Calls to vendors in the middle of what the host does with its database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from moorage import IntegrationStatus, LogQuery
from moorage.testing.kits.checks import Control
from tests.embedding.flask.test_webhooks import charge

if TYPE_CHECKING:
    from tests.embedding.flask.shop import Shop

_LOCKED = 2.0
"""Seconds; whoever waits for SQLite's lock waits longer."""


@pytest.fixture
def writing(shop: Shop) -> Shop:
    """A shop in the middle of a transaction that writes."""
    shop.sessions.execute(text("CREATE TABLE invoice (id INTEGER)"))
    shop.sessions.commit()
    shop.sessions.execute(text("INSERT INTO invoice VALUES (1)"))
    return shop


def test_inside_an_open_transaction(writing: Shop) -> None:
    """A call inside a transaction that writes waits for nothing, and is recorded."""
    began = time.monotonic()
    with Control() as control:
        for number in range(5):
            charge(writing, f"INV-{number}")
        took = time.monotonic() - began
    result = writing.moorage.log.find(LogQuery())

    assert [IntegrationStatus.SUCCESS] * 5 == [entry.status for entry in result.items]
    assert took - control.lost < _LOCKED
    writing.sessions.commit()
    assert 1 == writing.sessions.execute(text("SELECT count(*) FROM invoice")).scalar()


def test_webhook_inside_an_open_transaction(writing: Shop) -> None:
    """A webhook is written down while another request of the host's writes."""
    charge(writing)

    assert 200 == writing.deliver()


def test_rolled_back_after_the_charge(shop: Shop) -> None:
    """What the host rolls back takes no key along: a repeat asks the vendor nothing."""
    with shop.app.app_context():
        first = charge(shop)
        shop.sessions.rollback()
        count = len(shop.sandbox.asked)

        assert first == charge(shop)
        assert count == len(shop.sandbox.asked)
        assert 2 == shop.moorage.log.summarise(LogQuery()).count
