"""What a function is called in a message."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage.domain.names import name_of


def pay(_: str) -> None:
    """A function."""


class Payer:
    """Something that can be called."""

    def __call__(self) -> None:
        """Pay."""

    def pay(self) -> None:
        """Pay."""

    def __repr__(self) -> str:
        return "hunter2"


class Mocking:
    """Something that has an answer to every name."""

    def __getattr__(self, _: str) -> int:
        return 7


@pytest.mark.parametrize(
    "function, name",
    [
        (pay, "pay"),
        (partial(pay, "hunter2"), "pay"),
        (partial(partial(pay), "hunter2"), "pay"),
        (Payer(), "Payer"),
        (Payer().pay, "Payer.pay"),
        (partial(Payer()), "Payer"),
        (Payer, "Payer"),
        (print, "print"),
        (None, "NoneType"),
        (Mocking(), "Mocking"),
    ],
)
def test_names_what_is_called(function: Any, name: str) -> None:
    """A function has its own name, whatever wraps it; anything else its class's."""
    assert name == name_of(function)
