"""A programming error in one process does not stop the calls of other processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import ConnectorManager, LocalFailure, Request, Service
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.testing import Behaviour, VendorServer

if TYPE_CHECKING:
    from pathlib import Path


def test_closed_manager_leaves_the_shared_circuit_closed(tmp_path: Path) -> None:
    """Calls after `close()` fail locally, and the shared circuit stays closed."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(204))
        managers = [
            ConnectorManager(
                [Service("vat", base_url=vendor.url)], state=SqliteStorage(tmp_path / "state.db")
            )
            for _ in range(2)
        ]
        closed_manager, other_manager = managers
        closed_manager.call("vat", Request.get("/"))
        closed_manager.close()
        for _ in range(10):
            with pytest.raises(LocalFailure, match="closed"):
                closed_manager.call("vat", Request.get("/"))

        assert 204 == other_manager.call("vat", Request.get("/")).status
        assert 0 == other_manager.circuit_state("vat").failures
        other_manager.close()
