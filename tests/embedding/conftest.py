"""Keeps the tests of the Django and Flask packages out of the coverage of the core."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

HERE = f"{Path(__file__).parent}{os.sep}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that they are not counted in the coverage of the core."""
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker("untraced")
