"""Findings: reports of mistakes in an application's settings, before they cause harm."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moorage import Secret
from moorage.domain.state.sealing import KeyRing
from moorage_flask.checks import findings
from moorage_flask.places import StoreLocations, places
from tests.embedding.flask.shop import KEYS as TEXT
from tests.embedding.flask.shop import Shop

KEYS = Secret(TEXT)


def finding_severities(shop: Shop, **environment: str) -> dict[str, bool]:
    """Return the names of the findings with their severity."""
    try:
        return {finding.name: finding.severe for finding in findings(shop.objects, environment)}
    finally:
        shop.close()


def test_correct_application_has_no_findings(sql_url: str) -> None:
    """A correct application has no findings."""
    assert {} == finding_severities(Shop(sql_url, KEYS=KEYS), WEB_CONCURRENCY="4")


def test_finding_reports_that_data_is_stored_unencrypted_without_keys(sqlite_url: str) -> None:
    """A finding reports that data is stored unencrypted without keys."""
    assert {"no-keys": False} == finding_severities(Shop(sqlite_url))


@pytest.mark.parametrize(
    "environment, severe",
    [
        ({}, False),
        ({"WEB_CONCURRENCY": "1"}, False),
        ({"WEB_CONCURRENCY": "2"}, True),
        ({"GUNICORN_CMD_ARGS": "--bind=:80 --workers=2"}, True),
        ({"GUNICORN_CMD_ARGS": "-w 4"}, True),
        ({"GUNICORN_CMD_ARGS": "--workers 1"}, False),
    ],
)
def test_several_workers_without_a_shared_store_are_refused(
    environment: dict[str, str], severe: bool
) -> None:
    """Without a shared store, several workers are refused, and a single worker gets a warning."""
    assert {"store-not-shared": severe} == finding_severities(Shop(KEYS=KEYS), **environment)


@pytest.mark.parametrize("setting", ["STATE", "ASIDE"])
def test_state_is_outside_the_hosts_file(setting: str, tmp_path: Path) -> None:
    """A finding reports a setting that puts stored state into the host's SQLite file."""
    file = f"{tmp_path / 'erp.db'}"
    text = f"sqlite:///{file}" if setting == "STATE" else file
    settings: dict[str, Any] = {"KEYS": KEYS, setting: text}
    shop = Shop(f"sqlite:///{file}", **settings)

    assert {"store-in-the-host's-file": True} == finding_severities(shop)


def test_finding_names_an_account_without_a_webhook_secret(sqlite_url: str) -> None:
    """A finding names an account without a webhook secret."""
    configuration: dict[str, Any] = {"vendors": {"stripe": {"credentials": Secret("sk")}}}
    shop = Shop(sqlite_url, KEYS=KEYS, CONFIGURATION=configuration)

    assert {"webhook-without-secret": False} == finding_severities(shop)


def test_finding_names_a_plain_secret_in_the_settings(sqlite_url: str) -> None:
    """A finding names a plain secret in the settings, but not a `Secret`."""
    smtp = {"host": "mail.example", "username": "erp", "sender": "erp@x.example"}
    for password, severities in (("hunter2-canary", {"secret-in-settings": False}), (None, {})):
        value = Secret("hunter2-canary") if password is None else password
        vendors = {"smtp": {**smtp, "credentials": value}}
        shop = Shop(sqlite_url, KEYS=KEYS, CONFIGURATION={"vendors": vendors})

        assert severities == finding_severities(shop)


def test_finding_names_missing_secret_by_its_path_in_configuration(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finding names a missing secret by its path in the configuration."""
    monkeypatch.delenv("STRIPE_KEY", raising=False)
    vendors = {"stripe": {"credentials": "secret://env/STRIPE_KEY"}}
    shop = Shop(sqlite_url, CONFIGURATION={"vendors": vendors})
    (result,) = findings(shop.objects)
    shop.close()

    assert result.severe
    assert "vendors.stripe.credentials" in result.problem


@pytest.mark.parametrize(
    "wrong, path",
    [
        ({"KEYS": "1:short"}, "keys"),
        ({"STATE": "nowhere://host"}, "state.url"),
        ({"TENANTS": True, "KEYS": None}, "MOORAGE.KEYS"),
        ({"DATABASE": 5}, "MOORAGE.DATABASE"),
    ],
)
def test_finding_reports_an_invalid_store_url(
    sqlite_url: str, wrong: dict[str, Any], path: str
) -> None:
    """A finding reports an invalid store URL before the first call fails because of it."""
    settings: dict[str, Any] = {"KEYS": KEYS, **wrong}
    shop = Shop(sqlite_url, **settings)
    result, *_ = findings(shop.objects)
    shop.close()

    assert (True, "settings") == (result.severe, result.name)
    assert path in result.problem


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"kind": None, "file": None}, StoreLocations(state="memory:", memory=True)),
        ({"kind": "sqlite", "file": None}, StoreLocations(state="memory:", memory=True)),
        ({"kind": "postgresql", "file": None}, StoreLocations()),
        (
            {"kind": "postgresql", "file": None, "state": "redis://a/0"},
            StoreLocations(state="redis://a/0"),
        ),
        (
            {"kind": "sqlite", "file": "/var/erp.db"},
            StoreLocations(
                state="sqlite:////var/erp.moorage-state.db", aside="/var/erp.moorage.db"
            ),
        ),
        (
            {"kind": "sqlite", "file": "/var/erp.db", "state": "redis://a/0", "aside": "/x.db"},
            StoreLocations(state="redis://a/0", aside="/x.db"),
        ),
    ],
)
def test_stores_locations_follow_from_host_database_and_settings(
    options: dict[str, Any], expected: StoreLocations
) -> None:
    """The stores' locations follow from the host's database and the settings."""
    assert expected == places(**options)


@pytest.mark.parametrize(
    "setting, path",
    [
        ({"DATABASE": "postgresql://erp:hunter2@127.0.0.1:9/erp"}, "MOORAGE.DATABASE"),
        ({"STATE": "redis://:hunter2@127.0.0.1:9/0"}, "MOORAGE.STATE"),
        ({"ASIDE": "postgresql://erp:hunter2@127.0.0.1:9/erp"}, "MOORAGE.ASIDE"),
        ({"KEYS": TEXT}, "MOORAGE.KEYS"),
    ],
)
def test_passwords_in_urls_are_reported_without_being_shown(
    setting: dict[str, Any], path: str, sqlite_url: str
) -> None:
    """Passwords in URLs, and plain keys, are reported without being shown."""
    with closing(Shop(sqlite_url, **dict[str, Any](KEYS=KEYS) | setting)) as shop:
        (result,) = [
            finding
            for finding in findings(shop.objects, {})
            if finding.name == "secret-in-settings"
        ]

    assert path in str(result)
    assert "hunter2" not in str(result)
    assert TEXT not in str(result)


def test_url_in_secret_works_and_causes_no_finding(sqlite_url: str) -> None:
    """A URL in a `Secret` works and causes no finding."""
    url = Secret("redis://:hunter2@127.0.0.1:9/0")
    shop = Shop(sqlite_url, KEYS=KEYS, STATE=url)
    assert "redis://:hunter2@127.0.0.1:9/0" == shop.objects.stores.state_url
    assert "hunter2" not in repr(shop.app.config)
    assert {} == finding_severities(shop)


def test_named_command_prints_keys(sqlite_url: str) -> None:
    """The command named in the finding prints usable encryption keys."""
    with closing(Shop(sqlite_url)) as shop:
        (result,) = findings(shop.objects, {})
    command = result.remedy.partition(": ")[2]
    python = str(Path(sys.executable).parent)
    printed_process = subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": python}, capture_output=True, text=True, check=True
    )

    assert 1 == len(KeyRing.parse(printed_process.stdout).keys)
