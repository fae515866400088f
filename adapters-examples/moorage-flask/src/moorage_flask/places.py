"""The locations of all stores, chosen by the settings alone.

In SQLite, only one transaction writes at a time. If the application calls a vendor in a
transaction, moorage cannot write to the same file until the transaction ends. So an application
with a SQLite
file gets two further files: one for shared state, and one for all other data that is stored outside
of the application's transactions.
"""

from __future__ import annotations

from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class StoreLocations:
    """The location of each store.

    Attributes:
        state: the URL of the store of shared state; None if it is the application's database.
        aside: the SQLite file of the data outside of the application's transactions; None if it is
            in the application's database.
        memory: True if all data is in the memory of this process.
    """

    state: str | None = attrs.field(default=None, repr=False)
    aside: str | None = None
    memory: bool = False


def places(
    *, kind: str | None, file: str | None, state: str | None = None, aside: str | None = None
) -> StoreLocations:
    """Choose the location of each store from the database and the settings.

    Args:
        kind: the kind of the application's database; None without a database.
        file: the path of the application's SQLite file; None for other databases.
        state: the URL of the state store in the settings.
        aside: the path of the second file in the settings.
    """
    if kind is None or (kind == "sqlite" and file is None):
        return StoreLocations(state=state or "memory:", aside=aside, memory=aside is None)
    if file is None:
        return StoreLocations(state=state, aside=aside)
    path = Path(file).absolute()
    return StoreLocations(
        state=state or f"sqlite:///{path.with_suffix('.moorage-state.db')}",
        aside=aside or str(path.with_suffix(".moorage.db")),
    )
