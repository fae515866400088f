"""Webhooks that arrive at a Django project."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from django.db import connections
from django.test import Client

from moorage import ConfigurationError, StorageUnavailable
from moorage.hub.inbox import EntryQuery, EntryState
from moorage_django import hub, inbox
from moorage_django.entries import OrmInbox
from moorage_django.runtime import process
from tests.embedding.django.shop import Shop, open_shop, order

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop whose web process handles webhooks itself."""
    with open_shop(Shop()) as new_shop:
        yield new_shop


def charge(key: str = "INV-1/1") -> str:
    """Take money and return the id of the payment."""
    return hub().payments().charge(order(), idempotency_key=key).ref.id


def test_webhook_is_handled_after_the_response(shop: Shop) -> None:
    """A webhook is answered with 2xx and handled after the response is sent."""
    payment = charge()

    assert 200 == shop.deliver()
    assert [payment] == [event.ref.id for event in shop.news]


def test_worker_handles_the_webhook() -> None:
    """In a project with a worker, the web process only stores the webhook."""
    with open_shop(Shop(), WORKER=True) as shop:
        charge()

        assert 200 == shop.deliver()
        assert [] == shop.news
        inbox().handle()
        assert 1 == len(shop.news)


def test_repeated_webhook_gets_same_response_and_is_handled_once(shop: Shop) -> None:
    """A repeated webhook gets the same response and is handled once."""
    charge()

    assert [200, 200] == [shop.deliver(), shop.deliver()]
    assert 1 == len(shop.news)


def test_forged_webhook_is_refused_without_details_and_leaves_nothing_behind(shop: Shop) -> None:
    """A forged webhook is refused without details, and nothing is stored."""
    charge()
    body = shop.sandbox.sent[-1].body.replace(b"14990", b"99999")

    assert 401 == shop.deliver(body=body)
    assert () == inbox().find(EntryQuery()).items


def test_webhook_for_unknown_account_gets_404(shop: Shop) -> None:
    """A webhook for an unknown account gets 404."""
    assert 404 == Client().post("/moorage/webhooks/adyen/").status_code


def test_broken_configuration_is_reported_and_gives_no_404() -> None:
    """If the configuration is broken, this is reported, and vendors do not get a 404."""
    configuration = {"vendors": {"stripe": {"credentials": "secret://env/NO_SUCH_KEY"}}}
    with (
        open_shop(Shop(), CONFIGURATION=configuration),
        pytest.raises(ConfigurationError, match="NO_SUCH_KEY"),
    ):
        Client().post("/moorage/webhooks/stripe/")


def test_body_beyond_the_limit_is_refused_unread(shop: Shop) -> None:
    """A body beyond the limit is refused before it is read."""
    url, body = "/moorage/webhooks/stripe/", b"x" * (1 << 20 | 1)

    assert 413 == Client().post(url, body, content_type="text/plain").status_code


def test_chunked_body_needs_a_length(shop: Shop) -> None:
    """An unsigned chunked request gets 411, without an error mail to the admins."""
    url, chunked_headers = "/moorage/webhooks/stripe/", {"Transfer-Encoding": "chunked"}

    assert 411 == Client().generic("POST", url, headers=chunked_headers).status_code


def test_webhook_needs_no_csrf_token(shop: Shop) -> None:
    """Webhooks are exempt from CSRF protection."""
    answer = Client(enforce_csrf_checks=True).post("/moorage/webhooks/stripe/", b"{}", "text/plain")

    assert 403 != answer.status_code


def test_handling_after_the_response_leaves_no_connection_open(shop: Shop) -> None:
    """A thread that serves one request, as under ASGI, has no open connection afterwards."""
    charge()

    def serve_request() -> list[str]:
        shop.deliver()
        aliases = connections.all(initialized_only=True)
        return [item.alias for item in aliases if item.connection is not None]

    with ThreadPoolExecutor(1) as thread:
        assert [] == thread.submit(serve_request).result()
    assert 1 == len(shop.news)


def test_failed_handler_is_rolled_back(shop: Shop) -> None:
    """A failed handler is rolled back, and runs again when the webhook is replayed."""
    charge()
    shop.failing = True
    assert 200 == shop.deliver()
    shop.failing = False
    (entry,) = inbox().find(EntryQuery()).items

    assert EntryState.WAITING == entry.state
    inbox().replay(entry.id)
    inbox().handle()
    assert 1 == len(shop.news)


def test_account_without_a_webhook_secret_accepts_no_webhook() -> None:
    """An account without a webhook secret accepts no webhook."""
    shop = Shop()
    settings = shop.settings["CONFIGURATION"]
    del settings["vendors"]["stripe"]["webhook_secrets"]
    with open_shop(shop, CONFIGURATION=settings):
        charge()

        assert 500 == shop.deliver()
        assert () == inbox().find(EntryQuery()).items


def test_response_is_followed_by_its_own_webhook_only(shop: Shop) -> None:
    """After its response, a request handles only its own webhook.

    Other webhooks wait for a worker.
    """
    charge()
    shop.failing = True
    assert 200 == shop.deliver()
    shop.failing = False
    (other_entry,) = inbox().find(EntryQuery()).items
    inbox().replay(other_entry.id)
    own_charge = charge("INV-2/1")

    assert 200 == shop.deliver()
    assert [own_charge] == [event.ref.id for event in shop.news]


def test_store_failure_after_the_response_is_logged(
    shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store's failure after the response is logged and does not reach the web server."""

    def lose_connection(*_: object) -> None:
        raise StorageUnavailable("the database could not be used.")

    charge()
    monkeypatch.setattr(OrmInbox, "now", lose_connection)
    process.inbox()
    process.webhook_came("any")
    process.after_request()

    assert "The handling of a webhook after its response failed" in caplog.text
