"""`moorage housekeep`: forget what cannot matter any more."""

from __future__ import annotations

from typing import Any, Final

from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.places import opened_store
from moorage.errors import ConfigurationError

_BATCH: Final = 1_000


def housekeep(url: str | None = None, /, *, migrate: bool = False, desk: Desk) -> Answer:
    """Forget states that cannot matter any more; for a timer, once a day.

    It goes on in small batches, so that nobody waits long.

    Args:
        url: of the store, such as sqlite:///var/moorage.db; by default the configured one.
        migrate: bring the store's schema up to date first.
        desk: what all commands share.
    """
    forgotten = 0
    with (
        opened_store(desk.state() if url is None else url) as store,
        desk.progress("forgotten") as step,
    ):
        if not hasattr(store, "housekeep"):
            raise ConfigurationError(
                "the memory of a process is its own.",
                path="url",
                remedy="Name the store that your processes share.",
            )
        if migrate and hasattr(store, "migrate"):
            store.migrate()
        while batch := store.housekeep(limit=_BATCH):
            forgotten += batch
            step(batch)
    found: dict[str, Any] = {"forgotten": forgotten}
    return Answer(found, [f"{forgotten} states forgotten"])
