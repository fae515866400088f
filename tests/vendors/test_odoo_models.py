"""Calls to Odoo, and the sandbox's records, have only fields that a real Odoo 18 reported.

A library for .NET generated its classes from the fields of its Odoo; the excerpt has the names and
types of those that moorage uses.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.testing.fakes.http import as_bytes
from tools.descriptions import exchanges_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

EXCERPT: Final = Path(__file__).parent / "descriptions" / "odoo.json"
MODELS: Final[Mapping[str, Mapping[str, str]]] = json.loads(EXCERPT.read_text("utf-8"))["models"]
METHODS: Final = {
    "account.move": {"action_post", "button_cancel", "button_draft"},
    "account.payment.register": {"action_create_payments"},
}
"""The methods of models that are not methods of every model."""
TEXTS: Final = ("binary", "char", "html", "selection", "text")
NUMBERS: Final = ("float", "monetary")
PATTERNS: Final = {
    "date": r"\d{4}-\d\d-\d\d",
    "datetime": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
}


def problems_of(model: str, values: Mapping[str, Any], *, is_record: bool) -> Iterator[str]:
    """Yield a message for each value whose name or type does not match Odoo's model."""
    for name, value in values.items():
        kind, _, relation = MODELS[model].get(name, "").partition(" ")
        if not kind:
            yield f"{model} has no field {name}."
        elif relation and not is_record:
            for _, _, item in value:
                yield from problems_of(relation, item, is_record=False)
        elif not fits(kind, value, is_record=is_record):
            yield f"{model}.{name} is of the type {kind}: {value!r}"


def fits(kind: str, value: Any, *, is_record: bool) -> bool:
    """Return whether a value fits the type of a field; Odoo writes False for an empty field."""
    if kind == "boolean":
        return isinstance(value, bool)
    if value is False:
        return kind not in {"integer", *NUMBERS}
    if kind in TEXTS:
        return isinstance(value, str)
    if kind in NUMBERS:
        return type(value) in {int, float}
    if kind in PATTERNS:
        return isinstance(value, str) and re.fullmatch(PATTERNS[kind], value) is not None
    if kind == "many2one" and is_record:
        return [int, str] == [type(part) for part in value]
    if kind in {"integer", "many2one", "many2onereference", "unknown"}:
        return type(value) is int
    return kind == "many2many" and [[6, 0]] == [command[:2] for command in value]


def calls() -> Iterator[tuple[str, str, list[Any], dict[str, Any], Any]]:
    """Yield the model, method, arguments, options and result of each call in the scenarios."""
    for exchange in exchanges_of("odoo"):
        model, method, arguments, options = json.loads(as_bytes(exchange.request))["params"][
            "args"
        ][3:]
        yield model, method, arguments, options, json.loads(exchange.response.body).get("result")


def searched_fields(conditions: Iterable[Any]) -> set[str]:
    """Return the names of the fields that a search condition uses."""
    return {condition[0] for condition in conditions if isinstance(condition, list)}


def test_calls_and_records_have_the_fields_of_odoo() -> None:
    """Each written, searched and read field exists in its model, with its type."""
    problems: set[str] = set()
    count = 0
    for model, method, arguments, options, result in calls():
        assert model in MODELS
        count += 1
        if method in {"create", "write"}:
            problems.update(problems_of(model, arguments[-1], is_record=False))
        elif method == "search_read":
            names = searched_fields(arguments[0]) | {*options["fields"]}
            problems |= {f"{model} has no field {name}." for name in names - MODELS[model].keys()}
            records = (problems_of(model, item, is_record=True) for item in result or ())
            problems.update(chain.from_iterable(records))
        else:
            assert method in METHODS[model]

    assert (set(), True) == (problems, count > 50)


@pytest.mark.parametrize(
    "values",
    [
        {"parner_id": 1},
        {"partner_id": "1"},
        {"invoice_date": "6.5.2031"},
        {"amount_total": "1.0"},
        {"invoice_line_ids": [[0, 0, {"price": 1}]]},
    ],
)
def test_another_field_or_type_is_a_problem(values: dict[str, Any]) -> None:
    """The check finds misspelt fields and values of another type."""
    assert 1 == len([*problems_of("account.move", values, is_record=False)])
