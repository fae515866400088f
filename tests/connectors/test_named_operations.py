"""Operations that are called by name refuse invalid arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import InvalidData, NamedOperation
from moorage.errors import ConfigurationError
from tests.connectors.connector_harness import ConnectorsHarness, in_both_modes

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


def depth(value: Any) -> int:
    """Return the depth of a nested list."""
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def argument_depth(arguments: Mapping[str, Any]) -> int:
    """Return the nesting depth of the argument, or the size of a string in bytes."""
    value = arguments["value"]
    return len(value.encode()) if isinstance(value, str) else depth(value)


OPERATION = NamedOperation(
    name="measure", about="Measures a value.", arguments={"value": "It."}, build=argument_depth
)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (5, "are not an object"),
        ([["value", 1]], "are not an object"),
        ("value", "are not an object"),
        ({"value": ENDLESS}, "contains itself, or is nested too deeply"),
        ({"value": "s3cret\ud800"}, "contains a text that cannot be written"),
    ],
)
def test_arguments_that_are_not_plain_json_are_refused(arguments: Any, problem: str) -> None:
    """The error for wrong arguments names the operation, and shows no part of the arguments."""
    with pytest.raises(InvalidData, match=problem) as excinfo:
        OPERATION.operation(arguments)

    assert "'measure'" in excinfo.value.message
    assert (None, None) == (excinfo.value.__cause__, excinfo.value.__context__)
    assert "s3cret" not in repr(excinfo.value)


@in_both_modes
async def test_name_of_an_operation_that_is_no_text_is_refused(harness: ConnectorsHarness) -> None:
    """The name of an operation must be a string."""
    harness.add("base")
    with pytest.raises(ConfigurationError, match="has no operation 5"):
        await harness.run(harness.registry.run, "base", 5)
