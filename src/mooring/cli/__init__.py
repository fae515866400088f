"""The command line: what an operator or a timer does with mooring, without a program.

Each command is a function of its parsed arguments that returns an exit code: 0 if all is well, 1 if
something is not, 2 if it was called in a way that makes no sense. What is meant to be read goes to
the standard output, and what went wrong to the standard error, as one sentence and its remedy.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from mooring.cli.housekeep import housekeep
from mooring.cli.oauth import add_oauth
from mooring.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRONG: Final = 1
_SENSELESS: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="mooring", description="Look after what mooring shares.")
    commands = parser.add_subparsers(required=True, metavar="command")
    keeping = commands.add_parser(
        "housekeep",
        help="forget states that cannot matter any more; for a timer",
        description="Forget states that cannot matter any more. Meant for a timer, once a day.",
    )
    keeping.add_argument("url", help="of the store, such as sqlite:///var/mooring.db")
    keeping.add_argument("--migrate", action="store_true", help="bring its schema up to date first")
    keeping.set_defaults(run=housekeep)
    add_oauth(commands)
    given = parser.parse_args(arguments)
    try:
        code: int = given.run(given)
    except ConnectorError as error:
        print(f"mooring: {error}", file=sys.stderr)
        return _SENSELESS if isinstance(error, ConfigurationError) else _WRONG
    return code
