"""A sandbox fixture for a local folder used through fsspec, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from pathlib import Path


def fixture(folder: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    return SandboxFixture(options={"url": f"file://{folder}"})
