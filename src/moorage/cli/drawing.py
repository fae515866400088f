"""What is drawn on terminals; importing this costs a tenth of a second."""

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
    """A terminal, or what stands for one."""
    return Console(stderr=stderr, no_color=None if colour else True, highlight=False)


def drawn(table: Table) -> Drawn:
    """A table that fits the terminal."""
    whole = Drawn(*table.columns, box=box.SIMPLE_HEAD, header_style="bold")
    for row in table.rows:
        whole.add_row(*map(Text, row))
    return whole


@contextmanager
def counting(doing: str, *, colour: bool) -> Generator[Callable[[int], None]]:
    """Show how far something is; call what this gives with the size of each part done."""
    columns = (SpinnerColumn(), "{task.completed} {task.description}")
    with Progress(*columns, console=console(colour=colour, stderr=True), transient=True) as shown:
        task = shown.add_task(doing, total=None)
        yield lambda size: shown.advance(task, size)
