"""The operations page in a Django project."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from moorage import CircuitState
from moorage.hub.audit import AuditTrail
from moorage.wiring.store_urls import open_audit
from moorage_django import after_commit, hub
from tests.dashboard.harness import form_of
from tests.embedding.django.shop import Shop, open_shop, order

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

ACT = "/operations/acts/circuit-open?service=stripe"


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop that leaves its calls and webhooks to a worker."""
    with open_shop(Shop(), WORKER=True) as new_shop:
        User.objects.all().delete()
        yield new_shop


def browser(*permissions: str, staff: bool = True) -> Client:
    """Return a browser whose user is logged in with these permissions."""
    person = User.objects.create_user("ann", is_staff=staff)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)
    return client


def test_only_staff_with_the_permission_reads(shop: Shop) -> None:
    """Only staff with the view permission see the page; anonymous visitors must log in."""
    assert 302 == Client().get("/operations/").status_code
    assert 403 == browser().get("/operations/").status_code
    User.objects.all().delete()
    assert 403 == browser("view_call", staff=False).get("/operations/").status_code


def test_staff_reads_every_page_and_does_not_act(shop: Shop) -> None:
    """With the permission to view calls, all pages are shown without actions."""
    client = browser("view_call")
    page = client.get("/operations/")
    assert "ann (read only)" in page.text
    assert "default-src 'none'" in page["Content-Security-Policy"]
    for link in set(re.findall('href="(/[^"]*)"', page.text)):
        assert link.startswith("/operations/")
        assert 200 == client.get(link.replace("&amp;", "&")).status_code, link
    assert 403 == client.get(ACT).status_code
    assert 404 == client.get("/operations/nowhere").status_code


def test_staff_with_permission_acts(shop: Shop) -> None:
    """With the permission to change calls, a form on the page forces a circuit open."""
    client = browser("view_call", "change_call")
    confirmation = client.get(ACT)
    form = {**form_of(confirmation.text), "reason": "a test"}
    kind = "application/x-www-form-urlencoded"
    target = "/operations/acts/circuit-open"
    assert 403 == client.post(target, "service=stripe&reason=x", content_type=kind).status_code
    act_response = client.post(
        target, "&".join(f"{a}={b}" for a, b in form.items()), content_type=kind
    )
    assert (303, "/operations/service?service=stripe") == (
        act_response.status_code,
        act_response["Location"],
    )
    assert "is forced_open now." in client.get(act_response["Location"]).text
    assert CircuitState.FORCED_OPEN is hub().manager.circuit_state("stripe").state
    assert 403 == client.get("/operations/acts/entry-drop?box=outbox&id=1").status_code


def test_acts_are_recorded_once_with_the_person(tmp_path: Path) -> None:
    """Each action is in the audit trail once, with the user's name; charts show the calls."""
    audit, shop = f"sqlite:///{tmp_path}/audit.db", Shop()
    configuration = {
        **shop.settings["CONFIGURATION"],
        "audit": {"url": audit},
        "metrics": {"url": "memory:"},
    }
    with open_shop(shop, WORKER=True, CONFIGURATION=configuration):
        User.objects.all().delete()
        person = User.objects.create_superuser("ann")
        client = Client()
        client.force_login(person)
        entries = [after_commit("payments", "charge", order()) for _ in range(2)]
        first = f"/operations/acts/entry-drop?box=outbox&id={entries[0].id}"
        for link in (ACT, first):
            form = {**form_of(client.get(link).text), "reason": "a test"}
            content = urlencode(form)
            kind = "application/x-www-form-urlencoded"
            act_response = client.post(link.partition("?")[0], content, content_type=kind)
            assert 303 == act_response.status_code
        options = {"action": "drop", "_selected_action": [entries[1].number], "confirmed": "yes"}
        client.post(reverse("admin:moorage_django_deferred_changelist"), options)
        assert "The last 6 hours" in client.get("/operations/").text
        assert 200 == client.get("/operations/levels").status_code
    with open_audit(audit) as store:
        records = [(item.actor, item.act, item.subject) for item in AuditTrail(store).find().items]
    assert [
        ("ann", "outbox.drop", f"entry {entries[1].id}"),
        ("ann", "outbox.drop", f"entry {entries[0].id}"),
        ("ann", "circuit.open", "circuit of stripe"),
    ] == records
