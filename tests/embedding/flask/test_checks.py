"""What is amiss with an application's settings is named before it matters."""

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
from moorage_flask.places import Places, places
from tests.embedding.flask.shop import KEYS as TEXT
from tests.embedding.flask.shop import Shop

KEYS = Secret(TEXT)


def named(shop: Shop, **environment: str) -> dict[str, bool]:
    """The names of what is amiss, with how severe each is."""
    try:
        return {finding.name: finding.severe for finding in findings(shop.moored, environment)}
    finally:
        shop.close()


def test_nothing_amiss(sql_url: str) -> None:
    """Of an application that has everything nothing is said."""
    assert {} == named(Shop(sql_url, KEYS=KEYS), WEB_CONCURRENCY="4")


def test_no_keys(sqlite_url: str) -> None:
    """Without keys nothing that is stored is sealed, and that is said."""
    assert {"no-keys": False} == named(Shop(sqlite_url))


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
def test_no_shared_store(environment: dict[str, str], severe: bool) -> None:
    """Several workers that share no store must not start; one may, and is told."""
    assert {"store-not-shared": severe} == named(Shop(KEYS=KEYS), **environment)


@pytest.mark.parametrize("setting", ["STATE", "ASIDE"])
def test_in_the_file_of_the_host(setting: str, tmp_path: Path) -> None:
    """Nothing of ours that a call waits for is in the host's SQLite file."""
    file = f"{tmp_path / 'erp.db'}"
    text = f"sqlite:///{file}" if setting == "STATE" else file
    settings: dict[str, Any] = {"KEYS": KEYS, setting: text}
    shop = Shop(f"sqlite:///{file}", **settings)

    assert {"store-in-the-host's-file": True} == named(shop)


def test_webhooks_without_secret(sqlite_url: str) -> None:
    """An account whose webhooks nobody could verify is named."""
    configuration: dict[str, Any] = {"vendors": {"stripe": {"credentials": Secret("sk")}}}
    shop = Shop(sqlite_url, KEYS=KEYS, CONFIGURATION=configuration)

    assert {"webhook-without-secret": False} == named(shop)


def test_secrets_in_the_settings(sqlite_url: str) -> None:
    """A secret that stands in the settings as it is, is named; a `Secret` is not."""
    smtp = {"host": "mail.example", "username": "erp", "sender": "erp@x.example"}
    for password, amiss in (("hunter2-canary", {"secret-in-settings": False}), (None, {})):
        value = Secret("hunter2-canary") if password is None else password
        vendors = {"smtp": {**smtp, "credentials": value}}
        shop = Shop(sqlite_url, KEYS=KEYS, CONFIGURATION={"vendors": vendors})

        assert amiss == named(shop)


def test_missing_secret(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is not there is named by the path in the configuration."""
    monkeypatch.delenv("STRIPE_KEY", raising=False)
    vendors = {"stripe": {"credentials": "secret://env/STRIPE_KEY"}}
    shop = Shop(sqlite_url, CONFIGURATION={"vendors": vendors})
    (result,) = findings(shop.moored)
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
def test_what_makes_no_store(sqlite_url: str, wrong: dict[str, Any], path: str) -> None:
    """What no store can be made of is named, and not only met by the first call."""
    settings: dict[str, Any] = {"KEYS": KEYS, **wrong}
    shop = Shop(sqlite_url, **settings)
    result, *_ = findings(shop.moored)
    shop.close()

    assert (True, "settings") == (result.severe, result.name)
    assert path in result.problem


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"kind": None, "file": None}, Places(state="memory:", memory=True)),
        ({"kind": "sqlite", "file": None}, Places(state="memory:", memory=True)),
        ({"kind": "postgresql", "file": None}, Places()),
        (
            {"kind": "postgresql", "file": None, "state": "redis://a/0"},
            Places(state="redis://a/0"),
        ),
        (
            {"kind": "sqlite", "file": "/var/erp.db"},
            Places(state="sqlite:////var/erp.moorage-state.db", aside="/var/erp.moorage.db"),
        ),
        (
            {"kind": "sqlite", "file": "/var/erp.db", "state": "redis://a/0", "aside": "/x.db"},
            Places(state="redis://a/0", aside="/x.db"),
        ),
    ],
)
def test_places(options: dict[str, Any], expected: Places) -> None:
    """Where things are kept follows from the host's database and the settings."""
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
def test_passwords_in_the_settings(setting: dict[str, Any], path: str, sqlite_url: str) -> None:
    """A password in a URL, and keys that stand there as they are, are named and not shown."""
    with closing(Shop(sqlite_url, **dict[str, Any](KEYS=KEYS) | setting)) as shop:
        (result,) = [
            finding for finding in findings(shop.moored, {}) if finding.name == "secret-in-settings"
        ]

    assert path in str(result)
    assert "hunter2" not in str(result)
    assert TEXT not in str(result)


def test_a_secret_url_is_no_finding(sqlite_url: str) -> None:
    """A URL that is wrapped is shown by nobody, and used as one that is not."""
    url = Secret("redis://:hunter2@127.0.0.1:9/0")
    shop = Shop(sqlite_url, KEYS=KEYS, STATE=url)
    assert "redis://:hunter2@127.0.0.1:9/0" == shop.moored.stores.state_url
    assert "hunter2" not in repr(shop.app.config)
    assert {} == named(shop)


def test_keys_are_made_by_the_command_that_is_named(sqlite_url: str) -> None:
    """What the finding tells to run prints keys that seal."""
    with closing(Shop(sqlite_url)) as shop:
        (result,) = findings(shop.moored, {})
    command = result.remedy.partition(": ")[2]
    python = str(Path(sys.executable).parent)
    printed = subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": python}, capture_output=True, text=True, check=True
    )

    assert 1 == len(KeyRing.parse(printed.stdout).keys)
