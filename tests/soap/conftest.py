"""SOAP servers that other libraries implement."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(params=["1.1", "1.2"])
def spyne(request: pytest.FixtureRequest) -> Generator[str]:
    """Yield a server of spyne, which shares no code with zeep."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.spyne_server", request.param, str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    process.kill()
    process.communicate()
