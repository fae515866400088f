"""Secrets written in plain text in a configuration file."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationWarning
from moorage.config import read_configuration
from moorage.config.plain_secrets import plain_secrets
from tests.config.broken import SID, vendor

if TYPE_CHECKING:
    from pathlib import Path

TEXT = f"""
[state]
url = "memory:"
[sms]
vendor = "twilio"
[vendors.twilio]
account_sid = "{SID}"
credentials = "hidden"
webhook_secrets = [
    "hidden", "$${{hidden", "secret://env/OURS", "${{OURS}}", "",
    "${{OURS:-hidden}}", "${{OURS:-}}", "${{OURS:-secret://env/OURS}}",
]
[vendors.main]
kind = "twilio"
account_sid = "{SID}"
credentials = "secret://env/OURS"
webhook_secrets = "hidden"
[services.vat]
base_url = "https://vat.example"
headers = {{ X-Proxy = "http://us:hidden@proxy.example", X-Api-Key = "hidden", X-Shop = "7" }}
[services.vat.credentials]
method = "basic"
username = "us"
secret = "hidden"
[[services.vat.endpoints]]
name = "rates"
[services.rates.regions]
name = "eu"
base_url = "https://rates.example"
credentials = "hidden"
[tenants.acme.vendors.twilio]
account_sid = "{SID}"
credentials = "hidden"
[environments.production.vendors.twilio]
credentials = "hidden"
[environments.production.vendors.main]
credentials = "hidden"
[environments.production.state]
url = "redis://:hidden@redis.example/0"
[environments.slash.state]
url = "redis://:hid/den@redis.example/0"
[environments.query.state]
url = "postgresql://db.example/shop?sslmode=require&password=hidden"
"""
PATHS = [
    "vendors.twilio.credentials",
    "vendors.twilio.webhook_secrets[0]",
    "vendors.twilio.webhook_secrets[1]",
    "vendors.twilio.webhook_secrets[5]",
    "vendors.main.webhook_secrets",
    "services.vat.headers.X-Proxy",
    "services.vat.headers.X-Api-Key",
    "services.vat.credentials.secret",
    "services.rates.regions.credentials",
    "tenants.acme.vendors.twilio.credentials",
    "environments.production.vendors.twilio.credentials",
    "environments.production.vendors.main.credentials",
    "environments.production.state.url",
    "environments.slash.state.url",
    "environments.query.state.url",
]


@pytest.fixture(name="file")
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a configuration file that contains plain secrets."""
    monkeypatch.setenv("OURS", "elsewhere")
    path = tmp_path / "moorage.toml"
    path.write_text(TEXT)
    return path


def test_each_plain_secret_is_reported(file: Path) -> None:
    """Each plain secret in a configuration file gives a warning with its path only."""
    result = read_configuration(file)

    assert PATHS == [warning.path for warning in result.warnings]
    assert "hidden" not in str(result.warnings)
    assert () == read_configuration(vendor()).warnings


def test_unknown_tables_are_searched_too() -> None:
    """A password in a URL is reported even if the URL is in an unknown table."""
    url = "https://us:hidden@a.example"
    results = plain_secrets(
        {"state": {"url": {"a": url}}, "vendors": {"nobody": {"b": {"c": url}}}}, "a file"
    )

    assert ["state.url.a", "vendors.nobody.b.c"] == [result.path for result in results]


@pytest.mark.parametrize(
    "kind, url, is_secret",
    [
        ("rabbitmq", "amqps://shop@mq.example/orders", False),
        ("rabbitmq", "amqps://shop:hidden@mq.example/orders", True),
        ("redis-streams", "rediss://shop@redis.example/0", False),
        ("redis-streams", "rediss://:hidden@redis.example/0", True),
        ("sql", "postgresql://shop@db.example/shop?sslmode=require", False),
        ("sql", "postgresql://db.example/shop?password=hidden", True),
        ("mongodb", "mongodb+srv://shop@db.example/shop", False),
        ("mongodb", "mongodb://db.example/?authMechanismProperties=AWS_SESSION_TOKEN:hidden", True),
        ("mqtt", "mqtts://shop@mqtt.example", False),
        ("nats", "tls://nats.example", False),
        ("nats", "tls://hidden@nats.example", True),
    ],
)
def test_address_without_password_is_no_secret(kind: str, url: str, is_secret: bool) -> None:
    """The address of a connector is a plain secret only if it contains a password or a token."""
    tables = {"connectors": {"events": {"kind": kind, "url": url}}}

    assert is_secret == bool(plain_secrets(tables, "a file"))


def test_user_of_nats_is_no_token_beside_a_password() -> None:
    """The user in an address of NATS is a plain secret only if no other setting has the secret."""
    events = {"kind": "nats", "url": "tls://shop@one.example,tls://shop@two.example"}
    tables = {
        "connectors": {
            "plain": events,
            "safe": {**events, "password": "secret://env/NATS_PASSWORD"},
        }
    }

    assert ["connectors.plain.url"] == [result.path for result in plain_secrets(tables, "a file")]


@pytest.mark.parametrize("opened", [moorage.open, moorage.aopen], ids=["sync", "async"])
def test_opening_a_file_with_plain_secrets_warns_once(file: Path, opened: Any) -> None:
    """Opening a file with plain secrets warns once, at the caller's line."""
    # Remove the empty webhook secrets, with which the file cannot be opened.
    file.write_text(TEXT.replace(' "",', "").replace(' "${OURS:-}",', ""))
    with pytest.warns(
        ConfigurationWarning, match=r"moorage\.toml: vendors\.twilio\.cred"
    ) as result:
        hub = opened(file)

    (warning,) = result
    assert __file__ == warning.filename
    assert "hidden" not in str(warning.message)
    closing = hub.close()
    if closing is not None:
        asyncio.run(closing)


def test_plain_secrets_in_a_mapping_cause_no_warning() -> None:
    """Plain secrets in a mapping passed by a program cause no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moorage.open({**vendor(), "state": {"url": "memory:"}}).close()
