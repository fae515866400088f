"""Credentials of consents, which a vendor's operation stores in the hub's credential provider."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncHub, ConfigurationError, Credentials, Hub, StorageUnavailable
from moorage.adapters.audit.file import FileAudit
from moorage.adapters.credentials.audited import AuditedCredentials
from moorage.adapters.credentials.cached import CachedCredentials
from moorage.adapters.credentials.environment import (
    AsyncEnvironmentCredentialProvider,
    EnvironmentCredentialProvider,
)
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.contracts.bank import BankConsent, ConsentStatus
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.audit import AuditTrail
from moorage.testing.sandboxes.bank.berlin_group import BASE, HOST
from moorage.testing.sandboxes.bank.gocardless import GoCardlessSandbox
from moorage.vendors.bank.berlin_group import BerlinGroup
from moorage.vendors.bank.gocardless import GoCardless

if TYPE_CHECKING:
    from moorage.contracts.wire import Wire

REF = Ref("gocardless", "banks", "c-1")


async def _stored_consent(wire: Wire, ref: Ref) -> BankConsent:
    """Return a consent whose `vendor_status` is the stored token; store a token if missing."""
    stored = await wire.consent_credentials(ref.id)
    if stored is None:
        await wire.store_consent_credentials(ref.id, Credentials.bearer("token-1"))
        return BankConsent(ref=ref, status=ConsentStatus.PENDING)
    assert isinstance(stored, Credentials)
    assert stored.secret is not None
    return BankConsent(ref=ref, status=ConsentStatus.GRANTED, vendor_status=stored.secret.reveal())


class KeepingVendor(GoCardless):
    """A vendor whose account has an OAuth client, and whose consents have tokens."""

    async def get_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        """Return a consent whose `vendor_status` is the token stored for it."""
        return await _stored_consent(wire, ref)


class KeepingBank(BerlinGroup):
    """A vendor that has no OAuth client, and gives a token for each consent."""

    async def get_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        """Return a consent whose `vendor_status` is the token stored for it."""
        return await _stored_consent(wire, ref)


def accounts() -> list[Account]:
    """Return an account with an OAuth client, and one without."""
    sandbox = GoCardlessSandbox()
    return [
        Account("banks", KeepingVendor(secret_id=sandbox.secret_id, secret_key=sandbox.secret_key)),
        Account("bank", KeepingBank(base_url=f"https://{HOST}{BASE}")),
    ]


READ_ONLY = (
    None,
    EnvironmentCredentialProvider({}),
    CachedCredentials(EnvironmentCredentialProvider({})),
    AuditedCredentials(EnvironmentCredentialProvider({}), AuditTrail(FileAudit("unused"))),
)
"""Providers that store no credentials."""

CONSENT_KEYS = ("gocardless:banks:c-1", "berlin_group:bank:c-1")


@pytest.mark.parametrize("ref", CONSENT_KEYS)
def test_credentials_are_stored_for_the_consent(ref: str) -> None:
    """Stored credentials are found only for the same consent, account and tenant."""
    store = MemoryCredentialProvider()
    with Hub(accounts(), credentials=store) as hub:
        acme, other = (hub.bank(name) for name in ("acme", "other"))
        words = [
            bank.get_consent(consent).vendor_status
            for bank, consent in ((acme, ref), (acme, ref), (other, ref), (acme, f"{ref}2"))
        ]
    assert [None, "token-1", None, None] == words
    assert store.has(f"{Ref.parse(ref).account}/c-1", "acme")


def test_credentials_are_stored_asynchronously() -> None:
    """An asynchronous hub stores the credentials in its asynchronous provider."""

    async def run() -> list[str | None]:
        async with AsyncHub(accounts(), credentials=AsyncMemoryCredentialProvider()) as hub:
            return [
                (await hub.bank().get_consent(ref)).vendor_status
                for ref in (*CONSENT_KEYS, *CONSENT_KEYS)
            ]

    assert [None, None, "token-1", "token-1"] == asyncio.run(run())


@pytest.mark.parametrize("ref", CONSENT_KEYS)
@pytest.mark.parametrize("provider", READ_ONLY)
def test_consent_needs_a_store(provider: Any, ref: str) -> None:
    """Without a provider that stores credentials, the error says how to configure one."""
    hub = Hub(accounts(), credentials=provider)
    with hub, pytest.raises(ConfigurationError, match="issues credentials for each") as excinfo:
        hub.bank().get_consent(ref)
    assert f"vendors.{Ref.parse(ref).account}" == excinfo.value.path


@pytest.mark.parametrize("provider", [None, AsyncEnvironmentCredentialProvider({})])
def test_asynchronous_consent_needs_a_store(provider: Any) -> None:
    """An asynchronous hub without a provider that stores credentials raises the same error."""

    async def run() -> None:
        async with AsyncHub(accounts(), credentials=provider) as hub:
            for ref in CONSENT_KEYS:
                with pytest.raises(ConfigurationError, match="no credential store"):
                    await hub.bank().get_consent(ref)

    asyncio.run(run())


class BrokenProvider(MemoryCredentialProvider):
    """A provider whose store fails with another library's error, which contains the credential."""

    def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Raise an error whose text contains the credential."""
        raise OSError(f"cannot write {new.secret.reveal()}")


def test_failing_store_is_unavailable() -> None:
    """A store that fails raises `StorageUnavailable`, without the credentials in its text."""
    hub = Hub(accounts(), credentials=BrokenProvider())
    with hub, pytest.raises(StorageUnavailable, match="provider raised OSError") as excinfo:
        hub.bank().get_consent(REF)
    error = excinfo.value
    assert "token-1" not in f"{error!r}{error.__cause__!r}{error.__context__!r}"
