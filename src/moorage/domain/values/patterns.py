"""Regular expressions that are compiled at their first use."""

from __future__ import annotations

import re
from typing import AnyStr, cast


class _LatePattern:
    """A regular expression that is compiled at its first use."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> object:
        value: object = getattr(re.compile(self._text, self._flags), name)
        self.__dict__[name] = value  # found there from now on, without this method
        return value


def late_pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return a regular expression that is compiled at its first use.

    It is meant for expressions that compile slowly and that most programs never use. An
    invalid expression raises `re.error` at its first use.
    """
    return cast("re.Pattern[AnyStr]", _LatePattern(text, flags))
