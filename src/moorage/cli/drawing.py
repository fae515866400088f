"""Tables and progress bars on terminals; importing this module takes 0.1 seconds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.progress import Progress, SpinnerColumn
from rich.table import Table as RichTable
from rich.text import Text

from moorage.cli.answer import terminal_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from moorage.cli.answer import Table

_FRAME: Final = 3
"""The width of the space around a column."""


def console(*, color: bool, stderr: bool = False) -> Console:
    """Return a Rich console for the standard output or error."""
    return Console(stderr=stderr, no_color=None if color else True, highlight=False)


def drawn_table(table: Table, width: int) -> RenderableType:
    """Return a table for a terminal: with columns, or as a list of its rows if it is too narrow.

    Only sentences are wrapped. People copy other values to commands, so these are never cut.

    Args:
        table: the table.
        width: the number of characters in a line of the terminal.
    """
    rows = [[terminal_text(cell) for cell in row] for row in table.rows]
    columns = list(zip(table.columns, *rows, strict=True))
    if rows and sum(map(_least_width, columns)) + _FRAME * len(columns) > width:
        return Group(*_listed_rows(table.columns, rows))
    grid = RichTable(box=box.SIMPLE_HEAD, header_style="bold")
    for name, *cells in columns:
        grid.add_column(name, overflow="fold", no_wrap=not _has_sentences(cells))
    for row in rows:
        grid.add_row(*map(Text, row))
    return grid


def _has_sentences(cells: Sequence[str]) -> bool:
    return any(" " in cell for cell in cells)


def _least_width(column: Sequence[str]) -> int:
    """Return the width at which a column, with its name first, shows its values in full."""
    is_wrapped = _has_sentences(column[1:])
    texts = [word for cell in column for word in cell.split()] if is_wrapped else column
    return max(map(cell_len, texts), default=0)


def _listed_rows(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[Text]:
    """Yield each row as lines with the names and values of its cells."""
    for row in rows:
        lines = [
            f"{name}: {cell}" if name else cell
            for name, cell in zip(names, row, strict=True)
            if cell
        ]
        yield Text("\n".join([*lines, ""]), overflow="fold")


@contextmanager
def progress_bar(unit: str, *, color: bool) -> Generator[Callable[[int], None]]:
    """Show a progress bar; yields a function that advances it."""
    columns = (SpinnerColumn(), "{task.completed} {task.description}")
    with Progress(*columns, console=console(color=color, stderr=True), transient=True) as progress:
        task = progress.add_task(unit, total=None)
        yield lambda size: progress.advance(task, size)
