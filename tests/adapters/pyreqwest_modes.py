"""The sync and async pyreqwest HTTP clients behind one asynchronous interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.testing.kits._http_harness import ThreadedClient
from tests.adapters.http_modes import in_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.ports.http import AsyncHttpClient


def sync_in_threads(**settings: Any) -> AsyncHttpClient:
    """Return a synchronous client whose calls run in threads."""
    return ThreadedClient(PyreqwestHttpClient(**settings))


def with_both_clients(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test with the constructor of each client."""
    client_makers = [sync_in_threads, AsyncPyreqwestHttpClient]
    run = in_loop(test)
    return pytest.mark.parametrize("make", client_makers, ids=["sync", "async"])(run)  # type: ignore[no-any-return]  # it is `run`
