"""What Django's database keeps besides states: credentials, and the integration log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connections

from moorage import (
    ConfigurationError,
    Credentials,
    InvalidData,
    LogQuery,
    StorageUnavailable,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sealed import (
    AsyncSealedCredentialProvider,
    SealedCredentialProvider,
)
from moorage.testing import credentials_conformance, integration_log_conformance
from moorage.testing.kits._state_commands import new_key, read
from moorage.testing.kits.checks import name_of
from moorage.wiring.store_urls import aopen_storage, open_storage
from moorage_django import credentials, log
from moorage_django.errors import meaning
from moorage_django.models import Call, Credential
from moorage_django.state import OrmStorage
from tests.support.django_project import BARE, POSTGRES, configure

if TYPE_CHECKING:
    from moorage.testing.kits.credentials_conformance import Renew


pytestmark = pytest.mark.usefixtures("plain_in_a_loop")

CIPHER = AesGcmCipher(generate_keys())


@pytest.mark.parametrize("check", credentials_conformance.CHECKS, ids=name_of)
def test_credentials_conform(check: credentials_conformance.Check, alias: str) -> None:
    """Credentials keep the contract of their port."""

    def made(renew: Renew) -> SealedCredentialProvider:
        Credential.objects.using(alias).all().delete()
        return SealedCredentialProvider(credentials.BriefRows(alias), CIPHER, renew=renew)

    check(made)


@pytest.mark.parametrize("check", credentials_conformance.ASYNC_CHECKS, ids=name_of)
def test_credentials_conform_awaited(check: credentials_conformance.AsyncCheck, alias: str) -> None:
    """The awaited provider keeps the contract of its port."""

    def made(renew: Any) -> AsyncSealedCredentialProvider:
        Credential.objects.using(alias).all().delete()
        return AsyncSealedCredentialProvider(credentials.BriefRows(alias), CIPHER, renew=renew)

    asyncio.run(check(made))


@pytest.mark.parametrize("check", integration_log_conformance.CHECKS, ids=name_of)
def test_the_log_conforms(check: integration_log_conformance.Check, alias: str) -> None:
    """The log keeps the contract of its port."""

    def made() -> log.OrmLogger:
        Call.objects.using(alias).all().delete()
        return log.OrmLogger(alias)

    check(made)


@pytest.mark.parametrize("check", integration_log_conformance.ASYNC_CHECKS, ids=name_of)
def test_the_log_conforms_awaited(
    check: integration_log_conformance.AsyncCheck, alias: str
) -> None:
    """The awaited log keeps the contract of its port."""

    def made() -> log.AsyncOrmLogger:
        Call.objects.using(alias).all().delete()
        return log.AsyncOrmLogger(log.OrmLogger(alias))

    asyncio.run(check(made))


@pytest.mark.parametrize("awaited", [False, True])
def test_sealed_anew(alias: str, awaited: bool) -> None:
    """All that an older key has sealed is sealed anew, page by page, and still opens."""
    Credential.objects.using(alias).all().delete()
    older = generate_keys()
    before = SealedCredentialProvider(credentials.OrmRows(alias), AesGcmCipher(older))
    for tenant in ("acme", "globex", None):
        before.rotate("vat", tenant, Credentials.bearer(f"token of {tenant}"))
    cipher = AesGcmCipher(generate_keys(older))
    if awaited:
        resealed = asyncio.run(credentials.aprovider(alias, cipher).reseal(batch=2))
    else:
        resealed = credentials.provider(alias, cipher).reseal(batch=2)

    assert 3 == resealed
    after = credentials.provider(alias, cipher)
    assert Credentials.bearer("token of acme") == after.get("vat", "acme")
    assert 0 == after.reseal()


def test_moved_credentials_do_not_open(alias: str) -> None:
    """What somebody moved to another owner does not open there, and is named when sealed anew."""
    Credential.objects.using(alias).all().delete()
    older = generate_keys()
    provider = credentials.provider(alias, AesGcmCipher(older))
    for tenant in ("acme", "globex"):
        provider.rotate("vat", tenant, Credentials.bearer(f"token of {tenant}"))
    rows = Credential.objects.using(alias)
    taken = rows.get(tenant="acme")
    rows.filter(tenant="globex").update(sealed=taken.sealed, about=taken.about)

    with pytest.raises(InvalidData):
        provider.get("vat", "globex")
    with pytest.raises(InvalidData):
        credentials.provider(alias, AesGcmCipher(generate_keys(older))).reseal()


def test_no_migration_is_missing() -> None:
    """The migrations make the tables that the models describe."""
    call_command("makemigrations", "moorage_django", "--check", "--dry-run", verbosity=0)


def test_what_the_database_does_not_take(alias: str) -> None:
    """An entry that the database does not take is left out, and keeps no other one from it."""
    Call.objects.using(alias).all().delete()
    stored = log.OrmLogger(alias)
    good = integration_log_conformance.entry(1)
    for element in (
        good,
        attrs.evolve(good, id="bad", attempts=10**30),
        attrs.evolve(good, id="also"),
    ):
        stored.write(element)

    assert ["also", good.id] == [item.id for item in stored.find(LogQuery()).items]


def test_a_database_without_tables() -> None:
    """Who has not migrated is told to, by whatever is asked first."""
    configure()

    with pytest.raises(ConfigurationError, match="migrate"):
        OrmStorage(BARE).execute(read(new_key()))
    with pytest.raises(ConfigurationError, match="migrate"):
        log.OrmLogger(BARE).find(LogQuery())


def test_a_database_that_is_away() -> None:
    """A database that cannot be reached is told as a store that is away, not as an error of it."""
    away = {**connections.settings[POSTGRES], "HOST": "127.0.0.1", "PORT": 9, "USER": "nobody"}
    connections.settings["away"] = away
    try:
        with pytest.raises(StorageUnavailable) as result:
            OrmStorage("away").execute(read(new_key()))
    finally:
        del connections.settings["away"]

    assert result.value.__cause__ is None is result.value.__context__


def test_named_by_a_url() -> None:
    """A store in Django's database has a URL, for configurations and commands."""
    assert "OrmStorage('moorage')" == repr(open_storage("django://moorage"))
    assert "AsyncOrmStorage('moorage')" == repr(aopen_storage("django://moorage"))
    with pytest.raises(ConfigurationError, match="no database 'nowhere'"):
        open_storage("django://nowhere")


@pytest.mark.parametrize(
    "error, expected",
    [
        (OperationalError('database "erp" does not exist'), StorageUnavailable),
        (OperationalError("no such table: moorage_inbox"), ConfigurationError),
        (ProgrammingError('relation "moorage_inbox" does not exist'), ConfigurationError),
        (ProgrammingError("Table 'erp.moorage_inbox' doesn't exist"), ConfigurationError),
    ],
)
def test_what_is_not_there(error: Exception, expected: type[Exception]) -> None:
    """A database that is not there is away; only where it is there are tables missing."""
    assert type(meaning(error)) is expected
