"""The JSON Schema accepts valid configurations and rejects malformed ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage.config import json_schema
from moorage.wiring.installed_vendors import vendor_names
from tests.config.broken import OTHERS, STRUCTURAL
from tests.config.test_migration import CURRENT_CONFIGURATION
from tests.config.test_overlays import OVERLAID
from tests.support.schema import fits

SCHEMA = json_schema()


@pytest.mark.parametrize("place", range(len(STRUCTURAL)))
def test_broken_configurations_do_not_validate(place: int) -> None:
    """A malformed configuration does not match the JSON Schema."""
    assert not fits(SCHEMA, SCHEMA, STRUCTURAL[place][0])


@pytest.mark.parametrize(
    "source",
    [
        {},
        CURRENT_CONFIGURATION,
        OVERLAID,
        {"vendors": {"smtp": {"host": "mail.example", "port": "${PORT}", "login": "${LOGIN:-}"}}},
        {"vendors": {"stripe": {"retry": None}}},
        {"environments": {"production": {"vendors": {"ours": {"timeout": 5}}}}},
        {"environments": {"production": {"vendors": {"twilio": {"timeout": 5}}}}},
    ],
    ids=str,
)
def test_valid_configuration_matches_the_json_schema(source: dict[str, Any]) -> None:
    """A valid configuration matches the JSON Schema, and so do its environments."""
    assert fits(SCHEMA, SCHEMA, source)


@pytest.mark.parametrize(
    "source",
    [
        {"environments": {"production": {"version": 1}}},
        {"environments": {"production": {"vendors": {"twilio": {"tymeout": 5}}}}},
        {"environments": {"production": {"vendors": {"a": {"kind": "stripe", "x": 5}}}}},
        {"environments": []},
    ],
    ids=str,
)
def test_mistake_in_an_environment_violates_the_json_schema(source: dict[str, Any]) -> None:
    """A mistake in an environment's tables does not match the JSON Schema."""
    assert not fits(SCHEMA, SCHEMA, source)


def test_values_with_a_wrong_meaning_pass_the_json_schema() -> None:
    """Values with the right form but a wrong meaning pass the JSON Schema."""
    tables = [row[0] for row in OTHERS if isinstance(row[0], dict)]

    assert sum(fits(SCHEMA, SCHEMA, table) for table in tables) > len(tables) // 2


def test_schema_describes_vendor_options() -> None:
    """The JSON Schema has every vendor option with its description, choices and default."""
    definitions = SCHEMA["$defs"]
    smtp = definitions["smtp"]["properties"]

    assert set(vendor_names()) <= definitions.keys()
    assert "https://json-schema.org/draft/2020-12/schema" == SCHEMA["$schema"]
    assert ["starttls", "tls", "none"] == smtp["security"]["anyOf"][0]["enum"]
    assert "starttls" == smtp["security"]["default"]
    assert ["host"] == definitions["smtp"]["required"]
    assert all(item["description"] for item in smtp.values() if item != smtp["kind"])
    json.dumps(SCHEMA)
