"""Context managers that open a command's store of shared state and its hub."""

from __future__ import annotations

import sys
import warnings
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from moorage.wiring.store_urls import aopen_storage, open_storage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from moorage.cli.context import Context
    from moorage.config import Configured
    from moorage.hub.hub import AsyncHub, Hub
    from moorage.ports.audit import AuditTrail


@contextmanager
def opened_store(url: str) -> Generator[Any]:
    """Open the store of a URL for the block."""
    store = open_storage(url)
    try:
        yield store
    finally:
        if hasattr(store, "close"):
            store.close()


@contextmanager
def opened_hub(context: Context, credentials: str | None = None) -> Generator[Hub]:
    """Open the hub of the configuration for the block.

    Args:
        context: the global options, which name the configuration.
        credentials: the URL of a credential store, for services with `needs_credentials`.
    """
    with open_hub(context, credentials, complete=False) as (hub, _):
        yield hub


@contextmanager
def open_hub(
    context: Context,
    credentials: str | None,
    *,
    complete: bool,
    audit: AuditTrail | None = None,
) -> Generator[tuple[Hub, Configured]]:
    """Open the hub of the configuration for the block; yields the configuration too.

    Args:
        context: the global options, which name the configuration.
        credentials: the URL of a credential store, for services with `needs_credentials`.
        complete: True to refuse a service without known credentials.
        audit: the audit trail for manual actions, in place of the configured trail.
    """
    from moorage.cli.vaults import open_provider  # noqa: PLC0415 - only some commands need it
    from moorage.config import hubs  # noqa: PLC0415 - only some commands need it
    from moorage.hub.hub import Hub  # noqa: PLC0415 - only some commands need it

    ports = context.host_ports()
    if credentials is not None:
        ports["credentials"] = open_provider(credentials)
    if audit is not None:
        ports["audit"] = audit
    with ExitStack() as cleanup:
        state = context.host_state
        if state is not None:
            ports["state"] = cleanup.enter_context(opened_store(state))
            ports["environment_id"] = context.configured().environment_id or ""
        with warnings.catch_warnings():
            # The command `moorage check` reports these warnings.
            warnings.simplefilter("ignore", hubs.ConfigurationWarning)
            hub, configured = hubs.open_hub(
                context.source(),
                context.open_arguments.get("environment"),
                ports,
                Hub,
                is_async=False,
                complete=complete,
            )
        if state is not None:
            configured = attrs.evolve(configured, state=state)
        yield cleanup.enter_context(hub), configured


@asynccontextmanager
async def opened_async(context: Context) -> AsyncGenerator[tuple[AsyncHub, Any]]:
    """Open the asynchronous hub of the configuration for the block.

    Yields the hub, and its store of shared state, or None if each process has its own state.

    Args:
        context: the global options, which name the configuration.
    """
    from moorage.config import hubs  # noqa: PLC0415 - only some commands need it
    from moorage.hub.hub import AsyncHub  # noqa: PLC0415 - only some commands need it
    from moorage.hub.internals import ports_of  # noqa: PLC0415 - only some commands need it

    async with AsyncExitStack() as cleanup:
        state, ports = context.host_state, dict[str, Any]()
        if state is not None and state != "memory:":
            storage = aopen_storage(state)
            cleanup.push_async_callback(storage.aclose)
            ports = {
                "state": storage,
                "environment_id": context.configured().environment_id or "",
            }
        with warnings.catch_warnings():
            # The command `moorage check` reports these warnings.
            warnings.simplefilter("ignore", hubs.ConfigurationWarning)
            hub, configured = hubs.open_hub(
                context.source(),
                context.open_arguments.get("environment"),
                ports,
                AsyncHub,
                is_async=True,
                complete=False,
            )
        is_shared = bool(ports) or configured.store not in {None, "memory:"}
        await cleanup.enter_async_context(hub)
        yield hub, ports_of(hub.manager).state if is_shared else None


def import_from_working_folder() -> None:
    """Add the working folder to the import path."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
