"""Finds the line of each setting in a file, for messages about the setting.

The parsers of TOML and JSON in the standard library report no positions. So a string that they
accepted is read again here, which only an error causes: the scanner skips values and checks
nothing.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from moorage.config.problems import key, path_below

if TYPE_CHECKING:
    from collections.abc import Mapping

_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([A-Za-z0-9_-]+)")
_TEXT: Final = re.compile(
    r"""
    \"{3} (?:\\.|[^\\])*? \"{3,5}(?!\") | '{3} .*? '{3,5}(?!')
    | \" (?:[^\"\\]|\\.)* \" | ' [^']* '
    """,
    re.DOTALL | re.VERBOSE,
)
_PLAIN_VALUE: Final = re.compile(r"[^,\[\]{}#\r\n]*")


def lines_of(text: str) -> Mapping[str, int]:
    """Return the line of each setting of a TOML or JSON string, counted from 1, by its path.

    For a string that is malformed or nested too deeply, it returns the lines before the mistake.
    """
    scanner = _Scanner(text)
    with suppress(ValueError, RecursionError):
        if text.lstrip().startswith("{"):
            scanner.value("")
        else:
            scanner.document()
    return scanner.lines


class _Scanner:
    """Reads one valid string from its beginning to its end.

    Attributes:
        lines: the line of each setting by its path.
    """

    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._counts: dict[str, int] = {}  # number of tables [[…]] so far, by path

    def document(self) -> None:
        """Read a TOML string: settings, and the headers of tables."""
        table = ""
        while self._next_character():
            if self._skip_character("["):
                is_item = self._skip_character("[")
                table = self._key("", of_header=True, adds_item=is_item)
                self._next_character()
                self._at += 2 if is_item else 1
            else:
                self._setting(table)

    def value(self, path: str) -> None:
        """Read the value of a setting at a path."""
        start = self._next_character()
        if start == "{":
            self._table(path)
        elif start == "[":
            self._list(path)
        elif start in {'"', "'"}:
            self._skip(_TEXT)
        else:
            self._skip(_PLAIN_VALUE)

    def _table(self, path: str) -> None:
        self._at += 1
        while self._next_character() not in {"}", ""}:
            self._setting(path)
            self._next_character()
            self._skip_character(",")
        self._at += 1

    def _list(self, path: str) -> None:
        self._at += 1
        position = 0
        while self._next_character() not in {"]", ""}:
            item_path = f"{path}[{position}]"
            self.lines[item_path] = self._line()
            self.value(item_path)
            position += 1
            self._next_character()
            self._skip_character(",")
        self._at += 1

    def _setting(self, table: str) -> None:
        path = self._key(table)
        self._next_character()
        self._at += 1  # the equals sign or the colon
        self.value(path)

    def _key(self, table: str, *, of_header: bool = False, adds_item: bool = False) -> str:
        """Read a key, which may have several parts, and return its path below a table's."""
        names = [self._name()]
        line = self._line()
        while self._next_character() == ".":
            self._at += 1
            names.append(self._name())
        path = table
        for number, name in enumerate(names, 1):
            path = path_below(path, key(name))
            self.lines.setdefault(path, line)
            if adds_item and number == len(names):
                self._counts[path] = self._counts.get(path, 0) + 1
            if of_header and path in self._counts:
                path = f"{path}[{self._counts[path] - 1}]"
                self.lines.setdefault(path, line)
        return path

    def _name(self) -> str:
        self._next_character()
        match = _KEY.match(self._text, self._at)
        if match is None:
            raise ValueError
        self._at = match.end()
        quoted_name, literal_name, bare_name = match.groups()
        if quoted_name is None:
            return str(bare_name if literal_name is None else literal_name)
        return quoted_name if "\\" not in quoted_name else _unescaped(match[0])

    def _next_character(self) -> str:
        """Skip white space and comments, and return the next character; "" at the end."""
        self._skip(_SPACE)
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _skip_character(self, character: str) -> bool:
        """Skip a character if it is the next one."""
        is_next = self._text.startswith(character, self._at)
        self._at += is_next
        return is_next

    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1


def _unescaped(quoted_key: str) -> str:
    try:
        return str(json.loads(quoted_key))
    except ValueError:
        return str(next(iter(tomllib.loads(f"{quoted_key} = 0"))))
