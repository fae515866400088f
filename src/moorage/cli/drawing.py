"""Tables and progress bars on terminals; importing this module takes 0.1 seconds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn
from rich.table import Table as Drawn
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.cli.answer import Table


def console(*, colour: bool, stderr: bool = False) -> Console:
    """Return a Rich console for the standard output or error."""
    return Console(stderr=stderr, no_color=None if colour else True, highlight=False)


def drawn(table: Table) -> Drawn:
    """Return a Rich table that fits the terminal."""
    rich_table = Drawn(*table.columns, box=box.SIMPLE_HEAD, header_style="bold")
    for row in table.rows:
        rich_table.add_row(*map(Text, row))
    return rich_table


@contextmanager
def counting(doing: str, *, colour: bool) -> Generator[Callable[[int], None]]:
    """Show a progress bar; yields a function that adds to the progress."""
    columns = (SpinnerColumn(), "{task.completed} {task.description}")
    with Progress(
        *columns, console=console(colour=colour, stderr=True), transient=True
    ) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda size: progress.advance(task, size)
