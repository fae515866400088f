"""Follows a documentation page: writes its files and runs its commands and Python code.

Called with the path of a JSON file: the page's name, and its steps as `tests.support.pages` makes
them. It works in the current directory, and ends with 1 and a sentence where a step does not do
what the page says.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
import traceback
import types
from pathlib import Path

_PRINTS = re.compile(r"# → (.*)$", re.MULTILINE)
_TIMEOUT = 120.0  # seconds within which a background command must show the text that the page shows


class StepMismatch(Exception):
    """Raised if a step's result differs from what the page shows."""


class Shell:
    """A terminal whose folder and variables persist between commands."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self.folder = str(Path.cwd())
        self._notes = Path.home()  # a port that no other program uses

    def run(self, command: str, shown: list[str], status: int) -> None:
        """Run a command, and compare its output and exit status with the page."""
        printed_path, state = self._notes / f"printed{time.monotonic_ns()}", self._notes / "state"
        script = f"{command}\nstatus=$?\nenv -0 > {state}\nexit $status"
        with printed_path.open("wb") as out:
            exit_status = subprocess.run(
                ["/bin/bash", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.folder,
                check=False,
                timeout=600,
            ).returncode
        deadline = time.monotonic() + (_TIMEOUT if command.endswith("&") else 0)
        while not matches(shown, text := printed_path.read_text("utf-8")):
            if time.monotonic() >= deadline:
                raise StepMismatch(
                    f"`{command}` printed\n{text}\nThe page shows\n" + "\n".join(shown)
                )
            time.sleep(0.02)
        if exit_status != status:
            raise StepMismatch(f"`{command}` ended with {exit_status} and printed\n{text}")
        pairs = [pair.split("=", 1) for pair in state.read_text("utf-8").split("\0") if pair]
        self.environment = dict(pairs)
        self.folder = self.environment["PWD"]


def matches(shown: list[str], printed: str) -> bool:
    """Compare output line by line; `…` stands for any text, and alone on a line for any lines."""
    if not shown:
        return True
    pattern = r"\n".join(
        r"(?:.*\n)*?.*" if line == "…" else re.escape(line.rstrip()).replace("…", ".*") + " *"
        for line in shown
    )
    lines = "\n".join(line.rstrip() for line in printed.splitlines())
    return re.fullmatch(pattern, lines) is not None


class Interpreter:
    """A Python session, which begins with the first Python block of the page."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._module: types.ModuleType | None = None

    def run(self, code: str, line: int, shell: Shell) -> None:
        """Run a block, and compare its output with the comments `# →`."""
        if self._module is None:
            os.environ.update(shell.environment)
            os.chdir(shell.folder)
            self._module = sys.modules["__main__"] = types.ModuleType("__main__")
        compiled_code = compile("\n" * line + code, self._page, "exec")
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            exec(compiled_code, vars(self._module))  # noqa: S102 - which is what this file is for
        if errors.getvalue():
            raise StepMismatch(f"the block wrote to the standard error:\n{errors.getvalue()}")
        if _PRINTS.findall(code) != output.getvalue().splitlines():
            raise StepMismatch(f"the block printed\n{output.getvalue()}")


def main(path: str) -> None:
    """Follow the steps of a page."""
    sys.path[0] = ""
    plan = json.loads(Path(path).read_text("utf-8"))
    shell, interpreter = Shell(), Interpreter(plan["page"])
    for step in plan["steps"]:
        try:
            if step["kind"] == "file":
                file = Path(shell.folder, step["name"])
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("a" if step["more"] else "w", encoding="utf-8") as text:
                    text.write(step["text"])
            elif step["kind"] == "command":
                shell.run(step["text"], step["shown"], step["status"])
            else:
                interpreter.run(step["text"], step["line"], shell)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page is wrong
            message = str(error) if isinstance(error, StepMismatch) else traceback.format_exc()
            sys.exit(f"{plan['page']}:{step['line'] + 1}: {message}")


if __name__ == "__main__":
    main(sys.argv[1])
