"""`moorage housekeep`: delete expired state, and old entries of the integration log."""

from __future__ import annotations

from typing import Any, Final

from moorage.cli.answer import CommandResult
from moorage.cli.commands.logs import opened_log, time_days_ago
from moorage.cli.context import Context
from moorage.cli.places import opened_store
from moorage.domain.observation.integration_log import LogQuery
from moorage.errors import ConfigurationError

_BATCH: Final = 1_000


def housekeep(
    url: str | None = None, /, *, migrate: bool = False, context: Context
) -> CommandResult:
    """Delete expired state, and old entries of the integration log; run it once a day.

    The age at which entries are deleted is `keep_days` under [log]. Entries are only deleted from
    the configured log. The command works in small batches, so that other processes do not wait
    long.

    Args:
        url: the URL of the store, such as sqlite:///var/moorage.db; by default the configured one.
        migrate: create or update the tables of the store and of the log first.
        context: the options that all commands share.
    """
    removed_entries = None if url is not None else _remove_entries(context, migrate=migrate)
    if removed_entries is not None and context.configured().store is None:
        return CommandResult(
            {"removed": removed_entries}, [f"{removed_entries} entries of the log removed"]
        )
    deleted_states = 0
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
            deleted_states += batch
            step(batch)
    result: dict[str, Any] = {"forgotten": deleted_states}
    lines = [f"{deleted_states} states deleted"]
    if removed_entries is not None:
        result["removed"] = removed_entries
        lines.append(f"{removed_entries} entries of the log removed")
    return CommandResult(result, lines)


def _remove_entries(context: Context, *, migrate: bool) -> int | None:
    """Remove the old entries of the configured log, and return their number.

    Return None if the configuration sets no age.
    """
    configured = context.configured()
    if configured.log in {None, "memory:"} or configured.log_days is None:
        return None
    end_time = time_days_ago(configured.log_days)
    with opened_log(context, None) as log:
        if migrate:
            log.migrate()
        removed_entries: int = log.remove(LogQuery(until=end_time))
    return removed_entries
