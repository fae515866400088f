"""Local steps on a full disk: what they did stays known, and they can be stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("full_disk_worker.py")
ROOT = Path(__file__).parents[2]
NAMESPACE = ("unshare", "--map-root-user", "--mount")


def _can_mount() -> bool:
    try:
        return not subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not _can_mount(), reason="needs a mount namespace of its own")


def lines_of(situation: str, folder: Path) -> list[str]:
    """Run steps on a small disk, and return the lines that the program prints."""
    (folder / "disk").mkdir()
    process = subprocess.run(
        [*NAMESPACE, sys.executable, str(WORKER), situation, str(folder / "disk")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert (0, "") == (process.returncode, process.stderr)
    return process.stdout.splitlines()


def test_exit_code_of_step_that_fills_disk_is_known(tmp_path: Path) -> None:
    """The exit code of a step is recorded, although the step has filled the disk of its run."""
    assert ["5"] == lines_of("exit", tmp_path)


def test_step_that_has_filled_disk_can_be_stopped(tmp_path: Path) -> None:
    """A step can be stopped, although it has filled the disk of its run."""
    assert ["EndReason.STOPPED 143"] == lines_of("stop", tmp_path)


def test_step_without_space_to_start_leaves_no_secret(tmp_path: Path) -> None:
    """A step that cannot start for lack of space leaves no secret on the disk, and starts later."""
    *refusals, last_line = lines_of("start", tmp_path)
    assert {"refused 0"} == set(refusals)
    assert "begun 12" == last_line


def test_result_that_cannot_be_stored_may_have_been_processed(tmp_path: Path) -> None:
    """If the store cannot keep the result, the error says that the step may have run."""
    assert ["True", "4 ['1']"] == lines_of("store", tmp_path)
