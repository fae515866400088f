"""Webhooks that reach an application of Flask's."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from moorage import ConfigurationError, Money
from moorage.contracts.payments import Charge
from moorage.hub.inbox import EntryQuery
from moorage_flask.worker import deliver
from tests.embedding.flask.shop import KEYS, Shop


def charge(shop: Shop, key: str = "INV-1/1") -> str:
    """Take money, and tell the id of the payment."""
    order = Charge(Money("149.90", "EUR"), "pm_card_visa", reference="INV-1")
    return shop.moorage.hub.payments().charge(order, idempotency_key=key).ref.id


def test_stored_first_and_handled_later(shop: Shop) -> None:
    """A webhook is answered 2xx once it is written down, and its handlers run when asked to."""
    payment = charge(shop)

    assert 200 == shop.deliver()
    assert [] == shop.news
    shop.moorage.inbox.handle()
    assert [payment] == [event.ref.id for event in shop.news]


def test_repeated_webhook(shop: Shop) -> None:
    """A webhook that comes again is answered as before, and handled once."""
    charge(shop)

    assert [200, 200] == [shop.deliver(), shop.deliver()]
    shop.moorage.inbox.handle()
    shop.moorage.inbox.handle()
    assert 1 == len(shop.news)


def test_forged_webhook(shop: Shop) -> None:
    """A forged webhook is refused without a word, and leaves nothing behind."""
    charge(shop)
    body = shop.sandbox.sent[-1].body.replace(b"14990", b"99999")

    assert 401 == shop.deliver(body=body)
    assert () == shop.moorage.inbox.find(EntryQuery()).items


def test_unknown_account(shop: Shop) -> None:
    """Nobody is there under the name of an account that there is not."""
    assert 404 == shop.client().post("/moorage/webhooks/adyen").status_code


def test_too_large(shop: Shop) -> None:
    """A body beyond the limit is refused before it is read."""
    answer = shop.client().post("/moorage/webhooks/stripe", data=b"x" * (1 << 20 | 1))

    assert 413 == answer.status_code


def test_chunked_body_is_asked_for_a_length(shop: Shop) -> None:
    """An unsigned request in chunks that the server does not end is refused, and does not fail."""
    chunked = {"Transfer-Encoding": "chunked"}

    assert 411 == shop.client().post("/moorage/webhooks/stripe", headers=chunked).status_code


def test_failing_handler(shop: Shop) -> None:
    """A webhook whose handler fails is not done, and is handled when it is replayed."""
    charge(shop)
    shop.deliver()
    shop.failing = True
    (worked,) = shop.moorage.inbox.handle().worked
    shop.failing = False

    assert "waiting" == worked.entry.state
    shop.moorage.inbox.replay(worked.entry.id)
    shop.moorage.inbox.handle()
    assert 1 == len(shop.news)


def test_wrong_configuration(sqlite_url: str) -> None:
    """Where nothing can be opened, that is said, and no vendor is told that nobody is there."""
    configuration = {"vendors": {"stripe": {"credentials": "secret://env/NO_SUCH_KEY"}}}
    with closing(Shop(sqlite_url, CONFIGURATION=configuration)) as shop:
        shop.app.testing = True
        with pytest.raises(ConfigurationError, match="NO_SUCH_KEY"):
            shop.client().post("/moorage/webhooks/stripe")


def test_webhook_of_a_tenant_that_was_not_called(sql_url: str) -> None:
    """A process that has just begun takes it, and another that has just begun handles it."""
    with closing(Shop(sql_url, TENANTS=True, KEYS=KEYS)) as shop:
        shop.moored.migrate()
        account = {
            "credentials": shop.sandbox.api_key,
            "webhook_secrets": [shop.sandbox.webhook_secret],
        }
        tenants: Any = shop.moored.stores.tenants
        tenants.put("acme", {"vendors": {"stripe": account}, "payments": {"vendor": "stripe"}})
        shop.sandbox.webhook_url = "http://localhost/moorage/webhooks/acme.stripe"
        shop.sandbox.tell("payment_intent.succeeded", INTENT)

        assert 200 == shop.deliver()
        (entry,) = shop.moorage.inbox.find(EntryQuery()).items
        assert ("acme.stripe", "acme") == (entry.account, entry.tenant)
        shop.moored.close()
        assert [1] == [item.done for item in deliver(shop.moored)]
        assert ["pi_1"] == [event.ref.id for event in shop.news]


def test_webhook_of_a_tenant_whose_tables_are_wrong(sqlite_url: str) -> None:
    """The vendor is not told that nobody is there, so it sends again."""
    with closing(Shop(sqlite_url, TENANTS=True, KEYS=KEYS)) as shop:
        shop.moored.migrate()
        tenants: Any = shop.moored.stores.tenants
        tenants.put("acme", {"vendors": {"stripe": {"speed": 5}}})

        assert 500 == shop.client().post("/moorage/webhooks/acme.stripe").status_code
        assert 404 == shop.client().post("/moorage/webhooks/other.stripe").status_code


INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 100,
    "currency": "eur",
    "status": "succeeded",
}
