"""Pages in Django's admin that show the log and let staff cancel or repeat calls."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse

from moorage import CircuitState, ConnectionFailed
from moorage.hub.outbox import EntryQuery
from moorage.testing.sandboxes.base import Lost
from moorage_django import after_commit, hub, outbox, worker
from moorage_django.models import Deferred, Tenant
from moorage_django.runtime import process
from tests.embedding.django.shop import Shop, open_shop, order

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop that leaves its calls and webhooks to a worker."""
    with open_shop(Shop(), WORKER=True) as new_shop:
        User.objects.all().delete()
        yield new_shop


def browser(**rights: bool) -> Client:
    """Return a browser with a logged-in member of staff."""
    person = User.objects.create_user("ann", is_staff=True, **rights)
    client = Client()
    client.force_login(person)
    return client


def test_log_page_is_read_only(shop: Shop) -> None:
    """The admin page of the log lists the calls, and offers no way to change them."""
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
def test_actions_on_deferred_calls_need_confirmation(
    shop: Shop, action: str, state: str, word: str
) -> None:
    """Staff can cancel or repeat deferred calls, after a confirmation page; the result is shown."""
    entry = after_commit("payments", "charge", order())
    call_before = outbox().find(EntryQuery()).items[0]
    client, page = browser(is_superuser=True), reverse("admin:moorage_django_deferred_changelist")
    options = {"action": action, "_selected_action": [entry.number], "index": "0"}

    response = client.post(page, options)
    assert (200, True) == (response.status_code, b"Are you sure?" in response.content)
    assert str(entry.number).encode() in response.content
    assert call_before == outbox().find(EntryQuery()).items[0]

    del options["index"]
    answer = client.post(page, {**options, "confirmed": "yes"}, follow=True)
    assert word in answer.content.decode()
    (call_after,) = outbox().find(EntryQuery()).items
    assert (state, call_before.fence + 1) == (call_after.state, call_after.fence)


def test_action_on_a_leased_entry_is_refused(shop: Shop) -> None:
    """An action skips an entry that a worker holds, and the page shows the reason."""
    entry = after_commit("payments", "charge", order())
    Deferred.objects.update(state="claimed", due=process.now() + timedelta(hours=1))
    page = reverse("admin:moorage_django_deferred_changelist")
    options = {"action": "drop", "_selected_action": [entry.number], "confirmed": "yes"}

    response = browser(is_superuser=True).post(page, options, follow=True).content.decode()
    assert "A worker is processing the entry" in response
    assert "called off." not in response


@pytest.fixture
def unknown_key(shop: Shop) -> str:
    """Return the idempotency key of a payment whose outcome is unknown to the shop."""
    key = uuid4().hex
    hub().manager.set_circuit("stripe", CircuitState.CLOSED)
    shop.sandbox.fail(Lost(), Lost(), Lost())
    with pytest.raises(ConnectionFailed):
        hub().payments().charge(order(key), idempotency_key=key)
    return key


def test_worker_skips_payments_in_progress(shop: Shop, unknown_key: str) -> None:
    """The worker does not settle a payment whose caller may still be running."""
    for step in worker.steps():
        assert not step()
    assert unknown_key in [payment.idempotency_key for payment in hub().unsettled_payments()]


def test_changing_entries_needs_permission(shop: Shop) -> None:
    """Staff without the permission to change entries cannot open the pages of entries."""
    after_commit("payments", "charge", order())

    page = browser().get(reverse("admin:moorage_django_deferred_changelist"))
    assert 403 == page.status_code


def test_page_of_an_entry_hides_its_content(shop: Shop) -> None:
    """The page of an entry shows its kind and state, but not its content."""
    entry = after_commit("payments", "charge", order())
    client = browser(is_superuser=True)

    page = client.get(reverse("admin:moorage_django_deferred_change", args=[entry.number]))
    assert (200, True) == (page.status_code, b"charge" in page.content)
    assert b"149.90" not in page.content


@pytest.mark.parametrize("model", ["call", "webhook", "deferred", "tenant"])
def test_nul_in_addresses_is_refused(alias: str, model: str) -> None:
    """A NUL character in a URL, a search or a filter is refused on every database."""
    with open_shop(Shop(), WORKER=True, DATABASE=alias):
        User.objects.all().delete()
        client = browser(is_superuser=True)
        page = reverse(f"admin:moorage_django_{model}_changelist")
        assert 302 == client.get(f"{page}%00/change/").status_code
        assert 200 == client.get(f"{page}?q=%00", follow=True).status_code
        for lookup in ("service", "service__exact", "name", "status__exact", "state__exact"):
            assert 400 == client.get(f"{page}?{lookup}=%00").status_code


def test_tenant_id_with_nul_is_refused() -> None:
    """A tenant id with a NUL character is refused without asking a database."""
    request = RequestFactory().get("/")
    assert site.get_model_admin(Tenant).get_object(request, "\0") is None
