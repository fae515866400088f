"""Writes the command reference from the command line's own help."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from inspect import Parameter
from operator import getitem
from typing import TYPE_CHECKING, Final

from moorage.cli.command_line import PLAIN, build
from moorage.cli.command_table import COMMANDS, GROUPS
from moorage.cli.exit_codes import CODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyclopts import App
    from cyclopts.argument import Argument

PATH: Final = "reference/commands.md"

_INTRODUCTION: Final = """# Commands

This page is generated from the help texts of the commands. [The command
line](../how-to/command-line.md) has examples.
"""


def page() -> str:
    """Return the page as Markdown."""
    app = build([], None)
    parts = [_INTRODUCTION, *_global_options(app), *_codes()]
    for words in COMMANDS:
        parts += _command(app, words)
    return "\n".join(parts)


def _global_options(app: App) -> Iterator[str]:
    yield "## Anywhere\n"
    yield "These options may come before or after a command.\n"
    yield from _table(app.meta)


def _codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| code | |"
    yield "|---|---|"
    for code, meaning in CODES.items():
        yield f"| {code} | {meaning} |"
    yield ""


def _command(app: App, words: str) -> Iterator[str]:
    # The command is also a group, so it is complete only if the arguments name a command in it.
    whole_app = build([words], None) if words in GROUPS else app
    custom = reduce(getitem, words.split(), whole_app)
    yield f"## moorage {words}\n"
    yield from _description(words)
    yield f"`{_usage(words, custom)}`\n"
    yield from _table(custom)


def _description(words: str) -> Iterator[str]:
    place, _, name = COMMANDS[words][0].partition(":")
    docstring = getattr(import_module(place), name).__doc__ or ""
    for paragraph in docstring.partition("Args:")[0].strip().split("\n\n"):
        yield f"{' '.join(paragraph.split())}\n"


def _usage(words: str, app: App) -> str:
    """Return a command's usage line: options first, then positional arguments."""
    options, places = ["[options]"], list[str]()
    for argument in _arguments(app):
        place = _place(argument)
        if place is None:
            if argument.required:
                name = argument.names[0]
                options.append(f"{name} {_place_name(name)}")
            continue
        more = "..." if argument.field_info.kind is Parameter.VAR_POSITIONAL else ""
        places.append(f"{place}{more}" if argument.required else f"[{place}{more}]")
    return " ".join(["moorage", words, *options, *places])


def _arguments(app: App) -> list[Argument]:
    """Return the arguments that users of a command can pass."""
    arguments = app.assemble_argument_collection(default_parameter=PLAIN, parse_docstring=True)
    return [argument for argument in arguments if argument.parse and argument.show]


def _place(argument: Argument) -> str | None:
    """Return the placeholder for a positional argument, or None for an option."""
    return None if argument.index is None else _place_name(argument.names[0])


def _place_name(name: str) -> str:
    return name.lstrip("-").upper().replace("-", "_")


def _table(app: App) -> Iterator[str]:
    rows = [_row(argument) for argument in _arguments(app)]
    if rows:
        yield "| | | |"
        yield "|---|---|---|"
        yield from rows
        yield ""


def _row(argument: Argument) -> str:
    place = _place(argument)
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(filter(None, (place, *argument.names))))
    requirement = "needed" if argument.required else ""
    summary = " ".join((argument.parameter.help or "").split())
    return f"| {names} | {requirement} | {summary} |".replace("…|", "… |")
