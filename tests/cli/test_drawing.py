"""Tables on terminals of several widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from moorage.cli.answer import Table
from moorage.cli.drawing import drawn_table

ID = "01M8N85BRKG742XGEX9Q7FKCBC"
ENTRIES = Table(
    ("id", "target", "error"),
    [(ID, "shipping", "The vendor refused the order."), ("02", "", "")],
)


def drawn_text(table: Table, width: int) -> str:
    """Return the text of a table on a terminal of this width."""
    output = io.StringIO()
    Console(file=output, width=width).print(drawn_table(table, width))
    return output.getvalue()


@pytest.mark.parametrize("width", [200, 80, 60, 56, 55, 54, 53, 52, 51, 50, 40, 30])
def test_no_value_of_a_table_is_cut(width: int) -> None:
    """Whatever the width of the terminal, an id is shown in full and on one line."""
    text = drawn_text(ENTRIES, width)

    assert ID in text
    assert "shipping" in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert all(len(line) <= width for line in text.splitlines())


def test_rows_are_listed_on_a_narrow_terminal() -> None:
    """On a terminal that is too narrow for the columns, each row is a list of its values."""
    listed_row = f"id: {ID}\ntarget: shipping\n"

    assert drawn_text(ENTRIES, 40).startswith(listed_row)
    assert drawn_text(ENTRIES, 40).endswith("\n\nid: 02\n\n")
    assert listed_row not in drawn_text(ENTRIES, 80)


def test_table_without_rows_shows_its_columns() -> None:
    """A table without rows shows the names of its columns on every terminal."""
    assert "id" in drawn_text(Table(("id", "target"), []), 20)
    assert drawn_text(Table(("id", "target"), []), 3).strip()
