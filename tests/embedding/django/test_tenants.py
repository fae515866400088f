"""Accounts of tenants as rows, changed while the project runs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from moorage import ConfigurationError, InvalidData
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.domain.state.sealing import KeyRing
from moorage.hub.inbox import EntryQuery
from moorage.testing import tenants_conformance
from moorage.testing.kits.checks import name_of
from moorage_django import hub, inbox
from moorage_django.models import Tenant
from moorage_django.runtime import process
from moorage_django.tenants import HIDDEN, AsyncOrmTenants, OrmTenants, hidden, revealed
from moorage_django.worker import deliver
from tests.embedding.django.shop import KEYS, Shop, opened, order

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

CIPHER = AesGcmCipher(generate_keys())


def factory(alias: str, kind: Callable[[OrmTenants], Any]) -> Callable[[], tuple[Any, Any]]:
    """What makes tenants of whom nobody is known."""

    def made() -> tuple[Any, Any]:
        Tenant.objects.using(alias).all().delete()
        plain = OrmTenants(CIPHER, alias)

        def put(tenant: str, tables: Mapping[str, Any] | None) -> None:
            if tables is None:
                plain.remove(tenant)
            else:
                plain.put(tenant, tables)

        return kind(plain), put

    return made


@pytest.mark.usefixtures("plain_in_a_loop")
@pytest.mark.parametrize("check", tenants_conformance.CHECKS, ids=name_of)
def test_conforms(check: tenants_conformance.Check, home: str) -> None:
    """Tenants keep the contract of their port."""
    check(factory(home, lambda plain: plain))


@pytest.mark.usefixtures("plain_in_a_loop")
@pytest.mark.parametrize("check", tenants_conformance.ASYNC_CHECKS, ids=name_of)
def test_conforms_awaited(check: tenants_conformance.AsyncCheck, home: str) -> None:
    """Awaited tenants keep the contract of their port."""
    asyncio.run(check(factory(home, AsyncOrmTenants)))


@pytest.fixture
def shop() -> Generator[Shop]:
    """A shop whose tenants have accounts of their own."""
    with opened(Shop(), TENANTS=True) as made:
        Tenant.objects.all().delete()
        User.objects.all().delete()
        yield made


def tables(key: str) -> dict[str, Any]:
    """What a tenant has."""
    return {
        "vendors": {"stripe": {"credentials": key}},
        "payments": {"vendor": "stripe"},
    }


def test_in_use_without_a_restart(shop: Shop) -> None:
    """A tenant that is written down pays by its own account."""
    OrmTenants(AesGcmCipher(KeyRing.parse(KEYS))).put("acme", tables(shop.sandbox.api_key))

    payment = hub().payments("acme").charge(order(), idempotency_key="INV-1/1")
    assert ("acme.stripe", 1) == (payment.ref.account, shop.charges)


def written(shop: Shop, **changes: Any) -> OrmTenants:
    """Tenants of whom one has an account with webhooks, written down and not yet looked up."""
    result = OrmTenants(AesGcmCipher(KeyRing.parse(KEYS)))
    account = {
        "credentials": shop.sandbox.api_key,
        "webhook_secrets": [shop.sandbox.webhook_secret],
        **changes,
    }
    result.put("acme", {"vendors": {"stripe": account}, "payments": {"vendor": "stripe"}})
    return result


def webhook(shop: Shop) -> int:
    """Send a webhook of the tenant's account, and tell the status of the answer."""
    shop.sandbox.webhook_url = "http://testserver/moorage/webhooks/acme.stripe/"
    shop.sandbox.tell("payment_intent.succeeded", INTENT)
    return shop.deliver()


INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 100,
    "currency": "eur",
    "status": "succeeded",
}


def test_webhook_of_a_tenant_that_was_not_called() -> None:
    """A process that has just begun takes it, and another that has just begun handles it."""
    with opened(Shop(), TENANTS=True, WORKER=True) as shop:
        written(shop)
        assert 200 == webhook(shop)
        (entry,) = inbox().find(EntryQuery()).items
        assert ("acme.stripe", "acme") == (entry.account, entry.tenant)
        process.close()

        assert [1] == [item.done for item in deliver()]
        assert ["pi_1"] == [event.ref.id for event in shop.news]


def test_webhook_of_a_tenant_whose_tables_are_wrong() -> None:
    """The vendor is not told that nobody is there, so it sends again."""
    with opened(Shop(), TENANTS=True) as shop:
        written(shop, speed=5)
        assert 500 == webhook(shop)
        written(shop)
        process.close()
        assert 200 == webhook(shop)


def test_the_form_shows_no_secret(shop: Shop) -> None:
    """A tenant is written down and changed by a form that never shows what was given to it."""
    person = User.objects.create_user("ann", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(person)
    add = reverse("admin:moorage_django_tenant_add")
    options = {"name": "acme", "tables": json.dumps(tables("sk_test_of_acme"))}

    assert 302 == client.post(add, options).status_code
    (row,) = Tenant.objects.all()
    change = reverse("admin:moorage_django_tenant_change", args=[row.pk])
    page = client.get(change).content.decode()
    assert "sk_test_of_acme" not in page
    shown = tables(HIDDEN)
    shown["vendors"]["stripe"]["timeout"] = 7.5
    assert 302 == client.post(change, {"tables": json.dumps(shown)}).status_code
    stored = OrmTenants(AesGcmCipher(KeyRing.parse(KEYS))).tables("acme")["vendors"]["stripe"]
    assert {"credentials": "sk_test_of_acme", "timeout": 7.5} == stored


def test_a_row_that_cannot_be_opened(shop: Shop) -> None:
    """Where the key of a row is gone, the list is shown and says so; the row can be deleted."""
    client = Client()
    client.force_login(User.objects.create_user("ann", is_staff=True, is_superuser=True))
    OrmTenants(AesGcmCipher(generate_keys())).put("acme", tables("sk_test_of_acme"))
    (row,) = Tenant.objects.all()
    change = reverse("admin:moorage_django_tenant_change", args=[row.pk])

    for answer in (client.get(change, follow=True), client.post(change, {}, follow=True)):
        assert [(reverse("admin:moorage_django_tenant_changelist"), 302)] == answer.redirect_chain
        page = answer.content.decode()
        assert "acme" in page
        assert "Or delete this tenant here" in page
        assert "sk_test_of_acme" not in page
    delete = reverse("admin:moorage_django_tenant_delete", args=[row.pk])
    assert 302 == client.post(delete, {"post": "yes"}).status_code
    assert not Tenant.objects.exists()


def test_the_form_refuses_what_makes_no_sense(shop: Shop) -> None:
    """What moorage would refuse later is refused by the form, saying what is wrong."""
    person = User.objects.create_user("ann", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(person)
    options = {"name": "acme", "tables": json.dumps({"payments": {"vendor": "nobody"}})}

    answer = client.post(reverse("admin:moorage_django_tenant_add"), options)
    assert (200, True) == (answer.status_code, b"nobody" in answer.content)
    assert not Tenant.objects.exists()


def test_the_form_adds_nobody_twice(shop: Shop) -> None:
    """Who adds a tenant of a name that there is does not write over its accounts."""
    client = Client()
    client.force_login(User.objects.create_user("ann", is_staff=True, is_superuser=True))
    existing = OrmTenants(AesGcmCipher(KeyRing.parse(KEYS)))
    existing.put("acme", tables("sk_test_of_acme"))
    options = {"name": "acme", "tables": json.dumps(tables("sk_test_of_another"))}

    answer = client.post(reverse("admin:moorage_django_tenant_add"), options)
    assert (200, True) == (answer.status_code, b"tenant of this name" in answer.content)
    assert tables("sk_test_of_acme") == existing.tables("acme")


def test_the_form_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys the form says what to set, and keeps nothing."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)
    with opened(Shop(), KEYS=None):
        User.objects.all().delete()
        client = Client()
        client.force_login(User.objects.create_user("ann", is_staff=True, is_superuser=True))
        options = {"name": "initech", "tables": json.dumps(tables("sk_test_of_initech"))}
        answer = client.post(reverse("admin:moorage_django_tenant_add"), options)

    assert (200, True) == (answer.status_code, b"MOORAGE_KEYS" in answer.content)


SECRETS = ["one", "two"]
FIRST, SECOND = (f"{HIDDEN} {number}" for number in (1, 2))


@pytest.mark.parametrize(
    "shown, entries",
    [
        ([FIRST, SECOND], ["one", "two"]),
        ([SECOND], ["two"]),
        (["new", FIRST], ["new", "one"]),
        ([SECOND, "new", FIRST], ["two", "new", "one"]),
    ],
)
def test_hidden_texts_of_a_list(shown: list[str], entries: list[str]) -> None:
    """Of a list each hidden text is put back for itself, wherever it is moved."""
    stored = {"vendors": {"stripe": {"webhook_secrets": SECRETS}}}

    assert {"vendors": {"stripe": {"webhook_secrets": [FIRST, SECOND]}}} == hidden(stored)
    options = {"vendors": {"stripe": {"webhook_secrets": shown}}}
    assert {"vendors": {"stripe": {"webhook_secrets": entries}}} == revealed(options, stored)


@pytest.mark.parametrize(
    "options, path",
    [
        ({"vendors": {"shop": {"credentials": HIDDEN}}}, "vendors.shop.credentials"),
        ({"vendors": {"stripe": {"credentials": f"{HIDDEN} 1"}}}, "vendors.stripe.credentials"),
        (
            {"vendors": {"stripe": {"webhook_secrets": [f"{HIDDEN} 3"]}}},
            "vendors.stripe.webhook_secrets[0]",
        ),
        (
            {"vendors": {"stripe": {"webhook_secrets": [HIDDEN]}}},
            "vendors.stripe.webhook_secrets[0]",
        ),
    ],
)
def test_nothing_to_put_back(options: dict[str, Any], path: str) -> None:
    """A hidden text where nothing was is refused: a renamed account would lose its secrets."""
    stored = {"vendors": {"stripe": {"credentials": "sk", "webhook_secrets": SECRETS}}}
    with pytest.raises(InvalidData, match="nothing to be kept") as raised:
        revealed(options, stored)

    assert path == raised.value.field


def test_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts of tenants are not kept unsealed."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)

    with opened(Shop(), TENANTS=True, KEYS=None), pytest.raises(ConfigurationError, match="keys"):
        hub()
