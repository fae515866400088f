"""The command lines of the tools for developers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__main__").replace("/", ".")
    for path in (ROOT / "tools").rglob("*.py")
    if '\nif __name__ == "__main__":\n' in path.read_text("utf-8")
)


def _run(tool: str, option: str) -> subprocess.CompletedProcess[str]:
    """Run a tool with a single option."""
    command = [sys.executable, "-m", tool, option]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_explains_itself(tool: str) -> None:
    """With `--help` a tool prints its usage, and does nothing else."""
    run = _run(tool, "--help")
    assert (0, "") == (run.returncode, run.stderr)
    assert run.stdout.startswith("usage: ")


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_refuses_an_unknown_option(tool: str) -> None:
    """A tool given an unknown option does nothing, and prints its usage as an error."""
    run = _run(tool, "--unknown-option")
    assert (2, "") == (run.returncode, run.stdout)
    assert run.stderr.startswith("usage: ")
