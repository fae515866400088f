"""Clients of a schema registry's server, for the tests of schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import AsyncConnectorManager, RetryPolicy, Service
from moorage.adapters.schemas.confluent import ConfluentSchemaRegistry

if TYPE_CHECKING:
    from moorage.testing import SchemaRegistryServer

_QUICK: Final = RetryPolicy(max_attempts=2, base_delay=0.0001, max_delay=0.0001)
MANAGERS: list[AsyncConnectorManager] = []
"""The managers that the running test uses."""


def confluent_client(server: SchemaRegistryServer, **settings: Any) -> ConfluentSchemaRegistry:
    """Return a client for this server of a schema registry."""
    service = Service("schemas", base_url=server.url, retry=_QUICK, circuit=None, **settings)
    MANAGERS.append(AsyncConnectorManager([service]))
    return ConfluentSchemaRegistry(MANAGERS[-1], "schemas")
