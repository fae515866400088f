"""The processor time of starting a command, and of importing the package.

It is what a shell waits for where nothing else runs. Bytecode is cached, and the time of the bare
interpreter is included.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from measure import CHILDREN, Block, Comparison, Contender, Read, Target, compare

from moorage.cli.command_table import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST: Final = 250_000.0
"""Microseconds that help, version and check may take."""

_ROUNDS: Final = 7
_CONFIGURATION: Final = """
[state]
url = "sqlite:///state.db"
[email]
vendor = "resend"
[vendors.resend]
credentials = "secret://env/HOME"
sender = "shop@acme.example"
[services.vat]
base_url = "https://vat.example"
"""


_MANAGER: Final = (
    "import moorage;"
    " moorage.ConnectorManager([moorage.Service('vat', base_url='https://vat.example')])"
)
_HUB: Final = (
    "import warnings; warnings.simplefilter('ignore'); import moorage; moorage.open('moorage.toml')"
)


def import_time(rounds: int) -> Comparison:
    """Measure importing moorage and tenacity, compared with the start of the interpreter."""
    contenders = {
        "the interpreter": ("-c", "pass"),
        "import tenacity": ("-c", "import tenacity"),
        "import moorage": ("-c", "import moorage"),
        "import moorage, every export": ("-c", "from moorage import *"),
        "a first manager": ("-c", _MANAGER),
        "moorage.open": ("-c", _HUB),
        "moorage --version": ("-m", "moorage", "--version"),
    }
    return _starts("importing", contenders, rounds, None)


def command_start(rounds: int) -> Comparison:
    """Measure the start of the commands that people wait for most often."""
    words = ("--version", "--help", "check")
    contenders = {"the interpreter": ("-c", "pass")} | {
        f"moorage {word}": ("-m", "moorage", word) for word in words
    }
    return _starts("starting a command", contenders, rounds, Target(MOST, MOST, more=True))


def command_help(rounds: int) -> Comparison:
    """Measure how long each command takes to print its help."""
    contenders = {"the interpreter": ("-c", "pass")} | {
        f"moorage {word} --help": ("-m", "moorage", word, "--help") for word in COMMANDS
    }
    return _starts("the help of a command", contenders, rounds, Target(MOST, MOST, more=True))


def _starts(
    title: str, contenders: Mapping[str, tuple[str, ...]], rounds: int, target: Target | None
) -> Comparison:
    with TemporaryDirectory() as folder:
        Path(folder, "moorage.toml").write_text(_CONFIGURATION)
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "cache"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        table = compare(
            None,
            [
                Contender(name, _start_command(folder, environment, arguments))
                for name, arguments in contenders.items()
            ],
            rounds=min(rounds, _ROUNDS),
            clock=CHILDREN,
            block_seconds=0.05,
        )
    return Comparison(title, table, target, more=True)


def _start_command(
    folder: str, environment: Mapping[str, str], arguments: tuple[str, ...]
) -> Block:
    def block(calls: int, read: Read) -> float:
        start = read()
        for _ in range(calls):
            subprocess.run(
                [sys.executable, *arguments],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        return read() - start

    return block


ALL = (import_time, command_start, command_help)
