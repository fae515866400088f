"""Credentials and the integration log in Django's database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from django.apps import apps
from django.db import OperationalError, ProgrammingError, connections
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

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
from moorage.testing.kits._state_commands import new_key, read_command
from moorage.testing.kits.checks import name_of
from moorage.wiring.store_urls import aopen_storage, open_storage
from moorage_django import credentials, log
from moorage_django.errors import meaning
from moorage_django.models import Call, Credential
from moorage_django.moments import now_in
from moorage_django.state import OrmStorage
from tests.support.django_project import BARE_NAME, POSTGRES, configure

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.kits.credentials_conformance import Renew


pytestmark = pytest.mark.usefixtures("allow_sync_in_a_loop")

CIPHER = AesGcmCipher(generate_keys())


@pytest.mark.parametrize("check", credentials_conformance.CHECKS, ids=name_of)
def test_credential_provider_passes_conformance_kit_of_its_port(
    check: credentials_conformance.Check, alias: str
) -> None:
    """The Django credential provider passes the conformance kit for credential providers."""

    def new_provider(renew: Renew) -> SealedCredentialProvider:
        Credential.objects.using(alias).all().delete()
        return SealedCredentialProvider(credentials.AsyncOrmRows(alias), CIPHER, renew=renew)

    check(new_provider)


@pytest.mark.parametrize("check", credentials_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_credentials_conform(check: credentials_conformance.AsyncCheck, alias: str) -> None:
    """The asynchronous Django credential provider passes the kit for credential providers."""

    def new_provider(renew: Any) -> AsyncSealedCredentialProvider:
        Credential.objects.using(alias).all().delete()
        return AsyncSealedCredentialProvider(credentials.AsyncOrmRows(alias), CIPHER, renew=renew)

    asyncio.run(check(new_provider))


@pytest.mark.untraced
@pytest.mark.parametrize("check", integration_log_conformance.CHECKS, ids=name_of)
def test_integration_log_passes_conformance_kit_of_its_port(
    check: integration_log_conformance.Check, alias: str
) -> None:
    """The Django integration log passes the conformance kit for integration logs."""

    def new_logger() -> log.OrmLogger:
        Call.objects.using(alias).all().delete()
        return log.OrmLogger(alias)

    check(new_logger)


@pytest.mark.untraced
@pytest.mark.parametrize("check", integration_log_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_log_conforms(check: integration_log_conformance.AsyncCheck, alias: str) -> None:
    """The asynchronous Django integration log passes the conformance kit for integration logs."""

    def new_logger() -> log.AsyncOrmLogger:
        Call.objects.using(alias).all().delete()
        return log.AsyncOrmLogger(log.OrmLogger(alias))

    asyncio.run(check(new_logger))


@pytest.mark.parametrize("is_async", [False, True])
def test_key_rotation_reseals_everything(alias: str, is_async: bool) -> None:
    """Key rotation encrypts every row again, page by page, and all rows can be decrypted."""
    Credential.objects.using(alias).all().delete()
    older_ring = generate_keys()
    previous_provider = SealedCredentialProvider(
        credentials.OrmRows(alias), AesGcmCipher(older_ring)
    )
    for tenant in ("acme", "globex", None):
        previous_provider.rotate("vat", tenant, Credentials.bearer(f"{tenant}-token"))
    cipher = AesGcmCipher(generate_keys(older_ring))
    if is_async:
        resealed = asyncio.run(credentials.aprovider(alias, cipher).reseal(batch=2))
    else:
        resealed = credentials.provider(alias, cipher).reseal(batch=2)

    assert 3 == resealed
    later_provider = credentials.provider(alias, cipher)
    assert Credentials.bearer("acme-token") == later_provider.get("vat", "acme")
    assert 0 == later_provider.reseal()


def test_moved_credentials_do_not_open(alias: str) -> None:
    """Credentials copied to another owner cannot be decrypted, and key rotation reports them."""
    Credential.objects.using(alias).all().delete()
    older_ring = generate_keys()
    provider = credentials.provider(alias, AesGcmCipher(older_ring))
    for tenant in ("acme", "globex"):
        provider.rotate("vat", tenant, Credentials.bearer(f"{tenant}-token"))
    rows = Credential.objects.using(alias)
    acme_row = rows.get(tenant="acme")
    rows.filter(tenant="globex").update(sealed=acme_row.sealed, about=acme_row.about)

    with pytest.raises(InvalidData):
        provider.get("vat", "globex")
    with pytest.raises(InvalidData):
        credentials.provider(alias, AesGcmCipher(generate_keys(older_ring))).reseal()


def test_migrations_create_the_tables_of_the_models() -> None:
    """The migrations create the tables that the models describe."""
    migrations = MigrationLoader(None)
    models = ProjectState.from_apps(apps)
    detector = MigrationAutodetector(migrations.project_state(), models)

    assert {} == detector.changes(graph=migrations.graph, trim_to_apps={"moorage_django"})


def test_rejected_log_entry_is_skipped(alias: str) -> None:
    """A log entry that the database rejects is dropped, and all other entries are written."""
    Call.objects.using(alias).all().delete()
    stored_logger = log.OrmLogger(alias)
    good_entry = integration_log_conformance.entry(1)
    for element in (
        good_entry,
        attrs.evolve(good_entry, id="bad", attempts=10**30),
        attrs.evolve(good_entry, id="also"),
    ):
        stored_logger.write(element)

    assert ["also", good_entry.id] == [item.id for item in stored_logger.find(LogQuery()).items]


def test_error_at_first_use_of_database_without_tables_says_to_migrate() -> None:
    """The error at the first use of a database without tables advises to migrate."""
    configure()

    with pytest.raises(ConfigurationError, match="migrate"):
        OrmStorage(BARE_NAME).execute(read_command(new_key()))
    with pytest.raises(ConfigurationError, match="migrate"):
        log.OrmLogger(BARE_NAME).find(LogQuery())


@pytest.mark.parametrize(
    "use",
    [lambda alias: OrmStorage(alias).execute(read_command(new_key())), now_in],
    ids=["state", "time"],
)
def test_unreachable_database_raises_storage_unavailable(use: Callable[[str], object]) -> None:
    """If the database is unreachable, StorageUnavailable is raised, and a worker waits."""
    absent_database = {
        **connections.settings[POSTGRES],
        "NAME": "absent",
        "HOST": "127.0.0.1",
        "PORT": 9,
        "USER": "nobody",
    }
    connections.settings["away"] = absent_database
    try:
        with pytest.raises(StorageUnavailable) as result:
            use("away")
    finally:
        del connections.settings["away"]

    assert result.value.__cause__ is None is result.value.__context__


def test_store_in_the_django_database_can_be_named_by_url() -> None:
    """A URL in configurations and commands can select the store in Django's database."""
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
def test_missing_database_and_missing_tables_raise_different_errors(
    error: Exception, expected: type[Exception]
) -> None:
    """A missing database is reported as unavailable; missing tables raise a different error."""
    assert type(meaning(error)) is expected
