"""A Docker Engine for tests, which are skipped where none can run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tools.docker_engine import IMAGE, NoEngineError, docker_engine

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ("IMAGE", "engine")


@contextmanager
def engine() -> Generator[str]:
    """Lend the socket of a Docker Engine for a block."""
    try:
        with docker_engine() as socket:
            yield socket
    except NoEngineError as error:
        pytest.skip(str(error))
