"""Fixtures for tests of request signing."""

import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def far_from_greenwich() -> Iterator[None]:
    """Set the machine's time zone nine hours ahead of UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "AWAY-9")
        time.tzset()
        yield
    time.tzset()
