"""What the conformance kits are written with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def name_of(check: Callable[..., object]) -> str:
    """What a check is called in a test report; give it to `pytest.mark.parametrize` as `ids`."""
    return getattr(check, "__name__", repr(check))


def require(holds: object, sentence: str) -> None:
    """Fail the check, saying what the adapter did wrong, unless it did right."""
    if not holds:
        raise AssertionError(sentence)
