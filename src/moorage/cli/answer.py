"""What a command found, and how it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def _rows(rows: Iterable[Iterable[object]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple("" if cell is None else str(cell) for cell in row) for row in rows)


@attrs.frozen
class Table:
    """Rows under the names of their columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = attrs.field(converter=_rows)

    def lines(self) -> list[str]:
        """The table as text, where there is no terminal that it could be fitted to."""
        whole = [self.columns, *self.rows]
        widths = [max(len(row[place]) for row in whole) for place in range(len(self.columns))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in whole
        ]


@attrs.frozen
class Answer:
    """What a command found.

    Attributes:
        found: the same for programs, as plain values; this is what `--json` prints.
        shown: for people: lines and tables, in order.
        code: the exit code.
    """

    found: Mapping[str, Any]
    shown: Sequence[str | Table] = ()
    code: int = 0
