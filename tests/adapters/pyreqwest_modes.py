"""Both modes of the client over pyreqwest, as one to write tests with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.testing.kits._http_lab import Threaded
from tests.adapters.http_modes import in_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.ports.http import AsyncHttpClient


def plainly(**settings: Any) -> AsyncHttpClient:
    """A blocking client, lifted."""
    return Threaded(PyreqwestHttpClient(**settings))


def both(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test with a function that makes clients of either mode."""
    makes = [plainly, AsyncPyreqwestHttpClient]
    run = in_loop(test)
    return pytest.mark.parametrize("make", makes, ids=["plain", "async"])(run)  # type: ignore[no-any-return]  # it is `run`
