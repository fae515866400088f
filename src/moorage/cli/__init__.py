"""The command line: what an operator or a timer does with moorage, without a program.

A command is a function of plain, typed parameters in a module of its own, which returns an
`Answer`: what it found, and how people read that. It stands in `moorage.cli.table`, by its import
path, so that it is imported when it is asked for; the sentence there is the first of its docstring.
A parameter that is annotated as `Desk` is what all commands share. What goes wrong is raised, and
`moorage.cli.frame` tells it as one sentence, with an exit code of `moorage.cli.ends`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from moorage.domain.installation import install

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.cli.host import Host

_NEEDED: Final = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None, *, host: Host | None = None) -> int:
    """Run one command, and return its exit code.

    Args:
        arguments: the command's words; by default those that this program was called with.
        host: a program whose configuration and stores are used, where none are named.
    """
    try:
        from moorage.cli.frame import run  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        if error.name not in _NEEDED:
            raise
        print(
            f"moorage: the command line needs {error.name}, which is not installed."
            f" {install('cli')}",
            file=sys.stderr,
        )
        return 2
    return run(sys.argv[1:] if arguments is None else arguments, host=host)
