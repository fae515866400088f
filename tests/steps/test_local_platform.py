"""Local processes behave as the platform port requires."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.adapters.steps.local import LocalPlatform
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_local_platform_passes_conformance_kit(
    check: platform_conformance.Check, tmp_path: Path
) -> None:
    """The local platform passes the conformance kit."""
    check(platform_conformance.PlatformSubject(make=lambda: LocalPlatform(tmp_path)))
