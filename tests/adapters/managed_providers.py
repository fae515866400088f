"""Sync or async secret providers that read one fake secret manager, with the same interface."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pytest

from moorage.adapters.credentials.managed import (
    AsyncManagedCredentialProvider,
    ManagedCredentialProvider,
)
from moorage.testing import VirtualClock

if TYPE_CHECKING:
    from tests.adapters.manager_harnesses import Harness

PATIENCE = 30.0
OWNER = ("shop", "acme-fr")
BOTH_MODES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class ProviderInMode:
    """A fake secret manager with its providers of sync or async mode.

    Closing it closes the providers.
    """

    def __init__(self, harness: Harness, *, is_async: bool) -> None:
        self.harness, self.is_async = harness, is_async
        self.clock = VirtualClock(datetime(2026, 11, 20, 12, tzinfo=UTC))
        harness.now = self.clock.utc
        self._made: list[Any] = []

    def __enter__(self) -> Self:
        self.harness.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for provider in self._made:
            self.ask(provider.close)
        self.harness.__exit__()

    def provider(self, manager: Any = None, **options: Any) -> Any:
        """Return a provider that reads from the fake secret manager."""
        kind: Any = AsyncManagedCredentialProvider if self.is_async else ManagedCredentialProvider
        options = {"clock": self.clock, "timeout": PATIENCE, **options}
        provider = kind(manager or self.harness.manager(), **options)
        self._made.append(provider)
        return provider

    def ask(self, method: Any, *options: object) -> Any:
        """Call a synchronous or asynchronous method and return its result."""
        return asyncio.run(method(*options)) if self.is_async else method(*options)

    def get(self, provider: Any, tenant: str | None = None) -> Any:
        """Return the credential of the shop service."""
        return self.ask(provider.get, "shop", tenant)
