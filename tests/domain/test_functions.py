"""Validation of functions that users pass in."""

from __future__ import annotations

import pytest

from moorage.domain.values.functions import (
    check_callable,
    check_plain,
    not_callable_error,
    with_timeout,
)
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError


async def run_later() -> None:
    """An asynchronous function that no test awaits."""


@pytest.mark.parametrize("value", [print, run_later, str, lambda: None])
def test_callables_are_accepted(value: object) -> None:
    """Synchronous and asynchronous functions and classes are accepted as callables."""
    check_callable(value, "function")


def test_synchronous_function_is_accepted() -> None:
    """A synchronous function is accepted where only synchronous functions are allowed."""
    check_plain(print, "encode")


@pytest.mark.parametrize("value", [5, None, "hunter2"])
def test_uncallable_values_are_refused(value: object) -> None:
    """The error for a value that is not callable names field and type, never the value."""
    with pytest.raises(ConfigurationError) as excinfo:
        check_plain(value, "encode")

    assert "encode" == excinfo.value.path
    assert (
        f"The value must be callable, but {with_article(type(value).__name__)} is not."
        == excinfo.value.message
    )
    assert str(not_callable_error(value, "encode")) == str(excinfo.value)


def test_asynchronous_function_is_refused() -> None:
    """An asynchronous function is refused where a synchronous one is required."""
    with pytest.raises(ConfigurationError, match="later is asynchronous") as excinfo:
        check_plain(run_later, "encode")

    assert "encode" == excinfo.value.path


def test_function_that_takes_a_timeout_is_not_wrapped() -> None:
    """An adapter's method that has a `timeout` parameter is used without a wrapper."""

    def execute(command: str, timeout: float) -> tuple[str, float]:
        return command, timeout

    assert execute is with_timeout(execute, 1)


def test_method_without_a_timeout_is_wrapped() -> None:
    """An older adapter's method without a `timeout` parameter is called without it."""

    def execute(command: str) -> str:
        return command

    assert "look" == with_timeout(execute, 1)("look", 0.5)
