"""Calls that an application defers in its own transaction."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from moorage import ConfigurationError, Money
from moorage.contracts.payments import Charge
from moorage.hub.inbox import EntryQuery, HandledWebhooks
from moorage.hub.outbox import DeliveredCalls
from moorage.hub.worker import work
from moorage_flask import worker
from tests.embedding.flask.shop import Shop

if TYPE_CHECKING:
    from moorage.hub.outbox import OutboxEntry

ORDER = Charge(Money("149.90", "EUR"), "pm_card_visa", reference="INV-1")


def put_charge(shop: Shop, key: str = "INV-1") -> OutboxEntry:
    """Defer a charge in the application's transaction."""
    return shop.moorage.outbox.put("payments", "charge", ORDER, key=key)


def deliver_all(shop: Shop) -> int:
    """Run the worker, check that all calls succeed, and return their number."""
    rounds = worker.deliver(shop.objects)
    assert all(len(item) == item.done for item in rounds)
    return sum(map(len, rounds))


def test_call_is_made_after_the_commit(shop: Shop) -> None:
    """A deferred call is made once, after the host has committed."""
    put_charge(shop)
    shop.sessions.commit()

    assert 0 == len(shop.sandbox.charges)
    assert 1 == deliver_all(shop)
    assert 0 == deliver_all(shop)
    assert 1 == len(shop.sandbox.charges)


def test_rollback_discards_the_call(shop: Shop) -> None:
    """A deferred call is not made if the host rolls back."""
    put_charge(shop)
    shop.sessions.rollback()

    assert 0 == deliver_all(shop)
    assert {} == shop.sandbox.charges


def test_key_makes_a_call_unique(shop: Shop) -> None:
    """Of two deferred calls with one key, only the first is made, in any transaction."""
    first = put_charge(shop)
    repeated_entry = put_charge(shop)
    shop.sessions.commit()
    later_entry = put_charge(shop)
    shop.sessions.commit()

    assert [first.id] * 2 == [repeated_entry.id, later_entry.id]
    assert 1 == deliver_all(shop)


def test_call_and_host_data_commit_together(shop: Shop) -> None:
    """The host's data and the deferred call are committed or rolled back together."""
    shop.sessions.execute(text("CREATE TABLE invoice (id INTEGER)"))
    shop.sessions.commit()
    shop.sessions.execute(text("INSERT INTO invoice VALUES (1)"))
    put_charge(shop)
    shop.sessions.rollback()

    assert 0 == shop.sessions.execute(text("SELECT count(*) FROM invoice")).scalar()
    assert () == shop.moorage.outbox.find(EntryQuery()).items


def test_outbox_needs_a_database() -> None:
    """An application without a database cannot defer calls."""
    shop = Shop()
    with pytest.raises(ConfigurationError) as excinfo:
        put_charge(shop)

    assert "MOORAGE.DATABASE" == excinfo.value.path
    shop.close()


def test_outbox_needs_a_session(sqlite_url: str) -> None:
    """If the host's database session is not known, no call can be deferred."""
    shop = Shop(DATABASE=sqlite_url)
    shop.objects.migrate()
    with pytest.raises(ConfigurationError) as excinfo:
        put_charge(shop)

    assert "MOORAGE.SESSION" == excinfo.value.path
    shop.close()


def test_worker_makes_calls_and_handles_webhooks_until_it_is_told_to_stop(shop: Shop) -> None:
    """A worker makes calls and handles webhooks until it is asked to stop."""
    put_charge(shop)
    shop.sessions.commit()
    stop, rounds = Event(), []

    def on_result(round_: worker.Round) -> None:
        if isinstance(round_, (HandledWebhooks, DeliveredCalls)):
            rounds.append((type(round_), round_.done))
        if shop.news:
            stop.set()
        else:
            shop.deliver()

    work(*worker.steps(shop.objects, 1), stop=stop, pause=0.01, on_result=on_result)

    assert [(DeliveredCalls, 1), (HandledWebhooks, 1)] == rounds
    assert 1 == len(shop.news)
