"""What starting each command takes once its bytecode is cached.

It is the time of the processor, which is what a shell waits for where nothing else runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from typing import Final

from moorage.cli.table import COMMANDS

MOST: Final = 250.0
"""Milliseconds that help, version and check may take."""

_BOUND: Final = ("--version", "--help", "check")
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


def start_up() -> dict[str, float]:
    """Milliseconds of the best of a few starts, by command."""
    with TemporaryDirectory() as folder:
        Path(folder, "moorage.toml").write_text(_CONFIGURATION)
        told = {words: _started(folder, words) for words in _BOUND}
        return told | {f"{words} --help": _started(folder, f"{words} --help") for words in COMMANDS}


def shown(told: dict[str, float]) -> str:
    """The same as text."""
    lines = [f"starting a command (help, version and check must be ≤ {MOST:.0f} ms)"]
    lines += [f"  moorage {words:<36}{taken:8.0f} ms" for words, taken in told.items()]
    return "\n".join(lines)


def _started(folder: str, words: str) -> float:
    command = [sys.executable, "-m", "moorage", *words.split()]
    given = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "cache"))}
    given.pop("PYTHONDONTWRITEBYTECODE", None)
    best = float("inf")
    for _ in range(_ROUNDS):
        began = _worked()
        subprocess.run(command, cwd=folder, env=given, stdout=subprocess.DEVNULL, check=True)
        best = min(best, _worked() - began)
    return best * 1000


def _worked() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(shown(start_up()))
