"""What people see and decide in Django's admin."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from moorage import CircuitState, ConnectionFailed, RateLimitExceeded
from moorage.hub.outbox import EntryQuery
from moorage.testing.sandboxes.base import Lost, reply
from moorage_django import after_commit, hub, outbox, worker
from moorage_django.models import Deferred
from moorage_django.runtime import process
from tests.embedding.django.shop import Shop, opened, order

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def shop() -> Generator[Shop]:
    """A shop that has a worker."""
    with opened(Shop(), WORKER=True) as made:
        User.objects.all().delete()
        yield made


def browser(**rights: bool) -> Client:
    """The browser of somebody who works here."""
    person = User.objects.create_user("ann", is_staff=True, **rights)
    client = Client()
    client.force_login(person)
    return client


def test_the_log_is_read_and_not_written(shop: Shop) -> None:
    """The log shows its calls, and offers no way to change them."""
    hub().payments().charge(order(), idempotency_key="INV-1/1")
    client = browser(is_superuser=True)

    page = client.get(reverse("admin:moorage_django_call_changelist"))
    assert (200, True) == (page.status_code, b"stripe" in page.content)
    assert 403 == client.get(reverse("admin:moorage_django_call_add")).status_code


@pytest.mark.parametrize(
    "action, state, word",
    [
        ("drop", "dropped", "1 entry called off."),
        ("replay", "waiting", "1 entry put back to be done again."),
    ],
)
def test_a_person_decides(shop: Shop, action: str, state: str, word: str) -> None:
    """Calls that are put off can be called off, and done again; that is asked and told."""
    entry = after_commit("payments", "charge", order())
    before = outbox().find(EntryQuery()).items[0]
    client, page = browser(is_superuser=True), reverse("admin:moorage_django_deferred_changelist")
    options = {"action": action, "_selected_action": [entry.number], "index": "0"}

    response = client.post(page, options)
    assert (200, True) == (response.status_code, b"Are you sure?" in response.content)
    assert str(entry.number).encode() in response.content
    assert before == outbox().find(EntryQuery()).items[0]

    del options["index"]
    answer = client.post(page, {**options, "confirmed": "yes"}, follow=True)
    assert word in answer.content.decode()
    (after,) = outbox().find(EntryQuery()).items
    assert (state, before.fence + 1) == (after.state, after.fence)


def test_what_cannot_be_changed_is_told(shop: Shop) -> None:
    """An entry that somebody works on is left alone, and the reason is shown."""
    entry = after_commit("payments", "charge", order())
    Deferred.objects.update(state="claimed", due=process.now() + timedelta(hours=1))
    page = reverse("admin:moorage_django_deferred_changelist")
    options = {"action": "drop", "_selected_action": [entry.number], "confirmed": "yes"}

    response = browser(is_superuser=True).post(page, options, follow=True).content.decode()
    assert "A worker is processing the entry" in response
    assert "called off." not in response


@pytest.fixture
def limited() -> Generator[Shop]:
    """A shop whose vendor has asked for a pause of half an hour."""
    shop = Shop()
    configuration = shop.settings["CONFIGURATION"]
    configuration["vendors"]["stripe"] |= {"limits": {"rate": 100, "per": 1.0}}
    with opened(shop, CONFIGURATION=configuration):
        User.objects.all().delete()
        shop.sandbox.fail(reply({}, 429, **{"retry-after": "1800"}))
        with pytest.raises(RateLimitExceeded):
            hub().payments().charge(order(), idempotency_key="INV-1/1")
        yield shop


def test_the_pause_of_a_limit_is_ended(limited: Shop) -> None:
    """Whoever may change calls ends a pause in two steps, and calls go on."""
    client, page = browser(is_superuser=True), reverse("admin:moorage_django_limits")
    assert page.encode() in client.get(reverse("admin:moorage_django_call_changelist")).content
    assert b"One of: stripe." in client.get(page).content

    response = client.post(page, {"service": "stripe"})
    assert (200, True) == (response.status_code, b"End the pause of stripe now" in response.content)
    with pytest.raises(RateLimitExceeded):
        hub().payments().charge(order(), idempotency_key="INV-1/1")
    confirmed = {"service": "stripe", "confirmed": "yes"}
    assert "go on" in client.post(page, confirmed, follow=True).content.decode()

    hub().payments().charge(order(), idempotency_key="INV-1/2")
    assert "were not paused" in client.post(page, confirmed, follow=True).content.decode()


def test_the_limits_of_nobody(limited: Shop) -> None:
    """A service, tenant or endpoint that there is not is told, and the form is shown again."""
    client, page = browser(is_superuser=True), reverse("admin:moorage_django_limits")
    for target in ({"service": "nobody"}, {"service": "stripe", "tenant": "a", "endpoint": "x"}):
        assert b"Yes, end the pause" in client.post(page, target).content
        answer = client.post(page, {**target, "confirmed": "yes"})
        assert (200, True) == (answer.status_code, b'class="error"' in answer.content)
    assert b"This field is required" in client.post(page, {"confirmed": "yes"}).content


@pytest.fixture
def unknown(shop: Shop) -> str:
    """The key of a payment of which a shop does not know whether it was made."""
    key = uuid4().hex
    hub().manager.set_circuit("stripe", CircuitState.CLOSED)
    shop.sandbox.fail(Lost(), Lost(), Lost())
    with pytest.raises(ConnectionFailed):
        hub().payments().charge(order(key), idempotency_key=key)
    return key


def test_an_unknown_payment_is_closed(shop: Shop, unknown: str) -> None:
    """A person finds it, closes it in two steps, and the buyer is charged once."""
    client, page = browser(is_superuser=True), reverse("admin:moorage_django_unsettled")
    assert page.encode() in client.get(reverse("admin:moorage_django_call_changelist")).content
    assert unknown.encode() in client.get(page).content
    fields = {"key": unknown, "outcome": "done"}
    assert f"Close {unknown} as done".encode() in client.post(page, fields).content
    closed = client.post(page, {**fields, "confirmed": "yes"}, follow=True)

    assert b"is closed as done" in closed.content
    assert unknown not in [payment.idempotency_key for payment in hub().unsettled_payments()]
    assert hub().payments().charge(order(unknown), idempotency_key=unknown).replayed
    assert 1 == len(shop.sandbox.charges)


def test_closing_that_is_refused_is_told(shop: Shop, unknown: str) -> None:
    """While it may be under way nobody can say that it was not done; and not everybody may."""
    client, page = browser(is_superuser=True), reverse("admin:moorage_django_unsettled")
    fields = {"key": unknown, "outcome": "not done", "confirmed": "yes"}
    assert b"may still be under way" in client.post(page, fields, follow=True).content
    User.objects.all().delete()
    assert 403 == browser().get(page).status_code


def test_the_worker_leaves_a_payment_that_may_be_under_way(shop: Shop, unknown: str) -> None:
    """A round of the worker settles nothing while the caller of a payment may be at work."""
    for step in worker.steps():
        assert not step()
    assert unknown in [payment.idempotency_key for payment in hub().unsettled_payments()]


def test_who_may_not_end_a_pause(shop: Shop) -> None:
    """Who may only read the log sees no such page."""
    assert 403 == browser().get(reverse("admin:moorage_django_limits")).status_code


def test_who_may_not_decide(shop: Shop) -> None:
    """Who has no right to change entries is not even let in."""
    after_commit("payments", "charge", order())

    page = browser().get(reverse("admin:moorage_django_deferred_changelist"))
    assert 403 == page.status_code


def test_one_entry(shop: Shop) -> None:
    """A page of one entry shows what it is about, and not its content."""
    entry = after_commit("payments", "charge", order())
    client = browser(is_superuser=True)

    page = client.get(reverse("admin:moorage_django_deferred_change", args=[entry.number]))
    assert (200, True) == (page.status_code, b"charge" in page.content)
    assert b"149.90" not in page.content
