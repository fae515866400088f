"""Fixtures that give several test modules their test databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.sql_lab import KINDS, Lab, labs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.adapters.state.sql import SqlStorage


@pytest.fixture(scope="module", params=KINDS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Yield a test database of each kind."""
    with labs(request.param) as value:
        yield value


@pytest.fixture(scope="module")
def sql_store(lab: Lab) -> SqlStorage:
    """Return a store whose timeouts are long enough even on a busy machine."""
    return lab.sync_store()
