"""The result of a command, for programs and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


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
