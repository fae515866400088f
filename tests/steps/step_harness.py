"""Helpers for tests of steps, which run in sync and async programs."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol

from moorage import AsyncConnectorManager, ConnectorManager, Service
from moorage.adapters.steps.in_threads import AsyncPlatformInThreads
from moorage.hub.step_connector_async import AsyncStepConnector
from moorage.hub.step_connector_sync import StepConnector
from moorage.wiring.store_urls import aopen_storage, open_storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.steps.result import ExecutionResult
    from moorage.domain.steps.step import Step
    from moorage.ports.platform import Platform

MODES = ("sync", "async")


class Execute(Protocol):
    """A function that runs a step to its end, sync or async, and returns its result."""

    def __call__(self, step: Step, **options: Any) -> ExecutionResult:
        """Run a step."""
        ...


def executor(mode: str, platform: Platform, url: str | None = None, **options: Any) -> Execute:
    """Return a function that runs steps on a platform.

    Args:
        mode: "sync" or "async".
        platform: the platform.
        url: the store; by default the memory of this one connector.
        options: further options of the connector; a hook of an asynchronous program may return an
            awaitable.
    """
    if mode == "sync":
        state = None if url is None else open_storage(url)
        manager = ConnectorManager([Service("steps")], state=state)
        connector = StepConnector(platform, manager, **options)

        def execute_now(step: Step, **arguments: Any) -> ExecutionResult:
            return connector.execute_step(step, **arguments)

        return execute_now

    hooks: dict[str, Any] = {
        name: _async_hook(options[name]) for name in options if name.endswith("_execute")
    }

    def execute(step: Step, **arguments: Any) -> ExecutionResult:
        async def run() -> ExecutionResult:
            state = None if url is None else aopen_storage(url)
            manager = AsyncConnectorManager([Service("steps")], state=state)
            connector = AsyncStepConnector(
                AsyncPlatformInThreads(platform), manager, **{**options, **hooks}
            )
            return await connector.execute_step(step, **arguments)

        return asyncio.run(run())

    return execute


def _async_hook(hook: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any) -> Any:
        value = hook(*arguments)
        return await value if isawaitable(value) else value

    return call
