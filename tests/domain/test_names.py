"""The names that error messages use for functions and other callables."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage.domain.values.names import name_of


def pay(_: str) -> None:
    """A function whose name is tested."""


class Payer:
    """A callable object."""

    def __call__(self) -> None:
        """Do nothing when called."""

    def pay(self) -> None:
        """A method whose name is tested."""

    def __repr__(self) -> str:
        return "hunter2"


class AnyAttribute:
    """An object that has every attribute."""

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
        (AnyAttribute(), "AnyAttribute"),
    ],
)
def test_wrapped_function_is_shown_by_its_own_name(function: Any, name: str) -> None:
    """A function is shown by its own name even if it is wrapped.

    Other callables are shown by their class.
    """
    assert name == name_of(function)
