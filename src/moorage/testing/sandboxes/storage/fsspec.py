"""A folder of this machine through fsspec, which needs no sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from pathlib import Path


def fixture(folder: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    return SandboxFixture(options={"url": f"file://{folder}"})
