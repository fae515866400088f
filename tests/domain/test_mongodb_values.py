"""Validation of MongoDB conditions, changes and documents against injected operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import InvalidData
from moorage.domain.connectors.mongodb_values import (
    MongoOperators,
    change_of,
    changes_nothing,
    condition_of,
    document_of,
    stages_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

INJECTED: Any = {"$ne": None}


@pytest.mark.parametrize(
    "check, value",
    [
        (condition_of, {"password": INJECTED}),
        (condition_of, INJECTED),
        (condition_of, {"ids": [1, INJECTED]}),
        (condition_of, {"ids": MongoOperators({"$in": [INJECTED]})}),
        (document_of, {"total": (INJECTED,)}),
        (document_of, {"total": MongoOperators({"a": 1}), "b": INJECTED}),
        (document_of, MongoOperators({"$set": 1})),
        (change_of, {"$set": {"total": INJECTED}}),
        (change_of, {"$set": INJECTED}),
        (stages_of, [{"$match": {"password": INJECTED}}]),
    ],
)
def test_an_operator_in_a_value_is_refused(check: Callable[[Any], Any], value: Any) -> None:
    """A MongoDB name that begins with $ is refused at any depth, unless the program marks it."""
    with pytest.raises(InvalidData, match=r"begins with \$") as excinfo:
        check(value)
    assert "MongoOperators" in excinfo.value.remedy


@pytest.mark.parametrize(
    "check, value",
    [
        (condition_of, MongoOperators({"$where": "sleep(1)"})),
        (stages_of, [{"$set": {"a": MongoOperators({"$function": {}})}}]),
    ],
)
def test_javascript_is_refused(check: Callable[[Any], Any], value: Any) -> None:
    """A MongoDB operator that runs JavaScript is refused, even if the program marks it as safe."""
    with pytest.raises(InvalidData, match="runs JavaScript"):
        check(value)


@pytest.mark.parametrize(
    "check, value, message",
    [
        (condition_of, "status", "of the type str is not a mapping"),
        (condition_of, {1: 2}, "not a str"),
        (change_of, {}, "must contain only operators"),
        (change_of, {"status": "paid"}, "must contain only operators"),
        (change_of, {"$where": {"a": 1}}, "must contain only operators"),
        (change_of, {"$set": 1}, "not a mapping"),
        (stages_of, {"$match": {}}, "list of stages"),
        (stages_of, [{"$match": {}, "$limit": 1}], "list of stages"),
        (stages_of, [{"match": {}}], "list of stages"),
    ],
)
def test_wrong_forms_are_refused(check: Callable[[Any], Any], value: Any, message: str) -> None:
    """A MongoDB condition, change or pipeline of a wrong form is refused."""
    with pytest.raises(InvalidData, match=message):
        check(value)


def test_deep_values_are_refused() -> None:
    """A value that is nested more deeply than MongoDB allows is refused."""
    value: Any = 1
    for _ in range(200):
        value = [value]
    with pytest.raises(InvalidData, match="nested too deeply"):
        document_of({"value": value})


def test_operators_that_the_program_marks_become_plain_mappings() -> None:
    """MongoDB operators that the program marks as intended become plain mappings."""
    condition = MongoOperators({"$or": [{"a": 1}, {"b": MongoOperators({"$gt": 2})}]})
    assert {"$or": [{"a": 1}, {"b": {"$gt": 2}}]} == condition_of(condition)
    assert {"$inc": {"a": 1}} == change_of({"$inc": {"a": 1}})
    stages = stages_of(({"$match": {"a": 1}}, {"$limit": 3}))
    assert [{"$match": {"a": 1}}, {"$limit": 3}] == stages
    assert changes_nothing(stages)
    assert not changes_nothing(stages_of([{"$merge": "copies"}]))
