"""The cost of a whole call around a real local HTTP request with a small JSON body."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from in_process import HUGE_BURST, HUGE_RATE
from measure import (
    ELAPSED,
    PROCESSOR,
    Clock,
    Comparison,
    Contender,
    Target,
    async_block,
    compare,
    sync_block,
)

from moorage import AsyncConnectorManager, ConnectorManager, RateLimitConfig, Request, Service
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.domain.http.requests import Timeouts


class Vendor:
    """A vendor's server in its own process, so that it does not slow down the measured process."""

    def __init__(self, *certificate_files: str) -> None:
        self._certificate_files = certificate_files  # its certificate and key, if it speaks TLS

    def __enter__(self) -> str:
        script = Path(__file__).with_name("vendor.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), *self._certificate_files],
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout is None:
            raise RuntimeError
        scheme = "https" if self._certificate_files else "http"
        return f"{scheme}://127.0.0.1:{self._process.stdout.readline().strip()}"

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _service(url: str) -> Service:
    return Service(
        "ours", base_url=url, limits=RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST)
    )


def _sync(rounds: int, clock: Clock) -> Comparison:
    with (
        Vendor() as url,
        StdlibHttpClient() as bare_client,
        ConnectorManager([_service(url)]) as manager,
    ):
        request, timeouts = Request.get("/rates"), Timeouts(total=30.0)
        rows = compare(
            None,
            [
                Contender(
                    "bare client",
                    sync_block(lambda: bare_client.send(request, url + "/rates", timeouts)),
                ),
                Contender(
                    "ConnectorManager.call", sync_block(lambda: manager.call("ours", request))
                ),
            ],
            rounds=rounds,
            clock=clock,
            block_seconds=0.03,
        )
    return Comparison("manager over its bare client, sync", rows, Target(20, 8, more=True))


def _async(rounds: int, clock: Clock) -> Comparison:
    loop = asyncio.new_event_loop()
    bare_client = AsyncStdlibHttpClient()
    with Vendor() as url:
        manager = AsyncConnectorManager([_service(url)])
        request, timeouts = Request.get("/rates"), Timeouts(total=30.0)
        rows = compare(
            None,
            [
                Contender(
                    "bare client",
                    async_block(lambda: bare_client.send(request, url + "/rates", timeouts), loop),
                ),
                Contender(
                    "AsyncConnectorManager.call",
                    async_block(lambda: manager.call("ours", request), loop),
                ),
            ],
            rounds=rounds,
            clock=clock,
            block_seconds=0.03,
        )
        loop.run_until_complete(manager.close())
        loop.run_until_complete(bare_client.close())
    loop.close()
    return Comparison("manager over its bare client, async", rows, Target(20, 8, more=True))


def manager_over_client(rounds: int) -> Comparison:
    """Compare `ConnectorManager.call` with its HTTP client alone."""
    return _sync(rounds, ELAPSED)


def manager_over_client_processor(rounds: int) -> Comparison:
    """Compare `ConnectorManager.call` with its HTTP client alone, in processor time."""
    return _sync(rounds, PROCESSOR)


def manager_over_client_async(rounds: int) -> Comparison:
    """Compare `AsyncConnectorManager.call` with its HTTP client alone."""
    return _async(rounds, ELAPSED)


def manager_over_client_async_processor(rounds: int) -> Comparison:
    """Compare `AsyncConnectorManager.call` with its HTTP client alone, in processor time."""
    return _async(rounds, PROCESSOR)


ALL = (
    manager_over_client,
    manager_over_client_processor,
    manager_over_client_async,
    manager_over_client_async_processor,
)
