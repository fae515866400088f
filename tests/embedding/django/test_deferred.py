"""Calls that are made after the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import transaction
from django.test.utils import override_settings

from moorage.hub.outbox import EntryQuery, EntryState
from moorage_django import after_commit, hub, outbox
from tests.embedding.django.shop import Shop, opened, order

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def shop() -> Generator[Shop]:
    """A shop whose process makes calls itself."""
    with opened(Shop()) as made:
        yield made


def test_made_after_the_commit(shop: Shop) -> None:
    """A call that is put off is made when the transaction is committed, and not before."""
    with transaction.atomic():
        after_commit("payments", "charge", order())
        assert 0 == shop.charges

    assert 1 == shop.charges
    assert [EntryState.DONE] == [item.state for item in outbox().find(EntryQuery()).items]


def test_not_made_after_a_rollback(shop: Shop) -> None:
    """A call that is put off is forgotten with the transaction that is rolled back."""
    with transaction.atomic():
        after_commit("payments", "charge", order())
        transaction.set_rollback(True)

    assert 0 == shop.charges
    assert () == outbox().find(EntryQuery()).items


def test_made_by_a_worker() -> None:
    """Where there is a worker, the call waits for it."""
    with opened(Shop(), WORKER=True) as shop:
        after_commit("payments", "charge", order())
        assert 0 == shop.charges

        outbox().deliver(hub())
        assert 1 == shop.charges


def test_named_once(shop: Shop) -> None:
    """A call with a key is made once, however often it is asked for."""
    for _ in range(2):
        after_commit("payments", "charge", order(), key="INV-1")

    assert 1 == shop.charges


def test_a_rollback_takes_no_charge_back(shop: Shop) -> None:
    """What was charged in a transaction that is rolled back stays charged, and replays."""
    with transaction.atomic():
        first = hub().payments().charge(order(), idempotency_key="INV-1/1")
        transaction.set_rollback(True)
    again = hub().payments().charge(order(), idempotency_key="INV-1/1")

    assert 1 == shop.charges
    assert first.ref == again.ref


def test_what_cannot_be_delivered_disturbs_nobody(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The commit and the host's other hooks go on, the reason is logged, and the call stays."""
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


def test_what_breaks_is_logged_without_its_words(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that is none of ours is named, and its words, which may hold a secret, are not."""

    def broken() -> None:
        raise RuntimeError("hunter2")

    with override_settings(MOORAGE={**shop.settings, "PORTS": broken}):
        after_commit("payments", "charge", order())

    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


def test_nobody_makes_the_calls_of_others(shop: Shop) -> None:
    """A request makes the calls that it put off itself; those of others wait for a worker."""
    others = outbox().put("payments", "charge", order("INV-1"))
    with transaction.atomic():
        mine = [after_commit("payments", "charge", order(name)) for name in ("INV-2", "INV-3")]

    assert 2 == shop.charges
    states = {item.id: item.state for item in outbox().find(EntryQuery()).items}
    assert {others.id: EntryState.WAITING, **{item.id: EntryState.DONE for item in mine}} == states


UNREADABLE = {"vendors": {"stripe": {"credentials": "secret://env/NO_SUCH_KEY"}}}
