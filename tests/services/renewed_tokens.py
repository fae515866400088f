"""Helpers for tests of token renewal: a service, and a provider that renews its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage import Credentials, Service

if TYPE_CHECKING:
    from tests.support.modes import Harness


def vat(**options: object) -> Service:
    """Return a service named "vat" that has only the given settings."""
    value = {"base_url": "https://vat.example/v1", "circuit": None, "retry": None} | options
    return Service("vat", **value)  # type: ignore[arg-type]  # as each test says


class Provider:
    """A credential provider whose bearer token is `token-0`, then `token-1`, and so on."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.number = 0
        self.asked: list[tuple[str, str | None]] = []
        self.refreshed: list[str] = []
        self.fails: Exception | None = None
        self.slow = 0.0
        self.given: Any = None

    def _current(self) -> Any:
        return Credentials.bearer(f"token-{self.number}") if self.given is None else self.given

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current token, or raise the configured error."""
        self.asked.append((service, tenant))
        if isinstance(self.given, Exception):
            raise self.given
        return self._current()

    async def refresh(self, service: str, tenant: str | None, stale: Credentials, /) -> Any:
        """Record the refused token and return the next one."""
        assert (service, tenant) in self.asked
        assert stale.secret is not None
        self.refreshed.append(stale.secret.reveal())
        await self._harness.yield_to_tasks()
        self._harness.clock.advance(self.slow)
        if self.fails is not None:
            raise self.fails
        self.number += 1
        return self._current()
