"""A temporary folder and environment variables for each test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pipelines.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _without_configuration(tmp_path: Path) -> Iterator[None]:
    """Run each test in an empty folder, and without MOORAGE variables in the environment."""
    previous_environment, local_path = dict(os.environ), Path.cwd()
    for name in ("MOORAGE_CONFIG", "MOORAGE_CREDENTIALS", "MOORAGE_KEYS"):
        os.environ.pop(name, None)
    os.chdir(tmp_path)
    yield
    os.chdir(local_path)
    os.environ.clear()
    os.environ.update(previous_environment)
