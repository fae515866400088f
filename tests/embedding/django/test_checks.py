"""`manage.py check` names what is amiss with a project."""

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
from tests.support.django_project import BARE, SMTP_ALONE, SQLITE, migrated

RIGHT: dict[str, Any] = {"CONFIGURATION": SMTP_ALONE, "KEYS": KEYS}
HOST = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/erp.sqlite3"}
pytestmark = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")

KEY = "sk_live_" + "x" * 24
STRIPE = {"vendors": {"stripe": {"credentials": Secret(KEY)}}}
INLINE = {"vendors": {"stripe": {"credentials": KEY}}}


def found(
    databases: dict[str, Any] | None = None, *, debug: bool = False, **messages: Any
) -> set[str]:
    """The names of what is found with these settings."""
    changed: dict[str, Any] = {"MOORAGE": {**RIGHT, **messages}, "DEBUG": debug}
    if databases is not None:
        changed["DATABASES"] = databases
    with override_settings(**changed):
        return {str(item.id).removeprefix("moorage.") for item in settings_are_right()}


def test_nothing() -> None:
    """A project that is right has nothing to hear."""
    assert set() == found()
    with override_settings(MOORAGE=RIGHT):
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
def test_settings(expected: str, fields: dict[str, Any]) -> None:
    """What is wrong or missing has a name."""
    assert {expected} == found(**fields)


def test_no_settings() -> None:
    """A project without settings is told what to set."""
    with override_settings(MOORAGE=None):
        (error,) = settings_are_right()

    assert ("moorage.E001", True) == (error.id, "CONFIGURATION" in error.hint)


def test_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys nothing is sealed, which is said."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)

    assert {"W004"} == found(KEYS=None)


def test_no_keys_for_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys tenants cannot have accounts of their own."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)

    assert {"E004"} == found(KEYS=None, TENANTS=True)


def test_for_ever() -> None:
    """What is never to be forgotten needs no number of days."""
    assert set() == found(KEEP=None)


def test_live_credentials_while_debugging() -> None:
    """Whoever debugs with live credentials hears of it."""
    assert {"W005", "W006"} == found(debug=True, CONFIGURATION=STRIPE)


def test_secrets_in_the_settings() -> None:
    """A secret in plain sight is warned of, as Django mails settings; a `Secret` is not shown."""
    assert {"W005", "W009"} == found(CONFIGURATION=INLINE)
    for configuration, shows in ((INLINE, True), (STRIPE, False)):
        with override_settings(MOORAGE={**RIGHT, "CONFIGURATION": configuration}):
            reported = pformat(SafeExceptionReporterFilter().get_safe_settings())
        assert shows is (KEY in reported)


def test_several_workers_without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several workers that share nothing are refused."""
    monkeypatch.setenv("WEB_CONCURRENCY", "4")

    assert {"E007"} == found(STATE="memory:")


def test_requests_in_transactions_of_the_same_file() -> None:
    """A host on SQLite whose requests are transactions is told to give moorage a file."""
    host = {**HOST, "ATOMIC_REQUESTS": True}

    assert {"W001", "W002"} == found({"default": host})
    assert set() == found({"default": host, "moorage": moorage_django.beside(host)})


def test_a_database_that_is_not_known() -> None:
    """A database in which nothing can be kept is named."""
    other = {"ENGINE": "django.db.backends.oracle", "NAME": "erp"}

    assert "E005" in found({"default": HOST, "moorage": other})


def test_an_alias_with_transactions() -> None:
    """The alias that is moorage's own must not be part of requests."""
    fields = {**moorage_django.beside(HOST), "ATOMIC_REQUESTS": True}

    assert {"E006"} == found({"default": HOST, "moorage": fields})


def test_missing_tables() -> None:
    """Tables that are not there are named when the database is checked."""
    assert [] == tables_are_there([migrated("default"), migrated(SQLITE)])
    assert [] == tables_are_there(None)
    (missing,) = tables_are_there([BARE])

    assert ("moorage.W008", True) == (missing.id, "--database bare" in missing.hint)


def test_the_hint_for_keys_can_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning tells the command that prints keys, and not a mask."""
    monkeypatch.delenv("MOORAGE_KEYS", raising=False)
    with override_settings(MOORAGE={**RIGHT, "KEYS": None}):
        (warning,) = [item for item in settings_are_right() if item.id == "moorage.W004"]

    assert str(warning.hint).endswith(KEYS_COMMAND)
    assert ".reveal()" in KEYS_COMMAND
