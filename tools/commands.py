"""Writes the command reference from the command line's own help."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from operator import getitem
from typing import TYPE_CHECKING, Final

from moorage.cli.command_table import COMMANDS, GROUPS
from moorage.cli.exit_codes import CODES
from moorage.cli.frame import PLAIN, build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyclopts import App
    from cyclopts.argument import Argument

PATH: Final = "reference/commands.md"

_ABOUT: Final = """# Commands

This page is made of the commands themselves. [The command line](../how-to/command-line.md) shows
them at work.
"""


def page() -> str:
    """Return the page as Markdown."""
    app = build([], None)
    parts = [_ABOUT, *_everywhere(app), *_codes()]
    for words in COMMANDS:
        parts += _command(app, words)
    return "\n".join(parts)


def _everywhere(app: App) -> Iterator[str]:
    yield "## Anywhere\n"
    yield "These stand before a command or after it.\n"
    yield from _table(app.meta)


def _codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| code | |"
    yield "|---|---|"
    for code, meaning in CODES.items():
        yield f"| {code} | {meaning} |"
    yield ""


def _command(app: App, words: str) -> Iterator[str]:
    # A command that is a group too is complete only if the arguments name it.
    whole_app = build([words], None) if words in GROUPS else app
    custom = reduce(getitem, words.split(), whole_app)
    yield f"## moorage {words}\n"
    yield from _description(words)
    yield from _table(custom)


def _description(words: str) -> Iterator[str]:
    place, _, name = COMMANDS[words][0].partition(":")
    docstring = getattr(import_module(place), name).__doc__ or ""
    for paragraph in docstring.partition("Args:")[0].strip().split("\n\n"):
        yield f"{' '.join(paragraph.split())}\n"


def _table(app: App) -> Iterator[str]:
    arguments = app.assemble_argument_collection(default_parameter=PLAIN, parse_docstring=True)
    rows = [_row(argument) for argument in arguments if argument.parse and argument.show]
    if rows:
        yield "| | | |"
        yield "|---|---|---|"
        yield from rows
        yield ""


def _row(argument: Argument) -> str:
    names = ", ".join(f"`{name}`" for name in argument.names)
    requirement = "needed" if argument.required else ""
    summary = " ".join((argument.parameter.help or "").split())
    return f"| {names} | {requirement} | {summary} |".replace("…|", "… |")
