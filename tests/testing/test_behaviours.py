"""Behaviours that make a local server respond with JSON."""

from __future__ import annotations

import inspect
from typing import Any

import attrs
import pytest

from moorage.testing import Behaviour


@pytest.mark.parametrize(
    "options",
    [
        {"delay": 1.5},
        {"piece": 3, "pause": 0.25},
        {"cut": 4, "then": "reset"},
        {"framing": "chunked", "before": b"HTTP/1.1 100 Continue\r\n\r\n", "reads": "head"},
    ],
)
def test_json_takes_the_options_of_a_behaviour(options: dict[str, Any]) -> None:
    """A JSON response can be late, slow or cut off, like every other response."""
    immediate = Behaviour.of_json({"id": 1}, status=201, headers={"X-Id": "1"})
    late = Behaviour.of_json({"id": 1}, status=201, headers={"X-Id": "1"}, **options)

    assert attrs.evolve(immediate, **options) == late
    assert immediate != late


def test_json_takes_every_option_that_does_not_replace_the_body() -> None:
    """`of_json` has a parameter for each attribute of a response, except those for its bytes."""
    names = {field.name for field in attrs.fields(Behaviour)} - {"body", "raw", "repeat"}
    parameters = set(inspect.signature(Behaviour.of_json).parameters) - {"value"}

    assert names == parameters
