"""What a command opens, and closes again: the store of shared state, and the hub."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from moorage.opening import open_storage

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.cli.desk import Desk
    from moorage.hub import Hub


@contextmanager
def opened_store(url: str) -> Generator[Any]:
    """The store of a URL, as long as it is needed."""
    store = open_storage(url)
    try:
        yield store
    finally:
        if hasattr(store, "close"):
            store.close()


@contextmanager
def opened_hub(desk: Desk, credentials: str | None = None) -> Generator[Hub]:
    """The hub of the configuration, as long as it is needed.

    Args:
        desk: knows which configuration.
        credentials: the URL of a store of credentials, for services that ask for theirs.
    """
    from moorage.cli.vaults import open_vault  # noqa: PLC0415 - only some commands call anybody

    ports: dict[str, Any] = {**desk.overlaid}
    if credentials is not None:
        ports["credentials"] = open_vault(credentials)
    found = desk.configured()
    with ExitStack() as closing:
        if found.state is not None:
            ports["state"] = closing.enter_context(opened_store(found.state))
            ports["environment_id"] = found.environment_id or ""
        yield closing.enter_context(_opened(desk, ports))


def _opened(desk: Desk, ports: dict[str, Any]) -> Hub:
    from moorage.config import hubs  # noqa: PLC0415 - not every command calls somebody

    with warnings.catch_warnings():
        # `moorage check` tells them.
        warnings.simplefilter("ignore", hubs.ConfigurationWarning)
        return hubs.open(desk.source(), **ports)
