"""Functions that a person gives."""

from __future__ import annotations

import pytest

from moorage.domain.functions import check_callable, check_plain, not_callable, timed
from moorage.domain.text import with_article
from moorage.errors import ConfigurationError


async def later() -> None:
    """Never awaited."""


@pytest.mark.parametrize("value", [print, later, str, lambda: None])
def test_what_can_be_called_is_a_function(value: object) -> None:
    """Functions of both colours and classes can be called."""
    check_callable(value, "function")


def test_a_plain_function_is_one() -> None:
    """A plain function is accepted where nothing is awaited."""
    check_plain(print, "encode")


@pytest.mark.parametrize("value", [5, None, "hunter2"])
def test_what_cannot_be_called_is_refused(value: object) -> None:
    """The error names the field and the type, and never the value."""
    with pytest.raises(ConfigurationError) as caught:
        check_plain(value, "encode")

    assert "encode" == caught.value.path
    assert (
        f"The value is {with_article(type(value).__name__)}, which cannot be called."
        == caught.value.message
    )
    assert str(not_callable(value, "encode")) == str(caught.value)


def test_an_asynchronous_function_is_no_plain_one() -> None:
    """What would have to be awaited is refused by its name."""
    with pytest.raises(ConfigurationError, match="later is asynchronous") as caught:
        check_plain(later, "encode")

    assert "encode" == caught.value.path


def test_verb_with_a_time_limit_is_told_it() -> None:
    """A verb of a port that takes a time limit is used as it is."""

    def execute(command: str, timeout: float) -> tuple[str, float]:
        return command, timeout

    assert execute is timed(execute, 1)


def test_verb_without_a_time_limit_is_called_without_it() -> None:
    """A verb of an older implementation of a port, which takes no time limit, is not given one."""

    def execute(command: str) -> str:
        return command

    assert "look" == timed(execute, 1)("look", 0.5)
