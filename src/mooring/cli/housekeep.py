"""`mooring housekeep`: forget what cannot matter any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mooring.errors import ConfigurationError
from mooring.opening import open_storage

if TYPE_CHECKING:
    import argparse

_BATCH: Final = 1_000


def housekeep(given: argparse.Namespace) -> int:
    """Migrate if that is asked for, then forget in small batches, so that nobody waits long."""
    store = open_storage(given.url)
    if not hasattr(store, "housekeep"):
        raise ConfigurationError(
            "the memory of a process is its own.",
            path="url",
            remedy="Name the store that your processes share.",
        )
    with store:
        if given.migrate and hasattr(store, "migrate"):
            store.migrate()
        forgotten = 0
        while batch := store.housekeep(limit=_BATCH):
            forgotten += batch
    print(f"{forgotten} states forgotten")
    return 0
