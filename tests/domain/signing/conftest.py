"""Fixtures for tests of signatures."""

import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def far_from_greenwich() -> Iterator[None]:
    """The machine's own time is nine hours ahead of the world's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "AWAY-9")
        time.tzset()
        yield
    time.tzset()
