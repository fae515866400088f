"""The Odoo sandbox's records have the form of records in other projects' tests."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from moorage.testing.fakes.http import as_bytes
from tools.descriptions import exchanges_of

RECORDED: Final[dict[str, dict[str, Any]]] = {
    "account.move": {
        "id": 99,
        "name": "INV/2026/0001",
        "move_type": "out_invoice",
        "state": "posted",
        "payment_state": "paid",
        "amount_total": 1150.0,
        "amount_residual": 0.0,
        "currency_id": [2, "SAR"],
        "invoice_date": "2026-08-26",
        "invoice_date_due": False,
        "partner_id": [10, "Acme Customer"],
    },
    "account.journal": {"id": 5, "name": "Bank", "code": "BNK", "type": "bank"},
}
"""A record of each model, with the fields that were asked for."""
KINDS: Final = {int: "number", float: "number"}


def kind_of(value: Any) -> Any:
    """Return the kind of a field's value; for a list, the kinds of its items."""
    if isinstance(value, list):
        return [kind_of(part) for part in value]
    return KINDS.get(type(value), type(value).__name__)


def records_of(model: str) -> list[dict[str, Any]]:
    """Return the records of the given model that the sandbox returned in the scenarios."""
    records: list[dict[str, Any]] = []
    for exchange in exchanges_of("odoo"):
        arguments = json.loads(as_bytes(exchange.request))["params"]["args"]
        if arguments[3:5] == [model, "search_read"]:
            records += json.loads(exchange.response.body)["result"]
    return records


@pytest.mark.parametrize("model", RECORDED)
def test_sandbox_has_the_kinds_of_recorded_fields(model: str) -> None:
    """Each field of a recorded record has the same kind of value in the sandbox's record."""
    recorded_record, records = RECORDED[model], records_of(model)

    assert records
    for record in records:
        common_names = record.keys() & recorded_record.keys()
        assert {name: kind_of(recorded_record[name]) for name in common_names} == {
            name: kind_of(record[name]) for name in common_names
        }


def test_each_requested_invoice_field_occurs_in_recorded_records() -> None:
    """Each requested invoice field occurs in the recorded records, except `write_date`."""
    requested_names = {
        name
        for exchange in exchanges_of("odoo")
        for arguments in [json.loads(as_bytes(exchange.request))["params"]["args"]]
        if arguments[3:5] == ["account.move", "search_read"]
        for name in arguments[6]["fields"]
    }

    assert {"write_date"} == requested_names - RECORDED["account.move"].keys()
