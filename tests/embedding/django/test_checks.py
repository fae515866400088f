"""`manage.py check` names each mistake in a project's settings."""

from __future__ import annotations

from pprint import pformat
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test.utils import override_settings
from django.views.debug import SafeExceptionReporterFilter

import moorage_django
from moorage import Secret
from moorage.adapters.ciphers.aes_gcm import KEYS_COMMAND
from moorage_django.checks import settings_are_right, tables_are_there
from tests.embedding.django.shop import KEYS
from tests.support.django_project import BARE_NAME, SMTP_ALONE, SQLITE, migrate

CORRECT_SETTINGS: dict[str, Any] = {"CONFIGURATION": SMTP_ALONE, "KEYS": KEYS}
HOST = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/erp.sqlite3"}
pytestmark = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")

KEY = "sk_live_" + "x" * 24
STRIPE = {"vendors": {"stripe": {"credentials": Secret(KEY)}}}
INLINE = {"vendors": {"stripe": {"credentials": KEY}}}


def check_ids(
    databases: dict[str, Any] | None = None, *, debug: bool = False, **messages: Any
) -> set[str]:
    """Return the ids of the check messages that these settings cause."""
    changed_settings: dict[str, Any] = {"MOORAGE": {**CORRECT_SETTINGS, **messages}, "DEBUG": debug}
    if databases is not None:
        changed_settings["DATABASES"] = databases
    with override_settings(**changed_settings):
        return {str(item.id).removeprefix("moorage.") for item in settings_are_right()}


def test_correct_project_causes_no_check_message() -> None:
    """A correct project causes no check message."""
    assert set() == check_ids()
    with override_settings(MOORAGE=CORRECT_SETTINGS):
        assert [] == run_checks(tags=["moorage"])


@pytest.mark.parametrize(
    "expected, fields",
    [
        ("E001", {"SATTE": "memory:"}),
        ("E001", {"DATABASE": "nowhere"}),
        ("E001", {"DATABASE": ["nowhere"]}),
        ("E001", {"KEEP": "a while"}),
        ("E001", {"KEEP": -1}),
        ("E001", {"KEEP": 1e9}),
        ("E001", {"KEYS": 5}),
        ("E001", {"WORKER": "no"}),
        ("E001", {"ENVIRONMENT": 5}),
        ("E001", {"SUBJECT": "nobody.knows"}),
        ("E001", {"SUBJECT": 5}),
        ("E001", {"PORTS": "nobody.knows"}),
        ("E001", {"APORTS": [1]}),
        ("E001", {"APORTS": {"observer": ()}}),
        ("E002", {"STATE": "nowhere://host"}),
        ("E002", {"CONFIGURATION": {"vendors": {"smtp": {"host": 7}}}}),
        ("E002", {"CONFIGURATION": "/nowhere/moorage.toml"}),
        ("E003", {"CONFIGURATION": {"vendors": {"stripe": {"credentials": "secret://env/NO"}}}}),
        ("E004", {"KEYS": "1:short"}),
        ("W003", {"STATE": "memory:"}),
        ("W005", {"CONFIGURATION": STRIPE}),
        ("W009", {"STATE": "redis://:passw0rd@127.0.0.1:1/0"}),
    ],
)
def test_each_wrong_or_missing_setting_has_check_message_of_its_own(
    expected: str, fields: dict[str, Any]
) -> None:
    """Each wrong or missing setting has a check message of its own."""
    assert {expected} == check_ids(**fields)


def test_project_without_settings_gets_message_that_names_setting_to_add() -> None:
    """A project without settings gets a message that names the setting to add."""
    with override_settings(MOORAGE=None):
        (error,) = settings_are_right()

    assert ("moorage.E001", True) == (error.id, "CONFIGURATION" in error.hint)


def test_check_warns_if_nothing_is_encrypted_for_lack_of_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without encryption keys nothing is encrypted, and a check warns about that."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)

    assert {"W004"} == check_ids(KEYS=None)


def test_tenants_need_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check reports that accounts of tenants cannot be stored without keys."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)

    assert {"E004"} == check_ids(KEYS=None, TENANTS=True)


def test_retention_may_be_unlimited() -> None:
    """Unlimited retention of data needs no number of days."""
    assert set() == check_ids(KEEP=None)


def test_check_warns_of_live_credentials_with_debug_on() -> None:
    """A check warns if a project with DEBUG on has live credentials."""
    assert {"W005", "W006"} == check_ids(debug=True, CONFIGURATION=STRIPE)


def test_check_warns_of_a_plain_secret_in_the_settings() -> None:
    """A check warns of a plain secret in the settings, but not of a `Secret`."""
    assert {"W005", "W009"} == check_ids(CONFIGURATION=INLINE)
    for configuration, shows in ((INLINE, True), (STRIPE, False)):
        with override_settings(MOORAGE={**CORRECT_SETTINGS, "CONFIGURATION": configuration}):
            reported_settings = pformat(SafeExceptionReporterFilter().get_safe_settings())
        assert shows is (KEY in reported_settings)


def test_several_workers_without_a_store_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several workers without a shared store are refused."""
    monkeypatch.setenv("WEB_CONCURRENCY", "4")

    assert {"E007"} == check_ids(STATE="memory:")


def test_check_advises_a_separate_file_for_atomic_requests_on_sqlite() -> None:
    """A check advises a host with atomic requests on SQLite to use a separate file for moorage."""
    host = {**HOST, "ATOMIC_REQUESTS": True}

    assert {"W001", "W002"} == check_ids({"default": host})
    assert set() == check_ids({"default": host, "moorage": moorage_django.beside(host)})


def test_check_names_database_engine_that_moorage_does_not_support() -> None:
    """A Django check names a database engine that moorage does not support."""
    oracle_database = {"ENGINE": "django.db.backends.oracle", "NAME": "erp"}

    assert "E005" in check_ids({"default": HOST, "moorage": oracle_database})


def test_check_refuses_atomic_requests_on_the_reserved_alias() -> None:
    """A check refuses atomic requests on the alias that is reserved for moorage."""
    fields = {**moorage_django.beside(HOST), "ATOMIC_REQUESTS": True}

    assert {"E006"} == check_ids({"default": HOST, "moorage": fields})


def test_checking_database_names_tables_that_are_missing() -> None:
    """Checking the database names the tables that are missing."""
    assert [] == tables_are_there([migrate("default"), migrate(SQLITE)])
    assert [] == tables_are_there(None)
    (missing_warning,) = tables_are_there([BARE_NAME])

    assert ("moorage.W008", True) == (missing_warning.id, "--database bare" in missing_warning.hint)


def test_hint_about_missing_keys_names_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint about missing keys names a command that prints new keys in plain text."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)
    with override_settings(MOORAGE={**CORRECT_SETTINGS, "KEYS": None}):
        (warning,) = [item for item in settings_are_right() if item.id == "moorage.W004"]

    assert str(warning.hint).endswith(KEYS_COMMAND)
    assert ".reveal()" in KEYS_COMMAND
