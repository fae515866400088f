"""Webhook schemes that are read from plain tables, and written as tables."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from moorage import ConfigurationError, WebhookScheme
from moorage.domain.webhooks.presets import PRESETS, preset
from tests.webhooks.senders import BY_NAME
from tests.webhooks.verifiers import NOW, Receiver

EVERY_PRESET = pytest.mark.parametrize("name", sorted(PRESETS))
SHORT_PRESETS = (
    "discord", "easypost", "github", "intercom", "linear", "mailgun", "mollie", "paddle",
    "paystack", "razorpay", "shippo", "shopify", "slack", "square", "stripe", "telegram", "xero",
    "zoom",
)  # fmt: skip
LEAST = {"name": "own", "signature": "{header:X-Sig}"}


def as_toml(table: dict[str, Any]) -> str:
    """Return a table as TOML, with its strings and lists written as in JSON."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if _is_plain(value)]
    for key, value in table.items():
        if not _is_plain(value):
            lines.append(f"[{key}]")
            lines += [f"{json.dumps(name)} = {json.dumps(item)}" for name, item in value.items()]
    return "\n".join(lines)


def _is_plain(value: object) -> bool:
    return not isinstance(value, dict)


@EVERY_PRESET
def test_every_preset_is_a_table(name: str) -> None:
    """Every webhook preset can be written as TOML or JSON and read back unchanged."""
    scheme = preset(name)
    table = scheme.to_table()

    assert scheme == WebhookScheme.from_table(table)
    assert scheme == WebhookScheme.from_table(tomllib.loads(as_toml(table)))
    assert scheme == WebhookScheme.from_table(json.loads(json.dumps(table)))
    assert table == WebhookScheme.from_table(table).to_table()


@EVERY_PRESET
def test_a_scheme_out_of_a_table_verifies(name: str) -> None:
    """A webhook scheme that is read from a TOML table accepts the vendor's webhooks."""
    sender = BY_NAME[name]
    scheme = WebhookScheme.from_table(preset(name).to_table())
    receiver = Receiver(scheme, sender.secret, parameters=sender.parameters)

    assert receiver.verify(sender.send(NOW, 7))


@pytest.mark.parametrize("name", SHORT_PRESETS)
def test_a_usual_scheme_is_a_dozen_lines(name: str) -> None:
    """A usual webhook scheme needs at most twelve entries in a TOML table."""
    assert len(preset(name).to_table()) <= 12


def test_tables_leave_out_defaults() -> None:
    """A webhook scheme's TOML table has only the values that differ from the defaults."""
    scheme = WebhookScheme(**LEAST)  # type: ignore[arg-type]  # converted

    assert LEAST == scheme.to_table()
    assert scheme == WebhookScheme.from_table(LEAST | {"tolerance": None, "body": None})
    assert 0.5 == WebhookScheme.from_table(
        LEAST | {"tolerance": 0.5, "timestamp": "{json:at}"}
    ).to_table().get("tolerance")
    whole_scheme = WebhookScheme.from_table(LEAST | {"tolerance": 300.0, "timestamp": "{json:at}"})
    assert "300" == repr(whole_scheme.to_table()["tolerance"])


@pytest.mark.parametrize(
    "wrong, path, message",
    [
        ({"signatur": "x"}, ".signatur", "Did you mean signature?"),
        ({"Algorithm": "token"}, ".Algorithm", "Did you mean algorithm?"),
        ({"headers": []}, ".headers", "Use name, signature"),
        ({"zzz zzz": 1}, '."zzz zzz"', "Use name, signature"),
        ({7: 1}, ".7", "A scheme has no field '7'"),
        ({"name": None}, ".name", "has no name"),
        ({"signature": None}, ".signature", "has no signature"),
        ({"name": ""}, ".name", "printable"),
        ({"name": 7}, ".name", "The value is an int, not a string"),
        ({"signature": []}, "", "has no signature"),
        ({"signature": ["{header:A}", 7]}, ".signature[1]", "The value is an int, not a string"),
        ({"signs": ["{body}", "{boddy}"]}, ".signs[1]", "Did you mean body?"),
        ({"signs": "{heder:X}"}, ".signs", "Did you mean header?"),
        ({"signs": "{header}"}, ".signs", "with an argument"),
        ({"signs": "{"}, ".signs", "not a known place"),
        ({"signs": {"a": "b"}}, ".signs", "The value is a dict, not a string"),
        ({"weaker_headers": [1]}, ".weaker_headers[0]", "The value is an int, not a string"),
        ({"algorithm": "hmac-sha-256"}, ".algorithm", "Did you mean hmac-sha256?"),
        ({"algorithm": ["token"]}, ".algorithm", "The value is a list, not a string"),
        ({"encoding": "base46"}, ".encoding", "Did you mean base64?"),
        ({"body": "jsn"}, ".body", "Did you mean json?"),
        ({"handshake": "slak"}, ".handshake", "Did you mean slack?"),
        ({"handshake": "?"}, ".handshake", "Use one of slack"),
        ({"tolerance": "300"}, ".tolerance", "not a duration"),
        ({"tolerance": True}, ".tolerance", "not a duration"),
        ({"tolerance": 300}, "", "both a tolerance and a timestamp"),
        ({"repeats": "yes"}, ".repeats", "The value is a str, not true or false"),
        ({"each_signed": 1}, ".each_signed", "The value is an int, not true or false"),
        ({"types": []}, ".types", "is a list, not a table"),
        ({"types": {"." * 90: 1}}, f'.types."{"." * 80}"', "The value is an int, not a string"),
        ({"types": {"a.b": 1}}, '.types."a.b"', "The value is an int, not a string"),
        ({"requires": {"{heder:V}": "2"}}, '.requires."{heder:V}"', "Did you mean header?"),
        ({"requires": {"{header:V}": 2}}, '.requires."{header:V}"', "is an int, not"),
        ({"certificate_url": "http://a/"}, ".certificate_url", "https://"),
        ({"certificate_url": 7}, ".certificate_url", "The value is an int, not a string"),
    ],
    ids=repr,
)
def test_table_errors_have_the_path(wrong: Any, path: str, message: str) -> None:
    """The error for a mistake in a scheme's table has its path and a valid alternative."""
    with pytest.raises(ConfigurationError) as excinfo:
        WebhookScheme.from_table(LEAST | wrong, path="webhooks.own")

    assert "webhooks.own" + path == excinfo.value.path
    assert message in str(excinfo.value)
    assert ConfigurationError.remedy != excinfo.value.remedy


@pytest.mark.parametrize("table", [None, 7, "stripe", [LEAST]], ids=repr)
def test_tables_must_be_mappings(table: Any) -> None:
    """A webhook scheme's table that is not a mapping is refused."""
    with pytest.raises(ConfigurationError, match="not a table") as excinfo:
        WebhookScheme.from_table(table)
    assert "scheme" == excinfo.value.path
    assert "as a TOML table" in excinfo.value.remedy


def test_misspelt_preset_is_refused() -> None:
    """A misspelt webhook preset is refused with the nearest valid name."""
    with pytest.raises(ConfigurationError, match=r"Did you mean standard-webhooks\?"):
        preset("standard-webhook")
