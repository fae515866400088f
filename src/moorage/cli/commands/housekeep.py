"""`moorage housekeep`: delete expired state, and old entries of the integration log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.cli.answer import CommandResult
from moorage.cli.commands.logs import opened_log, time_days_ago
from moorage.cli.context import Context
from moorage.cli.places import opened_store
from moorage.domain.observation.integration_log import LogQuery
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH: Final = 1_000


def housekeep(
    url: str | None = None, /, *, migrate: bool = False, context: Context
) -> CommandResult:
    """Delete expired state, and old entries of the integration log; run it once a day.

    The age at which entries are deleted is `keep_days` under [log]. Entries are only deleted from
    the configured log. The command works in small batches, so that other processes do not wait
    long.

    Args:
        url: the URL of the store, such as sqlite:///var/moorage.db; by default the configured
            stores: the shared state, and the idempotency keys if they have a store of their own.
        migrate: create or update the tables of the store and of the log first.
        context: the options that all commands share.
    """
    removed_entries = None if url is not None else _remove_entries(context, migrate=migrate)
    configured = context.configured() if url is None else None
    if removed_entries is not None and configured and not (configured.store or configured.keys):
        return CommandResult(
            {"removed": removed_entries}, [f"{removed_entries} entries of the log removed"]
        )
    urls = _configured_stores(context) if url is None else [url]
    with context.progress("deleted") as step:
        deleted_states = sum(_clean(store_url, step, migrate=migrate) for store_url in urls)
    result: dict[str, Any] = {"forgotten": deleted_states}
    lines = [f"{deleted_states} states deleted"]
    if removed_entries is not None:
        result["removed"] = removed_entries
        lines.append(f"{removed_entries} entries of the log removed")
    return CommandResult(result, lines)


def _configured_stores(context: Context) -> list[str]:
    """Return the URLs of the configured stores that processes share, without duplicates."""
    configured = context.configured()
    if configured.keys is None:
        return [context.state()]
    urls = dict.fromkeys((configured.state, configured.keys))
    shared_urls = [url for url in urls if url is not None and url != "memory:"]
    return shared_urls or [context.state()]


def _clean(url: str, step: Callable[[int], object], *, migrate: bool) -> int:
    """Delete the expired state of a store, and return the number of deleted states.

    Args:
        url: the URL of the store.
        step: called with the number of states that each batch deleted.
        migrate: create or update the tables of the store first.
    """
    deleted_states = 0
    with opened_store(url) as store:
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
    return deleted_states


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
