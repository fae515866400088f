"""Webhooks that reach a project of Django's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client

from moorage import ConfigurationError, StorageUnavailable
from moorage.hub.inbox import EntryQuery, EntryState
from moorage_django import hub, inbox
from moorage_django.entries import OrmInbox
from moorage_django.runtime import process
from tests.embedding.django.shop import Shop, opened, order

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def shop() -> Generator[Shop]:
    """A shop whose process handles webhooks itself."""
    with opened(Shop()) as made:
        yield made


def charge(key: str = "INV-1/1") -> str:
    """Take money, and tell the id of the payment."""
    return hub().payments().charge(order(), idempotency_key=key).ref.id


def test_handled_after_the_response(shop: Shop) -> None:
    """A webhook is answered 2xx, and handled when the response is sent."""
    payment = charge()

    assert 200 == shop.deliver()
    assert [payment] == [event.ref.id for event in shop.news]


def test_handled_by_a_worker() -> None:
    """Where there is a worker, the response only has the webhook written down."""
    with opened(Shop(), WORKER=True) as shop:
        charge()

        assert 200 == shop.deliver()
        assert [] == shop.news
        inbox().handle()
        assert 1 == len(shop.news)


def test_repeated_webhook(shop: Shop) -> None:
    """A webhook that comes again is answered as before, and handled once."""
    charge()

    assert [200, 200] == [shop.deliver(), shop.deliver()]
    assert 1 == len(shop.news)


def test_forged_webhook(shop: Shop) -> None:
    """A forged webhook is refused without a word, and leaves nothing behind."""
    charge()
    body = shop.sandbox.sent[-1].body.replace(b"14990", b"99999")

    assert 401 == shop.deliver(body=body)
    assert () == inbox().find(EntryQuery()).items


def test_unknown_account(shop: Shop) -> None:
    """Nobody is there under the name of an account that there is not."""
    assert 404 == Client().post("/moorage/webhooks/adyen/").status_code


def test_wrong_configuration() -> None:
    """Where nothing can be opened, that is said, and no vendor is told that nobody is there."""
    configuration = {"vendors": {"stripe": {"credentials": "secret://env/NO_SUCH_KEY"}}}
    with (
        opened(Shop(), CONFIGURATION=configuration),
        pytest.raises(ConfigurationError, match="NO_SUCH_KEY"),
    ):
        Client().post("/moorage/webhooks/stripe/")


def test_too_large(shop: Shop) -> None:
    """A body beyond the limit is refused before it is read."""
    url, body = "/moorage/webhooks/stripe/", b"x" * (1 << 20 | 1)

    assert 413 == Client().post(url, body, content_type="text/plain").status_code


def test_chunked_body_is_asked_for_a_length(shop: Shop) -> None:
    """An unsigned request in chunks is refused, and neither fails nor is mailed to the admins."""
    url, chunked = "/moorage/webhooks/stripe/", {"Transfer-Encoding": "chunked"}

    assert 411 == Client().generic("POST", url, headers=chunked).status_code


def test_no_token_is_asked_for(shop: Shop) -> None:
    """A vendor has no CSRF token, and is let in all the same."""
    answer = Client(enforce_csrf_checks=True).post("/moorage/webhooks/stripe/", b"{}", "text/plain")

    assert 403 != answer.status_code


def test_failing_handler(shop: Shop) -> None:
    """A handler that fails is rolled back, and called again when the webhook is replayed."""
    charge()
    shop.failing = True
    assert 200 == shop.deliver()
    shop.failing = False
    (entry,) = inbox().find(EntryQuery()).items

    assert EntryState.WAITING == entry.state
    inbox().replay(entry.id)
    inbox().handle()
    assert 1 == len(shop.news)


def test_no_secret() -> None:
    """Without a secret nothing is taken, whoever sends it."""
    shop = Shop()
    settings = shop.settings["CONFIGURATION"]
    del settings["vendors"]["stripe"]["webhook_secrets"]
    with opened(shop, CONFIGURATION=settings):
        charge()

        assert 500 == shop.deliver()
        assert () == inbox().find(EntryQuery()).items


def test_nobody_handles_the_webhooks_of_others(shop: Shop) -> None:
    """A response is followed by its own webhook only; others wait for a worker."""
    charge()
    shop.failing = True
    assert 200 == shop.deliver()
    shop.failing = False
    (others,) = inbox().find(EntryQuery()).items
    inbox().replay(others.id)
    mine = charge("INV-2/1")

    assert 200 == shop.deliver()
    assert [mine] == [event.ref.id for event in shop.news]


def test_a_store_that_is_away_after_the_response(
    shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be handled after the response is logged, and no server hears of it."""

    def away(*_: object) -> None:
        raise StorageUnavailable("the database could not be used.")

    charge()
    monkeypatch.setattr(OrmInbox, "now", away)
    process.inbox()
    process.webhook_came("any")
    process.after_request()

    assert "The handling of a webhook after its response failed" in caplog.text
