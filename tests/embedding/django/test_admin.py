"""What people see and decide in Django's admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from moorage.outbox import EntryQuery
from moorage_django import after_commit, hub, outbox
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


@pytest.mark.parametrize("action, state", [("drop", "dropped"), ("replay", "waiting")])
def test_a_person_decides(shop: Shop, action: str, state: str) -> None:
    """Calls that are put off can be called off, and done again."""
    entry = after_commit("payments", "charge", order())
    page = reverse("admin:moorage_django_deferred_changelist")
    given = {"action": action, "_selected_action": [entry.number]}

    assert 302 == browser(is_superuser=True).post(page, given).status_code
    assert state == outbox().find(EntryQuery()).items[0].state


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
