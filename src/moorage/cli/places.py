"""Context managers that open a command's store of shared state and its hub."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.wiring.store_urls import open_storage

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.cli.context import Context
    from moorage.config import Configured
    from moorage.hub.hub import Hub
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
    with opened(context, credentials, complete=False) as (hub, _):
        yield hub


@contextmanager
def opened(
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
        complete: whether to refuse a service without known credentials.
        audit: the trail of acts by hand, in place of the configured one.
    """
    from moorage.cli.vaults import open_provider  # noqa: PLC0415 - only some commands need it
    from moorage.config import hubs  # noqa: PLC0415 - as above
    from moorage.hub.hub import Hub  # noqa: PLC0415 - as above

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
            # `moorage check` reports these warnings.
            warnings.simplefilter("ignore", hubs.ConfigurationWarning)
            hub, configured = hubs.open_hub(
                context.source(),
                context.overlaid.get("environment"),
                ports,
                Hub,
                is_async=False,
                complete=complete,
            )
        if state is not None:
            configured = attrs.evolve(configured, state=state)
        yield cleanup.enter_context(hub), configured
