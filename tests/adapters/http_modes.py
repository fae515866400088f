"""Gives the sync and async HTTP clients of the standard library one asynchronous interface."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.domain.http.requests import Request, Timeouts
from moorage.testing.kits._http_harness import ThreadedClient

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.ports.http import AsyncHttpClient

Make: TypeAlias = "Callable[..., AsyncHttpClient]"

GET: Final = Request.get("/")
POST: Final = Request.post("/", body=b"x")
SHORT_TIMEOUT: Final = Timeouts(total=0.1)
LONG: Final = Timeouts(total=20.0)


def sync_in_threads(**settings: Any) -> AsyncHttpClient:
    """Return a synchronous client whose calls run in threads."""
    return ThreadedClient(StdlibHttpClient(**settings))


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in its own event loop."""

    @wraps(test)
    def run(**arguments: Any) -> None:
        asyncio.run(test(**arguments))

    return run


def with_both_clients(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test twice, once with each client's constructor."""
    client_makers = [sync_in_threads, AsyncStdlibHttpClient]
    run = in_loop(test)
    return pytest.mark.parametrize("make", client_makers, ids=["sync", "async"])(run)  # type: ignore[no-any-return]  # it is `run`
