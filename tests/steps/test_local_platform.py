"""Local processes behave as the platform port requires."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import ConnectionFailed
from moorage.adapters.steps._ssh_far import _Runs
from moorage.adapters.steps.local import LocalPlatform
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance
from tests.file_limit import no_free_files

if TYPE_CHECKING:
    from pathlib import Path


def run_with_files(folder: Path) -> None:
    """Make the working directory of a run with a file and a loop of symbolic links."""
    work = folder / "run" / "work"
    work.mkdir(parents=True)
    (work / "total.csv").write_bytes(b"12")
    (work / "loop.csv").symlink_to("loop.csv")


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_local_platform_passes_conformance_kit(
    check: platform_conformance.Check, tmp_path: Path
) -> None:
    """The local platform passes the conformance kit."""
    check(platform_conformance.PlatformSubject(make=lambda: LocalPlatform(tmp_path)))


def test_file_that_cannot_be_read_now_is_not_taken_for_missing(tmp_path: Path) -> None:
    """If the process has too many open files, collecting raises a temporary error."""
    run_with_files(tmp_path)
    platform = LocalPlatform(tmp_path)
    with no_free_files(), pytest.raises(ConnectionFailed, match="Too many open files") as excinfo:
        platform.collect("run", "total.csv", 100, 1.0)
    assert excinfo.value.retryable
    assert b"12" == platform.collect("run", "total.csv", 100, 1.0)
    for path in ("loop.csv", "missing.csv", "total.csv/x", "x" * 300):
        assert platform.collect("run", path, 100, 1.0) is None


def test_remote_file_that_cannot_be_read_now_is_not_taken_for_missing(tmp_path: Path) -> None:
    """If the other machine has too many open files, its program reports that error."""
    run_with_files(tmp_path)
    request = {"folder": str(tmp_path), "name": "run", "timeout": 1.0, "limit": 100}
    with no_free_files(), pytest.raises(OSError, match="Too many open files"):
        _Runs({**request, "path": "total.csv"}).collected_file()
    assert b"12" == _Runs({**request, "path": "total.csv"}).collected_file()
    for path in ("loop.csv", "missing.csv", "total.csv/x", "x" * 300):
        assert _Runs({**request, "path": path}).collected_file() is None
