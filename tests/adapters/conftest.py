"""Fixtures that give several test modules their test databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.sql_harness import KINDS, Harness, harnesses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.adapters.state.sql import SqlStorage


@pytest.fixture(scope="module", params=KINDS)
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """Yield a test database of each kind."""
    with harnesses(request.param) as value:
        yield value


@pytest.fixture(scope="module")
def sql_store(harness: Harness) -> SqlStorage:
    """Return a store whose timeouts are long enough even on a busy machine."""
    return harness.sync_store()
