"""The demo's month end: a step writes to a ledger, and the program that started it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP: Final = "month-end"
"""The name of the step."""

_COMMAND: Final = (
    "echo adding up the invoices; sleep 1; echo closed >> $LEDGER; echo the month is closed"
)
_PROGRAM: Final = """
import sys

import moorage

with moorage.open(sys.argv[1]) as hub:
    hub.steps.run(
        sys.argv[2],
        idempotency_key=sys.argv[3],
        log=lambda line: print(line.text, flush=True),
    )
"""


class MonthEnd:
    """The step that closes a month in a ledger, and the ledger.

    Args:
        folder: the folder of the ledger and of the runs.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._path = self._folder / "ledger.txt"

    @property
    def effects(self) -> list[str]:
        """The ledger's entries; the step writes one per month."""
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        return [f"ledger: {line}" for line in lines]

    def settings(self) -> dict[str, Any]:
        """Return the configuration tables for the step."""
        step = {
            "platform": "here",
            "command": ["sh", "-c", _COMMAND],
            "environment": {"LEDGER": str(self._path)},
            "timeout": 60,
        }
        platform = {"kind": "local", "folder": str(self._folder / "runs")}
        return {"platforms": {"here": platform}, "steps": {STEP: step}}

    def begin_and_die(self, configuration: Mapping[str, Any], key: str) -> str:
        """Start the step from another program and kill that program; return the line it printed.

        Args:
            configuration: the configuration of the business system.
            key: the idempotency key of the step.
        """
        path = self._folder / "month-end.json"
        tables = {name: configuration[name] for name in ("state", "platforms", "steps")}
        path.write_text(json.dumps(tables), encoding="utf-8")
        arguments = [sys.executable, "-c", _PROGRAM, str(path), STEP, key]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:  # noqa: S603 - our own program
            assert program.stdout is not None  # noqa: S101 - it is a pipe
            line = program.stdout.readline()
            program.kill()
        return line.strip()
