"""Configurations of earlier formats, and tables written as TOML."""

from __future__ import annotations

import copy
import tomllib
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import moorage
from moorage import ConfigurationError, Secret
from moorage.config import read_configuration
from moorage.config.toml_text import mask_secrets, write_toml
from tests.config.broken import SID, TWILIO

OLD: dict[str, Any] = {
    "version": 0,
    "state": {"url": "memory:"},
    "accounts": {
        "main": {"vendor": "twilio", **TWILIO, "credentials": "hidden"},
        "twilio": {**TWILIO, "credentials": "secret://env/OURS_TOKEN"},
    },
    "routes": [
        {"kind": "sms", "accounts": ["main", "twilio"], "countries": ["DE"]},
        {"kind": "sms", "accounts": ["twilio"]},
        {"kind": "sms", "accounts": ["main"], "tenant": "acme"},
    ],
}
CURRENT_CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "state": {"url": "memory:"},
    "vendors": {
        "main": {"kind": "twilio", **TWILIO, "credentials": "hidden"},
        "twilio": {**TWILIO, "credentials": "secret://env/OURS_TOKEN"},
    },
    "sms": [{"vendor": ["main", "twilio"], "countries": ["DE"]}, {"vendor": "twilio"}],
    "tenants": {"acme": {"sms": {"vendor": "main"}}},
}


def test_configuration_of_version_0_is_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration of version 0 is migrated; the diff shows the changes without secrets."""
    monkeypatch.setenv("OURS_TOKEN", "token")
    original = copy.deepcopy(OLD)
    result = read_configuration(OLD)
    current = read_configuration(CURRENT_CONFIGURATION)

    assert original == OLD
    assert (current.accounts, current.routes) == (result.accounts, result.routes)
    assert current.migrated is None
    migration = result.migrated
    assert migration is not None
    assert 0 == migration.version
    assert CURRENT_CONFIGURATION == tomllib.loads(migration.text.reveal())
    lines = migration.diff.splitlines()
    assert ["--- as it is", "+++ as version 1"] == lines[:2]
    assert {"-version = 0", "+version = 1", "-[accounts.main]", "+[vendors.main]"} <= set(lines)
    assert 'credentials = "secret://env/OURS_TOKEN"' in migration.diff
    assert "hidden" not in migration.diff
    assert "hidden" not in repr(result)


@pytest.mark.parametrize(
    "old, path",
    [
        ({"accounts": 7}, "accounts"),
        ({"accounts": {"main": 7}}, "vendors.main"),
        ({"accounts": {"x9": {}}}, "vendors.x9.kind"),
        ({"routes": 7}, "routes"),
        ({"routes": [7]}, "routes"),
        ({"routes": [{"kind": 7}]}, "routes"),
        ({"routes": [{"kind": "vendors"}]}, "routes"),
        ({"routes": [{"kind": "sms", "tenant": 7}]}, "routes"),
        ({"routes": [{"kind": "smz", "accounts": ["x"]}]}, "smz"),
        ({"routes": [{"kind": "sms"}]}, "sms.vendor"),
        ({"accounts": {}, "vendors": {}}, "accounts"),
        ({"routes": [{"kind": "services", "accounts": ["x"]}], "services": {}}, "routes"),
        ({"routes": [{"kind": "sms", "tenant": "a"}], "tenants": {"b": {}}}, "routes"),
    ],
)
def test_unknown_keys_of_old_versions_are_refused(old: dict[str, Any], path: str) -> None:
    """An unknown key in a configuration of version 0 is refused with its path."""
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration({"version": 0, **old})

    assert path == excinfo.value.path


def test_empty_configuration_of_version_0_is_migrated() -> None:
    """An empty configuration of version 0 is migrated to an empty current one."""
    result = read_configuration({"version": 0})

    assert result.migrated is not None
    assert "version = 1\n" == result.migrated.text.reveal()


def test_current_version_is_read_without_a_warning(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration in the current format without plain secrets is read without a warning."""
    monkeypatch.setenv("OURS_TOKEN", "token")
    path = tmp_path / "moorage.toml"
    path.write_text(
        "[state]\n"
        'url = "memory:"\n'
        "[vendors.twilio]\n"
        f'account_sid = "{SID}"\ncredentials = "secret://env/OURS_TOKEN"\n'
    )

    moorage.open(path).close()


NAMES = st.text(max_size=8)
PLAIN = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.dates(min_value=date(1, 1, 1)),
    st.times(),
    st.datetimes(timezones=st.just(UTC)),
)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        PLAIN,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=5,
)


@given(TREES)
def test_tables_written_as_toml_are_read_back_unchanged(tree: dict[str, Any]) -> None:
    """Tables written as TOML are read back unchanged."""
    assert tree == tomllib.loads(write_toml(tree))


def test_toml_output_has_headings_and_no_null_values() -> None:
    """TOML output has a heading for each table and array of tables, and leaves out null values."""
    tree = {
        "a": 1,
        "none": None,
        "b": {"c": {"d": [1, None, 2]}, "at": time(9)},
        "e": [{"f": 1, "g": None, "h": {"i": 2, "none": None}}, {}],
        "long": ["x" * 40, "y" * 40],
        "odd name": {"nan": float("nan"), "inf": float("-inf")},
        "moment": datetime(2026, 11, 21, tzinfo=UTC),
    }

    assert (
        "a = 1\n"
        f'long = [\n    "{"x" * 40}",\n    "{"y" * 40}",\n]\n'
        "moment = 2026-11-21T00:00:00+00:00\n"
        "\n[b]\nat = 09:00:00\n"
        "\n[b.c]\nd = [1, 2]\n"
        "\n[[e]]\nf = 1\nh = { i = 2 }\n"
        "\n[[e]]\n"
        '\n["odd name"]\nnan = nan\ninf = -inf\n' == write_toml(tree)
    )


def test_shown_configuration_masks_secrets_but_not_references() -> None:
    """In a shown configuration, secrets and possible secrets are masked, and references are not."""
    tree = {
        "credentials": "hidden",
        "webhook_secrets": ["hidden", "secret://env/A", "${B}"],
        "url": "redis://:hidden@host/0",
        "at": "redis://:p@hidden@host/0",
        "slash": "redis://:hidden/hidden@host/0",
        "both": "redis://:hidden@hidden/hidden@host/0",
        "query": "postgresql://host/db?user=a&password=hidden&sslpassword=hidden#x",
        "two": "redis://:hidden@one/0,redis://:hidden@two/0",
        "other": "redis://:${PASSWORD}@host/0",
        "user": "redis://user@host/0",
        "found": Secret("hidden"),
        "timeout": 5,
    }

    masked_tree = mask_secrets(tree)

    assert "hidden" not in write_toml(masked_tree)
    assert ["***", "secret://env/A", "${B}"] == masked_tree["webhook_secrets"]
    assert "redis://***@host/0" == masked_tree["url"]
    assert "redis://***@host/0" == masked_tree["slash"] == masked_tree["both"]
    assert "postgresql://host/db?user=a&password=***&sslpassword=***#x" == masked_tree["query"]
    assert (tree["other"], tree["user"], 5) == (
        masked_tree["other"],
        masked_tree["user"],
        masked_tree["timeout"],
    )


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8080/@scope/x",
        "https://host:8080?mail=a@b",
        "https://host/a:b@c",
        "https://user@host/a:b@c",
        "https://host/x?a:b@c",
        "redis://user@host/0",
        "redis://:${PASSWORD}@host/0",
        "postgresql://host/db?password=${PASSWORD}&sslmode=require",
        "who knows: ask a@b.example?password=x",
        "postgresql://${DB_USER:-erp}@db.example/shop",
        "postgresql://${DB_USER:-erp}:${DB_PASSWORD}@db.example/shop",
    ],
)
def test_texts_without_passwords_are_shown(text: str) -> None:
    """In a shown configuration, URLs without passwords and references are not masked."""
    assert text == mask_secrets(text)
