"""The HTTP pages of a pipeline worker: metrics for Prometheus, liveness, readiness and health."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from moorage.dashboard.server import Server
from moorage.domain.pipelines.settings import PipelineState
from moorage.errors import ConfigurationError
from moorage.hub.health import AsyncHealthMonitor
from moorage.hub.health_apps import HealthApp
from moorage.hub.internals import ports_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from moorage.cli.stream_worker import StreamWorker

_STUCK_SECONDS: Final = 30.0
"""Seconds without a turn of the event loop, after which the process counts as stuck."""

_LOOP_RECORD_SECONDS: Final = 1.0
"""Seconds between two turns of the event loop that are recorded."""

_READY_STATES: Final = frozenset({PipelineState.RUNNING, PipelineState.PAUSED})
_JSON: Final = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


class StreamPages:
    """A WSGI application with `/metrics`, `/live`, `/ready` and `/health` of a worker.

    `/live` answers 503 if the event loop of the pipelines is stuck. `/ready` answers 503 if a
    pipeline neither runs nor is paused.

    Args:
        worker: the worker.
        monitor: the monitor of its hub.
        metrics: returns the metrics in the text format of Prometheus.
        clock: returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        worker: StreamWorker,
        monitor: AsyncHealthMonitor,
        metrics: Callable[[], bytes],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._health = HealthApp(monitor)
        self._metrics = metrics
        self._clock = clock
        self._beat = clock()

    def show_health_of(self, monitor: AsyncHealthMonitor) -> None:
        """Show the health that another monitor measures, from now on."""
        self._health = HealthApp(monitor)

    def record_running_loop(self) -> None:
        """Record that the event loop is not blocked."""
        self._beat = self._clock()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request for one of the pages."""
        page = environ.get("PATH_INFO", "").strip("/")
        is_read = environ.get("REQUEST_METHOD", "GET") in {"GET", "HEAD"}
        if page == "metrics" and is_read:
            start_response("200 OK", [("Content-Type", "text/plain; version=0.0.4")])
            return [self._metrics()]
        if page == "live" and is_read and self._clock() - self._beat > _STUCK_SECONDS:
            start_response("503 Service Unavailable", list(_JSON))
            return [b'{"state": "stuck"}']
        if page == "ready" and is_read:
            states = {
                name: pipeline.statistics().state
                for name, pipeline in dict(self._worker.pipelines).items()
            }
            is_ready = all(state in _READY_STATES for state in states.values())
            start_response("200 OK" if is_ready else "503 Service Unavailable", list(_JSON))
            pipelines = {name: state.value for name, state in states.items()}
            return [json.dumps({"pipelines": pipelines}).encode()]
        return self._health(environ, start_response)


@asynccontextmanager
async def served_pages(worker: StreamWorker, host: str, port: int) -> AsyncGenerator[int]:
    """Serve the pages of a worker for the block; yields the port.

    Args:
        worker: the worker.
        host: the address to listen on.
        port: the port; 0 for any free port.

    Raises:
        ConfigurationError: the port is not available, or prometheus_client is not installed.
    """
    pages = StreamPages(worker, AsyncHealthMonitor(worker.hub), _metrics_of(worker))
    server = Server(host, port)
    server.set_app(pages)
    thread = threading.Thread(target=server.serve_forever, name="moorage-pages", daemon=True)
    thread.start()
    tasks = [
        asyncio.create_task(_keep_recording_loop(pages)),
        asyncio.create_task(_keep_measuring_health(pages, worker)),
    ]
    try:
        yield server.server_port
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.to_thread(server.shutdown)
        server.server_close()


async def _keep_recording_loop(pages: StreamPages) -> None:
    while True:
        pages.record_running_loop()
        await asyncio.sleep(_LOOP_RECORD_SECONDS)


async def _keep_measuring_health(pages: StreamPages, worker: StreamWorker) -> None:
    """Measure the health of the hub that the worker uses, which a reload may replace."""
    while True:
        hub = worker.hub
        async with AsyncHealthMonitor(hub) as monitor:
            pages.show_health_of(monitor)
            while hub is worker.hub:  # noqa: ASYNC110 - the worker announces no new hub
                await asyncio.sleep(_LOOP_RECORD_SECONDS)


def _metrics_of(worker: StreamWorker) -> Callable[[], bytes]:
    """Return a function that returns the metrics of the process and of its pipelines."""
    if find_spec("prometheus_client") is None:
        raise ConfigurationError(
            "The page with metrics needs prometheus_client, which is not installed.",
            path="--port",
            remedy="pip install prometheus_client",
        )
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest  # noqa: PLC0415 - an optional package

    from moorage.adapters.observers.prometheus import PrometheusObserver  # noqa: PLC0415 - an optional package

    observers = ports_of(worker.hub.manager).observers
    if any(isinstance(observer, PrometheusObserver) for observer in observers):
        return lambda: generate_latest(REGISTRY)
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)

    def metrics() -> bytes:
        for pipeline in dict(worker.pipelines).values():
            observer.watch_pipeline(pipeline)
        return generate_latest(registry)

    return metrics
