"""Compiles the modules that all test workers import before the workers start.

In a new checkout, nothing is compiled. Several workers that start together would each compile the
modules that all of them import, which takes longer than to run them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_COMPILED: Final = f".{sys.implementation.cache_tag}-pytest-*.pyc"


def uncompiled_modules(root: Path, modules: Iterable[str]) -> list[str]:
    """Return the test modules, named by paths below a folder, that have no compiled file."""
    return [module for module in modules if not _is_compiled(root / module)]


def _is_compiled(module: Path) -> bool:
    return any((module.parent / "__pycache__").glob(f"{module.stem}{_COMPILED}"))


def compile_modules(root: Path, modules: Sequence[str]) -> None:
    """Compile test modules and all that they import, in one process for each core.

    A module that cannot be collected is told by the worker that needs it.
    """
    count = os.cpu_count() or 1
    shares = [share for start in range(count) if (share := modules[start::count])]
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    # With an empty value, Python writes compiled files even if the environment forbids it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    processes = [
        subprocess.Popen(
            [*collect, *share],
            cwd=root,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for share in shares
    ]
    for process in processes:
        process.wait()
