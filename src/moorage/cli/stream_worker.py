"""The worker of `moorage stream run`, which runs and reloads pipelines."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.cli.places import opened_async
from moorage.config.pipeline_building import build_pipeline
from moorage.config.pipelines import EndSettings
from moorage.domain.idempotency.claims import ReadRecord
from moorage.domain.pipelines.changes import changes
from moorage.domain.pipelines.control import ReadPipeline, control_key
from moorage.domain.secrets.frames import error_name
from moorage.domain.state.keys import state_key
from moorage.errors import ConfigurationError, ConnectorError
from moorage.hub.internals import core_of
from moorage.pipelines.group import PipelineGroup
from moorage.pipelines.running import signals_call
from moorage.pipelines.supervision import SupervisedPipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from moorage.cli.context import Context
    from moorage.cli.exit_deadline import ExitDeadline
    from moorage.config import Configured
    from moorage.config.pipelines import PipelineSettings
    from moorage.domain.pipelines.settings import PipelineReport
    from moorage.pipelines.pipeline import Pipeline

_HUB_SETTINGS: Final = (
    "safety",
    "http",
    "store",
    "keys",
    "environment_id",
    "records_per_tenant",
    "broker",
    "cipher",
    "credentials_from",
    "tenants_from",
    "audit",
    "log",
    "metrics",
    "health",
    "observers",
)
"""The settings of a configuration that apply to every pipeline, by the names in `Configured`."""

_STORE_TIMEOUT: Final = 5.0
"""Seconds in which a new store must answer, so that a reload accepts it."""

_READ_KEY: Final = ReadRecord(state_key("pipeline", "moorage", None, "check"))
"""A command that only the store of idempotency keys can answer."""


class StreamWorker:
    """Runs pipelines of a configuration until a signal ends them, and reloads it on SIGHUP.

    Args:
        names: the names of the pipelines; if empty, all pipelines of the configuration.
        interval: seconds between two reports to the store.
        context: the context of the command, with the configuration.
    """

    def __init__(self, names: tuple[str, ...], interval: float, context: Context) -> None:
        self._names = names
        self._interval = interval
        self._context = context
        self._worker = f"{socket.gethostname()}-{os.getpid()}"
        self._hubs: dict[AsyncExitStack, set[str]] = {}
        self._values: dict[str, object] = {}
        self._stores: tuple[str | None, ...] = ()
        self._group = PipelineGroup({})
        self._hangups = asyncio.Event()
        self._drain = 0.0
        self.hub: Any = None

    @property
    def pipelines(self) -> Mapping[str, Pipeline | SupervisedPipeline]:
        """The pipelines by their names."""
        return self._group.pipelines

    async def __aenter__(self) -> Self:
        configured = self._context.configured()
        self._values = pipeline_values(configured, self._names)
        self._stores = _stores_of(configured)
        pipelines = await self._new_pipelines(configured, self._values)
        self._group = PipelineGroup(pipelines)
        return self

    async def __aexit__(self, *_: object) -> None:
        for stack in self._hubs:
            await stack.aclose()

    async def run(self, deadline: ExitDeadline | None = None) -> dict[str, PipelineReport]:
        """Run the pipelines, and return the report of each by its name.

        Args:
            deadline: the deadline that a signal starts; it ends the process if the pipelines do not
                end.
        """
        at_once = None if deadline is None else lambda: deadline.start(self._drain)
        reloading = asyncio.create_task(self._reload_on_signals())
        try:
            with (
                signals_call(self._hangups.set, [signal.SIGHUP]),
                signals_call(self._group.stop, at_once=at_once),
            ):
                return await self._group.run()
        except Exception:
            # The error's message, which is printed last, does not contain the name of the pipeline.
            for name in self._group.failed:
                print(f"moorage: The pipeline {name!r} failed.", file=sys.stderr, flush=True)
            raise
        finally:
            reloading.cancel()
            await asyncio.wait([reloading])

    async def _reload_on_signals(self) -> None:
        while True:
            await self._hangups.wait()
            self._hangups.clear()
            await self.reload()

    async def reload(self) -> None:
        """Read the configuration again, and replace the pipelines that differ.

        If the new configuration is refused, all pipelines continue, and their reports show the
        reason.
        """
        try:
            configured, values = self._read_again()
            difference = changes(self._values, values)
            pipelines = await self._new_pipelines(
                configured,
                (*difference.changed, *difference.added),
                checks_stores=_stores_of(configured) != self._stores,
            )
        except Exception as error:  # noqa: BLE001 - a mistake in the new configuration must not end the worker
            reason = error if isinstance(error, ConnectorError) else error_name(error)
            self._note_refusal(
                f"The new configuration is refused, so the pipelines run on: {reason}"
            )
            return
        self._note_refusal(None)
        for name in (*difference.removed, *difference.changed, *difference.added):
            await self._group.replace(name, pipelines.get(name))
        self._values, self._stores = values, _stores_of(configured)
        await self._close_unused()
        groups = [
            f"{kind} {', '.join(names)}"
            for kind, names in difference._asdict().items()
            if names and kind != "unchanged"
        ]
        self._context.print_progress(f"reloaded: {'; '.join(groups) or 'nothing has changed'}")

    def _read_again(self) -> tuple[Configured, dict[str, object]]:
        """Return the new configuration, and the values of its pipelines."""
        configured = self._context.configured()
        values = pipeline_values(configured, self._names)
        if not values:
            raise ConfigurationError(
                "The configuration no longer has any of the running pipelines.",
                path="pipelines",
                remedy="To stop all pipelines, stop the worker with SIGTERM.",
            )
        return configured, values

    def _note_refusal(self, problem: str | None) -> None:
        if problem is not None:
            print(f"moorage: {problem}", file=sys.stderr, flush=True)
        for pipeline in self.pipelines.values():
            if isinstance(pipeline, SupervisedPipeline):
                pipeline.reload_error = problem

    async def _new_pipelines(
        self, configured: Configured, names: Iterable[str], *, checks_stores: bool = False
    ) -> dict[str, Pipeline | SupervisedPipeline]:
        """Make pipelines with a hub of their configuration, and check that each can be built.

        Args:
            configured: the configuration.
            names: the pipelines.
            checks_stores: True if the store of shared state, or that of idempotency keys, has
                changed, so that both must answer.
        """
        settings = {item.name: item for item in configured.pipelines}
        selected = [settings[name] for name in names]
        if not selected:
            return {}
        async with AsyncExitStack() as stack:
            hub, storage = await stack.enter_async_context(opened_async(self._context))
            for item in selected:
                build_pipeline(item, hub, storage)
            if checks_stores and storage is not None:
                read = ReadPipeline(control_key(selected[0].name))
                await storage.execute(read, timeout=_STORE_TIMEOUT)
            if checks_stores and configured.keys is not None:
                await core_of(hub.manager).execute(_READ_KEY, _STORE_TIMEOUT)
            self._drain = max(self._drain, *(item.config.drain for item in selected))
            pipelines = {item.name: self._pipeline(item, hub, storage) for item in selected}
            for names_of_hub in self._hubs.values():
                names_of_hub -= set(pipelines)
            self._hubs[stack.pop_all()] = set(pipelines)
        self.hub = hub
        return pipelines

    def _pipeline(
        self, settings: PipelineSettings, hub: Any, storage: Any
    ) -> Pipeline | SupervisedPipeline:
        pipeline = (
            build_pipeline(settings, hub, None)
            if storage is None
            else SupervisedPipeline(
                settings.name,
                partial(build_pipeline, settings, hub, storage),
                storage,
                worker=self._worker,
                interval=self._interval,
            )
        )
        core_of(hub.manager).watch_pipeline(pipeline)
        return pipeline

    async def _close_unused(self) -> None:
        """Close the hubs whose pipelines have all been replaced or removed."""
        for stack, names in list(self._hubs.items()):
            if not names & set(self.pipelines):
                del self._hubs[stack]
                with suppress(ConnectorError):
                    await stack.aclose()


def _stores_of(configured: Configured) -> tuple[str | None, ...]:
    """Return the URLs of the stores of shared state and of idempotency keys."""
    return configured.store, configured.keys


def pipeline_values(configured: Configured, names: tuple[str, ...]) -> dict[str, object]:
    """Return the settings that each pipeline of a configuration depends on, by its name.

    Args:
        configured: the configuration.
        names: the names of the pipelines; if empty, all pipelines of the configuration.
    """
    services = {service.name: service for service in configured.services}
    accounts = {account.name: account for account in configured.accounts}
    hub_settings = [getattr(configured, name) for name in _HUB_SETTINGS]
    return {
        item.name: (
            item,
            [services.get(name, accounts.get(name)) for name in _service_names(item)],
            (configured.accounts, configured.routes) if _uses_accounts(item) else None,
            hub_settings,
        )
        for item in configured.pipelines
        if not names or item.name in names
    }


def _uses_accounts(settings: PipelineSettings) -> bool:
    """Return whether a pipeline calls operations of contracts, or reads an inbox."""
    is_inbox = isinstance(settings.source, EndSettings) and settings.source.kind == "webhooks"
    return is_inbox or settings.sink.kind == "call"


def _service_names(settings: PipelineSettings) -> list[str]:
    """Return the names of the services that a pipeline uses."""
    options = (settings.source.options, settings.sink.options, settings.schemas)
    names = [getattr(option, "service", None) for option in options]
    return [*settings.connectors, *(name for name in names if name is not None)]
