"""`moorage housekeep`: delete expired state."""

from __future__ import annotations

from typing import Any, Final

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.places import opened_store
from moorage.errors import ConfigurationError

_BATCH: Final = 1_000


def housekeep(
    url: str | None = None, /, *, migrate: bool = False, context: Context
) -> CommandResult:
    """Delete expired state; run it from a timer, once a day.

    The command works in small batches, so that other processes do not wait long.

    Args:
        url: the URL of the store, such as sqlite:///var/moorage.db; by default the configured one.
        migrate: update the store's schema first.
        context: the options that all commands share.
    """
    deleted = 0
    with (
        opened_store(context.state() if url is None else url) as store,
        context.progress("deleted") as step,
    ):
        if not hasattr(store, "housekeep"):
            raise ConfigurationError(
                "An in-memory store cannot be cleaned from another process.",
                path="url",
                remedy="Pass the URL of a store that your processes share.",
            )
        if migrate and hasattr(store, "migrate"):
            store.migrate()
        while batch := store.housekeep(limit=_BATCH):
            deleted += batch
            step(batch)
    result: dict[str, Any] = {"forgotten": deleted}
    return CommandResult(result, [f"{deleted} states deleted"])
