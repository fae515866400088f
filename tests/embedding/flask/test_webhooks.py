"""Webhooks that arrive at a Flask application."""

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
    """Take money and return the id of the payment."""
    order = Charge(Money("149.90", "EUR"), "pm_card_visa", reference="INV-1")
    return shop.moorage.hub.payments().charge(order, idempotency_key=key).ref.id


def test_webhook_is_stored_first_and_handled_later(shop: Shop) -> None:
    """A webhook is stored and answered with 2xx; its handlers run later, when requested."""
    payment = charge(shop)

    assert 200 == shop.deliver()
    assert [] == shop.news
    shop.moorage.inbox.handle()
    assert [payment] == [event.ref.id for event in shop.news]


def test_repeated_webhook_gets_same_response_and_is_handled_once(shop: Shop) -> None:
    """A repeated webhook gets the same response and is handled once."""
    charge(shop)

    assert [200, 200] == [shop.deliver(), shop.deliver()]
    shop.moorage.inbox.handle()
    shop.moorage.inbox.handle()
    assert 1 == len(shop.news)


def test_forged_webhook_is_refused_without_details_and_leaves_nothing_behind(shop: Shop) -> None:
    """A forged webhook is refused without details, and nothing is stored."""
    charge(shop)
    body = shop.sandbox.sent[-1].body.replace(b"14990", b"99999")

    assert 401 == shop.deliver(body=body)
    assert () == shop.moorage.inbox.find(EntryQuery()).items


def test_webhook_for_unknown_account_gets_404(shop: Shop) -> None:
    """A webhook for an unknown account gets 404."""
    assert 404 == shop.client().post("/moorage/webhooks/adyen").status_code


def test_body_beyond_the_limit_is_refused_unread(shop: Shop) -> None:
    """A body beyond the limit is refused before it is read."""
    answer = shop.client().post("/moorage/webhooks/stripe", data=b"x" * (1 << 20 | 1))

    assert 413 == answer.status_code


def test_chunked_body_needs_a_length(shop: Shop) -> None:
    """A chunked request without a signature or an end is refused with 411."""
    chunked_headers = {"Transfer-Encoding": "chunked"}

    assert (
        411 == shop.client().post("/moorage/webhooks/stripe", headers=chunked_headers).status_code
    )


def test_webhook_whose_handler_fails_stays_pending(shop: Shop) -> None:
    """A webhook whose handler fails stays pending, and a replay handles it."""
    charge(shop)
    shop.deliver()
    shop.failing = True
    (worked_entry,) = shop.moorage.inbox.handle().worked
    shop.failing = False

    assert "waiting" == worked_entry.entry.state
    shop.moorage.inbox.replay(worked_entry.entry.id)
    shop.moorage.inbox.handle()
    assert 1 == len(shop.news)


def test_broken_configuration_is_reported_and_gives_no_404(sqlite_url: str) -> None:
    """If the configuration is broken, this is reported, and vendors do not get a 404."""
    configuration = {"vendors": {"stripe": {"credentials": "secret://env/NO_SUCH_KEY"}}}
    with closing(Shop(sqlite_url, CONFIGURATION=configuration)) as shop:
        shop.app.testing = True
        with pytest.raises(ConfigurationError, match="NO_SUCH_KEY"):
            shop.client().post("/moorage/webhooks/stripe")


def test_new_processes_accept_a_tenants_webhook(sql_url: str) -> None:
    """A new process accepts a tenant's webhook, and another new process handles it."""
    with closing(Shop(sql_url, TENANTS=True, KEYS=KEYS)) as shop:
        shop.objects.migrate()
        account = {
            "credentials": shop.sandbox.api_key,
            "webhook_secrets": [shop.sandbox.webhook_secret],
        }
        tenants: Any = shop.objects.stores.tenants
        tenants.put("acme", {"vendors": {"stripe": account}, "payments": {"vendor": "stripe"}})
        shop.sandbox.webhook_url = "http://localhost/moorage/webhooks/acme.stripe"
        shop.sandbox.emit_event("payment_intent.succeeded", INTENT)

        assert 200 == shop.deliver()
        (entry,) = shop.moorage.inbox.find(EntryQuery()).items
        assert ("acme.stripe", "acme") == (entry.account, entry.tenant)
        shop.objects.close()
        assert [1] == [item.done for item in deliver(shop.objects)]
        assert ["pi_1"] == [event.ref.id for event in shop.news]


def test_webhook_of_a_misconfigured_tenant_gets_an_error(sqlite_url: str) -> None:
    """If a tenant is misconfigured, its webhook gets an error that makes the vendor retry."""
    with closing(Shop(sqlite_url, TENANTS=True, KEYS=KEYS)) as shop:
        shop.objects.migrate()
        tenants: Any = shop.objects.stores.tenants
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
