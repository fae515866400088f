"""The result of a command, for programs and for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


_CONTROLS: Final = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
    "|\\r(?!\\n)"
)
"""Controls besides tabs and line ends, marks of the direction of text, and unpaired surrogates."""


def _rows(rows: Iterable[Iterable[object]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple("" if cell is None else str(cell) for cell in row) for row in rows)


@attrs.frozen
class Table:
    """A table with named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = attrs.field(converter=_rows)

    def lines(self) -> list[str]:
        """Return the table as lines of text, for output that is not a terminal."""
        rows = [self.columns, *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.columns))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]


@attrs.frozen
class CommandResult:
    """The result of a command.

    Attributes:
        document: the result for programs, as plain values; `--json` prints it.
        output: the result for people: lines and tables, in order.
        code: the exit code.
    """

    document: Mapping[str, Any]
    output: Sequence[str | Table] = ()
    code: int = 0


def terminal_text(text: str) -> str:
    """Return a text with escapes for characters that would control a terminal.

    Tabs and line ends stay. Text of a vendor or of a file may contain such characters.
    """
    if text.isprintable():
        return text
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)
