"""A synchronous MongoDB client that searches for a server needs a thread for each search."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import ConnectionFailed, LocalFailure
from moorage.adapters.mongodb._modes_sync import Client, ready
from moorage.adapters.mongodb._monitor import Monitor
from tests.support.ports import free_port
from tests.support.threads import no_new_threads


def test_machine_without_threads_does_not_end_all_searches() -> None:
    """If no thread can be started for a search, the next call searches again."""
    monitor = Monitor(1)
    client: Any = Client("127.0.0.1", free_port(), connect=False, serverSelectionTimeoutMS=10)
    try:
        with no_new_threads(), pytest.raises(LocalFailure, match="could not start another thread"):
            ready(client, monitor, 0.01, for_writing=True)
        assert monitor.begin_search()
        monitor.end_search()
        with pytest.raises(ConnectionFailed):
            ready(client, monitor, 0.01, for_writing=True)
    finally:
        client.close()
