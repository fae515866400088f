"""Tables and progress bars on terminals; importing this module takes 0.1 seconds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn
from rich.table import Table as RichTable
from rich.text import Text

from moorage.cli.answer import terminal_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.cli.answer import Table


def console(*, color: bool, stderr: bool = False) -> Console:
    """Return a Rich console for the standard output or error."""
    return Console(stderr=stderr, no_color=None if color else True, highlight=False)


def rich_table(table: Table) -> RichTable:
    """Return a Rich table that fits the terminal."""
    table_for_terminal = RichTable(*table.columns, box=box.SIMPLE_HEAD, header_style="bold")
    for row in table.rows:
        table_for_terminal.add_row(*(Text(terminal_text(cell)) for cell in row))
    return table_for_terminal


@contextmanager
def progress_bar(unit: str, *, color: bool) -> Generator[Callable[[int], None]]:
    """Show a progress bar; yields a function that advances it."""
    columns = (SpinnerColumn(), "{task.completed} {task.description}")
    with Progress(*columns, console=console(color=color, stderr=True), transient=True) as progress:
        task = progress.add_task(unit, total=None)
        yield lambda size: progress.advance(task, size)
