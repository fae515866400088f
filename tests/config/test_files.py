"""Configuration files in TOML, JSON and YAML."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError
from moorage.config import read_configuration
from tests.config.broken import SID, TWILIO
from tests.support.modules import uninstall

if TYPE_CHECKING:
    from pathlib import Path

TOML = f"""
version = 1
[sms]
vendor = ["twilio"]
[vendors.twilio]
account_sid = "{SID}"
limits = [{{ rate = 5, per = "minute" }}]
"""
JSON = f"""{{
  "$schema": "moorage.schema.json",
  "version": 1,
  "sms": {{"vendor": ["twilio"]}},
  "vendors": {{"twilio": {{"account_sid": "{SID}", "limits": [{{"rate": 5, "per": "minute"}}]}}}}
}}"""
YAML = f"""
version: 1
sms:
  vendor: [twilio]
vendors:
  twilio:
    account_sid: "{SID}"
    limits:
      - rate: 5
        per: minute
"""


def write_file(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a configuration file, and return its path."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name, text", [("a.json", JSON), ("a.yaml", YAML), ("a.YML", YAML)])
def test_configuration_has_the_same_values_in_every_format(
    tmp_path: Path, name: str, text: str
) -> None:
    """A configuration has the same values whether it is written in TOML, JSON or YAML."""
    expected = read_configuration(write_file(tmp_path, "a.conf", TOML))
    result = read_configuration(str(write_file(tmp_path, name, text)))

    assert expected.accounts == result.accounts
    assert expected.routes == result.routes


@pytest.mark.parametrize(
    "name, text, line",
    [
        (
            "a.toml",
            "x = \ny = 1",
            "is not valid TOML: a value is missing, or is a string without quotation marks (line 1",
        ),
        (
            "a.toml",
            "[a]\nx = 1\nx = 2\ny = 3\n",
            "is not valid TOML: a key appears twice in one table (line 3",
        ),
        ("a.toml", b"\xff\xfe", "is not valid TOML: the file is not encoded in UTF-8."),
        ("a.json", "{", "is not valid JSON: a name in double quotation marks is missing"),
        ("a.json", '{"sms": {}, "sms": {}}', "a.json: the key sms appears twice in one object."),
        (
            "a.json",
            '{"vendors": {"twilio": {"timeout": NaN}}}',
            "is not valid JSON: NaN is not a JSON number.",
        ),
        ("a.json", "[" * 100_000, "is not valid JSON: the text is nested too deeply"),
        (
            "a.yaml",
            "a: [",
            "is not valid YAML: a value is missing, or a bracket is not closed (line 1).",
        ),
        ("a.yaml", "sms: {}\nsms: {}", "a.yaml: the key sms appears twice in one table (line 2)."),
        (
            "a.yaml",
            "vendors:\n  - a: 1\n    a: 2",
            "a.yaml: the key a appears twice in one table (line 3).",  # words: a key
        ),
        ("a.yaml", "1: {}", "a.yaml: a key is not a string (line 1)."),
        (
            "a.yaml",
            "a: &a [x]\nb: *a",
            "a.yaml: &a is an anchor, which is not allowed",  # words: YAML
        ),
        (
            "a.yaml",
            "a: !!python/object:os.system x",
            "is a tag, which is not allowed in a configuration (line 1).",  # words: a key
        ),
        ("a.yaml", "a: !!binary x", "is a tag, which is not allowed in a configuration (line 1)."),
        (
            "a.yaml",
            "a: 1\n---\na: 2",
            "is not valid YAML: the file has a second document (line 2).",
        ),
        ("a.yaml", "a: \x00", "is not valid YAML: the file contains a control character (line 1)."),
        ("a.yaml", "[" * 1_000 + "]" * 1_000, "is not valid YAML: the text is nested too deeply"),
        ("a.yaml", "a: " + "[" * 200_000, "is not valid YAML: the text is nested too deeply"),
        ("a.yaml", "a: " + "{b: " * 200_000, "is not valid YAML: the text is nested too deeply"),
    ],
)
def test_invalid_file_is_refused(tmp_path: Path, name: str, text: str | bytes, line: str) -> None:
    """A broken configuration file is refused with the file's name, the line and the reason."""
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(write_file(tmp_path, name, text))

    assert name in excinfo.value.message
    assert line in excinfo.value.message


@pytest.mark.parametrize("name, text", [("a.json", "[]"), ("a.yaml", ""), ("a.yaml", "text")])
def test_configuration_file_without_a_table_is_refused(
    tmp_path: Path, name: str, text: str
) -> None:
    """A configuration file that does not contain a table is refused."""
    with pytest.raises(ConfigurationError, match="not a table"):
        read_configuration(write_file(tmp_path, name, text))


@pytest.mark.parametrize("name", ["/dev/zero", "large.toml"])
def test_largest_configuration_file_is_bounded(tmp_path: Path, name: str) -> None:
    """A configuration file that is too large, or has no end, is refused."""
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(16_000_001)
    with pytest.raises(ConfigurationError, match="has more than 16000000 bytes"):
        read_configuration(tmp_path / name)


@pytest.mark.parametrize(
    "key", [".".join(["a"] * 20_000), "[a" + ' . "a"' * 20_000 + "]", '"a b".' * 20_000 + "'c'"]
)
def test_number_of_parts_of_a_key_is_bounded(tmp_path: Path, key: str) -> None:
    """A key with very many dots, which takes the parser of TOML long to read, is refused."""
    with pytest.raises(ConfigurationError, match="a key with more than 100 parts"):
        read_configuration(write_file(tmp_path, "a.toml", f"{key} = 1"))


def test_empty_path_is_refused() -> None:
    """An empty path is refused, and does not mean the current folder."""
    with pytest.raises(ConfigurationError, match="path of the configuration is empty"):
        read_configuration("")


@pytest.mark.parametrize("name, text", [("a.toml", "version = 1"), ("a.json", "{}")])
def test_byte_order_mark_is_ignored(tmp_path: Path, name: str, text: str) -> None:
    """A byte order mark at the start of a configuration file is ignored."""
    assert () == read_configuration(write_file(tmp_path, name, f"\ufeff{text}")).accounts


def test_yaml_configuration_without_pyyaml_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PyYAML, a YAML configuration is refused, and the error names the package."""
    uninstall(monkeypatch, "yaml", "moorage.config.yaml_text")

    with pytest.raises(ConfigurationError, match=r"pip install '\.\[yaml\]'"):
        read_configuration(write_file(tmp_path, "a.yaml", YAML))


def test_any_mapping_is_accepted() -> None:
    """A program may pass a configuration made of any mapping, sequence and number types."""
    source = MappingProxyType(
        {
            "vendors": {
                "twilio": MappingProxyType(
                    {
                        **TWILIO,
                        "timeout": timedelta(seconds=9),
                        "cost": Decimal("0.07"),
                        "webhook_secrets": ("a", "b"),
                        "retry": None,
                    }
                ),
                "dhl_express": {"account_number": "1", "ready": time(16)},
            }
        }
    )

    twilio, dhl = read_configuration(source).accounts
    assert {"timeout": 9.0, "retry": None} == twilio.settings
    assert Decimal("0.07") == twilio.cost
    vendor: Any = dhl.vendor
    assert time(16) == vendor.ready


def test_recursive_mapping_is_refused() -> None:
    """A configuration mapping that contains itself is refused."""
    source: dict[str, Any] = {}
    source["vendors"] = source

    with pytest.raises(ConfigurationError, match="too deeply"):
        read_configuration(source)
