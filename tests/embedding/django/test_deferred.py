"""Calls that are deferred until the transaction commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import transaction
from django.test.utils import override_settings

from moorage.hub.outbox import EntryQuery, EntryState
from moorage_django import after_commit, hub, outbox
from tests.embedding.django.shop import Shop, open_shop, order

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop whose web process makes deferred calls itself."""
    with open_shop(Shop()) as new_shop:
        yield new_shop


def test_call_is_made_after_the_commit(shop: Shop) -> None:
    """A deferred call is made when the transaction commits, and not earlier."""
    with transaction.atomic():
        after_commit("payments", "charge", order())
        assert 0 == shop.charges

    assert 1 == shop.charges
    assert [EntryState.DONE] == [item.state for item in outbox().find(EntryQuery()).items]


def test_rollback_discards_the_call(shop: Shop) -> None:
    """A rollback discards the calls that its transaction deferred."""
    with transaction.atomic():
        after_commit("payments", "charge", order())
        transaction.set_rollback(True)

    assert 0 == shop.charges
    assert () == outbox().find(EntryQuery()).items


def test_worker_makes_the_call() -> None:
    """In a project with a worker, the web process leaves deferred calls to the worker."""
    with open_shop(Shop(), WORKER=True) as shop:
        after_commit("payments", "charge", order())
        assert 0 == shop.charges

        outbox().deliver(hub())
        assert 1 == shop.charges


def test_key_makes_a_call_unique(shop: Shop) -> None:
    """Two deferred calls with the same idempotency key become a single call."""
    for _ in range(2):
        after_commit("payments", "charge", order(), key="INV-1")

    assert 1 == shop.charges


def test_charge_survives_a_rollback(shop: Shop) -> None:
    """If a charge's transaction rolls back, repeating the charge takes no money a second time."""
    with transaction.atomic():
        first = hub().payments().charge(order(), idempotency_key="INV-1/1")
        transaction.set_rollback(True)
    repeated_payment = hub().payments().charge(order(), idempotency_key="INV-1/1")

    assert 1 == shop.charges
    assert first.ref == repeated_payment.ref


def test_failed_delivery_is_logged(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A failed delivery is logged and stays pending; the commit and its other hooks go on."""
    went_on: list[str] = []
    with override_settings(MOORAGE={**shop.settings, "CONFIGURATION": UNREADABLE}):
        with transaction.atomic():
            after_commit("payments", "charge", order())
            transaction.on_commit(lambda: went_on.append("hook"))
        went_on.append("view")

    assert ["hook", "view"] == went_on
    assert "payments.charge after the commit failed" in caplog.text
    assert "NO_SUCH_KEY" in caplog.text
    assert [EntryState.WAITING] == [item.state for item in outbox().find(EntryQuery()).items]
    assert 1 == outbox().deliver(hub()).done


def test_foreign_error_is_logged_without_message(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Of another library's error only the class is logged, since the message may hold a secret."""

    def raise_error() -> None:
        raise RuntimeError("hunter2")

    with override_settings(MOORAGE={**shop.settings, "PORTS": raise_error}):
        after_commit("payments", "charge", order())

    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


def test_request_makes_calls_that_it_deferred(shop: Shop) -> None:
    """A request makes the calls that it deferred; the calls of other requests wait for a worker."""
    other_entry = outbox().put("payments", "charge", order("INV-1"))
    with transaction.atomic():
        own_entries = [
            after_commit("payments", "charge", order(name)) for name in ("INV-2", "INV-3")
        ]

    assert 2 == shop.charges
    states = {item.id: item.state for item in outbox().find(EntryQuery()).items}
    assert {
        other_entry.id: EntryState.WAITING,
        **{item.id: EntryState.DONE for item in own_entries},
    } == states


UNREADABLE = {"vendors": {"stripe": {"credentials": "secret://env/NO_SUCH_KEY"}}}
