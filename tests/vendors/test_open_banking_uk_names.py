"""Requests to UK banks, and the sandbox's answers, have the fields of the specification.

The fields are those of the data dictionaries of version 4.0, with their number of occurrences.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from moorage.testing.sandboxes.bank.open_banking_uk import BASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXCERPT: Final = Path(__file__).parent / "descriptions" / "open_banking_uk.json"
OBJECTS: Final[Mapping[str, Mapping[str, str]]] = json.loads(EXCERPT.read_text("utf-8"))["objects"]
AROUND: Final = {
    "Links": "1..1",
    "Links.Self": "1..1",
    "Links.Next": "0..1",
    "Meta": "1..1",
    "Meta.TotalPages": "0..1",
}
"""The parts of an answer around its data, by the specification's section on their structure."""
ANSWERS: Final = {
    "account-access-consents": "OBReadConsentResponse1",
    "accounts": "OBReadAccount6",
    "balances": "OBReadBalance1",
    "transactions": "OBReadTransaction6",
}


def problems(value: Any, fields: Mapping[str, str], path: str = "") -> Iterator[str]:
    """Yield the fields of a value that are unknown, missing, or wrongly a list or not."""
    if isinstance(value, list):
        for item in value:
            yield from problems(item, fields, path)
        return
    if not isinstance(value, dict):
        return
    prefix = f"{path}." if path else ""
    for name, item in value.items():
        occurrence = fields.get(prefix + name)
        if occurrence is None:
            yield f"{prefix}{name} is unknown"
            continue
        if isinstance(item, list) is not occurrence.endswith("*"):
            yield f"{prefix}{name} has another number of occurrences"
        yield from problems(item, fields, prefix + name)
    for name, occurrence in fields.items():
        parent, _, own_name = name.rpartition(".")
        if parent == path and occurrence.startswith("1") and own_name not in value:
            yield f"{name} is missing"


def test_fields_are_those_of_the_specification() -> None:
    """Each request and answer has only fields of the specification, and all mandatory ones."""
    mistakes: list[str] = []
    seen: set[str] = set()
    for exchange in recorded_exchanges("open_banking_uk"):
        path = exchange.request.path
        if not path.startswith(BASE) and not path.startswith("/acc"):
            continue
        parts = path.removeprefix(BASE).strip("/").split("/")
        kind = next(part for part in reversed(parts) if part in ANSWERS)
        seen.add(f"{exchange.request.method} {kind}")
        if exchange.request.body:
            mistakes += problems(json.loads(as_bytes(exchange.request)), OBJECTS["OBReadConsent1"])
        if exchange.response.body:
            fields = {**OBJECTS[ANSWERS[kind]], **AROUND}
            mistakes += problems(exchange.response.json(), fields)

    assert [] == mistakes
    assert {
        "POST account-access-consents",
        "GET account-access-consents",
        "DELETE account-access-consents",
        "GET accounts",
        "GET balances",
        "GET transactions",
    } == seen
