"""A WSGI application that makes calls, and exposes the metrics of all its processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from moorage import (
    CircuitBreakerConfig,
    CircuitState,
    ConnectorManager,
    RateLimitConfig,
    Service,
)
from moorage.adapters.observers.prometheus import PrometheusObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

manager = ConnectorManager(
    [Service("tax", limits=RateLimitConfig(1_000), circuit=CircuitBreakerConfig())],
    observers=[PrometheusObserver()],
)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Make a call, open the circuit, or return the metrics."""
    path = environ["PATH_INFO"]
    if path == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the client's
        body = generate_latest(registry)
    else:
        if path == "/open":
            manager.set_circuit("tax", CircuitState.FORCED_OPEN)
        else:
            manager.run("tax", os.getpid)
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
