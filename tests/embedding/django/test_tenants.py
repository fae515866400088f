"""Accounts of tenants as database rows, which change while the project runs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from moorage import ConfigurationError, InvalidData, Secret
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.domain.state.sealing import KeyRing
from moorage.hub.inbox import EntryQuery
from moorage.packing import sealing_context
from moorage.testing import tenants_conformance
from moorage.testing.kits.checks import name_of
from moorage_django import hub, inbox
from moorage_django.models import Deferred, Tenant
from moorage_django.runtime import process
from moorage_django.tenants import (
    HIDDEN,
    AsyncOrmTenants,
    OrmTenants,
    masked_tables,
    restore_masked,
)
from moorage_django.worker import deliver
from tests.embedding.django.shop import KEYS, Shop, open_shop, order

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

CIPHER = AesGcmCipher(generate_keys())


def factory(alias: str, kind: Callable[[OrmTenants], Any]) -> Callable[[], tuple[Any, Any]]:
    """Return a factory that makes empty tables of tenants."""

    def new_stores() -> tuple[Any, Any]:
        Tenant.objects.using(alias).all().delete()
        plain_tenants = OrmTenants(CIPHER, alias)

        def put(tenant: str, tables: Mapping[str, Any] | None) -> None:
            if tables is None:
                plain_tenants.remove(tenant)
            else:
                plain_tenants.put(tenant, tables)

        return kind(plain_tenants), put

    return new_stores


@pytest.mark.usefixtures("allow_sync_in_a_loop")
@pytest.mark.parametrize("check", tenants_conformance.CHECKS, ids=name_of)
def test_table_of_tenants_passes_conformance_kit_of_its_port(
    check: tenants_conformance.Check, host_database: str
) -> None:
    """The Django table of tenants passes the conformance kit for tenant directories."""
    check(factory(host_database, lambda plain: plain))


@pytest.mark.usefixtures("allow_sync_in_a_loop")
@pytest.mark.parametrize("check", tenants_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_tenants_conform(check: tenants_conformance.AsyncCheck, host_database: str) -> None:
    """The asynchronous Django table of tenants passes the kit for tenant directories."""
    asyncio.run(check(factory(host_database, AsyncOrmTenants)))


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop whose tenants have their own accounts."""
    with open_shop(Shop(), TENANTS=True) as new_shop:
        Tenant.objects.all().delete()
        User.objects.all().delete()
        yield new_shop


def tables(key: str | Secret) -> dict[str, Any]:
    """Return the configuration tables of a tenant."""
    return {
        "vendors": {"stripe": {"credentials": key}},
        "payments": {"vendor": "stripe"},
    }


def test_new_tenant_is_used_without_a_restart(shop: Shop) -> None:
    """A tenant that is added while the project runs pays with its own account."""
    OrmTenants(AesGcmCipher(KeyRing.parse(KEYS))).put("acme", tables(shop.sandbox.api_key))

    payment = hub().payments("acme").charge(order(), idempotency_key="INV-1/1")
    assert ("acme.stripe", 1) == (payment.ref.account, shop.charges)


def test_tenant_tables_may_have_secrets(shop: Shop) -> None:
    """A `Secret` in a tenant's tables is stored as text; other types are refused and not shown."""
    tenants = OrmTenants(AesGcmCipher(KeyRing.parse(KEYS)))
    tenants.put("acme", tables(Secret(shop.sandbox.api_key)))

    payment = hub().payments("acme").charge(order(), idempotency_key="INV-1/1")
    assert ("acme.stripe", 1) == (payment.ref.account, shop.charges)
    for unfit in ({"hunter2": {1, 2}}, [Secret("hunter2")], {"a": float("nan")}):
        with pytest.raises(InvalidData) as excinfo:
            tenants.put("acme", unfit)  # type: ignore[arg-type]  # what a program might pass
        assert "hunter2" not in str(excinfo.value)


def test_cipher_of_the_configuration_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys of the project, the configuration's [cipher] encrypts all stored data."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)
    shop = Shop()
    settings = {**shop.settings["CONFIGURATION"], "cipher": {"keys": KEYS}}
    with open_shop(shop, TENANTS=True, KEYS=None, CONFIGURATION=settings):
        stored_tenants(shop)
        process.outbox().put("payments", "charge", order(), key="INV-7/1", tenant="acme")
        (entry,) = process.outbox().find(EntryQuery()).items
        row = Deferred.objects.get()
        assert b"INV-7" not in bytes(row.content)
        assert 1 == len(process.outbox().deliver(hub(), ids=[entry.id]).worked)
        assert 1 == shop.charges
        assert AesGcmCipher(KeyRing.parse(KEYS)).open(
            bytes(Tenant.objects.get().sealed), sealing_context("acme", "accounts", "tables")
        )


def stored_tenants(shop: Shop, **changes: Any) -> OrmTenants:
    """Store a single tenant, whose account receives webhooks, without loading it."""
    Tenant.objects.all().delete()
    result = OrmTenants(AesGcmCipher(KeyRing.parse(KEYS)))
    account = {
        "credentials": shop.sandbox.api_key,
        "webhook_secrets": [shop.sandbox.webhook_secret],
        **changes,
    }
    result.put("acme", {"vendors": {"stripe": account}, "payments": {"vendor": "stripe"}})
    return result


def webhook(shop: Shop) -> int:
    """Send a webhook for the tenant's account and return the status of the response."""
    shop.sandbox.webhook_url = "http://testserver/moorage/webhooks/acme.stripe/"
    shop.sandbox.emit_event("payment_intent.succeeded", INTENT)
    return shop.deliver()


INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 100,
    "currency": "eur",
    "status": "succeeded",
}


def test_new_processes_accept_a_tenants_webhook() -> None:
    """A new process accepts a tenant's webhook, and another new process handles it."""
    with open_shop(Shop(), TENANTS=True, WORKER=True) as shop:
        stored_tenants(shop)
        assert 200 == webhook(shop)
        (entry,) = inbox().find(EntryQuery()).items
        assert ("acme.stripe", "acme") == (entry.account, entry.tenant)
        process.close()

        assert [1] == [item.done for item in deliver()]
        assert ["pi_1"] == [event.ref.id for event in shop.news]


def test_webhook_of_a_misconfigured_tenant_gets_an_error() -> None:
    """If a tenant is misconfigured, its webhook gets an error that makes the vendor retry."""
    with open_shop(Shop(), TENANTS=True) as shop:
        stored_tenants(shop, speed=5)
        assert 500 == webhook(shop)
        stored_tenants(shop)
        process.close()
        assert 200 == webhook(shop)


def test_form_shows_no_secret(shop: Shop) -> None:
    """The form to add and change tenants never shows their secrets."""
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
    shown_tables = tables(HIDDEN)
    shown_tables["vendors"]["stripe"]["timeout"] = 7.5
    assert 302 == client.post(change, {"tables": json.dumps(shown_tables)}).status_code
    stored_stripe = OrmTenants(AesGcmCipher(KeyRing.parse(KEYS))).tables("acme")["vendors"][
        "stripe"
    ]
    assert {"credentials": "sk_test_of_acme", "timeout": 7.5} == stored_stripe


def test_tenant_without_its_key_is_listed(shop: Shop) -> None:
    """A tenant whose encryption key is missing is listed with a note, and can be deleted."""
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


def test_form_rejects_invalid_accounts(shop: Shop) -> None:
    """The form rejects accounts that moorage would reject later, and shows the reason."""
    person = User.objects.create_user("ann", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(person)
    options = {"name": "acme", "tables": json.dumps({"payments": {"vendor": "nobody"}})}

    answer = client.post(reverse("admin:moorage_django_tenant_add"), options)
    assert (200, True) == (answer.status_code, b"nobody" in answer.content)
    assert not Tenant.objects.exists()


def test_form_rejects_an_existing_name(shop: Shop) -> None:
    """Adding a tenant under an existing name does not overwrite its accounts."""
    client = Client()
    client.force_login(User.objects.create_user("ann", is_staff=True, is_superuser=True))
    existing_tenants = OrmTenants(AesGcmCipher(KeyRing.parse(KEYS)))
    existing_tenants.put("acme", tables("sk_test_of_acme"))
    options = {"name": "acme", "tables": json.dumps(tables("sk_test_of_another"))}

    answer = client.post(reverse("admin:moorage_django_tenant_add"), options)
    assert (200, True) == (answer.status_code, b"tenant with this name" in answer.content)
    assert tables("sk_test_of_acme") == existing_tenants.tables("acme")


def test_form_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without encryption keys the form names the missing setting, and nothing is stored."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)
    with open_shop(Shop(), KEYS=None):
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
def test_masked_list_items_keep_their_secrets(shown: list[str], entries: list[str]) -> None:
    """If a form with masked items is saved, each item keeps its secret, even if it moved."""
    stored_tables = {"vendors": {"stripe": {"webhook_secrets": SECRETS}}}

    assert {"vendors": {"stripe": {"webhook_secrets": [FIRST, SECOND]}}} == masked_tables(
        stored_tables
    )
    options = {"vendors": {"stripe": {"webhook_secrets": shown}}}
    assert {"vendors": {"stripe": {"webhook_secrets": entries}}} == restore_masked(
        options, stored_tables
    )


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
def test_mask_without_a_secret_is_rejected(options: dict[str, Any], path: str) -> None:
    """A masked value without a stored secret is rejected, as after renaming an account."""
    stored_tables = {"vendors": {"stripe": {"credentials": "sk", "webhook_secrets": SECRETS}}}
    with pytest.raises(InvalidData, match="no stored value to keep") as excinfo:
        restore_masked(options, stored_tables)

    assert path == excinfo.value.field


def test_tenants_need_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts of tenants are not stored unencrypted."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)

    with (
        open_shop(Shop(), TENANTS=True, KEYS=None),
        pytest.raises(ConfigurationError, match="keys"),
    ):
        hub()
