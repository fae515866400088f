"""The command line, for operators and timers.

A command is a function of plain, typed parameters in its own module, which returns a
`CommandResult`. `moorage.cli.command_table` lists it by its import path, so that it is imported
only when it runs, and by the first sentence of its docstring.
A parameter annotated as `Context` receives the options that all commands share. Errors are raised;
`moorage.cli.command_line` prints them as one sentence and exits with a code of
`moorage.cli.exit_codes`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from moorage.domain.values.installation import install

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.cli.host import Host

_NEEDED_MODULES: Final = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None, *, host: Host | None = None) -> int:
    """Run one command, and return its exit code.

    Args:
        arguments: the command's arguments; by default those of this process.
        host: the program whose configuration and stores are the defaults.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if list(words) == ["--version"]:
        from importlib.metadata import version  # noqa: PLC0415 - most commands do not need it

        print(version("moorage"))
        return 0
    try:
        from moorage.cli.command_line import run  # noqa: PLC0415 - needs optional packages
    except ImportError as error:
        if error.name not in _NEEDED_MODULES:
            raise
        print(
            f"moorage: the command line needs {error.name}, which is not installed."
            f" {install('cli')}",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        from moorage.cli.exit_codes import INTERRUPTED  # noqa: PLC0415 - rarely needed

        print("moorage: Interrupted.", file=sys.stderr)
        return INTERRUPTED
    return run(words, host=host)
