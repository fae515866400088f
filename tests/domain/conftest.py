"""Fixtures for all tests of the domain."""

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moorage.errors import ConfigurationError, InvalidData

PLACE = re.compile(r"[a-z][a-z_]*([.\[].*)?", re.DOTALL)


def has_message_field_and_remedy(error: ConfigurationError | InvalidData) -> bool:
    """Return whether an error has a message, the path or field of the mistake, and a remedy."""
    place = error.field if isinstance(error, InvalidData) else error.path
    return (
        isinstance(error.args[0], str)
        and isinstance(place, str)
        and PLACE.fullmatch(place) is not None
        and error.remedy != type(error).remedy
    )


@pytest.fixture(autouse=True)
def every_refusal_helps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test whose domain error lacks a message, a path or a remedy."""
    unhelpful_errors: list[str] = []

    def watch(kind: type[ConfigurationError | InvalidData]) -> None:
        build: Callable[..., None] = kind.__init__

        def watched(
            error: ConfigurationError | InvalidData, *arguments: Any, **fields: Any
        ) -> None:
            build(error, *arguments, **fields)
            raiser: str = sys._getframe(1).f_globals["__name__"]  # noqa: SLF001 - who asked for it
            if raiser.startswith("moorage.domain.") and not has_message_field_and_remedy(error):
                unhelpful_errors.append(f"{raiser}: {error!r}")

        monkeypatch.setattr(kind, "__init__", watched)

    watch(ConfigurationError)
    watch(InvalidData)
    yield
    assert [] == unhelpful_errors
