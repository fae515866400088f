"""The stores and cipher of this project's hub."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from moorage import ConfigurationError
from moorage.adapters.ciphers.aes_gcm import KEYS_COMMAND, AesGcmCipher
from moorage.config import read_configuration
from moorage.domain.state.sealing import KeyRing
from moorage.wiring.store_urls import aopen_storage, open_storage
from moorage_django import credentials
from moorage_django.log import AsyncOrmLogger
from moorage_django.models import Credential, Deferred, Tenant, Webhook
from moorage_django.settings import DATABASE
from moorage_django.state import AsyncOrmStorage, OrmStorage
from moorage_django.tenants import AsyncOrmTenants, OrmTenants
from moorage_django.threads import gather

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from moorage.config import Configured
    from moorage.ports.cipher import Cipher
    from moorage_django.log import OrmLogger
    from moorage_django.settings import ProjectSettings

KEYS: Final = "MOORAGE_KEYS"
"""The environment variable with the keys that encrypt stored data."""


def ports(picked: ProjectSettings, log: OrmLogger) -> dict[str, Any]:
    """Return the ports of the synchronous hub."""
    url, cipher = store_url(picked), cipher_of(picked)
    ports: dict[str, Any] = {
        "log": log,
        "gather": gather(),
        "state": OrmStorage(picked.database) if url is None else open_storage(url),
    }
    if cipher is not None:
        credential_provider = credentials.provider(picked.database, cipher)
        ports |= {
            "cipher": cipher,
            "credentials": credential_provider,
            "tokens": credential_provider,
        }
    if picked.tenants:
        ports["tenants"] = OrmTenants(require_cipher(cipher))
    return ports | picked.ports_of(is_async=False)


def aports(picked: ProjectSettings, log: OrmLogger) -> dict[str, Any]:
    """Return the ports of the asynchronous hub."""
    url, cipher = store_url(picked), cipher_of(picked)
    ports: dict[str, Any] = {
        "log": AsyncOrmLogger(log),
        "state": AsyncOrmStorage(picked.database) if url is None else aopen_storage(url),
    }
    if cipher is not None:
        credential_provider = credentials.aprovider(picked.database, cipher)
        ports |= {
            "cipher": cipher,
            "credentials": credential_provider,
            "tokens": credential_provider,
        }
    if picked.tenants:
        ports["tenants"] = AsyncOrmTenants(OrmTenants(require_cipher(cipher)))
    return ports | picked.ports_of(is_async=True)


def require_cipher(cipher: Cipher | None) -> Cipher:
    """Return the cipher for stored strings; raise an error if none is configured."""
    if cipher is not None:
        return cipher
    raise ConfigurationError(
        "Tenants' accounts are stored encrypted, but no encryption key is configured.",
        path="MOORAGE.KEYS",
        remedy=f"Set MOORAGE_KEYS in the environment to the output of this command: {KEYS_COMMAND}",
    )


def configured_parts(picked: ProjectSettings) -> Configured:
    """Read moorage's configuration from the project's settings, and return it."""
    return read_configuration(picked.configuration, picked.environment)


def store_url(picked: ProjectSettings) -> str | None:
    """Return the state store's URL; None if the state store is Django's database."""
    url = picked.state or configured_parts(picked).state or DATABASE
    return None if url == DATABASE else url


def cipher_of(picked: ProjectSettings) -> Cipher | None:
    """Return the cipher with the keys of the project or configuration; None without keys."""
    if picked.keys is not None:
        return AesGcmCipher(KeyRing.parse(picked.keys))
    if KEYS in os.environ:
        return AesGcmCipher(KeyRing.from_environment(os.environ))
    settings = configured_parts(picked).cipher
    return None if settings is None else settings.open()


def stored_items(picked: ProjectSettings) -> dict[str, Any]:
    """Return the kinds of stored data on which a copy of the database could act, by name."""
    return {
        "webhooks": _Rows(Webhook.objects.all()),
        "calls": _Rows(Deferred.objects.all()),
        "tenants": _Rows(Tenant.objects.all()),
        "credentials": _Rows(Credential.objects.using(picked.database)),
    }


class _Rows:
    """Table rows that can be deleted together."""

    def __init__(self, rows: QuerySet[Any]) -> None:
        self._rows = rows

    def clear(self) -> int:
        """Delete all entries, and return their number."""
        deleted_rows, _ = self._rows.delete()
        return int(deleted_rows)
