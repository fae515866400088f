"""Fixtures of the tests of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.testing.fakes.http_tls import certificate_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a TLS certificate, and return the paths of its file and of its key's file."""
    return certificate_files(tmp_path_factory.mktemp("tls"))
